"""Workers, events and the supervisor as the interface shows them. Pure."""

from collections.abc import Sequence

from pidward.control.goals import is_as_wanted
from pidward.core.model import ExitStatus, Phase, ProcessId, Worker, WorkerName
from pidward.core.signals import signal_name
from pidward.core.units import format_duration
from pidward.runtime.desk import About, EventRow, Member, Told

_BREAKS = str.maketrans("\t\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029", " " * 11)


def show_worker(worker: Worker, now: float, status: str = "") -> dict[str, object]:
    """The interface's Worker. ``status``: what its program says of itself."""
    return {
        "name": str(worker.name),
        "service": worker.name.service,
        "number": worker.name.number,
        "wanted": worker.wanted.value,
        "phase": worker.phase.value,
        "reason": worker.explanation,
        "as_wanted": is_as_wanted(worker),
        "in_phase": max(0.0, now - worker.since),
        "ends_in": None if worker.until is None else max(0.0, worker.until - now),
        "process": show_process(worker.process),
        "uptime": _uptime(worker, now),
        "restarts": worker.restarts,
        "failures": worker.failures,
        "last_exit": None if worker.last_exit is None else show_exit(worker.last_exit),
        "status": status or None,
    }


def show_row(worker: Worker, now: float, status: str = "") -> str:
    """One line of Table. ``status``: what its program says of itself, which of one that is ready is the news."""
    reason = status if worker.phase is Phase.READY else worker.explanation
    uptime = _uptime(worker, now)
    exit_text = "-" if worker.last_exit is None else describe_exit(worker.last_exit)
    return (
        f"{worker.name}\t{worker.phase.value}\t{worker.process or '-'}\t"
        f"{'-' if uptime is None else format_duration(int(uptime))}\t{worker.restarts}\t{exit_text}\t"
        f"{reason.translate(_BREAKS) or '-'}\t{is_as_wanted(worker):d}\n"
    )


def show_exit(status: ExitStatus) -> dict[str, object]:
    """The interface's Exit."""
    return {
        "code": status.code,
        "signal": None if status.signal is None else signal_name(status.signal),
        "core_dumped": status.core_dumped,
        "source": status.source.value,
    }


def describe_exit(status: ExitStatus) -> str:
    """How a process ended, in two words: ``exit 1``, ``SIGSEGV, core``, ``unknown``."""
    if status.signal is not None:
        return signal_name(status.signal) + (", core" if status.core_dumped else "")
    return "unknown" if status.code is None else f"exit {status.code}"


def show_event(row: EventRow) -> dict[str, object]:
    """The interface's Event."""
    return {
        "seq": row.seq, "wall": row.wall, "kind": row.kind, "worker": row.worker, "text": row.text, "data": row.data,
    }  # fmt: skip


def show_about(about: About) -> dict[str, object]:
    """The interface's Supervisor."""
    return {
        "version": about.version,
        "process": str(about.process),
        "instance": about.instance,
        "config": about.config,
        "uptime": about.uptime,
        "trouble": list(about.trouble),
        "state_dir": about.state_dir,
    }


def show_trees(names: Sequence[WorkerName], members: Sequence[Member]) -> list[dict[str, object]]:
    """The interface's WorkerTrees, one for each of the workers."""
    processes: dict[str, list[dict[str, object]]] = {str(name): [] for name in names}
    for one in members:
        processes[one.worker].append({
            "process": one.process, "parent": one.parent or None, "main": one.is_main, "escaped": one.escaped or None,
            "state": one.state, "name": one.name, "command": one.command,
        })  # fmt: skip
    return [{"worker": worker, "processes": found} for worker, found in processes.items()]


def show_told(told: Sequence[Told]) -> list[dict[str, object]]:
    """The interface's Signalled, of those who could be told."""
    return [{"worker": str(one.worker), "process": str(one.process)} for one in told if not one.failure]


def show_failures(told: Sequence[Told]) -> list[str]:
    """A sentence for each of the others."""
    return [f"{one.worker} ({one.process}) could not be told to reload: {one.failure}" for one in told if one.failure]


def show_process(process: ProcessId | None) -> str | None:
    """PID:INODE, or None."""
    return None if process is None else str(process)


def _uptime(worker: Worker, now: float) -> float | None:
    if worker.process is None or worker.started is None:
        return None
    return max(0.0, now - worker.started)
