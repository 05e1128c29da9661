"""A pump process to play with, and programs that write into spools."""

import gzip
import marshal
import os
import select
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from pidward.core.model import ExitStatus, WorkerName
from pidward.core.units import Seconds
from pidward.kernel.helper import start_helper
from pidward.kernel.pidfd import Pidfd
from pidward.kernel.wait import reap, wait_exit
from pidward.logs import layout

PUMP = str(Path(layout.__file__).parent)
PATIENCE = 20.0


class Rig:
    """State directory and pump. What a failed test leaves running is ended by ``end_all``."""

    running: ClassVar[list["Rig"]] = []
    held: ClassVar[list[int]] = []

    def __init__(self, state_dir: Path) -> None:
        self.state = state_dir
        self.spools = Path(layout.spool_dir(str(state_dir)))
        self.logs = state_dir / "logs"
        self.spools.mkdir(parents=True, exist_ok=True)
        self.heard: list[tuple[object, ...]] = []
        self.pump: Pidfd | None = None
        self._pipes: dict[str, int] = {}
        self._told: list[tuple[Any, ...]] = []
        self._socket: socket.socket | None = None

    def start(self) -> None:
        """Start a pump and tell it what the one before was told."""
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            Rig.running.append(self)
            self.pump = start_helper((sys.executable, "-I", "-S", PUMP, str(self.spools)), theirs.fileno())
        for message in self._told:
            self._send(message)

    def keep(
        self, *streams: str, max_size: int = 0, keep: int = 3, spool_limit: int = 256 << 20, max_age_ns: int = 0,
        is_stream: bool = False, compress: bool = False, is_json: bool = False, also: tuple[str, ...] = (),
    ) -> None:  # fmt: skip
        """Have streams moved."""
        fields = (str(self.logs), max_size, keep, spool_limit, max_age_ns, is_stream, compress, is_json, also)
        for stream in streams if is_stream else ():
            self.hold_pipe(stream)
        for i in range(0, len(streams), 100):
            message = ("keep", fields, list(streams[i : i + 100]))
            self._told.append(message)
            self._send(message)

    def hold_pipe(self, stream: str) -> None:
        """Make and hold a FIFO, as the client does."""
        path = self.pipe(stream)
        if stream not in self._pipes:
            os.mkfifo(path)
            self._pipes[stream] = os.open(path, os.O_RDWR | os.O_NONBLOCK)
            Rig.held.append(self._pipes[stream])

    def pipe(self, stream: str) -> Path:
        return Path(layout.pipe_path(str(self.spools), stream))

    @contextmanager
    def writer(self, stream: str) -> Iterator[int]:
        """The descriptor that a worker writes to."""
        path = self.pipe(stream) if stream in self._pipes else self.spool(stream)
        fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK)
        os.set_blocking(fd, True)
        try:
            yield fd
        finally:
            os.close(fd)

    def forget(self, *streams: str) -> None:
        """Retire spools, as the client does."""
        for stream in streams:
            spool = self.spool(stream)
            spool.rename(layout.retired(str(spool)))
        self.forget_again(*streams)

    def forget_again(self, *streams: str) -> None:
        """Tell a new pump what the one before was told."""
        self._told.clear()
        self._send(("forget", (str(self.logs), 900, 200, 256 << 20), list(streams)))

    def spool(self, stream: str) -> Path:
        return Path(layout.spool_path(str(self.spools), stream))

    def log(self, stream: str, age: int = 0) -> Path:
        return Path(layout.rotated(layout.log_path(str(self.logs), stream), age))

    def whole_log(self, stream: str) -> bytes:
        """All that is in the log files, oldest first."""
        newest = self.log(stream)
        ages = {
            int(path.name.removesuffix(".gz").rpartition(".")[2]) for path in self.logs.glob(f"{newest.name}.[0-9]*")
        }
        old = b"".join(content(self.log(stream, age)) for age in sorted(ages, reverse=True))
        return old + (newest.read_bytes() if newest.exists() else b"")

    def append(self, stream: str, data: bytes) -> None:
        """Write as a worker would."""
        with self.writer(stream) as fd:
            while data:
                data = data[os.write(fd, data) :]

    def drain(self) -> None:
        """Wait until the pump has moved what is written now."""
        self._send(("drain",))
        self.wait_for("drained")

    def wait_for(self, what: str) -> tuple[object, ...]:
        """The next message of a kind."""
        assert self._socket is not None
        while True:
            readable, _, _ = select.select([self._socket], [], [], PATIENCE)
            assert readable, f"no {what!r} within {PATIENCE} s; heard {self.heard}"
            data = self._socket.recv(1 << 20)
            assert data, f"the pump ended; heard {self.heard}"
            message: tuple[object, ...] = marshal.loads(data)
            self.heard.append(message)
            if message[0] == what:
                return message

    def kill(self) -> None:
        """kill -9 the pump."""
        assert self.pump is not None
        self.pump.signal(9)
        status = self._end()
        assert status.signal == 9

    def stop(self) -> None:
        """Be gone; the pump moves what is there and ends."""
        if self._socket is not None:
            self._socket.close()
            status = self._end()
            assert status.code == 0

    def _end(self) -> ExitStatus:
        assert self.pump is not None
        assert self._socket is not None
        assert wait_exit(self.pump, Seconds(PATIENCE)), "the pump did not end"
        status = reap(self.pump)
        assert status is not None
        self.pump.close()
        self._socket.close()
        self._socket = self.pump = None
        Rig.running.remove(self)
        return status

    @classmethod
    def end_all(cls) -> None:
        """Kill the pumps that still run."""
        for rig in list(cls.running):
            rig.kill()
        for fd in cls.held:
            os.close(fd)
        cls.held.clear()

    def _send(self, message: tuple[Any, ...]) -> None:
        if self._socket is not None:
            self._socket.send(marshal.dumps(message))


def content(path: Path) -> bytes:
    """What is in a log file, compressed or not."""
    return path.read_bytes() if path.exists() else gzip.decompress(Path(layout.compressed(str(path))).read_bytes())


def pause(seconds: float) -> None:
    """Let time pass where its passing is what is tested, and nothing is waited for."""
    time.sleep(seconds)  # noqa: TID251 - see above


def eventually(condition: Callable[[], object]) -> None:
    """Look until it holds; for what nothing tells of."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it never came to hold"
        pause(0.01)


def rest(rig: Rig) -> None:
    """Wait until the pump sleeps without a timeout."""
    before, deadline = -1, time.monotonic() + 10
    while switches(rig) != before:
        assert time.monotonic() < deadline, "it never sleeps"
        before = switches(rig)
        pause(0.3)


def switches(rig: Rig) -> int:
    assert rig.pump is not None
    status = Path(f"/proc/{rig.pump.id.pid}/status").read_text()
    return sum(int(line.split()[1]) for line in status.splitlines() if "ctxt_switches" in line)


def numbered(first: int, count: int, width: int = 60) -> bytes:
    """Lines that say which they are."""
    return b"".join(b"%08d %s\n" % (i, b"x" * width) for i in range(first, first + count))


def numbers(log: bytes) -> list[int]:
    """The numbers of numbered lines; fails for a line that is not whole."""
    lines = log.splitlines()
    assert all(len(line) == len(lines[0]) for line in lines)
    return [int(line[:8]) for line in lines]


def streams(count: int) -> Sequence[str]:
    return [layout.streams(WorkerName("web", i + 1))[0] for i in range(count)]
