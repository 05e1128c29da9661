"""Lives of workers that share their fate."""

import pytest

from pidward.core import events as on
from pidward.core.model import Phase, Wanted
from pidward.core.spec import Exhausted, GroupSpec, ServiceSpec, Strategy
from pidward.core.units import Seconds
from pidward.testing.simulation import Behaviour, Simulation, exited

from .script import ONCE, by_name, job, name, order, policy, reload, service, shows, start, stop

ALL, REST, ONE = Strategy.ONE_FOR_ALL, Strategy.REST_FOR_ONE, Strategy.ONE_FOR_ONE


def member(service_name: str, group: str = "app", *needs: str, **keys: object) -> ServiceSpec:
    return service(service_name, *needs, **{"group": group, "restart": policy(delay=0.0, burst=0), **keys})


def app(strategy: Strategy, **keys: object) -> GroupSpec:
    return GroupSpec("app", strategy, **keys)  # type: ignore[arg-type]


def alive(group: GroupSpec, *more: ServiceSpec, behave=lambda _n, _s: Behaviour(heeds_stop=1.0)):
    services = (member("a"), member("b", workers=2), member("c"), *more)
    return Simulation(*services, groups=(group,), behave=behave).until(100)


def restarted(life: Simulation) -> list[str]:
    """Who was started after the beginning, in order."""
    return [str(r.worker) for t, r in life.records if r.after is Phase.STARTING and t > 1000.0]


def stopped(life: Simulation) -> list[tuple[float, str]]:
    return [(t - 1000, str(r.worker)) for t, r in life.records if r.after is Phase.STOPPING]


def test_one_for_one_touches_nobody_else():
    life = alive(app(ONE, burst=5))
    life.die("b/1")
    life.until(110)
    assert restarted(life) == ["b/1"]
    assert Phase.WAITING not in life.phases("b/1")


def test_one_for_all_stops_the_others_in_reverse_and_starts_all_in_order():
    life = alive(app(ALL), service("d"))
    life.die("b/1")
    shows(life, a="ready", b=["waiting", "ready"], c="stopping")
    assert life.worker("b/1").reason == "killed by SIGKILL; waits for its group app"
    life.until(110)
    assert stopped(life) == [(100, "c/1"), (101, "b/2"), (102, "a/1")]
    assert restarted(life) == ["a/1", "b/1", "b/2", "c/1"]
    shows(life, a="ready", b=["ready", "ready"], c="ready", d="ready")
    assert {life.worker(n).restarts for n in ("a/1", "b/2", "c/1")} == {0}
    assert life.worker("b/1").restarts == 1
    reasons = [r.reason for _, r in life.records if r.worker == name("a/1")]
    assert "restarted by its group app, because of b/1: killed by SIGKILL" in reasons
    assert "its group app starts again" in reasons


def test_rest_for_one_takes_those_that_come_after_it():
    life = alive(app(REST))
    life.die("b/1")
    life.until(110)
    assert stopped(life) == [(100, "c/1")]
    assert restarted(life) == ["b/1", "c/1"]


@pytest.mark.parametrize("strategy", [ALL, REST])
def test_the_others_wait_for_the_delay_of_the_first(strategy: Strategy):
    slow = policy(delay=7.0, reset_after=1e6, burst=0)
    services = (member("a", restart=slow), member("b"))
    life = Simulation(*services, groups=(app(strategy),)).until(50)
    life.die("a/1")
    life.until(50)
    life.die("a/1")
    shows(life.until(56.9), a="backing-off", b="waiting")
    shows(life.until(57), a="ready", b="ready")
    assert restarted(life)[-2:] == ["a/1", "b/1"]


def test_a_first_that_is_early_waits_until_the_last_is_down():
    services = (member("a", restart=policy(delay=1.0, reset_after=1e6, burst=0)), member("b"))
    life = Simulation(*services, groups=(app(ALL),), behave=by_name(b=Behaviour(heeds_stop=5))).until(50)
    life.die("a/1")
    life.until(58)
    life.die("a/1")
    shows(life.until(60), a="waiting", b="stopping")
    shows(life.until(63), a="ready", b="ready")


@pytest.mark.parametrize("restart", [ONCE, policy(never_on=frozenset({3}))])
def test_an_end_that_is_not_to_be_restarted_is_nobody_elses_affair(restart: object):
    life = Simulation(
        member("a"),
        member("b", restart=restart),
        groups=(app(ALL),),
        behave=by_name(b=Behaviour(lives=5, ends=exited(3))),
    ).until(10)
    shows(life, a="ready", b="failed")
    assert restarted(life) == []


