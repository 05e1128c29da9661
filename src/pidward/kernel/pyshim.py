"""The last steps before exec, in Python: runs as a program of its own (``python -I -S pyshim.py GATE PLAN``).

GATE is a message socket, PLAN a file with a marshalled ``kernel.plan.Plan``. Stages, answers and exit codes are those
of native/shim.c. It imports little, because every worker waits for it, and nothing of pidward, which may not be on
an isolated interpreter's path.
"""

import _signal  # type: ignore[import-not-found]  # signal without enum: a third of the start
import errno
import marshal
import os
import resource
import sys
from collections.abc import Iterator

Limits = tuple[tuple[int, int, int], ...]
AsTuple = tuple[
    bytes, tuple[bytes, ...], tuple[bytes, ...], bytes | None, int, bytes, bytes, bytes, Limits, int | None, int | None,
    tuple[int, int, tuple[int, ...]] | None, bytes | None, tuple[bytes, ...], bool, tuple[tuple[int, int], ...],
]  # fmt: skip

GONE, FAILED = 125, 127
APPEND = os.O_WRONLY | os.O_APPEND | os.O_CREAT


class Shim:
    """One process on its way to its program."""

    def __init__(self, gate: int, plan: AsTuple) -> None:
        self.gate, self.plan = gate, plan

    def run(self) -> None:
        """Take all steps; comes back only when one failed, which the gate has been told by then."""
        stage = "clone"
        try:
            for stage in self.steps():  # noqa: B007 - the name of the step that runs next
                pass
        except OSError as error:
            self.tell(stage, error.errno or 0)
        except (ValueError, OverflowError):  # what the modules find wrong before they ask the kernel
            self.tell(stage, errno.EINVAL)

    def steps(self) -> Iterator[str]:
        """Yield each stage's name, then do it."""
        (path, argv, env, cwd, umask, stdin, stdout, stderr, limits, nice, score, ids, cgroup, join, _, passed) = (
            self.plan
        )
        yield "descriptors"
        self.gate = take_descriptors(self.gate, passed)
        yield "cgroup"
        if cgroup is not None:
            enter(cgroup)
        for stage, fd, file, flags in (
            ("stdin", 0, stdin, os.O_RDONLY),
            ("stdout", 1, stdout, APPEND),
            ("stderr", 2, stderr, APPEND),
        ):
            yield stage
            open_stream(fd, file, flags)
        yield "session"
        os.setsid()
        yield "cwd"
        if cwd is not None:
            os.chdir(cwd)
        os.umask(umask)
        yield "limits"
        for number, soft, hard in limits:
            resource.prlimit(0, number, (soft, hard))
        yield "nice"
        if nice is not None:
            os.setpriority(os.PRIO_PROCESS, 0, nice)
        yield "oom_score_adj"
        if score is not None:
            write("/proc/self/oom_score_adj", b"%d" % score)
        yield "gate"
        self.wait()
        yield "cgroup"
        for directory in join:
            enter(directory)
        yield "ids"
        if ids is not None:
            become(*ids)
        yield "exec"
        self.tell("exec", 0)
        for number in (_signal.SIGPIPE, _signal.SIGXFSZ):  # Python ignores them
            _signal.signal(number, _signal.SIG_DFL)
        os.execve(path, argv, environment(env))

    def wait(self) -> None:
        """Stand at the gate; nobody behind it means that nothing is to be executed."""
        if not os.read(self.gate, 1):
            os._exit(GONE)

    def tell(self, stage: str, number: int) -> None:
        """Nobody may be there to hear it; that is no reason not to go on. Message sockets send no SIGPIPE."""
        try:
            os.write(self.gate, number.to_bytes(4, sys.byteorder) + stage.encode())
        except OSError:
            pass


def take_descriptors(gate: int, passed: tuple[tuple[int, int], ...]) -> int:
    """Have what is passed under its numbers, the gate above them, and nothing else open; returns the gate.

    All are first copied to numbers above every number that plays a part, so that none falls on one still needed.
    """
    open_now = [int(name) for name in os.listdir("/proc/self/fd")]
    above = 1 + max(*open_now, *(number for number, _ in passed))
    for i, fd in enumerate((gate, *(source for _, source in passed))):
        os.dup2(fd, above + i, inheritable=False)
    os.closerange(0, above)
    for i, (number, _) in enumerate(passed, 1):
        os.dup2(above + i, number)
    os.closerange(above + 1, above + 1 + len(passed))
    return above


def environment(entries: tuple[bytes, ...]) -> dict[bytes, bytes]:
    """With the variables that tell a process who it is; see ``kernel.plan.Plan``."""
    env = dict(entry.split(b"=", 1) for entry in entries)
    own = b"%d" % os.getpid()
    env.update((name, own) for name in (b"LISTEN_PID", b"WATCHDOG_PID") if name in env)
    if b"LISTEN_PIDFDID" in env:
        pidfd = os.pidfd_open(os.getpid())  # noqa: TID251 - ourselves, and exec closes it
        env[b"LISTEN_PIDFDID"] = b"%d" % os.fstat(pidfd).st_ino
    return env


def write(path: str | bytes, text: bytes) -> None:
    """Write to a file of the kernel's."""
    fd = os.open(path, os.O_WRONLY)
    try:
        os.write(fd, text)
    finally:
        os.close(fd)


def enter(directory: bytes) -> None:
    """Move this process into a cgroup."""
    write(directory + b"/cgroup.procs", b"0")


def open_stream(number: int, path: bytes, flags: int) -> None:
    """Open on the lowest free number, which is the one; without waiting for a FIFO's other end."""
    fd = os.open(path, flags | os.O_NOCTTY | os.O_NONBLOCK, 0o640)
    assert fd == number
    os.set_blocking(fd, True)
    os.set_inheritable(fd, True)


def become(uid: int, gid: int, groups: tuple[int, ...]) -> None:
    """Change rights, the user last, and see that it is so."""
    if 2**32 - 1 in (uid, gid):  # which would mean: leave it as it is
        raise OSError(errno.EINVAL, "no such id")
    os.setgroups(groups)
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    if os.getresuid() != (uid,) * 3 or os.getresgid() != (gid,) * 3 or len(os.getgroups()) != len(groups):
        raise PermissionError(errno.EPERM, "ids did not change")


def main() -> None:
    """Read the plan and run."""
    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
    gate, plan_fd = int(sys.argv[1]), int(sys.argv[2])
    with open(plan_fd, "rb") as file:
        plan = marshal.load(file)  # noqa: S302 - our own parent wrote it
    Shim(gate, plan).run()
    os._exit(FAILED)


main()
