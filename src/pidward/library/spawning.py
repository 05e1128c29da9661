"""Spawning: a program described in Python's words becomes a process that is held from birth, in a tree of its own."""

import errno
import os
import select
import shlex
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import NamedTuple

from pidward.kernel.cgroup import Group, GroupV1
from pidward.kernel.errors import KernelError
from pidward.kernel.limits import RESOURCES, UNLIMITED
from pidward.kernel.pidfd import Pidfd
from pidward.kernel.procfs import read_file
from pidward.kernel.spawn import Failure, Ids, Plan, Spawner, Started
from pidward.kernel.tree import WalkedTree
from pidward.kernel.wait import reap, wait_exit
from pidward.library.home import home
from pidward.library.process import Process
from pidward.library.streams import CannotOpen, HasFileno, Stream, Streams
from pidward.runtime.plan import BLANK_INVOCATION, NOT_INHERITED, find_program
from pidward.runtime.trees import Birth

Command = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
Limit = int | None | tuple[int | None, int | None]
"""Soft and hard alike, or (soft, hard); None is "infinity"."""


class SpawnError(KernelError):
    """The program could not be started; nothing of it is left behind.

    stage: what failed: "exec", "cwd", "stdin", "stdout", "stderr", "limits", "nice", "ids", "cgroup", "clone", ...
    errno: exactly what the kernel said.
    """

    because = "the system refused"

    def __init__(self, program: str, failure: Failure, cwd: bytes | None = None) -> None:
        why = os.strerror(failure.errno).lower()
        if failure.stage == "cwd" and cwd is not None:
            why = f"{os.fsdecode(cwd)}: {why}"
        if failure.stage == "exec" and failure.errno == errno.ENOENT and "/" not in program:
            why = "not found on PATH"
        doing = "execute" if failure.stage == "exec" else "start"
        super().__init__(f'{doing} "{program}"', f"stage {failure.stage}", failure.errno, why)
        self.stage = failure.stage


def spawn(
    command: Command,
    *,
    cwd: str | os.PathLike[str] | None = None,
    env: Mapping[str, str] | None = None,
    stdin: Stream = None,
    stdout: Stream = None,
    stderr: Stream = None,
    descriptors: Mapping[int, int | HasFileno] | None = None,
    user: str | int | None = None,
    group: str | int | None = None,
    groups: Sequence[str | int] | None = None,
    umask: int | None = None,
    limits: Mapping[str, Limit] | None = None,
    nice: int | None = None,
    oom_score_adj: int | None = None,
) -> Process:
    """Start a program, held by its pidfd from its first moment, with all that it will start in a tree of its own.

    It gets a session of its own (a ^C at the terminal is not meant for it), default signal dispositions, an empty
    signal mask, INVOCATION_ID in its environment, and no descriptors but 0, 1, 2 and those it is given. Its tree
    is a cgroup where one can be made, else it is walked.

    Args:
        command: program and arguments; a string is split as a shell would, and no shell is run.
        cwd: working directory; None: ours.
        env: the whole environment; None: ours, less what was said to us alone, as LISTEN_FDS and NOTIFY_SOCKET.
        stdin: None for ours, PIPE, DEVNULL, a path, an open file, pipe, socket or descriptor.
        stdout: as stdin; what is written to a path is appended, and the file is made when it is missing.
        stderr: as stdout, or STDOUT.
        descriptors: open files, sockets too, by the numbers that they get there, from 3 on; they stay the caller's.
        user: name or number to run as, with the user's groups; needs root.
        group: name or number; None: the user's own.
        groups: the supplementary groups; None: those of the user's entry.
        umask: None: ours.
        limits: resource limits by the names of setrlimit(2) in lower case, without RLIMIT_: ``{"nofile": 1024}``.
        nice: absolute, -20 to 19.
        oom_score_adj: -1000 to 1000.

    Returns:
        The process, whose program has been executed. It is the caller's to wait for, or to use as a context manager.

    Raises:
        SpawnError: it could not be started; says at which stage and why.
        ValueError: an argument that no system could carry out, as an unknown user or limit, a nice of 99 or a NUL byte.

    Kernel: clone3 and cgroup.kill (5.14) where the native part is built; else posix_spawn, about 10 ms a start.
    """
    words = _words(command)
    _check_range("nice", nice, -20, 19)
    _check_range("oom_score_adj", oom_score_adj, -1000, 1000)
    plan = _plan(
        words, cwd, _own_environment() if env is None else env, umask, _limits(limits or {}), _ids(user, group, groups)
    )._replace(nice=nice, oom_score_adj=oom_score_adj, descriptors=_descriptors(descriptors or {}))
    try:
        opened = Streams(stdin, stdout, stderr)
    except CannotOpen as error:
        raise SpawnError(words[0], Failure(error.stage, error.errno)) from error
    with closing(opened) as streams:
        passed = (*streams.descriptors, *plan.descriptors)
        plan = plan._replace(stdin=b"", stdout=b"", stderr=b"", descriptors=passed)
        try:
            born = _settle(plan, words[0])
        except SpawnError as error:
            if error.stage != "cgroup":
                raise
            born = _settle(plan, words[0])  # its directory was empty, and somebody cleaned up
        return Process(born.pidfd, born.tree or WalkedTree(born.mark, born.pidfd, everywhere=True),
                       group=born.tree, spawned=True, pipes=streams.take())  # fmt: skip


