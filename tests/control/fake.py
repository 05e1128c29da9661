"""A small supervisor without processes: a Desk in memory, and a server of it in a thread.

Services by behaviour: ``web`` (two workers) and ``db`` start and stop at once, ``slow`` never gets ready, ``bad`` fails
to start, ``loop`` crashes over and over. ``off`` is not wanted.
"""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pidward.config.errors import ConfigError, Problem
from pidward.control.listen import ControlSocket
from pidward.control.server import Server
from pidward.core.change import Change, Consequence
from pidward.core.health import Health, judge_health
from pidward.core.model import EventRow, ExitStatus, Phase, ProcessId, Source, Wanted, Worker, WorkerName
from pidward.core.spec import MAX_WORKERS
from pidward.core.units import Instant
from pidward.kernel.pidfd import Pidfd
from pidward.runtime.desk import About, Member, NoProcess, NotReloadable, Plan, Told, UnknownTarget
from pidward.runtime.loop import READ, Loop

SERVICES = {"web": 2, "db": 1, "slow": 1, "bad": 1, "loop": 1, "off": 1}


def own_process() -> ProcessId:
    """The test process itself: a worker that surely lives."""
    with Pidfd.own() as own:
        return own.id


def members_of(worker: str, main: ProcessId) -> list[Member]:
    """A main process with a child and a grandchild, and somebody who got away."""
    first, second, third = (f"{main.pid + n}:{main.inode + n}" for n in (1, 2, 3))
    return [
        Member(worker, str(main), 0, True, "", "S", "serve", "serve --now"),
        Member(worker, first, main.pid, False, "", "S", "helper", "helper\x1b[31m one"),
        Member(worker, second, main.pid + 1, False, "", "Z", "gone", ""),
        Member(worker, third, 0, False, "left its parent", "S", "daemon", "daemon"),
    ]


