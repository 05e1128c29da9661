"""Lives of workers that say, or are asked, how they are: readiness, hanging, more time, another main process."""

import pytest

from pidward.core import actions as do
from pidward.core import events as on
from pidward.core.model import UNKNOWN_EXIT, Phase, ProcessId, Wanted
from pidward.core.signals import SIGCONT, SIGTERM, parse_signal
from pidward.core.spec import Probe, ProbeKind, RestartWhen, ServiceType, StopPolicy, Tree
from pidward.core.units import Instant, Seconds
from pidward.testing.simulation import Behaviour, Simulation, exited, killed

from .script import NOTIFY, ONCE, job, name, policy, process, reload, service, shows, start, stop

WEB = name("web/1")
SIGABRT = parse_signal("ABRT")
STRANGER = ProcessId(99, 9999)


def at(seconds: float) -> Instant:
    return Instant(1000.0 + seconds)


def test_ready_when_the_probe_says_so():
    life = Simulation(service(ready=NOTIFY), behave=lambda _n, _s: Behaviour(ready=3.0)).until(2.9)
    shows(life, web="running")
    assert life.worker("web/1").until is None, "without ready_timeout it may take for ever"
    shows(life.until(3), web="ready")
    assert life.worker("web/1").reason == "it answered"


def test_what_a_stranger_says_is_not_heard():
    life = Simulation(service(ready=NOTIFY, ready_timeout=Seconds(50))).until(1)
    before = life.worker("web/1")
    for event in (
        on.Ready(WEB, STRANGER, "READY=1"), on.Unready(WEB, STRANGER, "no"), on.Unhealthy(WEB, STRANGER, "no"),
        on.Extended(WEB, STRANGER, at(999)), on.Announced(WEB, STRANGER),
    ):  # fmt: skip
        life.tell(event)
        assert life.worker("web/1") == before
    life.tell(on.Ready(WEB, process(life, "web/1"), "READY=1"))
    shows(life, web="ready")


def test_not_ready_in_time_is_a_failed_start():
    life = Simulation(
        service(ready=NOTIFY, ready_timeout=Seconds(10), restart=policy(delay=7.0, reset_after=1.0)),
        behave=lambda _n, start: Behaviour(ready=None if start == 0 else 1.0, heeds_stop=2.0),
    ).until(9.9)
    shows(life, web="running")
    shows(life.until(10), web="stopping")
    assert life.worker("web/1").reason == "it was not ready within 10s: no READY=1"
    assert [s.number for _, s in life.signals] == [SIGTERM, SIGCONT]
    shows(life.until(12), web="backing-off")
    late = "it was not ready within 10s: no READY=1"
    assert life.worker("web/1").reason == f"{late}; killed by SIGTERM; starts again after 7s"
    assert life.worker("web/1").wanted is Wanted.UP
    shows(life.until(20), web="ready")
    assert life.starts("web/1") == [0, 19]
    assert life.worker("web/1").fault == ""


def test_no_longer_ready_is_no_end_and_no_time_runs():
    life = Simulation(
        service(ready=NOTIFY, ready_timeout=Seconds(10)), behave=lambda _n, _s: Behaviour(ready=1.0)
    ).until(5)
    life.tell(on.Unready(WEB, process(life, "web/1"), "GET / answered 503"))
    worker = life.until(100).worker("web/1")
    assert (worker.phase, worker.reason, worker.until) == (Phase.RUNNING, "GET / answered 503", None)
    life.tell(on.Ready(WEB, process(life, "web/1"), "GET / answered 200"))
    shows(life, web="ready")
    assert life.starts("web/1") == [0]


def test_ready_by_time_does_not_come_back_by_time():
    life = Simulation(service(ready=Probe(ProbeKind.AFTER, after=Seconds(1)))).until(5)
    shows(life, web="ready")
    life.tell(on.Announced(WEB, process(life, "web/1")))
    assert life.until(50).worker("web/1").reason == "says that it is about to end"
    shows(life, web="running")


