"""Lives of workers, scripted in simulated time."""

import itertools

import pytest

from pidward.core import actions as do
from pidward.core import events as on
from pidward.core.model import Phase, ProcessId, Wanted, WorkerName
from pidward.core.signals import parse_signal
from pidward.core.spec import (
    Configuration,
    Execution,
    Exhausted,
    Probe,
    ProbeKind,
    RestartPolicy,
    RestartWhen,
    ServiceSpec,
    StopPolicy,
    Tree,
)
from pidward.core.units import Seconds
from pidward.testing.simulation import Behaviour, Simulation, exited, killed

WEB = WorkerName("web", 1)


def service(name: str = "web", /, **keys: object) -> ServiceSpec:
    return ServiceSpec(name, Execution((name,)), **keys)  # type: ignore[arg-type]


def policy(**keys: object) -> RestartPolicy:
    return RestartPolicy(**{"jitter": 0.0, **keys})  # type: ignore[arg-type]


def always(**behaviour: object):
    return lambda _name, _start: Behaviour(**behaviour)  # type: ignore[arg-type]


def test_a_worker_that_lives_is_ready_at_once():
    life = Simulation(service()).until(1)
    assert life.phases("web/1") == [Phase.STARTING, Phase.READY]


def test_ready_after_a_delay_and_not_before():
    life = Simulation(service(ready=Probe(ProbeKind.AFTER, after=Seconds(5.0)))).until(4.99)
    assert life.worker("web/1").phase is Phase.RUNNING
    assert life.until(5).worker("web/1").phase is Phase.READY


def test_the_first_restart_after_a_stable_run_is_immediate():
    life = Simulation(service(restart=policy())).until(100)
    life.die("web/1")
    life.until(100)
    assert life.worker("web/1").phase is Phase.READY
    assert life.starts("web/1") == [0, 100]


def test_a_crash_loop_backs_off_and_the_delay_is_capped():
    restart = policy(delay=1.0, factor=2.0, max_delay=5.0, burst=0)
    life = Simulation(service(restart=restart), behave=always(lives=0.0)).until(30)
    gaps = [b - a for a, b in zip(life.starts("web/1"), life.starts("web/1")[1:], strict=False)]
    assert gaps[:6] == [0, 1, 2, 4, 5, 5]


def test_a_stable_run_resets_the_delay():
    lives = [0.0, 0.0, 0.0, 31.0, 0.0]
    life = Simulation(
        service(restart=policy(delay=1.0, burst=0)),
        behave=lambda _name, start: Behaviour(lives=lives[start] if start < len(lives) else None),
    ).until(100)
    starts = life.starts("web/1")
    assert [b - a for a, b in itertools.pairwise(starts)] == [0, 1, 2, 31, 1]


@pytest.mark.parametrize(
    "then, phase", [(Exhausted.SLOW, Phase.SLOW_LANE), (Exhausted.FAIL, Phase.FAILED)], ids=lambda v: v.value
)
def test_the_start_limit(then: Exhausted, phase: Phase):
    restart = policy(delay=0.0, burst=3, window=60.0, then=then, max_delay=30.0)
    life = Simulation(service(restart=restart), behave=always(lives=0.0)).until(1)
    assert len(life.starts("web/1")) == 4  # the first start, and three restarts
    assert life.worker("web/1").phase is phase
    assert "3 restarts within 1min" in life.worker("web/1").reason


def test_the_slow_lane_keeps_trying():
    restart = policy(delay=0.0, burst=3, window=3600.0, max_delay=30.0)
    life = Simulation(service(restart=restart), behave=always(lives=0.0)).until(95)
    assert life.starts("web/1") == [0, 0, 0, 0, 30, 60, 90]


def test_starts_outside_the_window_do_not_count():
    restart = policy(delay=0.0, burst=2, window=10.0, then=Exhausted.FAIL)
    life = Simulation(service(restart=restart), behave=always(lives=6.0)).until(60)
    assert life.worker("web/1").phase is Phase.READY
    assert len(life.starts("web/1")) == 11


