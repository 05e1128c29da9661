"""From one phase to the next: what several events of a worker's life have in common.

Every change of phase goes through ``enter``, which always leaves a Record with the reason. Whoever may not start yet
is told why by ``obstacle``, in plain words; empty: nothing is in the way.
"""

from pidward.core.actions import Action, Kill, PreStop, Record, Signal, Spawn, StopAll
from pidward.core.lean import Any, assert_never
from pidward.core.model import UNKNOWN_EXIT, ExitStatus, Phase, Wanted, Worker
from pidward.core.restart import describe, is_success, jittered, next_delay, recent, shall_restart
from pidward.core.signals import SIGCONT, SIGKILL
from pidward.core.spec import Exhausted, Probe, ProbeKind, ServiceSpec, ServiceType, Tree
from pidward.core.units import Instant, Seconds, format_duration

Step = tuple[Worker, list[Action]]

KILL_AGAIN = Seconds(5.0)
"""SIGKILL is sent again after this long; it changes nothing for the dying and catches what was missed."""
FORK_TIMEOUT = Seconds(90.0)
"""How long a FORKING service may take to name its main process, when it has no ready_timeout of its own."""


def enter(
    worker: Worker, phase: Phase, reason: str, now: Instant, status: ExitStatus | None = None, **changes: Any
) -> tuple[Worker, Record]:
    """The one door into a phase. ``status`` is the exit that brought us here, for the record."""
    changes.setdefault("until", None)
    after = worker._replace(phase=phase, reason=reason, since=now, blocked=False, **changes)
    process = after.process if after.process is not None else worker.process
    return after, Record(worker.name, worker.phase, phase, reason, after.wanted, process, status)


def explain(worker: Worker, reason: str, now: Instant, **changes: Any) -> Step:
    """The same phase for another reason; its time goes on."""
    after, record = enter(worker, worker.phase, reason, now, **{"until": worker.until, **changes})
    return after._replace(since=worker.since), [record]


# --- beginning


def start_fresh(worker: Worker, reason: str, now: Instant, obstacle: str) -> Step:
    """A start that somebody asked for: past failures are forgiven."""
    return _begin(worker, reason, now, obstacle, wanted=Wanted.UP, starts=(), failures=0)


def start_again(worker: Worker, burst: int, reason: str, now: Instant, obstacle: str) -> Step:
    """An automatic start: it counts for the start limit, though it may have to wait for others."""
    starts = (*worker.starts, now)[-burst:] if burst else ()
    return _begin(worker, reason, now, obstacle, starts=starts, restarts=worker.restarts + 1)


def spawn(worker: Worker, reason: str, now: Instant, status: ExitStatus | None = None, **changes: Any) -> Step:
    """Ask for the process."""
    worker, record = enter(
        worker, Phase.STARTING, reason, now, status,
        process=None, spawning=True, again=False, held=False, fault="", awaited="", daemon=False, **changes,
    )  # fmt: skip
    return worker, [record, Spawn(worker.name)]


def _begin(worker: Worker, reason: str, now: Instant, obstacle: str, **changes: Any) -> Step:
    ended = worker.last_exit if worker.phase.has_process else None
    if not obstacle:
        return spawn(worker, reason, now, ended, **changes)
    reason = f"{reason}; {obstacle}"
    worker, record = enter(worker, Phase.WAITING, reason, now, ended, process=None, again=False, held=True, **changes)
    return worker, [record]


def serve(worker: Worker, spec: ServiceSpec, now: Instant) -> Step:
    """The program runs. It may serve at once, or when it, a probe or time says so."""
    if spec.type is ServiceType.FORKING and not worker.daemon:
        until = Instant(now + fork_timeout(spec))
        reason = "the program runs; its main process is not known"
        worker, record = enter(worker, Phase.RUNNING, reason, now, until=until)
    elif spec.type is ServiceType.ONESHOT:
        scheduled = spec.schedule is not None
        worker, record = enter(worker, Phase.RUNNING, "the job runs", now, job=True, scheduled=scheduled)
    else:
        return await_ready(worker, spec, "the program runs", now)
    return worker, [record]


