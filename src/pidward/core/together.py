"""Workers of a group that go down together, and then come up again or fail together."""

from collections.abc import Iterable

from pidward.core import events as on
from pidward.core.engine import Engine
from pidward.core.groups import Fate, Groups
from pidward.core.model import Phase, Wanted, Worker, WorkerName
from pidward.core.order import Descent
from pidward.core.restart import shall_restart
from pidward.core.roster import is_up
from pidward.core.spec import Exhausted, ServiceSpec
from pidward.core.units import Instant

_DELAYED = frozenset({Phase.BACKING_OFF, Phase.SLOW_LANE})
_ENDS = (on.Exited, on.TreeEmptied, on.SpawnFailed)


class Common:
    """One such fate, while it lasts."""

    def __init__(self, fate: Fate, trigger: WorkerName | None, names: Iterable[WorkerName]) -> None:
        self.fate = fate
        self.trigger = trigger  # whose own delay the others wait for; None: nobody's
        self.names = dict.fromkeys(names)  # in order of the file
        self.descent: Descent | None = None  # until all are down
        self.obstacle = f"waits for its group {fate.group.name}"


class Fates:
    """Carries out what ``Groups`` decides."""

    def __init__(self, engine: Engine) -> None:
        self._engine, self._roster = engine, engine.roster
        self.groups = Groups()
        self._held: dict[WorkerName, Common] = {}
        self.clear = self._held.clear

    def obstacle(self, worker: Worker, event: on.WorkerEvent, now: Instant) -> str:
        """Say that a member waits for its group; also one that is going to because of this very event."""
        if worker.name in self._held:
            return self._held[worker.name].obstacle
        if self._engine.ending or worker.again or not isinstance(event, _ENDS):
            return ""
        group = self.groups.decides(worker.name.service, now)
        return f"waits for its group {group}" if group else ""

    def moved(self, before: Worker, after: Worker, spec: ServiceSpec) -> None:
        """Did a member of a group end unasked, or is it one whose others wait for its delay?"""
        common = self._held.get(after.name)
        if common is not None:
            self._release(common)
        elif after.wanted is Wanted.UP and not before.again and before.phase.has_process:
            to_restart, why = shall_restart(spec.restart, after.last_exit, after.fault)
            exhausted = after.phase is Phase.FAILED and to_restart
            starts = after.phase in _DELAYED or after.held or (after.phase is Phase.STARTING and after.spawning)
            fate = self.groups.fell(after.name, why, self._engine.now, exhausted) if exhausted or starts else None
            if fate is not None:
                self._begin(fate, after.name)

    def forget(self, name: WorkerName) -> None:
        """The worker left."""
        common = self._held.pop(name, None)
        if common is not None:
            self._release(common)

    def _begin(self, fate: Fate, fallen: WorkerName) -> None:
        if fate.gives_up and fate.group.then is Exhausted.STOP_ALL:
            self._engine.gave_up(f"{fate.why}, and everything stops with it")
            return
        if not fate.services:  # nobody else is meant
            self._engine.follow([on.Reconsidered(fallen, _starts_again(fate))])
            return
        names = {w.name for service in fate.services for w in self._roster.crew(service) if is_up(w)} | {fallen}
        for name in list(names):
            if name in self._held:
                names |= self._supersede(self._held[name])
        trigger = None if fate.escalated else fallen
        common = Common(fate, trigger, [name for name in self._roster.workers if name in names])
        self._held.update(dict.fromkeys(common.names, common))

        def ask(name: WorkerName) -> None:
            worker = self._roster.workers[name]
            if fate.gives_up:
                self._engine.tell(on.Abandoned(name, fate.why))
            elif is_up(worker) or (name == fallen and worker.wanted is Wanted.UP):
                self._engine.tell(on.RestartAsked(name, f"its group {fate.group.name}, because of {fate.why}"))

        def then() -> None:
            common.descent = None
            self._release(common)

        others = [name for name in common.names if name != trigger]
        common.descent = Descent(self._engine.batches(others), ask, then)
        self._engine.descents.append(common.descent)

    def _supersede(self, older: Common) -> set[WorkerName]:
        """A larger fate takes over: the names of the older one."""
        self._engine.descents = [d for d in self._engine.descents if d is not older.descent]
        return {name for name in older.names if self._held.pop(name, None) is not None}

    def _release(self, common: Common) -> None:
        """Let them go on as soon as all are down and the delay of the first is over."""
        trigger = self._roster.workers.get(common.trigger) if common.trigger else None
        if common.descent is not None or (trigger is not None and trigger.phase in _DELAYED):
            return
        fate = common.fate
        names = [name for name in common.names if self._held.get(name) is common]
        for name in names:
            del self._held[name]
        if fate.gives_up:
            self._engine.follow([on.Abandoned(name, fate.why) for name in names])
        else:
            self._engine.follow([on.Reconsidered(name, _starts_again(fate)) for name in names])


def _starts_again(fate: Fate) -> str:
    return f"its group {fate.group.name} starts again"
