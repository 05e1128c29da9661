"""Readiness by descriptor: a worker writes a newline to a pipe that it inherits (as s6 has it)."""

import os
from collections.abc import Callable

from pidward.core.model import WorkerName
from pidward.runtime.loop import READ, Loop, Watch

_CHUNK = 4096
_PIPE_SIZE = 65536


class ReadyPipe:
    """One worker's. Its processes come and go; the pipe stays, and what an earlier one wrote is thrown away."""

    def __init__(self, loop: Loop, worker: WorkerName, said: Callable[[WorkerName], None]) -> None:
        """``said`` is called once after each ``begin``, at the first newline."""
        self._loop, self._worker, self._said = loop, worker, said
        self._ours, self.theirs = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        os.set_blocking(self.theirs, True)  # as programs expect of what they inherit; we never write
        self._watch: Watch | None = None

    def begin(self) -> None:
        """The next process is about to be started, and the one before has ended."""
        for _ in range(_PIPE_SIZE // _CHUNK):  # and no more, should somebody be left who writes on
            if not self._read():
                break
        if self._watch is None:
            self._watch = self._loop.watch(self._ours, READ, self._heard)

    def close(self) -> None:
        """Close both ends; harmless when done already."""
        self._stop()
        for fd in (self._ours, self.theirs):
            if fd >= 0:
                os.close(fd)
        self._ours = self.theirs = -1

    def _heard(self, _events: int) -> None:
        if b"\n" in self._read():
            self._stop()
            self._said(self._worker)

    def _read(self) -> bytes:
        try:
            return os.read(self._ours, _CHUNK)
        except BlockingIOError:
            return b""

    def _stop(self) -> None:
        if self._watch is not None:
            self._watch.close()
            self._watch = None
