"""What programs say about themselves through a FIFO, a line each."""

import os
import select
from typing import NamedTuple, Self

from pidward.core.units import Instant
from pidward.demo.story import Unmet
from pidward.kernel.clock import boottime

PATIENCE = 15.0


class Report(NamedTuple):
    """A line, and when it was read."""

    line: str
    read: Instant

    @property
    def words(self) -> list[str]:
        """The words of the line."""
        return self.line.split()


class Reports:
    """A FIFO held open at both ends: no program waits in open(2), and what the dead did not read is not lost."""

    def __init__(self, path: str) -> None:
        self.path = path
        os.mkfifo(path, 0o600)
        self._fd = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._partial = b""
        self._arrived: list[Report] = []

    def wait(self, what: str) -> Report:
        """Take the next line. Raises Unmet, naming ``what`` was waited for."""
        deadline = boottime() + PATIENCE
        while not self._arrived:
            poll = select.poll()
            poll.register(self._fd, select.POLLIN)
            if not poll.poll(max(0.0, deadline - boottime()) * 1000):
                raise Unmet(f"{what}: nothing was heard within {PATIENCE:.0f} s")
            *lines, self._partial = (self._partial + os.read(self._fd, 65536)).split(b"\n")
            now = boottime()
            self._arrived += [Report(line.decode(errors="replace"), now) for line in lines]
        return self._arrived.pop(0)

    def write(self, line: str) -> None:
        """Say something to whoever reads the FIFO."""
        os.write(self._fd, f"{line}\n".encode())

    def close(self) -> None:
        """Let go of it; the file stays."""
        os.close(self._fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_about: object) -> None:
        self.close()
