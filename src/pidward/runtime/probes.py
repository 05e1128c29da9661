"""Asking workers whether they may serve, and whether they still live: http, tcp, exec, and lines of their output.

One ``_Questioner`` belongs to one probe of one process and is dropped with it, so no answer of a past life counts.
What the answers amount to, and when to ask again, ``core.probing`` says.
"""

from collections import deque
from collections.abc import Callable
from itertools import count as count_from
from zlib import crc32

from pidward import __version__
from pidward.core.actions import Record
from pidward.core.events import NotYet, Ready, Unhealthy, Unready
from pidward.core.lean import Protocol
from pidward.core.model import Phase, ProcessId, WorkerName
from pidward.core.probing import (
    LIVENESS,
    READINESS,
    Standing,
    count,
    first_look,
    next_look,
    parse_http,
    parse_tcp,
    request,
)
from pidward.core.spec import Configuration, Probe, ProbeKind, ServiceSpec
from pidward.core.units import Instant
from pidward.runtime.attendant import Equipment, Surroundings
from pidward.runtime.commands import Command, Outcome, run_command
from pidward.runtime.knock import Knock
from pidward.runtime.loop import Timer
from pidward.runtime.plan import expand
from pidward.runtime.seat import Seat
from pidward.runtime.trees import LOOK_AGAIN

MAX_COMMANDS, MAX_CONNECTIONS = 16, 256
"""Looks at a time, of all workers together; others wait for their turn, and their timeout begins with it."""

_ATTENDED = (Phase.RUNNING, Phase.READY)
_Answer = Callable[[bool | None, str], None]


class _Look(Protocol):
    """A question that is being asked, or output that is being read."""

    def cancel(self) -> None: ...


