"""How well a whole supervisor is, in the three words that container managers ask for."""

from collections.abc import Iterable

from pidward.core.lean import NamedTuple
from pidward.core.model import Phase, Wanted, Worker, WorkerName

MAX_REASONS = 20
"""So many workers are named; a thousand lines help nobody."""


class Health(NamedTuple):
    """One answer.

    live: nothing has given up, but for runs of a schedule, of which the next is due.
    ready: everything that is wanted may serve, has completed, or is idle until it is needed.
    started: everything that was wanted at the beginning has been ready once.
    reasons: who stands in the way, a sentence each; empty when all three hold.
    """

    live: bool
    ready: bool
    started: bool
    reasons: tuple[str, ...] = ()


def judge_health(workers: Iterable[Worker], unstarted: Iterable[WorkerName]) -> Health:
    """Judge by what the workers do now, and by who has never been ready yet."""
    late = frozenset(unstarted)
    failed = unready = 0
    reasons: list[str] = []
    for worker in workers:
        if worker.wanted is Wanted.DOWN or worker.is_well:
            continue
        unready += 1
        failed += worker.phase is Phase.FAILED
        if len(reasons) < MAX_REASONS:
            reasons.append(f"{worker.name} is {worker.phase.value}: {worker.explanation}")
    if unready > len(reasons):
        reasons.append(f"and {unready - len(reasons)} more")
    return Health(not failed, not unready, not late, tuple(reasons))
