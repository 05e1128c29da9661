"""Where a worker's processes are kept together, and how it is known that none is left.

Three rungs, best first: a cgroup2 directory to be born in (its name is the record of the worker); a cgroup v1
directory entered at the gate; or a walk over the descendants that the kernel hands back to us as their subreaper.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from zlib import crc32

from pidward.core.model import WorkerName
from pidward.core.units import Instant
from pidward.kernel.cgroup import Group, GroupV1, Located, locate
from pidward.kernel.errors import KernelError
from pidward.kernel.tree import WalkedTree, become_subreaper
from pidward.runtime.loop import PRIORITY, Loop
from pidward.runtime.seat import Seat, Tree

LOOK_AGAIN = 0.02
"""Seconds between two looks at a dying tree where the kernel does not tell of its end."""


@dataclass(frozen=True, slots=True)
class Birth:
    """How a process of this tree must come to life."""

    cgroup: str | None = None
    join: tuple[str, ...] = ()
    gated: bool = True


class Trees:
    """Makes, watches and removes the trees of all workers of one instance."""

    def __init__(self, instance: str, runtime_dir: str, located: Located) -> None:
        """Choose the rung.

        Args:
            instance: named in the directory, for people.
            runtime_dir: told apart by its hash, so that two instances of one name in two places do not meet.
            located: what kernel.cgroup.locate found.
        """
        self._located = located
        self._base = f"pidward-{instance}-{crc32(os.path.realpath(runtime_dir).encode()):08x}"
        if located.kind is None:
            become_subreaper()

    @property
    def rung(self) -> str:
        """"cgroup2", "cgroup1" or "walk"."""
        return self._located.kind or "walk"

    @property
    def why(self) -> str:
        """Why it is not a better one; empty for the best."""
        return self._located.why

    def make(self, name: WorkerName) -> Tree | None:
        """The worker's tree, empty. None on the walking rung: it begins with the process."""
        if self._located.kind is None:
            return None
        leaf = f"{name.service}.{name.number}"
        kind = Group if self._located.kind == "cgroup2" else GroupV1
        group = kind(os.path.join(self._located.path, self._base, leaf))
        group.create()
        return group

    def birth(self, tree: Tree | None) -> Birth:
        """What the plan of a new process of this tree must say."""
        match tree:
            case Group():
                return Birth(cgroup=tree.path, gated=False)
            case GroupV1():
                return Birth(join=(tree.path,))
            case _:
                return Birth()

    def born(self, seat: Seat, invocation: str) -> None:
        """A process of this seat exists; on the walking rung its tree begins."""
        if self._located.kind is None:
            seat.tree = WalkedTree(invocation, seat.pidfd)

    def label(self, tree: Tree | None) -> str | None:
        """What the store keeps so that the tree is found again."""
        match tree:
            case Group() | GroupV1():
                return tree.path
            case WalkedTree():
                return f"mark:{tree.mark}"
            case _:
                return None

    def watch(self, seat: Seat, loop: Loop, changed: Callable[[], None]) -> None:
        """Call ``changed`` when the tree may be empty; once or more often."""
        if isinstance(seat.tree, Group):
            events = seat.tree.open_events()
            watch = loop.watch(events, PRIORITY, lambda _events: changed())
            seat.emptied_watch, seat.emptied_events = watch, events
            changed()  # it may have become empty before we looked
            return

        def look() -> None:
            seat.emptied_timer = None
            changed()

        seat.emptied_timer = loop.call_at(Instant(loop.now() + LOOK_AGAIN), look)

    def unwatch(self, seat: Seat) -> None:
        """Stop waiting for the tree's end; harmless when nobody waits."""
        if seat.emptied_watch is not None:
            seat.emptied_watch.close()
            seat.emptied_watch = None
        if seat.emptied_events is not None:
            os.close(seat.emptied_events)
            seat.emptied_events = None
        if seat.emptied_timer is not None:
            seat.emptied_timer.cancel()
            seat.emptied_timer = None

    def remove(self, tree: Tree | None) -> None:
        """The worker is forgotten; its directory goes unless somebody still lives there."""
        if isinstance(tree, Group | GroupV1):
            try:
                tree.remove()
            except KernelError:
                pass
