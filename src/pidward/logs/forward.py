"""Lines that go to journald or to syslog besides the log files: datagrams, never waited for.

Loaded by a pump that has such a stream only. What the service does not take at once waits in a queue with a limit;
lines beyond it are counted and told. The places of the sockets can be changed by PIDWARD_JOURNAL_SOCKET and
PIDWARD_SYSLOG_SOCKET in pidward's environment.
"""

import _socket
import errno
import fcntl
import os
import select
import time
from collections import deque

from pidward.logs.layout import split_stream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

PLACES = {"journal": "/run/systemd/journal/socket", "syslog": "/dev/log"}
QUEUE_LIMIT = 4 << 20
"""Bytes that wait for one service."""
LONGEST = 1 << 20
MOST = {"journal": LONGEST, "syslog": 8000}
"""A longer line is cut into pieces; 8 KiB is what rsyslog takes."""
RETRY = 1.0
"""Seconds between tries to reach a service that is not there."""
TELL = 1.0
"""Seconds between two tellings of what was lost."""
INFO, DAEMON = 6, 3 << 3
_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
_TOO_LARGE = (errno.EMSGSIZE, errno.ENOBUFS)


def place_of(kind: str) -> str:
    """Where a service listens."""
    return os.environ.get(f"PIDWARD_{kind.upper()}_SOCKET") or PLACES[kind]


