"""An adversary for the core: anything may happen at any time, and after each event every promise is checked.

Unlike ``pidward.testing.Simulation`` this world is not obedient: processes die by themselves, answers come late,
facts about the past arrive again.
"""

from collections.abc import Callable
from random import Random

from pidward.core import actions as do
from pidward.core import events as on
from pidward.core.adoption import Adopted, Legacy, Recorded, life_of
from pidward.core.model import ExitStatus, Phase, ProcessId, Source, Wanted, Worker, WorkerName
from pidward.core.spec import (
    Condition,
    Configuration,
    Dependency,
    Essential,
    Execution,
    Exhausted,
    GroupSpec,
    Overlap,
    Probe,
    ProbeKind,
    RestartPolicy,
    RestartWhen,
    Schedule,
    ServiceSpec,
    ServiceType,
    StopPolicy,
    Strategy,
    Tree,
)
from pidward.core.supervisor import Supervisor
from pidward.core.units import Instant, Seconds

TIMED = {Phase.BACKING_OFF, Phase.SLOW_LANE, Phase.STOPPING, Phase.KILLING}
SERVICES = ("db", "web", "job", "new")
EXITS = [
    ExitStatus(0, None),
    ExitStatus(1, None),
    ExitStatus(None, 9),
    ExitStatus(None, 11, True),
    ExitStatus(None, None),
]


def random_configuration(random: Random) -> Configuration:
    """Any valid one; a service may need those that come later in the file, too, but never in a circle."""
    names = random.sample(SERVICES, k=random.randrange(1, 5))
    groups = (
        random_group(random, "outer", None),
        random_group(random, "inner", random.choice(["outer", None])),
    )
    specs = [random_spec(random, name, names[:i]) for i, name in enumerate(names)]
    random.shuffle(specs)
    return Configuration(tuple(specs), groups=groups)


def random_group(random: Random, name: str, parent: str | None) -> GroupSpec:
    then = Exhausted.STOP_ALL if random.random() < 0.02 else Exhausted.FAIL
    return GroupSpec(
        name, random.choice(list(Strategy)), random.choice([0, 2, 6]), Seconds(random.choice([5.0, 60.0])), parent, then
    )


