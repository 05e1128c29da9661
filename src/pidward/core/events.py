"""What can happen to a worker. Past participles: these are facts, not wishes."""

from dataclasses import dataclass

from pidward.core.model import ExitStatus, ProcessId, WorkerName
from pidward.core.spec import Configuration


@dataclass(frozen=True, slots=True)
class Spawned:
    """The process exists. ``running``: it has reached exec; else it waits at its gate and Executed follows."""

    worker: WorkerName
    process: ProcessId
    running: bool = True


@dataclass(frozen=True, slots=True)
class Executed:
    """A gated process has become its program."""

    worker: WorkerName
    process: ProcessId


@dataclass(frozen=True, slots=True)
class SpawnFailed:
    """The program could not be started; no process of it is left.

    message: what, where, why and what to do, in one line.
    """

    worker: WorkerName
    message: str


@dataclass(frozen=True, slots=True)
class Exited:
    """The main process ended. ``left_behind``: processes of its tree still live."""

    worker: WorkerName
    process: ProcessId
    status: ExitStatus
    left_behind: bool = False


@dataclass(frozen=True, slots=True)
class TreeEmptied:
    """No process of the worker's tree is left."""

    worker: WorkerName


@dataclass(frozen=True, slots=True)
class Elapsed:
    """``Worker.until`` of this worker has passed."""

    worker: WorkerName


@dataclass(frozen=True, slots=True)
class StartAsked:
    """An operator, or the supervisor's own start, wants this worker up."""

    worker: WorkerName
    by: str  # who asked, in plain words; becomes part of the reason


@dataclass(frozen=True, slots=True)
class StopAsked:
    """Somebody wants this worker down. ``at_once``: without grace."""

    worker: WorkerName
    by: str
    at_once: bool = False


@dataclass(frozen=True, slots=True)
class RestartAsked:
    """Somebody wants the present process replaced by a new one."""

    worker: WorkerName
    by: str


@dataclass(frozen=True, slots=True)
class ShutdownAsked:
    """The whole supervisor is to stop its workers, in reverse order, and end. Wanted states stay as they are."""

    by: str
    at_once: bool = False


@dataclass(frozen=True, slots=True)
class Reconfigured:
    """A new, valid configuration was read."""

    configuration: Configuration
    by: str


WorkerEvent = Spawned | Executed | SpawnFailed | Exited | TreeEmptied | Elapsed | StartAsked | StopAsked | RestartAsked
Event = WorkerEvent | ShutdownAsked | Reconfigured
