"""Cgroups as the kernel shows them, to look at from outside: who was born where, and what is left."""

import os
from contextlib import suppress

from pidward.core.units import Seconds
from pidward.kernel import procfs
from pidward.kernel.cgroup import Group, GroupV1, locate, own_directory
from pidward.kernel.clock import boottime
from pidward.kernel.errors import KernelError
from pidward.kernel.pidfd import Pidfd

_PATIENCE = Seconds(10.0)


def group_of(process: Pidfd) -> Group | GroupV1 | None:
    """The cgroup that a process lives in; None when it is our own, as where pidward can make none."""
    place = locate()
    if place.kind is None:
        return None
    mountinfo = procfs.read_file("/proc/self/mountinfo").decode()
    path = own_directory(place.kind, mountinfo, procfs.read(process, "cgroup").decode())
    if path is None or path == place.path:
        return None
    return Group(path) if place.kind == "cgroup2" else GroupV1(path)


def left_of(instance: str) -> list[Group | GroupV1]:
    """The cgroups of an instance that are there now."""
    place = locate()
    if place.kind is None:
        return []
    return [place.group(name) for name in os.listdir(place.path) if name.startswith(f"pidward-{instance}-")]


def clear(instance: str) -> None:
    """Remove the cgroups of an instance that could not do it itself; whoever still lives there is killed."""
    deadline = boottime() + _PATIENCE
    for group in left_of(instance):
        with suppress(KernelError):
            group.kill()
            while not group.remove() and boottime() < deadline:
                os.sched_yield()
