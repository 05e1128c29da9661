"""Lives of workers that need others."""

import pytest

from pidward.core import events as on
from pidward.core.model import Phase, Wanted
from pidward.core.spec import Schedule, ServiceSpec
from pidward.core.units import Seconds
from pidward.testing.simulation import Behaviour, Simulation, exited

from .script import NOTIFY, by_name, job, name, order, policy, process, reload, service, shows, start, stop


def test_a_dependent_waits_until_all_workers_are_ready():
    life = Simulation(
        service("web", "db"),
        service("db", workers=2, ready=NOTIFY),
        behave=lambda n, _: Behaviour(ready=float(n.number)),
    ).until(1.9)
    shows(life, web="waiting", db=["ready", "running"])
    assert life.worker("web/1").reason == "started by pidward, at its start; waits for db to be ready"
    assert life.worker("web/1").wanted is Wanted.UP
    shows(life.until(2), web="ready", db=["ready", "ready"])
    assert [r.reason for _, r in life.records if r.worker == name("web/1")][1] == "db is as web needs it"


def test_started_is_less_than_ready():
    life = Simulation(service("web", "db:started"), service("db", ready=NOTIFY)).until(0)
    shows(life, web="ready", db="running")


def test_completed_waits_for_the_end():
    life = Simulation(
        service("web", "migrate:completed"), job("migrate"), behave=by_name(migrate=Behaviour(lives=3, ends=exited(0)))
    )
    shows(life.until(2.9), web="waiting", migrate="running")
    shows(life.until(3), web="ready", migrate="completed")


@pytest.mark.parametrize("condition", ["started", "ready", "completed"])
def test_a_completed_job_is_all_that_can_be_asked_of_it(condition: str):
    life = Simulation(
        service("web", f"job:{condition}", autostart=False),
        job(),
        behave=by_name(job=Behaviour(lives=0, ends=exited(0))),
    ).until(1)
    shows(start(life, "web/1").until(1), web="ready", job="completed")
    assert len(life.starts("job/1")) == 1, "it need not run again"


def test_a_service_that_ended_is_not_ready():
    restart = policy(policy=job().restart.policy)
    life = Simulation(
        service("web", "db", autostart=False), service("db", restart=restart),
        behave=lambda n, start: Behaviour(lives=1 if n.service == "db" and start == 0 else None, ends=exited(0)),
    ).until(2)  # fmt: skip
    shows(life, db="completed")
    life.tell(on.RestartAsked(name("web/1"), "anna"))
    shows(life.until(2), web="ready", db="ready")
    assert "started by anna, needed by web" in [r.reason for _, r in life.records]


@pytest.mark.parametrize(
    "lives, reason",
    [
        (
            Behaviour(lives=1, ends=exited(1)),
            "waits for db to be ready, which failed: exited with code 1; the restart policy is never",
        ),
        (
            Behaviour(lives=1, ends=exited(0)),
            "waits for db to be ready, which has ended: exited with code 0; the restart policy is never",
        ),
    ],
)
def test_the_reason_says_what_became_of_the_dependency(lives: Behaviour, reason: str):
    life = Simulation(
        service("web", "db"), service("db", ready=NOTIFY, restart=job().restart), behave=by_name(db=lives)
    )
    assert life.until(2).worker("web/1").reason == reason
    shows(life, web="waiting")


def test_a_dependency_that_was_stopped_is_named_and_the_dependent_goes_on_with_it():
    life = Simulation(service("web", "db"), service("db", ready=NOTIFY)).until(1)
    stop(life, "db/1").until(2)
    assert life.worker("web/1").reason.startswith("waits for db to be ready, which is stopped: stopped by anna")
    start(life, "db/1").until(3)
    assert life.worker("web/1").reason == "waits for db to be ready"
    life.tell(on.Ready(name("db/1"), process(life, "db/1"), "READY=1"))
    shows(life.until(3), web="ready", db="ready")