class FakeDesk:
    """Implements ``runtime.desk.Desk``. Changes happen in the turn after the request, as in real life."""

    def __init__(self, loop: Loop, services: dict[str, int] | None = None) -> None:
        self.loop = loop
        self.asked: list[tuple[object, ...]] = []
        self.history: list[EventRow] = []
        self.subscribers: list[Callable[[EventRow], None]] = []
        self.trouble: tuple[str, ...] = ()
        self.empty: tuple[str, ...] = ()  # services with workers = 0
        self.state_dir = ""
        self.is_blind = False  # nobody can tell the processes of workers
        self.reload_error: Exception | None = None
        self.reload_failure = ""  # what a reload command says at its end
        self.on_shutdown: Callable[[], None] = loop.stop
        self.workers: dict[WorkerName, Worker] = {}
        self._pids = own_process().pid
        now = loop.now()
        for service, count in (services or SERVICES).items():
            for number in range(1, count + 1):
                name = WorkerName(service, number)
                self.workers[name] = Worker(name, Wanted.DOWN, Phase.STOPPED, "not started yet", since=now)
                if service in ("web", "db"):
                    self.workers[name] = self.workers[name]._replace(
                        wanted=Wanted.UP, phase=Phase.READY, reason="the program runs",
                        process=own_process(), started=Instant(now - 90.0),
                    )  # fmt: skip

    # --- what tests do to it

    def change(self, name: WorkerName, phase: Phase, reason: str, **changes: object) -> None:
        """Let a worker enter a phase, and tell everybody."""
        worker = self.workers[name]._replace(phase=phase, reason=reason, since=self.loop.now(), **changes)  # type: ignore[arg-type]
        self.workers[name] = worker
        self.happen("transition", str(name), f"{name}: {phase.value}: {reason}")

    def happen(self, kind: str, worker: str, text: str, **data: object) -> EventRow:
        """Add an event to the history, and tell everybody."""
        row = EventRow(len(self.history) + 1, 1.5e9 + len(self.history), kind, worker, text, data)
        self.history.append(row)
        for callback in list(self.subscribers):
            callback(row)
        return row

    # --- Desk

    def resolve(self, targets: Sequence[str]) -> list[WorkerName]:
        for target in targets:
            if target not in self.empty and not any(target in (name.service, str(name)) for name in self.workers):
                close = [name.service for name in self.workers if name.service[:2] == target[:2]]
                raise UnknownTarget(target, close[:1])
        return [n for n in self.workers if not targets or n.service in targets or str(n) in targets]

    def without_workers(self, targets: Sequence[str]) -> list[str]:
        return [name for name in self.empty if not targets or name in targets]

    def worker(self, name: WorkerName) -> Worker | None:
        return self.workers.get(name)

    def now(self) -> float:
        return self.loop.now()

    def start(self, names: Sequence[WorkerName], by: str) -> None:
        self.asked.append(("start", [str(n) for n in names], by))
        for name in names:
            if self.workers[name].phase is not Phase.READY:
                self.change(name, Phase.STARTING, f"started by {by}", wanted=Wanted.UP)
                self._soon(name, self._come_up)

    def stop(self, names: Sequence[WorkerName], by: str, at_once: bool = False) -> None:
        self.asked.append(("stop", [str(n) for n in names], by, at_once))
        for name in names:
            self.change(name, Phase.STOPPING, f"stopped by {by}", wanted=Wanted.DOWN)
            self._soon(name, self._go_down)

    def restart(self, names: Sequence[WorkerName], by: str) -> None:
        self.asked.append(("restart", [str(n) for n in names], by))
        for name in names:
            self.change(name, Phase.STOPPING, f"restarted by {by}", wanted=Wanted.UP)
            self._soon(name, self._come_up)

    def _soon(self, name: WorkerName, then: Callable[[WorkerName], None]) -> None:
        self.loop.call_at(self.loop.now(), lambda: then(name))

    def _come_up(self, name: WorkerName) -> None:
        if name.service == "bad":
            self.change(name, Phase.FAILED, 'cannot execute "bad": not found on PATH', process=None)
        elif name.service == "loop":
            status = ExitStatus(1, None, source=Source.WAITID)
            self.change(name, Phase.BACKING_OFF, "exit code 1; starts again", failures=3, last_exit=status)
        elif name.service != "slow":
            self._pids += 1
            process = ProcessId(self._pids, own_process().inode + self._pids)
            self.change(name, Phase.READY, "the program runs", process=process, started=self.loop.now())

    def _go_down(self, name: WorkerName) -> None:
        status = ExitStatus(None, 15, source=Source.WAITID)
        self.change(name, Phase.STOPPED, f"{self.workers[name].reason}; SIGTERM", process=None, last_exit=status)

    def roll(self, names: Sequence[WorkerName], by: str, step: int) -> None:
        self.asked.append(("roll", [str(n) for n in names], by, step))
        for name in names:
            self.change(name, Phase.STOPPING, f"restarted by {by}", wanted=Wanted.UP)
            self._soon(name, self._come_up)

    def scale(self, service: str, workers: int, by: str) -> None:
        if workers > MAX_WORKERS:
            raise ValueError(f"at most {MAX_WORKERS} workers are supported")
        self.asked.append(("scale", service, workers, by))
        here = [name for name in self.workers if name.service == service]
        for name in here:
            if name.number > workers:
                self.change(name, Phase.STOPPING, f"stopped by {by}", wanted=Wanted.DOWN)
                self._soon(name, self._leave)
        for number in range(len(here) + 1, workers + 1):
            name = WorkerName(service, number)
            self.workers[name] = Worker(name, Wanted.UP, Phase.STARTING, f"started by {by}", since=self.loop.now())
            self._soon(name, self._come_up)

    def _leave(self, name: WorkerName) -> None:
        del self.workers[name]
        self.happen("transition", str(name), f"{name}: no longer in the configuration")

    def reload_workers(self, names: Sequence[WorkerName], by: str, done: Callable[[list[Told]], None]) -> None:
        if any(name.service == "db" for name in names):
            raise NotReloadable("db cannot be told to reload; set service.db.reload")
        self.asked.append(("reload_workers", [str(n) for n in names], by))
        processes = [(name, self.workers[name].process) for name in names]
        told = [Told(name, process, self.reload_failure) for name, process in processes if process is not None]
        self.loop.call_at(self.loop.now(), lambda: done(told))

    def plan(self) -> Plan:
        if self.reload_error is not None:
            raise self.reload_error
        changes = [Change("web", Consequence.SCALE, "2 -> 3"), Change("new", Consequence.ADD, "1 worker")]
        return Plan(changes, ["db: stays scaled to 3; the file says 1"])

    def health(self) -> Health:
        return judge_health(self.workers.values(), [name for name in self.workers if name.service == "slow"])

    def status_text(self, name: WorkerName) -> str:
        return "serving" if name.service == "web" else ""

    def signal(self, name: WorkerName, number: int, by: str, whole_tree: bool = False) -> ProcessId:
        process = self.workers[name].process
        if process is None:
            raise NoProcess(f"{name} has no process to signal")
        self.asked.append(("signal", str(name), number, whole_tree, by))
        return process

    def look(self, names: Sequence[WorkerName], done: Callable[[list[Member] | None], None]) -> Callable[[], None]:
        def told() -> None:
            found = []
            for name in names:
                if (process := self.workers[name].process) is not None:
                    found += members_of(str(name), process)
            done(None if self.is_blind else found)

        return self.loop.call_at(self.loop.now(), told).cancel

    def events(self, since: int, limit: int) -> list[EventRow]:
        rows = self.history[since:] if since < 0 else [row for row in self.history if row.seq > since]
        return rows[:limit]

    def subscribe(self, callback: Callable[[EventRow], None]) -> Callable[[], None]:
        self.subscribers.append(callback)
        return lambda: self.subscribers.remove(callback)

    def reload(self, by: str) -> str:
        self.asked.append(("reload", by))
        if self.reload_error is not None:
            raise self.reload_error
        return "web: 2 -> 3 workers\ndb: changed"

    def shutdown(self, by: str, at_once: bool = False) -> None:
        self.asked.append(("shutdown", by, at_once))
        self.loop.call_at(self.loop.now(), self.on_shutdown)

    def about(self) -> About:
        return About(
            "1.2.3", own_process(), "default", "/etc/pidward/pidward.toml", 3661.5, self.trouble, self.state_dir
        )


def config_error() -> ConfigError:
    """An invalid file."""
    return ConfigError([Problem("pidward.toml", 3, 1, "service.web.comand", "unknown key; did you mean 'command'?")])


@contextmanager
def serving(
    directory: Path, prepare: Callable[[FakeDesk], None] | None = None, services: dict[str, int] | None = None
) -> Iterator[tuple[str, FakeDesk]]:
    """Serve a fake desk in a thread; gives the socket's path and the desk."""
    loop = Loop()
    desk = FakeDesk(loop, services)
    if prepare is not None:
        prepare(desk)
    server = Server(loop, desk, ControlSocket(str(directory / "run" / "control.sock")), print)
    stop = os.eventfd(0)
    watch = loop.watch(stop, READ, lambda _events: loop.stop())

    def serve() -> None:
        loop.run()
        server.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield str(directory / "run" / "control.sock"), desk
    finally:
        os.eventfd_write(stop, 1)
        thread.join()
        watch.close()
        os.close(stop)
        loop.close()
