"""Rolling restarts: some workers at a time, the next when these are ready."""

from collections import deque
from collections.abc import Iterable

from pidward.core import events as on
from pidward.core.engine import Engine
from pidward.core.model import Phase, Wanted, Worker, WorkerName

_FAILED = frozenset({Phase.FAILED, Phase.BACKING_OFF, Phase.SLOW_LANE, Phase.STOPPED})


class Roll:
    """One rolling restart. ``asked`` for by name are also those of it that do not run."""

    def __init__(self, names: Iterable[WorkerName], by: str, step: int, *, asked: bool) -> None:
        self.by, self.step = by, max(1, step)
        self.waiting = deque(names)
        self._asked = set(self.waiting if asked else ())
        self.batch: dict[WorkerName, None] = {}  # restarting
        self.replaced = 0

    def next_batch(self, workers: dict[WorkerName, Worker]) -> list[WorkerName]:
        """Take those that are next; nobody who was stopped meanwhile, and unless asked for, only who is to run."""
        while self.waiting and len(self.batch) < self.step:
            worker = workers.get(self.waiting.popleft())
            if worker is not None and (worker.name in self._asked or _may_roll(worker)):
                self.batch[worker.name] = None
        return list(self.batch)

    def moved(self, worker: Worker) -> str:
        """A worker made a transition. Says why the roll ends with that; empty: it does not."""
        if worker.name not in self.batch:
            return ""
        if worker.phase in (Phase.READY, Phase.COMPLETED) or worker.is_idle:
            del self.batch[worker.name]
            self.replaced += 1
        elif worker.phase in _FAILED:
            rest = ", ".join(map(str, self.waiting))
            left = f"; {rest} still run the version from before" if rest else ""
            how = f"{worker.phase.value}: {worker.reason}"
            return f"the rolling restart by {self.by} ends with {worker.name}, {how}{left}"
        return ""

    def refuse(self, name: WorkerName) -> None:
        """Somebody wants the worker down, which is newer than the wish to have it restarted."""
        self._asked.discard(name)

    def drop(self, name: WorkerName) -> None:
        """The worker is no part of it any more."""
        self.refuse(name)
        self.batch.pop(name, None)
        if name in self.waiting:
            self.waiting.remove(name)


class Rolls:
    """All rolling restarts that go on."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._rolls: list[Roll] = []
        self.clear = self._rolls.clear

    def begin(self, names: Iterable[WorkerName], by: str, step: int, *, asked: bool) -> None:
        """Begin one; its workers are no part of older ones any more."""
        leaving = self._engine.roster.leaving
        chosen = [name for name in dict.fromkeys(names) if name not in leaving]
        for name in chosen:
            self.drop(name)
        self._rolls.append(Roll(chosen, by, step, asked=asked))

    def drop(self, name: WorkerName) -> None:
        """The worker leaves."""
        for roll in self._rolls:
            roll.drop(name)

    def refuse(self, name: WorkerName) -> None:
        """Somebody wants the worker down."""
        for roll in self._rolls:
            roll.refuse(name)

    def moved(self, worker: Worker) -> None:
        """A worker made a transition."""
        for roll in list(self._rolls):
            failure = roll.moved(worker)
            if failure:
                self._rolls.remove(roll)
                self._engine.note(failure, worker.name)

    def go_on(self) -> None:
        """Restart the next batch of each one whose last batch is ready."""
        if not self._rolls:  # as after almost every event
            return
        for roll in [roll for roll in self._rolls if not roll.batch]:
            names = roll.next_batch(self._engine.roster.workers)
            self._engine.follow(on.RestartAsked(name, f"{roll.by}, in its turn") for name in names)
            if not names:
                self._rolls.remove(roll)
                self._engine.note(f"the rolling restart by {roll.by} is over: {roll.replaced} replaced")


def _may_roll(worker: Worker) -> bool:
    """There is something to replace, or to try again."""
    return worker.wanted is Wanted.UP and worker.phase is not Phase.COMPLETED and not worker.is_idle