class _Born(NamedTuple):
    pidfd: Pidfd
    mark: str
    tree: Group | GroupV1 | None


def _settle(plan: Plan, program: str) -> _Born:
    ours = home()

    def start(birth: Birth) -> Started:
        placed = plan._replace(
            cgroup=os.fsencode(birth.cgroup) if birth.cgroup else None, join=tuple(map(os.fsencode, birth.join))
        )
        # A new spawner each time: what is ignored now is set back to its default in the child.
        with closing(Spawner(into_cgroup=ours.into_cgroup)) as spawner:
            (result,) = spawner.spawn([spawner.prepare(placed)])
        if isinstance(result, Failure):
            raise SpawnError(program, result, plan.cwd)
        return _executed(result, program, plan.cwd)

    started, tree = ours.settle(start)
    return _Born(started.pidfd, started.invocation, tree)


def _executed(started: Started, program: str, cwd: bytes | None) -> Started:
    """Wait until the program runs, where the spawner did not: at a gate, some milliseconds."""
    if started.gate is None:
        return started
    with closing(started.gate) as gate:
        poll = select.poll()
        poll.register(gate.fileno(), select.POLLIN)
        while (result := gate.result()) is None:
            poll.poll()
    if isinstance(result, Failure):
        with started.pidfd as process:
            wait_exit(process)
            reap(process)
        raise SpawnError(program, result, cwd)
    return started


def _check_range(name: str, value: int | None, lowest: int, highest: int) -> None:
    """The kernel takes the nearest nice value that there is, without a word."""
    if value is not None and not lowest <= value <= highest:
        raise ValueError(f"{name}: expected a number from {lowest} to {highest}, got {value}")


def _words(command: Command) -> list[str]:
    words = shlex.split(command) if isinstance(command, str) else (
        [os.fspath(command)] if isinstance(command, os.PathLike) else [os.fspath(word) for word in command]
    )  # fmt: skip
    if not words:
        raise ValueError("the command is empty")
    return words


def _plan(
    words: list[str],
    cwd: str | os.PathLike[str] | None,
    env: Mapping[str, str],
    umask: int | None,
    limits: tuple[tuple[int, int, int], ...],
    ids: Ids | None,
) -> Plan:
    entries = {**env, "INVOCATION_ID": BLANK_INVOCATION}
    for text in (*words, *entries, *entries.values()):
        if "\0" in text:
            raise ValueError(f"a NUL byte in {text!r}")
    return Plan(
        path=os.fsencode(find_program(words[0], env.get("PATH", os.defpath))),
        argv=tuple(map(os.fsencode, words)),
        env=tuple(os.fsencode(f"{key}={value}") for key, value in entries.items()),
        cwd=None if cwd is None else os.path.abspath(os.fsencode(cwd)),
        umask=_own_umask() if umask is None else umask,
        limits=limits,
        ids=ids,
    )


def _own_environment() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if key not in NOT_INHERITED}


def _descriptors(given: Mapping[int, int | HasFileno]) -> tuple[tuple[int, int], ...]:
    if any(number < 3 for number in given):
        raise ValueError("0, 1 and 2 are given as stdin, stdout and stderr")
    return tuple((number, file if isinstance(file, int) else file.fileno()) for number, file in given.items())


def _own_umask() -> int:
    """Read it without changing it (Linux 4.7): umask(2) would change it for other threads for a moment."""
    for line in read_file("/proc/self/status").splitlines():
        if line.startswith(b"Umask:"):
            return int(line.split()[1], 8)
    return 0o022


def _limits(limits: Mapping[str, Limit]) -> tuple[tuple[int, int, int], ...]:
    chosen = []
    for name, limit in limits.items():
        if name not in RESOURCES:
            raise ValueError(f"unknown limit {name!r}; there are {', '.join(RESOURCES)}")
        pair = limit if isinstance(limit, tuple) else (limit, limit)
        soft, hard = (UNLIMITED if value is None else value for value in pair)
        chosen.append((RESOURCES[name], soft, hard))
    return tuple(chosen)


def _ids(user: str | int | None, group: str | int | None, groups: Sequence[str | int] | None) -> Ids | None:
    if user is None and group is None and groups is None:
        return None
    uid, gid, name = os.geteuid(), os.getegid(), None
    if user is not None:
        import pwd  # noqa: PLC0415 - few name a user

        try:
            entry = pwd.getpwuid(user) if isinstance(user, int) else pwd.getpwnam(user)
            uid, gid, name = entry.pw_uid, entry.pw_gid, entry.pw_name
        except KeyError:
            if not isinstance(user, int):
                raise ValueError(f"user {user!r} does not exist") from None
            uid = gid = user  # a number needs no entry; containers run so
    if group is not None:
        gid = _group_id(group)
    if groups is not None:
        supplementary = [_group_id(each) for each in groups]
    elif user is not None:
        supplementary = os.getgrouplist(name, gid) if name is not None else [gid]
    else:
        supplementary = os.getgroups()
    return Ids(uid, gid, tuple(supplementary))


def _group_id(group: str | int) -> int:
    if isinstance(group, int):
        return group
    import grp  # noqa: PLC0415 - few name a group

    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        raise ValueError(f"group {group!r} does not exist") from None