def test_planned_ends_are_no_affair_of_the_group():
    life = alive(app(ALL))
    life.tell(on.RestartAsked(name("b/1"), "anna"))
    stop(life, "c/1").until(110)
    assert restarted(life) == ["b/1"]
    assert Phase.WAITING not in life.phases("b/1")


def test_who_is_done_or_stopped_is_left_alone():
    life = Simulation(
        member("a"), job("migrate", group="app"), member("b"), member("c", on_demand=True), groups=(app(ALL),),
        behave=by_name(migrate=Behaviour(lives=1, ends=exited(0))),
    ).until(5)  # fmt: skip
    stop(life, "b/1").until(6)
    life.die("a/1")
    shows(life.until(10), a="ready", migrate="completed", b="stopped", c="waiting")
    assert life.worker("b/1").wanted is Wanted.DOWN


def test_a_stop_during_the_restart_of_the_group_holds():
    life = alive(app(ALL))
    life.die("b/1")
    stop(life, "a/1")
    stop(life, "b/1")
    shows(life.until(110), a="stopped", b=["stopped", "ready"], c="ready")


def test_a_member_that_ends_while_its_group_goes_down_comes_up_with_it():
    life = alive(app(ALL, burst=1))
    life.die("b/1")
    life.until(100.5)
    life.die("a/1")
    life.until(110)
    shows(life, a="ready", b=["ready", "ready"], c="ready")
    assert restarted(life) == ["a/1", "b/1", "b/2", "c/1"], "one restart of the group, not two"


def test_a_start_that_is_asked_meanwhile_waits_with_the_group():
    life = alive(app(ALL))
    life.die("b/1")
    start(life, "b/1")
    shows(life, b=["waiting", "ready"])
    life.until(110)
    assert restarted(life) == ["a/1", "b/1", "b/2", "c/1"]


def test_dependencies_hold_in_a_group_too():
    services = (member("web", "app", "db"), member("db"))
    life = Simulation(*services, groups=(app(ALL),)).until(50)
    life.die("web/1")
    life.until(60)
    assert restarted(life) == ["db/1", "web/1"]
    shows(life, web="ready", db="ready")


def test_a_program_that_cannot_start_restarts_its_group():
    life = Simulation(
        member("a"), member("b"), groups=(app(ALL),),
        behave=lambda n, s: Behaviour(cannot_start="no such file" if n.service == "b" and s == 0 else ""),
    ).until(5)  # fmt: skip
    shows(life, a="ready", b="ready")
    assert order(life, "starting") == ["a/1", "b/1", "a/1", "b/1"]


# --- giving up


def test_a_group_that_gives_up_is_stopped_and_failed():
    life = alive(app(ALL, burst=2, window=Seconds(60)))
    for _ in range(2):
        life.die("a/1")
        life.until(life.now - 1000 + 5)
    life.die("a/1")
    life.until(150)
    shows(life, a="failed", b=["failed", "failed"], c="failed")
    why = "group app gave up: 2 restarts within 1min; a/1: killed by SIGKILL"
    assert {w.reason for w in life.core.workers.values()} == {why}
    assert {w.wanted for w in life.core.workers.values()} == {Wanted.UP}
    assert stopped(life)[-3:] == [(110, "c/1"), (111, "b/1"), (111, "b/2")]
    assert life.finished is None
    shows(start(life, "a/1").until(151), a="ready", c="failed")
    life.die("a/1")
    shows(life.until(152), a="ready", c="failed")


def test_restarts_outside_the_window_do_not_count():
    life = alive(app(ONE, burst=1, window=Seconds(10)))
    for _ in range(4):
        life.die("a/1")
        life.until(life.now - 1000 + 10)
    shows(life, a="ready")
    life.die("a/1")
    life.until(life.now - 1000 + 5)
    life.die("a/1")
    shows(life.until(life.now - 1000 + 5), a="failed", b=["failed", "failed"], c="failed")
    assert "1 restart within 10s" in life.worker("c/1").reason


def test_one_for_one_counts_all_members():
    life = alive(app(ONE, burst=2))
    for worker in ("a/1", "b/1", "b/2"):
        life.die(worker)
        life.until(life.now - 1000 + 5)
    shows(life, a="failed", b=["failed", "failed"], c="failed")


def test_a_group_may_take_everything_down():
    life = alive(app(ALL, burst=1, then=Exhausted.STOP_ALL), service("z"))
    life.die("a/1")
    life.until(105)
    life.die("a/1")
    life.until(120)
    assert life.finished is not None
    assert life.finished.failed
    assert life.finished.reason.startswith("group app gave up: 1 restart within 1min; a/1: killed by SIGKILL")


