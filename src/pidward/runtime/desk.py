"""What operators may ask of a running supervisor: the seam between runtime and control.

``Supervisor`` in supervise.py is the one that works; tests of control use a small one of their own.
"""

from collections.abc import Callable, Sequence

from pidward.core.change import Change
from pidward.core.health import Health
from pidward.core.lean import NamedTuple, Protocol
from pidward.core.model import EventRow, ProcessId, Worker, WorkerName

__all__ = ["About", "Desk", "EventRow", "Member", "NoProcess", "NotReloadable", "Plan", "Told", "UnknownTarget"]


class UnknownTarget(Exception):
    """No service or worker of this name. ``close``: names that were perhaps meant."""

    def __init__(self, target: str, close: Sequence[str] = ()) -> None:
        hint = f"; did you mean {' or '.join(repr(c) for c in close)}?" if close else ""
        super().__init__(f"no service or worker is named {target!r}{hint}")
        self.target, self.close = target, tuple(close)


class NoProcess(Exception):
    """The worker has no process to act on now."""


class NotReloadable(Exception):
    """The service says nowhere how it is told to read its configuration again."""


class About(NamedTuple):
    """The supervisor itself."""

    version: str
    process: ProcessId
    instance: str
    config: str
    uptime: float  # seconds
    trouble: tuple[str, ...]  # what is degraded now, in sentences; empty: nothing
    state_dir: str = ""  # where the record, the spools and the logs are


class Plan(NamedTuple):
    """What a reload would do. ``notes``: what differs from the file, and would stay so."""

    changes: list[Change]
    notes: list[str]


class Told(NamedTuple):
    """A process that was to read its own configuration again. ``failure``: why it could not be told; empty: it was."""

    worker: WorkerName
    process: ProcessId
    failure: str = ""


class Member(NamedTuple):
    """One process of a worker.

    parent: the number of a parent that is a member, too; or 0.
    escaped: how it got away from its main process or its cgroup; empty: it did not.
    state, name: as in /proc/PID/stat.
    """

    worker: str
    process: str  # PID:INODE
    parent: int
    is_main: bool
    escaped: str
    state: str
    name: str
    command: str


class Desk(Protocol):
    """The requests. None of them waits: an ask is recorded and carried out by the loop; watch to see it done."""

    def resolve(self, targets: Sequence[str]) -> list[WorkerName]:
        """Turn "web", "web/2" or nothing (all) into workers, in order of the file. Raises UnknownTarget."""

    def without_workers(self, targets: Sequence[str]) -> list[str]:
        """The services among the targets, or with none among all, that are to have no workers."""

    def worker(self, name: WorkerName) -> Worker | None:
        """The worker's state; None when it was removed from the configuration."""

    def now(self) -> float:
        """The present on the clock of Worker.since, .until and .started."""

    def start(self, names: Sequence[WorkerName], by: str) -> None:
        """Want them up. Remembered over restarts of the supervisor."""

    def stop(self, names: Sequence[WorkerName], by: str, at_once: bool = False) -> None:
        """Want them down, in reverse order of the file. Remembered."""

    def restart(self, names: Sequence[WorkerName], by: str) -> None:
        """Replace their processes by new ones."""

    def roll(self, names: Sequence[WorkerName], by: str, step: int) -> None:
        """Replace their processes, ``step`` at a time, each ready before the next."""

    def scale(self, service: str, workers: int, by: str) -> None:
        """Have so many workers of a service. Remembered. Raises UnknownTarget; ValueError for an impossible number."""

    def reload_workers(self, names: Sequence[WorkerName], by: str, done: Callable[[list[Told]], None]) -> None:
        """Tell those that run to read their own configuration again, by their service's ``reload``.

        Calls ``done`` once, when all have been told and the commands for it have ended, perhaps from within this call.
        Raises NotReloadable when a service has no such key; then nobody was told.
        """

    def plan(self) -> Plan:
        """Read the configuration and tell what ``reload`` would change. Raises as ``reload`` does."""

    @property
    def health(self) -> Callable[[], Health]:
        """Judges how well all of it is."""

    def status_text(self, name: WorkerName) -> str:
        """What the worker's program says of itself (STATUS= of sd_notify); empty when nothing."""

    def signal(self, name: WorkerName, number: int, by: str, whole_tree: bool = False) -> ProcessId:
        """Send a signal through the worker's pidfd now. Raises NoProcess, and kernel.errors.KernelError as it is."""

    def look(self, names: Sequence[WorkerName], done: Callable[[list[Member] | None], None]) -> Callable[[], None]:
        """Find all processes of workers, and call ``done`` in a later turn; with None when that took too long.

        Returns:
            to be called when nobody wants to know any more; harmless afterwards. Raises ValueError when too many ask,
            and KernelError, OSError when nobody can be sent to look.
        """

    def events(self, since: int, limit: int) -> list[EventRow]:
        """Remembered events with seq > since, oldest first; with since < 0 the newest ``-since``."""

    def subscribe(self, callback: Callable[[EventRow], None]) -> Callable[[], None]:
        """Call back after each new event, also each transition, until the returned function is called."""

    def reload(self, by: str) -> str:
        """Read the configuration again and change what changed; returns what was done, in sentences.

        Raises config.errors.ConfigError when the file is invalid; then nothing has changed.
        """

    def shutdown(self, by: str, at_once: bool = False) -> None:
        """Stop everything and end."""

    def about(self) -> About:
        """Facts about the supervisor."""