def await_ready(worker: Worker, spec: ServiceSpec, reason: str, now: Instant) -> Step:
    """READY, unless something else is to tell that; then RUNNING for as long as that may take."""
    limit = spec.ready.after if is_ready_by_time(spec) and spec.ready is not None else spec.ready_timeout
    if spec.ready is None or (is_ready_by_time(spec) and not limit):
        worker, record = enter(worker, Phase.READY, reason, now)
    else:
        until = None if limit is None else Instant(now + limit)
        awaited = _said_by(spec.ready, worker.name.number)
        worker, record = enter(worker, Phase.RUNNING, reason, now, until=until, awaited=awaited)
    return worker, [record]


def _said_by(probe: Probe, number: int) -> str:
    """What a program has not said yet that is to say it by itself; empty when it is asked."""
    match probe.kind:
        case ProbeKind.NOTIFY:
            return "no READY=1"
        case ProbeKind.FD:
            return f"no newline on descriptor {probe.target}"
        case ProbeKind.LOG:
            return f'its output has not said "{probe.target.replace("%i", str(number))}"'
        case _:
            return ""


def is_ready_by_time(spec: ServiceSpec) -> bool:
    """A worker is ready when it has run for a while."""
    return spec.ready is not None and spec.ready.kind is ProbeKind.AFTER


def fork_timeout(spec: ServiceSpec) -> Seconds:
    """How long a FORKING service may take to name its main process."""
    return FORK_TIMEOUT if spec.ready_timeout is None else spec.ready_timeout


# --- stopping


def stop(worker: Worker, spec: ServiceSpec, reason: str, now: Instant, number: int | None = None) -> Step:
    """Politely first, unless there is nobody who could be polite: at the gate no program listens yet.

    Args:
        worker: has a process, or one is on its way.
        spec: of its service.
        reason: why it is stopped.
        now: the present.
        number: a signal instead of the stop signal; then there is no ``stop.pre`` either.
    """
    at_gate = worker.phase is Phase.STARTING and worker.process is not None
    unknown = worker.process is None and not worker.spawning  # a FORKING service without its main process
    if at_gate or unknown or spec.stop.grace <= 0 or (number or spec.stop.signal) == SIGKILL:
        return kill(worker, spec, reason, now)
    until = Instant(now + spec.stop.grace)
    worker, record = enter(worker, Phase.STOPPING, reason, now, until=until)
    if worker.process is None:  # Spawned will find us stopping
        return worker, [record]
    if spec.stop.pre and number is None:
        return worker, [record, PreStop(worker.name, worker.process, until)]
    return worker, [record, *stop_signals(worker, spec, number)]


def stop_signals(worker: Worker, spec: ServiceSpec, number: int | None = None) -> list[Action]:
    """The stop signal, and SIGCONT, without which a process that was stopped by SIGSTOP would not hear it.

    SIGCONT is for the whole tree: a main process that waits for others of it would not end while these stand still.
    """
    assert worker.process is not None
    tree = spec.stop.tree
    return [
        Signal(worker.name, worker.process, number or spec.stop.signal, whole_tree=tree is Tree.SIGNAL),
        Signal(worker.name, worker.process, SIGCONT, whole_tree=tree is not Tree.LEAVE),
    ]


def kill(worker: Worker, spec: ServiceSpec, reason: str, now: Instant, status: ExitStatus | None = None) -> Step:
    """SIGKILL what is left; with ``status`` the main process has ended already."""
    if status is not None:
        worker = worker._replace(process=None)
    elif worker.phase is Phase.RUNNING and worker.process is None:  # a daemon, and nobody knows its main process
        worker = worker._replace(last_exit=UNKNOWN_EXIT)
    after, record = enter(worker, Phase.KILLING, reason, now, status, until=Instant(now + KILL_AGAIN))
    return after, [record, kill_action(after, spec)]


def kill_once_more(worker: Worker, spec: ServiceSpec, now: Instant) -> Step:
    """It should be dead by now."""
    return worker._replace(until=Instant(now + KILL_AGAIN)), [kill_action(worker, spec)]


def kill_action(worker: Worker, spec: ServiceSpec) -> Kill:
    """Of a worker whose main process is not known the tree is all there is, even when it is to be left alone."""
    unknown = worker.process is None and not worker.spawning
    return Kill(worker.name, worker.process, whole_tree=unknown or spec.stop.tree is not Tree.LEAVE)


# --- ended


