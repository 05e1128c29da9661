"""Another configuration, another number of workers: what is there becomes what is to be there."""

from collections.abc import Iterable, Sequence

from pidward.core import events as on
from pidward.core.actions import Record
from pidward.core.adoption import Adopted, adopted_worker
from pidward.core.change import Change, Consequence, compare
from pidward.core.dependencies import Dependencies
from pidward.core.engine import Engine
from pidward.core.lean import assert_never
from pidward.core.model import Phase, Wanted, Worker, WorkerName
from pidward.core.rolling import Rolls
from pidward.core.roster import why_down
from pidward.core.spec import Configuration, ServiceSpec
from pidward.core.together import Fates
from pidward.core.transitions import idle_reason
from pidward.core.units import Seconds
from pidward.core.worker import new_worker


class Adapting:
    """Adds and removes workers, and has those that stay follow their specs."""

    def __init__(self, engine: Engine, dependencies: Dependencies, fates: Fates, rolls: Rolls) -> None:
        self._engine, self._roster = engine, engine.roster
        self._dependencies, self._fates, self._rolls = dependencies, fates, rolls

    def configure(self, configuration: Configuration) -> None:
        """Know the specs; no worker is touched."""
        self._roster.configure(configuration)
        self._dependencies.configure()
        self._fates.groups.configure(configuration)

    def add(self, name: WorkerName, by: str, down: str = "", *, stopped: bool = False) -> None:
        """Add a worker, and start it unless it has nothing to do yet, or ``down`` says why it is not to run.

        With ``stopped`` an operator wants it down; else the first who needs it has it started.
        """
        idle = idle_reason(self._roster.specs[name.service])
        if not down and not idle:
            self._engine.begin(name, by)
            return
        wanted = Wanted.DOWN if down else Wanted.UP
        worker = new_worker(name, wanted, self._engine.now, down or idle)
        self._roster.add(worker)
        if down and not stopped:
            self._roster.unwanted.add(name)
        self._engine.act(Record(name, None, worker.phase, worker.reason, wanted))
        self._dependencies.moved(name)

    # --- workers of an earlier supervisor

    def take_over(self, one: Adopted, reason: str, away: Seconds, *, is_wanted: bool) -> None:
        """Know a worker that lives on as it was; or that has ended, which ``tell_end`` is to tell."""
        name = one.recorded.name
        spec = self._roster.specs[name.service]
        worker = adopted_worker(one, spec, Wanted.UP if is_wanted else Wanted.DOWN, reason, away)
        self._roster.add(worker)
        if one.exit is not None:
            return
        self._engine.act(Record(name, None, worker.phase, reason, worker.wanted, worker.process))
        self._dependencies.moved(name)
        if worker.phase is Phase.STARTING:
            self._engine.follow([on.Executed(name, one.process)])
        elif worker.phase is Phase.RUNNING and spec.ready is None:
            self._engine.follow([on.Reconsidered(name, "nothing more is asked of it to be ready")])

    def tell_end(self, one: Adopted) -> None:
        """A process has ended while there was no supervisor; what follows is as always."""
        assert one.exit is not None
        self._engine.tell(on.Exited(one.recorded.name, one.process, one.exit, one.left_behind))

    def conform(self, old: Sequence[Adopted], by: str) -> None:
        """Stop those that live on and are not wanted, and replace those that were started as nobody is now."""
        rolling: dict[ServiceSpec, list[WorkerName]] = {}
        for one in old:
            name = one.recorded.name
            spec, worker = self._roster.specs[name.service], self._roster.workers.get(name)
            if name.number > self._roster.scale(name.service):
                self._dismiss(name, by)
            elif worker is None or worker.process != one.process:
                pass
            elif worker.wanted is Wanted.DOWN:
                self._engine.tell(on.StopAsked(name, by))
            elif one.replace and spec.rolling:
                rolling.setdefault(spec, []).append(name)
            elif one.replace:
                self._engine.tell(on.RestartAsked(name, f"{by}: {one.replace}"))
        for spec, names in rolling.items():
            self._rolls.begin(names, by, spec.rolling, asked=False)

    def forget(self, worker: Worker) -> None:
        """A worker that left is down: nobody knows it any more."""
        name = worker.name
        self._roster.remove(name)
        self._engine.act(Record(name, worker.phase, None, "no longer in the configuration", worker.wanted))
        self._dependencies.moved(name)
        self._fates.forget(name)

    # --- another number of workers

    def scale(self, event: on.ScaleAsked) -> None:
        """Somebody wants another number; it holds until the file says another one, too."""
        why_not = self._roster.cannot_scale(event.service, event.workers)
        if why_not:
            self._engine.note(f"not scaled by {event.by}: {why_not}")
            return
        self._roster.scales[event.service] = event.workers
        self._set_scale(event.service, event.workers, event.by)
        self._roster.sort()
        self._dependencies.call(event.service, event.by, asked=False)

    def _set_scale(self, service: str, workers: int, by: str, down: str = "") -> None:
        """Have as many workers, numbered from 1; the others leave, the last first."""
        here = self._roster.crews[service]
        for name in sorted((name for name in here if name.number > workers), reverse=True):
            self._dismiss(name, by)
        for name in (WorkerName(service, number) for number in range(1, workers + 1)):
            if name in self._roster.leaving:  # it was on its way out, and is wanted again
                self._roster.leaving.discard(name)
                self._engine.tell(on.StartAsked(name, by))
                self._dependencies.moved(name)
            elif name not in self._roster.workers:
                self.add(name, by, down)

    def _dismiss(self, name: WorkerName, by: str) -> None:
        """Have one leave."""
        self._roster.leaving.add(name)
        self._rolls.drop(name)
        self._engine.tell(on.StopAsked(name, by))
        worker = self._roster.workers.get(name)
        if worker is not None and worker.phase.is_final:  # it was down already, and made no transition
            self.forget(worker)
        self._dependencies.moved(name)  # nobody has to wait for it

    # --- another configuration

    def reconfigure(self, event: on.Reconfigured) -> None:
        """Change what changed."""
        before = dict(self._roster.specs)
        changes = compare(self._roster.configuration, event.configuration)
        veterans = {change.service: list(self._roster.crews.get(change.service, ())) for change in changes}
        self.configure(event.configuration)
        for change in changes:
            self._change(change, veterans[change.service], event.by)
        self._roster.sort()
        for worker in list(self._roster.workers.values()):
            self._follow_spec(worker, before.get(worker.name.service), event.by)

    def _change(self, change: Change, veterans: list[WorkerName], by: str) -> None:
        """Make one change; ``veterans`` are the workers of before all changes."""
        spec = self._roster.specs[change.service]
        match change.consequence:
            case Consequence.REMOVE:
                self._roster.scales.pop(spec.name, None)
                self._set_scale(spec.name, 0, by)
            case Consequence.ADD | Consequence.SCALE:
                self._roster.scales.pop(spec.name, None)
                down = why_down(spec, WorkerName(spec.name, 1), {}, frozenset())
                self._set_scale(spec.name, spec.workers, by, down)
            case Consequence.RESTART if spec.rolling:
                self._rolls.begin(veterans, by, spec.rolling, asked=False)
            case Consequence.RESTART:
                self._restart(veterans, by)
            case Consequence.ADOPT:
                pass  # the new spec is in place; running processes keep what was fixed when they started
            case _:
                assert_never(change.consequence)

    def _restart(self, names: Iterable[WorkerName], by: str) -> None:
        """Have workers run as specified now; who waits for a delay or gave up may do better with that."""
        for name in names:
            worker = self._roster.workers.get(name)
            if worker is None or worker.wanted is Wanted.DOWN or worker.phase is Phase.COMPLETED or worker.is_idle:
                continue
            self._engine.tell(on.RestartAsked(name, by))

    def _follow_spec(self, worker: Worker, before: ServiceSpec | None, by: str) -> None:
        """What a worker waits for may be another thing now."""
        spec = self._roster.specs[worker.name.service]
        if worker.scheduled and spec.schedule is None:
            self._roster.workers[worker.name] = worker = worker._replace(scheduled=False)
        if worker.held:
            self._dependencies.hold(worker)
            self._dependencies.call(spec.name, by, asked=False)
            self._engine.follow([on.Reconsidered(worker.name, f"the configuration was changed by {by}")])
        elif worker.is_idle and not idle_reason(spec):
            self._engine.follow([on.StartAsked(worker.name, by)])
        elif worker.phase is Phase.RUNNING and before is not None and before.ready != spec.ready:
            self._engine.follow([on.Reconsidered(worker.name, "it is to be ready by other means now")])
