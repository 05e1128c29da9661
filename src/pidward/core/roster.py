"""Who exists: the services of a configuration, their workers, and how many of them there are to be."""

from collections.abc import Mapping

from pidward.core.model import Wanted, Worker, WorkerName
from pidward.core.spec import MAX_WORKERS, Configuration, ServiceSpec


class Roster:
    """Read by all, changed by those who decide."""

    def __init__(self) -> None:
        self.configuration = Configuration()
        self.workers: dict[WorkerName, Worker] = {}  # in order of the file
        self.specs: dict[str, ServiceSpec] = {}  # also of removed services while their workers end
        self.crews: dict[str, dict[WorkerName, None]] = {}  # the workers of each of these
        self.scales: dict[str, int] = {}  # of services whose number of workers somebody has changed
        self.leaving: set[WorkerName] = set()  # forgotten as soon as they are down
        self.unwanted: set[WorkerName] = set()  # down because nobody has asked for them so far
        self._configured: frozenset[str] = frozenset()

    def configure(self, configuration: Configuration) -> None:
        """Take other specs; the workers are still those of before."""
        self.configuration = configuration
        self._configured = frozenset(s.name for s in configuration.services)
        for spec in configuration.services:
            self.specs[spec.name] = spec
            self.crews.setdefault(spec.name, {})

    def is_configured(self, service: str) -> bool:
        """It is a service of the present configuration."""
        return service in self._configured

    def crew(self, service: str) -> list[Worker]:
        """The workers of a service as they are now; also those that leave. KeyError for one that is not known."""
        return [self.workers[name] for name in self.crews[service]]

    def add(self, worker: Worker) -> None:
        """Know one more."""
        self.workers[worker.name] = worker
        self.crews[worker.name.service][worker.name] = None

    def remove(self, name: WorkerName) -> None:
        """Forget one, and its service with the last one if it is not configured any more."""
        self.leaving.discard(name)
        self.unwanted.discard(name)
        del self.workers[name]
        crew = self.crews[name.service]
        del crew[name]
        if not crew and not self.is_configured(name.service):
            del self.crews[name.service], self.specs[name.service]

    def sort(self) -> None:
        """Keep the workers in order of the file; those of removed services last, so that they stop first."""
        place = {s.name: i for i, s in enumerate(self.configuration.services)}
        order = sorted(self.workers, key=lambda n: (place.get(n.service, len(place)), n))
        workers = [(name, self.workers[name]) for name in order]
        self.workers.clear()  # others look at this very dictionary
        self.workers.update(workers)

    def scale(self, service: str) -> int:
        """How many workers a service is to have now. KeyError for a service that is not known."""
        return self.scales.get(service, self.specs[service].workers)

    def cannot_scale(self, service: str, workers: int) -> str:
        """Say why a service cannot have so many workers, in one line; empty: it can."""
        if not self.is_configured(service):
            return f"no service is named {service!r}"
        others = sum(self.scale(name) for name in self._configured if name != service)
        if workers < 0 or others + workers > MAX_WORKERS:
            room = max(0, MAX_WORKERS - others)
            why = f", for the others have {others}, and all together may have {MAX_WORKERS}" if others else ""
            return f"{service} cannot have {workers} workers: 0 to {room} are possible{why}"
        return ""


def why_down(spec: ServiceSpec, name: WorkerName, wishes: Mapping[WorkerName, Wanted], chosen: frozenset[str]) -> str:
    """Why a worker is not started with the supervisor; empty when it is."""
    if chosen:
        return "" if spec.name in chosen else "not among the services that were named at the start"
    wish = wishes.get(name)
    if wish is Wanted.DOWN:
        return "stopped by an operator, before pidward was started"
    return "" if spec.autostart or wish is Wanted.UP else "autostart is off"


def is_up(worker: Worker) -> bool:
    """It runs, or is going to."""
    return worker.wanted is Wanted.UP and not is_down(worker)


def is_down(worker: Worker) -> bool:
    """It does not run, and is not going to before somebody or something asks for it."""
    return worker.phase.is_final or worker.is_idle
