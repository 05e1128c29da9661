"""All services together: who exists, who starts when, and how everything ends.

Holds state and does no I/O: events go in by ``step``, actions come out. The state is changed in place because a
copy of a thousand workers for every event would cost more than the event; every worker in it is still an immutable
value that only ``core.worker`` makes.
"""

from collections.abc import Iterable, Iterator, Mapping

from pidward.core.actions import Action, Finish, Record, StopAll
from pidward.core.change import Consequence, compare
from pidward.core.events import Event, Reconfigured, RestartAsked, ShutdownAsked, StartAsked, StopAsked, WorkerEvent
from pidward.core.model import Phase, Wanted, Worker, WorkerName
from pidward.core.spec import Configuration, ServiceSpec
from pidward.core.units import Instant
from pidward.core.worker import new_worker, step

_STARTS = (StartAsked, RestartAsked)


class Supervisor:
    """The services of one configuration and their workers."""

    def __init__(self) -> None:
        self.configuration = Configuration()
        self.workers: dict[WorkerName, Worker] = {}  # in order of the file
        self._specs: dict[str, ServiceSpec] = {}  # also of removed services while their workers end
        self._leaving: set[WorkerName] = set()
        self._ending: ShutdownAsked | None = None
        self._ending_failed = False
        self._still_up: dict[str, list[WorkerName]] = {}  # by service, in order of the file: not yet asked to stop
        self._stopping: dict[WorkerName, None] = {}  # asked to stop at the end, and not down yet
        self._finished = False

    @property
    def ending(self) -> bool:
        """A shutdown was asked for: nothing is started any more."""
        return self._ending is not None

    def is_leaving(self, name: WorkerName) -> bool:
        """The worker is no longer in the configuration and is forgotten as soon as it is down."""
        return name in self._leaving

    def spec(self, name: WorkerName) -> ServiceSpec:
        """The present spec of a worker's service. KeyError for a worker that is not known."""
        return self._specs[name.service]

    def load(
        self, configuration: Configuration, wishes: Mapping[WorkerName, Wanted], now: Instant, only: Iterable[str] = ()
    ) -> Iterator[Action]:
        """Take the first configuration and start what is wanted, one worker after the other.

        Args:
            configuration: the services.
            wishes: what operators asked for in earlier runs; it outranks autostart.
            now: the present.
            only: names of services to start; empty: all. The others are known and stay down.
        """
        self.configuration = configuration
        chosen = set(only)
        for spec in configuration.services:
            self._specs[spec.name] = spec
            for number in range(1, spec.workers + 1):
                name = WorkerName(spec.name, number)
                why_down = _why_down(spec, chosen, wishes.get(name))
                yield from self._add(name, "pidward, at its start", now, why_down)

    def step(self, event: Event, now: Instant) -> list[Action]:
        """Take one event in; what is to be done, in order. Events about unknown workers are late, and ignored."""
        match event:
            case ShutdownAsked():
                return self._shutdown(event, now)
            case Reconfigured():
                return self._reconfigure(event, now)
            case _:
                actions = self._step_worker(event, now)
        if self._ending is not None:
            actions += self._stop_next(now)
        return actions

    def _step_worker(self, event: WorkerEvent, now: Instant) -> list[Action]:
        name = event.worker
        worker = self.workers.get(name)
        if worker is None or (isinstance(event, _STARTS) and (self.ending or self.is_leaving(name))):
            return []
        worker, actions = step(worker, self._specs[name.service], event, now)
        self.workers[name] = worker
        if worker.phase.is_final:
            self._stopping.pop(name, None)
            if name in self._leaving:
                actions.append(self._forget(worker))
        if actions and isinstance(stop_all := actions[-1], StopAll):
            del actions[-1]
            if self._ending is None:
                self._ending_failed = True
                actions += self._shutdown(ShutdownAsked(stop_all.reason), now)
        return actions

    def _add(self, name: WorkerName, by: str, now: Instant, why_down: str = "") -> list[Action]:
        """A new worker, which is started unless there is a reason why not."""
        if why_down:
            worker = self.workers[name] = new_worker(name, Wanted.DOWN, now, why_down)
            return [Record(name, None, worker.phase, worker.reason, worker.wanted)]
        self.workers[name] = new_worker(name, Wanted.UP, now)
        actions = self._step_worker(StartAsked(name, by), now)
        assert isinstance(actions[0], Record)
        return [actions[0]._replace(before=None), *actions[1:]]

    def _forget(self, worker: Worker) -> Record:
        name = worker.name
        self._leaving.discard(name)
        del self.workers[name]
        if all(n.service != name.service for n in self.workers):
            del self._specs[name.service]
        return Record(name, worker.phase, None, "no longer in the configuration", worker.wanted)

    # --- the end

    def _shutdown(self, event: ShutdownAsked, now: Instant) -> list[Action]:
        """Begin to end, or hurry. Services stop one after the other, in reverse order of the file."""
        actions: list[Action] = []
        if self._ending is None:
            for name in self.workers:
                self._still_up.setdefault(name.service, []).append(name)
        elif not event.at_once:
            return actions
        self._ending = event
        if event.at_once:
            hurry = list(self._stopping)
            while self._still_up:
                hurry += self._still_up.popitem()[1]
            for name in hurry:
                actions += self._stop(name, event, now)
        return actions + self._stop_next(now)

    def _stop_next(self, now: Instant) -> list[Action]:
        """When the last service asked to stop is down, ask the one before it; after the first one, finish."""
        assert self._ending is not None
        actions: list[Action] = []
        while not self._stopping and self._still_up:
            _, names = self._still_up.popitem()
            for name in names:
                actions += self._stop(name, self._ending, now)
        if not self._stopping and not self._finished:
            self._finished = True
            actions.append(Finish(self._ending.by, self._ending_failed))
        return actions

    def _stop(self, name: WorkerName, why: ShutdownAsked, now: Instant) -> list[Action]:
        """Ask one worker to stop; until it is down it is one of ``_stopping``."""
        if name not in self.workers:
            return []
        actions = self._step_worker(StopAsked(name, why.by, why.at_once), now)
        if name in self.workers and not self.workers[name].phase.is_final:
            self._stopping[name] = None
        return actions

    # --- a new configuration

    def _reconfigure(self, event: Reconfigured, now: Instant) -> list[Action]:
        if self._ending is not None:
            return []
        changes = compare(self.configuration, event.configuration)
        self.configuration = event.configuration
        new = {s.name: s for s in event.configuration.services}
        self._specs.update(new)
        actions: list[Action] = []
        for change in changes:
            match change.consequence:
                case Consequence.REMOVE:
                    actions += self._scale(change.service, 0, event.by, now)
                case Consequence.ADD | Consequence.SCALE:
                    actions += self._scale(change.service, new[change.service].workers, event.by, now)
                case Consequence.RESTART:
                    actions += self._replace(change.service, event.by, now)
                case Consequence.ADOPT:
                    pass  # the new spec is in place; running processes keep what was fixed when they started
        self._sort()
        return actions

    def _scale(self, service: str, workers: int, by: str, now: Instant) -> list[Action]:
        actions: list[Action] = []
        here = sorted(n.number for n in self.workers if n.service == service)
        for number in reversed(here):
            if number > workers:
                name = WorkerName(service, number)
                self._leaving.add(name)
                actions += self._step_worker(StopAsked(name, by), now)
                if name in self._leaving and self.workers[name].phase.is_final:
                    actions.append(self._forget(self.workers[name]))
        why_down = _why_down(self._specs[service], set(), None) if workers else ""
        for number in range(1, workers + 1):
            name = WorkerName(service, number)
            if name in self._leaving:  # it was on its way out, and is wanted again
                self._leaving.discard(name)
                actions += self._step_worker(StartAsked(name, by), now)
            elif name not in self.workers:
                actions += self._add(name, by, now, why_down)
        return actions

    def _replace(self, service: str, by: str, now: Instant) -> list[Action]:
        """Have a service run as it is specified now; who waits for a delay or gave up may do better with that."""
        actions: list[Action] = []
        for name, worker in list(self.workers.items()):
            is_up = worker.wanted is Wanted.UP and worker.phase is not Phase.COMPLETED
            if name.service == service and is_up:
                actions += self._step_worker(RestartAsked(name, by), now)
        return actions

    def _sort(self) -> None:
        """Keep the workers in order of the file; those of removed services last, so that they stop first."""
        place = {s.name: i for i, s in enumerate(self.configuration.services)}
        last = len(place)
        self.workers = {n: self.workers[n] for n in sorted(self.workers, key=lambda n: (place.get(n.service, last), n))}


def _why_down(spec: ServiceSpec, chosen: set[str], wish: Wanted | None) -> str:
    """Why a worker is not started with the supervisor; empty when it is."""
    if chosen:
        return "" if spec.name in chosen else "not among the services that were named at the start"
    if wish is Wanted.DOWN:
        return "stopped by an operator, before pidward was started"
    return "" if spec.autostart or wish is Wanted.UP else "autostart is off"
