"""All services together: the whole of what pidward decides.

Holds state and does no I/O: events go in by ``step``, actions come out. The state is changed in place because a
copy of a thousand workers for every event would cost more than the event; every worker in it is still an immutable
value that only ``core.worker`` makes. Each concern has its own file, which sees the others through ``core.engine``.
"""

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType

from pidward.core import events as on
from pidward.core.actions import Action, Finish
from pidward.core.adapting import Adapting
from pidward.core.adoption import Legacy
from pidward.core.dependencies import Dependencies
from pidward.core.engine import Engine
from pidward.core.model import ExitStatus, Phase, Wanted, Worker, WorkerName
from pidward.core.order import Descent
from pidward.core.rolling import Rolls
from pidward.core.roster import Roster, is_down, why_down
from pidward.core.runs import Runs
from pidward.core.spec import Configuration, Essential, ServiceSpec
from pidward.core.together import Fates
from pidward.core.units import Instant, format_duration


class Supervisor:
    """The services of one configuration and their workers."""

    def __init__(self) -> None:
        self._roster = Roster()
        self.workers: Mapping[WorkerName, Worker] = self._roster.workers
        """In order of the file."""
        self._engine = Engine(self._roster)
        self._dependencies = Dependencies(self._engine)
        self._fates = Fates(self._engine)
        self._rolls = Rolls(self._engine)
        self._runs = Runs(self._engine, self._dependencies)
        self._adapting = Adapting(self._engine, self._dependencies, self._fates, self._rolls)
        self._engine.obstacle, self._engine.moved = self._obstacle, self._moved
        self._engine.gave_up, self._engine.at_rest = self._end_because, self._rolls.go_on
        self._ending: on.ShutdownAsked | None = None
        self._finish = Finish("")

    # --- what is so

    @property
    def configuration(self) -> Configuration:
        """The one in force."""
        return self._roster.configuration

    @property
    def ending(self) -> bool:
        """A shutdown was asked for: nobody is started any more who was down."""
        return self._ending is not None

    def is_leaving(self, name: WorkerName) -> bool:
        """The worker is no longer in the configuration and is forgotten as soon as it is down."""
        return name in self._roster.leaving

    def spec(self, name: WorkerName) -> ServiceSpec:
        """The present spec of a worker's service. KeyError for a worker that is not known."""
        return self._roster.specs[name.service]

    def scale(self, service: str) -> int:
        """How many workers a service is to have now. KeyError for a service that is not known."""
        return self._roster.scale(service)

    def cannot_scale(self, service: str, workers: int) -> str:
        """Say why a service cannot have so many workers, in one line; empty: it can."""
        return self._roster.cannot_scale(service, workers)

    def needed_by(self, service: str) -> list[WorkerName]:
        """Whom else a start of this service starts, because it depends on them and they are down, or are to be."""
        missing = self._dependencies.needed_by(service)
        return [worker.name for worker, _ in missing if is_down(worker) or worker.wanted is Wanted.DOWN]

    # --- what happens

    def load(
        self,
        configuration: Configuration,
        wishes: Mapping[WorkerName, Wanted],
        now: Instant,
        only: Iterable[str] = (),
        scales: Mapping[str, int] = MappingProxyType({}),
        legacy: Legacy = Legacy(),  # noqa: B008 - immutable
    ) -> Iterator[Action]:
        """Take the first configuration and start what is wanted and may start, one worker after the other.

        Workers of an earlier supervisor come first, all of them as they were, so that nobody starts who needs one that
        is gone; then the ends of those that are, and then the others.

        Args:
            configuration: the services.
            wishes: what operators asked for in earlier runs; it outranks autostart.
            now: the present.
            only: names of services to start, with all that they need; empty: all. The others are known and stay down.
            scales: how many workers operators wanted in earlier runs, for services of the configuration.
            legacy: workers of services of this configuration that run, or ended while nobody watched.
        """
        self._engine.now = now
        self._adapting.configure(configuration)
        self._roster.scales.update(scales)
        chosen, by = frozenset(only), "pidward, at its start"
        yield from self._take_over(legacy, wishes, chosen, by)
        for spec in configuration.services:
            for number in range(1, self._roster.scale(spec.name) + 1):
                name = WorkerName(spec.name, number)
                if name not in self.workers:
                    down = why_down(spec, name, wishes, chosen)
                    self._adapting.add(name, by, down, stopped=wishes.get(name) is Wanted.DOWN)
                    yield from self._engine.settle()
        if legacy.workers:
            self._roster.sort()
        for spec in configuration.services:
            if any(worker.held for worker in self._roster.crew(spec.name) if spec.depends_on):
                self._dependencies.call(spec.name, by, asked=bool(chosen))
                yield from self._engine.settle()

    def _take_over(
        self, legacy: Legacy, wishes: Mapping[WorkerName, Wanted], chosen: frozenset[str], by: str
    ) -> Iterator[Action]:
        """Go on with what an earlier supervisor left."""
        needed = chosen.union(*(self._dependencies.needs(service) for service in chosen))
        reason = f"it lived on while pidward was away, for at most {format_duration(legacy.away)}"
        for one in legacy.workers:
            name = one.recorded.name
            is_down = wishes.get(name) is Wanted.DOWN or name.number > self._roster.scale(name.service)
            is_wanted = not is_down and (not chosen or name.service in needed)
            self._adapting.take_over(one, reason, legacy.away, is_wanted=is_wanted)
        yield from self._engine.settle()
        for one in legacy.workers:
            if one.exit is not None:
                self._adapting.tell_end(one)
                yield from self._engine.settle()
        self._adapting.conform(legacy.workers, by)
        yield from self._engine.settle()

    def step(self, event: on.Event, now: Instant) -> list[Action]:
        """Take one event in; what is to be done, in order. Events about unknown workers are late, and ignored."""
        self._engine.now = now
        match event:
            case on.ShutdownAsked():
                self._shutdown(event)
            case on.StopsAsked():
                self._stop_several(event)
            case on.Due() | on.Demanded() | on.ScaleAsked() | on.RollAsked() | on.Reconfigured():
                if not self.ending:
                    self._step_service(event)
            case on.StartAsked() | on.RestartAsked():
                self._want(event.worker, event.by)
                self._engine.tell(event)
            case on.StopAsked():
                self._rolls.refuse(event.worker)
                self._engine.tell(event)
            case _:
                self._engine.tell(event)
        return self._engine.settle()

    def _step_service(self, event: on.ServiceEvent | on.Reconfigured) -> None:
        match event:
            case on.Due():
                self._runs.due(event)
            case on.Demanded():
                self._runs.demanded(event)
            case on.ScaleAsked():
                self._adapting.scale(event)
            case on.RollAsked():
                for name in event.workers:
                    self._want(name, event.by)
                self._rolls.begin(event.workers, event.by, event.step, asked=True)
            case on.Reconfigured():
                self._adapting.reconfigure(event)

    def _obstacle(self, worker: Worker, spec: ServiceSpec, event: on.WorkerEvent) -> str:
        """Why a worker may not start now."""
        theirs = self._fates.obstacle(worker, event, self._engine.now) if spec.group else ""
        return theirs or (self._dependencies.obstacle(spec) if spec.depends_on else "")

    def _moved(self, before: Worker, after: Worker, spec: ServiceSpec) -> None:
        """A transition was recorded: what does it mean for others?"""
        name = after.name
        self._roster.unwanted.discard(name)
        if after.phase not in (Phase.STOPPING, Phase.KILLING):  # down; or up again at once, and waited for no longer
            for descent in self._engine.descents:
                descent.pending.pop(name, None)
        if not after.phase.has_process:
            self._runs.moved(after)
        if spec.depends_on:
            self._dependencies.hold(after)
        self._dependencies.moved(name)
        if spec.group and not self.ending:
            self._fates.moved(before, after, spec)
        self._rolls.moved(after)
        if after.phase.is_final:
            if spec.essential is not Essential.NO:
                self._essential_ended(after, spec)
            if name in self._roster.leaving:
                self._adapting.forget(after)

    def _want(self, name: WorkerName, by: str) -> None:
        """Somebody wants a worker up, and so all that it needs: what is down starts, what is to go down does not."""
        if name not in self.workers or self.ending or self.is_leaving(name):
            return
        for descent in self._engine.descents:
            descent.spare(name)
            for service in self._dependencies.needs(name.service):
                for needed in self._roster.crew(service):
                    descent.spare(needed.name)
        if self.spec(name).depends_on:
            self._dependencies.call(name.service, by, asked=True)

    # --- stopping

    def _stop_several(self, event: on.StopsAsked) -> None:
        """One level after the other where some need others; else all now."""

        def ask(name: WorkerName) -> None:
            self._engine.tell(on.StopAsked(name, event.by, event.at_once))

        asked = set(event.workers)
        names = [name for name in self.workers if name in asked]
        for name in names:
            self._rolls.refuse(name)
        services = {name.service for name in names}
        depend = any(d.service in services for s in services for d in self._roster.specs[s].depends_on)
        if depend and not event.at_once and not self.ending:
            self._engine.descents.append(Descent(self._engine.batches(names), ask, lambda: None, revocable=True))
        else:
            for name in reversed(names):
                ask(name)

    def _end_because(self, reason: str, status: ExitStatus | None = None, *, failed: bool = True) -> None:
        """One worker's end is the end of everything."""
        if not self.ending:
            self._finish = Finish(reason, failed, status)
            self._shutdown(on.ShutdownAsked(reason))

    def _essential_ended(self, worker: Worker, spec: ServiceSpec) -> None:
        failed = worker.phase is Phase.FAILED
        if failed or (worker.phase is Phase.COMPLETED and spec.essential is Essential.ALWAYS):
            reason = f"{worker.name}, which is essential: {worker.reason}"
            self._end_because(reason, worker.last_exit, failed=failed)

    def _shutdown(self, event: on.ShutdownAsked) -> None:
        """Begin to end, or hurry."""
        if self._ending is None:
            self._finish = self._finish._replace(reason=event.by)
            self._rolls.clear()
            self._fates.clear()
            descent = Descent(
                self._engine.batches(self.workers), self._ask_to_end, lambda: self._engine.act(self._finish)
            )
            self._engine.end_all(descent)
        elif not event.at_once:
            return
        self._ending = event
        if event.at_once:
            for descent in self._engine.descents:
                for name in [*descent.pending, *descent.rest()]:
                    self._engine.ask(descent, name)

    def _ask_to_end(self, name: WorkerName) -> None:
        assert self._ending is not None
        self._engine.tell(on.StopAsked(name, self._ending.by, self._ending.at_once))
