"""Who belongs to a worker: seen from a small program of its own, so that the supervisor never waits for it.

Whoever reads a command line or an environment needs that process's memory lock, and a process may be so stuck, or so
hostile (its environment in a file of its own file system), that the reader waits for ever. So the supervisor starts
this module beside itself, and ends it when its time is over: see ``runtime.lookout``.

Descriptor 0 is a memory file: the question is in it, and then the answer. Both are records that end in NUL, with tabs
between fields; only the last field of an answer's record may hold a tab itself.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

from pidward.core.lean import NamedTuple
from pidward.kernel.cgroup import Group
from pidward.kernel.errors import KernelError
from pidward.kernel.pidfd import Pidfd
from pidward.kernel.procfs import Stat, numbers, read, read_stat
from pidward.runtime.desk import Member

MOST_COMMAND = 1000
"""Bytes of a command line that are told."""
LEFT_PARENT, LEFT_GROUP = "left its parent", "left the cgroup"
_MARK, _SERVICE, _WORKER = b"INVOCATION_ID", b"PIDWARD_SERVICE", b"PIDWARD_WORKER"


class Asked(NamedTuple):
    """One worker, as the supervisor knows it.

    main: PID:INODE of its main process; empty when it has none.
    cgroup: the directory of its processes; empty where they are found by walking.
    mark: the INVOCATION_ID of its main process; empty when the supervisor does not know it by heart.
    """

    worker: str
    main: str
    cgroup: str
    mark: str


class Seen(NamedTuple):
    """One process of the machine, read and verified."""

    process: str  # PID:INODE
    ppid: int
    started: int  # clock ticks since boot
    state: str
    name: str
    command: str
    mark: str = ""
    of: str = ""  # SERVICE/WORKER in its environment


def members(asked: Asked, seen: Mapping[int, Seen], inside: Iterable[int]) -> list[Member]:
    """Choose the processes of one worker, its main process first. Pure.

    Args:
        asked: the worker.
        seen: all processes by number.
        inside: the numbers in its cgroup.
    """
    main = int(asked.main.partition(":")[0] or 0)
    if main not in seen or seen[main].process != asked.main:
        main = 0
    grouped = {pid for pid in inside if pid in seen}
    mark = asked.mark or _mark_of(asked.worker, [seen[pid] for pid in (main, *sorted(grouped)) if pid in seen])
    marked = {pid for pid, one in seen.items() if mark and one.mark == mark}
    below = {pid for pid in seen if main and _descends(pid, main, seen)}
    chosen = grouped | marked | below
    found = []
    for pid in sorted(chosen, key=lambda pid: (pid != main, seen[pid].started, pid)):
        one = seen[pid]
        escaped = LEFT_GROUP if asked.cgroup and pid not in grouped else "" if pid in below else LEFT_PARENT
        parent = one.ppid if one.ppid in chosen and seen[one.ppid].started <= one.started else 0
        found.append(Member(asked.worker, one.process, parent, pid == main, escaped, one.state, one.name, one.command))
    return found


def _mark_of(worker: str, candidates: Sequence[Seen]) -> str:
    """The mark of the first that says whose it is; a program may have written over its environment."""
    return next((one.mark for one in candidates if one.of == worker), "")


def _descends(pid: int, main: int, seen: Mapping[int, Seen]) -> bool:
    """It is the main process or below it. A number that was given out again while we looked is no parent: too young."""
    for _ in range(len(seen)):
        if pid == main:
            return True
        one = seen[pid]
        above = seen.get(one.ppid)
        if above is None or above.started > one.started:
            return False
        pid = one.ppid
    return False


def look() -> dict[int, Seen]:
    """All processes of the machine that may be looked at; kernel threads and ourselves left out."""
    seen = {}
    for pid in numbers():
        with suppress(KernelError), Pidfd.open(pid) as process:  # it may have ended meanwhile
            stat = read_stat(process)
            if not stat.is_kernel_thread and pid != os.getpid():
                seen[pid] = _seen(process, stat)
    return seen


def _seen(process: Pidfd, stat: Stat) -> Seen:
    words = _readable(process, "cmdline").removesuffix(b"\0").replace(b"\0", b" ")[:MOST_COMMAND]
    pairs = [entry.partition(b"=") for entry in _readable(process, "environ").split(b"\0")]
    about = {key: _text(value) for key, _, value in pairs if key in (_MARK, _SERVICE, _WORKER)}
    return Seen(
        str(process.id), stat.ppid, stat.start_ticks, stat.state, stat.name, _text(words),
        about.get(_MARK, ""), f"{about.get(_SERVICE, '')}/{about.get(_WORKER, '')}",
    )  # fmt: skip


def _readable(process: Pidfd, name: str) -> bytes:
    """The file's text; nothing of a zombie, and of those whose memory is closed to us."""
    try:
        return read(process, name)
    except KernelError:
        return b""


def _text(raw: bytes) -> str:
    return raw.decode(errors="backslashreplace")


def answer(question: Sequence[Asked]) -> list[Member]:
    """Look once at the machine, and tell the members of each worker."""
    before = [_inside(asked.cgroup) for asked in question]
    seen = look()
    after = [_inside(asked.cgroup) for asked in question]  # in both: it was there while its number was looked at
    return [
        member
        for asked, first, then in zip(question, before, after, strict=True)
        for member in members(asked, seen, first & then)
    ]


def _inside(cgroup: str) -> set[int]:
    return set(Group(cgroup).processes()) if cgroup else set()


def pack(records: Iterable[tuple[object, ...]]) -> bytes:
    """Records as bytes; booleans become 1 and 0."""
    lines = ("\t".join(str(int(field) if isinstance(field, bool) else field) for field in one) for one in records)
    return "".join([line + "\0" for line in lines]).encode(errors="backslashreplace")


def read_members(text: bytes) -> list[Member]:
    """Read an answer. Raises ValueError when it is none."""
    found = []
    for record in text.decode().split("\0")[:-1]:
        worker, process, parent, is_main, escaped, state, name, command = record.split("\t", 7)
        found.append(Member(worker, process, int(parent), is_main == "1", escaped, state, name, command))
    return found


def main() -> None:
    """Answer the question in descriptor 0."""
    with open(0, "r+b", buffering=0) as file:
        file.seek(0)
        question = [Asked(*record.split("\t")) for record in file.read().decode().split("\0")[:-1]]
        told = pack(one._replace(name=one.name.replace("\t", " ").replace("\0", " ")) for one in answer(question))
        file.seek(0)
        file.truncate()
        file.write(told)
