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
import stat
import struct
import sys
from collections.abc import Callable, Iterator

Steps = Iterator[tuple[str, Callable[[], object]]]
Limits = tuple[tuple[int, int, int], ...]
Pairs = tuple[tuple[int, int], ...]
AsTuple = tuple[
    bytes, tuple[bytes, ...], tuple[bytes, ...], bytes | None, int, bytes, bytes, bytes, Limits, int | None, int | None,
    tuple[int, int, tuple[int, ...]] | None, bytes | None, tuple[bytes, ...], bool, Pairs,
    tuple[int, int] | None, tuple[int, ...], int | None, int | None, int, bool, frozenset[str],
]  # fmt: skip

GONE, FAILED = 125, 127
ALL = 2**64 - 1
KEEP_PERMITTED, READ_BOUNDING, DROP_BOUNDING, NO_NEW_PRIVILEGES, AMBIENT, RAISE = 8, 23, 24, 38, 47, 2  # of prctl(2)
APPEND = os.O_WRONLY | os.O_APPEND | os.O_CREAT


class Shim:
    """One process on its way to its program."""

    def __init__(self, gate: int, plan: AsTuple) -> None:
        self.gate, self.plan = gate, plan

    def run(self) -> None:
        """Take all steps; comes back only when one failed, which the gate has been told by then."""
        optional = self.plan[-1]
        for stage, act in self.steps():
            try:
                act()
            except (OSError, ValueError, OverflowError) as error:  # the last two: found before the kernel was asked
                number = getattr(error, "errno", None) or errno.EINVAL
                self.tell(stage, -number if stage in optional else number)
                if stage not in optional:
                    return

    def steps(self) -> Steps:
        """Each stage's name, and what to do in it."""
        (
            path, argv, env, cwd, umask, stdin, stdout, stderr, limits, nice, score, ids, cgroup, join, _, passed,
            scheduler, affinity, io_priority, capabilities, ambient, no_new_privileges, _,
        ) = self.plan  # fmt: skip
        yield "descriptors", lambda: self.take_descriptors(passed)
        if cgroup is not None:
            yield "cgroup", lambda: enter(cgroup)
        yield "stdin", lambda: open_stream(0, stdin, os.O_RDONLY)
        yield "stdout", lambda: open_stream(1, stdout, APPEND)
        yield "stderr", lambda: open_stream(2, stderr, APPEND)
        yield "session", os.setsid
        if cwd is not None:
            yield "cwd", lambda: os.chdir(cwd)
        os.umask(umask)
        yield "limits", lambda: set_limits(limits)
        if nice is not None:
            yield "nice", lambda: os.setpriority(os.PRIO_PROCESS, 0, nice)
        if score is not None:
            yield "oom_score_adj", lambda: write("/proc/self/oom_score_adj", b"%d" % score)
        yield "gate", self.wait
        yield "cgroup", lambda: enter(*join)
        yield from attributes(scheduler, affinity, io_priority)
        yield from rights(ids, capabilities, ambient, no_new_privileges)
        yield "exec", lambda: self.execute(path, argv, env)

    def take_descriptors(self, passed: Pairs) -> None:
        """Have what is passed under its numbers, the gate above them, and nothing else open.

        All are first copied to numbers above every number that plays a part, so that none falls on one still needed.
        """
        above = 1 + max(*map(int, os.listdir("/proc/self/fd")), *(number for number, _ in passed))
        for i, fd in enumerate((self.gate, *(source for _, source in passed))):
            os.dup2(fd, above + i, inheritable=False)
        os.closerange(0, above)
        self.gate = above
        for i, (number, _) in enumerate(passed, 1):
            os.dup2(above + i, number)  # exec closes the copies

    def execute(self, path: bytes, argv: tuple[bytes, ...], env: tuple[bytes, ...]) -> None:
        """Become the program."""
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
            os.write(self.gate, number.to_bytes(4, sys.byteorder, signed=True) + stage.encode())
        except OSError:
            pass


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


def enter(*directories: bytes) -> None:
    """Move this process into cgroups."""
    for directory in directories:
        write(directory + b"/cgroup.procs", b"0")


def open_stream(number: int, path: bytes, flags: int) -> None:
    """Open on the lowest free number, which is the one; without waiting for a FIFO's other end.

    A FIFO for output is held as reader, too: should all other readers die, its writer is not ended by SIGPIPE.
    """
    if not path:  # it is one of those that were passed
        return
    flags |= os.O_NOCTTY | os.O_NONBLOCK
    fd = os.open(path, flags, 0o640)
    if flags & os.O_WRONLY and stat.S_ISFIFO(os.fstat(fd).st_mode):
        os.close(fd)
        fd = os.open(path, flags & ~(os.O_WRONLY | os.O_CREAT) | os.O_RDWR)
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


