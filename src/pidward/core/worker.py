"""The life of one worker.

``step`` is a function: the same worker, event and time give the same answer. An event that does not fit (the exit of
a process that is not this worker's, a timer that fires early, an answer to a question that was withdrawn) changes
nothing: facts may arrive late, and a late fact about the past is no error.

What a worker waits for, phase by phase:

    WAITING      its dependencies or its group (``Worker.held``); or its schedule or a connection
    STARTING     Spawned or SpawnFailed; at a gate, Executed
                 (so do STOPPING and KILLING when they came before the answer: ``Worker.spawning``)
    RUNNING      Ready, or its ready delay, for ready_timeout at most; or its end
                 (a FORKING service may have no known process meanwhile)
    READY        its end
    BACKING_OFF, SLOW_LANE   its delay
    STOPPING     the end of the main process (and with ``tree = "signal"`` of the tree), for the grace at most
    KILLING      the end of the tree; SIGKILL is repeated, for a process in an uninterruptible sleep dies late
    STOPPED, COMPLETED, FAILED   somebody who asks
"""

from pidward.core import events as on
from pidward.core.actions import Kill
from pidward.core.lean import assert_never
from pidward.core.model import UNKNOWN_EXIT, ExitStatus, Phase, Wanted, Worker, WorkerName
from pidward.core.restart import describe
from pidward.core.signals import signal_name
from pidward.core.spec import ServiceSpec, ServiceType, Tree
from pidward.core.transitions import (
    Step,
    await_ready,
    ended,
    enter,
    explain,
    fork_timeout,
    give_up,
    is_ready_by_time,
    kill,
    kill_action,
    kill_once_more,
    serve,
    spawn,
    start_again,
    start_fresh,
    stop,
    stop_signals,
    was_short,
)
from pidward.core.units import Instant, format_duration

_SERVING = frozenset({Phase.RUNNING, Phase.READY})
_STOPPED_BY = "stopped by "


def new_worker(name: WorkerName, wanted: Wanted, now: Instant, reason: str = "not started yet") -> Worker:
    """A worker that has never run; one that is wanted up and not started has nothing to do yet."""
    return Worker(name, wanted, Phase.STOPPED if wanted is Wanted.DOWN else Phase.WAITING, reason, since=now)


def step(worker: Worker, spec: ServiceSpec, event: on.WorkerEvent, now: Instant, obstacle: str = "") -> Step:  # noqa: C901 - a table
    """Take one event in: the worker afterwards, and what is to be done, in order.

    Args:
        worker: as it is.
        spec: of its service.
        event: what happened.
        now: the present.
        obstacle: why it may not start now, in plain words; empty: it may.
    """
    match event:
        case on.Exited():
            return _exited(worker, spec, event, now, obstacle)
        case on.Spawned():
            return _spawned(worker, spec, event, now)
        case on.Elapsed():
            return _elapsed(worker, spec, now, obstacle)
        case on.TreeEmptied():
            return _tree_emptied(worker, spec, now, obstacle)
        case on.Executed():
            return _executed(worker, spec, event, now)
        case on.SpawnFailed():
            return _spawn_failed(worker, spec, event, now, obstacle)
        case on.StartAsked():
            return _start_asked(worker, spec, event, now, obstacle)
        case on.StopAsked():
            return _stop_asked(worker, spec, event, now)
        case on.RestartAsked():
            return _restart_asked(worker, spec, event, now, obstacle)
        case on.Ready():
            return _ready(worker, event, now)
        case on.Unready():
            return _unready(worker, event.process == worker.process, event.why, now)
        case on.NotYet():
            return _not_yet(worker, event), []
        case on.Announced():
            return _unready(worker, event.process == worker.process, "says that it is about to end", now)
        case on.Unhealthy():
            return _unhealthy(worker, spec, event, now)
        case on.MainChanged():
            return _main_changed(worker, spec, event, now)
        case on.Extended():
            return _extended(worker, event), []
        case on.Forgiven():
            return worker._replace(starts=(), failures=0), []
        case on.PreStopEnded():
            return _pre_stop_ended(worker, spec, event, now)
        case on.Reconsidered():
            return _reconsidered(worker, spec, event.why, now, obstacle)
        case on.Abandoned():
            return _abandoned(worker, spec, event.why, now)
        case _:
            assert_never(event)


