"""The desk of a running supervisor: what operators ask, done or refused with the reason."""

from collections.abc import Callable, Sequence

from pidward.core import events as on
from pidward.core.change import compare
from pidward.core.health import Health, judge_health
from pidward.core.model import EventRow, ProcessId, Wanted, Worker, WorkerName
from pidward.core.signals import signal_name
from pidward.core.spec import Configuration
from pidward.kernel.errors import Gone
from pidward.kernel.pidfd import Pidfd
from pidward.runtime.desk import About, Member, NoProcess, NotReloadable, Plan, Told, UnknownTarget
from pidward.runtime.loop import Loop
from pidward.runtime.reloading import reload_all
from pidward.runtime.supervise import Supervision
from pidward.store.store import Store


class Answers:
    """Implements ``desk.Desk`` on a Supervision."""

    def __init__(
        self,
        loop: Loop,
        supervision: Supervision,
        store: Store,
        *,
        instance: str,
        version: str,
        config: str,
        read_configuration: Callable[[], Configuration],
        trouble: Callable[[], Sequence[str]],
        state_dir: str = "",
    ) -> None:
        self._loop, self._supervision, self._core, self._store = loop, supervision, supervision.core, store
        self._instance, self._version, self._config = instance, version, config
        self._read_configuration, self._trouble, self._state_dir = read_configuration, trouble, state_dir
        self._started = loop.now()
        self.health: Callable[[], Health] = lambda: judge_health(self._core.workers.values(), ())
        with Pidfd.own() as own:
            self._process = own.id

    def resolve(self, targets: Sequence[str]) -> list[WorkerName]:
        """Turn "web", "web/2" or nothing (all) into workers, in order of the file."""
        workers = self._core.workers
        if not targets:
            return list(workers)
        chosen: set[WorkerName] = set()
        for target in targets:
            chosen.update(self._find(target))
        return [name for name in workers if name in chosen]

    def _find(self, target: str) -> list[WorkerName]:
        workers = self._core.workers
        found = [name for name in workers if name.service == target or str(name) == target]
        if found or any(s.name == target for s in self._core.configuration.services):
            return found
        known = {name.service for name in workers} | {str(name) for name in workers}
        raise self._unknown(target, sorted(known))

    def _unknown(self, target: str, known: Sequence[str]) -> UnknownTarget:
        import difflib  # noqa: PLC0415 - only for a typing error

        return UnknownTarget(target, difflib.get_close_matches(target, known, n=2))

    def without_workers(self, targets: Sequence[str]) -> list[str]:
        """The services among the targets, or with none among all, that are to have no workers."""
        services = self._core.configuration.services
        return [s.name for s in services if not self._core.scale(s.name) and (not targets or s.name in targets)]

    def worker(self, name: WorkerName) -> Worker | None:
        """The worker's state; None when it was removed from the configuration."""
        return self._core.workers.get(name)

    def now(self) -> float:
        """The present on the clock of Worker.since, .until and .started."""
        return self._loop.now()

    def start(self, names: Sequence[WorkerName], by: str) -> None:
        """Want them up, and so all that they need."""
        self._wish(names, Wanted.UP)
        for name in names:
            self._supervision.feed(on.StartAsked(name, by))

    def stop(self, names: Sequence[WorkerName], by: str, at_once: bool = False) -> None:
        """Want them down: those that need others before these, the last of the file first."""
        self._wish(names, Wanted.DOWN)
        self._supervision.feed(on.StopsAsked(tuple(names), by, at_once))

    def restart(self, names: Sequence[WorkerName], by: str) -> None:
        """Replace their processes by new ones."""
        self._wish(names, Wanted.UP)
        for name in names:
            self._supervision.feed(on.RestartAsked(name, by))

    def _wish(self, names: Sequence[WorkerName], wanted: Wanted) -> None:
        """Remember before acting: what an operator stopped stays stopped, whatever happens to us.

        Who wants a worker up wants what it needs up, too.
        """
        services = {name.service for name in names} if wanted is Wanted.UP else ()
        needed = [name for service in services for name in self._core.needed_by(service)]
        for name in (*names, *needed):
            self._store.wish(name, wanted)
        self._store.flush(timeout=1.0)

    def roll(self, names: Sequence[WorkerName], by: str, step: int) -> None:
        """Replace their processes, ``step`` at a time."""
        self._wish(names, Wanted.UP)
        self._supervision.feed(on.RollAsked(tuple(names), by, step))

    def scale(self, service: str, workers: int, by: str) -> None:
        """Have so many workers of a service, now and after a restart of the supervisor."""
        specs = self._core.configuration.services
        spec = next((s for s in specs if s.name == service), None)
        if spec is None:
            raise self._unknown(service, [s.name for s in specs])
        why_not = self._core.cannot_scale(service, workers)
        if why_not:
            raise ValueError(why_not)
        self._store.scale(service, workers, of=spec.workers)
        self._store.flush(timeout=1.0)
        self._supervision.feed(on.ScaleAsked(service, workers, by))

    def reload_workers(self, names: Sequence[WorkerName], by: str, done: Callable[[list[Told]], None]) -> None:
        """Send the signal, or run the command, that makes their programs read their configuration again."""
        for name in names:
            policy = self._core.spec(name).reload
            if policy.signal is None and not policy.command:
                raise NotReloadable(f"{name.service} cannot be told to reload; set service.{name.service}.reload")
        reload_all(self._supervision.attendants.surroundings, names, by, done)

    def plan(self) -> Plan:
        """Compare the file with what is in force."""
        old, new = self._core.configuration, self._read_configuration()
        return Plan(compare(old, new), [*_not_now(old, new), *self._scaled(old, new)])

    def _scaled(self, old: Configuration, new: Configuration) -> list[str]:
        """Services whose number of workers is an operator's, and stays so: the file says the same as before."""
        before = {s.name: s.workers for s in old.services}
        same = [(s, self._core.scale(s.name)) for s in new.services if before.get(s.name) == s.workers]
        return [f"{s.name}: stays scaled to {now}; the file says {s.workers}" for s, now in same if now != s.workers]

    def status_text(self, name: WorkerName) -> str:
        """What the worker's program says of itself."""
        return self._supervision.attendants.status_of(name)

    def signal(self, name: WorkerName, number: int, by: str, whole_tree: bool = False) -> ProcessId:
        """Send a signal through the worker's pidfd now."""
        seat = self._supervision.seat(name)
        if seat is None or seat.pidfd is None:
            raise NoProcess(f"{name} has no process to signal")
        process = seat.pidfd.id
        if whole_tree and seat.tree is not None:
            seat.tree.signal_all(number)
        elif not seat.pidfd.signal(number):
            raise Gone(f"{name} ({process}) has ended already")
        what = f"{signal_name(number)} to {'the whole tree of ' if whole_tree else ''}{name} ({process}), by {by}"
        self._supervision.note("signal", name, what, signal=number, process=str(process), tree=whole_tree, by=by)
        return process

    def look(self, names: Sequence[WorkerName], done: Callable[[list[Member] | None], None]) -> Callable[[], None]:
        """Send somebody to look at the processes of workers."""
        from pidward.runtime.lookout import Look, asked_of  # noqa: PLC0415 - few ever ask

        surroundings = self._supervision.attendants.surroundings
        return Look(surroundings, [asked_of(surroundings, name) for name in names], done).cancel

    def events(self, since: int, limit: int) -> list[EventRow]:
        """Remembered events, oldest first."""
        return self._store.events(since, limit)

    def subscribe(self, callback: Callable[[EventRow], None]) -> Callable[[], None]:
        """Call back after each new event."""
        return self._supervision.subscribe(callback)

    def reload(self, by: str) -> str:
        """Read the configuration again and change what changed; returns what was done, in sentences."""
        try:
            new = self._read_configuration()
        except Exception as error:
            problems = str(error).splitlines() or [type(error).__name__]
            more = f" (and {len(problems) - 1} more; see `pidward check`)" if len(problems) > 1 else ""
            self._supervision.note("supervisor", None, f"{by}: the configuration was not changed: {problems[0]}{more}")
            raise
        old = self._core.configuration
        self._supervision.reconfigure(new, f"a reload ({by})")
        said = [*map(str, compare(old, new)), *_not_now(old, new)]
        summary = "; ".join(said) or "nothing changed"
        self._supervision.note("supervisor", None, f"configuration read again by {by}: {summary}")
        return summary

    def shutdown(self, by: str, at_once: bool = False) -> None:
        """Stop everything and end."""
        self._supervision.feed(on.ShutdownAsked(f"the end of pidward ({by})", at_once))

    def about(self) -> About:
        """Facts about the supervisor."""
        return About(
            self._version, self._process, self._instance, self._config, self._loop.now() - self._started,
            tuple(self._trouble()), self._state_dir,
        )  # fmt: skip


def _not_now(old: Configuration, new: Configuration) -> list[str]:
    """What a reload leaves as it is."""
    return ["[pidward]: takes effect when pidward is started the next time"] if new.settings != old.settings else []
