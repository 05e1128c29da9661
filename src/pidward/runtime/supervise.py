"""The supervisor at work: facts from the kernel go into the core, and what the core asks for is done.

The way from a death to the new worker is short on purpose: the pidfd wakes the loop, the status is reaped, the core
decides, the spawner is called at the end of the same turn. Records go to the store's own thread; log bytes go to the
pump's own process.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from errno import EMFILE
from types import MethodType

from pidward.core import actions as do
from pidward.core import events as on
from pidward.core.adoption import Legacy, Life, fingerprint, life_of, tag_of
from pidward.core.lean import NamedTuple
from pidward.core.model import EventRow, ExitStatus, Phase, ProcessId, Worker, WorkerName
from pidward.core.signals import SIGKILL, signal_name
from pidward.core.spec import Configuration, LogMode, Resources, ServiceSpec
from pidward.core.supervisor import Supervisor as Core
from pidward.core.units import Instant, Seconds, format_duration
from pidward.kernel.cgroup import Group
from pidward.kernel.clock import wall
from pidward.kernel.ending import look_at_end
from pidward.kernel.errors import Denied, KernelError, NotChild, Unsupported
from pidward.kernel.limits import free_descriptors, read_limit
from pidward.kernel.pidfd import Pidfd
from pidward.kernel.spawn import Failure, Gate, Spawner, Started
from pidward.kernel.tree import reap_orphans
from pidward.kernel.wait import exit_status_of, reap
from pidward.logs.client import Pump
from pidward.runtime.attendant import Equipment, Successor, Surroundings
from pidward.runtime.attendants import Attendants
from pidward.runtime.loop import READ, Loop, Timer, Watch
from pidward.runtime.plan import Places, PlanError, explain_failure, explain_refusal, make_plan
from pidward.runtime.seat import Seat, Tree
from pidward.runtime.survivors import TAG, Found, Survivor
from pidward.runtime.trees import LOOK_AGAIN, Trees
from pidward.store.store import Store

SPAWN_THREADS = 2
START_BATCH = 256
"""Workers started together at the beginning; more at a time only take more memory at once."""
REAP_AGAIN = 1.0
"""Seconds until orphans that could not be reaped are looked for again."""
SPARE_DESCRIPTORS = 24
"""Never given to workers: clients, cgroup files, the store and the log pump need some."""
OTHER_DESCRIPTORS = 512
"""More than everything but workers ever takes, clients included."""
GATE_PATIENCE = 1.0
"""Seconds that a worker waits for its record, should the disk hang."""
DESCRIPTORS_PER_BIRTH = 2
"""A pidfd, and a gate until the program runs."""
THREADS_FROM = 16
"""A batch this large is worth a second thread; measured in bench/spawn_cost.py."""

_SERVING = (Phase.RUNNING, Phase.READY)
_AWAITS_EMPTY = (Phase.RUNNING, Phase.STOPPING, Phase.KILLING)
"""When the main process has ended: RUNNING is a daemon whose main process is not known yet."""


class _Untold(NamedTuple):
    """A note that came after transitions which are not told yet."""

    kind: str
    worker: str
    text: str
    data: dict[str, object]
    at: Instant


class Supervision:
    """Connects the core to the kernel, the store and the pump."""

    def __init__(
        self,
        loop: Loop,
        spawner: Spawner,
        trees: Trees,
        store: Store,
        pump: Pump,
        *,
        instance: str,
        nofile: tuple[int, int],
    ) -> None:
        self._loop, self._spawner, self._trees, self._store, self._pump = loop, spawner, trees, store, pump
        self._instance, self._nofile = instance, nofile
        # With fewer for workers nobody needs to count: three each, its pipes, and some for all else.
        self._plenty = read_limit("nofile").soft - OTHER_DESCRIPTORS
        self._inherited: Mapping[str, str] = dict(os.environ)
        self.core = self._core = Core()
        self._seats: dict[WorkerName, Seat] = {}
        self._spawns: list[Seat] = []
        self._gates: list[Seat] = []
        self._recorded_later: deque[tuple[int, Instant, list[tuple[Seat, Gate]]]] = deque()
        self._dead: list[tuple[Watch, Pidfd]] = []
        self._former: set[ProcessId] = set()  # main processes of before that live, to be reaped
        self._untold: list[tuple[do.Record, Instant, Tree | None, Life | None] | _Untold] = []
        self._survivors: dict[WorkerName, Survivor] = {}
        self._can_tag = True
        self._fingerprints: dict[str, tuple[ServiceSpec, str]] = {}
        self._subscribers: dict[int, Callable[[EventRow], None]] = {}
        self._next_subscriber = 0
        self._attendants: Attendants | None = None
        self.stop_timeout: Seconds | None = None
        self._last_patience: Timer | None = None
        self._successor: Successor = lambda _seat, _status: None
        self.inherit_orphans: Callable[[], None] = lambda: None
        self._on_death = self._died  # with a seat before it a callback of 64 bytes; a lambda takes 350
        self.on_finish: Callable[[do.Finish], None] = lambda _finish: loop.stop()
        loop.after_turn = self._after_turn

    # --- events in, actions out

    def load(self, configuration: Configuration, only: Iterable[str] = (), found: Found | None = None) -> None:
        """Take the first configuration, go on with what an earlier supervisor left, and start what is wanted.

        The handles in ``found`` are ours from now on.
        """
        legacy = Legacy()
        if found is not None:
            self._survivors, legacy = dict(found.survivors), found.legacy
        if self._attendants is not None:
            self._attendants.configured(configuration)
        now = self._loop.now()
        remembered, scales = self._store.scales(), {}
        for spec in configuration.services:
            scale = remembered.get(spec.name)
            if scale is not None and scale.of == spec.workers:
                scales[spec.name] = scale.workers
        for action in self._core.load(configuration, self._store.wanted(), now, only, scales, legacy):
            self._perform([action], now)
            if len(self._spawns) >= START_BATCH:
                self._after_turn()
        self._after_turn()

    def attended_by(self, attendants: Attendants) -> None:
        """Have these follow and equip workers from now on; before ``load``. They stay the caller's."""
        self._attendants = attendants

    @property
    def attendants(self) -> Attendants:
        """Those of ``attended_by``."""
        assert self._attendants is not None
        return self._attendants

    def surroundings(self, runtime_dir: str, state_dir: str) -> Surroundings:
        """What attendants may use of us."""
        return Surroundings(
            self._loop, self._spawner, self._trees, self._nofile, self.feed, self.note, self.seat,
            self.worker, self._core.spec, self.subscribe, self._prepare_again,
            self.change_main, self.succeed_by, self.inherit_orphans, self._survivors_of,
            set(), self._instance, runtime_dir, state_dir,
        )  # fmt: skip

    def feed(self, event: on.Event) -> None:
        """Tell the core what happened, and do what it asks for."""
        now = self._loop.now()
        self._perform(self._core.step(event, now), now)
        if self._core.ending and self.stop_timeout is not None and self._last_patience is None:
            self._last_patience = self._loop.call_at(Instant(now + self.stop_timeout), self._hurry)

    def _hurry(self) -> None:
        assert self.stop_timeout is not None
        why = f"stop_timeout: not everything was down after {format_duration(self.stop_timeout)}"
        self.note("supervisor", None, f"{why}; what lives is killed")
        self.feed(on.ShutdownAsked(why, at_once=True))

    def _perform(self, actions: list[do.Action], now: Instant) -> None:
        for action in actions:
            try:
                self._act(action, now)
            except Exception as error:  # noqa: BLE001 - the core counts on all of them; one must not lose the others
                text = f"internal error: {type(error).__name__}: {error} (in {action}); please report this"
                self.note("supervisor", None, text)

    def _act(self, action: do.Action, now: Instant) -> None:
        match action:
            case do.Record():
                self._note_transition(action, now)
            case do.Spawn():
                self._spawns.append(self._seats[action.worker])
            case do.Signal():
                self._signal(action)
            case do.Kill():
                self._kill(action)
            case do.PreStop():
                from pidward.runtime.commands import pre_stop  # noqa: PLC0415 - few services have such a command

                pre_stop(self.attendants.surroundings, action)
            case do.Finish():
                self.on_finish(action)
            case do.Note():
                self.note("supervisor", action.worker, action.text)
            case do.StopAll():
                raise AssertionError("the core obeys StopAll itself")

    def _note_transition(self, record: do.Record, now: Instant) -> None:
        """Follow a transition; telling it to the store and to people waits until this turn's spawns are done."""
        seat = self._seats.get(record.worker)
        if seat is None:
            seat = self._sit_down(record.worker)
        worker = self._core.workers.get(record.worker)
        life = life_of(worker, seat.made, seat.log_mode) if worker is not None and seat.pidfd is not None else None
        self._untold.append((record, now, seat.tree, life))
        if record.after is None:
            self._forget(seat)
        else:
            self._set_timer(seat)
        if self._attendants is not None:
            self._attendants.followed(record, seat)

    def _tell(self) -> None:
        """Queue this turn's transitions for the store, and tell subscribers, in the order in which they happened."""
        untold, self._untold = self._untold, []
        to_wall = wall() - self._loop.now()  # an event bears the time at which it happened, not at which it is told
        for one in untold:
            if isinstance(one, _Untold):
                self._publish(self._store.note(one.kind, one.worker, one.text, one.data, to_wall + one.at))
                continue
            record, at, tree, life = one
            self._publish(self._store.record(record, to_wall + at, at, self._trees.label(tree), life))
            if record.after is None:
                self._store.forget(record.worker)

    def _set_timer(self, seat: Seat) -> None:
        """Wake up when the worker's phase ends by itself."""
        worker = self._core.workers.get(seat.name)
        until = worker.until if worker is not None else None
        timer = seat.timer
        if timer is not None and timer.when != until:
            timer.cancel()
            seat.timer = timer = None
        if until is not None and timer is None:
            seat.timer = self._loop.call_at(until, lambda: self._elapsed(seat))

    def _elapsed(self, seat: Seat) -> None:
        seat.timer = None
        self.feed(on.Elapsed(seat.name))
        worker = self._core.workers.get(seat.name)
        if worker is not None and worker.until is not None and seat.timer is None:
            self._set_timer(seat)  # the phase went on without a record: KILLING repeats itself

    def _sit_down(self, name: WorkerName) -> Seat:
        seat = self._seats[name] = Seat(name)
        survivor = self._survivors.pop(name, None)
        if survivor is None:
            self._keep_output(seat)
        else:
            self._take_over(seat, survivor)
        return seat

    def _take_over(self, seat: Seat, survivor: Survivor) -> None:
        """Seat a process that lives already, or what one has left behind."""
        spec, life = self._core.spec(seat.name), survivor.recorded.life
        seat.tree, seat.pidfd, seat.made = survivor.tree, survivor.main, life.made
        seat.log_mode = life.log_mode or spec.logs.mode
        self._pump.add(seat.name, spec.logs._replace(mode=seat.log_mode))
        if seat.pidfd is not None:
            seat.watch = self._loop.watch(seat.pidfd.fileno(), READ, MethodType(self._on_death, seat))
            self._trees.main_changed(seat)
            if spec.resources != Resources() and seat.tree is not None and self._trees.is_at_home(seat.name, seat.tree):
                self._limit(seat, is_running=True)

    def _survivors_of(self, service: str) -> list[Pidfd]:
        """Main processes of an earlier supervisor that are not seated yet; borrowed."""
        return [one.main for name, one in self._survivors.items() if name.service == service and one.main is not None]

    def _fingerprint(self, spec: ServiceSpec) -> str:
        """Made once for each spec: repr of a service takes longer than a start."""
        known = self._fingerprints.get(spec.name)
        if known is None or known[0] is not spec:
            known = self._fingerprints[spec.name] = spec, fingerprint(spec)
        return known[1]

    def _keep_output(self, seat: Seat) -> None:
        """Have output kept as it is configured; another mode begins with the worker's next start."""
        policy = self._core.spec(seat.name).logs
        if seat.pidfd is None or seat.log_mode is policy.mode:
            seat.log_mode = policy.mode
            self._pump.add(seat.name, policy)

    def _forget(self, seat: Seat) -> None:
        del self._seats[seat.name]
        self._trees.unwatch(seat)
        if seat.timer is not None:
            seat.timer.cancel()
        self._trees.remove(seat.tree)
        self._trees.forget(seat.name)
        self._pump.remove(seat.name)

    # --- spawning

    def _after_turn(self) -> None:
        """Start, as one batch, all that this turn decided to start, and only then write and tell what happened.

        A worker that no cgroup names waits at its gate meanwhile, until the store has it.
        """
        if self._spawns:
            spawns, self._spawns = self._spawns, []
            ready = [seat for seat in spawns if self._is_ready(seat)]
            if ready:
                for seat, result in zip(ready, self._spawn(ready), strict=True):
                    self._spawned(seat, result)
            if self._spawns:  # failures that are to be tried again at once; others get their turn first
                self._loop.call_soon(lambda: None)
        self._bury()
        if self._untold:
            self._tell()
        if self._gates:
            self._await_record()

    def _spawn(self, ready: list[Seat]) -> list[Started | Failure]:
        if 3 * len(self._seats) + self._pump.pipes < self._plenty:
            results = self._spawn_fitting(ready)
        else:
            results = self._spawn_what_fits(ready)
        short = [i for i, result in enumerate(results) if isinstance(result, Failure) and result.stage == "clone"]
        if short and self._dead:
            self._bury()
            for i, result in zip(short, self._spawn_fitting([ready[i] for i in short]), strict=True):
                results[i] = result
        return results

    def _spawn_what_fits(self, ready: list[Seat]) -> list[Started | Failure]:
        """Count descriptors, and leave some to answer and to look with."""
        if self._room() < len(ready):
            self._bury()  # perhaps it is the dead who take up what is short
        fitting = ready[: self._room()]
        return self._spawn_fitting(fitting) + [Failure("descriptor", EMFILE)] * (len(ready) - len(fitting))

    def _spawn_fitting(self, seats: list[Seat]) -> list[Started | Failure]:
        threads = SPAWN_THREADS if len(seats) >= THREADS_FROM else 1
        return self._spawner.spawn([seat.prepared for seat in seats if seat.prepared is not None], threads)

    def _room(self) -> int:
        """For how many processes there are descriptors, when some are kept to answer and to look with."""
        return max(0, (free_descriptors() - SPARE_DESCRIPTORS) // DESCRIPTORS_PER_BIRTH)

    def _bury(self) -> None:
        """Reap the dead of this turn, whose status is known: their successors have been started."""
        dead, self._dead = self._dead, []
        for watch, pidfd in dead:
            watch.close()
            with pidfd, suppress(NotChild):
                reap(pidfd)
            self._trees.reaped(pidfd.id)

    def _is_ready(self, seat: Seat) -> bool:
        """Have a place to be born in and a plan; when that is impossible, that is a failed spawn."""
        try:
            if seat.tree is not None and not self._trees.is_at_home(seat.name, seat.tree):
                self._trees.remove(seat.tree)
                seat.tree = None
            if seat.tree is None:
                seat.tree = self._trees.make(seat.name)
            else:
                seat.tree.renew()
        except KernelError as error:
            self.feed(on.SpawnFailed(seat.name, f"its cgroup cannot be made: {error}"))
            return False
        return self._limit(seat, is_running=False) and (seat.prepared is not None or self._prepare(seat))

    def _limit(self, seat: Seat, is_running: bool) -> bool:
        """Write the limits of its tree; False, after a failed spawn, when it may not start without what is refused."""
        spec = self._core.spec(seat.name)
        refused = self._trees.limit(seat.name, spec.resources, is_running)
        if refused and not is_running and "resources" not in spec.execution.optional:
            advice = f"check service.{spec.name}.resources, or name resources in service.{spec.name}.optional"
            self.feed(on.SpawnFailed(seat.name, f"{'; '.join(refused)}; {advice}"))
            return False
        for sentence in refused:
            self.note("warning", seat.name, f"{seat.name}: {sentence}")
        return True

    def _prepare(self, seat: Seat) -> bool:
        spec = self._core.spec(seat.name)
        if seat.log_mode is not spec.logs.mode:
            self._keep_output(seat)
        try:
            equipment = Equipment() if self._attendants is None else self._attendants.equip(seat.name, spec)
            plan = make_plan(spec, seat.name, self._places(seat), self._inherited, equipment)
            seat.prepared = self._spawner.prepare(plan)
        except (PlanError, ValueError, OverflowError) as error:  # a NUL byte, a number that no user can have
            self.feed(on.SpawnFailed(seat.name, str(error)))
            return False
        return True

    def _prepare_again(self, service: str) -> None:
        for seat in self._seats.values():
            if seat.name.service == service:
                seat.prepared = None

    def _places(self, seat: Seat) -> Places:
        out, err = "/dev/null", "/dev/null"
        mode = self._core.spec(seat.name).logs.mode
        if mode is LogMode.INHERIT:
            out = err = ""
        elif mode is not LogMode.NONE:
            out, err = self._pump.spools(seat.name)
        birth = self._trees.birth(seat.tree)
        join = birth.join + self._trees.joins(seat.name)
        return Places(self._instance, out, err, birth.cgroup, join, birth.gated, self._nofile)

    def _spawned(self, seat: Seat, result: Started | Failure) -> None:
        if isinstance(result, Failure):
            self._spawn_failed(seat, result)
            return
        self._trees.unwatch(seat)
        seat.pidfd, seat.made = result.pidfd, self._fingerprint(self._core.spec(seat.name))
        seat.watch = self._loop.watch(result.pidfd.fileno(), READ, MethodType(self._on_death, seat))
        self._trees.born(seat, result.invocation)
        if not self._trees.birth(seat.tree).gated:  # it runs already, and the store writes in a moment
            self._tag(result.pidfd, tag_of(seat.made, self._core.spec(seat.name).logs.mode))
        self._warn(seat, result.refused)
        if result.gate is not None:
            seat.gate = result.gate
            seat.gate_watch = self._loop.watch(result.gate.fileno(), READ, lambda _events: self._gate_spoke(seat))
            if self._trees.birth(seat.tree).gated:
                self._gates.append(seat)
        self.feed(on.Spawned(seat.name, result.pidfd.id, running=result.gate is None))

    def _tag(self, process: Pidfd, text: str) -> None:
        """Have the kernel remember whose it is; only for root, and since Linux 6.17."""
        if self._can_tag:
            try:
                process.set_tag(TAG, text.encode())
            except (Unsupported, Denied):
                self._can_tag = False
            except KernelError:
                pass  # it has ended

    def _warn(self, seat: Seat, refused: Iterable[Failure]) -> None:
        """Say what a worker has to run without."""
        for failure in refused:
            self.note("warning", seat.name, explain_refusal(self._core.spec(seat.name), seat.name, failure))

    def _spawn_failed(self, seat: Seat, failure: Failure) -> None:
        seat.prepared = None  # the world may have changed: look again before the next try
        if failure.stage == "cgroup":
            seat.tree = None
        spec = self._core.spec(seat.name)
        self.feed(on.SpawnFailed(seat.name, explain_failure(spec, seat.name, failure)))

    def _await_record(self) -> None:
        """Have the record written of all who are at their gates since this turn."""
        gates = [(seat, seat.gate) for seat in self._gates if seat.gate is not None]
        self._gates = []
        self._recorded_later.append((self._store.hurry(), Instant(self._loop.now() + GATE_PATIENCE), gates))
        self._loop.call_at(self._recorded_later[-1][1], self.open_gates)
        self.open_gates()

    def open_gates(self) -> None:
        """Let those go on who are recorded. A store that cannot write, or hangs in the kernel, stops no worker."""
        while self._recorded_later:
            ticket, deadline, gates = self._recorded_later[0]
            if not self._store.is_settled(ticket) and self._loop.now() < deadline:
                return
            self._recorded_later.popleft()
            for seat, gate in gates:
                if seat.gate is gate and self._phase(seat) is Phase.STARTING:
                    gate.open()

    def _gate_spoke(self, seat: Seat) -> None:
        if seat.gate is None or seat.pidfd is None:
            return
        result = seat.gate.result()
        if result is None:
            return
        self._warn(seat, seat.gate.refused)
        seat.close_gate()
        if isinstance(result, Failure):
            seat.failure = result  # its end follows, and says less
        else:
            self.feed(on.Executed(seat.name, seat.pidfd.id))

    # --- deaths

    def _died(self, seat: Seat, _events: int) -> None:
        if seat.gate is not None:
            self._gate_spoke(seat)
        if seat.pidfd is None:
            return
        status, left_behind = self._look(seat, seat.pidfd)
        if status is None:
            return
        process, failure = seat.pidfd.id, seat.failure
        successor = self._successor(seat, status) if left_behind else None
        if successor is not None and self.change_main(seat.name, successor):
            return
        self._dead.append(seat.leave())
        if failure is not None and self._phase(seat) is Phase.STARTING:
            self._spawn_failed(seat, failure)
            return
        self.feed(on.Exited(seat.name, process, status, left_behind))
        if left_behind and seat.emptied_watch is None and self._phase(seat) in _AWAITS_EMPTY:
            self._await_empty(seat)

    def change_main(self, name: WorkerName, process: Pidfd) -> bool:
        """Another process of the worker's tree is its main process from now on.

        Args:
            name: the worker. KeyError for one that is not known.
            process: proved to be of its tree; ours from now on.

        Returns:
            False, and nothing has changed, when the worker is on its way up or down: the core waits for the process
            that it knows.
        """
        seat = self._seats[name]
        if seat.gate is not None:
            self._gate_spoke(seat)
        if self._phase(seat) not in _SERVING:
            process.close()
            return False
        if seat.pidfd is not None:
            self._part_with(seat)
        self._trees.unwatch(seat)
        seat.pidfd = process
        seat.watch = self._loop.watch(process.fileno(), READ, MethodType(self._on_death, seat))
        self._trees.main_changed(seat)
        self.feed(on.MainChanged(name, process.id))
        return True

    def _part_with(self, seat: Seat) -> None:
        """The former main process may be a child of ours: it is reaped when it has ended, and tells nothing."""
        watch, former = seat.leave()
        watch.close()
        if former.id in self._former:  # it was the main process before, and another has been in between
            former.close()
            return

        def ended(_events: int) -> None:
            self._former.discard(former.id)
            self._dead.append((last, former))

        self._former.add(former.id)
        last = self._loop.watch(former.fileno(), READ, ended)

    def succeed_by(self, successor: Successor) -> None:
        """Ask this before the end of a main process counts."""
        self._successor = successor

    def _look(self, seat: Seat, process: Pidfd) -> tuple[ExitStatus | None, bool]:
        """How the main process ended, None when it has not, and whether somebody of its tree lives."""
        if isinstance(seat.tree, Group):
            try:
                return look_at_end(process, seat.tree)
            except KernelError:
                pass  # what follows knows what to do about it
        status = self._how_it_ended(process)
        return status, status is not None and self._is_populated(seat)

    def _is_populated(self, seat: Seat) -> bool:
        """Somebody of the tree lives; or may live, when that cannot be told now."""
        try:
            return seat.tree is not None and seat.tree.is_populated()
        except KernelError:
            return True

    def _phase(self, seat: Seat) -> Phase | None:
        """The worker's phase; None when it was forgotten."""
        worker = self._core.workers.get(seat.name)
        return worker.phase if worker is not None else None

    def _how_it_ended(self, process: Pidfd) -> ExitStatus | None:
        """Read the true status; also when some other part of the program has reaped the child away."""
        try:
            return reap(process, keep_zombie=True)
        except NotChild:
            return exit_status_of(process)

    def _await_empty(self, seat: Seat) -> None:
        """Tell the core when nothing of the tree is left; as long as the main process lives, its death comes first."""
        if seat.pidfd is not None:
            return
        try:
            populated = seat.tree is not None and seat.tree.is_populated()
        except KernelError:  # no descriptor to look with; nobody will tell that there is one
            self._loop.call_at(Instant(self._loop.now() + LOOK_AGAIN), lambda: self._await_empty(seat))
            return
        if not populated:
            self._emptied(seat)
        elif seat.emptied_watch is None and seat.emptied_timer is None:
            self._trees.watch(seat, self._loop, lambda: self._await_empty(seat))

    def _emptied(self, seat: Seat) -> None:
        self._trees.unwatch(seat)
        self.feed(on.TreeEmptied(seat.name))

    # --- signals

    def _signal(self, action: do.Signal) -> None:
        seat = self._seats[action.worker]
        try:
            if action.whole_tree and seat.tree is not None:
                seat.tree.signal_all(action.number)
            elif seat.pidfd is not None and seat.pidfd.id == action.process:
                seat.pidfd.signal(action.number)
        except KernelError as error:
            self.note("signal", seat.name, f"{seat.name}: {signal_name(action.number)} could not be sent: {error}")

    def _kill(self, action: do.Kill) -> None:
        """The tree before its main process: a walk finds it through that."""
        seat = self._seats[action.worker]
        if action.whole_tree and seat.tree is not None:
            self._try_kill(seat, seat.tree.kill)
        main = seat.pidfd
        if main is not None and main.id == action.process:
            self._try_kill(seat, lambda: main.signal(SIGKILL))
        if action.whole_tree:
            self._loop.call_soon(lambda: self._await_empty(seat))

    def _try_kill(self, seat: Seat, kill: Callable[[], object]) -> None:
        try:
            kill()
        except KernelError as error:
            self.note("signal", seat.name, f"{seat.name}: the kill is not complete and will be tried again: {error}")

    # --- for the desk and the rest of the runtime

    def seat(self, name: WorkerName) -> Seat | None:
        """The worker's kernel side; borrowed. None for a worker that is not known."""
        return self._seats.get(name)

    def worker(self, name: WorkerName) -> Worker | None:
        """The worker's state; None for one that is not known."""
        return self._core.workers.get(name)

    def note(self, kind: str, worker: WorkerName | None, text: str, **data: object) -> None:
        """Remember, and tell subscribers, something that is no transition; after the transitions before it."""
        if self._untold:
            self._untold.append(_Untold(kind, str(worker or ""), text, data, self._loop.now()))
        else:
            self._publish(self._store.note(kind, str(worker or ""), text, data, wall()))

    def subscribe(self, callback: Callable[[EventRow], None]) -> Callable[[], None]:
        """Call back after each new event, until the returned function is called."""
        self._next_subscriber += 1
        key = self._next_subscriber
        self._subscribers[key] = callback
        return lambda: self._subscribers.pop(key, None) and None

    def signal_all(self, number: int) -> None:
        """Send a signal to every worker's main process."""
        for seat in self._seats.values():
            if seat.pidfd is not None:
                with suppress(KernelError):  # it ended just now
                    seat.pidfd.signal(number)

    def reap_orphans(self) -> None:
        """Children that came to us when their parents ended are reaped; trees that wait to be empty are looked at."""
        known = {seat.pidfd.id.pid for seat in self._seats.values() if seat.pidfd is not None} | self._trees.unreaped
        try:
            reap_orphans(known | {self._pump.pid} if self._pump.pid else known)
        except KernelError:  # no descriptor to look with
            self._loop.call_at(Instant(self._loop.now() + REAP_AGAIN), self.reap_orphans)

    def reconfigure(self, configuration: Configuration, by: str) -> None:
        """Change what changed; what runs unchanged is not touched."""
        before = {s.name: s for s in self._core.configuration.services}
        if self._attendants is not None:
            self._attendants.configured(configuration)
        self.feed(on.Reconfigured(configuration, by))
        for spec in configuration.services:
            if self._core.scale(spec.name) == spec.workers:  # no wish any more, should the file come back to it
                self._store.scale(spec.name, spec.workers, of=spec.workers)
        for name, seat in list(self._seats.items()):
            old, new = before.get(name.service), self._core.spec(name)
            if old is not None and old.resources != new.resources and seat.tree is not None:
                self._limit(seat, is_running=seat.pidfd is not None)
                seat.prepared = None
            if old is not None and (old.execution, old.logs) == (new.execution, new.logs):
                continue
            seat.prepared = None
            self._keep_output(seat)

    def _publish(self, row: EventRow) -> None:
        for callback in list(self._subscribers.values()):
            callback(row)
