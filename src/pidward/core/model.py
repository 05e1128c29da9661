"""The facts that decisions are made from: who a process is, how it ended, what a worker is doing."""

import enum

from pidward.core.lean import NamedTuple
from pidward.core.signals import signal_name
from pidward.core.units import Instant


class Sameness(enum.Enum):
    """The result of comparing two identities. UNKNOWN never justifies an act."""

    SAME = "same"
    DIFFERENT = "different"
    UNKNOWN = "unknown"


class ProcessId(NamedTuple):
    """Who a process is, within one boot.

    pid: the number, in pidward's pid namespace; a label for people, handed out again by the kernel.
    inode: the pidfs inode of the process, never handed out twice in one boot (Linux 6.9);
        0 where the kernel has no pidfs, and then nothing can be proved by comparing.
    """

    pid: int
    inode: int

    def __str__(self) -> str:
        return f"{self.pid}:{self.inode}"

    @classmethod
    def parse(cls, text: str) -> "ProcessId":
        """Read ``PID:INODE``; ValueError for anything else."""
        pid, _, inode = text.partition(":")
        if not (_is_number(pid, 10) and _is_number(inode, 20)):
            raise ValueError(f"expected PID:INODE, got {text!r}")
        return cls(int(pid), int(inode))

    def compare(self, other: "ProcessId") -> Sameness:
        """Tell whether two identities of the same boot name the same process."""
        if self.inode == 0 or other.inode == 0:
            return Sameness.UNKNOWN if self.pid == other.pid else Sameness.DIFFERENT
        return Sameness.SAME if self.inode == other.inode else Sameness.DIFFERENT


def _is_number(text: str, digits: int) -> bool:
    return text.isascii() and text.isdigit() and text[0] != "0" and len(text) <= digits


class Source(enum.Enum):
    """Where an exit status was read. Part of the status, so that nobody has to guess how far to trust it."""

    WAITID = "waitid"  # we were the parent
    PIDFD_INFO = "pidfd_info"  # PIDFD_GET_INFO after somebody else's reap, Linux 6.15
    PROC_STAT = "proc_stat"  # field 52 of the zombie
    SHIM = "shim"  # the process never reached exec and said why
    UNKNOWN = "unknown"  # nobody could say; code and signal are both None


class Usage(NamedTuple):
    """What a process used in its life, from the kernel's rusage."""

    user_s: float
    system_s: float
    max_rss_bytes: int


class ExitStatus(NamedTuple):
    """How a process ended. Exactly one of code and signal is set, or neither when the source is UNKNOWN."""

    code: int | None
    signal: int | None
    core_dumped: bool = False
    source: Source = Source.UNKNOWN
    usage: Usage | None = None

    def __str__(self) -> str:
        """For people: "exited with code 1", "killed by SIGKILL"."""
        if self.signal is not None:
            return f"killed by {signal_name(self.signal)}" + (" (core dumped)" if self.core_dumped else "")
        if self.code is None:
            return "ended, and nobody could say how"
        return f"exited with code {self.code}"

    @property
    def cause(self) -> int | None:
        """The code, or minus the signal number, or None; the form in which restart rules name causes."""
        return self.code if self.signal is None else -self.signal

    @classmethod
    def from_wait_status(cls, status: int, source: Source, usage: Usage | None = None) -> "ExitStatus":
        """Decode the word that wait(2), PIDFD_GET_INFO and /proc/PID/stat share."""
        number = status & 0x7F
        if number:
            return cls(None, number, bool(status & 0x80), source, usage)
        return cls(status >> 8 & 0xFF, None, False, source, usage)


UNKNOWN_EXIT = ExitStatus(None, None)


class WorkerName(NamedTuple):
    """One of the N workers of a service, counted from 1; written ``web/2``."""

    service: str
    number: int

    def __str__(self) -> str:
        return f"{self.service}/{self.number}"

    @classmethod
    def parse(cls, text: str) -> "WorkerName":
        """Read ``SERVICE/NUMBER``; ValueError for anything else."""
        service, slash, number = text.rpartition("/")
        if not slash or not service or not number.isascii() or not number.isdigit():
            raise ValueError(f"expected SERVICE/NUMBER, got {text!r}")
        return cls(service, int(number))


