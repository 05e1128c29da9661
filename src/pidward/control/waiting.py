"""Answers a request when each of its workers has got where it should be, or cannot, or the time is over."""

from collections.abc import Callable, Sequence

from pidward.control.conversation import Conversation
from pidward.control.goals import Goal, Outcome, judge
from pidward.control.interface import refused
from pidward.control.views import show_exit, show_process
from pidward.core.model import ExitStatus, ProcessId, Worker, WorkerName
from pidward.core.restart import describe
from pidward.core.units import Instant
from pidward.runtime.desk import Desk, EventRow
from pidward.runtime.loop import Loop, Timer

REMOVED = "removed from the configuration"


def result_of(name: WorkerName, worker: Worker | None, reached: bool, removed: str = REMOVED) -> dict[str, object]:
    """The interface's Result. ``removed``: why it may be no more."""
    if worker is None:
        gone = {"worker": str(name), "reached": reached, "phase": "removed", "reason": removed}
        return {**gone, "process": None, "exit": None}
    return {
        "worker": str(name),
        "reached": reached,
        "phase": worker.phase.value,
        "reason": worker.explanation,
        "process": show_process(worker.process),
        "exit": None if worker.last_exit is None else show_exit(worker.last_exit),
    }


def _end_of(process: ProcessId, result: dict[str, object], status: ExitStatus | None) -> dict[str, object]:
    """The Result of one whose process was waited for, whatever it does by now."""
    return {**result, "phase": "ended", "process": str(process), "reason": describe(status)}


class Waiting:
    """One request of some workers. Looks again at a worker whenever something happened to it.

    together: the first that cannot get there ends the waiting for all.
    asked: failures before this instant are nobody's concern; None: before now.
    removed: why one of them may be no more.
    """

    def __init__(
        self,
        desk: Desk,
        loop: Loop,
        talk: Conversation,
        goal: Goal,
        names: Sequence[WorkerName],
        together: bool = False,
        asked: Instant | None = None,
        removed: str = REMOVED,
    ) -> None:
        self._desk, self._loop, self._talk, self._goal, self._together = desk, loop, talk, goal, together
        self._removed = removed
        self._asked = Instant(desk.now()) if asked is None else asked
        self._before: dict[str, ProcessId | None] = {}
        for name in names:
            worker = desk.worker(name)
            self._before[str(name)] = None if worker is None else worker.process
        self._pending = {str(name): name for name in names}
        self._changed: dict[str, None] = {}  # in order of happening
        self._results: list[dict[str, object]] = []  # not sent yet
        self._deadline: Timer | None = None
        self._next_look: Timer | None = None

    def begin(self, ask: Callable[[], None], timeout: float | None) -> None:
        """Make the request, and answer it now or when the time has come."""
        ask()
        unsubscribe = self._desk.subscribe(self._happened)
        self._talk.on_gone = lambda: self._end(unsubscribe)
        if timeout is not None:
            self._deadline = self._loop.call_at(Instant(self._loop.now() + timeout), self._time_over)
        self._changed = dict.fromkeys(self._pending)
        self._look()

    def _end(self, unsubscribe: Callable[[], None]) -> None:
        unsubscribe()
        for timer in (self._deadline, self._next_look):
            if timer is not None:
                timer.cancel()

    def _happened(self, row: EventRow) -> None:
        """Remember whom it was about; the loop may have something urgent to do about it first."""
        if row.worker in self._pending:
            if not self._changed:
                self._next_look = self._loop.call_at(self._loop.now(), self._look)
            self._changed[row.worker] = None

    def _look(self) -> None:
        changed, self._changed = self._changed, {}
        for text in changed:
            name = self._pending[text]
            worker = self._desk.worker(name)
            verdict = judge(self._goal, worker, self._asked, self._before[text])
            if verdict.outcome is not Outcome.PENDING:
                del self._pending[text]
                self._results.append(self._result(name, worker, verdict.outcome is Outcome.REACHED))
                if self._together and verdict.outcome is Outcome.FAILED:
                    self._results += self._late()
                    self._pending.clear()
                    break
        if not self._pending:
            self._talk.answer({"results": self._results})
        elif self._results and self._talk.more:
            results, self._results = self._results, []
            self._talk.answer({"results": results}, continues=True)

    def _result(self, name: WorkerName, worker: Worker | None, reached: bool) -> dict[str, object]:
        result, process = result_of(name, worker, reached, self._removed), self._before[str(name)]
        if self._goal is not Goal.EXIT or worker is None or process is None:
            return result
        return _end_of(process, result, worker.last_exit)

    def _time_over(self) -> None:
        self._talk.fail(refused("TimedOut", results=self._results + self._late()))

    def _late(self) -> list[dict[str, object]]:
        return [result_of(name, self._desk.worker(name), reached=False) for name in self._pending.values()]
