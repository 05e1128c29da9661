"""How well all of it is, in three words."""

import pytest

from pidward.core.health import MAX_REASONS, judge_health
from pidward.core.model import Phase, Wanted, Worker, WorkerName
from pidward.core.units import Instant

NOW = Instant(1.0)


def worker(phase: Phase, number: int = 1, wanted: Wanted = Wanted.UP, held: bool = False) -> Worker:
    return Worker(WorkerName("web", number), wanted, phase, f"because {phase.value}", since=NOW, held=held)


@pytest.mark.parametrize(
    "phase, live, ready",
    [
        (Phase.READY, True, True),
        (Phase.COMPLETED, True, True),
        (Phase.RUNNING, True, False),
        (Phase.STARTING, True, False),
        (Phase.BACKING_OFF, True, False),
        (Phase.SLOW_LANE, True, False),
        (Phase.STOPPING, True, False),
        (Phase.FAILED, False, False),
    ],
)
def test_one_worker_decides(phase: Phase, live: bool, ready: bool) -> None:
    health = judge_health([worker(Phase.READY, 1), worker(phase, 2)], ())
    assert (health.live, health.ready, health.started) == (live, ready, True)
    assert health.reasons == (() if ready else (f"web/2 is {phase.value}: because {phase.value}",))


def test_a_job_at_work_is_well() -> None:
    assert judge_health([worker(Phase.RUNNING)._replace(job=True)], ()).ready
    assert not judge_health([worker(Phase.BACKING_OFF)._replace(job=True)], ()).ready


@pytest.mark.parametrize("phase", [Phase.FAILED, Phase.BACKING_OFF, Phase.SLOW_LANE, Phase.KILLING])
def test_a_run_of_a_schedule_that_failed_makes_nothing_ill(phase: Phase) -> None:
    assert judge_health([worker(phase)._replace(job=True, scheduled=True)], ()) == (True, True, True, ())


def test_what_nobody_wants_up_does_not_count() -> None:
    for phase in Phase:
        health = judge_health([worker(phase, wanted=Wanted.DOWN)], ())
        assert health == (True, True, True, ())


def test_idle_is_well_and_held_back_is_not() -> None:
    assert judge_health([worker(Phase.WAITING)], ()).ready
    assert not judge_health([worker(Phase.WAITING, held=True)], ()).ready


def test_started_is_about_those_who_have_never_been_ready() -> None:
    assert not judge_health([worker(Phase.READY)], [WorkerName("web", 2)]).started
    assert judge_health([worker(Phase.FAILED)], []).started


def test_a_thousand_reasons_are_cut() -> None:
    health = judge_health([worker(Phase.FAILED, n) for n in range(1, 1001)], ())
    assert len(health.reasons) == MAX_REASONS + 1
    assert health.reasons[-1] == "and 980 more"