# --- facts about the process


def _spawned(worker: Worker, spec: ServiceSpec, event: on.Spawned, now: Instant) -> Step:
    if not worker.spawning:
        return worker, [Kill(worker.name, event.process, whole_tree=False)]  # nobody may run whom nobody knows
    worker = worker._replace(spawning=False, process=event.process, started=now)
    if worker.phase is Phase.STOPPING:  # asked to stop while the spawn was on its way
        return worker, stop_signals(worker, spec)
    if worker.phase is Phase.KILLING:
        return worker, [kill_action(worker, spec)]
    if event.running:
        return serve(worker, spec, now)
    worker, record = enter(worker, Phase.STARTING, "waits at its gate until it is recorded", now)
    return worker, [record]


def _executed(worker: Worker, spec: ServiceSpec, event: on.Executed, now: Instant) -> Step:
    if worker.phase is not Phase.STARTING or worker.process != event.process:
        return worker, []
    return serve(worker, spec, now)


def _spawn_failed(worker: Worker, spec: ServiceSpec, event: on.SpawnFailed, now: Instant, obstacle: str) -> Step:
    at_gate = worker.phase is Phase.STARTING and worker.process is not None
    if not worker.spawning and not at_gate:
        return worker, []
    failures = max(1, worker.failures)
    scheduled = spec.schedule is not None
    worker = worker._replace(
        spawning=False, process=None, last_exit=None, failures=failures, fault=event.message, scheduled=scheduled
    )
    return ended(worker, spec, now, obstacle)


def _exited(worker: Worker, spec: ServiceSpec, event: on.Exited, now: Instant, obstacle: str) -> Step:
    if worker.process is None or worker.process != event.process:
        return worker, []
    before, worker = worker, worker._replace(last_exit=event.status)
    if not worker.fault:  # else its failures were counted when it failed
        worker = worker._replace(failures=_failures(worker, spec, now))
    if _is_forking(worker, spec) and event.status.code == 0:
        if event.left_behind:
            return _forked(worker._replace(last_exit=before.last_exit), event.status, spec, now)
        worker = worker._replace(fault="its first process ended and left no other")
    if not event.left_behind or spec.stop.tree is Tree.LEAVE:
        return ended(worker, spec, now, obstacle)
    if worker.phase is Phase.KILLING or (worker.phase is Phase.STOPPING and spec.stop.tree is Tree.SIGNAL):
        return worker._replace(process=None), []  # the rest of the tree is dying already, or has until the grace ends
    why = f"{worker.reason}; " if worker.phase is Phase.STOPPING else ""
    reason = f"{why}{describe(event.status)}; killing what it left behind"
    return kill(worker, spec, reason, now, event.status)


def _is_forking(worker: Worker, spec: ServiceSpec) -> bool:
    """Its first process runs, which is to end."""
    return spec.type is ServiceType.FORKING and not worker.daemon and worker.phase in _SERVING | {Phase.STARTING}


def _forked(worker: Worker, status: ExitStatus, spec: ServiceSpec, now: Instant) -> Step:
    """The end of its first process is no end of the worker."""
    until = worker.until or Instant(now + fork_timeout(spec))
    reason = "its first process ended, as it should; its main process is not known yet"
    worker, record = enter(worker, Phase.RUNNING, reason, now, status, process=None, until=until)
    return worker, [record]


def _failures(worker: Worker, spec: ServiceSpec, now: Instant) -> int:
    """Ends in a row without a stable run, if it were to end now."""
    return worker.failures if worker.started is None or was_short(worker, spec, now) else 0


