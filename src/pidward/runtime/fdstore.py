"""Descriptors that workers leave with us, and get back when they are started again (FDSTORE=1)."""

from collections.abc import Callable

from pidward.core.lean import NamedTuple
from pidward.core.model import WorkerName
from pidward.kernel.notify import is_same_open_file
from pidward.runtime.loop import Loop, Watch

DEFAULT_NAME = "stored"
_ONLY_THE_END = 0  # of events: EPOLLHUP and EPOLLERR are told without being asked for


class _Stored(NamedTuple):
    name: str
    fd: int
    watch: Watch | None


class FdStore:
    """Of all workers. Owns what is in it."""

    def __init__(self, loop: Loop, changed: Callable[[WorkerName], None], close: Callable[[int], None]) -> None:
        """Begin with nothing.

        Args:
            loop: watches their other ends.
            changed: called after each change of what a worker has here.
            close: closes a descriptor, and does not wait for that.
        """
        self._loop, self._changed, self._close = loop, changed, close
        self._stored: dict[WorkerName, list[_Stored]] = {}

    def of(self, worker: WorkerName) -> tuple[tuple[str, int], ...]:
        """(name, descriptor) of all that a worker has here, oldest first; the descriptors stay ours."""
        return tuple((stored.name, stored.fd) for stored in self._stored.get(worker, ()))

    def add(self, worker: WorkerName, name: str, descriptors: list[int], most: int, poll: bool) -> int:
        """Take descriptors of a worker.

        Args:
            worker: whose.
            name: one for all of them; "" is DEFAULT_NAME.
            descriptors: what is kept, or is here already, is removed from this list; the rest stays the caller's.
            most: that it may have here.
            poll: let go of each when its other end is closed.

        Returns:
            How many did not fit.
        """
        here = self._stored.setdefault(worker, [])
        name = name or DEFAULT_NAME
        rest = []
        for fd in descriptors:
            if any(stored.name == name and is_same_open_file(stored.fd, fd) for stored in here):
                self._close(fd)
            elif len(here) < most:
                here.append(_Stored(name, fd, self._watch(worker, fd) if poll else None))
            else:
                rest.append(fd)
        descriptors[:] = rest
        self._changed(worker)
        return len(rest)

    def remove(self, worker: WorkerName, name: str) -> None:
        """Close what a worker has here under a name."""
        self._drop(worker, lambda stored: stored.name == (name or DEFAULT_NAME))

    def clear(self, worker: WorkerName) -> None:
        """Close all that a worker has here."""
        if self._stored.get(worker):
            self._drop(worker, lambda _stored: True)
        self._stored.pop(worker, None)

    def close(self) -> None:
        """Close everything."""
        for worker in list(self._stored):
            self.clear(worker)

    def _watch(self, worker: WorkerName, fd: int) -> Watch | None:
        try:
            return self._loop.watch(fd, _ONLY_THE_END, lambda _events: self._drop(worker, lambda s: s.fd == fd))
        except OSError:  # EPERM: a file, which has no other end; ELOOP: an epoll within too many; ENOSPC
            return None

    def _drop(self, worker: WorkerName, which: Callable[[_Stored], bool]) -> None:
        here = self._stored.get(worker, [])
        for stored in [stored for stored in here if which(stored)]:
            here.remove(stored)
            if stored.watch is not None:
                stored.watch.close()
            self._close(stored.fd)
        self._changed(worker)
