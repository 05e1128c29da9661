"""What may be asked of the runtime. Imperatives; their order is the order of doing."""

from dataclasses import dataclass

from pidward.core.model import ExitStatus, Phase, ProcessId, Wanted, WorkerName


@dataclass(frozen=True, slots=True)
class Record:
    """Remember a transition. Comes before the acts that follow from it."""

    worker: WorkerName
    before: Phase | None  # None: the worker is new
    after: Phase | None  # None: the worker is forgotten
    reason: str
    wanted: Wanted
    process: ProcessId | None = None
    exit: ExitStatus | None = None


@dataclass(frozen=True, slots=True)
class Spawn:
    """Start the worker's program; answer with Spawned or SpawnFailed."""

    worker: WorkerName


@dataclass(frozen=True, slots=True)
class Signal:
    """Send a signal to the main process, or to every process of its tree."""

    worker: WorkerName
    process: ProcessId
    number: int
    whole_tree: bool = False


@dataclass(frozen=True, slots=True)
class Kill:
    """SIGKILL the main process; with ``whole_tree`` all that is left of the tree, and answer with TreeEmptied."""

    worker: WorkerName
    process: ProcessId | None
    whole_tree: bool = True


@dataclass(frozen=True, slots=True)
class Finish:
    """Every worker is down and the supervisor was asked to end: end. ``failed``: because a worker gave up."""

    reason: str
    failed: bool = False


@dataclass(frozen=True, slots=True)
class StopAll:
    """A worker gave up for good and its policy is to take everything down with it. Obeyed inside the core."""

    reason: str


Action = Record | Spawn | Signal | Kill | Finish | StopAll
