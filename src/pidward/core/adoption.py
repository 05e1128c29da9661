"""What a new supervisor does about the workers of one that was killed. Pure.

A process that is proved to be the recorded one goes on as if nothing had happened: nobody signals it, and its
restarts, its readiness and its times are what they were. Whoever ended meanwhile ends for the core now, with its true
status where the kernel tells it. What is not proved is not touched.
"""

import enum
from _blake2 import blake2b  # hashlib loads OpenSSL
from collections.abc import Sequence

from pidward.core.change import as_given
from pidward.core.lean import NamedTuple
from pidward.core.model import ExitStatus, Phase, ProcessId, Wanted, Worker, WorkerName
from pidward.core.spec import LogMode, ProbeKind, ServiceSpec, ServiceType
from pidward.core.transitions import is_ready_by_time
from pidward.core.units import Instant, Seconds

_ADOPTABLE = (Phase.STARTING, Phase.RUNNING, Phase.READY)  # at its gate nobody lives on without a supervisor


class Life(NamedTuple):
    """What of a worker's present life has to outlive its supervisor. Instants are of the boot it is recorded in.

    made: ``fingerprint`` of what its process was started with; empty without a process.
    log_mode: the way of that process's output, which it cannot change.
    """

    since: Instant = Instant(0.0)
    until: Instant | None = None
    started: Instant | None = None
    starts: tuple[Instant, ...] = ()
    failures: int = 0
    restarts: int = 0
    daemon: bool = False
    made: str = ""
    log_mode: LogMode | None = None


class Recorded(NamedTuple):
    """A worker that had a process when the last supervisor wrote for the last time.

    Nothing follows from it but a question to the kernel: the process may be gone and its number somebody else's.
    """

    name: WorkerName
    process: ProcessId | None
    boot_id: str
    tree: str
    phase: Phase
    life: Life = Life()


def born_unrecorded(name: WorkerName, process: ProcessId, tree: str, tag: str, last: Recorded | None) -> Recorded:
    """A process that was born so shortly before its supervisor died that only the kernel has a note of it.

    Args:
        name: whose tree it is in.
        process: it.
        tree: how that tree is found.
        tag: what ``tag_of`` made.
        last: what is recorded of the worker; None: nothing.
    """
    made, _, mode = tag.partition(" ")
    life = Life() if last is None else last.life
    life = life._replace(until=None, started=None, daemon=False, made=made, log_mode=LogMode(mode))
    return Recorded(name, process, "", tree, Phase.STARTING, life)


def tag_of(made: str, log_mode: LogMode) -> str:
    """The note that the kernel keeps on a new process, for as long as that lives."""
    return f"{made} {log_mode.value}"


class Sight(enum.Enum):
    """What the kernel says about a recorded process."""

    ALIVE = "alive"
    ENDED = "ended"  # a zombie, gone, or its number is somebody else's
    UNPROVABLE = "unprovable"  # somebody has the number, and this kernel cannot compare


class Decision(enum.Enum):
    """What is done about a recorded worker."""

    ADOPT = "adopt"  # it goes on
    REPLACE = "replace"  # it goes on until its successor may start: a restart like any other
    GONE = "gone"  # its end is told to the core
    END = "end"  # it is stopped before anything starts, and is no worker any more
    LEAVE = "leave"  # it is not touched


class Verdict(NamedTuple):
    """A decision and its reason, in plain words."""

    decision: Decision
    why: str = ""


class Adopted(NamedTuple):
    """A worker that the core is to know as it was.

    exit: how its process ended meanwhile; None: it lives.
    left_behind: the process ended, and others of its tree live.
    replace: why it is to be restarted; empty: it is not.
    """

    recorded: Recorded
    process: ProcessId
    exit: ExitStatus | None = None
    left_behind: bool = False
    replace: str = ""


class Legacy(NamedTuple):
    """All that an earlier supervisor leaves to its successor. ``away``: how long there was none, at most."""

    workers: Sequence[Adopted] = ()
    away: Seconds = Seconds(0.0)


def life_of(worker: Worker, made: str, log_mode: LogMode | None) -> Life:
    """What is to be remembered of a worker as it is now."""
    return Life(
        worker.since, worker.until, worker.started, worker.starts, worker.failures, worker.restarts, worker.daemon,
        made, log_mode,
    )  # fmt: skip


def fingerprint(spec: ServiceSpec) -> str:
    """A short name for all that is fixed in a process when it starts: equal, as good as certainly, if all of it is."""
    by_fd = spec.ready.target if spec.ready is not None and spec.ready.kind is ProbeKind.FD else None
    execution = spec.execution._replace(sockets=tuple(map(as_given, spec.execution.sockets)))
    fixed = (execution, spec.type, spec.watchdog, spec.notifies, spec.fd_store > 0, by_fd)
    return blake2b(repr(fixed).encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()


def decide(recorded: Recorded, sight: Sight, spec: ServiceSpec | None) -> Verdict:
    """Say what is done about a worker that was recorded in this boot.

    Args:
        recorded: as it was.
        sight: what the kernel says about its process.
        spec: of its service now; None: it is not configured any more.
    """
    if sight is Sight.UNPROVABLE:
        return Verdict(Decision.LEAVE, "this kernel cannot prove whose it is")
    if recorded.process is None or recorded.phase not in _ADOPTABLE:
        return Verdict(Decision.END, f"it was {recorded.phase.value}")
    if spec is None:
        return Verdict(Decision.END, "its service is not configured any more")
    if sight is Sight.ENDED:
        return Verdict(Decision.GONE)
    if recorded.life.made != fingerprint(spec):
        return Verdict(Decision.REPLACE, "its configuration was changed while pidward was away")
    by_line = spec.ready is not None and spec.ready.kind in (ProbeKind.FD, ProbeKind.LOG)
    if by_line and recorded.phase is not Phase.READY:
        return Verdict(Decision.REPLACE, "it may have said that it is ready while pidward was away")
    return Verdict(Decision.ADOPT)


def adopted_worker(adopted: Adopted, spec: ServiceSpec, wanted: Wanted, reason: str, away: Seconds) -> Worker:
    """The worker as it was. What it may take until it is ready, it was not asked for while nobody listened."""
    recorded, life = adopted.recorded, adopted.recorded.life
    until = life.until
    if until is not None and not is_ready_by_time(spec):
        until = Instant(until + away)
    return Worker(
        recorded.name, wanted, recorded.phase, reason, life.since, until, adopted.process, started=life.started,
        starts=life.starts, failures=life.failures, restarts=life.restarts, daemon=life.daemon,
        job=spec.type is ServiceType.ONESHOT,
    )  # fmt: skip