def test_a_running_dependent_is_not_taken_down_and_its_next_start_waits():
    life = Simulation(service("web", "db"), service("db")).until(50)
    stop(life, "db/1").until(51)
    shows(life, web="ready", db="stopped")
    life.die("web/1")
    shows(life.until(52), web="waiting", db="stopped")
    assert life.worker("web/1").reason.startswith("killed by SIGKILL; waits for db to be ready")
    shows(start(life, "db/1").until(53), web="ready", db="ready")
    assert life.worker("web/1").restarts == 1


def test_a_restart_after_its_delay_waits_too():
    life = Simulation(service("web", "db", restart=policy(delay=5.0)), service("db")).until(1)
    life.die("web/1")
    life.until(1)
    life.die("web/1")  # not stable: this one waits
    shows(life.until(2), web="backing-off")
    stop(life, "db/1")
    shows(life.until(10), web="waiting")
    assert life.worker("web/1").until is None


def test_starting_one_starts_what_it_needs_and_what_that_needs():
    services = (
        service("web", "api", autostart=False),
        service("api", "db", autostart=False),
        service("db", autostart=False),
        service("other", autostart=False),
    )
    life = Simulation(*services).until(1)
    assert [str(n) for n in life.core.needed_by("web")] == ["api/1", "db/1"]
    shows(start(life, "web/1").until(1), web="ready", api="ready", db="ready", other="stopped")
    assert order(life, "starting") == ["db/1", "api/1", "web/1"]
    assert life.core.needed_by("web") == []


def test_autostart_starts_what_is_needed_but_not_what_an_operator_stopped():
    services = (service("web", "db"), service("db", autostart=False))
    shows(Simulation(*services).until(1), web="ready", db="ready")
    life = Simulation(*services, wishes={name("db/1"): Wanted.DOWN}).until(1)
    shows(life, web="waiting", db="stopped")
    assert life.worker("web/1").reason.endswith("is stopped: stopped by an operator, before pidward was started")
    shows(start(life, "web/1").until(2), web="ready", db="ready")


def test_named_services_bring_what_they_need():
    life = Simulation(
        service("web", "db"), service("db"), service("other"), only=("web",), wishes={name("db/1"): Wanted.DOWN}
    ).until(1)
    shows(life, web="ready", db="ready", other="stopped")


def test_a_failed_dependency_is_tried_again_when_somebody_asks():
    life = Simulation(
        service("web", "db"), service("db", restart=job().restart),
        behave=lambda n, start: Behaviour(cannot_start="no such file" if n.service == "db" and start == 0 else ""),
    ).until(1)  # fmt: skip
    shows(life, web="waiting", db="failed")
    shows(start(life, "web/1").until(1), web="ready", db="ready")


def test_stop_while_waiting():
    life = Simulation(service("web", "db"), service("db", ready=NOTIFY)).until(1)
    shows(stop(life, "web/1"), web="stopped")
    life.tell(on.Ready(name("db/1"), process(life, "db/1"), "READY=1"))
    shows(life.until(2), web="stopped", db="ready")


def test_a_dependency_without_workers_is_met():
    shows(Simulation(service("web", "db"), service("db", workers=0)).until(1), web="ready")


def test_a_cycle_waits_for_ever_and_ends():
    life = Simulation(service("a", "b"), service("b", "a")).until(10)
    shows(life, a="waiting", b="waiting")
    shows(start(life, "a/1").until(11), a="waiting", b="waiting")
    life.tell(on.ShutdownAsked("SIGTERM"))
    assert life.until(12).finished is not None


def test_nothing_that_waits_starts_during_the_end():
    life = Simulation(
        service("web", "db"), service("db", ready=NOTIFY), behave=by_name(db=Behaviour(heeds_stop=5))
    ).until(1)
    life.tell(on.ShutdownAsked("SIGTERM"))
    life.tell(on.Ready(name("db/1"), process(life, "db/1"), "READY=1"))
    life.until(20)
    assert "starting" not in [p.value for p in life.phases("web/1") if p]
    assert life.finished is not None


