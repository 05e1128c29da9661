"""What a spawn is asked for and what it answers; the same on every rung."""

import errno
import os
import sys

from pidward.core.lean import Literal, NamedTuple
from pidward.kernel.pidfd import Pidfd

_INODE = b"LISTEN_PIDFDID="


class Ids(NamedTuple):
    """Whom the program runs as: real, effective and saved ids alike, and exactly these supplementary groups."""

    uid: int
    gid: int
    groups: tuple[int, ...]


class Plan(NamedTuple):
    """All of a process up to its first instruction. Bytes for what the kernel sees; paths are absolute.

    The process gets its own session, default signal dispositions, an empty signal mask, and no descriptors but those
    of the plan and 0, 1 and 2, which it opens itself, with the spawner's rights. stdout and stderr are appended to, and
    made when missing (mode 0640). One whose path is empty must be among the descriptors.

    Some variables, where env has them, get their values at each spawn, whatever stands there: INVOCATION_ID, LISTEN_PID
    and WATCHDOG_PID (the process's number), LISTEN_PIDFDID (its inode on pidfs; dropped where there is none, before
    Linux 6.9).
    """

    path: bytes  # of the program; not searched for
    argv: tuple[bytes, ...]  # not empty
    env: tuple[bytes, ...]  # b"NAME=value"
    cwd: bytes | None = None  # None: the spawner's own
    umask: int = 0o022
    stdin: bytes = b"/dev/null"
    stdout: bytes = b"/dev/null"
    stderr: bytes = b"/dev/null"
    limits: tuple[tuple[int, int, int], ...] = ()  # RLIMIT_ number, soft, hard; -1 is infinity
    nice: int | None = None  # absolute, -20 to 19
    oom_score_adj: int | None = None  # -1000 to 1000
    ids: Ids | None = None  # None: the spawner's own
    cgroup: bytes | None = None  # v2 directory to be born in; not frozen: that would stop the spawner too
    join: tuple[bytes, ...] = ()  # v1 directories to enter before exec
    gated: bool = False  # wait for Gate.open before ids, join and exec
    descriptors: tuple[tuple[int, int], ...] = ()  # number there, at least 3, and ours, borrowed at each spawn
    scheduler: tuple[int, int] | None = None  # SCHED_ number, priority
    cpu_affinity: tuple[int, ...] = ()  # processor numbers; empty: the spawner's own
    io_priority: int | None = None  # as ioprio_set(2) takes it
    capabilities: int | None = None  # bits: all that the process and its children can ever have
    ambient: int = 0  # bits: what a program keeps that is not root
    no_new_privileges: bool = False
    optional: frozenset[str] = frozenset()  # stages from "limits" on that may be refused: it runs without

    def with_known_names(self) -> "Plan":
        """The same without LISTEN_PIDFDID where processes have no inode."""
        if any(entry.startswith(_INODE) for entry in self.env):
            with Pidfd.open(os.getpid()) as ourselves:
                if not ourselves.id.inode:
                    return self._replace(env=tuple(entry for entry in self.env if not entry.startswith(_INODE)))
        return self


class Failure(NamedTuple):
    """The program was not executed.

    stage: "clone" (no process could be made: a shortage, whatever ran short), "descriptors", "cgroup", "stdin",
        "stdout", "stderr", "session", "cwd", "limits", "nice", "oom_score_adj", "gate",
        "scheduler", "cpu_affinity", "io_priority", "capabilities", "ids", "no_new_privileges" or "exec".
    errno: exactly what the kernel said; ESRCH with "gate" when the process ended before it reached exec.
    """

    stage: str
    errno: int


class Gate:
    """A process between its birth and its exec. Owns a descriptor: close it.

    Closing before ``open``, also by the death of this process, ends the other without exec. Poll it for reading and
    ask ``result`` each time.
    """

    __slots__ = ("_fd", "_reached", "_result", "refused")

    def __init__(self, fd: int) -> None:
        """Take a non-blocking message socket whose other end the shim holds."""
        self._fd = fd
        self.refused: list[Failure] = []  # of the plan's optional stages; all of them once there is a result
        self._reached = False
        self._result: Literal[True] | Failure | None = None

    def fileno(self) -> int:
        """The descriptor; it stays the gate's."""
        return self._fd

    def open(self) -> None:
        """Let the process go on to its program; harmless when done already. What comes of it, ``result`` tells."""
        try:
            os.write(self._fd, b"\0")
        except (BrokenPipeError, ConnectionResetError):
            pass  # it has ended, as result will tell

    def result(self) -> Literal[True] | Failure | None:
        """True: the program runs, or ran. Failure: it never will. None: not known yet."""
        while self._result is None:
            try:
                self._take(os.read(self._fd, 64))
            except BlockingIOError:
                break
            except ConnectionResetError:
                pass  # said once when the other end left a message of ours unread; what it wrote before comes next
        return self._result

    def _take(self, record: bytes) -> None:
        """A record is an errno and a stage; errno 0 comes just before execve, which closes the other end.

        Below 0 it is what was refused and is done without. Capabilities are set in two steps, and count once.
        """
        if not record:
            self._result = True if self._reached else Failure("gate", errno.ESRCH)
            return
        number, stage = int.from_bytes(record[:4], sys.byteorder, signed=True), record[4:].rstrip(b"\0").decode()
        if number < 0:
            if all(failure.stage != stage for failure in self.refused):
                self.refused.append(Failure(stage, -number))
        elif number:
            self._result = Failure(stage, number)
        else:
            self._reached = True

    def close(self) -> None:
        """Let go; harmless when done already. Unregister it from an epoll first."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class Started(NamedTuple):
    """A process was made; it is a child of this process, to be waited for like any other.

    gate: None: the program already runs. Else the caller owns it, opens it if the plan was gated, and learns from it
        whether the program runs.
    refused: optional stages that were refused so far; the gate, if there is one, has the others.
    """

    pidfd: Pidfd
    invocation: str  # the INVOCATION_ID it was given, 32 hex digits; "" when the plan has none
    gate: Gate | None
    refused: tuple[Failure, ...] = ()
