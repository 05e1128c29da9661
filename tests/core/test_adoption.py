"""What a new supervisor does about the workers of one that was killed."""

import pytest

from pidward.core.actions import Kill, Record, Signal, Spawn
from pidward.core.adoption import (
    Adopted,
    Decision,
    Legacy,
    Life,
    Recorded,
    Sight,
    born_unrecorded,
    decide,
    fingerprint,
    tag_of,
)
from pidward.core.model import UNKNOWN_EXIT, ExitStatus, Phase, ProcessId, Source, Wanted, WorkerName
from pidward.core.spec import (
    Configuration,
    Execution,
    GroupSpec,
    LogMode,
    LogPolicy,
    Probe,
    ProbeKind,
    RestartPolicy,
    ServiceSpec,
    StopPolicy,
    Strategy,
)
from pidward.core.supervisor import Supervisor
from pidward.core.units import Instant, Seconds

from .script import NOTIFY, ONCE, policy, service

NOW = Instant(1000.0)
MAIN = ProcessId(4711, 99)
WEB = service()
WEB1 = WorkerName("web", 1)
LIFE = Life(since=Instant(900.0), started=Instant(899.0), starts=(Instant(899.0),), failures=2, restarts=7)


def recorded(spec: ServiceSpec = WEB, phase: Phase = Phase.READY, number: int = 1, **life: object) -> Recorded:
    made = LIFE._replace(**{"made": fingerprint(spec), **life})  # type: ignore[arg-type]
    return Recorded(WorkerName(spec.name, number), MAIN._replace(inode=98 + number), "boot", "/cg", phase, made)


def lived(one: Recorded, **keys: object) -> Adopted:
    assert one.process is not None
    return Adopted(one, one.process, **keys)  # type: ignore[arg-type]


def begin(*services: ServiceSpec, legacy: list[Adopted], groups: tuple[GroupSpec, ...] = (), **keys: object):
    """A supervisor that begins with these, and what it asks for."""
    core = Supervisor()
    configuration = Configuration(services, groups=groups)
    given = {"wishes": {}, "now": NOW, "legacy": Legacy(legacy, Seconds(3.2)), **keys}
    return core, list(core.load(configuration, **given))  # type: ignore[arg-type]


# --- the decision


@pytest.mark.parametrize(
    "one, sight, spec, decision",
    [
        (recorded(), Sight.ALIVE, WEB, Decision.ADOPT),
        (recorded(phase=Phase.RUNNING), Sight.ALIVE, WEB, Decision.ADOPT),
        (recorded(phase=Phase.STARTING), Sight.ALIVE, WEB, Decision.ADOPT),
        (recorded(phase=Phase.STOPPING), Sight.ALIVE, WEB, Decision.END),
        (recorded(phase=Phase.KILLING), Sight.ENDED, WEB, Decision.END),
        (recorded()._replace(process=None), Sight.ENDED, WEB, Decision.END),
        (recorded(), Sight.ALIVE, None, Decision.END),
        (recorded(), Sight.ENDED, WEB, Decision.GONE),
        (recorded(), Sight.ENDED, WEB._replace(execution=Execution(("other",))), Decision.GONE),
        (recorded(), Sight.UNPROVABLE, WEB, Decision.LEAVE),
        (recorded(), Sight.UNPROVABLE, None, Decision.LEAVE),
        (recorded(), Sight.ALIVE, WEB._replace(execution=Execution(("other",))), Decision.REPLACE),
        (recorded(made=""), Sight.ALIVE, WEB, Decision.REPLACE),
    ],
)
def test_the_decision(one: Recorded, sight: Sight, spec: ServiceSpec | None, decision: Decision):
    assert decide(one, sight, spec).decision is decision


@pytest.mark.parametrize("kind", [ProbeKind.FD, ProbeKind.LOG])
def test_who_cannot_be_heard_any_more_is_replaced_unless_he_is_ready(kind: ProbeKind):
    spec = service(ready=Probe(kind, "7"))
    assert decide(recorded(spec, Phase.RUNNING), Sight.ALIVE, spec).decision is Decision.REPLACE
    assert decide(recorded(spec), Sight.ALIVE, spec).decision is Decision.ADOPT


@pytest.mark.parametrize(
    "other, is_same",
    [
        (WEB, True),
        (WEB._replace(origin="pidward.toml:1:1", workers=4, restart=ONCE), True),
        (WEB._replace(stop=StopPolicy(signal=2), logs=LogPolicy(mode=LogMode.NONE), ready=Probe(ProbeKind.HTTP)), True),
        (WEB._replace(execution=WEB.execution._replace(env=(("A", "b"),))), False),
        (WEB._replace(ready=NOTIFY), False),
        (WEB._replace(watchdog=Seconds(3.0)), False),
        (WEB._replace(fd_store=3), False),
        (WEB._replace(ready=Probe(ProbeKind.FD, "7")), False),
    ],
)
def test_what_a_process_was_started_with(other: ServiceSpec, is_same: bool):
    assert (fingerprint(other) == fingerprint(WEB)) is is_same


def test_one_that_only_the_kernel_has_a_note_of():
    tag = tag_of(fingerprint(WEB), LogMode.STREAM)
    one = born_unrecorded(WEB1, MAIN, "/cg", tag, recorded()._replace(process=ProcessId(1, 1)))
    assert (one.process, one.phase) == (MAIN, Phase.STARTING)
    assert (one.life.log_mode, one.life.restarts, one.life.started) == (LogMode.STREAM, 7, None)
    assert decide(one, Sight.ALIVE, WEB).decision is Decision.ADOPT
    assert born_unrecorded(WEB1, MAIN, "/cg", tag, None).life.restarts == 0