@pytest.mark.parametrize("phase", ["running", "ready"])
def test_a_worker_that_hangs_is_ended_and_restarted_whatever_it_exits_with(phase: str):
    restart = policy(policy=RestartWhen.ON_FAILURE, success_codes=frozenset({0, -15}), delay=5.0)
    life = Simulation(
        service(ready=NOTIFY, restart=restart), behave=lambda _n, _s: Behaviour(ready=0 if phase == "ready" else None)
    ).until(50)
    shows(life, web=phase)
    life.tell(on.Unhealthy(WEB, process(life, "web/1"), "GET / did not answer"))
    life.until(50)
    reasons = [r.reason for _, r in life.records]
    assert "GET / did not answer" in reasons
    assert "GET / did not answer; killed by SIGTERM" in reasons, "it ran long enough: at once"
    assert life.worker("web/1").restarts == 1


def test_hanging_counts_for_the_limits():
    life = Simulation(service(restart=policy(delay=0.0, burst=1, window=60.0, then=policy().then.FAIL))).until(1)
    life.tell(on.Unhealthy(WEB, process(life, "web/1"), "no"))
    life.until(2)
    life.tell(on.Unhealthy(WEB, process(life, "web/1"), "no"))
    shows(life.until(3), web="failed")
    assert life.worker("web/1").reason == "no; killed by SIGTERM; 1 restart within 1min: gave up"


def test_hanging_soon_after_the_start_backs_off():
    life = Simulation(service(restart=policy(delay=5.0, reset_after=30.0))).until(1)
    for _ in range(2):
        life.tell(on.Unhealthy(WEB, process(life, "web/1"), "no"))
        life.until(2)
    shows(life, web="backing-off")


def test_a_missed_watchdog_has_a_signal_of_its_own():
    stop_policy = StopPolicy(pre=("drain",), tree=Tree.SIGNAL)
    life = Simulation(service(stop=stop_policy, restart=ONCE), behave=lambda _n, _s: Behaviour(heeds_stop=1.0)).until(5)
    life.tell(on.Unhealthy(WEB, process(life, "web/1"), "missed its watchdog", SIGABRT))
    assert [(s.number, s.whole_tree) for _, s in life.signals] == [(SIGABRT, True), (SIGCONT, True)]
    shows(life.until(6), web="failed")
    assert life.worker("web/1").reason == "missed its watchdog; killed by SIGABRT; the restart policy is never"


def test_a_worker_that_hangs_and_does_not_heed_is_killed():
    life = Simulation(service(restart=ONCE), behave=lambda _n, _s: Behaviour(heeds_stop=None)).until(5)
    life.tell(on.Unhealthy(WEB, process(life, "web/1"), "no", SIGABRT))
    shows(life.until(14), web="stopping")
    shows(life.until(15), web="failed")


def test_a_stop_while_it_is_ended_for_hanging_wins():
    life = Simulation(service(), behave=lambda _n, _s: Behaviour(heeds_stop=5.0)).until(5)
    life.tell(on.Unhealthy(WEB, process(life, "web/1"), "no"))
    stop(life, "web/1")
    assert life.worker("web/1").reason == "stopped by anna"
    assert life.worker("web/1").until == at(15), "the grace goes on"
    assert life.worker("web/1").since == at(5)
    worker = life.until(11).worker("web/1")
    assert (worker.phase, worker.reason) == (Phase.STOPPED, "stopped by anna; killed by SIGTERM")


def test_a_restart_that_is_stopped_stays_stopped_and_a_stop_that_is_taken_back_starts():
    life = Simulation(service(), behave=lambda _n, _s: Behaviour(heeds_stop=5.0)).until(5)
    life.tell(on.RestartAsked(WEB, "anna"))
    stop(life, "web/1")
    shows(life.until(11), web="stopped")
    start(life, "web/1").until(12)
    stop(life, "web/1")
    life.tell(on.RestartAsked(WEB, "ben"))
    assert life.worker("web/1").reason == "stopped by anna; will start again (ben)"
    records = len(life.records)
    life.tell(on.RestartAsked(WEB, "cleo"))
    start(life, "web/1")
    assert len(life.records) == records, "it is on its way already"
    shows(life.until(20), web="ready")


