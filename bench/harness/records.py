"""The FIFO through which workers say that they run."""

import enum
import fcntl
import os
import select
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_LAYOUT = struct.Struct("<IIIIQII")
_MAGIC = 0x314B5257
_PIPE_BYTES = 1 << 20  # room for 32,768 records


class Kind(enum.IntEnum):
    """What a record tells."""

    STARTED = 1
    FINISHED = 2  # wrote all of its log
    DAEMON = 3  # a double-forked descendant started


class Record(NamedTuple):
    """One message of a worker, stamped by the worker itself."""

    pid: int
    id: int
    kind: Kind
    time_ns: int
    parent: int
    extra: int


class RecordFifo:
    """The reading end. The harness sleeps in poll(2) until a worker writes."""

    def __init__(self, path: Path) -> None:
        """Make the FIFO at ``path``, which must not exist; writable for workers of every user."""
        self.path = path
        os.mkfifo(path)
        path.chmod(0o666)
        self._fd = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        fcntl.fcntl(self._fd, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLIN)

    def read(self, timeout: float) -> list[Record]:
        """Return what has come, waiting ``timeout`` seconds at most for the first."""
        if not self._poll.poll(max(0.0, timeout * 1000)):
            return []
        data = os.read(self._fd, _PIPE_BYTES)  # whole records: each is written at once and is below PIPE_BUF
        return [
            Record(pid, worker, Kind(kind), time_ns, parent, extra)
            for magic, pid, worker, kind, time_ns, parent, extra in _LAYOUT.iter_unpack(data)
            if magic == _MAGIC
        ]

    def read_until(self, deadline: float, step: float = 1.0) -> Iterator[Record]:
        """Yield records until ``deadline`` (on time.monotonic); the caller leaves earlier when it has enough."""
        while (left := deadline - time.monotonic()) > 0:
            yield from self.read(min(left, step))

    def close(self) -> None:
        """Close and remove."""
        os.close(self._fd)
        self.path.unlink(missing_ok=True)
