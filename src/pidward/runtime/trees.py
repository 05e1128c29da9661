"""Where a worker's processes are kept together, and how it is known that none is left.

Three rungs, best first: a cgroup2 directory to be born in (its name is the record of the worker); a cgroup v1
directory entered at the gate; or a walk over the descendants that the kernel hands back to us as their subreaper.
"""

import os
from collections.abc import Callable
from contextlib import suppress

from pidward.core.lean import TYPE_CHECKING, NamedTuple
from pidward.core.model import ProcessId, WorkerName
from pidward.core.signals import SIGKILL
from pidward.core.spec import Resources
from pidward.core.units import Instant
from pidward.kernel.cgroup import Group, GroupV1, Located
from pidward.kernel.errors import KernelError, Unsupported
from pidward.kernel.pidfd import Pidfd
from pidward.kernel.spawn import SHIM, Plan, Spawner, Started, native_is_built
from pidward.kernel.tree import WalkedTree, become_subreaper
from pidward.kernel.wait import reap, wait_exit
from pidward.runtime.loop import EDGE, PRIORITY, Loop
from pidward.runtime.seat import Seat, Tree

if TYPE_CHECKING:
    from pidward.kernel.controllers import Controllers

MAX_IDENTITY = 64
LOOK_AGAIN = 0.02
"""Seconds between two looks at a dying tree where the kernel does not tell of its end."""
_MARK = "mark:"
_UNLIMITED = Resources()


def mark_in(label: str) -> str | None:
    """The mark of a walked tree that ``Trees.label`` has labelled so; None for other trees."""
    return label.removeprefix(_MARK) if label.startswith(_MARK) else None


def _directory(name: WorkerName) -> str:
    return f"{name.service}.{name.number}"


def _worker_of(directory: str) -> WorkerName | None:
    service, _, number = directory.rpartition(".")
    return WorkerName(service, int(number)) if number.isascii() and number.isdigit() else None


def _identity(runtime_dir: str | None) -> str:
    """What no other supervisor that lives has, and the next one of this runtime directory has again.

    A cgroup hierarchy may be seen from several containers, whose runtime directories have the same path and whose
    locks do not reach each other. Who took the same name would take the other's workers for leftovers of his own. So
    the name is drawn by lot and kept in the runtime directory, and goes with the pid namespace, should a directory
    have been copied. Without a runtime directory the instance's own name does it, within one pid namespace.
    """
    namespace = f"{os.stat('/proc/self/ns/pid').st_ino:x}"
    if runtime_dir is None:
        return namespace
    path = os.path.join(runtime_dir, "identity")
    try:
        with open(path, encoding="ascii") as file:
            drawn = file.read(MAX_IDENTITY)
    except FileNotFoundError:
        drawn = ""
    if not drawn.isalnum():
        drawn = os.urandom(8).hex()
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with open(fd, "w", encoding="ascii") as file:
            file.write(drawn)
    return f"{drawn}.{namespace}"


class Birth(NamedTuple):
    """How a process of this tree must come to life."""

    cgroup: str | None = None
    join: tuple[str, ...] = ()
    gated: bool = True