# --- what follows


def test_one_that_lives_goes_on_as_it_was_and_nobody_is_asked_for_anything():
    core, actions = begin(WEB, legacy=[lived(recorded())])
    worker = core.workers[WEB1]
    assert (worker.phase, worker.process, worker.since, worker.started) == (Phase.READY, MAIN, 900.0, 899.0)
    assert (worker.failures, worker.restarts, worker.starts) == (2, 7, (899.0,))
    (record,) = actions
    assert isinstance(record, Record)
    assert (record.before, record.after) == (None, Phase.READY)
    assert record.reason == "it lived on while pidward was away, for at most 3.2s"


def test_one_that_ended_ends_now_with_its_true_status():
    status = ExitStatus(23, None, source=Source.PROC_STAT)
    spec = service(restart=policy(delay=Seconds(5.0)))
    core, actions = begin(spec, legacy=[lived(recorded(spec, started=Instant(999.0)), exit=status)])
    assert core.workers[WEB1].phase is Phase.BACKING_OFF
    (record,) = actions
    assert isinstance(record, Record)
    assert (record.before, record.exit, record.process) == (Phase.READY, status, MAIN)


def test_what_it_left_behind_is_killed_before_it_starts_again():
    _, actions = begin(WEB, legacy=[lived(recorded(), exit=UNKNOWN_EXIT, left_behind=True)])
    assert [type(action) for action in actions] == [Record, Kill]


def test_a_policy_that_says_never_is_obeyed():
    core, _ = begin(service(restart=ONCE), legacy=[lived(recorded(), exit=ExitStatus(1, None))])
    assert core.workers[WEB1].phase is Phase.FAILED


def test_the_time_to_become_ready_does_not_pass_while_nobody_listens():
    spec = service(ready=NOTIFY, ready_timeout=Seconds(30.0))
    core, _ = begin(spec, legacy=[lived(recorded(spec, Phase.RUNNING, until=Instant(999.0)))])
    worker = core.workers[WEB1]
    assert (worker.phase, worker.until) == (Phase.RUNNING, Instant(999.0 + 3.2))


def test_ready_by_time_counts_all_of_the_time():
    spec = service(ready=Probe(ProbeKind.AFTER, after=Seconds(5.0)))
    core, _ = begin(spec, legacy=[lived(recorded(spec, Phase.RUNNING, until=Instant(999.0)))])
    assert core.workers[WEB1].until == 999.0


@pytest.mark.parametrize("phase", [Phase.STARTING, Phase.RUNNING])
def test_one_of_whom_nothing_more_is_expected_is_ready(phase: Phase):
    core, actions = begin(WEB, legacy=[lived(recorded(phase=phase))])
    assert core.workers[WEB1].phase is Phase.READY
    assert all(isinstance(action, Record) for action in actions)


def test_one_of_another_configuration_is_restarted_and_one_at_a_time_if_that_is_said():
    old = [lived(recorded(number=n), replace="it was changed") for n in (1, 2)]
    _, actions = begin(service(workers=2), legacy=old)
    assert [a.worker.number for a in actions if isinstance(a, Signal) and a.number != 18] == [1, 2]
    core, actions = begin(service(workers=2, rolling=1), legacy=old)
    assert [a.worker.number for a in actions if isinstance(a, Signal) and a.number != 18] == [1]
    assert core.workers[WEB1].wanted is Wanted.UP


def test_one_that_is_not_wanted_is_stopped_and_a_surplus_one_forgotten():
    old = [lived(recorded(number=n)) for n in (1, 2, 3)]
    core, actions = begin(service(workers=2), legacy=old, wishes={WEB1: Wanted.DOWN})
    assert {a.worker.number for a in actions if isinstance(a, Signal)} == {1, 3}
    assert core.is_leaving(WorkerName("web", 3))
    core, actions = begin(service(workers=2), legacy=[*old[1:2], lived(old[2].recorded, exit=UNKNOWN_EXIT)])
    assert list(core.workers) == [WEB1, WorkerName("web", 2)], "in order of the file"


def test_only_some_services():
    db, other = service("db"), service("other")
    specs = (db, service("web", "db"), other)
    old = [lived(recorded(spec)) for spec in specs]
    _, actions = begin(*specs, legacy=old, only=("web",))
    assert {a.worker.service for a in actions if isinstance(a, Signal)} == {"other"}


def test_nobody_starts_who_needs_one_that_is_gone():
    db = service("db", ready=NOTIFY)
    old = [lived(recorded(db), exit=UNKNOWN_EXIT), lived(recorded(service("web", "db"), number=2))]
    core, actions = begin(db, service("web", "db", workers=2), legacy=old)
    assert [a.worker.service for a in actions if isinstance(a, Spawn)] == ["db"]
    assert [w.phase for w in core.workers.values()] == [Phase.STARTING, Phase.WAITING, Phase.READY]


def test_a_group_shares_the_fate_of_one_that_is_gone():
    specs = [service(n, group="all", restart=RestartPolicy(delay=Seconds(0.0))) for n in ("a", "b")]
    old = [lived(recorded(specs[0]), exit=UNKNOWN_EXIT), lived(recorded(specs[1]))]
    _, actions = begin(*specs, legacy=old, groups=(GroupSpec("all", Strategy.ONE_FOR_ALL),))
    assert {a.worker.service for a in actions if isinstance(a, Signal)} == {"b"}
    assert not [a for a in actions if isinstance(a, Spawn)], "nobody before both are down"
