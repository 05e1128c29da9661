"""An adversary for the core: anything may happen at any time, and after each event every promise is checked.

Unlike ``pidward.testing.Simulation`` this world is not obedient: processes die by themselves, answers come late,
facts about the past arrive again.
"""

from collections.abc import Callable
from random import Random

from pidward.core import actions as do
from pidward.core import events as on
from pidward.core.model import ExitStatus, Phase, ProcessId, Source, Wanted, WorkerName
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
from pidward.core.supervisor import Supervisor
from pidward.core.units import Instant, Seconds

WAITING = {Phase.BACKING_OFF, Phase.SLOW_LANE, Phase.STOPPING, Phase.KILLING}
EXITS = [
    ExitStatus(0, None),
    ExitStatus(1, None),
    ExitStatus(None, 9),
    ExitStatus(None, 11, True),
    ExitStatus(None, None),
]


def random_spec(random: Random, name: str) -> ServiceSpec:
    """Any valid spec."""
    return ServiceSpec(
        name,
        Execution((name, str(random.randrange(3)))),
        workers=random.randrange(4),
        ready=random.choice([None, Probe(ProbeKind.AFTER, after=Seconds(2.0))]),
        autostart=random.random() < 0.8,
        restart=RestartPolicy(
            policy=random.choice(list(RestartWhen)),
            delay=Seconds(random.choice([0.0, 0.1, 5.0])),
            max_delay=Seconds(random.choice([5.0, 60.0])),
            reset_after=Seconds(random.choice([0.0, 10.0])),
            burst=random.choice([0, 1, 4]),
            window=Seconds(random.choice([1.0, 60.0])),
            then=random.choice([Exhausted.SLOW, Exhausted.FAIL]),
            never_on=frozenset(random.choice([(), (1,)])),
            always_on=frozenset(random.choice([(), (-9,)])),
        ),
        stop=StopPolicy(grace=Seconds(random.choice([0.0, 1.0, 10.0])), tree=random.choice(list(Tree))),
    )


