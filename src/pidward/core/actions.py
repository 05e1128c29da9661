"""What may be asked of the runtime. Imperatives; their order is the order of doing."""

from pidward.core.lean import NamedTuple
from pidward.core.model import ExitStatus, Phase, ProcessId, Wanted, WorkerName
from pidward.core.units import Instant


class Record(NamedTuple):
    """Remember a transition. Comes before the acts that follow from it."""

    worker: WorkerName
    before: Phase | None  # None: the worker is new
    after: Phase | None  # None: the worker is forgotten
    reason: str
    wanted: Wanted
    process: ProcessId | None = None
    exit: ExitStatus | None = None


class Spawn(NamedTuple):
    """Start the worker's program; answer with Spawned or SpawnFailed."""

    worker: WorkerName


class Signal(NamedTuple):
    """Send a signal to the main process, or to every process of its tree."""

    worker: WorkerName
    process: ProcessId
    number: int
    whole_tree: bool = False


class Kill(NamedTuple):
    """SIGKILL the main process; with ``whole_tree`` all that is left of the tree, and answer with TreeEmptied."""

    worker: WorkerName
    process: ProcessId | None
    whole_tree: bool = True


class PreStop(NamedTuple):
    """Run the command of ``stop.pre`` for this process; answer with PreStopEnded. It is given until ``until``."""

    worker: WorkerName
    process: ProcessId
    until: Instant


class Finish(NamedTuple):
    """Every worker is down and the supervisor was asked to end: end.

    failed: because a worker gave up.
    status: how the essential worker ended whose end was the end of everything.
    """

    reason: str
    failed: bool = False
    status: ExitStatus | None = None


class Note(NamedTuple):
    """Remember something worth knowing that is no transition: a skipped run, how far a rolling restart came."""

    worker: WorkerName | None
    text: str


class StopAll(NamedTuple):
    """A worker gave up for good and its policy is to take everything down with it. Obeyed inside the core."""

    reason: str


Action = Record | Spawn | Signal | Kill | PreStop | Finish | Note | StopAll
