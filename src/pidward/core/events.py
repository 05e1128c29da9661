"""What can happen to a worker. Past participles: these are facts, not wishes."""

from pidward.core.lean import NamedTuple
from pidward.core.model import ExitStatus, ProcessId, WorkerName
from pidward.core.spec import Configuration
from pidward.core.units import Instant


class Spawned(NamedTuple):
    """The process exists. ``running``: it has reached exec; else it waits at its gate and Executed follows."""

    worker: WorkerName
    process: ProcessId
    running: bool = True


class Executed(NamedTuple):
    """A gated process has become its program."""

    worker: WorkerName
    process: ProcessId


class SpawnFailed(NamedTuple):
    """The program could not be started; no process of it is left.

    message: what, where, why and what to do, in one line.
    """

    worker: WorkerName
    message: str


class Exited(NamedTuple):
    """The main process ended. ``left_behind``: processes of its tree still live."""

    worker: WorkerName
    process: ProcessId
    status: ExitStatus
    left_behind: bool = False


class TreeEmptied(NamedTuple):
    """No process of the worker's tree is left."""

    worker: WorkerName


class Elapsed(NamedTuple):
    """``Worker.until`` of this worker has passed."""

    worker: WorkerName


class StartAsked(NamedTuple):
    """An operator, or the supervisor's own start, wants this worker up.

    on_demand: it is a connection that wants it, and past runs that were short are not forgiven.
    """

    worker: WorkerName
    by: str  # who asked, in plain words; becomes part of the reason
    on_demand: bool = False


class StopAsked(NamedTuple):
    """Somebody wants this worker down. ``at_once``: without grace."""

    worker: WorkerName
    by: str
    at_once: bool = False


class RestartAsked(NamedTuple):
    """Somebody wants the present process replaced by a new one."""

    worker: WorkerName
    by: str


class Reconsidered(NamedTuple):
    """What held this worker back is not as it was; told by the core itself. ``why`` is the reason if it starts."""

    worker: WorkerName
    why: str


class Abandoned(NamedTuple):
    """The worker's group gave up; told by the core itself. Ends what runs, and fails what does not run."""

    worker: WorkerName
    why: str


class StopsAsked(NamedTuple):
    """Somebody wants several workers down: those that need others before these, the last of the file first."""

    workers: tuple[WorkerName, ...]
    by: str
    at_once: bool = False


class ShutdownAsked(NamedTuple):
    """The whole supervisor is to stop its workers, in reverse order, and end. Wanted states stay as they are."""

    by: str
    at_once: bool = False


class Reconfigured(NamedTuple):
    """A new, valid configuration was read."""

    configuration: Configuration
    by: str


class Ready(NamedTuple):
    """A readiness probe, or the worker itself, says that it may serve."""

    worker: WorkerName
    process: ProcessId
    how: str  # "READY=1", "GET http://... answered 200"; becomes the reason


class Unready(NamedTuple):
    """A readiness probe that had said yes says no; the worker lives and is not to be restarted for it."""

    worker: WorkerName
    process: ProcessId
    why: str


class NotYet(NamedTuple):
    """A look at a worker that is not ready says why it is not; no transition, but known should its time pass."""

    worker: WorkerName
    process: ProcessId
    why: str  # the question and its answer


class Unhealthy(NamedTuple):
    """The worker has hung, or says that it failed: it is to be ended and started again by its policy.

    signal: what to end it with instead of the stop signal; SIGABRT after a missed watchdog.
    """

    worker: WorkerName
    process: ProcessId
    why: str
    signal: int | None = None


class MainChanged(NamedTuple):
    """Another process of the worker's tree is its main process from now on (MAINPID, a pid file)."""

    worker: WorkerName
    process: ProcessId


class Extended(NamedTuple):
    """The worker needs longer for what it does now: its phase ends no sooner than ``until``."""

    worker: WorkerName
    process: ProcessId
    until: Instant


class Announced(NamedTuple):
    """The worker says that it ends (STOPPING=1) and will not serve; nobody asked it to."""

    worker: WorkerName
    process: ProcessId


class Forgiven(NamedTuple):
    """Past failures of this worker do not count any more (RESTART_RESET=1)."""

    worker: WorkerName


class PreStopEnded(NamedTuple):
    """The command that comes before the stop signal has ended; ``why`` says how when it failed."""

    worker: WorkerName
    why: str = ""


class Due(NamedTuple):
    """The schedule of a service asks for a run."""

    service: str
    by: str = "its schedule"


class Demanded(NamedTuple):
    """Somebody connects to a socket of a service that is started on demand."""

    service: str
    by: str


class ScaleAsked(NamedTuple):
    """Somebody wants this many workers of a service; those that are kept are not touched."""

    service: str
    workers: int
    by: str


class RollAsked(NamedTuple):
    """Somebody wants workers replaced ``step`` at a time, each batch ready before the next one begins.

    It ends, and says so, with the first worker that does not become ready.
    """

    workers: tuple[WorkerName, ...]
    by: str
    step: int = 1


WorkerEvent = (
    Spawned | Executed | SpawnFailed | Exited | TreeEmptied | Elapsed | StartAsked | StopAsked | RestartAsked
    | Ready | Unready | NotYet | Unhealthy | MainChanged | Extended | Announced | Forgiven | PreStopEnded
    | Reconsidered | Abandoned
)  # fmt: skip
ServiceEvent = Due | Demanded | ScaleAsked | RollAsked
Event = WorkerEvent | ServiceEvent | StopsAsked | ShutdownAsked | Reconfigured
