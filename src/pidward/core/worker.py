"""The life of one worker.

Two rules hold in this file. Everything that changes a worker's phase goes through ``_enter``, which always leaves a
Record with the reason. And ``step`` is a function: the same worker, event and time give the same answer.

An event that does not fit (the exit of a process that is not this worker's, a timer that fires early, an answer to
a question that was withdrawn) changes nothing: facts may arrive late, and a late fact about the past is no error.

What a worker waits for, phase by phase:

    STARTING     Spawned or SpawnFailed; at a gate, Executed
                 (so do STOPPING and KILLING when they came before the answer: ``Worker.spawning``)
    RUNNING      its ready delay, or its end
    READY        its end
    BACKING_OFF, SLOW_LANE   its delay
    STOPPING     the end of the main process (and with ``tree = "signal"`` of the tree), for the grace at most
    KILLING      the end of the tree; SIGKILL is repeated, for a process in an uninterruptible sleep dies late
    STOPPED, COMPLETED, FAILED   somebody who asks
"""

from typing import Any, assert_never

from pidward.core.actions import Action, Kill, Record, Signal, Spawn, StopAll
from pidward.core.events import (
    Elapsed,
    Executed,
    Exited,
    RestartAsked,
    Spawned,
    SpawnFailed,
    StartAsked,
    StopAsked,
    TreeEmptied,
    WorkerEvent,
)
from pidward.core.model import ExitStatus, Phase, Wanted, Worker, WorkerName
from pidward.core.restart import describe, is_success, jittered, next_delay, recent, shall_restart
from pidward.core.signals import SIGKILL, signal_name
from pidward.core.spec import Exhausted, ProbeKind, ServiceSpec, Tree
from pidward.core.units import Instant, Seconds, format_duration

Step = tuple[Worker, list[Action]]

KILL_AGAIN = Seconds(5.0)
"""SIGKILL is sent again after this long; it changes nothing for the dying and catches what was missed."""


def new_worker(name: WorkerName, wanted: Wanted, now: Instant, reason: str = "not started yet") -> Worker:
    """A worker that has never run."""
    return Worker(name, wanted, Phase.STOPPED, reason, since=now)


def step(worker: Worker, spec: ServiceSpec, event: WorkerEvent, now: Instant) -> Step:
    """Take one event in: the worker afterwards, and what is to be done, in order."""
    match event:
        case Exited():
            return _exited(worker, spec, event, now)
        case Spawned():
            return _spawned(worker, spec, event, now)
        case Elapsed():
            return _elapsed(worker, spec, now)
        case TreeEmptied():
            return _tree_emptied(worker, spec, now)
        case Executed():
            return _executed(worker, spec, event, now)
        case SpawnFailed():
            return _spawn_failed(worker, spec, event, now)
        case StartAsked():
            return _start_asked(worker, event.by, now)
        case StopAsked():
            return _stop_asked(worker, spec, event, now)
        case RestartAsked():
            return _restart_asked(worker, spec, event, now)
        case _:
            return worker, []


def _enter(
    worker: Worker, phase: Phase, reason: str, now: Instant, status: ExitStatus | None = None, **changes: Any
) -> tuple[Worker, Record]:
    """The one door into a phase. ``status`` is the exit that brought us here, for the record."""
    changes.setdefault("until", None)
    after = worker._replace(phase=phase, reason=reason, since=now, **changes)
    process = after.process if after.process is not None else worker.process
    return after, Record(worker.name, worker.phase, phase, reason, after.wanted, process, status)


# --- facts about the process


def _spawned(worker: Worker, spec: ServiceSpec, event: Spawned, now: Instant) -> Step:
    if not worker.spawning:
        return worker, [Kill(worker.name, event.process, whole_tree=False)]  # nobody may run whom nobody knows
    worker = worker._replace(spawning=False, process=event.process, started=now)
    if worker.phase is Phase.STOPPING:  # asked to stop while the spawn was on its way
        return worker, [_stop_signal(worker, spec)]
    if worker.phase is Phase.KILLING:
        return worker, [_kill_action(worker, spec)]
    if event.running:
        return _serving(worker, spec, now)
    worker, record = _enter(worker, Phase.STARTING, "waits at its gate until it is recorded", now)
    return worker, [record]


def _executed(worker: Worker, spec: ServiceSpec, event: Executed, now: Instant) -> Step:
    if worker.phase is not Phase.STARTING or worker.process != event.process:
        return worker, []
    return _serving(worker, spec, now)


def _serving(worker: Worker, spec: ServiceSpec, now: Instant) -> Step:
    after = _ready_after(spec)
    if after:
        until = Instant(now + after)
        worker, record = _enter(worker, Phase.RUNNING, "the program runs", now, until=until)
    else:
        worker, record = _enter(worker, Phase.READY, "the program runs", now)
    return worker, [record]


