"""Lives under another scale, in a rolling restart, and of services whose end is the end."""

import pytest

from pidward.core import events as on
from pidward.core.actions import Finish, Kill, Record
from pidward.core.model import Phase
from pidward.core.spec import MAX_WORKERS, Configuration, Essential, Execution, Exhausted, ServiceSpec
from pidward.core.units import Instant
from pidward.testing.simulation import Behaviour, Simulation, exited, killed

from .script import NOTIFY, ONCE, by_name, job, name, order, policy, process, reload, service, shows, start, stop


def scale(life: Simulation, workers: int, service_name: str = "web") -> Simulation:
    life.tell(on.ScaleAsked(service_name, workers, "anna"))
    return life


# --- scale


def test_more_workers_come_at_the_end_and_fewer_go_from_there():
    life = Simulation(service(workers=2), service("z")).until(5)
    kept = [process(life, "web/1"), process(life, "web/2")]
    shows(scale(life, 4).until(6), web=["ready"] * 4)
    assert [str(n) for n in life.core.workers] == ["web/1", "web/2", "web/3", "web/4", "z/1"]
    assert life.core.scale("web") == 4
    scale(life, 2).until(7)
    assert order(life, "stopping") == ["web/4", "web/3"]
    assert [process(life, "web/1"), process(life, "web/2")] == kept
    assert [str(n) for n in life.core.workers] == ["web/1", "web/2", "z/1"]
    assert life.phases("web/4")[-1] is None


def test_a_scale_holds_until_the_file_says_another_number():
    life = Simulation(service(workers=2)).until(5)
    scale(life, 3)
    reload(life, service(workers=2, autostart=False)).until(6)
    shows(life, web=["ready"] * 3)
    reload(life, service(workers=1)).until(7)
    shows(life, web="ready")
    assert life.core.scale("web") == 1


def test_a_service_that_was_gone_in_between_has_the_files_number():
    life = Simulation(service(workers=1), service("z")).until(5)
    scale(life, 3)
    reload(life, service("z")).until(6)
    reload(life, service(), service("z")).until(7)
    shows(life, web="ready")


def test_who_leaves_and_is_wanted_again_comes_back():
    life = Simulation(service(workers=2), behave=lambda _n, _s: Behaviour(heeds_stop=5)).until(5)
    scale(life, 1).until(6)
    assert life.core.is_leaving(name("web/2"))
    start(life, "web/2")
    shows(life, web=["ready", "stopping"])
    scale(life, 2)
    assert not life.core.is_leaving(name("web/2"))
    shows(life.until(20), web=["ready", "ready"])


def test_down_to_none_and_up_again():
    life = Simulation(service()).until(5)
    scale(life, 0).until(6)
    assert not life.core.workers
    shows(scale(life, 1).until(7), web="ready")


def test_who_is_down_already_leaves_at_once():
    life = Simulation(service(workers=2, restart=ONCE)).until(5)
    stop(life, "web/2").until(6)
    life.tell(on.StopAsked(name("web/2"), "anna"))
    scale(life, 1)
    shows(life, web="ready")


def test_too_many_are_refused_and_it_is_said():
    life = Simulation(service(), service("z", workers=2)).until(5)
    assert life.core.cannot_scale("web", MAX_WORKERS - 2) == ""
    why = life.core.cannot_scale("web", MAX_WORKERS - 1)
    beside = "0 to 19998 are possible, for the others have 2, and all together may have 20000"
    assert why == f"web cannot have 19999 workers: {beside}"
    assert life.core.cannot_scale("nobody", 1) == "no service is named 'nobody'"
    assert "0 to 19998" in life.core.cannot_scale("web", -1)
    scale(life, MAX_WORKERS).until(6)
    assert life.notes == [f"not scaled by anna: web cannot have 20000 workers: {beside}"]
    shows(life, web="ready", z=["ready", "ready"])


def test_nothing_is_scaled_at_the_end():
    life = Simulation(service(), behave=lambda _n, _s: Behaviour(heeds_stop=5)).until(5)
    life.tell(on.ShutdownAsked("SIGTERM"))
    scale(life, 3)
    life.tell(on.RollAsked((name("web/1"),), "anna"))
    assert len(life.core.workers) == 1
    life.until(20)
    assert life.finished is not None


# --- rolling


def roll(life: Simulation, step: int = 1, workers: int = 4) -> Simulation:
    life.tell(on.RollAsked(tuple(name(f"web/{n}") for n in range(1, workers + 1)), "anna", step))
    return life