def test_stop_all_takes_everything_down():
    restart = policy(delay=0.0, burst=1, then=Exhausted.STOP_ALL)
    life = Simulation(
        service("db"), service(restart=restart), behave=lambda n, _: Behaviour(lives=1.0 if n == WEB else None)
    )
    life.until(10)
    assert life.worker("db/1").phase is Phase.STOPPED
    assert life.finished is not None
    assert life.finished.failed
    assert life.finished.reason.startswith("web/1: ")


@pytest.mark.parametrize(
    "keys, ends, phase",
    [
        ({"policy": RestartWhen.NEVER}, exited(0), Phase.COMPLETED),
        ({"policy": RestartWhen.NEVER}, exited(1), Phase.FAILED),
        ({"policy": RestartWhen.ON_FAILURE}, exited(0), Phase.COMPLETED),
        ({"policy": RestartWhen.ON_FAILURE}, exited(3), Phase.READY),
        ({"policy": RestartWhen.ON_FAILURE, "success_codes": frozenset({0, 3})}, exited(3), Phase.COMPLETED),
        ({"policy": RestartWhen.ALWAYS}, exited(0), Phase.READY),
        ({"policy": RestartWhen.ALWAYS, "never_on": frozenset({7})}, exited(7), Phase.FAILED),
        ({"policy": RestartWhen.NEVER, "always_on": frozenset({-parse_signal("SEGV")})}, killed(11), Phase.READY),
        ({"policy": RestartWhen.NEVER, "success_codes": frozenset({-15})}, killed(15), Phase.COMPLETED),
    ],
)
def test_the_policy_by_cause(keys: dict[str, object], ends, phase: Phase):
    life = Simulation(
        service(restart=policy(**keys)),
        behave=lambda _n, start: Behaviour(lives=60.0 if start == 0 else None, ends=ends),
    ).until(61)
    assert life.worker("web/1").phase is phase


def test_an_obedient_worker_stops_by_its_signal():
    life = Simulation(service(), behave=always(heeds_stop=2.0)).until(5)
    life.tell(on.StopAsked(WEB, "anna"))
    assert life.until(6.9).worker("web/1").phase is Phase.STOPPING
    worker = life.until(7).worker("web/1")
    assert (worker.phase, worker.wanted) == (Phase.STOPPED, Wanted.DOWN)
    assert worker.reason == "stopped by anna; killed by SIGTERM"


def test_who_stopped_it_first_is_remembered():
    life = Simulation(service(), behave=always(heeds_stop=2.0)).until(5)
    life.tell(on.StopAsked(WEB, "anna"))
    life.tell(on.StopAsked(WEB, "ben"))
    assert life.until(8).worker("web/1").reason == "stopped by anna; killed by SIGTERM"
    life.tell(on.StopAsked(WEB, "ben"))
    assert life.worker("web/1").reason == "stopped by anna; killed by SIGTERM"


def test_grace_then_kill():
    life = Simulation(service(stop=StopPolicy(grace=Seconds(3.0))), behave=always(heeds_stop=None)).until(5)
    life.tell(on.StopAsked(WEB, "anna"))
    assert life.until(7.99).worker("web/1").phase is Phase.STOPPING
    assert life.until(8).worker("web/1").phase is Phase.STOPPED
    assert life.phases("web/1")[-3:] == [Phase.STOPPING, Phase.KILLING, Phase.STOPPED]


def test_a_stopped_worker_stays_stopped_whatever_ends_late():
    life = Simulation(service()).until(1)
    process = life.worker("web/1").process
    assert process is not None
    life.tell(on.StopAsked(WEB, "anna"))
    life.until(2)
    life.tell(on.Exited(WEB, process, killed(9)))
    life.tell(on.Elapsed(WEB))
    assert life.until(1000).phases("web/1")[-1] is Phase.STOPPED


def test_what_a_crashed_worker_left_behind_is_killed_before_the_next_starts():
    life = Simulation(service(), behave=always(leaves_behind=True)).until(100)
    life.die("web/1")
    life.until(100)
    assert life.phases("web/1")[-3:] == [Phase.KILLING, Phase.STARTING, Phase.READY]


def test_with_leave_descendants_stay():
    life = Simulation(service(stop=StopPolicy(tree=Tree.LEAVE)), behave=always(leaves_behind=True)).until(100)
    life.die("web/1")
    assert Phase.KILLING not in life.until(101).phases("web/1")