class World:
    """Holds what is true outside, and checks the core against it."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.core = Supervisor()
        self.now = Instant(0.0)
        self.alive: dict[ProcessId, WorkerName] = {}  # main processes
        self.doomed: set[ProcessId] = set()  # of these, those that SIGKILL was sent to
        self.past: list[tuple[WorkerName, ProcessId]] = []
        self.asked: dict[WorkerName, int] = {}  # spawns that were asked for and not answered
        self.down: set[WorkerName] = set()  # an operator wants them down
        self.phase: dict[WorkerName, Phase] = {}
        self.inode, self.ending, self.finished = 0, False, False
        self.events = 0
        services = tuple(random_spec(random, name) for name in ("db", "web", "job"))
        self.check(list(self.core.load(Configuration(services), {}, self.now)))
        self.steps: list[Callable[[], None]] = [
            self.answer, self.answer, self.answer, self.die, self.die, self.late, self.emptied, self.executed,
            self.sleep, self.sleep, self.start, self.stop, self.restart,
        ]  # fmt: skip

    # --- what may happen

    def any_worker(self) -> WorkerName | None:
        names = list(self.core.workers)
        return self.random.choice(names) if names else None

    def tell(self, event: on.Event) -> None:
        self.events += 1
        self.check(self.core.step(event, self.now))

    def answer(self) -> None:
        """A spawn that was asked for succeeds, perhaps at a gate, or fails."""
        waiting = [name for name, n in self.asked.items() if n]
        if not waiting:
            return
        name = self.random.choice(waiting)
        self.asked[name] -= 1
        if self.random.random() < 0.2:
            self.tell(on.SpawnFailed(name, "no such file"))
            return
        self.inode += 1
        process = ProcessId(self.random.randrange(2, 9), self.inode)  # pids collide all the time
        self.alive[process] = name
        self.tell(on.Spawned(name, process, running=self.random.random() < 0.7))

    def executed(self) -> None:
        for process, name in list(self.alive.items())[:1]:
            self.tell(on.Executed(name, process))

    def die(self) -> None:
        """A process ends: of a kill, a signal, or by itself."""
        if not self.alive:
            return
        process = self.random.choice(list(self.alive))
        name = self.alive.pop(process)
        self.doomed.discard(process)
        self.past = [*self.past[-20:], (name, process)]
        self.tell(on.Exited(name, process, self.random.choice(EXITS), left_behind=self.random.random() < 0.3))

    def late(self) -> None:
        """A fact about the past arrives once more, or a timer fires too early."""
        name = self.any_worker()
        if self.past and self.random.random() < 0.5:
            old, process = self.random.choice(self.past)
            self.tell(on.Exited(old, process, EXITS[0]))
        elif name is not None:
            self.tell(on.Elapsed(name))

    def emptied(self) -> None:
        name = self.any_worker()
        if name is not None and name not in self.alive.values():
            self.tell(on.TreeEmptied(name))

    def sleep(self) -> None:
        """Time passes; every timer that is due fires."""
        self.now = Instant(self.now + self.random.choice([0.01, 0.5, 3.0, 20.0, 100.0]))
        for name, worker in list(self.core.workers.items()):
            if worker.until is not None and worker.until <= self.now:
                self.tell(on.Elapsed(name))

    def start(self) -> None:
        if (name := self.any_worker()) is not None:
            self.allow(name)
            self.tell(on.StartAsked(name, "anna"))

    def allow(self, name: WorkerName) -> None:
        if not self.ending and not self.core.is_leaving(name):
            self.down.discard(name)

    def restart(self) -> None:
        if (name := self.any_worker()) is not None:
            self.allow(name)
            self.tell(on.RestartAsked(name, "anna"))

    def stop(self) -> None:
        if (name := self.any_worker()) is not None:
            self.down.add(name)
            self.tell(on.StopAsked(name, "anna", at_once=self.random.random() < 0.3))

    def reload(self) -> None:
        names = self.random.sample(["db", "web", "job", "new"], k=self.random.randrange(1, 5))
        new = Configuration(tuple(random_spec(self.random, name) for name in names))
        gone = {n for n in self.core.workers if n.service not in names}
        kept_up = {n for n in self.down if n.service in names}
        self.down = kept_up | gone
        self.down -= {n for n in self.down if n.service in names}  # scaling up again may start what was leaving
        self.tell(on.Reconfigured(new, "anna"))

    def shutdown(self, at_once: bool = False) -> None:
        self.ending = True
        self.tell(on.ShutdownAsked("anna", at_once))

    def step(self) -> None:
        """One random thing."""
        chance = self.random.random()
        if chance < 0.002:
            self.reload()
        else:
            self.random.choice(self.steps)()

    # --- what must hold

    def check(self, actions: list[do.Action]) -> None:
        """Every promise, after one event."""
        for action in actions:
            match action:
                case do.Record():
                    self.check_record(action)
                case do.Spawn():
                    self.check_spawn(action.worker)
                case do.Kill():
                    if action.process is not None:
                        assert self.alive.get(action.process, action.worker) == action.worker, "kills its own only"
                        self.doomed.add(action.process)
                case do.Signal():
                    assert self.alive.get(action.process, action.worker) == action.worker, "signals its own only"
                case do.Finish():
                    assert self.ending, "nobody asked to end"
                    assert not self.finished, "ends once"
                    assert not [p for p in self.alive if p not in self.doomed], "nobody is left alone"
                    self.finished = True
        names = {action.worker for action in actions if isinstance(action, do.Record)}
        for name in names:
            self.check_worker(name)

    def check_record(self, record: do.Record) -> None:
        assert record.reason, "a transition without a reason"
        assert record.before == self.phase.get(record.worker), "a transition was not recorded"
        if record.after is None:
            assert record.worker not in self.core.workers
            del self.phase[record.worker]
            self.down.discard(record.worker)
        else:
            self.phase[record.worker] = record.after

    def check_spawn(self, name: WorkerName) -> None:
        assert not self.finished, "nothing starts after the end"
        assert name not in self.down, f"{name} was stopped and starts again"
        assert not self.asked.get(name), f"{name} starts twice"
        assert name not in self.alive.values(), f"{name} would run twice"
        self.asked[name] = self.asked.get(name, 0) + 1

    def check_worker(self, name: WorkerName) -> None:
        worker = self.core.workers.get(name)
        if worker is None:
            assert name not in self.alive.values() or self.doomed, f"{name} is forgotten while it runs"
            return
        assert worker.phase == self.phase[name], "the phase changed without a record"
        assert (worker.until is not None) or worker.phase not in WAITING, f"{worker.phase} would wait for ever"
        assert worker.process is None or worker.phase.has_process, f"{worker.phase} with a process"
        burst = self.core.spec(name).restart.burst
        assert len(worker.starts) <= max(burst, 4), "the history of starts has a limit"
        if worker.phase.is_final:
            lost = [p for p, n in self.alive.items() if n == name and p not in self.doomed]
            assert not lost, f"{name} is {worker.phase} while {lost} lives"

    def check_none_forgotten(self) -> None:
        """Every living main process is some worker's, or SIGKILL is on its way to it."""
        for process, name in self.alive.items():
            worker = self.core.workers.get(name)
            known = worker is not None and worker.process == process
            assert known or process in self.doomed, f"{process} of {name} is forgotten"
        for name, worker in self.core.workers.items():
            if worker.wanted is Wanted.UP and worker.phase is Phase.STARTING and worker.process is None:
                assert self.asked.get(name), f"{name} waits for a spawn that nobody was asked for"


def killed() -> ExitStatus:
    """A plain death."""
    return ExitStatus(None, 9, source=Source.WAITID)
