"""Services that run now and then: by a schedule, or when somebody connects."""

from pidward.core import events as on
from pidward.core.dependencies import Dependencies
from pidward.core.engine import Engine
from pidward.core.lean import assert_never
from pidward.core.model import Wanted, Worker, WorkerName
from pidward.core.roster import is_down
from pidward.core.spec import Overlap, ServiceSpec


class Runs:
    """Begins runs when they fall due."""

    def __init__(self, engine: Engine, dependencies: Dependencies) -> None:
        self._engine, self._dependencies = engine, dependencies
        self._queued: set[WorkerName] = set()  # to run again when the present run is over

    def due(self, event: on.Due) -> None:
        """Run all workers of the service that are wanted up; what still runs follows the overlap policy."""
        roster = self._engine.roster
        if roster.is_configured(event.service):
            spec = roster.specs[event.service]
            free = [w.name for w in roster.crew(event.service) if self._is_free(w, spec, event.by)]
            self._start([on.StartAsked(name, event.by) for name in free])

    def demanded(self, event: on.Demanded) -> None:
        """Start the workers of the service that wait for a connection."""
        if self._engine.roster.is_configured(event.service):
            idle = [w.name for w in self._engine.roster.crew(event.service) if w.is_idle]
            self._start([on.StartAsked(name, event.by, on_demand=True) for name in idle])

    def _start(self, starts: list[on.StartAsked]) -> None:
        self._engine.follow(starts)
        for service, by in {(start.worker.service, start.by) for start in starts}:
            self._dependencies.call(service, by, asked=False)

    def _is_free(self, worker: Worker, spec: ServiceSpec, by: str) -> bool:
        """The worker may run now; else what its overlap policy says is done."""
        if worker.wanted is Wanted.DOWN or worker.held:
            return False
        if not worker.phase.has_process:
            return True
        overlap = spec.schedule.overlap if spec.schedule is not None else Overlap.SKIP
        match overlap:
            case Overlap.SKIP:
                text = f"{worker.name}: a run that was due by {by} is skipped, for the one before it is not over"
                self._engine.note(text, worker.name)
            case Overlap.QUEUE:
                self._queued.add(worker.name)
            case Overlap.REPLACE:
                self._engine.follow([on.RestartAsked(worker.name, by)])
            case _:
                assert_never(overlap)
        return False

    def moved(self, worker: Worker) -> None:
        """If a run is over, or will never be, begin the one that was queued."""
        if worker.name in self._queued and is_down(worker):
            self._queued.discard(worker.name)
            if worker.wanted is Wanted.UP:
                self._engine.follow([on.StartAsked(worker.name, "its schedule, for a run fell due meanwhile")])
