"""The processes that belong to one Process: all of them signalled, killed, and waited for until none is left."""

import os
import select
from contextlib import suppress
from types import TracebackType
from typing import Protocol, Self

from pidward.core.units import Seconds
from pidward.kernel.clock import boottime
from pidward.kernel.errors import Denied, Gone, KernelError, NotLeader
from pidward.kernel.pidfd import Pidfd, State
from pidward.kernel.procfs import children, read_stat
from pidward.kernel.tree import WalkedTree
from pidward.runtime.trees import LOOK_AGAIN


class Tree(Protocol):
    """What this module needs of a cgroup or of a walk."""

    def processes(self) -> list[int]:
        """Numbers of the living, for display."""
        ...

    def is_populated(self) -> bool:
        """Somebody lives; zombies do not count."""
        ...

    def signal_all(self, number: int) -> set[int]:
        """Signal each of them; returns their numbers."""
        ...

    def kill(self) -> None:
        """SIGKILL all of them."""
        ...

    def open_events(self) -> int | None:
        """A descriptor on which EPOLLPRI tells of changes, the caller's; or None."""
        ...


class DescendantTree:
    """A process that others started, and its descendants.

    Who loses its parent is no descendant any more, so they are held by pidfd from ``hold`` on: to be called before
    the main process is asked to end. Close it.

    Args:
        main: borrowed.
    """

    def __init__(self, main: Pidfd) -> None:
        self._main = main
        self._held: list[Pidfd] = []
        self._walks: list[WalkedTree] = []  # they hold those whom they killed until those have ended

    def hold(self) -> None:
        """Hold those who descend now from the process, or from those who are held; twice is harmless."""
        queue = [self._main, *self._held]
        known = {process.id for process in queue if process.state() is not State.REAPED}
        for parent in queue:
            for child in _children(parent):
                if child.id in known:
                    child.close()
                    continue
                known.add(child.id)
                self._held.append(child)
                queue.append(child)

    def processes(self) -> list[int]:
        """Numbers of the living."""
        self.hold()
        return [process.id.pid for process in (self._main, *self._held) if _lives(process)]

    def is_populated(self) -> bool:
        """Somebody lives; zombies do not count."""
        self._walks = [walk for walk in self._walks if walk.is_populated()]
        return bool(self._walks) or any(map(_lives, (self._main, *self._held)))

    def signal_all(self, number: int) -> set[int]:
        """Signal each of them. Raises Denied after all others got it."""
        self.hold()
        denied: Denied | None = None
        reached = set()
        for process in (self._main, *self._held):
            try:
                if _lives(process) and process.signal(number):
                    reached.add(process.id.pid)
            except Denied as error:
                denied = error
        if denied is not None:
            raise denied
        return reached

    def kill(self) -> None:
        """Stop them until nobody new is found, then SIGKILL all.

        Raises:
            Denied: some are not ours to kill; the others got it.
            ValueError: this program is one of them; nothing was done.
        """
        denied: Denied | None = None
        self.hold()
        roots = (self._main, *self._held)
        if os.getpid() in (process.id.pid for process in roots if _lives(process)):
            raise ValueError(f"this program itself belongs to the tree of process {self._main.id}")
        for root in roots:
            try:
                if _lives(root):
                    self._walks.append(WalkedTree(os.urandom(16).hex(), root))
                    self._walks[-1].kill()
            except Denied as error:
                denied = error
        if denied is not None:
            raise denied

    def open_events(self) -> None:
        """Nobody tells."""
        return

    def close(self) -> None:
        """Let go of all but the main process."""
        for process in self._held:
            process.close()
        self._held = []


class TreeWatch:
    """Tells when a tree may have become empty. Owns descriptors: close it, or use it as a context manager."""

    def __init__(self, tree: Tree) -> None:
        self._events: int | None = None
        self._epoll: select.epoll | None = None
        with suppress(KernelError):  # the group is gone, or no descriptor is left: then it is looked at again and again
            self._events = tree.open_events()
        if self._events is not None:
            self._epoll = select.epoll()
            # By edges: until somebody reads through this very descriptor it stays ready.
            self._epoll.register(self._events, select.EPOLLPRI | select.EPOLLET)

    def fileno(self) -> int | None:
        """A descriptor that is readable after a change; None where nobody tells: look again every ``LOOK_AGAIN``."""
        return None if self._epoll is None else self._epoll.fileno()

    def wait(self, timeout: float) -> None:
        """Block until something may have changed, or the time is over."""
        if self._epoll is not None:
            self._epoll.poll(timeout)
        else:
            select.select([], [], [], min(timeout, LOOK_AGAIN))

    def drain(self) -> None:
        """Take the change, so that the descriptor is no longer readable."""
        if self._epoll is not None:
            self._epoll.poll(0)

    def close(self) -> None:
        """Give the descriptors back."""
        if self._epoll is not None:
            self._epoll.close()
        if self._events is not None:
            os.close(self._events)
        self._epoll = self._events = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def wait_empty(tree: Tree, timeout: Seconds) -> bool:
    """Block until nobody of a tree lives; False when the time is over first."""
    deadline = boottime() + timeout
    with TreeWatch(tree) as watch:
        while tree.is_populated():
            left = deadline - boottime()
            if left <= 0:
                return False
            watch.wait(left)
    return True


def _lives(process: Pidfd) -> bool:
    return process.state() is State.RUNNING


def _children(parent: Pidfd) -> list[Pidfd]:
    """Handles of the children of a process; each is proved to be one."""
    try:
        numbers = children(parent)
    except Gone:
        return []
    held = []
    for number in numbers:
        try:
            child = Pidfd.open(number)
        except (Gone, NotLeader):
            continue
        try:
            is_child = read_stat(child).ppid == parent.id.pid and parent.exists()
        except Gone:
            is_child = False
        if is_child:
            held.append(child)
        else:
            child.close()
    return held
