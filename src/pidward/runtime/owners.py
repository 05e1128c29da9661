"""Whose process is this? Proved by what the kernel says, or not answered.

A process is a worker's when it is its main process, or is in its cgroup or one below it, or (where there are no
cgroups) in its walked tree. One that has been reaped is known by the cgroup that the kernel has on record for it.
"""

import os
from contextlib import ExitStack, suppress

from pidward.core.lean import Any, NamedTuple
from pidward.core.model import ProcessId, Sameness, WorkerName
from pidward.kernel.cgroup import Group, GroupV1
from pidward.kernel.errors import KernelError
from pidward.kernel.membership import cgroup_directory, cgroup_id
from pidward.kernel.pidfd import Pidfd
from pidward.kernel.procfs import read_stat
from pidward.kernel.tree import WalkedTree
from pidward.runtime.seat import Seat

_MAX_DEPTH = 64
"""Parents looked at, of one process."""


class _Place(NamedTuple):
    """Where a worker is found."""

    seat: Seat
    main: ProcessId
    group: int  # id of the cgroup
    path: str  # of the cgroup


class Owners:
    """The workers of a supervisor that may be asked for, each with its place."""

    def __init__(self) -> None:
        self._places: dict[WorkerName, _Place] = {}
        self._by_pid: dict[int, WorkerName] = {}
        self._by_group: dict[int, WorkerName] = {}
        self._by_path: dict[str, WorkerName] = {}

    def sit(self, seat: Seat) -> None:
        """A worker has this main process and this tree from now on. The seat is borrowed until ``leave``."""
        if seat.pidfd is None:
            return
        known = self._places.get(seat.name)
        if known is not None and known.main == seat.pidfd.id and known.main.inode:
            return
        self.leave(seat.name)
        path, group = "", 0
        if isinstance(seat.tree, Group | GroupV1):
            path = seat.tree.path
            with suppress(OSError):
                group = os.stat(path).st_ino if isinstance(seat.tree, Group) else 0
        place = self._places[seat.name] = _Place(seat, seat.pidfd.id, group, path)
        self._by_pid[place.main.pid] = self._by_group[place.group] = self._by_path[place.path] = seat.name

    def leave(self, name: WorkerName) -> None:
        """The worker is not asked for any more."""
        place = self._places.pop(name, None)
        if place is None:
            return
        indices: list[tuple[dict[Any, WorkerName], object]] = [
            (self._by_pid, place.main.pid), (self._by_group, place.group), (self._by_path, place.path),
        ]  # fmt: skip
        for index, key in indices:
            if index.get(key) == name:  # else it is another worker's by now
                del index[key]

    def owner(self, process: Pidfd) -> WorkerName | None:
        """The worker whose process this is or was; None when nothing proves it."""
        if name := self._with_main(process):
            return name
        group = cgroup_id(process)
        if group and (name := self._by_group.get(group)):
            return name
        try:
            return self._by_directory(process) or self._by_parents(process)
        except (KernelError, OSError):  # it is gone, or not ours to look at
            return None

    def _with_main(self, process: Pidfd) -> WorkerName | None:
        name = self._by_pid.get(process.id.pid)
        main = self._places[name].seat.pidfd if name else None
        if main is None:
            return None
        match main.id.compare(process.id):
            case Sameness.SAME:
                return name
            case Sameness.UNKNOWN if main.exists() and process.exists():  # two living owners of one number are one
                return name
        return None

    def _by_directory(self, process: Pidfd) -> WorkerName | None:
        kinds = {type(place.seat.tree) for place in self._places.values()}
        for kind, tree in (("cgroup2", Group), ("cgroup1", GroupV1)):
            directory = cgroup_directory(process, kind) if tree in kinds else None
            while directory and directory != "/":
                if name := self._by_path.get(directory):
                    return name
                directory = os.path.dirname(directory)
        return None

    def _by_parents(self, process: Pidfd) -> WorkerName | None:
        """Go up until a main process; who has come to us because its parents ended is looked for in the trees."""
        walked = {n: p.seat.tree for n, p in self._places.items() if isinstance(p.seat.tree, WalkedTree)}
        if not walked:
            return None
        with ExitStack() as held:
            below = process
            for _ in range(_MAX_DEPTH):
                number = read_stat(below).ppid
                if number == os.getpid():
                    trees = (name for name, tree in walked.items() if process.id.pid in tree.processes())
                    return next((name for name in trees if process.exists()), None)
                if number <= 1:
                    return None
                above = held.enter_context(Pidfd.open(number))
                if read_stat(below).ppid != number or not above.exists():
                    return None
                if name := self._with_main(above):
                    return name
                below = above
        return None