def stops(life: Simulation) -> list[tuple[float, str]]:
    return [(t - 1000, str(r.worker)) for t, r in life.records if r.after is Phase.STOPPING]


def test_dependents_stop_first_level_by_level():
    services = (service("web", "api", "cache"), service("api", "db"), service("cache"), service("db"), service("cron"))
    life = Simulation(*services, behave=lambda _n, _s: Behaviour(heeds_stop=1.0)).until(5)
    life.tell(on.ShutdownAsked("SIGTERM"))
    life.until(20)
    assert stops(life) == [(5, "cron/1"), (5, "web/1"), (6, "cache/1"), (6, "api/1"), (7, "db/1")]
    assert life.finished is not None


def asked(life: Simulation, *workers: str, at_once: bool = False) -> Simulation:
    life.tell(on.StopsAsked(tuple(map(name, workers)), "anna", at_once))
    return life


def test_several_that_are_stopped_go_in_the_same_order():
    life = Simulation(
        service("db"), service("web", "db"), service("other"), behave=lambda _n, _s: Behaviour(heeds_stop=1.0)
    ).until(5)
    asked(life, "db/1", "web/1").until(20)
    assert stops(life) == [(5, "web/1"), (6, "db/1")]
    shows(life, db="stopped", web="stopped", other="ready")


def test_several_without_dependencies_stop_together_the_last_first():
    life = Simulation(service("a"), service("b"), behave=lambda _n, _s: Behaviour(heeds_stop=1.0)).until(5)
    asked(life, "a/1", "b/1", "nobody/1").until(20)
    assert stops(life) == [(5, "b/1"), (5, "a/1")]


def test_several_at_once_wait_for_nobody():
    life = Simulation(service("db"), service("web", "db"), behave=lambda _n, _s: Behaviour(heeds_stop=None)).until(5)
    shows(asked(life, "db/1", "web/1", at_once=True).until(5), db="stopped", web="stopped")
    assert Phase.STOPPING not in life.phases("db/1")


def test_who_is_wanted_again_before_its_turn_is_left_alone():
    life = Simulation(service("db"), service("web", "db"), behave=lambda _n, _s: Behaviour(heeds_stop=1.0)).until(5)
    before = life.worker("db/1").process
    asked(life, "db/1", "web/1")
    start(life, "db/1").until(20)
    shows(life, db="ready", web="stopped")
    assert life.worker("db/1").process == before


def test_who_is_wanted_again_on_its_way_down_holds_up_nobody():
    life = Simulation(
        service("db"), service("web", "db"), service("other"), behave=lambda _n, _s: Behaviour(heeds_stop=1.0)
    )
    asked(life.until(5), "db/1", "web/1", "other/1")
    start(life, "other/1").until(20)
    shows(life, db="stopped", web="stopped", other="ready")


def test_who_is_wanted_again_is_started_with_what_it_needs_though_that_goes_down():
    life = Simulation(service("db"), service("web", "db"), behave=lambda _n, _s: Behaviour(heeds_stop=1.0)).until(5)
    asked(life, "web/1").until(7)
    asked(life, "db/1")
    start(life, "web/1").until(20)
    shows(life, db="ready", web="ready")


def test_what_is_needed_by_who_is_wanted_again_does_not_go_down():
    life = Simulation(service("db"), service("web", "db"), behave=lambda _n, _s: Behaviour(heeds_stop=1.0)).until(5)
    before = life.worker("db/1").process
    asked(life, "db/1", "web/1")
    start(life, "web/1").until(20)
    shows(life, db="ready", web="ready")
    assert life.worker("db/1").process == before


def test_a_rolling_restart_starts_what_is_needed():
    life = Simulation(service("db"), service("web", "db", workers=2)).until(5)
    asked(life, "db/1").until(7)
    life.tell(on.RollAsked((name("web/1"), name("web/2")), "anna"))
    shows(life.until(20), db="ready", web=["ready", "ready"])


