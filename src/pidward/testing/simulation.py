"""A whole supervisor's life in simulated time: the real core, an invented world.

The world obeys like a kernel would: a spawn gives a process, a signal ends it after the time its behaviour says, a
kill ends it now. Pids are reused on purpose, as soon as they are free; inodes never are.
"""

import heapq
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count

from pidward.core import actions as do
from pidward.core import events as on
from pidward.core.model import ExitStatus, Phase, ProcessId, Source, Wanted, Worker, WorkerName
from pidward.core.signals import SIGCONT
from pidward.core.spec import Configuration, GroupSpec, ServiceSpec
from pidward.core.supervisor import Supervisor
from pidward.core.units import Instant


def exited(code: int) -> ExitStatus:
    """Ended with a code."""
    return ExitStatus(code, None, source=Source.WAITID)


def killed(signal: int) -> ExitStatus:
    """Ended by a signal."""
    return ExitStatus(None, signal, source=Source.WAITID)


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How a program of the invented world behaves."""

    lives: float | None = None  # seconds until it ends by itself; None: for ever
    ends: ExitStatus = exited(1)  # how it ends by itself
    heeds_stop: float | None = 0.0  # seconds from the stop signal to its end; None: ignores it
    leaves_behind: bool = False  # has descendants that outlive it and only die of SIGKILL
    cannot_start: str = ""  # why the spawn fails; empty: it does not
    ready: float | None = None  # seconds until a probe says that it is ready; None: never
    pre_stop: float = 0.0  # seconds that its command before the stop signal takes


class Simulation:
    """Runs a configuration; ``until`` moves time, everything that happened is in ``records``."""

    def __init__(
        self,
        *services: ServiceSpec,
        behave: Callable[[WorkerName, int], Behaviour] = lambda _name, _start: Behaviour(),
        wishes: Mapping[WorkerName, Wanted] | None = None,
        groups: Sequence[GroupSpec] = (),
        only: Sequence[str] = (),
    ) -> None:
        """Start.

        Args:
            services: the configuration.
            behave: how the n-th process (from 0) of a worker behaves.
            wishes: what operators wanted in an earlier life.
            groups: of the services.
            only: services that are to be started; empty: all.
        """
        self.core = Supervisor()
        self.now = Instant(1000.0)
        self.records: list[tuple[float, do.Record]] = []
        self.signals: list[tuple[float, do.Signal]] = []
        self.notes: list[str] = []
        self.finished: do.Finish | None = None
        self._behave = behave
        self._spawned: dict[WorkerName, int] = {}
        self._alive: dict[WorkerName, tuple[ProcessId, Behaviour]] = {}
        self._descendants: set[WorkerName] = set()
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._order, self._inodes = count(), count(1)
        self._free_pids = [2, 3]
        self._phases: dict[WorkerName, Phase | None] = {}
        configuration = Configuration(services, groups=tuple(groups))
        self._perform(list(self.core.load(configuration, wishes or {}, self.now, only)))

    def worker(self, name: str) -> Worker:
        """The state of "web/1"."""
        return self.core.workers[WorkerName.parse(name)]

    def phases(self, name: str) -> list[Phase | None]:
        """Every phase a worker has been in, in order."""
        return [r.after for _, r in self.records if str(r.worker) == name]

    def starts(self, name: str) -> list[float]:
        """When it was started, in seconds since the beginning."""
        return [t - 1000.0 for t, r in self.records if str(r.worker) == name and r.after is Phase.STARTING]

    def tell(self, event: on.Event) -> None:
        """Let something happen now."""
        self._perform(self.core.step(event, self.now))
        if isinstance(event, on.Elapsed | on.Extended):  # neither needs a record to move the time
            self._set_timer(event.worker)

    def until(self, seconds: float) -> "Simulation":
        """Move time to so many seconds after the beginning, doing on the way what is due."""
        end = 1000.0 + seconds
        while self._agenda and self._agenda[0][0] <= end:
            when, _, call = heapq.heappop(self._agenda)
            self.now = Instant(max(self.now, when))
            call()
        self.now = Instant(end)
        return self

    def die(self, name: str, status: ExitStatus = killed(9)) -> None:  # noqa: B008 - immutable
        """Let the main process end now."""
        worker = WorkerName.parse(name)
        self._end(worker, self._alive[worker][0], status)

    def _perform(self, actions: list[do.Action]) -> None:
        for action in actions:
            match action:
                case do.Record():
                    self._remember(action)
                case do.Spawn():
                    self._at(self.now, lambda a=action: self._spawn(a.worker))  # type: ignore[misc]
                case do.Signal():
                    self._signal(action)
                case do.Kill():
                    self._kill(action)
                case do.PreStop():
                    duration = self._alive[action.worker][1].pre_stop
                    self._at(self.now + duration, lambda a=action: self.tell(on.PreStopEnded(a.worker)))  # type: ignore[misc]
                case do.Note():
                    self.notes.append(action.text)
                case do.Finish():
                    self.finished = action
                case do.StopAll():
                    raise AssertionError("the core obeys StopAll itself")

    def _remember(self, record: do.Record) -> None:
        """Nothing happens without a record, and none without its reason."""
        assert record.before is self._phases.get(record.worker), f"a transition before {record} was not recorded"
        assert record.reason, record
        assert "None" not in record.reason, f"a reason is missing in {record}"
        assert isinstance(record.wanted, Wanted), record
        worker = self.core.workers.get(record.worker)
        if worker is not None and worker.phase is record.after:
            assert isinstance(worker.since, float), worker
            assert worker.held is (worker.held and worker.phase is Phase.WAITING), worker
            assert worker.phase.has_process or worker.process is None, worker
            ends = record.before is not None and record.before.has_process and not worker.phase.has_process
            assert record.exit == worker.last_exit or not ends, f"{record} does not say how it ended"
        self._phases[record.worker] = record.after
        self.records.append((self.now, record))
        self._set_timer(record.worker)

    def _at(self, when: float, call: Callable[[], None]) -> None:
        heapq.heappush(self._agenda, (when, next(self._order), call))

    def _set_timer(self, name: WorkerName) -> None:
        worker = self.core.workers.get(name)
        if worker is not None and worker.until is not None and worker.until > self.now:
            self._at(worker.until, lambda: self.tell(on.Elapsed(name)))

    def _spawn(self, name: WorkerName) -> None:
        start = self._spawned.get(name, 0)
        self._spawned[name] = start + 1
        behaviour = self._behave(name, start)
        if behaviour.cannot_start:
            self.tell(on.SpawnFailed(name, behaviour.cannot_start))
            return
        assert name not in self._alive, f"{name} runs twice"
        if not self._free_pids:
            self._free_pids.append(max((p.pid for p, _ in self._alive.values()), default=1) + 1)
        process = ProcessId(self._free_pids.pop(), next(self._inodes))
        self._alive[name] = process, behaviour
        if behaviour.leaves_behind:
            self._descendants.add(name)
        if behaviour.ready is not None:
            self._at(self.now + behaviour.ready, lambda: self.tell(on.Ready(name, process, "it answered")))
        if behaviour.lives is not None:
            self._at(self.now + behaviour.lives, lambda: self._end(name, process, behaviour.ends))
        self.tell(on.Spawned(name, process))

    def _end(self, name: WorkerName, process: ProcessId, status: ExitStatus) -> None:
        if name in self._alive and self._alive[name][0] == process:
            del self._alive[name]
            self._free_pids.append(process.pid)
            self.tell(on.Exited(name, process, status, left_behind=name in self._descendants))

    def _signal(self, action: do.Signal) -> None:
        name, process = action.worker, action.process
        self.signals.append((self.now, action))
        if action.number == SIGCONT:
            return
        alive = self._alive.get(name)
        if alive is not None and alive[0] == process and alive[1].heeds_stop is not None:
            status = killed(action.number)
            self._at(self.now + alive[1].heeds_stop, lambda: self._end(name, process, status))

    def _kill(self, action: do.Kill) -> None:
        name = action.worker
        if action.whole_tree:
            self._descendants.discard(name)
        alive = self._alive.get(name)
        if alive is not None and alive[0] == action.process:
            self._at(self.now, lambda: self._end(name, alive[0], killed(9)))
        if action.whole_tree:
            self._at(self.now, lambda: self.tell(on.TreeEmptied(name)))