def _spawn_failed(worker: Worker, spec: ServiceSpec, event: SpawnFailed, now: Instant) -> Step:
    at_gate = worker.phase is Phase.STARTING and worker.process is not None
    if not worker.spawning and not at_gate:
        return worker, []
    worker = worker._replace(spawning=False, process=None, last_exit=None, failures=max(1, worker.failures))
    if worker.wanted is Wanted.DOWN or worker.again:
        return _ended(worker, spec, now, event.message)
    again, why = shall_restart(spec.restart, None)
    return _try_again(worker, spec, event.message, now) if again else _give_up(worker, f"{event.message}; {why}", now)


def _exited(worker: Worker, spec: ServiceSpec, event: Exited, now: Instant) -> Step:
    if worker.process is None or worker.process != event.process:
        return worker, []
    stable = worker.started is not None and now - worker.started >= spec.restart.reset_after
    worker = worker._replace(last_exit=event.status, failures=0 if stable else worker.failures)
    if not event.left_behind or spec.stop.tree is Tree.LEAVE:
        return _ended(worker, spec, now)
    if worker.phase is Phase.KILLING or (worker.phase is Phase.STOPPING and spec.stop.tree is Tree.SIGNAL):
        return worker._replace(process=None), []  # the rest of the tree is dying already, or has until the grace ends
    why = f"{worker.reason}; " if worker.phase is Phase.STOPPING else ""
    reason = f"{why}{describe(event.status)}; killing what it left behind"
    return _kill(worker, spec, reason, now, event.status)


def _tree_emptied(worker: Worker, spec: ServiceSpec, now: Instant) -> Step:
    if worker.process is not None or worker.spawning or worker.phase not in (Phase.STOPPING, Phase.KILLING):
        return worker, []
    return _ended(worker, spec, now)


# --- time


def _elapsed(worker: Worker, spec: ServiceSpec, now: Instant) -> Step:
    if worker.until is None or now < worker.until:
        return worker, []
    match worker.phase:
        case Phase.BACKING_OFF | Phase.SLOW_LANE:
            return _start_again(worker, spec.restart.burst, "the delay is over", now)
        case Phase.RUNNING:
            worker, record = _enter(worker, Phase.READY, f"ran for {format_duration(_ready_after(spec))}", now)
            return worker, [record]
        case Phase.STOPPING:
            who = "its tree" if worker.process is None and not worker.spawning else "it"
            return _kill(worker, spec, f"{who} did not end within the grace of {_grace(spec)}", now)
        case Phase.KILLING:
            return worker._replace(until=Instant(now + KILL_AGAIN)), [_kill_action(worker, spec)]
        case _:
            return worker, []


# --- wishes


def _start_asked(worker: Worker, by: str, now: Instant) -> Step:
    match worker.phase:
        case Phase.STARTING | Phase.RUNNING | Phase.READY:
            return worker, []
        case Phase.STOPPING | Phase.KILLING:
            reason = f"{worker.reason}; will start again ({by})"
            worker, record = _enter(worker, worker.phase, reason, now, wanted=Wanted.UP, again=True, until=worker.until)
            return worker, [record]
        case _:
            return _start_fresh(worker, f"started by {by}", now)


def _stop_asked(worker: Worker, spec: ServiceSpec, event: StopAsked, now: Instant) -> Step:
    worker = worker._replace(wanted=Wanted.DOWN, again=False)
    reason = f"stopped by {event.by}"
    if not worker.phase.has_process:
        if worker.phase is Phase.STOPPED and worker.reason == reason:
            return worker, []
        worker, record = _enter(worker, Phase.STOPPED, reason, now)
        return worker, [record]
    if worker.phase is Phase.KILLING:
        return worker, []
    if event.at_once:
        return _kill(worker, spec, f"{reason}, at once", now)
    if worker.phase is Phase.STOPPING:
        return worker, []
    return _stop(worker, spec, reason, now)


def _restart_asked(worker: Worker, spec: ServiceSpec, event: RestartAsked, now: Instant) -> Step:
    reason = f"restarted by {event.by}"
    worker = worker._replace(wanted=Wanted.UP)
    if not worker.phase.has_process:
        return _start_fresh(worker, reason, now)
    worker = worker._replace(again=True)
    if worker.phase in (Phase.STOPPING, Phase.KILLING):
        return worker, []
    return _stop(worker, spec, reason, now)


# --- transitions that several events share


def _stop(worker: Worker, spec: ServiceSpec, reason: str, now: Instant) -> Step:
    """Politely first, unless there is nobody who could be polite: at the gate no program listens yet."""
    at_gate = worker.phase is Phase.STARTING and worker.process is not None
    if at_gate or spec.stop.signal == SIGKILL or spec.stop.grace <= 0:
        return _kill(worker, spec, reason, now)
    until = Instant(now + spec.stop.grace)
    worker, record = _enter(worker, Phase.STOPPING, reason, now, until=until)
    if worker.spawning:  # Spawned will find us stopping
        return worker, [record]
    return worker, [record, _stop_signal(worker, spec)]


