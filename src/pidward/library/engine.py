"""A supervisor in a thread of this program, and how other threads speak with it: every request is a future."""

import atexit
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import Any, TypeVar

from pidward.control.goals import Goal, Outcome, judge
from pidward.core.model import EventRow, ProcessId, Worker, WorkerName
from pidward.core.spec import Configuration
from pidward.core.units import Instant
from pidward.kernel.cgroup import locate
from pidward.library.remains import PREFIX, remove_remains
from pidward.runtime.desk import Desk
from pidward.runtime.loop import Loop
from pidward.runtime.mailbox import Mailbox
from pidward.runtime.main import Options, run

BY = "the program"
"""Who asked, in the reasons that are recorded."""
MOST_REQUESTS = 500
"""Unanswered at a time; fewer than the mailbox holds."""

_T = TypeVar("_T")


class Failed(Exception):
    """Workers did not get where they were asked to be, and will not soon. The message has the reasons."""

    def __init__(self, workers: Sequence[tuple[WorkerName, Worker | None]]) -> None:
        told = [f"{name}: {worker.reason if worker else 'no longer in the configuration'}" for name, worker in workers]
        super().__init__("; ".join(told))
        self.workers = tuple(name for name, _ in workers)


class Ended(Exception):
    """The supervisor does not run: it has not been started, or has ended."""


class Engine:
    """The thread. Its methods may be called from any other.

    Args:
        configuration: all services.
        state_dir: where the record, the spools and the logs are; None: a temporary directory.
        instance: its name, which is in its workers' environment.
    """

    def __init__(self, configuration: Configuration, state_dir: str | None, instance: str) -> None:
        self._configuration, self._state_dir, self._instance = configuration, state_dir, instance
        self._thread = threading.Thread(target=self._run, name=f"pidward {instance}", daemon=True)
        self._owner = os.getpid()
        self._lock = threading.Lock()
        self._loop: Loop | None = None
        self._desk: Desk | None = None
        self._mailbox: Mailbox | None = None
        self._pending: set[Future[Any]] = set()
        self._on_end: list[Callable[[], None]] = []
        self._started: Future[None] = Future()
        self.ended: Future[int] = Future()

    # --- its life

    def begin(self) -> Future[None]:
        """Start the thread; done when the first workers have been spawned. Fails with what ``runtime.main`` raises."""
        atexit.register(self.close)
        self._thread.start()
        return self._started

    def shut_down(self, at_once: bool = False) -> None:
        """Ask everything to end; ``ended`` tells when it has. Harmless when it has."""
        with suppress(Ended):
            self.ask(lambda desk: desk.shutdown(BY, at_once))

    def close(self) -> None:
        """Stop all workers, in reverse order and with their grace, and wait for the end. A ^C meanwhile: at once."""
        atexit.unregister(self.close)
        if self._owner != os.getpid() or not self._thread.is_alive():
            return  # a fork of the program has no such thread
        self.shut_down()
        try:
            self._thread.join()
        except KeyboardInterrupt:
            self.shut_down(at_once=True)
            self._thread.join()
            raise

    def _run(self) -> None:
        scratch = None
        try:
            remove_remains(locate())
            scratch = tempfile.mkdtemp(prefix=PREFIX)
            finish = run(Options(
                config_path=self._configuration.path or "the program",
                state_dir=self._state_dir or f"{scratch}/state",
                runtime_dir=f"{scratch}/run",
                instance=self._instance,
                read_configuration=lambda: self._configuration,
                serve=self._serve,
                embedded=True,
            ))  # fmt: skip
        except BaseException as error:  # noqa: BLE001 - it is raised where somebody waits
            self._end_with(error)
        else:
            self._end_with(1 if finish.failed else 0)
        finally:
            if scratch is not None:
                shutil.rmtree(scratch, ignore_errors=True)

    def _serve(self, loop: Loop, desk: Desk) -> "Engine._Serving":
        with self._lock:
            self._loop, self._desk, self._mailbox = loop, desk, Mailbox(loop)
            self._mailbox.post(lambda: self._started.set_result(None))  # comes in the first turn, after the start
        return self._Serving(self)

    class _Serving:
        """What the supervisor closes at its end."""

        def __init__(self, engine: "Engine") -> None:
            self._engine = engine

        def close(self) -> None:
            """No more requests."""
            engine = self._engine
            with engine._lock:
                mailbox, engine._mailbox = engine._mailbox, None
            if mailbox is not None:
                mailbox.close()

    def _end_with(self, result: int | BaseException) -> None:
        with self._lock:
            pending, on_end = list(self._pending), self._on_end[:]
        if not self._started.done():
            self._started.set_exception(result if isinstance(result, BaseException) else Ended("it ended at once"))
        for future in pending:
            with suppress(InvalidStateError):
                future.set_exception(Ended("the supervisor ended meanwhile"))
        if isinstance(result, BaseException):
            self.ended.set_exception(result)
        else:
            self.ended.set_result(result)
        for call in on_end:
            call()

    # --- requests

    def ask(self, call: Callable[[Desk], _T]) -> "Future[_T]":
        """Call in the supervisor's thread; the result, or what it raises, comes by the future.

        Raises:
            Ended: there is no supervisor to ask, or too many questions are open.
        """
        future: Future[_T] = Future()
        self._post(future, lambda desk, _loop: _settle(future, call, desk))
        return future

    def reach(
        self,
        goal: Goal,
        targets: Sequence[str],
        act: Callable[[Desk, list[WorkerName]], None] | None,
        timeout: float | None,
    ) -> "Future[list[Worker]]":
        """Do something with some workers, and wait until each is where it should be.

        Args:
            goal: where.
            targets: "web", "web/2"; none for all.
            act: asks for it; None only waits, and what happened before counts too.
            timeout: seconds; None: no limit.

        Returns:
            A future of the workers, as they are then. It raises Failed, UnknownTarget or TimeoutError. Cancelling it
            ends the waiting, not what was asked for.
        """
        future: Future[list[Worker]] = Future()

        def begin(desk: Desk, loop: Loop) -> None:
            try:
                asked = Instant(0.0 if act is None else desk.now())
                reaching = _Reaching(desk, goal, desk.resolve(targets), asked, future)
                if act is not None:
                    act(desk, reaching.names)
            except Exception as error:  # noqa: BLE001 - it is raised where somebody waits
                _fail(future, error)
                return
            unsubscribe = desk.subscribe(lambda _row: reaching.look())
            late = TimeoutError(f"{', '.join(targets) or 'not all workers'}: not {goal.value} after {timeout} s")
            timer = None if timeout is None else loop.call_at(
                Instant(loop.now() + timeout), lambda: _fail(future, late)
            )  # fmt: skip

            def forget() -> None:
                unsubscribe()
                if timer is not None:
                    timer.cancel()

            future.add_done_callback(lambda _done: self._call_soon(forget))
            reaching.look()

        self._post(future, begin)
        return future

    def subscribe(self, callback: Callable[[EventRow], None], on_end: Callable[[], None]) -> Callable[[], None]:
        """Call back in the supervisor's thread after each event from now on, and at the end; returns how to end that.

        The callback must not wait and must not raise.
        """
        unsubscribe = self.ask(lambda desk: desk.subscribe(callback)).result()
        with self._lock:
            self._on_end.append(on_end)
        if self.ended.done():
            on_end()

        def end() -> None:
            with self._lock:
                if on_end in self._on_end:
                    self._on_end.remove(on_end)
            self._call_soon(unsubscribe)

        return end

    def change(self, configuration: Configuration) -> "Future[str]":
        """Put another configuration in force; what runs unchanged is not touched."""

        def replace(desk: Desk) -> str:
            self._configuration = configuration
            return desk.reload(BY)

        return self.ask(replace)

    def _post(self, future: "Future[Any]", call: Callable[[Desk, Loop], None]) -> None:
        with self._lock:
            desk, loop, mailbox = self._desk, self._loop, self._mailbox
            if mailbox is None or desk is None or loop is None:
                raise Ended("the supervisor does not run")
            if len(self._pending) >= MOST_REQUESTS:
                raise Ended(f"{MOST_REQUESTS} requests are waiting already")
            self._pending.add(future)
            future.add_done_callback(self._pending.discard)
            mailbox.post(lambda: call(desk, loop))

    def _call_soon(self, call: Callable[[], None]) -> None:
        with self._lock:
            if self._mailbox is not None:
                self._mailbox.post(call)


