"""A supervisor embedded in a program: services run while a block runs, and nothing of them stays."""

import os
import threading
from collections import deque
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from pidward.control.goals import Goal
from pidward.core.model import EventRow, ProcessId, Worker
from pidward.core.signals import parse_signal
from pidward.core.spec import Configuration, ServiceSpec
from pidward.library.engine import BY, Ended, Engine, Failed
from pidward.library.services import configuration_of

__all__ = ["Ended", "Event", "Events", "Failed", "Supervisor"]

Event = EventRow
MOST_EVENTS = 10_000
"""Waiting for a slow reader; then the oldest are dropped and counted."""


class Supervisor:
    """Supervises services in a thread of this program. No control socket, no signals, no command.

    A context manager: it starts at the beginning of the block, and at the end it stops every worker, in reverse order
    and with its grace, kills what is left of their trees, and removes what it made. When the program ends without that,
    by its last line, ``sys.exit`` or an exception, it is done then. A signal that ends the program and ``os._exit``
    leave workers behind: see docs/library.md for SIGTERM.

    Args:
        services: what to run; see ``service``.
        state_dir: keeps the record, the logs, and what was wanted; None: a temporary directory.
        name: of the instance; for people, and in the workers' environment as PIDWARD_INSTANCE.

    Raises:
        ValueError: two services have one name, or depend on what is not there or on each other.
    """

    def __init__(
        self, *services: ServiceSpec, state_dir: str | os.PathLike[str] | None = None, name: str = "embedded"
    ) -> None:
        self._take(configuration_of(services), state_dir, name)

    def _take(self, configuration: Configuration, state_dir: str | os.PathLike[str] | None, name: str) -> None:
        self._engine = Engine(configuration, None if state_dir is None else os.path.abspath(state_dir), name)

    @classmethod
    def from_file(
        cls, path: str | os.PathLike[str], *, state_dir: str | os.PathLike[str] | None = None, name: str = "embedded"
    ) -> Self:
        """Take the services of a ``pidward.toml``. Raises config.errors.ConfigError with all that is wrong in it."""
        from pidward.config.load import load  # noqa: PLC0415 - only for those who have a file

        self = cls.__new__(cls)
        self._take(load(os.fspath(path)), state_dir, name)
        return self

    def __enter__(self) -> Self:
        """Start; the first workers have been spawned then. Raises CannotStart."""
        self._engine.begin().result()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._engine.close()
        if error is None:
            self._engine.ended.result()  # raises what ended it, if that was no shutdown

    # --- what is asked of workers: of "web", of "web/2", or of all when nobody is named

    def start(self, *targets: str, timeout: float | None = None) -> list[Worker]:
        """Want them up, and wait until each is ready or has done its work.

        Raises:
            Failed: one ended and will not be tried again, or has failed three times in a row.
            UnknownTarget: no such service or worker.
            TimeoutError: after so many seconds; what was asked for stays asked for.
            Ended: the supervisor does not run.
        """
        return self._engine.reach(Goal.UP, targets, lambda desk, names: desk.start(names, BY), timeout).result()

    def stop(self, *targets: str, timeout: float | None = None) -> list[Worker]:
        """Want them down, and wait until nothing of them lives. Raises as ``start``."""
        return self._engine.reach(Goal.DOWN, targets, lambda desk, names: desk.stop(names, BY), timeout).result()

    def restart(self, *targets: str, timeout: float | None = None) -> list[Worker]:
        """Replace their processes, and wait until the new ones are ready. Raises as ``start``."""
        return self._engine.reach(Goal.REPLACED, targets, lambda desk, names: desk.restart(names, BY), timeout).result()

    def wait_ready(self, *targets: str, timeout: float | None = None) -> list[Worker]:
        """Ask for nothing; wait until each is ready or has done its work. Raises as ``start``."""
        return self._engine.reach(Goal.UP, targets, None, timeout).result()

    def signal(self, target: str, number: int | str, *, tree: bool = False) -> list[ProcessId]:
        """Send a signal to the workers' processes, or to their whole trees; returns whom.

        Raises:
            NoProcess: a worker has none now.
            UnknownTarget, KernelError, Ended.
        """
        sent = parse_signal(number)
        return self._engine.ask(
            lambda desk: [desk.signal(name, sent, BY, tree) for name in desk.resolve([target])]
        ).result()

    def status(self, *targets: str) -> list[Worker]:
        """The workers as they are now."""
        return self._engine.ask(
            lambda desk: [worker for name in desk.resolve(targets) if (worker := desk.worker(name)) is not None]
        ).result()

    def change(self, *services: ServiceSpec) -> str:
        """Run these services from now on; only what changed is touched. Returns what was done, in sentences.

        Raises:
            ValueError: as for a new Supervisor; nothing was changed.
            Ended: the supervisor does not run.
        """
        return self._engine.change(configuration_of(services)).result()

    def events(self) -> "Events":
        """What happens from now on: an iterator that ends with the supervisor."""
        return Events(self._engine)


class Events:
    """An iterator over events. Close it, or use it as a context manager, to end it before the supervisor does.

    dropped: how many were lost because nobody took them in time.
    """

    def __init__(self, engine: Engine) -> None:
        self.dropped = 0
        self._waiting: deque[EventRow] = deque(maxlen=MOST_EVENTS)
        self._changed = threading.Condition()
        self._is_over = False
        self._unsubscribe = engine.subscribe(self._take, self._end)

    def __iter__(self) -> Iterator[EventRow]:
        return self

    def __next__(self) -> EventRow:
        """Wait for the next one."""
        with self._changed:
            while not self._waiting:
                if self._is_over:
                    raise StopIteration
                self._changed.wait()
            return self._waiting.popleft()

    def close(self) -> None:
        """No more events; who waits for one is told."""
        self._unsubscribe()
        self._end()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _take(self, event: EventRow) -> None:
        with self._changed:
            self.dropped += len(self._waiting) == MOST_EVENTS
            self._waiting.append(event)
            self._changed.notify()

    def _end(self) -> None:
        with self._changed:
            self._is_over = True
            self._changed.notify_all()