def _tree_emptied(worker: Worker, spec: ServiceSpec, now: Instant, obstacle: str) -> Step:
    if worker.process is not None or worker.spawning:
        return worker, []
    if worker.phase is Phase.RUNNING:
        fault = "it ended before its main process was known"
        worker = worker._replace(last_exit=UNKNOWN_EXIT, fault=fault, failures=max(1, worker.failures))
    elif worker.phase not in (Phase.STOPPING, Phase.KILLING):
        return worker, []
    return ended(worker, spec, now, obstacle)


def _main_changed(worker: Worker, spec: ServiceSpec, event: on.MainChanged, now: Instant) -> Step:
    """The exit of the process that was the main one before means nothing any more."""
    is_known = worker.process == event.process and (worker.daemon or spec.type is not ServiceType.FORKING)
    if is_known or worker.phase not in _SERVING:
        return worker, []
    first = _is_forking(worker, spec)
    reason = f"its main process is {event.process}"
    worker = worker._replace(process=event.process, daemon=True)
    if first and worker.phase is Phase.RUNNING:
        return await_ready(worker, spec, reason, now)
    return explain(worker, reason, now)


# --- what it and its probes say


def _ready(worker: Worker, event: on.Ready, now: Instant) -> Step:
    if worker.phase is not Phase.RUNNING or worker.process is None or worker.process != event.process:
        return worker, []
    worker, record = enter(worker, Phase.READY, event.how, now)
    return worker, [record]


def _unready(worker: Worker, is_its_own: bool, why: str, now: Instant) -> Step:
    """It runs and does not serve; whether it becomes ready, or ends, is its own affair: no time is set."""
    if worker.phase not in _SERVING or worker.process is None or not is_its_own:
        return worker, []
    worker, record = enter(worker, Phase.RUNNING, why, now, awaited="")
    return worker, [record]


def _not_yet(worker: Worker, event: on.NotYet) -> Worker:
    if worker.phase is not Phase.RUNNING or worker.process is None or worker.process != event.process:
        return worker
    return worker._replace(awaited=event.why)


def _unhealthy(worker: Worker, spec: ServiceSpec, event: on.Unhealthy, now: Instant) -> Step:
    if worker.phase not in _SERVING or worker.process is None or worker.process != event.process:
        return worker, []
    worker = worker._replace(fault=event.why, failures=_failures(worker, spec, now))
    return stop(worker, spec, event.why, now, event.signal)


def _extended(worker: Worker, event: on.Extended) -> Worker:
    """More time, never less, for a phase that has a limit and that the worker itself is busy with."""
    if worker.phase not in (Phase.RUNNING, Phase.STOPPING) or worker.process != event.process or worker.until is None:
        return worker
    return worker._replace(until=max(worker.until, event.until))


def _pre_stop_ended(worker: Worker, spec: ServiceSpec, event: on.PreStopEnded, now: Instant) -> Step:
    if worker.phase is not Phase.STOPPING or worker.process is None:
        return worker, []
    signals = stop_signals(worker, spec)
    if not event.why:
        return worker, signals
    worker, actions = explain(worker, f"{worker.reason}; {event.why}", now)
    return worker, [*actions, *signals]


# --- time


def _elapsed(worker: Worker, spec: ServiceSpec, now: Instant, obstacle: str) -> Step:
    if worker.until is None or now < worker.until:
        return worker, []
    match worker.phase:
        case Phase.BACKING_OFF | Phase.SLOW_LANE:
            return start_again(worker, spec.restart.burst, "the delay is over", now, obstacle)
        case Phase.RUNNING:
            return _has_run(worker, spec, now)
        case Phase.STOPPING:
            who = "its tree" if worker.process is None and not worker.spawning else "it"
            grace = f"{format_duration(spec.stop.grace)} after {signal_name(spec.stop.signal)}"
            return kill(worker, spec, f"{who} did not end within the grace of {grace}", now)
        case Phase.KILLING:
            return kill_once_more(worker, spec, now)
        case _:
            return worker, []