class Probes:
    """The probes of all workers. An attendant."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._surroundings = surroundings
        self._specs: dict[str, ServiceSpec] = {}  # the latest; a new configuration comes here before it is in force
        self._lives: dict[WorkerName, _Life] = {}
        self._marks: dict[WorkerName, tuple[int, int]] = {}
        self._turns = {ProbeKind.EXEC: _Turns(MAX_COMMANDS)}
        self._connections = _Turns(MAX_CONNECTIONS)

    def configured(self, configuration: Configuration) -> None:
        """Ask by what is configured now, also those who run already."""
        for spec in configuration.services:
            self._specs[spec.name] = spec
            for number in count_from(1):  # an operator may have more of them than the file
                name = WorkerName(spec.name, number)
                worker = self._surroundings.worker(name)
                if worker is None:
                    break
                if worker.process is not None:
                    self._attend(name, worker.phase, worker.process)

    def equip(self, name: WorkerName, spec: ServiceSpec) -> Equipment:
        """Nothing: who is asked needs not know."""
        del name, spec
        return Equipment()

    def followed(self, record: Record, seat: Seat) -> None:
        """Begin to ask when the program runs, go on when it is ready, and end with it."""
        del seat
        name = record.worker
        if record.after is Phase.STARTING and record.before is not Phase.STARTING:
            self._mark(name)
        if record.after is None:
            self._marks.pop(name, None)
        self._attend(name, record.after, record.process)

    def close(self) -> None:
        """Stop asking."""
        while self._lives:
            self._lives.popitem()[1].cancel()

    def _attend(self, name: WorkerName, phase: Phase | None, process: ProcessId | None) -> None:
        life = self._lives.get(name)
        if phase not in _ATTENDED or process is None:
            if life is not None:
                self._lives.pop(name).cancel()
            return
        spec = self._specs[name.service]
        wanted = (process, spec.ready, spec.alive)
        if life is None or life.of != wanted:
            if life is not None:
                life.cancel()
            life = self._lives[name] = _Life(wanted)
        self._begin(life, name, spec, phase)

    def _begin(self, life: "_Life", name: WorkerName, spec: ServiceSpec, phase: Phase) -> None:
        """Ask what is not asked yet: about readiness from the first moment, about life when it is ready."""
        process, ready, alive = life.of
        is_ready = phase is Phase.READY
        if ready is not None and life.ready is None:
            if ready.kind is ProbeKind.LOG and not is_ready:
                life.ready = self._read_output(name, process, ready)
            elif ready.repeats:
                standing = Standing(says=True, was_ready=True) if is_ready else READINESS
                life.ready = self._question(name, process, spec, ready, standing, self._tell_readiness)
        if alive is not None and life.alive is None and is_ready:
            life.alive = self._question(name, process, spec, alive, LIVENESS, self._tell_liveness)

    def _tell_readiness(self, name: WorkerName, process: ProcessId, says: bool, why: str) -> None:
        self._surroundings.feed(Ready(name, process, why) if says else Unready(name, process, why))

    def _tell_liveness(self, name: WorkerName, process: ProcessId, says: bool, why: str) -> None:
        if not says:
            self._surroundings.feed(Unhealthy(name, process, why))

    def _question(
        self, name: WorkerName, process: ProcessId, spec: ServiceSpec, probe: Probe, standing: Standing, tell: "_Tell"
    ) -> "_Questioner":
        purpose = "alive" if standing is LIVENESS else "ready"
        turns = self._turns.get(probe.kind, self._connections)
        return _Questioner(
            self._surroundings, turns, probe, standing,
            _asker(self._surroundings, name, spec, probe, purpose),
            describe(probe, name.number), lambda says, why: tell(name, process, says, why),
            lambda why: self._surroundings.feed(NotYet(name, process, why)),
            lambda text: self._surroundings.note("probe", name, f"{name}: {text}"),
            spread=crc32(f"{purpose} {name}".encode()) / 2**32,
        )  # fmt: skip

    def _mark(self, name: WorkerName) -> None:
        """Remember where the output of the last process ends."""
        probe = self._specs[name.service].ready
        if probe is not None and probe.kind is ProbeKind.LOG:
            from pidward.runtime.output import ends_of  # noqa: PLC0415 - few services are ready by a line

            self._marks[name] = ends_of(self._surroundings.state_dir, name)

    def _read_output(self, name: WorkerName, process: ProcessId, probe: Probe) -> _Look:
        from pidward.runtime.output import Reader, ends_of  # noqa: PLC0415

        surroundings, text = self._surroundings, expand(probe.target, name.number)
        marks = self._marks.get(name) or ends_of(surroundings.state_dir, name)
        return Reader(
            surroundings.loop, surroundings.state_dir, name, self._specs[name.service].logs, marks, text,
            lambda: self._tell_readiness(name, process, says=True, why=f'its output said "{text}"'),
        )  # fmt: skip


_Tell = Callable[[WorkerName, ProcessId, bool, str], None]


class _Life:
    """What is asked about one process."""

    def __init__(self, of: tuple[ProcessId, Probe | None, Probe | None]) -> None:
        self.of = of
        self.ready: _Look | None = None
        self.alive: _Look | None = None

    def cancel(self) -> None:
        for look in (self.ready, self.alive):
            if look is not None:
                look.cancel()


class _Turns:
    """So many looks at a time; who comes later waits in order."""

    def __init__(self, limit: int) -> None:
        self._free = limit
        self._waiting: deque[Callable[[], bool]] = deque()

    def take(self, begin: Callable[[], bool]) -> None:
        """Call ``begin`` when it is its turn; the turn is taken when that returns True."""
        self._waiting.append(begin)
        self._call_next()

    def give_back(self) -> None:
        """A look has ended."""
        self._free += 1
        self._call_next()

    def _call_next(self) -> None:
        while self._free and self._waiting:
            self._free -= 1
            if not self._waiting.popleft()():
                self._free += 1


class _Questioner:
    """Asks the same question about the same process again and again."""

    def __init__(
        self, surroundings: Surroundings, turns: _Turns, probe: Probe, standing: Standing,
        ask: Callable[[_Answer], _Look], question: str, tell: Callable[[bool, str], None],
        not_yet: Callable[[str], None], note: Callable[[str], None], spread: float,
    ) -> None:  # fmt: skip
        self._question, self._not_yet = question, not_yet
        self._loop, self._turns, self._probe, self._standing = surroundings.loop, turns, probe, standing
        self._ask, self._tell, self._note, self._spread = ask, tell, note, spread
        self._is_over = self._has_turn = False
        self._was_asked = True
        self._look: _Look | None = None
        self._asked = self._loop.now()
        self._timer: Timer = self._loop.call_at(first_look(probe, self._asked), self._due)

    def cancel(self) -> None:
        """Ask no more."""
        self._is_over = True
        self._timer.cancel()
        if self._look is not None:
            self._look.cancel()
        self._end_turn()

    def _due(self) -> None:
        self._turns.take(self._begin)

    def _begin(self) -> bool:
        if self._is_over:
            return False
        now = self._loop.now()
        if isinstance(self._look, Command) and not self._look.is_gone:
            if now < self._asked + 2 * self._probe.timeout:
                self._timer = self._loop.call_at(Instant(now + LOOK_AGAIN), self._due)
                return False
            self._loop.call_soon(lambda: self._answered(answer=False, what="the command before it cannot be killed"))
        else:
            self._look = self._ask(self._answered)
        self._asked, self._has_turn = now, True
        return True

    def _end_turn(self) -> None:
        if self._has_turn:
            self._has_turn = False
            self._turns.give_back()

    def _answered(self, answer: bool | None, what: str) -> None:
        if self._is_over:
            return
        self._end_turn()
        if answer is None:
            self._not_asked(what)
        else:
            self._was_asked = True
            self._count(answer, what)
        if not self._is_over:  # it may be that nobody asks any more, because of what was told
            now = self._loop.now()
            when = next_look(self._standing, self._probe, self._asked, now, self._spread)
            self._timer = self._loop.call_at(when, self._due)

    def _count(self, answer: bool, what: str) -> None:
        said = self._standing.says
        self._standing = count(self._standing, self._probe, answer)
        if self._standing.says is not said:
            times = "" if self._probe.failures == 1 else f" {self._probe.failures} times"
            self._tell(self._standing.says, f"{self._question} {what if answer else f'failed{times}: {what}'}")
        elif not answer and not said:
            self._not_yet(f"{self._question}: {what}")

    def _not_asked(self, why: str) -> None:
        """It is we who are short of something: the worker is not judged by that, and it is said once."""
        if self._was_asked:
            self._was_asked = False
            self._note(f"{self._question} could not be asked, and that does not count: {why}")


def describe(probe: Probe, number: int) -> str:
    """The question to the worker of this number, in a reason: "GET http://127.0.0.1:8000/healthz"."""
    match probe.kind:
        case ProbeKind.HTTP:
            return f"GET {expand(probe.target, number)}"
        case ProbeKind.TCP:
            return f"tcp {expand(probe.target, number)}"
        case _:
            return f"exec {expand(probe.command[0], number)}"


def _asker(
    surroundings: Surroundings, name: WorkerName, spec: ServiceSpec, probe: Probe, purpose: str
) -> Callable[[_Answer], _Look]:
    """How this probe is asked. What is wrong with its target, config has refused."""
    if probe.kind is ProbeKind.EXEC:

        def execute(answered: _Answer) -> _Look:
            return run_command(
                surroundings, name, spec, probe.command, probe.timeout, lambda end: answered(*_as_answer(end)),
                purpose=purpose,
            )  # fmt: skip

        return execute
    target = expand(probe.target, name.number)
    if probe.kind is ProbeKind.HTTP:
        place, host, uri = parse_http(target)
        sent = request(host, uri, probe.headers, __version__)
    else:
        place, sent = parse_tcp(target), b""
    return lambda answered: Knock(surroundings.loop, place, sent, probe.timeout, answered)


def _as_answer(end: Outcome) -> tuple[bool | None, str]:
    return end.is_success, end.text