class Trees:
    """Makes, watches and removes the trees of all workers of one instance."""

    def __init__(self, instance: str, runtime_dir: str | None, place: Located, *, subreaper: bool = True) -> None:
        """Choose the rung.

        Args:
            instance: named in the directory, for people.
            runtime_dir: holds what tells this instance from all others; see ``_identity``. None: its name does.
            place: what kernel.cgroup.locate found.
            subreaper: on the walking rung become the parent of descendants that lose theirs. False, for a program
                whose children are not all ours: they are found by their mark, among all processes.
        """
        self._place, self._everywhere = place, not subreaper
        self._base = f"pidward-{instance}-{_identity(runtime_dir)}"
        self._controllers: Controllers | None = None
        self._mains: set[int] = set()  # numbers of main processes that are not reaped
        if self.is_walking and subreaper:
            with suppress(Unsupported):  # then daemons that lose their parent are found by their mark, or escape
                become_subreaper()

    @property
    def is_walking(self) -> bool:
        """No cgroup is to be had: descendants that lose their parent come to us, and are ours to reap."""
        return self._place.kind is None

    def kills_at_birth(self, spawner: Spawner) -> bool:
        """Tell whether clone3(CLONE_INTO_CGROUP) from here gives children that are killed at once, by trying.

        So it is when our own cgroup was once emptied by cgroup.kill (see ``Group.renew``), as by a supervisor of ours
        that uses it again. A spawner made with ``into_cgroup=False`` goes another way.
        """
        if self._place.kind != "cgroup2" or not native_is_built():
            return False
        group = self._place.group(f"{self._base}/trial")
        group.create()
        plan = Plan(path=SHIM, argv=(SHIM,), env=(), cgroup=os.fsencode(group.path))
        (result,) = spawner.spawn([spawner.prepare(plan)])
        killed = False
        if isinstance(result, Started):
            with result.pidfd:
                wait_exit(result.pidfd)
                status = reap(result.pidfd)
            killed = status is not None and status.signal == SIGKILL
            if result.gate is not None:
                result.gate.close()
        self.remove(group)
        return killed

    def make(self, name: WorkerName) -> Tree | None:
        """The worker's tree, empty. None on the walking rung: there it begins with the process."""
        if self.is_walking:
            return None
        group = self._place.group(f"{self._base}/{_directory(name)}")
        group.create()
        return group

    def earlier(self) -> list[tuple[WorkerName, Group | GroupV1]]:
        """Groups that an earlier supervisor of this instance made, each with the worker's name."""
        if self.is_walking:
            return []
        base = self._place.group(self._base)
        try:
            names = os.listdir(base.path)
        except FileNotFoundError:
            return []
        found = [(worker, f"{base.path}/{name}") for name in names if (worker := _worker_of(name)) is not None]
        return [(worker, type(base)(path)) for worker, path in found if os.path.isdir(path)]

    def found(self, label: str, main: Pidfd | None) -> Tree | None:
        """The tree that an earlier supervisor labelled so; its processes are not our children, whatever the rung.

        Args:
            label: from ``label``; empty: it had none.
            main: the main process if it lives, borrowed.
        """
        mark = mark_in(label)
        if mark is not None:
            return WalkedTree(mark, main, self._mains, everywhere=True)
        if not label:
            return None
        group = (Group if os.path.exists(label + "/cgroup.events") else GroupV1)(label)
        group.distrust()
        return group

    def is_at_home(self, name: WorkerName, tree: Tree) -> bool:
        """The next process may be born into this tree: it is where ``make`` would make it."""
        if isinstance(tree, Group | GroupV1):
            return not self.is_walking and tree.path == self._place.group(f"{self._base}/{_directory(name)}").path
        return self.is_walking

    def birth(self, tree: Tree | None) -> Birth:
        """What the plan of a new process of this tree must say."""
        match tree:
            case GroupV1():
                return Birth(join=(tree.path,))
            case Group():
                return Birth(cgroup=tree.path, gated=False)
            case _:
                return Birth()

    def limit(self, name: WorkerName, wanted: Resources, is_running: bool = False) -> list[str]:
        """Write the limits of a worker's tree, which has been made; on version 1 ``joins`` follows them.

        Args:
            name: the worker.
            wanted: its limits.
            is_running: it has processes; else it is about to start.

        Returns:
            A sentence for each that is refused.
        """
        if self._controllers is None:
            if wanted == _UNLIMITED:
                return []
            from pidward.kernel.controllers import Controllers  # noqa: PLC0415 - few services have limits

            self._controllers = Controllers(self._place.path if self._place.kind == "cgroup2" else None, self._base)
        refusals = self._controllers.limit(_directory(name), wanted, is_running)
        return [f"resources.{refusal.key} cannot be granted: {refusal.why}" for refusal in refusals]

    def joins(self, name: WorkerName) -> tuple[str, ...]:
        """The version 1 directories that a worker's processes enter because of its limits."""
        return self._controllers.joins(_directory(name)) if self._controllers is not None else ()

    def forget(self, name: WorkerName) -> None:
        """The worker is forgotten; its limits go, too."""
        if self._controllers is not None:
            self._controllers.forget(_directory(name))

    def born(self, seat: Seat, invocation: str) -> None:
        """A process of this seat exists; on the walking rung its tree begins."""
        if self.is_walking:
            seat.tree = WalkedTree(invocation, seat.pidfd, self._mains, everywhere=self._everywhere)
        if seat.pidfd is not None:
            self._mains.add(seat.pidfd.id.pid)

    @property
    def unreaped(self) -> set[int]:
        """Numbers of the main processes, commands' too, that their owners will reap."""
        return self._mains

    def main_changed(self, seat: Seat) -> None:
        """Another process of the tree is in the seat; on the walking rung the walk begins there from now on."""
        if isinstance(seat.tree, WalkedTree):
            seat.tree.main = seat.pidfd
        if seat.pidfd is not None:
            self._mains.add(seat.pidfd.id.pid)

    def reaped(self, process: ProcessId) -> None:
        """A main process is gone, and its number is anybody's."""
        self._mains.discard(process.pid)

    def label(self, tree: Tree | None) -> str | None:
        """What the store keeps so that the tree is found again."""
        match tree:
            case Group() | GroupV1():
                return tree.path
            case WalkedTree():
                return _MARK + tree.mark
            case _:
                return None

    def watch(self, seat: Seat, loop: Loop, changed: Callable[[], None]) -> None:
        """Call ``changed`` when the tree may be empty; once or more often."""
        assert seat.tree is not None
        try:
            events = seat.tree.open_events()
        except KernelError:  # no descriptor is left for it
            events = None
        if events is not None:
            seat.emptied_events = events
            # By edges: until somebody reads through this very descriptor it stays ready.
            seat.emptied_watch = loop.watch(events, PRIORITY | EDGE, lambda _events: changed())
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
            with suppress(KernelError):  # an empty directory that stays harms nobody
                tree.remove()

    def close(self) -> None:
        """At the very end: the instance's own directory goes too."""
        if not self.is_walking:
            self.remove(self._place.group(self._base))
        if self._controllers is not None:
            self._controllers.close()
            self._controllers = None