def test_with_signal_the_tree_has_the_grace_too():
    stop = StopPolicy(tree=Tree.SIGNAL, grace=Seconds(4.0))
    life = Simulation(service(stop=stop), behave=always(leaves_behind=True)).until(10)
    life.tell(on.StopAsked(WEB, "anna"))
    assert life.until(13.9).worker("web/1").phase is Phase.STOPPING
    assert life.worker("web/1").process is None
    assert life.until(14).worker("web/1").phase is Phase.STOPPED


def test_restart_replaces_the_process():
    life = Simulation(service()).until(1)
    before = life.worker("web/1").process
    life.tell(on.RestartAsked(WEB, "anna"))
    worker = life.until(2).worker("web/1")
    assert worker.phase is Phase.READY
    assert worker.process is not None
    assert worker.process != before
    assert worker.restarts == 0, "a restart that was asked for is no failure"


def test_start_while_stopping_starts_again_afterwards():
    life = Simulation(service(), behave=always(heeds_stop=1.0)).until(1)
    life.tell(on.StopAsked(WEB, "anna"))
    life.tell(on.StartAsked(WEB, "ben"))
    assert life.until(3).worker("web/1").phase is Phase.READY


def test_stop_while_the_spawn_is_on_its_way():
    life = Simulation(service())
    life.tell(on.StopAsked(WEB, "anna"))  # Spawn was asked for and not answered yet
    assert life.until(1).worker("web/1").phase is Phase.STOPPED
    assert life.until(100).phases("web/1").count(Phase.STARTING) == 1


def test_a_program_that_cannot_start_is_tried_again_with_delay():
    life = Simulation(service(restart=policy(delay=1.0)), behave=always(cannot_start="no such file")).until(0.5)
    assert life.worker("web/1").phase is Phase.BACKING_OFF
    assert life.worker("web/1").reason == "no such file; starts again after 1s"


def test_a_program_that_cannot_start_fails_when_the_policy_is_never():
    restart = policy(policy=RestartWhen.NEVER)
    life = Simulation(service(restart=restart), behave=always(cannot_start="no such file")).until(1)
    assert life.worker("web/1").phase is Phase.FAILED


def test_wishes_of_an_earlier_life_outrank_autostart():
    life = Simulation(service(), service("db", autostart=False), wishes={WEB: Wanted.DOWN}).until(1)
    assert life.worker("web/1").phase is Phase.STOPPED
    assert life.worker("db/1").phase is Phase.STOPPED
    life.tell(on.StartAsked(WEB, "anna"))
    assert life.until(2).worker("web/1").phase is Phase.READY


def test_everything_stops_in_reverse_order_of_the_file():
    life = Simulation(service("db", workers=2), service("web"), service("proxy"), behave=always(heeds_stop=1.0)).until(
        5
    )
    life.tell(on.ShutdownAsked("SIGTERM"))
    life.until(20)
    stops = [(t - 1000, str(r.worker)) for t, r in life.records if r.after is Phase.STOPPING]
    assert stops == [(5, "proxy/1"), (6, "web/1"), (7, "db/1"), (7, "db/2")]
    assert life.finished is not None
    assert not life.finished.failed


def test_a_second_demand_stops_all_at_once():
    life = Simulation(service("db"), service("web"), behave=always(heeds_stop=None)).until(5)
    life.tell(on.ShutdownAsked("SIGINT"))
    life.until(6)
    life.tell(on.ShutdownAsked("SIGINT", at_once=True))
    assert life.until(6).finished is not None


def test_shutdown_with_nothing_running_finishes():
    life = Simulation(service(autostart=False))
    life.tell(on.ShutdownAsked("SIGTERM"))
    assert life.finished is not None


def test_nothing_starts_during_the_end():
    life = Simulation(service(), behave=always(heeds_stop=1.0)).until(5)
    life.tell(on.ShutdownAsked("SIGTERM"))
    life.tell(on.StartAsked(WEB, "anna"))
    life.tell(on.RestartAsked(WEB, "anna"))
    life.until(10)
    assert life.finished is not None
    assert life.worker("web/1").phase is Phase.STOPPED