def slow(workers: int = 4, **behaviour: object) -> Simulation:
    return Simulation(
        service(workers=workers, ready=NOTIFY), behave=lambda _n, _s: Behaviour(**{"ready": 10.0, **behaviour})  # type: ignore[arg-type]
    ).until(50)  # fmt: skip


def begun(life: Simulation) -> list[tuple[float, str]]:
    return [(t - 1000, str(r.worker)) for t, r in life.records if r.after is Phase.STOPPING]


def test_one_after_the_other_each_ready_before_the_next():
    life = roll(slow()).until(100)
    assert begun(life) == [(50, "web/1"), (60, "web/2"), (70, "web/3"), (80, "web/4")]
    assert life.worker("web/1").restarts == 0
    assert life.notes == ["the rolling restart by anna is over: 4 replaced"]
    assert "restarted by anna, in its turn" in [r.reason for _, r in life.records]


def test_some_at_a_time():
    life = roll(slow(5), 2, 5).until(100)
    assert begun(life) == [(50, "web/1"), (50, "web/2"), (60, "web/3"), (60, "web/4"), (70, "web/5")]


def test_it_ends_with_the_first_that_cannot_start():
    life = Simulation(
        service(workers=4, restart=ONCE),
        behave=lambda n, s: Behaviour(cannot_start="no such file" if s and n.number == 2 else ""),
    ).until(50)
    roll(life, 2).until(75)
    assert begun(life) == [(50, "web/1"), (50, "web/2")]
    assert life.notes == [
        (
            "the rolling restart by anna ends with web/2, failed: no such file; the restart policy is never; "
            "web/3, web/4 still run the version from before"
        )
    ]


def test_it_ends_with_one_that_is_stopped():
    life = stop(roll(slow(2), workers=2), "web/1").until(75)
    assert [w for _, w in begun(life)] == ["web/1"] * 2, "the second time for another reason"
    shows(life, web=["stopped", "ready"])
    [note] = life.notes
    assert note.startswith("the rolling restart by anna ends with web/1, stopped: stopped by anna")


def test_a_crash_before_it_is_ready_ends_it():
    life = Simulation(
        service(workers=3, ready=NOTIFY, restart=policy(delay=9.0)),
        behave=lambda n, s: Behaviour(ready=5.0, lives=1.0 if s and n.number == 2 else None),
    ).until(50)
    roll(life, 1, 3).until(100)
    assert [w for _, w in begun(life)] == ["web/1", "web/2"]
    assert life.notes == [
        (
            "the rolling restart by anna ends with web/2, backing-off: exited with code 1; starts again after 9s; "
            "web/3 still run the version from before"
        )
    ]


def test_it_starts_who_was_asked_for_and_was_down_but_nobody_who_is_stopped_meanwhile():
    life = slow()
    stop(life, "web/1").until(51)
    roll(life).until(55)
    stop(life, "web/4").until(200)
    assert life.starts("web/1") == [0, 51]
    assert [w for _, w in begun(life)] == ["web/1", "web/4", "web/2", "web/3"]
    assert life.worker("web/4").phase is Phase.STOPPED
    assert life.notes == ["the rolling restart by anna is over: 3 replaced"]


def test_who_is_on_the_way_out_is_no_part_of_it():
    life = Simulation(service(workers=2), behave=lambda _n, _s: Behaviour(heeds_stop=5)).until(5)
    scale(life, 1)
    roll(life, 1, 2).until(50)
    assert life.notes == ["the rolling restart by anna is over: 1 replaced"]


def test_who_leaves_meanwhile_is_not_waited_for():
    life = roll(slow()).until(75)
    scale(life, 2).until(200)
    assert life.notes == ["the rolling restart by anna is over: 2 replaced"]


def test_a_newer_one_takes_over():
    life = roll(slow()).until(55)
    roll(life, 4).until(100)
    assert begun(life) == [(50, "web/1"), (55, "web/1"), (55, "web/2"), (55, "web/3"), (55, "web/4")]
    assert life.notes == [f"the rolling restart by anna is over: {n} replaced" for n in (0, 4)]


def changed(**keys: object) -> ServiceSpec:
    return ServiceSpec("web", Execution(("web", "-v2")), ready=NOTIFY, **keys)  # type: ignore[arg-type]