def test_a_second_demand_hurries_those_whose_turn_has_not_come():
    life = Simulation(service("db"), service("web", "db"), behave=lambda _n, _s: Behaviour(heeds_stop=None)).until(5)
    life.tell(on.ShutdownAsked("SIGINT"))
    life.tell(on.StopsAsked((name("db/1"), name("web/1")), "anna"))
    life.tell(on.ShutdownAsked("SIGINT", at_once=True))
    assert life.until(5).finished is not None


def test_a_changed_configuration_frees_who_waits():
    db = service("db", ready=NOTIFY)
    life = Simulation(service("web", "db"), db).until(1)
    shows(reload(life, service("web"), db).until(1), web="ready", db="running")


def test_a_new_dependency_is_started_with_the_new_service():
    off = service("db", autostart=False)
    life = Simulation(off).until(1)
    shows(reload(life, off, service("web", "db")).until(1), db="ready", web="ready")


def test_a_changed_configuration_wakes_nobody_who_was_stopped():
    db: ServiceSpec = service("db")
    life = Simulation(db, service("web")).until(1)
    stop(life, "db/1").until(2)
    shows(reload(life, db, service("web", "db")).until(3), db="stopped", web="ready")


def test_a_worker_more_of_a_dependency_counts():
    life = Simulation(
        service("db", ready=NOTIFY), service("web", "db", autostart=False), behave=by_name(db=Behaviour(ready=1))
    )
    life.until(2).tell(on.ScaleAsked("db", 2, "anna"))
    shows(start(life, "web/1").until(2), db=["ready", "running"], web="waiting")
    shows(life.until(3), db=["ready", "ready"], web="ready")


def test_one_that_leaves_is_waited_for_no_longer():
    life = Simulation(
        service("db", workers=2, ready=NOTIFY), service("web", "db"),
        behave=lambda n, _s: Behaviour(ready=1 if n.number == 1 else None, heeds_stop=50),
    ).until(2)  # fmt: skip
    shows(life, db=["ready", "running"], web="waiting")
    life.tell(on.ScaleAsked("db", 1, "anna"))
    shows(life.until(3), db=["ready", "stopping"], web="ready")


def test_who_waits_for_what_has_failed_for_good_is_blocked_until_that_is_started():
    life = Simulation(
        service("top", "web"), service("web", "migrate:completed"), job("migrate"),
        behave=lambda n, start: Behaviour(lives=2, ends=exited(0 if start == 2 else 1)) if n.service == "migrate"
        else Behaviour(),
    )  # fmt: skip
    assert not any(worker.blocked for worker in life.until(1).core.workers.values())
    shows(life.until(3), top="waiting", web="waiting", migrate="failed")
    assert life.worker("web/1").blocked
    assert life.worker("web/1").reason.endswith("which failed: exited with code 1; the restart policy is never")
    assert life.worker("top/1").blocked
    assert life.worker("top/1").reason.endswith("which failed: exited with code 1; the restart policy is never")
    start(life, "top/1").until(4)
    shows(life, top="waiting", web="waiting", migrate="running")
    assert not life.worker("web/1").blocked
    assert not life.worker("top/1").blocked
    assert life.until(6).worker("top/1").blocked, "it failed again"
    shows(start(life, "web/1").until(9), top="ready", web="ready", migrate="completed")
    assert not any(worker.blocked for worker in life.core.workers.values())


def test_nobody_is_blocked_by_a_schedule_whose_next_run_is_due():
    life = Simulation(
        service("web", "job:completed"), job("job", schedule=Schedule(every=Seconds(60.0))),
        behave=by_name(job=Behaviour(lives=1, ends=exited(1))),
    ).until(5)  # fmt: skip
    shows(life, web="waiting", job="failed")
    assert not life.worker("web/1").blocked