def random_spec(random: Random, name: str, others: list[str]) -> ServiceSpec:
    """Any valid spec that needs some of the others."""
    kind = random.random()
    needs = random.sample(others, k=random.randrange(len(others) + 1)) if random.random() < 0.6 else []
    return ServiceSpec(
        name,
        Execution((name, str(random.randrange(3)))),
        workers=random.randrange(4),
        type=random.choice([ServiceType.SERVICE, ServiceType.SERVICE, ServiceType.ONESHOT, ServiceType.FORKING]),
        depends_on=tuple(Dependency(other, random.choice(list(Condition))) for other in needs),
        group=random.choice([None, None, "outer", "inner"]),
        ready=random.choice([None, Probe(ProbeKind.AFTER, after=Seconds(2.0)), Probe(ProbeKind.NOTIFY)]),
        ready_timeout=random.choice([None, Seconds(15.0)]),
        on_demand=kind < 0.1,
        schedule=Schedule(every=Seconds(60.0), overlap=random.choice(list(Overlap))) if kind > 0.8 else None,
        autostart=random.random() < 0.8,
        rolling=random.choice([0, 0, 1, 2]),
        essential=random.choice(list(Essential)) if random.random() < 0.02 else Essential.NO,
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
        stop=StopPolicy(
            grace=Seconds(random.choice([0.0, 1.0, 10.0])),
            tree=random.choice(list(Tree)),
            pre=random.choice([(), (), ("drain",)]),
        ),
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
        self.down_in_turn: set[WorkerName] = set()  # an operator wants them down, when others are
        self.hurried = False
        self.fates: dict[WorkerName, set[ProcessId]] = {}  # who must be gone before a member of a group starts again
        self.event: on.Event | None = None
        self.specs: dict[str, ServiceSpec] = {}
        first = random_configuration(random)
        self.specs = {s.name: s for s in first.services}
        for action in self.core.load(first, {}, self.now):
            self.check([action], settled=False)
        self.steps: list[Callable[[], None]] = [
            self.answer, self.answer, self.answer, self.answer, self.die, self.die, self.late, self.emptied,
            self.executed, self.sleep, self.sleep, self.start, self.stop, self.restart, self.probe, self.probe,
            self.main_changes, self.speak, self.due, self.roll, self.stop_several,
        ]  # fmt: skip

    # --- what may happen

    def any_worker(self) -> WorkerName | None:
        names = list(self.core.workers)
        return self.random.choice(names) if names else None

    def tell(self, event: on.Event) -> None:
        self.events += 1
        self.event = event
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
        """An operator wants a worker up: it may start, and so may all that it needs."""
        if not self.ending and not self.core.is_leaving(name):
            self.down -= {name, *self.core.needed_by(name.service)}
            self.down_in_turn -= {n for n in self.down_in_turn if n == name or n.service in self.needs(name.service)}

    def needs(self, service: str) -> set[str]:
        """All that a service needs, directly or not."""
        direct = {dependency.service for dependency in self.specs[service].depends_on}
        return direct.union(*map(self.needs, direct))

    def restart(self) -> None:
        if (name := self.any_worker()) is not None:
            self.allow(name)
            self.tell(on.RestartAsked(name, "anna"))

    def stop(self) -> None:
        if (name := self.any_worker()) is not None:
            self.down.add(name)
            self.tell(on.StopAsked(name, "anna", at_once=self.random.random() < 0.3))

    def stop_several(self) -> None:
        names = self.random.sample(list(self.core.workers), k=self.random.randrange(len(self.core.workers) + 1))
        at_once = self.random.random() < 0.3
        if at_once or self.ending:
            self.down |= set(names)
        else:
            self.down_in_turn |= set(names) - self.down
        self.tell(on.StopsAsked(tuple(names), "anna", at_once))

    def probe(self) -> None:
        """Somebody says how a process is; perhaps of one that is no more."""
        everybody = [*((name, process) for process, name in self.alive.items()), *self.past[-2:]]
        if everybody:
            name, process = self.random.choice(everybody)
            events: list[on.WorkerEvent] = [
                on.Ready(name, process, "it answered"), on.Ready(name, process, "it answered"),
                on.Unready(name, process, "it did not answer"), on.Unhealthy(name, process, "it hangs"),
                on.Unhealthy(name, process, "it hangs", 6), on.Announced(name, process),
                on.Extended(name, process, Instant(self.now + 7.0)),
            ]  # fmt: skip
            self.tell(self.random.choice(events))

    def speak(self) -> None:
        """Something that no process is named for."""
        if (name := self.any_worker()) is not None:
            why = self.random.choice(["", "it failed"])
            events: list[on.WorkerEvent] = [on.PreStopEnded(name, why), on.PreStopEnded(name, why), on.Forgiven(name)]
            self.tell(self.random.choice(events))

    def main_changes(self) -> None:
        """Another process of the tree becomes the main one; what was it before lives on, and nobody cares."""
        name = self.any_worker()
        worker = self.core.workers[name] if name is not None else None
        if name is None or worker is None or not worker.phase.has_process or worker.spawning:
            return
        self.inode += 1
        new = ProcessId(self.random.randrange(2, 9), self.inode)
        before = worker.process
        self.alive[new] = name
        self.tell(on.MainChanged(name, new))
        after = self.core.workers.get(name)
        gone = before if after is not None and after.process == new else new
        if gone is not None:
            self.alive.pop(gone)
            self.past = [*self.past[-20:], (name, gone)]

    def due(self) -> None:
        service = self.random.choice(SERVICES)
        events: list[on.Event] = [on.Due(service), on.Demanded(service, "a connection")]
        self.tell(self.random.choice(events))

    def roll(self) -> None:
        """Some are restarted in turn; it is rare, for it keeps everybody busy for long."""
        if self.random.random() < 0.1 and self.core.workers:
            names = self.random.sample(list(self.core.workers), k=self.random.randrange(len(self.core.workers) + 1))
            for name in names:
                self.allow(name)
            self.tell(on.RollAsked(tuple(names), "anna", self.random.randrange(3)))

    def scale(self) -> None:
        service, workers = self.random.choice(SERVICES), self.random.randrange(5)
        if not self.ending and not self.core.cannot_scale(service, workers):
            self.resize({service: workers})
            self.tell(on.ScaleAsked(service, workers, "anna"))
            assert self.core.scale(service) == workers

    def resize(self, scales: dict[str, int]) -> None:
        """Who leaves is to go down, and who was leaving perhaps comes back."""
        for name in self.core.workers:
            if name.service in scales:
                if name.number > scales[name.service]:
                    self.down.add(name)
                elif self.core.is_leaving(name):
                    self.down.discard(name)

    def reload(self) -> None:
        new = random_configuration(self.random)
        after = {s.name: s for s in new.services}
        if not self.ending:
            kept = {
                s.name
                for s in self.core.configuration.services
                if s.name in after and after[s.name].workers == s.workers
            }
            sizes = {n: self.core.scale(n) if n in kept else s.workers for n, s in after.items()}
            self.resize({**dict.fromkeys({n.service for n in self.core.workers}, 0), **sizes})
            self.specs = {**self.specs, **after}
            self.fates.clear()
        self.tell(on.Reconfigured(new, "anna"))
        if not self.ending:
            self.specs = {
                n: s for n, s in self.specs.items() if n in after or n in {w.service for w in self.core.workers}
            }

    def shutdown(self, at_once: bool = False) -> None:
        self.ending = True
        self.hurried = self.hurried or at_once
        self.tell(on.ShutdownAsked("anna", at_once))

    def crash(self) -> None:
        """The supervisor is killed, some of its workers end, and the next one finds the others."""
        if self.ending:
            return
        self.events += 1
        old = self.core
        new = random_configuration(self.random) if self.random.random() < 0.3 else old.configuration
        self.specs = {spec.name: spec for spec in new.services}
        scales = {name: old.scale(name) for name in self.specs if new is old.configuration}
        wishes = dict.fromkeys(self.down | self.down_in_turn, Wanted.DOWN)
        legacy = [adopted for worker in old.workers.values() if (adopted := self.survive(worker)) is not None]
        names = {adopted.recorded.name for adopted in legacy}
        self.alive = {process: name for process, name in self.alive.items() if name in names}  # the others are ended
        self.asked.clear()
        self.doomed.clear()
        self.fates.clear()
        self.down_in_turn.clear()
        self.phase = {one.recorded.name: one.recorded.phase for one in legacy if one.exit is not None}
        self.core, self.event = Supervisor(), None
        size = {name: scales.get(name, spec.workers) for name, spec in self.specs.items()}
        surplus = {name for name in names if name.number > size[name.service]}
        self.down = {name for name in wishes if name.number <= size.get(name.service, 0)} | surplus
        for action in self.core.load(new, wishes, self.now, (), scales, Legacy(legacy, Seconds(3.0))):
            self.check([action], settled=False)
        self.down &= set(self.core.workers)
        for name in self.core.workers:
            self.check_worker(name)

    def survive(self, worker: Worker) -> Adopted | None:
        """What the next supervisor finds of a worker; None: nothing that it goes on with."""
        name, process = worker.name, worker.process
        is_known = process in self.alive and process not in self.doomed and name.service in self.specs
        if process is None or not is_known or worker.phase not in (Phase.STARTING, Phase.RUNNING, Phase.READY):
            return None
        recorded = Recorded(name, process, "boot", "", worker.phase, life_of(worker, "", None))
        if self.random.random() < 0.3:
            del self.alive[process]
            self.past = [*self.past[-20:], (name, process)]
            return Adopted(recorded, process, self.random.choice(EXITS), self.random.random() < 0.3)
        return Adopted(recorded, process, replace=self.random.choice(["", "", "it is another one now"]))

    def step(self) -> None:
        """One random thing."""
        chance = self.random.random()
        if chance < 0.001:
            self.crash()
        elif chance < 0.002:
            self.reload()
        elif chance < 0.007:
            self.scale()
        else:
            self.random.choice(self.steps)()

    # --- what must hold

    def check(self, actions: list[do.Action], *, settled: bool = True) -> None:
        """Every promise, after one event."""
        self.ending = self.ending or self.core.ending
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
                case do.Signal() | do.PreStop():
                    assert self.alive.get(action.process, action.worker) == action.worker, "signals its own only"
                case do.Note():
                    assert action.text
                case do.Finish():
                    assert self.ending, "nobody asked to end"
                    assert not self.finished, "ends once"
                    assert not [p for p in self.alive if p not in self.doomed], "nobody is left alone"
                    self.finished = True
                case do.StopAll():
                    raise AssertionError("that is for the core itself")
        if settled:
            for name in {action.worker for action in actions if isinstance(action, do.Record)}:
                self.check_worker(name)

    def check_record(self, record: do.Record) -> None:
        name = record.worker
        assert record.reason, "a transition without a reason"
        assert record.before == self.phase.get(name), "a transition was not recorded"
        if self.ending and record.before is not None and record.wanted is Wanted.DOWN:
            self.check_stop_order(name, record.before)
        if record.after is None:
            assert name not in self.core.workers
            del self.phase[name]
            self.down.discard(name)
            self.down_in_turn.discard(name)
            self.fates.pop(name, None)
            return
        self.phase[name] = record.after
        if name in self.down_in_turn and record.wanted is Wanted.DOWN:
            self.down_in_turn.discard(name)
            self.down.add(name)
        fell = record.after in (Phase.BACKING_OFF, Phase.SLOW_LANE) and record.before != record.after
        if fell and record.wanted is Wanted.UP and name not in self.fates and not self.ending:
            self.share_fate(name)

    def share_fate(self, fallen: WorkerName) -> None:
        """The others of a group that shares its fate have to be gone before anybody of these starts again."""
        groups = {g.name: g for g in self.core.configuration.groups}
        members = [s for s in self.core.configuration.services if s.group is not None]
        group = self.specs[fallen.service].group
        if group is None or groups[group].strategy is Strategy.ONE_FOR_ONE:
            return
        if groups[group].strategy is Strategy.REST_FOR_ONE:
            place = [s.name for s in members].index(fallen.service)
            members = members[place + 1 :]
        mine = {s.name for s in members if s.group == group or groups[s.group or ""].parent == group}
        others = {
            p: n for p, n in self.alive.items() if n.service in mine and n not in self.down and p not in self.doomed
        }
        for name in {fallen, *others.values()}:
            self.fates.setdefault(name, set()).update(others)

    def check_stop_order(self, name: WorkerName, before: Phase) -> None:
        """At the end nobody is asked to stop before those that need it are down."""
        if self.hurried or not before.has_process or before in (Phase.STOPPING, Phase.KILLING):
            return
        for other, phase in self.phase.items():
            if any(d.service == name.service for d in self.specs[other.service].depends_on) and name not in self.down:
                assert not phase.has_process, f"{name} stops while {other}, which needs it, is {phase}"

    def check_spawn(self, name: WorkerName) -> None:
        assert not self.finished, "nothing starts after the end"
        assert name not in self.down, f"{name} was stopped and starts again"
        assert not self.asked.get(name), f"{name} starts twice"
        assert name not in self.alive.values(), f"{name} would run twice"
        lagging = [p for p in self.fates.pop(name, ()) if p in self.alive]
        assert self.ending or not lagging, f"{name} starts before {lagging} of its group are gone"
        if not isinstance(self.event, on.Reconfigured | on.ScaleAsked):  # who leaves now counted before
            assert not self.missing(name), f"{name} starts without {self.missing(name)}"
        self.asked[name] = self.asked.get(name, 0) + 1

    def missing(self, name: WorkerName) -> list[WorkerName]:
        """Whom a worker has to wait for, as far as has been recorded."""
        configured = {s.name for s in self.core.configuration.services}
        return [
            other
            for dependency in self.specs[name.service].depends_on
            if dependency.service in configured
            for number in range(1, self.core.scale(dependency.service) + 1)
            for other in [WorkerName(dependency.service, number)]
            if not self.has_reached(other, dependency.condition)
        ]

    def has_reached(self, name: WorkerName, condition: Condition) -> bool:
        done = self.specs[name.service].type is ServiceType.ONESHOT or condition is Condition.COMPLETED
        enough = {
            Condition.STARTED: {Phase.RUNNING, Phase.READY},
            Condition.READY: {Phase.READY},
            Condition.COMPLETED: set[Phase](),
        }[condition]
        phase = self.phase.get(name)
        return phase in enough or (done and phase is Phase.COMPLETED)

    def check_worker(self, name: WorkerName) -> None:
        worker = self.core.workers.get(name)
        if worker is None:
            assert name not in self.alive.values() or self.doomed, f"{name} is forgotten while it runs"
            return
        assert worker.phase == self.phase[name], "the phase changed without a record"
        assert (worker.until is not None) or worker.phase not in TIMED, f"{worker.phase} would wait for ever"
        assert worker.process is None or worker.phase.has_process, f"{worker.phase} with a process"
        assert worker.phase is Phase.WAITING or not worker.held, f"{worker.phase} and held"
        assert worker.held or not worker.blocked, f"{worker.phase} and blocked"
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
            if worker.held and not self.ending and not self.missing(name):
                common = self.core._fates._held.get(name)
                assert common is not None, f"{name} waits for nothing: {worker.reason}"
                assert common.names.keys() & self.alive.values() or common.trigger is not None or self.asked


def killed() -> ExitStatus:
    """A plain death."""
    return ExitStatus(None, 9, source=Source.WAITID)