def test_more_time_to_become_ready_and_to_stop_but_never_less():
    life = Simulation(
        service(ready=NOTIFY, ready_timeout=Seconds(10)), behave=lambda _n, _s: Behaviour(heeds_stop=20)
    ).until(5)
    mine = process(life, "web/1")
    life.tell(on.Extended(WEB, mine, at(40)))
    life.tell(on.Extended(WEB, mine, at(20)))
    shows(life.until(39.9), web="running")
    life.tell(on.Ready(WEB, mine, "READY=1"))
    life.tell(on.Extended(WEB, mine, at(99)))
    assert life.worker("web/1").until is None, "READY has no limit that could be moved"
    stop(life, "web/1")
    life.tell(on.Extended(WEB, mine, at(70)))
    shows(life.until(59), web="stopping")
    shows(life.until(60), web="stopped")


def test_past_failures_are_forgiven():
    life = Simulation(
        service(restart=policy(delay=1.0)), behave=lambda _n, s: Behaviour(lives=0.0 if s < 3 else None)
    ).until(60)
    assert life.worker("web/1").failures == 3
    life.tell(on.Forgiven(WEB))
    worker = life.worker("web/1")
    assert (worker.failures, worker.starts) == (0, ())


# --- stopping


def test_sigcont_follows_the_stop_signal():
    life = Simulation(service()).until(5)
    mine = process(life, "web/1")
    stop(life, "web/1")
    cont = do.Signal(WEB, mine, SIGCONT, whole_tree=True)
    assert [s for _, s in life.signals] == [do.Signal(WEB, mine, SIGTERM), cont]


def test_a_command_comes_before_the_signal_and_the_grace_covers_both():
    life = Simulation(
        service(stop=StopPolicy(pre=("drain",), grace=Seconds(10))),
        behave=lambda _n, _s: Behaviour(pre_stop=4, heeds_stop=2),
    ).until(5)
    actions = life.core.step(on.StopAsked(WEB, "anna"), life.now)
    assert actions[1:] == [do.PreStop(WEB, process(life, "web/1"), at(15))]
    life._perform(actions)
    assert life.until(8.9).signals == []
    shows(life.until(10.9), web="stopping")
    shows(life.until(11), web="stopped")


def test_a_command_that_takes_too_long_is_not_waited_for():
    life = Simulation(
        service(stop=StopPolicy(pre=("drain",), grace=Seconds(3))), behave=lambda _n, _s: Behaviour(pre_stop=40)
    ).until(5)
    stop(life, "web/1")
    shows(life.until(8), web="stopped")
    life.until(50)
    assert life.signals == [], "its answer comes late"


def test_a_command_that_failed_is_told_and_the_signal_sent():
    life = Simulation(
        service(stop=StopPolicy(pre=("drain",))), behave=lambda _n, _s: Behaviour(pre_stop=40, heeds_stop=1)
    ).until(5)
    stop(life, "web/1")
    life.tell(on.PreStopEnded(WEB, "stop.pre exited with code 1"))
    assert life.worker("web/1").reason == "stopped by anna; stop.pre exited with code 1"
    assert life.worker("web/1").until == at(15)
    assert len(life.signals) == 2
    shows(life.until(6), web="stopped")


def test_nothing_comes_before_sigkill():
    life = Simulation(service(stop=StopPolicy(pre=("drain",), signal=9))).until(5)
    shows(stop(life, "web/1").until(5), web="stopped")


# --- another main process


def forking(**keys: object) -> Simulation:
    return Simulation(
        service(type=ServiceType.FORKING, restart=policy(delay=0.0, policy=RestartWhen.ON_FAILURE, **keys)),
        behave=lambda _n, start: Behaviour(lives=1.0 if start == 0 else None, ends=exited(0), leaves_behind=True),
    )


DAEMON = ProcessId(70, 7000)


def test_a_daemon_is_ready_when_its_main_process_is_known():
    life = forking().until(0.5)
    shows(life, web="running")
    assert life.worker("web/1").until == at(90)
    worker = life.until(2).worker("web/1")
    assert (worker.phase, worker.process, worker.until) == (Phase.RUNNING, None, at(90))
    life.tell(on.MainChanged(WEB, DAEMON))
    worker = life.worker("web/1")
    assert (worker.phase, worker.process, worker.reason) == (Phase.READY, DAEMON, "its main process is 70:7000")
    assert life.records[-1][1].process == DAEMON
    records = len(life.records)
    life.tell(on.MainChanged(WEB, DAEMON))
    assert len(life.records) == records
    life.tell(on.Exited(WEB, DAEMON, exited(0), left_behind=False))
    shows(life, web="completed")


