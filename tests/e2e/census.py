"""What the kernel says of a supervisor: everything that could be left behind, counted."""

import os
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pidward.kernel.pidfd import Pidfd
from pidward.kernel.procfs import children
from tests.e2e.rig import Rig, groups_of


class Possessions(NamedTuple):
    """What does not depend on how many workers there are, once their own share is taken off."""

    descriptors: Mapping[str, int]  # by kind
    threads: int
    mounts: tuple[str, ...]  # that have to do with this instance
    files: frozenset[str]  # in the runtime directory

    @property
    def total(self) -> int:
        """Descriptors of all kinds."""
        return sum(self.descriptors.values())


def possessions(rig: Rig, running: int) -> Possessions:
    """Of the supervisor. Each running worker has a pidfd, and nothing else."""
    own = f"/proc/{rig.process.id.pid}"
    kinds: Counter[str] = Counter()
    for fd in os.listdir(f"{own}/fd"):
        kinds[_kind(f"{own}/fd/{fd}")] += 1
    kinds["anon_inode:[pidfd]"] -= running
    mounted = Path(f"{own}/mountinfo").read_text().splitlines()
    mounts = tuple(line for line in mounted if rig.instance in line or str(rig.base) in line)
    return Possessions(dict(kinds), len(os.listdir(f"{own}/task")), mounts, _files(rig.run))


def _kind(link: str) -> str:
    try:
        return re.sub(r":\[\d+\]$", "", os.readlink(link))  # sockets and pipes have a number each
    except FileNotFoundError:
        return "closed meanwhile"


def _files(directory: Path) -> frozenset[str]:
    return frozenset(str(path.relative_to(directory)) for path in directory.rglob("*"))


def difference(before: Possessions, after: Possessions) -> list[str]:
    """What there is more or less of than there was."""
    found = []
    for kind in sorted({*before.descriptors, *after.descriptors}):
        was, now = (one.descriptors.get(kind, 0) for one in (before, after))
        if was != now:
            found.append(f"{now} descriptors of {kind}, and not {was}")
    if before.threads != after.threads:
        found.append(f"{after.threads} threads, and not {before.threads}")
    if before.mounts != after.mounts:
        found.append("other mounts")
    if before.files != after.files:
        found.append(f"files in the runtime directory: {sorted(before.files ^ after.files)} come or gone")
    return found


def people(rig: Rig, status: Mapping[str, Mapping[str, Any]], family: Mapping[str, int]) -> list[str]:
    """Processes, zombies and cgroups that should not be there, or are missing.

    family: processes of one worker, for services where that is not 1.
    """
    found = []
    running = {name: int(one["process"].split(":")[0]) for name, one in status.items() if one["process"]}
    expected = sum(family.get(name.rpartition("/")[0], 1) for name in running)
    members = rig.members()
    numbers = {process.id.pid for process in members}
    for process in members:
        process.close()
    if len(members) != expected or not numbers >= set(running.values()):
        found.append(f"processes {sorted(numbers)}; {expected} with {sorted(running.values())} among them are to be")
    if strangers := {*children(rig.process)} - numbers - _pumps(rig):
        found.append(f"children that are nobody's, or zombies: {sorted(strangers)}")
    for top in groups_of(rig.instance):
        below = {path.name: path for path in Path(top.path).iterdir() if path.is_dir()}
        known = {name.replace("/", ".") for name in status}
        if not {name.replace("/", ".") for name in running} <= below.keys() <= known:
            found.append(f"cgroups {sorted(below)}; workers {sorted(known)}, running {sorted(running)}")
    return found


def _pumps(rig: Rig) -> set[int]:
    with rig.pump() as pump:
        return {pump.id.pid}


def memory(process: Pidfd) -> int:
    """Bytes that it has for itself."""
    for line in Path(f"/proc/{process.id.pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss_Anon:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(process)
