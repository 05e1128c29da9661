"""When is what an operator asked for done? Pure: worker, goal and the time of asking in, verdict out."""

import enum

from pidward.core.lean import NamedTuple
from pidward.core.model import Phase, ProcessId, Sameness, Wanted, Worker
from pidward.core.units import Instant


class Goal(enum.Enum):
    """What was asked for."""

    UP = "up"
    AWAITED = "awaited"  # up, whenever that may be: nobody asked for a start that could be given up
    DOWN = "down"  # never fails: a stop ends in SIGKILL
    REPLACED = "replaced"  # up, and not with the process it had
    EXIT = "exit"  # the process that it had when this was asked has ended


class Outcome(enum.Enum):
    """How far it is."""

    REACHED = "reached"
    PENDING = "pending"
    FAILED = "failed"


class Verdict(NamedTuple):
    """An outcome and why."""

    outcome: Outcome
    reason: str


HOPELESS_AFTER = 3
"""Ends in a row after which nobody should be kept waiting, though the worker is tried again."""


def judge(goal: Goal, worker: Worker | None, asked: Instant, before: ProcessId | None = None) -> Verdict:
    """Tell how far a worker is from its goal.

    Args:
        goal: what was asked for.
        worker: its state now; None when it was removed from the configuration.
        asked: when; a failure that is older says nothing about this request.
        before: the process it had then.
    """
    if worker is None:
        outcome = Outcome.REACHED if goal is Goal.DOWN else Outcome.FAILED
        return Verdict(outcome, "removed from the configuration")
    if goal is Goal.DOWN:
        down = worker.wanted is Wanted.DOWN and not worker.phase.has_process
        return Verdict(Outcome.REACHED if down else Outcome.PENDING, worker.reason)
    if goal is Goal.EXIT:
        ended = before is None or worker.process is None or _is_new(worker, asked, before)
        return Verdict(Outcome.REACHED if ended else Outcome.PENDING, worker.reason)
    new = goal is not Goal.REPLACED or _is_new(worker, asked, before)
    return Verdict(_judge_up(worker, asked, new, patient=goal is Goal.AWAITED), worker.reason)


def _judge_up(worker: Worker, asked: Instant, new: bool, patient: bool) -> Outcome:
    if worker.phase is Phase.READY and new:
        return Outcome.REACHED
    if worker.since < asked:  # not taken in hand yet
        return Outcome.PENDING
    if worker.phase is Phase.COMPLETED or worker.is_idle:
        return Outcome.REACHED
    if worker.phase is Phase.FAILED or worker.blocked or worker.wanted is Wanted.DOWN:
        return Outcome.FAILED
    tired = worker.phase is Phase.BACKING_OFF and worker.failures >= HOPELESS_AFTER
    return Outcome.FAILED if not patient and (tired or worker.phase is Phase.SLOW_LANE) else Outcome.PENDING


def _is_new(worker: Worker, asked: Instant, before: ProcessId | None) -> bool:
    """The living process is not the one from before the request."""
    if worker.process is None:
        return False
    if before is not None and worker.process.compare(before) is Sameness.DIFFERENT:
        return True
    return worker.started is not None and worker.started >= asked


def is_as_wanted(worker: Worker) -> bool:
    """Nothing is missing from what was asked for: it is well, or down as it should be."""
    if worker.wanted is Wanted.DOWN:
        return not worker.phase.has_process
    return worker.is_well