def set_limits(limits: Limits) -> None:
    """All that can be set; the first refusal is raised."""
    refusals = []
    for number, soft, hard in limits:
        try:
            resource.prlimit(0, number, (soft, hard))
        except (OSError, ValueError) as error:
            refusals.append(error)
    if refusals:
        raise refusals[0]


def attributes(scheduler: tuple[int, int] | None, affinity: tuple[int, ...], io_priority: int | None) -> Steps:
    """How it is scheduled."""
    if scheduler is not None:
        yield "scheduler", lambda: os.sched_setscheduler(0, scheduler[0], os.sched_param(scheduler[1]))
    if affinity:
        yield "cpu_affinity", lambda: set_affinity(set(affinity))
    if io_priority is not None:
        yield "io_priority", lambda: set_io_priority(io_priority)


def rights(
    ids: tuple[int, int, tuple[int, ...]] | None, capabilities: int | None, ambient: int, no_new_privileges: bool
) -> Steps:
    """What it may do, in the order in which the rights to change that are lost."""
    if capabilities is not None or ambient:
        keep = ALL if capabilities is None else capabilities
        yield "capabilities", lambda: limit_capabilities(keep, ambient)
    if ids is not None:
        yield "ids", lambda: become(*ids)
    if ambient:
        yield "capabilities", lambda: raise_ambient(ambient)
    if no_new_privileges:
        yield "no_new_privileges", lambda: prctl(NO_NEW_PRIVILEGES, 1)


def set_affinity(processors: set[int]) -> None:
    """Run on these; the kernel leaves out those that are not there or not allowed, and says nothing."""
    os.sched_setaffinity(0, processors)
    if os.sched_getaffinity(0) != processors:
        raise OSError(errno.EINVAL, "no such processors")


def libc(function: str, *arguments: int | bytes | bytearray) -> int:
    """Call what Python has no module for; a bytearray is written to.

    ctypes takes milliseconds, which only those wait for who need it.
    """
    import ctypes  # noqa: PLC0415, TID251 - pidward.kernel.abi cannot be imported here

    def as_passed(argument: int | bytes | bytearray) -> object:
        if isinstance(argument, int):
            return ctypes.c_long(argument)
        return (ctypes.c_char * len(argument)).from_buffer(argument) if isinstance(argument, bytearray) else argument

    result: int = getattr(ctypes.CDLL(None, use_errno=True), function)(*map(as_passed, arguments))
    if result < 0:
        raise OSError(ctypes.get_errno(), function)
    return result


def prctl(option: int, *arguments: int) -> int:
    """Call with zeros for what is not given."""
    return libc("prctl", option, *(*arguments, 0, 0, 0, 0)[:4])


def set_io_priority(value: int) -> None:
    """Ours; C libraries have no function for it."""
    libc("syscall", 251 if os.uname().machine == "x86_64" else 30, 1, 0, value)


def limit_capabilities(keep: int, ambient: int) -> None:
    """Take from the bounding and inheritable sets all but some; see native/shim.c."""
    for number in range(64):
        try:
            is_there = prctl(READ_BOUNDING, number)
        except OSError:  # the first that this kernel does not know
            break
        if is_there and not keep >> number & 1:
            prctl(DROP_BOUNDING, number)
    version, sets = bytearray(struct.pack("=Ii", 0x20080522, 0)), bytearray(24)
    libc("capget", version, sets)
    words = list(struct.unpack("=6I", sets))  # effective, permitted, inheritable; all three for the low bits first
    for i, shift in ((2, 0), (5, 32)):
        words[i] = words[i] & keep >> shift | ambient >> shift & 0xFFFFFFFF
    libc("capset", version, struct.pack("=6I", *words))
    if ambient:
        prctl(KEEP_PERMITTED, 1)


def raise_ambient(bits: int) -> None:
    """Let a program that is not root keep these over exec."""
    for number in range(64):
        if bits >> number & 1:
            prctl(AMBIENT, RAISE, number)


def main() -> None:
    """Read the plan and run."""
    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
    gate, plan_fd = int(sys.argv[1]), int(sys.argv[2])
    with open(plan_fd, "rb") as file:
        plan = marshal.load(file)  # noqa: S302 - our own parent wrote it
    Shim(gate, plan).run()
    os._exit(FAILED)


main()
