"""What can happen to a worker. Past participles: these are facts, not wishes."""

from typing import NamedTuple

from pidward.core.model import ExitStatus, ProcessId, WorkerName
from pidward.core.spec import Configuration


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
    """An operator, or the supervisor's own start, wants this worker up."""

    worker: WorkerName
    by: str  # who asked, in plain words; becomes part of the reason


class StopAsked(NamedTuple):
    """Somebody wants this worker down. ``at_once``: without grace."""

    worker: WorkerName
    by: str
    at_once: bool = False


class RestartAsked(NamedTuple):
    """Somebody wants the present process replaced by a new one."""

    worker: WorkerName
    by: str


class ShutdownAsked(NamedTuple):
    """The whole supervisor is to stop its workers, in reverse order, and end. Wanted states stay as they are."""

    by: str
    at_once: bool = False


class Reconfigured(NamedTuple):
    """A new, valid configuration was read."""

    configuration: Configuration
    by: str


WorkerEvent = Spawned | Executed | SpawnFailed | Exited | TreeEmptied | Elapsed | StartAsked | StopAsked | RestartAsked
Event = WorkerEvent | ShutdownAsked | Reconfigured
