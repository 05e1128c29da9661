"""Lives of services that run now and then: jobs, schedules, connections."""

import pytest

from pidward.core import events as on
from pidward.core.model import Phase, Wanted
from pidward.core.spec import Exhausted, Overlap, RestartWhen, Schedule
from pidward.testing.simulation import Behaviour, Simulation, exited

from .script import ONCE, by_name, job, name, policy, process, reload, service, shows, start, stop

JOB = name("job/1")
DAILY = Schedule(cron="0 3 * * *")


def short(code: int = 0, lives: float = 2.0):
    return lambda _name, _start: Behaviour(lives=lives, ends=exited(code))


def due(life: Simulation) -> Simulation:
    life.tell(on.Due("job"))
    return life


def test_a_job_runs_and_is_completed_whatever_the_policy():
    life = Simulation(job(restart=policy(policy=RestartWhen.ALWAYS)), behave=short()).until(1)
    shows(life, job="running")
    assert life.worker("job/1").reason == "the job runs"
    shows(life.until(100), job="completed")
    assert life.worker("job/1").reason == "exited with code 0"
    assert life.starts("job/1") == [0]


def test_a_job_that_fails_follows_its_policy():
    shows(Simulation(job(), behave=short(3)).until(5), job="failed")
    life = Simulation(
        job(restart=policy(policy=RestartWhen.ON_FAILURE, delay=0.0)),
        behave=lambda _n, s: Behaviour(lives=1.0, ends=exited(1 if s < 2 else 0)),
    ).until(50)
    shows(life, job="completed")
    assert life.starts("job/1") == [0, 1, 2]


def test_a_scheduled_job_waits_and_runs_when_it_is_due():
    life = Simulation(job(schedule=DAILY), behave=short()).until(10)
    shows(life, job="waiting")
    worker = life.worker("job/1")
    assert (worker.reason, worker.wanted, worker.is_idle) == ("waits for its schedule", Wanted.UP, True)
    shows(due(life), job="starting")
    assert life.worker("job/1").reason == "started by its schedule"
    shows(life.until(20), job="completed")
    shows(due(life).until(30), job="completed")
    assert life.starts("job/1") == [10, 20]


def test_a_failed_run_does_not_end_the_schedule():
    life = Simulation(job(schedule=DAILY), behave=short(1)).until(10)
    shows(due(life).until(20), job="failed")
    assert life.worker("job/1").is_well, "the next run is due"
    shows(due(life), job="starting")


def test_a_run_that_could_not_begin_does_not_end_the_schedule_either():
    life = Simulation(job(schedule=DAILY), behave=lambda _n, _s: Behaviour(cannot_start="no such file")).until(10)
    shows(due(life).until(20), job="failed")
    assert life.worker("job/1").is_well


def test_who_failed_and_has_no_schedule_any_more_is_not_well():
    life = Simulation(job(schedule=DAILY), behave=short(1)).until(10)
    shows(due(life).until(20), job="failed")
    reload(life, job())
    shows(life, job="failed")
    assert not life.worker("job/1").is_well


def test_a_run_that_waits_to_be_tried_again_is_begun_at_once():
    life = Simulation(job(schedule=DAILY, restart=policy(delay=50.0)), behave=short(1)).until(10)
    due(life).until(20)
    shows(life, job="backing-off")
    shows(due(life), job="starting")


def test_what_an_operator_stopped_is_not_due():
    life = Simulation(job(schedule=DAILY), behave=short()).until(1)
    shows(stop(life, "job/1"), job="stopped")
    shows(due(life).until(2), job="stopped")
    assert life.worker("job/1").wanted is Wanted.DOWN
    shows(start(life, "job/1").until(3), job="running")


def test_an_operator_may_run_it_between():
    life = Simulation(job(schedule=DAILY), behave=short()).until(1)
    shows(start(life, "job/1").until(2), job="running")


@pytest.mark.parametrize(
    "overlap, starts, notes",
    [(Overlap.SKIP, [0], 2), (Overlap.QUEUE, [0, 10], 0), (Overlap.REPLACE, [0, 1, 2], 0)],
    ids=["skip", "queue", "replace"],
)
def test_a_run_that_is_due_too_early(overlap: Overlap, starts: list[float], notes: int):
    life = Simulation(job(schedule=DAILY._replace(overlap=overlap)), behave=short(lives=10.0))
    due(life).until(1)
    due(life).until(2)
    due(life).until(19)
    assert life.starts("job/1") == starts
    assert len(life.notes) == notes
    shows(life.until(30), job="completed")
    assert life.worker("job/1").reason == "exited with code 0"


def test_what_is_skipped_is_said():
    life = due(Simulation(job(schedule=DAILY), behave=short())).until(1)
    due(life)
    assert life.notes == ["job/1: a run that was due by its schedule is skipped, for the one before it is not over"]


def test_a_queued_run_is_forgotten_with_a_stop():
    life = due(Simulation(job(schedule=DAILY._replace(overlap=Overlap.QUEUE)), behave=short())).until(1)
    shows(stop(due(life), "job/1").until(2), job="stopped")
    start(life, "job/1").until(50)
    shows(life, job="completed")
    assert life.starts("job/1") == [0, 2], "and not a third time"


def test_a_queued_run_waits_until_the_one_before_has_given_up():
    restart = policy(policy=RestartWhen.ON_FAILURE, delay=0.0, burst=1, then=policy().then.FAIL)
    life = Simulation(job(schedule=DAILY._replace(overlap=Overlap.QUEUE), restart=restart), behave=short(1, 5.0))
    due(due(life).until(1)).until(6)
    shows(life, job="running")
    life.until(14)
    assert life.starts("job/1") == [0, 5, 10]
    assert life.worker("job/1").restarts == 1