def test_the_exit_of_the_first_process_means_nothing_once_the_main_one_is_known():
    life = forking().until(0.5)
    life.tell(on.MainChanged(WEB, DAEMON))
    shows(life.until(5), web="ready")
    assert life.worker("web/1").process == DAEMON


def test_the_exit_of_the_first_process_is_not_the_last_exit_of_the_worker():
    life = forking(always_on=frozenset({-9})).until(2)
    life.tell(on.MainChanged(WEB, DAEMON))
    life.tell(on.Exited(WEB, DAEMON, killed(9), left_behind=False))
    first = process(life.until(3), "web/1")
    life.tell(on.Exited(WEB, first, exited(0), left_behind=True))
    life.tell(on.MainChanged(WEB, ProcessId(71, 7001)))
    shows(life, web="ready")
    assert life.worker("web/1").last_exit == killed(9)
    stop(life, "web/1", at_once=True)


def test_how_a_daemon_ended_that_was_never_known_nobody_says():
    life = forking().until(2)
    stop(life, "web/1").until(3)
    shows(life, web="stopped")
    assert life.worker("web/1").last_exit == UNKNOWN_EXIT
    assert life.worker("web/1").reason == "stopped by anna; ended, and nobody could say how"


def test_a_daemon_with_a_probe_waits_for_that_too():
    life = Simulation(service(type=ServiceType.FORKING, ready=NOTIFY, ready_timeout=Seconds(20))).until(1)
    assert life.worker("web/1").until == at(20)
    life.tell(on.MainChanged(WEB, DAEMON))
    assert life.worker("web/1").phase is Phase.RUNNING
    assert life.worker("web/1").until == at(21)
    life.tell(on.Ready(WEB, DAEMON, "READY=1"))
    shows(life, web="ready")
    life.tell(on.Exited(WEB, DAEMON, exited(0), left_behind=True))
    assert life.worker("web/1").phase is Phase.KILLING, "this was no first process"


def test_a_daemon_that_is_ready_before_it_is_known_waits_again():
    life = Simulation(service(type=ServiceType.FORKING, ready=NOTIFY)).until(1)
    first = process(life, "web/1")
    life.tell(on.Ready(WEB, first, "it answered"))
    life.tell(on.Exited(WEB, first, exited(0), left_behind=True))
    worker = life.worker("web/1")
    assert (worker.phase, worker.until) == (Phase.RUNNING, at(91))


def test_a_main_process_that_never_comes_is_a_failed_start():
    life = forking().until(89)
    shows(life, web="running")
    life.until(90)
    reasons = [r.reason for _, r in life.records]
    assert "its main process was not known within 1min 30s" in reasons
    assert life.starts("web/1") == [0, 90]


@pytest.mark.parametrize("tree", list(Tree))
def test_a_daemon_whose_main_process_is_not_known_is_stopped_by_its_tree(tree: Tree):
    life = Simulation(
        service(type=ServiceType.FORKING, stop=StopPolicy(tree=tree)),
        behave=lambda _n, _s: Behaviour(lives=1.0, ends=exited(0), leaves_behind=True),
    ).until(2)
    actions = life.core.step(on.StopAsked(WEB, "anna"), life.now)
    assert actions[1:] == [do.Kill(WEB, None, whole_tree=True)]
    life._perform(actions)
    life.until(3)
    shows(life, web="stopped")


def test_a_daemon_that_is_gone_before_it_is_known_has_failed():
    life = forking().until(2)
    life.tell(on.TreeEmptied(WEB))
    shows(life, web="starting")
    assert life.worker("web/1").reason == "it ended before its main process was known; ended, and nobody could say how"