def test_a_changed_file_rolls_where_it_says_so():
    life = slow()
    stop(life, "web/1").until(51)
    reload(life, changed(workers=5, rolling=2)).until(52)
    assert [w for _, w in begun(life)][1:] == ["web/2", "web/3"]
    life.until(200)
    assert [w for _, w in begun(life)][1:] == ["web/2", "web/3", "web/4"], "the new one runs the new version already"
    assert life.worker("web/1").phase is Phase.STOPPED


def test_a_changed_file_restarts_all_at_once_otherwise_but_not_the_new():
    life = slow(2)
    reload(life, changed(workers=3)).until(52)
    assert begun(life) == [(50, "web/1"), (50, "web/2")]
    assert life.starts("web/3") == [50]


# --- essential


def essential(when: Essential, ends: object, **keys: object) -> Simulation:
    spec = service("main", essential=when, restart=ONCE, **keys)
    return Simulation(service("web"), spec, behave=by_name(main=Behaviour(lives=5, ends=ends))).until(10)  # type: ignore[arg-type]


@pytest.mark.parametrize("when", [Essential.ON_FAILURE, Essential.ALWAYS])
def test_the_failure_of_an_essential_service_is_the_end(when: Essential):
    life = essential(when, exited(3))
    reason = "main/1, which is essential: exited with code 3; the restart policy is never"
    assert life.finished == Finish(reason, failed=True, status=exited(3))
    assert Phase.FAILED in life.phases("main/1")
    assert life.worker("web/1").reason.startswith(f"stopped by {reason}")


def test_its_success_is_the_end_only_when_it_says_so():
    life = essential(Essential.ALWAYS, exited(0))
    assert life.finished is not None
    assert (life.finished.failed, life.finished.status) == (False, exited(0))
    assert essential(Essential.ON_FAILURE, exited(0)).finished is None
    assert essential(Essential.NO, exited(1)).finished is None


def test_a_program_that_cannot_start_has_no_status():
    spec = service("main", essential=Essential.ALWAYS, restart=ONCE)
    life = Simulation(spec, behave=by_name(main=Behaviour(cannot_start="no such file"))).until(1)
    assert life.finished == Finish(
        "main/1, which is essential: no such file; the restart policy is never", failed=True, status=None
    )


def test_an_operators_stop_is_not_the_end_and_a_restart_neither():
    life = Simulation(service("main", essential=Essential.ALWAYS)).until(5)
    stop(life, "main/1").until(6)
    start(life, "main/1").until(7)
    life.die("main/1")
    shows(life.until(8), main="ready")
    assert life.finished is None


def test_it_is_the_end_when_it_gave_up():
    restart = policy(delay=0.0, burst=1, then=Exhausted.FAIL)
    life = Simulation(service("main", essential=Essential.ON_FAILURE, restart=restart)).until(5)
    life.die("main/1", killed(11))
    life.until(6)
    life.die("main/1", killed(11))
    life.until(7)
    assert life.finished is not None
    assert life.finished.status == killed(11)


def test_the_first_essential_end_counts():
    specs = [job(n, essential=Essential.ALWAYS) for n in ("a", "b")]
    life = Simulation(*specs, behave=by_name(a=Behaviour(lives=1, ends=exited(7)), b=Behaviour(heeds_stop=3))).until(10)
    assert life.finished is not None
    assert life.finished.status == exited(7)
    life = Simulation(*specs, behave=lambda _n, _s: Behaviour(heeds_stop=1)).until(1)
    life.tell(on.ShutdownAsked("SIGTERM"))
    life.die("a/1", exited(1))
    life.until(5)
    assert life.finished == Finish("SIGTERM")


def test_many_services_that_leave_at_once_cost_no_more_each():
    services = tuple(service(f"s{n}") for n in range(300))
    life = Simulation(*services).until(1)
    life.tell(on.Reconfigured(Configuration(services[:1]), "anna"))
    life.until(2)
    assert list(life.core.workers) == [name("s0/1")]
    with pytest.raises(KeyError):
        life.core.spec(name("s1/1"))


# --- what is written


def story(life: Simulation, since: float) -> list[str]:
    return [
        f"{r.worker} {r.after.value if r.after else 'gone'}: {r.reason}" for t, r in life.records if t - 1000 >= since
    ]