class Outlet:
    """The way to one service, for all streams.

    lost: lines of streams that were given up, until somebody tells of them and clears this.
    trouble: why the service cannot be reached; empty when it can. Looked at once at the beginning, then with each line.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._path = place_of(kind)
        self._socket: _socket.socket | None = None
        self._retry_at = 0.0
        self._queue: deque[tuple[str, bytes]] = deque()
        self._queued = 0
        self.lost: dict[str, int] = {}
        self.trouble = ""
        self._is_connected()

    def send(self, stream: str, message: bytes) -> None:
        """Send now, or later, or never."""
        if self._queued + len(message) > QUEUE_LIMIT:
            self.lost[stream] = self.lost.get(stream, 0) + 1
            return
        self._queue.append((stream, message))
        self._queued += len(message)
        if len(self._queue) == 1:
            self.go_on()

    def go_on(self) -> None:
        """Send what is taken without waiting."""
        while self._queue and self._is_connected():
            stream, message = self._queue[0]
            try:
                self._send(message)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno not in _TOO_LARGE:  # it went away
                    self.close()
                    continue
                self.lost[stream] = self.lost.get(stream, 0) + 1
            self._queue.popleft()
            self._queued -= len(message)

    @property
    def waits(self) -> bool:
        """Something is still to be sent."""
        return bool(self._queue)

    def fileno(self) -> int:
        """Writable when it takes more; -1 while nobody is there."""
        return self._socket.fileno() if self._socket is not None else -1

    def close(self) -> None:
        """Give the descriptor back; the queue stays."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _is_connected(self) -> bool:
        if self._socket is None and time.monotonic() >= self._retry_at:
            self._retry_at = time.monotonic() + RETRY
            new = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM | _socket.SOCK_NONBLOCK | _socket.SOCK_CLOEXEC)
            try:
                new.connect(self._path)
            except OSError as error:
                new.close()
                why = os.strerror(error.errno or 0)
                self.trouble = f"{self.kind} cannot be reached at {self._path}: {why}; the log files have all lines."
            else:
                self._socket, self.trouble = new, ""
        return self._socket is not None

    def _send(self, message: bytes) -> None:
        assert self._socket is not None
        try:
            self._socket.send(message)
        except OSError as error:
            if error.errno not in _TOO_LARGE or self.kind != "journal":
                raise
            self._send_by_file(message)

    def _send_by_file(self, message: bytes) -> None:
        """As a sealed file in memory, which journald takes in any size (Linux 3.17)."""
        assert self._socket is not None
        fd = os.memfd_create("pidward-log", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.write(fd, message)
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
            rights = (_socket.SOL_SOCKET, _socket.SCM_RIGHTS, fd.to_bytes(4, "little"))
            self._socket.sendmsg([b""], [rights])
        finally:
            os.close(fd)


class Forward:
    """Cuts the output of one stream into lines and sends them."""

    def __init__(self, stream: str, outlets: "Sequence[Outlet]") -> None:
        self._stream, self._outlets = stream, outlets
        self._rest = b""
        service, number, end = split_stream(stream)
        self._tag = f"{service}/{number}".encode()
        self._fields = (
            f"SYSLOG_IDENTIFIER={service}\nPIDWARD_SERVICE={service}\nPIDWARD_WORKER={number}\nPIDWARD_STREAM={end}\n"
        ).encode()

    def feed(self, data: bytes) -> None:
        """What was written to the log."""
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            self._send(line)
        while len(self._rest) >= LONGEST:
            piece, self._rest = self._rest[:LONGEST], self._rest[LONGEST:]
            self._send(piece)

    def flush(self) -> None:
        """Send what there is of the last line."""
        if self._rest:
            rest, self._rest = self._rest, b""
            self._send(rest)

    def _send(self, line: bytes) -> None:
        level = INFO
        if len(line) >= 3 and line[:1] == b"<" and line[2:3] == b">" and line[1:2] in b"01234567":
            level, line = line[1] - ord("0"), line[3:]
        for outlet in self._outlets:
            most = MOST[outlet.kind]
            for at in range(0, len(line), most) or (0,):
                outlet.send(self._stream, self._message(outlet.kind, level, line[at : at + most]))

    def _message(self, kind: str, level: int, text: bytes) -> bytes:
        """Bytes of any kind are safe: a line has no newline, which is all that journald's format cares about."""
        if kind == "journal":
            return b"PRIORITY=%d\n%sMESSAGE=%s\n" % (level, self._fields, text)
        stamp = time.strftime("%b %e %H:%M:%S").encode()  # RFC 3164 without a host, as syslog(3) writes it
        return b"<%d>%s %s: %s" % (DAEMON | level, stamp, self._tag, text.replace(b"\0", b"\\0"))


class Outlets:
    """The services that some stream is sent to."""

    def __init__(self) -> None:
        self._all: dict[str, Outlet] = {}
        self._polled: dict[str, int] = {}
        self._tell_at = 0.0

    def forward(self, stream: str, kinds: "Sequence[str]") -> Forward:
        """The way of a stream to some services."""
        for kind in kinds:
            if kind not in self._all:
                self._all[kind] = Outlet(kind)
        return Forward(stream, [self._all[kind] for kind in kinds])

    @property
    def are_busy(self) -> bool:
        """Look again in a while, whatever the descriptors say."""
        return any(outlet.waits or outlet.lost for outlet in self._all.values())

    @property
    def trouble(self) -> str:
        """Which of them cannot be reached, and why; empty when all can."""
        return " ".join(outlet.trouble for outlet in self._all.values() if outlet.trouble)

    def go_on(self, polls: "Sequence[select.poll]") -> "list[tuple[str, str, int]]":
        """Send what is taken, have polls wait for more; tells (stream, service, lines) that were lost, now and then."""
        for kind, outlet in self._all.items():
            before = self._polled.pop(kind, -1)
            if outlet.waits:
                outlet.go_on()
            wanted = outlet.fileno() if outlet.waits else -1
            for poll in polls if before != wanted else ():
                if before >= 0:
                    poll.unregister(before)
                if wanted >= 0:
                    poll.register(wanted, select.POLLOUT)
            if wanted >= 0:
                self._polled[kind] = wanted
        now = time.monotonic()
        if now < self._tell_at:
            return []
        lost = [(stream, o.kind, count) for o in self._all.values() for stream, count in o.lost.items()]
        if lost:
            self._tell_at = now + TELL
            for outlet in self._all.values():
                outlet.lost.clear()
        return lost

    def finish(self, patience: float) -> None:
        """Send what is taken within so many seconds."""
        until = time.monotonic() + patience
        poll = select.poll()
        while (left := until - time.monotonic()) > 0:
            self.go_on([poll])
            if not self._polled:
                return
            poll.poll(left * 1000)