@pytest.mark.parametrize("strategy, others", [(ALL, "failed"), (REST, "failed"), (ONE, "ready")])
def test_a_member_that_gave_up_by_its_own_limit(strategy: Strategy, others: str):
    mine = policy(delay=0.0, burst=1, then=Exhausted.FAIL)
    life = Simulation(member("a", restart=mine), member("b"), groups=(app(strategy),)).until(5)
    for _ in range(2):
        life.die("a/1")
        life.until(6)
    shows(life, a="failed", b=others)


def test_a_stop_while_the_group_gives_up_is_a_stop():
    life = alive(app(ALL, burst=1))
    life.die("a/1")
    life.until(105)
    life.die("a/1")
    stop(life, "b/1").until(120)
    shows(life, a="failed", b=["stopped", "failed"], c="failed")


# --- groups in groups


def nested(outer: Strategy, **keys: object) -> Simulation:
    groups = (GroupSpec("site", outer, **keys), GroupSpec("app", ALL, burst=1, parent="site"))  # type: ignore[arg-type]
    services = (member("first", "site"), member("a"), member("b"), member("last", "site"))
    life = Simulation(*services, groups=groups).until(100)
    life.die("a/1")
    life.until(101)
    assert restarted(life) == ["a/1", "b/1"]
    life.die("a/1")
    return life.until(105)


@pytest.mark.parametrize(
    "outer, expected",
    [(ONE, ["a/1", "b/1"]), (REST, ["a/1", "b/1", "last/1"]), (ALL, ["first/1", "a/1", "b/1", "last/1"])],
)
def test_a_group_that_gives_up_is_restarted_by_the_one_it_is_part_of(outer: Strategy, expected: list[str]):
    life = nested(outer)
    assert restarted(life)[2:] == expected
    shows(life, first="ready", a="ready", b="ready", last="ready")
    because = "because of group app gave up: 1 restart within 1min; a/1: killed by SIGKILL"
    assert any(because in r.reason for _, r in life.records)


def test_and_that_one_may_give_up_as_well():
    life = nested(ONE, burst=1)
    for _ in range(2):
        life.die("a/1")
        life.until(106)
    shows(life, first="failed", a="failed", b="failed", last="failed")
    assert life.worker("last/1").reason.startswith("group site gave up: 1 restart within 1min; group app gave up:")


def test_an_own_limit_escalates_too():
    mine = policy(delay=0.0, burst=1, then=Exhausted.FAIL)
    groups = (GroupSpec("site", ALL), GroupSpec("app", ALL, parent="site"))
    life = Simulation(member("a", restart=mine), member("b", "site"), groups=groups).until(100)
    for _ in range(2):
        life.die("a/1")
        life.until(101)
    shows(life, a="ready", b="ready")
    assert life.worker("a/1").starts == (), "a fresh start"


def test_a_larger_fate_takes_over_a_smaller_one():
    groups = (GroupSpec("site", ALL), GroupSpec("app", ALL, parent="site"))
    services = (member("x", "site"), member("a"), member("b"))
    life = Simulation(*services, groups=groups, behave=lambda _n, _s: Behaviour(heeds_stop=5.0)).until(100)
    life.die("a/1")
    shows(life.until(101), a="waiting", b="stopping", x="ready")
    life.die("x/1")
    shows(life.until(104), a="waiting", b="stopping", x="waiting")
    life.until(120)
    assert restarted(life) == ["x/1", "a/1", "b/1"]


# --- changes meanwhile


def test_a_member_that_leaves_meanwhile_holds_up_nobody():
    slow = member("a", restart=policy(delay=50.0, reset_after=1e6, burst=0))
    life = Simulation(slow, member("b"), groups=(app(ALL),)).until(50)
    life.die("a/1")
    life.until(51)
    life.die("a/1")
    shows(life.until(52), a="backing-off", b="waiting")
    shows(reload(life, member("b"), groups=(app(ALL),)).until(53), b="ready")


def test_a_group_that_is_gone_lets_its_members_go_on():
    life = alive(app(ALL))
    life.die("b/1")
    reload(life, service("a"), service("b", workers=2), service("c"))
    shows(life.until(120), a="ready", b=["ready", "ready"], c="ready")
    life.die("a/1")
    shows(life.until(130), a="ready")


def test_the_end_of_everything_goes_over_that_of_a_group():
    life = alive(app(ALL))
    life.die("b/1")
    life.tell(on.ShutdownAsked("SIGTERM"))
    life.until(120)
    assert life.finished is not None
    assert restarted(life) == []
