"""Whether all is well, for container managers: kept up to date by the supervisor, answered over HTTP where wanted."""

from collections.abc import Callable

from pidward.core.health import Health, judge_health
from pidward.core.model import EventRow, Wanted, Worker, WorkerName
from pidward.runtime.supervise import Supervision

ANSWERS: dict[str, Callable[[Health], bool]] = {
    "/livez": lambda health: health.live,
    "/readyz": lambda health: health.ready,
    "/startupz": lambda health: health.started,
}
"""The paths of Kubernetes' own components."""


class Doctor:
    """Knows who has not been ready yet since the beginning, and judges the rest when asked."""

    def __init__(self, supervision: Supervision) -> None:
        self._supervision = supervision
        self._unstarted: set[WorkerName] = set()
        self._unsubscribe: Callable[[], None] = lambda: None

    def begin(self) -> None:
        """Look at what was loaded; from now on each of those is awaited once."""
        workers = self._supervision.core.workers.values()
        self._unstarted = {w.name for w in workers if w.wanted is Wanted.UP and not w.is_well}
        if self._unstarted:
            self._unsubscribe = self._supervision.subscribe(self._happened)

    def health(self) -> Health:
        """All workers. Nobody is ready for more while everything goes down."""
        health = judge_health(self._supervision.core.workers.values(), self._unstarted)
        if self._supervision.core.ending:
            return health._replace(ready=False, reasons=("pidward is stopping everything", *health.reasons))
        return health

    def _happened(self, row: EventRow) -> None:
        if row.kind != "transition":
            return
        name = WorkerName.parse(row.worker)
        if name in self._unstarted and self._is_done(self._supervision.core.workers.get(name)):
            self._unstarted.discard(name)
            if not self._unstarted:
                self._unsubscribe()

    @staticmethod
    def _is_done(worker: Worker | None) -> bool:
        """It has come up, or nobody waits for it any more."""
        return worker is None or worker.wanted is Wanted.DOWN or worker.is_well
