"""The tree of a worker where no cgroup is to be had: found by walking, from what only its processes have.

We are a subreaper, so whoever loses its parent becomes our child. A process belongs to a worker's tree when it

- descends from the worker's main process, or from another member, or
- is our child and has the worker's INVOCATION_ID in the environment that it was started with, or
- is our child and in the session of the main process, while that one is unreaped (after it the number says nothing).

What this rung cannot see: a process that lost its parent, left the session and wiped its environment (also a title
written over it, as nginx does).
Handles are held while links between processes are followed, so no recycled number is ever taken for a member.
"""

import os
from collections.abc import Callable, Container, Iterable
from signal import SIGSTOP
from types import TracebackType

from pidward.core.lean import Self
from pidward.core.model import ExitStatus, ProcessId
from pidward.core.signals import SIGKILL
from pidward.core.units import Seconds
from pidward.kernel import abi, mask
from pidward.kernel.clock import boottime
from pidward.kernel.errors import Denied, Exhausted, Gone, NotLeader, translated
from pidward.kernel.pidfd import Pidfd, State
from pidward.kernel.procfs import Stat, children, numbers, own_children, read, read_stat
from pidward.kernel.wait import reap

_PR_SET_CHILD_SUBREAPER = 36
_AT_REST = "TtD"  # stopped, traced, or waiting for a child of vfork that is stopped: none of these forks
_PATIENCE = Seconds(0.2)  # with processes that run on after SIGSTOP
_LOOKS = 20  # at a tree that may have changed while it was looked at


