"""What is kept, as plain values. Pure."""

from pidward.core.actions import Record
from pidward.core.adoption import Life, Recorded
from pidward.core.lean import NamedTuple
from pidward.core.model import EventRow, ExitStatus, Phase, ProcessId, Wanted, WorkerName
from pidward.core.signals import signal_name
from pidward.core.spec import LogMode
from pidward.core.units import Instant


class Fact(NamedTuple):
    """The state of a worker as of its last transition, as a row of the table ``worker``."""

    phase: str
    wanted: str
    process: str | None  # PID:INODE
    boot_id: str
    tree: str | None
    since: float  # boottime of that boot
    until: float | None = None  # these as in core.adoption.Life
    started: float | None = None
    starts: str = ""  # numbers with spaces between
    failures: int = 0
    restarts: int = 0
    daemon: int = 0
    made: str = ""
    log_mode: str = ""


def fact_of(record: Record, boot_id: str, at: Instant, tree: str | None, life: Life | None) -> Fact | None:
    """The new state of a worker; None when it is forgotten."""
    if record.after is None:
        return None
    process = None if record.process is None else str(record.process)
    fact = Fact(record.after.value, record.wanted.value, process, boot_id, tree, at)
    if life is None or process is None:
        return fact
    return fact._replace(
        since=life.since, until=life.until, started=life.started, starts=" ".join(map(str, life.starts)),
        failures=life.failures, restarts=life.restarts, daemon=int(life.daemon), made=life.made,
        log_mode="" if life.log_mode is None else life.log_mode.value,
    )  # fmt: skip


def recorded(name: str, fact: Fact) -> Recorded | None:
    """What to look for after a restart; None for a worker without a process."""
    phase = Phase(fact.phase)
    if not phase.has_process:
        return None
    process = None if fact.process is None else ProcessId.parse(fact.process)
    return Recorded(WorkerName.parse(name), process, fact.boot_id, fact.tree or "", phase, _life(fact))


def _life(fact: Fact) -> Life:
    until, started = (None if moment is None else Instant(float(moment)) for moment in (fact.until, fact.started))
    starts = tuple(Instant(float(moment)) for moment in fact.starts.split())
    mode = LogMode(fact.log_mode) if fact.log_mode else None
    return Life(
        Instant(float(fact.since)), until, started, starts, int(fact.failures), int(fact.restarts), bool(fact.daemon),
        str(fact.made), mode,
    )  # fmt: skip


def transition(seq: int, record: Record, wall: float) -> EventRow:
    """The event of a transition."""
    now = "forgotten" if record.after is None else record.after.value
    ended = "" if record.exit is None else "was "  # the process of such a record is the one that ended
    process = "" if record.process is None else f" ({ended}{record.process})"
    data: dict[str, object] = {
        "before": None if record.before is None else record.before.value,
        "after": None if record.after is None else record.after.value,
        "reason": record.reason,
        "wanted": record.wanted.value,
    }
    if record.process is not None:
        data["process"] = str(record.process)
    if record.exit is not None:
        data["exit"] = exit_data(record.exit)
    text = f"{record.worker} {now}{process}: {record.reason}"
    return EventRow(seq, wall, "transition", str(record.worker), text, data)


def exit_data(status: ExitStatus) -> dict[str, object]:
    """How a process ended, and what it used."""
    data: dict[str, object] = {
        "code": status.code,
        "signal": None if status.signal is None else signal_name(status.signal),
        "core_dumped": status.core_dumped,
        "source": status.source.value,
    }
    return data if status.usage is None else data | status.usage._asdict()


class Scale(NamedTuple):
    """How many workers of a service an operator wanted, and how many the file said then."""

    workers: int
    of: int


def is_scale(name: str) -> bool:
    """A row of the table ``wish`` is about a service, not about a worker."""
    return "/" not in name


def scale(text: str) -> Scale:
    """Read such a row's value, ``4 of 2``; ValueError for anything else."""
    workers, of = text.split(" of ")
    return Scale(int(workers), int(of))


def wish(name: str, wanted: str) -> tuple[WorkerName, Wanted]:
    """Read a row of the table ``wish``."""
    return WorkerName.parse(name), Wanted(wanted)