def _stop_signal(worker: Worker, spec: ServiceSpec) -> Signal:
    assert worker.process is not None
    return Signal(worker.name, worker.process, spec.stop.signal, whole_tree=spec.stop.tree is Tree.SIGNAL)


def _kill(worker: Worker, spec: ServiceSpec, reason: str, now: Instant, status: ExitStatus | None = None) -> Step:
    ended = status is not None
    action = _kill_action(worker, spec)
    if ended:
        action = action._replace(process=None)
    after, record = _enter(
        worker, Phase.KILLING, reason, now, status,
        process=None if ended else worker.process, until=Instant(now + KILL_AGAIN),
    )  # fmt: skip
    return after, [record, action]


def _kill_action(worker: Worker, spec: ServiceSpec) -> Kill:
    return Kill(worker.name, worker.process, whole_tree=spec.stop.tree is not Tree.LEAVE)


def _ended(worker: Worker, spec: ServiceSpec, now: Instant, how: str = "") -> Step:
    """Nothing of the worker lives any more. What now?"""
    if worker.wanted is Wanted.DOWN or worker.again:
        how = how or describe(worker.last_exit)
        reason = worker.reason if how in worker.reason else f"{worker.reason}; {how}"
        if worker.again:
            return _start_fresh(worker, reason, now)
        worker, record = _enter(worker, Phase.STOPPED, reason, now, worker.last_exit, process=None)
        return worker, [record]
    again, why = shall_restart(spec.restart, worker.last_exit)
    if again:
        return _try_again(worker, spec, why, now)
    if is_success(spec.restart, worker.last_exit):
        worker, record = _enter(worker, Phase.COMPLETED, why, now, worker.last_exit, process=None)
        return worker, [record]
    return _give_up(worker, why, now)


def _try_again(worker: Worker, spec: ServiceSpec, why: str, now: Instant) -> Step:
    """A restart is due by policy: now, after a delay, or not so soon because there were too many."""
    policy = spec.restart
    starts = recent(worker.starts, now, policy.window)
    delay = next_delay(policy, worker.failures)
    worker = worker._replace(starts=starts, failures=worker.failures + 1)
    if policy.burst and len(starts) >= policy.burst:
        return _limit_reached(worker, spec, why, now)
    if delay <= 0:
        return _start_again(worker, policy.burst, why, now)
    delay = jittered(delay, policy, worker.name, worker.restarts)
    reason = f"{why}; starts again after {format_duration(delay)}"
    until = Instant(now + delay)
    worker, record = _enter(worker, Phase.BACKING_OFF, reason, now, worker.last_exit, process=None, until=until)
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
            worker, record = _enter(worker, Phase.SLOW_LANE, reason, now, worker.last_exit, process=None, until=until)
            return worker, [record]
        case Exhausted.FAIL:
            return _give_up(worker, f"{limit}: gave up", now)
        case Exhausted.STOP_ALL:
            reason = f"{limit}: gave up, and everything stops with it"
            worker, actions = _give_up(worker, reason, now)
            return worker, [*actions, StopAll(f"{worker.name}: {reason}")]
        case _:
            assert_never(policy.then)


def _give_up(worker: Worker, reason: str, now: Instant) -> Step:
    worker, record = _enter(worker, Phase.FAILED, reason, now, worker.last_exit, process=None)
    return worker, [record]


def _start_again(worker: Worker, burst: int, reason: str, now: Instant) -> Step:
    """An automatic start: it counts for the start limit."""
    ended = worker.last_exit if worker.phase.has_process else None
    starts = (*worker.starts, now)[-burst:] if burst else ()
    worker, record = _enter(
        worker, Phase.STARTING, reason, now, ended,
        process=None, spawning=True, again=False, starts=starts, restarts=worker.restarts + 1,
    )  # fmt: skip
    return worker, [record, Spawn(worker.name)]


def _start_fresh(worker: Worker, reason: str, now: Instant) -> Step:
    """A start that somebody asked for: past failures are forgiven."""
    ended = worker.last_exit if worker.phase.has_process else None
    worker, record = _enter(
        worker, Phase.STARTING, reason, now, ended,
        process=None, spawning=True, wanted=Wanted.UP, again=False, starts=(), failures=0,
    )  # fmt: skip
    return worker, [record, Spawn(worker.name)]


def _grace(spec: ServiceSpec) -> str:
    return f"{format_duration(spec.stop.grace)} after {signal_name(spec.stop.signal)}"


def _ready_after(spec: ServiceSpec) -> Seconds:
    """How long a worker must have run to be ready, when that is how it is known."""
    return spec.ready.after if spec.ready is not None and spec.ready.kind is ProbeKind.AFTER else Seconds(0.0)