def ended(worker: Worker, spec: ServiceSpec, now: Instant, obstacle: str) -> Step:
    """Nothing of the worker lives any more. What now?"""
    if worker.wanted is Wanted.DOWN or worker.again:
        how = worker.fault if worker.fault and worker.last_exit is None else describe(worker.last_exit)
        reason = worker.reason if how in worker.reason else f"{worker.reason}; {how}"
        if worker.again:
            return start_fresh(worker, reason, now, obstacle)
        worker, record = enter(worker, Phase.STOPPED, reason, now, worker.last_exit, process=None)
        return worker, [record]
    success = not worker.fault and is_success(spec.restart, worker.last_exit)
    if success and (spec.on_demand or spec.type is ServiceType.ONESHOT):
        return _done(worker, spec, describe(worker.last_exit), now)
    again, why = shall_restart(spec.restart, worker.last_exit, worker.fault)
    if again:
        return _try_again(worker, spec, why, now, obstacle)
    return _done(worker, spec, why, now) if success else give_up(worker, why, now)


def _done(worker: Worker, spec: ServiceSpec, why: str, now: Instant) -> Step:
    """It did what it was started for. Who does so soon after each start on demand has perhaps not taken what waits."""
    status, phase = worker.last_exit, Phase.COMPLETED
    if spec.on_demand:
        policy = spec.restart
        worker = worker._replace(starts=recent(worker.starts, now, policy.window), failures=0)
        if policy.burst and len(worker.starts) >= policy.burst and was_short(worker, spec, now):
            return _limit_reached(worker, spec, f"{why}, soon after each start on demand", now)
        phase, why = Phase.WAITING, f"{why}; {idle_reason(spec)}"
    worker, record = enter(worker, phase, why, now, status, process=None, held=False, failures=0)
    return worker, [record]


def was_short(worker: Worker, spec: ServiceSpec, end: Instant) -> bool:
    """The run that ended then was not stable."""
    return worker.started is not None and end - worker.started < spec.restart.reset_after


def idle_reason(spec: ServiceSpec) -> str:
    """What a worker waits for before there is anything to do; empty: nothing."""
    if spec.on_demand:
        return "waits for a connection"
    return "waits for its schedule" if spec.schedule is not None else ""


def _try_again(worker: Worker, spec: ServiceSpec, why: str, now: Instant, obstacle: str) -> Step:
    """A restart is due by policy: now, after a delay, or not so soon because there were too many."""
    policy = spec.restart
    starts = recent(worker.starts, now, policy.window)
    delay = next_delay(policy, worker.failures)
    worker = worker._replace(starts=starts, failures=worker.failures + 1)
    if policy.burst and len(starts) >= policy.burst:
        return _limit_reached(worker, spec, why, now)
    if delay <= 0:
        return start_again(worker, policy.burst, why, now, obstacle)
    delay = jittered(delay, policy, worker.name, worker.restarts)
    reason = f"{why}; starts again after {format_duration(delay)}"
    until = Instant(now + delay)
    worker, record = enter(worker, Phase.BACKING_OFF, reason, now, worker.last_exit, process=None, until=until)
    return worker, [record]


def _limit_reached(worker: Worker, spec: ServiceSpec, why: str, now: Instant) -> Step:
    policy = spec.restart
    restarts = "1 restart" if policy.burst == 1 else f"{policy.burst} restarts"
    limit = f"{why}; {restarts} within {format_duration(policy.window)}"
    match policy.then:
        case Exhausted.SLOW:
            delay = Seconds(max(policy.max_delay, 1.0))  # a slow lane without a delay would be a busy loop
            reason = f"{limit}: slow lane, tries again after {format_duration(delay)}"
            until = Instant(now + delay)
            worker, record = enter(worker, Phase.SLOW_LANE, reason, now, worker.last_exit, process=None, until=until)
            return worker, [record]
        case Exhausted.FAIL:
            return give_up(worker, f"{limit}: gave up", now)
        case Exhausted.STOP_ALL:
            reason = f"{limit}: gave up, and everything stops with it"
            worker, actions = give_up(worker, reason, now)
            return worker, [*actions, StopAll(f"{worker.name}: {reason}")]
        case _:
            assert_never(policy.then)


def give_up(worker: Worker, reason: str, now: Instant) -> Step:
    """It is not started again without being asked."""
    status = worker.last_exit if worker.phase.has_process else None
    worker, record = enter(worker, Phase.FAILED, reason, now, status, process=None, held=False)
    return worker, [record]
