"""What /proc says about the processes of a peer. Processes that vanish while being read count as nothing."""

import os
from collections.abc import Iterable, Mapping
from typing import NamedTuple

_STATE = 0  # fields of /proc/PID/stat counted after the command name


class Switches(NamedTuple):
    """Context switches since the start of the threads. A voluntary one is a sleep, and so about one wake-up."""

    voluntary: int
    involuntary: int


class Memory(NamedTuple):
    """Resident memory, in KiB. Proportional counts a page shared by n processes as an n-th."""

    proportional_kib: int
    resident_kib: int


def read(path: str) -> str:
    """The text of a /proc file, or nothing when the process is gone."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def entries(path: str) -> list[str]:
    """The names in a /proc directory, or none when the process is gone."""
    try:
        return os.listdir(path)
    except OSError:
        return []


def command_name(pid: int) -> str:
    """The short name of a process."""
    return read(f"/proc/{pid}/comm").strip()


def executable(pid: int) -> str:
    """The program a process runs. Its short name is no use: a worker started by a ``#!`` line is called ``run``."""
    try:
        return os.readlink(f"/proc/{pid}/exe")
    except OSError:
        return ""


def is_alive(pid: int) -> bool:
    """Tell whether a process exists and is no zombie."""
    fields = read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return bool(fields) and fields[_STATE] not in "ZX"


def children(pid: int) -> list[int]:
    """The direct children of all threads of a process, zombies included."""
    found: list[int] = []
    for thread in entries(f"/proc/{pid}/task"):
        found += map(int, read(f"/proc/{pid}/task/{thread}/children").split())
    return found


def descendants(pid: int) -> list[int]:
    """All below a process, zombies included, parents first."""
    found, unseen = [], [pid]
    while unseen:
        below = children(unseen.pop())
        found += below
        unseen += below
    return found


def cpu_by_pid(pids: Iterable[int]) -> dict[int, float]:
    """User and system time of all living threads of each process, in milliseconds."""
    return {pid: _cpu_ns(pid) / 1e6 for pid in pids}


def cpu_ms(pids: Iterable[int], since: Mapping[int, float] | None = None) -> float:
    """What the processes used together, altogether or since an earlier ``cpu_by_pid``."""
    used = cpu_by_pid(pids)
    return sum(used.values()) - sum((since or {}).get(pid, 0.0) for pid in used)


def _cpu_ns(pid: int) -> int:
    threads = (read(f"/proc/{pid}/task/{thread}/schedstat").split() for thread in entries(f"/proc/{pid}/task"))
    return sum(int(fields[0]) for fields in threads if fields)


def switches(pids: Iterable[int]) -> Switches:
    """Context switches of all living threads together."""
    voluntary = involuntary = 0
    for pid in pids:
        for thread in entries(f"/proc/{pid}/task"):
            for line in read(f"/proc/{pid}/task/{thread}/status").splitlines():
                name, _, value = line.partition(":")
                if name == "voluntary_ctxt_switches":
                    voluntary += int(value)
                elif name == "nonvoluntary_ctxt_switches":
                    involuntary += int(value)
    return Switches(voluntary, involuntary)


def memory(pids: Iterable[int]) -> Memory:
    """Resident memory of all processes together."""
    proportional = resident = 0
    for pid in pids:
        for line in read(f"/proc/{pid}/smaps_rollup").splitlines():
            name, _, value = line.partition(":")
            if name == "Pss":
                proportional += int(value.split()[0])
            elif name == "Rss":
                resident += int(value.split()[0])
    return Memory(proportional, resident)


def count_entries(pids: Iterable[int], directory: str) -> int:
    """How many entries the processes have in /proc/PID/``directory``: ``fd`` for descriptors, ``task`` for threads."""
    return sum(len(entries(f"/proc/{pid}/{directory}")) for pid in pids)