def become_subreaper() -> None:
    """Become the new parent of descendants that lose theirs (Linux 3.4). Not inherited by fork, kept over exec."""
    doing = "become a subreaper"
    mask.need("subreaper", doing)
    try:
        abi.call("prctl", _PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    except OSError as error:
        raise translated(error, "prctl", doing) from error


def reap_orphans(known: Container[int]) -> list[tuple[ProcessId, ExitStatus]]:
    """Reap the ended children of ours that nobody watches: descendants that came to us when their parent ended.

    Each is reaped by its own pidfd, so the status of a watched child cannot be taken.

    Args:
        known: numbers of the children that are watched; they are left alone.

    Returns:
        Who was reaped and how it ended.
    """
    reaped = []
    for pid in own_children():
        if pid in known:
            continue
        try:
            with Pidfd.open(pid) as process:
                if process.state() is State.EXITED and (status := reap(process)) is not None:
                    reaped.append((process.id, status))
        except (Gone, NotLeader):
            continue
    return reaped


class WalkedTree:
    """The processes of one worker. The same face as a cgroup's.

    Args:
        mark: the INVOCATION_ID of the worker's process, random and so nobody else's.
        main: the main process, borrowed; None, or closed, when it was reaped.
        others: numbers of our children that are the main processes of other workers; only spares looking at them.
        everywhere: look for the mark in all processes, not only in our children: for what an earlier supervisor left.
    """

    def __init__(
        self, mark: str, main: Pidfd | None = None, others: Container[int] = (), *, everywhere: bool = False
    ) -> None:
        self.mark, self.main, self.others, self.everywhere = mark, main, others, everywhere
        self._killed: list[Pidfd] = []  # held until they have ended: the way on which they were found may end before

    def processes(self) -> list[int]:
        """Numbers of the living members."""
        with _Members(self) as members:
            return [process.id.pid for process, _ in members.look()]

    def is_populated(self) -> bool:
        """A member lives; zombies do not count."""
        self._let_go_of_the_ended()
        if self._killed:
            return True
        if self.main is not None and not self.main.is_closed and self.main.state() is State.RUNNING:
            return True
        with _Members(self) as members:
            return bool(members.look()) or members.is_changing

    def open_events(self) -> None:
        """Nobody tells; look again when a child of ours ended."""
        return

    def renew(self) -> None:
        """Nothing of a kill stays behind here."""

    def signal_all(self, number: int) -> set[int]:
        """Signal each member through its pidfd; returns their numbers.

        Raises:
            Denied: some are not ours to signal; the others got it.
            Exhausted: not one descriptor is to be had.
        """
        with _Members(self) as members:
            return _signal_each([process for process, _ in members.look()], number)

    def kill(self) -> None:
        """Stop the members until a look finds nobody new and all at rest, then SIGKILL all. Raises as ``signal_all``.

        Kill the main process through this, not before it: what it started is found through it.
        When descriptors run out, or some do not stop in time, those found so far are killed; ``is_populated`` tells
        whether to call again.
        """
        with _Members(self) as members:
            deadline = boottime() + _PATIENCE
            while boottime() < deadline:
                known = len(members.held)
                moving = [process for process, stat in members.look() if stat.state not in _AT_REST]
                _signal_each(moving, SIGSTOP)
                if members.is_full or not (moving or members.is_changing or len(members.held) > known):
                    break
                os.sched_yield()
            _signal_each(list(members.held.values()), SIGKILL)
            self._killed += members.held.values()
            members.held.clear()
        self._let_go_of_the_ended()

    def _let_go_of_the_ended(self) -> None:
        for process in self._killed:
            if process.state() is not State.RUNNING:
                process.close()
        self._killed = [process for process in self._killed if not process.is_closed]


class _Members:
    """The members found so far, held: once a member, always a member, whatever becomes of its parents."""

    def __init__(self, tree: WalkedTree) -> None:
        self.held: dict[int, Pidfd] = {}
        self.is_full = False  # no descriptor for the next one
        self.is_changing = False  # somebody may have been overlooked in the last look
        self._unread = False  # an environment could not be read: perhaps now, in the middle of exec or exit
        self._dead: set[int] = set()  # zombies of ours, which keep their numbers until we reap them
        self._tree = tree

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self.held.values():
            process.close()

    def look(self) -> list[tuple[Pidfd, Stat]]:
        """Hold all members; returns those that live.

        A family that forks on and exits can slip through one look: a child is still its parent's when our children
        are listed, and ours when the parent is looked at. So none found is believed only when nothing has changed.
        """
        living: list[tuple[Pidfd, Stat]] = []
        for _ in range(_LOOKS):
            self.is_changing = self._unread = False
            before = self._living_children()
            self._drop_the_gone()
            self._hold_roots(numbers() if self._tree.everywhere else before)
            living = self._follow()
            self.is_changing = self.is_changing or not self._living_children() <= before
            if living or not (self.is_changing or self._unread):
                break
        return living

    def _living_children(self) -> set[int]:
        return set(own_children()) - self._dead

    def _follow(self) -> list[tuple[Pidfd, Stat]]:
        """Go down from those who are held, and hold who descends from them; returns who lives."""
        living = []
        queue = list(self.held.values())
        for process in queue:
            try:
                stat, below = read_stat(process), children(process)
            except Gone:
                continue
            if process.state() is State.RUNNING:
                living.append((process, stat))
            queue += [self.held[pid] for pid in below if self._hold_child(pid, process)]
        return living

    def _drop_the_gone(self) -> None:
        for pid, process in list(self.held.items()):
            if not process.exists():
                process.close()
                del self.held[pid]

    def _hold_roots(self, candidates: Iterable[int]) -> None:
        tree, session = self._tree, 0
        if tree.main is not None and not tree.main.is_closed and tree.main.exists():
            session = tree.main.id.pid
            if session not in self.held:
                self.held[session] = Pidfd.copy_of(tree.main.fileno(), session)

        def belongs(process: Pidfd, stat: Stat) -> bool:
            is_ours = stat.ppid == os.getpid()
            if is_ours and stat.is_dead and process.state() is State.EXITED:
                self._dead.add(process.id.pid)
            return (is_ours and stat.session == session != 0) or (
                (is_ours or (tree.everywhere and not stat.is_kernel_thread)) and self._carries(process)
            )

        for pid in candidates:
            if pid not in tree.others and pid != os.getpid():
                self._hold(pid, belongs)

    def _carries(self, process: Pidfd) -> bool:
        text = read(process, "environ")
        self._unread = self._unread or not text
        return b"INVOCATION_ID=" + os.fsencode(self._tree.mark) in text.split(b"\0")

    def _hold_child(self, pid: int, parent: Pidfd) -> bool:
        return self._hold(pid, lambda _, child: child.ppid == parent.id.pid and parent.exists())

    def _hold(self, pid: int, belongs: Callable[[Pidfd, Stat], bool]) -> bool:
        """Open a candidate and keep it if it belongs; whether a member was added."""
        if pid in self.held or self.is_full:
            return False
        try:
            process = Pidfd.open(pid)
        except (Gone, NotLeader):
            return False
        except Exhausted:
            if not self.held:
                raise
            self.is_full = True
            return False
        is_member = False
        try:
            is_member = belongs(process, read_stat(process))
        except Gone:
            if process.state() is State.RUNNING:
                self.is_changing = True  # on its way out, and its children are on their way to us
        except Denied:  # another user's; or, when we are not root, one of ours on its way out
            self._unread = True
        finally:
            if is_member:
                self.held[pid] = process
            else:
                process.close()
        return is_member


def _signal_each(processes: list[Pidfd], number: int) -> set[int]:
    """Signal all of them; Denied only after all others got it."""
    denied: Denied | None = None
    reached = set()
    for process in processes:
        try:
            if process.signal(number):
                reached.add(process.id.pid)
        except Denied as error:
            denied = error
    if denied is not None:
        raise denied
    return reached