def test_the_story_of_a_scale():
    life = Simulation(service(), behave=lambda _n, _s: Behaviour(heeds_stop=5)).until(5)
    scale(scale(life, 2), 1)
    scale(life, 2).until(20)
    scale(life, 1).until(30)
    assert story(life, 5) == [
        "web/2 starting: started by anna",
        "web/2 stopping: stopped by anna",
        "web/2 stopping: stopped by anna; will start again (anna)",
        "web/2 starting: stopped by anna; will start again (anna); killed by SIGTERM",
        "web/2 ready: the program runs",
        "web/2 stopping: stopped by anna",
        "web/2 stopped: stopped by anna; killed by SIGTERM",
        "web/2 gone: no longer in the configuration",
    ]


def test_the_story_of_a_reload():
    wait = job("wait", schedule=None, on_demand=True)
    life = Simulation(service(), service("old"), wait).until(5)
    changed_web = ServiceSpec("web", Execution(("web", "-v")))
    reload(life, changed_web, job("wait"), service("off", autostart=False)).until(6)
    assert story(life, 5) == [
        "web/1 stopping: restarted by anna",
        "off/1 stopped: autostart is off",
        "old/1 stopping: stopped by anna",
        "wait/1 starting: started by anna",
        "web/1 starting: restarted by anna; killed by SIGTERM",
        "old/1 stopped: stopped by anna; killed by SIGTERM",
        "old/1 gone: no longer in the configuration",
        "wait/1 running: the job runs",
        "web/1 ready: the program runs",
    ]


def test_a_scale_wakes_nothing_that_was_stopped():
    life = Simulation(service("web", "db"), service("db")).until(5)
    stop(life, "db/1").until(6)
    shows(scale(life, 2).until(7), web=["ready", "waiting"], db="stopped")
    shows(
        reload(life, service("web", "db", autostart=False), service("db")).until(8),
        web=["ready", "waiting"],
        db="stopped",
    )


def test_the_rest_is_restarted_though_one_is_done():
    keys = {"restart": ONCE}
    life = Simulation(
        service(workers=2, **keys),
        behave=lambda n, _s: Behaviour(lives=1 if n.number == 1 else None, ends=exited(0)),
    ).until(5)  # fmt: skip
    reload(life, ServiceSpec("web", Execution(("web", "-v")), workers=2, restart=ONCE)).until(6)
    assert life.starts("web/2") == [0, 5]
    shows(life, web=["completed", "ready"])


def test_a_changed_probe_of_another_service_moves_nobody():
    life = Simulation(service(ready=NOTIFY), service("z")).until(5)
    before = life.worker("web/1")
    reload(life, service(ready=NOTIFY), service("z", autostart=False)).until(6)
    assert life.worker("web/1") == before


def test_starting_one_that_leaves_brings_nothing():
    life = Simulation(service("web", "db"), service("db"), behave=by_name(web=Behaviour(heeds_stop=9))).until(5)
    reload(life, service("db")).until(6)
    stop(life, "db/1").until(7)
    shows(start(life, "web/1").until(8), db="stopped", web="stopping")


def test_a_stop_of_several_takes_the_roll_from_them():
    life = roll(stop(slow(), "web/3").until(51)).until(55)
    life.tell(on.StopsAsked((name("web/3"),), "anna"))
    life.until(200)
    shows(life, web=["ready", "ready", "stopped", "ready"])


def test_a_roll_of_one_that_fails_leaves_nobody_behind():
    life = Simulation(
        service(workers=2, restart=ONCE), behave=lambda _n, s: Behaviour(cannot_start="no" if s else "")
    ).until(5)
    life.tell(on.RollAsked((name("web/1"),), "anna"))
    life.until(6)
    assert life.notes == ["the rolling restart by anna ends with web/1, failed: no; the restart policy is never"]


def test_a_kill_is_repeated_until_it_is_answered():
    life = Simulation(service()).until(5)
    mine = process(life, "web/1")
    actions = life.core.step(on.StopAsked(name("web/1"), "anna", at_once=True), life.now)
    assert actions[1:] == [Kill(name("web/1"), mine, whole_tree=True)]
    assert life.worker("web/1").until == 1010.0
    assert life.core.step(on.Elapsed(name("web/1")), Instant(1011.0)) == [Kill(name("web/1"), mine, whole_tree=True)]
    assert life.worker("web/1").until == 1016.0
    status = killed(9)
    [record] = life.core.step(on.Exited(name("web/1"), mine, status), Instant(1012.0))
    assert isinstance(record, Record)
    assert (record.after, record.exit) == (Phase.STOPPED, status)