def test_a_first_process_that_leaves_nobody_has_failed():
    life = Simulation(
        service(type=ServiceType.FORKING, restart=ONCE), behave=lambda _n, _s: Behaviour(lives=1.0, ends=exited(0))
    ).until(2)
    shows(life, web="failed")
    assert life.worker("web/1").reason.startswith("its first process ended and left no other; exited with code 0")


def test_a_first_process_that_fails_is_a_failure_and_what_it_left_is_killed():
    life = Simulation(
        service(type=ServiceType.FORKING, restart=ONCE),
        behave=lambda _n, _s: Behaviour(lives=1.0, ends=exited(3), leaves_behind=True),
    ).until(2)
    shows(life, web="failed")
    assert Phase.KILLING in life.phases("web/1")


def test_the_main_process_of_any_service_may_change():
    life = Simulation(service()).until(5)
    old = process(life, "web/1")
    life.tell(on.MainChanged(WEB, old))
    assert life.worker("web/1").reason == "the program runs"
    life.tell(on.MainChanged(WEB, DAEMON))
    worker = life.worker("web/1")
    assert (worker.phase, worker.process, worker.since) == (Phase.READY, DAEMON, at(0))
    life.tell(on.Exited(WEB, old, exited(0), left_behind=True))
    assert life.worker("web/1") == worker
    life.tell(on.Exited(WEB, DAEMON, exited(1)))
    shows(life, web="starting")


def test_a_main_process_is_not_changed_on_the_way_down():
    life = Simulation(service(), behave=lambda _n, _s: Behaviour(heeds_stop=1.0)).until(5)
    stop(life, "web/1")
    before = life.worker("web/1")
    life.tell(on.MainChanged(WEB, DAEMON))
    assert life.worker("web/1") == before


# --- another probe


def test_with_another_probe_a_worker_is_ready_by_that():
    life = Simulation(service(ready=Probe(ProbeKind.TCP, "localhost:80"))).until(5)
    shows(reload(life, service(ready=Probe(ProbeKind.TCP, "localhost:81"), ready_timeout=Seconds(10))), web="running")
    assert life.worker("web/1").until == at(15)


def test_without_a_time_limit_it_may_take_for_ever():
    tcp = Probe(ProbeKind.TCP, "localhost:80")
    life = Simulation(service(ready=tcp, ready_timeout=Seconds(10))).until(5)
    shows(reload(life, service(ready=tcp)).until(50), web="running")
    assert life.worker("web/1").until is None


def test_without_a_probe_it_is_ready():
    tcp = Probe(ProbeKind.TCP, "localhost:80")
    life = Simulation(service(ready=tcp), job()).until(5)
    shows(reload(life, service(), job(ready=tcp)), web="ready", job="running")


def test_what_was_found_last_is_told_while_it_is_not_ready_and_when_its_time_passes():
    life = Simulation(service(ready=Probe(ProbeKind.HTTP), ready_timeout=Seconds(10))).until(2)
    assert life.worker("web/1").explanation == "the program runs"
    records = len(life.records)
    life.tell(on.NotYet(WEB, STRANGER, "who is that"))
    for why in ("GET http://x/: connection refused", "GET http://x/: 503"):
        life.tell(on.NotYet(WEB, process(life, "web/1"), why))
        assert life.worker("web/1").explanation == f"the program runs; {why}"
    assert len(life.records) == records, "a look is no transition"
    life.until(11)
    assert "it was not ready within 10s: GET http://x/: 503" in [r.reason for _, r in life.records]
    assert "503" not in life.worker("web/1").explanation, "this is another run"


@pytest.mark.parametrize(
    "probe, text",
    [
        (Probe(ProbeKind.FD, "3"), "no newline on descriptor 3"),
        (Probe(ProbeKind.LOG, "worker %i"), 'its output has not said "worker 1"'),
        (Probe(ProbeKind.NOTIFY), "no READY=1"),
    ],
    ids=lambda what: getattr(what, "kind", None),
)
def test_what_a_program_has_not_said(probe: Probe, text: str):
    life = Simulation(service(ready=probe)).until(2)
    assert life.worker("web/1").explanation == f"the program runs; {text}"
    life.tell(on.Ready(WEB, process(life, "web/1"), "it did"))
    assert life.worker("web/1").explanation == "it did"
