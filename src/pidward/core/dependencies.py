"""Who may not start yet, and because of whom.

Asked for a service again and again, the answer is remembered, together with the one worker it is about. Only that
worker's transitions, or while nothing is in the way any transition of a dependency, make it look again. Services
without dependencies pay nothing.
"""

from collections.abc import Iterator

from pidward.core import events as on
from pidward.core.engine import Engine
from pidward.core.lean import NamedTuple
from pidward.core.model import Phase, Wanted, Worker, WorkerName
from pidward.core.spec import Condition, Dependency, ServiceSpec, ServiceType
from pidward.core.worker import new_worker


class Obstacle(NamedTuple):
    """What is in the way of a service. ``worker``: who must move before that can change; None: nothing is."""

    worker: WorkerName | None = None
    text: str = ""


_NONE = Obstacle()


def has_reached(worker: Worker, condition: Condition, spec: ServiceSpec) -> bool:
    """The worker is as a dependent wants it. A completed job is all that a job can be."""
    if worker.phase is Phase.COMPLETED:
        return condition is Condition.COMPLETED or spec.type is ServiceType.ONESHOT
    match condition:
        case Condition.STARTED:
            return worker.phase in (Phase.RUNNING, Phase.READY)
        case Condition.READY:
            return worker.phase is Phase.READY
        case Condition.COMPLETED:
            return False


class Dependencies:
    """Of all services."""

    def __init__(self, engine: Engine) -> None:
        self._engine, self._roster = engine, engine.roster
        self._dependents: dict[str, list[str]] = {}
        self._found: dict[str, Obstacle] = {}
        self._held: dict[str, dict[WorkerName, None]] = {}

    def configure(self) -> None:
        """The configuration is another; all answers are forgotten."""
        self._found.clear()
        self._dependents = {}
        for spec in self._roster.configuration.services:
            for dependency in spec.depends_on:
                self._dependents.setdefault(dependency.service, []).append(spec.name)

    def obstacle(self, spec: ServiceSpec) -> str:
        """Say for whom the workers of a service have to wait; empty: they may start."""
        found = self._found.get(spec.name)
        if found is None:
            found = self._found[spec.name] = self._look(spec)
        return found.text

    def _look(self, spec: ServiceSpec) -> Obstacle:
        for dependency in spec.depends_on:
            for worker in self._missing(dependency):
                return Obstacle(worker.name, _describe(dependency, worker))
        return _NONE

    def _missing(self, dependency: Dependency) -> Iterator[Worker]:
        """Who of a service is not as it is needed; nobody of a service that is not configured any more."""
        service, roster = dependency.service, self._roster
        if not roster.is_configured(service):
            return
        here = 0
        for worker in roster.crew(service):
            if worker.name not in roster.leaving:
                here += 1
                if not has_reached(worker, dependency.condition, roster.specs[service]):
                    yield worker
        if here < roster.scale(service):  # its turn to be added comes later
            names = (WorkerName(service, number) for number in range(1, roster.scale(service) + 1))
            absent = next(name for name in names if name not in roster.workers or name in roster.leaving)
            yield new_worker(absent, Wanted.UP, self._engine.now)

    def hold(self, worker: Worker) -> None:
        """Keep in mind whether this worker is one that waits, and whether there is anything to wait for."""
        held = self._held.setdefault(worker.name.service, {})
        blocked = worker.held and self._is_hopeless(worker.name.service)
        if blocked is not worker.blocked:
            self._roster.workers[worker.name] = worker._replace(blocked=blocked)
        if worker.held:
            held[worker.name] = None
        else:
            held.pop(worker.name, None)

    def _is_hopeless(self, service: str) -> bool:
        """Whom a service waits for will not move by itself."""
        found = self._found.get(service, _NONE)
        worker = self._roster.workers.get(found.worker) if found.worker is not None else None
        return worker is not None and ((worker.phase.is_final and not worker.scheduled) or worker.blocked)

    def moved(self, name: WorkerName) -> None:
        """A worker made a transition, came or went: those that wait for it perhaps may start, or learn why not."""
        for service in self._dependents.get(name.service, ()):
            found = self._found.get(service)
            if found is not None and found.worker in (None, name):
                del self._found[service]
                why = f"{name.service} is as {service} needs it"
                self._engine.follow([on.Reconsidered(waiting, why) for waiting in self._held.get(service, ())])

    def needed_by(self, service: str) -> Iterator[tuple[Worker, str]]:
        """All that is missing for a service, its dependencies' own dependencies too; each with who needs it."""
        seen, todo = {service}, [service]
        while todo:
            needing = todo.pop()
            for dependency in self._roster.specs[needing].depends_on:
                if dependency.service not in seen:
                    seen.add(dependency.service)
                    missing = [worker for worker in self._missing(dependency) if worker.name in self._roster.workers]
                    yield from ((worker, needing) for worker in missing)
                    todo += [dependency.service] * bool(missing)

    def needs(self, service: str) -> list[str]:
        """All services that one needs, and those that these need in turn."""
        found: dict[str, None] = {}
        todo = [service]
        while todo:
            for dependency in self._roster.specs[todo.pop()].depends_on:
                if dependency.service not in found and self._roster.is_configured(dependency.service):
                    found[dependency.service] = None
                    todo.append(dependency.service)
        return list(found)

    def call(self, service: str, by: str, *, asked: bool) -> None:
        """Start what a service needs and nobody has wanted so far.

        With ``asked`` also what was stopped, is being stopped, or failed: this wish is the newer one.
        """
        self._engine.follow(
            on.StartAsked(worker.name, f"{by}, needed by {needing}")
            for worker, needing in self.needed_by(service)
            if worker.is_idle
            or worker.name in self._roster.unwanted
            or (asked and (worker.phase.is_final or worker.wanted is Wanted.DOWN))
        )


def _describe(dependency: Dependency, worker: Worker) -> str:
    text = f"waits for {dependency.service} to be {dependency.condition.value}"
    match worker.phase:
        case Phase.FAILED:
            return f"{text}, which failed: {worker.reason}"
        case Phase.STOPPED:
            return f"{text}, which is stopped: {worker.reason}"
        case Phase.COMPLETED:
            return f"{text}, which has ended: {worker.reason}"
        case Phase.WAITING if worker.blocked:
            return f"{text}, which {worker.reason}"
        case _:
            return text