def test_a_due_run_brings_what_it_needs_but_wakes_nothing_that_was_stopped():
    services = (job("job", "db", schedule=DAILY), service("db", autostart=False))
    life = Simulation(*services, behave=by_name(job=Behaviour(lives=1, ends=exited(0)))).until(1)
    shows(life, job="waiting", db="stopped")
    shows(due(life).until(3), job="completed", db="ready")
    stop(life, "db/1").until(4)
    shows(due(life).until(5), job="waiting", db="stopped")
    assert not life.worker("job/1").is_idle
    shows(due(life).until(5), job="waiting")
    shows(start(life, "db/1").until(10), job="completed", db="ready")
    assert life.starts("job/1") == [1, 5], "due twice while it waited, it runs once"


def test_nothing_is_due_at_the_end_or_for_nobody():
    life = Simulation(job(schedule=DAILY), service(), behave=by_name(web=Behaviour(heeds_stop=5))).until(1)
    life.tell(on.Due("nobody"))
    life.tell(on.Demanded("nobody", "a connection"))
    life.tell(on.ShutdownAsked("SIGTERM"))
    shows(due(life).until(2), job="waiting")
    shows(life.until(10), job="stopped")
    assert life.finished is not None


# --- on demand


def demanded(life: Simulation) -> Simulation:
    life.tell(on.Demanded("web", "a connection to 127.0.0.1:80"))
    return life


def test_a_service_on_demand_starts_with_the_first_connection_and_rests_after():
    life = Simulation(service(on_demand=True), behave=short(lives=50.0)).until(10)
    shows(life, web="waiting")
    assert life.worker("web/1").reason == "waits for a connection"
    demanded(life)
    assert life.worker("web/1").reason == "started by a connection to 127.0.0.1:80"
    shows(life.until(11), web="ready")
    shows(demanded(life).until(61), web="waiting")
    worker = life.worker("web/1")
    assert (worker.reason, worker.is_idle, worker.wanted) == (
        "exited with code 0; waits for a connection",
        True,
        Wanted.UP,
    )
    shows(demanded(life).until(62), web="ready")
    assert life.worker("web/1").restarts == 0


def again_and_again(life: Simulation, seconds: int) -> Simulation:
    """Somebody waits, and nobody takes it."""
    for _ in range(seconds * 2):
        demanded(life).until(life.now - 1000.0 + 0.5)
    return life


@pytest.mark.parametrize("then, phase", [(Exhausted.SLOW, "slow-lane"), (Exhausted.FAIL, "failed")])
def test_who_ends_at_once_whenever_it_is_demanded_comes_to_the_start_limit(then: Exhausted, phase: str):
    limit = policy(burst=3, window=60.0, max_delay=20.0, then=then)
    life = again_and_again(Simulation(service(on_demand=True, restart=limit), behave=short(lives=0.1)), 10)
    shows(life, web=phase)
    assert life.starts("web/1") == [0, 0.5, 1, 1.5]
    worker = life.worker("web/1")
    assert worker.restarts == 3
    assert worker.reason.startswith("exited with code 0, soon after each start on demand; 3 restarts within 1min: ")
    if then is Exhausted.FAIL:
        shows(start(life, "web/1").until(11), web="waiting")
    else:
        again_and_again(life, 60)
        assert len(life.starts("web/1")) == 7, "one every twenty seconds"


def test_runs_on_demand_that_are_stable_have_no_limit():
    limit = policy(burst=3, window=600.0, reset_after=2.0)
    life = again_and_again(Simulation(service(on_demand=True, restart=limit), behave=short(lives=3.0)), 61)
    shows(life, web="ready")
    assert life.worker("web/1").restarts == 0
    assert len(life.starts("web/1")) > 10


def test_a_crash_on_demand_follows_the_policy():
    life = Simulation(service(on_demand=True, restart=policy(delay=30.0)), behave=short(1, lives=1.0))
    demanded(life).until(5)
    shows(life, web="backing-off")
    shows(demanded(life), web="backing-off")
    life = Simulation(service(on_demand=True, restart=ONCE), behave=short(1))
    shows(demanded(life).until(5), web="failed")
    shows(demanded(life).until(5), web="failed")


def test_a_worker_that_hung_does_not_rest():
    life = demanded(Simulation(service(on_demand=True, restart=policy(success_codes=frozenset({-15}))))).until(5)
    life.tell(on.Unhealthy(name("web/1"), process(life, "web/1"), "no"))
    life.until(5)
    assert life.starts("web/1") == [0, 5]


def test_nobody_demands_what_was_stopped():
    life = stop(Simulation(service(on_demand=True)), "web/1")
    shows(demanded(life).until(5), web="stopped")


def test_a_demand_brings_what_is_needed():
    life = Simulation(service("web", "db", on_demand=True), service("db", autostart=False)).until(1)
    shows(demanded(life).until(1), web="ready", db="ready")


def test_idle_dependencies_are_started_when_they_are_needed():
    life = Simulation(
        service("web", "db"), service("db", on_demand=True), behave=by_name(db=Behaviour(lives=50, ends=exited(0)))
    )
    shows(life.until(1), web="ready", db="ready")


@pytest.mark.parametrize("how", [{"on_demand": True}, {"schedule": DAILY}], ids=str)
def test_what_waits_no_longer_by_configuration_starts(how: dict[str, object]):
    life = Simulation(service(**how), service("other", **how)).until(1)
    shows(reload(life, service(), service("other", **how)).until(1), web="ready", other="waiting")


def test_a_changed_command_starts_nobody_who_rests():
    life = Simulation(service(on_demand=True)).until(1)
    changed = service(on_demand=True)._replace(execution=service("x").execution)
    shows(reload(life, changed).until(2), web="waiting")
    assert Phase.STARTING not in life.phases("web/1")