class _Reaching:
    """Some workers on their way."""

    def __init__(
        self, desk: Desk, goal: Goal, names: list[WorkerName], asked: Instant, future: "Future[list[Worker]]"
    ) -> None:
        self.names = names
        self._desk, self._goal, self._asked, self._future = desk, goal, asked, future
        self._before: dict[WorkerName, ProcessId | None] = {}
        for name in names:
            worker = desk.worker(name)
            self._before[name] = None if worker is None else worker.process

    def look(self) -> None:
        """Tell the future when all have arrived, or when one cannot."""
        found = [(name, self._desk.worker(name)) for name in self.names]
        outcomes = [judge(self._goal, worker, self._asked, self._before[name]).outcome for name, worker in found]
        failed = [pair for pair, outcome in zip(found, outcomes, strict=True) if outcome is Outcome.FAILED]
        if failed:
            _fail(self._future, Failed(failed))
        elif Outcome.PENDING not in outcomes:
            with suppress(InvalidStateError):
                self._future.set_result([worker for _, worker in found if worker is not None])


def _settle(future: "Future[_T]", call: Callable[[Desk], _T], desk: Desk) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(call(desk))
    except Exception as error:  # noqa: BLE001 - it is raised where somebody waits
        _fail(future, error)


def _fail(future: "Future[Any]", error: Exception) -> None:
    with suppress(InvalidStateError):
        future.set_exception(error)