def _has_run(worker: Worker, spec: ServiceSpec, now: Instant) -> Step:
    """The time of RUNNING is over: it is ready by that, or has failed to become so."""
    if _is_forking(worker, spec):
        fault = f"its main process was not known within {format_duration(fork_timeout(spec))}"
    elif spec.ready is not None and is_ready_by_time(spec):
        worker, record = enter(worker, Phase.READY, f"ran for {format_duration(spec.ready.after)}", now)
        return worker, [record]
    elif spec.ready_timeout is None:  # it had one until the configuration changed
        return worker._replace(until=None), []
    else:
        fault = f"it was not ready within {format_duration(spec.ready_timeout)}"
        fault += f": {worker.awaited}" if worker.awaited else ""
    worker = worker._replace(fault=fault, failures=max(1, worker.failures))
    return stop(worker, spec, fault, now)


# --- wishes


def _start_asked(worker: Worker, spec: ServiceSpec, event: on.StartAsked, now: Instant, obstacle: str) -> Step:
    if not worker.phase.has_process:
        reason = f"started by {event.by}"
        if event.on_demand and was_short(worker, spec, worker.since):
            return start_again(worker, spec.restart.burst, reason, now, obstacle)
        return start_fresh(worker, reason, now, obstacle)
    if worker.phase in (Phase.STOPPING, Phase.KILLING):
        return _come_back(worker, event.by, now)
    return worker, []


def _come_back(worker: Worker, by: str, now: Instant) -> Step:
    """It is on its way down, and is wanted again."""
    if worker.again:
        return worker, []
    return explain(worker, f"{worker.reason}; will start again ({by})", now, wanted=Wanted.UP, again=True)


def _stop_asked(worker: Worker, spec: ServiceSpec, event: on.StopAsked, now: Instant) -> Step:
    was_wanted = worker.wanted is Wanted.UP
    worker = worker._replace(wanted=Wanted.DOWN, again=False)
    reason = f"{_STOPPED_BY}{event.by}"
    if not worker.phase.has_process:
        if worker.phase is Phase.STOPPED and not was_wanted and worker.reason.startswith(_STOPPED_BY):
            return worker, []  # who stopped it first stays its reason
        worker, record = enter(worker, Phase.STOPPED, reason, now, held=False)
        return worker, [record]
    if event.at_once and worker.phase is not Phase.KILLING:
        return kill(worker, spec, f"{reason}, at once", now)
    if worker.phase in (Phase.STOPPING, Phase.KILLING):
        return explain(worker, reason, now) if was_wanted else (worker, [])
    return stop(worker, spec, reason, now)


def _restart_asked(worker: Worker, spec: ServiceSpec, event: on.RestartAsked, now: Instant, obstacle: str) -> Step:
    reason = f"restarted by {event.by}"
    if not worker.phase.has_process:
        return start_fresh(worker, reason, now, obstacle)
    if worker.phase in (Phase.STOPPING, Phase.KILLING):
        return _come_back(worker, event.by, now)
    return stop(worker._replace(wanted=Wanted.UP, again=True), spec, reason, now)


def _reconsidered(worker: Worker, spec: ServiceSpec, why: str, now: Instant, obstacle: str) -> Step:
    """Its start, when others held it back; or, with another ``ready``, what it is to be ready by."""
    if worker.phase is Phase.RUNNING and spec.type is not ServiceType.ONESHOT and not _is_forking(worker, spec):
        return await_ready(worker, spec, why, now)
    if not worker.held or worker.phase is not Phase.WAITING:
        return worker, []
    if not obstacle:
        return spawn(worker, why, now)
    if worker.reason.endswith(obstacle):
        return worker, []
    return explain(worker, obstacle, now)


def _abandoned(worker: Worker, spec: ServiceSpec, why: str, now: Instant) -> Step:
    """What runs is stopped first, and comes here again from WAITING, where its group holds it."""
    if worker.wanted is Wanted.DOWN or worker.phase.is_final:
        return worker, []
    if not worker.phase.has_process:
        return give_up(worker, why, now)
    worker = worker._replace(again=True)
    if worker.phase in (Phase.STOPPING, Phase.KILLING):
        return worker, []
    return stop(worker, spec, why, now)