def test_a_reload_touches_only_what_changed():
    one, two = service("one"), service("two", workers=3)
    life = Simulation(one, two, service("old")).until(5)
    kept = life.worker("one/1").process
    changed = ServiceSpec("two", Execution(("two", "--new")), workers=2)
    life.tell(on.Reconfigured(Configuration((one, changed, service("new"))), "anna"))
    life.until(6)
    assert life.worker("one/1").process == kept
    assert [str(n) for n in life.core.workers] == ["one/1", "two/1", "two/2", "new/1"]
    assert life.phases("two/1")[-3:] == [Phase.STOPPING, Phase.STARTING, Phase.READY]
    assert life.phases("two/3")[-2:] == [Phase.STOPPED, None]
    assert life.phases("old/1")[-2:] == [Phase.STOPPED, None]


def test_a_policy_changes_without_a_restart():
    life = Simulation(service()).until(5)
    before = life.worker("web/1").process
    life.tell(on.Reconfigured(Configuration((service(stop=StopPolicy(grace=Seconds(1.0))),)), "anna"))
    assert life.until(6).worker("web/1").process == before
    assert life.core.spec(WEB).stop.grace == 1.0


@pytest.mark.parametrize("then", [Exhausted.SLOW, Exhausted.FAIL], ids=lambda v: v.value)
def test_a_corrected_command_starts_at_once(then: Exhausted):
    restart = policy(delay=1.0, burst=1, then=then)
    wrong = ServiceSpec("web", Execution(("webb",)), restart=restart)
    life = Simulation(
        wrong, behave=lambda _n, start: Behaviour(cannot_start="no such file" if start < 2 else "")
    ).until(5)
    assert life.worker("web/1").phase in (Phase.SLOW_LANE, Phase.FAILED)
    life.tell(on.Reconfigured(Configuration((service(restart=restart),)), "anna"))
    assert life.until(5).worker("web/1").phase is Phase.READY


def test_a_changed_command_does_not_wake_who_was_stopped_or_is_done():
    done = policy(policy=RestartWhen.NEVER)
    life = Simulation(service(restart=done), service("db"), behave=always(lives=1.0, ends=exited(0))).until(0.5)
    life.tell(on.StopAsked(WorkerName("db", 1), "anna"))
    life.until(5)
    new = [ServiceSpec(name, Execution((name, "-v")), restart=done) for name in ("web", "db")]
    life.tell(on.Reconfigured(Configuration(tuple(new)), "anna"))
    assert life.until(6).worker("web/1").phase is Phase.COMPLETED
    assert life.worker("db/1").phase is Phase.STOPPED


def test_a_timer_that_fires_early_changes_nothing():
    life = Simulation(service(restart=policy(delay=5.0)), behave=always(lives=0.0)).until(1)
    assert life.worker("web/1").phase is Phase.BACKING_OFF
    life.tell(on.Elapsed(WEB))
    assert life.worker("web/1").phase is Phase.BACKING_OFF


@pytest.mark.parametrize("stopped", [False, True])
def test_a_process_that_nobody_asked_for_is_killed(stopped: bool):
    life = Simulation(service()).until(1)
    if stopped:
        life.tell(on.StopAsked(WEB, "anna"))
        life.until(2)
    before = life.worker("web/1")
    stranger = ProcessId(9, 999)
    assert life.core.step(on.Spawned(WEB, stranger), life.now) == [do.Kill(WEB, stranger, whole_tree=False)]
    assert life.worker("web/1") == before


def test_a_restart_that_was_asked_for_needs_no_policy():
    life = Simulation(service(restart=policy(policy=RestartWhen.NEVER))).until(1)
    life.tell(on.RestartAsked(WEB, "anna"))
    assert life.until(2).worker("web/1").phase is Phase.READY


def test_workers_do_not_march_in_step():
    restart = RestartPolicy(delay=Seconds(10.0), jitter=0.2, burst=0)
    life = Simulation(service(workers=20, restart=restart), behave=always(lives=0.0)).until(1)
    waits = {worker.until - worker.since for worker in life.core.workers.values() if worker.until is not None}
    assert len(waits) > 10
    assert all(8 <= wait <= 12 for wait in waits)
    assert max(waits) - min(waits) > 1
