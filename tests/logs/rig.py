"""A pump process to play with, and programs that write into spools."""

import marshal
import os
import select
import socket
import sys
from collections.abc import Sequence
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

    def __init__(self, state_dir: Path) -> None:
        self.state = state_dir
        self.spools = Path(layout.spool_dir(str(state_dir)))
        self.logs = state_dir / "logs"
        self.spools.mkdir(parents=True, exist_ok=True)
        self.heard: list[tuple[object, ...]] = []
        self.pump: Pidfd | None = None
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

    def keep(self, *streams: str, max_size: int = 0, keep: int = 3, spool_limit: int = 256 << 20) -> None:
        """Have streams moved."""
        for i in range(0, len(streams), 100):
            message = ("keep", (str(self.logs), max_size, keep, spool_limit), list(streams[i : i + 100]))
            self._told.append(message)
            self._send(message)

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
        ages = [int(path.suffix[1:]) for path in self.logs.glob(f"{newest.name}.*")]
        paths = [self.log(stream, age) for age in sorted(ages, reverse=True)] + [newest] * newest.exists()
        return b"".join(path.read_bytes() for path in paths)

    def append(self, stream: str, data: bytes) -> None:
        """Write as a worker would."""
        fd = os.open(self.spool(stream), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        try:
            while data:
                data = data[os.write(fd, data) :]
        finally:
            os.close(fd)

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

    def _send(self, message: tuple[Any, ...]) -> None:
        if self._socket is not None:
            self._socket.send(marshal.dumps(message))


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
