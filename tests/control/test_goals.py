"""When is a request done? Table by table."""

import pytest

from pidward.control.goals import Goal, Outcome, is_as_wanted, judge
from pidward.core.model import Phase, ProcessId, Wanted, Worker, WorkerName
from pidward.core.units import Instant

OLD, NEW = ProcessId(100, 7001), ProcessId(101, 7002)
REUSED = ProcessId(100, 7003)
ASKED = Instant(50.0)


def worker(
    phase: Phase,
    since: float = 60.0,
    wanted: Wanted = Wanted.UP,
    process: ProcessId | None = None,
    started: float | None = None,
    failures: int = 0,
) -> Worker:
    return Worker(
        WorkerName("web", 1), wanted, phase, f"because {phase.value}", Instant(since), process=process,
        started=None if started is None else Instant(started), failures=failures,
    )  # fmt: skip


@pytest.mark.parametrize(
    "state, outcome",
    [
        (worker(Phase.READY, since=10), Outcome.REACHED),  # it was up before
        (worker(Phase.READY), Outcome.REACHED),
        (worker(Phase.STARTING), Outcome.PENDING),
        (worker(Phase.RUNNING), Outcome.PENDING),
        (worker(Phase.BACKING_OFF, failures=2), Outcome.PENDING),
        (worker(Phase.BACKING_OFF, failures=3), Outcome.FAILED),
        (worker(Phase.BACKING_OFF, failures=9, since=10), Outcome.PENDING),  # an old failure
        (worker(Phase.SLOW_LANE), Outcome.FAILED),
        (worker(Phase.FAILED), Outcome.FAILED),
        (worker(Phase.FAILED, since=10), Outcome.PENDING),
        (worker(Phase.COMPLETED), Outcome.REACHED),
        (worker(Phase.COMPLETED, since=10), Outcome.PENDING),  # it runs again first
        (worker(Phase.STOPPING), Outcome.PENDING),
        (worker(Phase.STOPPED, wanted=Wanted.DOWN), Outcome.FAILED),  # somebody else stopped it meanwhile
        (None, Outcome.FAILED),
    ],
)
def test_up(state: Worker | None, outcome: Outcome) -> None:
    verdict = judge(Goal.UP, state, ASKED)
    assert verdict.outcome is outcome
    assert verdict.reason == ("removed from the configuration" if state is None else state.reason)


@pytest.mark.parametrize(
    "state, outcome",
    [
        (worker(Phase.READY), Outcome.REACHED),
        (worker(Phase.BACKING_OFF, failures=9), Outcome.PENDING),
        (worker(Phase.SLOW_LANE, failures=9), Outcome.PENDING),
        (worker(Phase.WAITING)._replace(held=True), Outcome.PENDING),
        (worker(Phase.WAITING)._replace(held=True, blocked=True), Outcome.FAILED),
        (worker(Phase.COMPLETED), Outcome.REACHED),
        (worker(Phase.FAILED), Outcome.FAILED),
        (worker(Phase.STOPPED, wanted=Wanted.DOWN), Outcome.FAILED),
        (None, Outcome.FAILED),
    ],
)
def test_awaited(state: Worker | None, outcome: Outcome) -> None:
    assert judge(Goal.AWAITED, state, Instant(0.0)).outcome is outcome


@pytest.mark.parametrize(
    "state, outcome",
    [
        (worker(Phase.READY), Outcome.PENDING),
        (worker(Phase.STOPPING, wanted=Wanted.DOWN), Outcome.PENDING),
        (worker(Phase.KILLING, wanted=Wanted.DOWN), Outcome.PENDING),
        (worker(Phase.STOPPED, wanted=Wanted.DOWN), Outcome.REACHED),
        (worker(Phase.STOPPED, wanted=Wanted.DOWN, since=10), Outcome.REACHED),
        (worker(Phase.BACKING_OFF), Outcome.PENDING),  # down, and it would come up again
        (None, Outcome.REACHED),
    ],
)
def test_down(state: Worker | None, outcome: Outcome) -> None:
    assert judge(Goal.DOWN, state, ASKED).outcome is outcome


@pytest.mark.parametrize(
    "state, before, outcome",
    [
        (worker(Phase.READY, since=10, process=OLD, started=10), OLD, Outcome.PENDING),  # not even begun
        (worker(Phase.READY, process=OLD, started=10), OLD, Outcome.PENDING),  # the same, ready only now
        (worker(Phase.READY, process=NEW, started=55), OLD, Outcome.REACHED),
        (worker(Phase.READY, process=REUSED, started=55), OLD, Outcome.REACHED),  # same number, another process
        (worker(Phase.READY, process=ProcessId(100, 0), started=10), ProcessId(100, 0), Outcome.PENDING),
        (worker(Phase.READY, process=ProcessId(100, 0), started=55), ProcessId(100, 0), Outcome.REACHED),
        (worker(Phase.READY, process=NEW, started=55), None, Outcome.REACHED),
        (worker(Phase.RUNNING, process=NEW, started=55), OLD, Outcome.PENDING),
        (worker(Phase.FAILED), OLD, Outcome.FAILED),
        (worker(Phase.COMPLETED), OLD, Outcome.REACHED),
    ],
)
def test_replaced(state: Worker, before: ProcessId | None, outcome: Outcome) -> None:
    assert judge(Goal.REPLACED, state, ASKED, before).outcome is outcome


@pytest.mark.parametrize("phase", list(Phase))
def test_as_wanted(phase: Phase) -> None:
    assert is_as_wanted(worker(phase)) == (phase in (Phase.READY, Phase.COMPLETED, Phase.WAITING))
    assert not is_as_wanted(worker(Phase.WAITING)._replace(held=True))
    assert is_as_wanted(worker(Phase.RUNNING)._replace(job=True))
    assert is_as_wanted(worker(phase, wanted=Wanted.DOWN)) == (not phase.has_process)