_WITH_PROCESS = ("starting", "running", "ready", "stopping", "killing")
_FINAL = ("stopped", "completed", "failed")


class Phase(enum.Enum):
    """What a worker is doing now. What it should be doing is ``Worker.wanted``.

    has_process: a process of this worker may exist.
    is_final: nothing happens any more until somebody asks.
    """

    STOPPED = "stopped"  # no process, and none is wanted
    WAITING = "waiting"  # no process; waits for others, its schedule or a connection, then starts
    STARTING = "starting"  # a spawn was asked for; the program does not run yet
    RUNNING = "running"  # the program runs and is not ready yet
    READY = "ready"  # the program runs and may serve
    BACKING_OFF = "backing-off"  # no process; waits for its delay, then starts
    SLOW_LANE = "slow-lane"  # no process; failed too often, tries again at the longest delay
    STOPPING = "stopping"  # the stop signal was sent; grace runs
    KILLING = "killing"  # SIGKILL was sent to what is left of the tree; waits for it to be empty
    COMPLETED = "completed"  # ended by itself, as it should
    FAILED = "failed"  # ended, and will not be started again without being asked

    def __init__(self, value: str) -> None:
        # Attributes, for every death asks several times: a look into a set of members takes three calls of Python.
        self.has_process, self.is_final = value in _WITH_PROCESS, value in _FINAL


class Wanted(enum.Enum):
    """What an operator or the configuration asked for; remembered over restarts of the supervisor."""

    UP = "up"
    DOWN = "down"


class Worker(NamedTuple):
    """One worker, now. Only ``core.worker`` makes new ones of these."""

    name: WorkerName
    wanted: Wanted
    phase: Phase
    reason: str  # why it is in this phase, in plain words
    since: Instant  # when it entered the phase
    until: Instant | None = None  # when the phase ends by itself; None: it does not
    process: ProcessId | None = None  # the main process while it lives
    spawning: bool = False  # a spawn was asked for and is not answered yet
    started: Instant | None = None  # when the present or the last process was spawned
    starts: tuple[Instant, ...] = ()  # automatic starts within the start limit's window
    failures: int = 0  # ends in a row without a stable run between
    restarts: int = 0  # automatic starts after an end, ever
    again: bool = False  # a restart was asked for: start when the present process is gone
    last_exit: ExitStatus | None = None
    fault: str = ""  # why the present or the last process has failed, whatever its exit status says
    awaited: str = ""  # RUNNING: what it is not ready for, by the last look; empty: nothing was found yet
    held: bool = False  # WAITING: its start is decided, and only others are in the way
    blocked: bool = False  # held, and nothing will change that before somebody asks for whom it waits
    daemon: bool = False  # FORKING: the main process is known
    job: bool = False  # ONESHOT: it does its work while it runs, and is never ready
    scheduled: bool = False  # however its last run ended, or could not begin: there will be a next one

    @property
    def explanation(self) -> str:
        """Its reason, and while it is not ready what was found when it was asked last."""
        return f"{self.reason}; {self.awaited}" if self.awaited and self.phase is Phase.RUNNING else self.reason

    @property
    def is_idle(self) -> bool:
        """It has nothing to do until its schedule or a connection says so; that is as it should be."""
        return self.phase is Phase.WAITING and not self.held

    @property
    def is_well(self) -> bool:
        """It does what it is for, has done it, or does nothing because nobody needs it.

        A schedule is as it should be whatever became of a run: that one is told by its phase, and the next is due.
        """
        at_work = self.job and self.phase in (Phase.STARTING, Phase.RUNNING)
        by_schedule = self.scheduled and not self.held
        return at_work or by_schedule or self.phase in (Phase.READY, Phase.COMPLETED) or self.is_idle


class EventRow(NamedTuple):
    """One remembered event. seq only rises, over restarts of the supervisor too."""

    seq: int
    wall: float  # seconds since 1970, for display only
    kind: str  # "transition", "signal", "supervisor", "store", "logs"
    worker: str  # "" when it is about no worker
    text: str  # the sentence for people
    data: dict[str, object]  # the same for machines
