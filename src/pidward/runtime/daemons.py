"""Programs that put themselves into the background: who is the main process when the first one has ended?

It is the one that the pid file names, or without a pid file the only one that stays. A number in a file is believed
only when its process is in the worker's own tree and no older than the worker's first process: so neither a file of
an earlier run, nor a number that is somebody else's by now, nor a lie can make us hold another process.

Later, when the main process ends and the file names a successor in the tree, as after nginx's upgrade of its binary,
that one is the main process, and nothing has failed.
"""

import os
from contextlib import suppress

from pidward.core.lean import NamedTuple
from pidward.core.model import ExitStatus, Phase, ProcessId, WorkerName
from pidward.core.spec import ServiceSpec, ServiceType
from pidward.core.units import Instant
from pidward.kernel.errors import KernelError
from pidward.kernel.inotify import CLOSE_WRITE, CREATE, MODIFY, MOVED_TO, Inotify
from pidward.kernel.pidfd import Pidfd, State
from pidward.kernel.procfs import read_stat
from pidward.runtime.attendant import Surroundings
from pidward.runtime.loop import READ, Timer, Watch
from pidward.runtime.owners import Owners
from pidward.runtime.plan import expand
from pidward.runtime.seat import Seat

_SOONEST, _LATEST = 0.05, 2.0
"""Seconds between two looks for who stays, or for the directory of a pid file: doubled each time."""
_SETTLING = 5.0
"""Seconds after its first process ended in which a guessed main process may turn out to have been a step on the way."""
_ACTIVE = (Phase.STARTING, Phase.RUNNING, Phase.READY)


class _First(NamedTuple):
    """The process that was started, and when, in ticks since boot."""

    process: ProcessId
    ticks: int


class _Daemon:
    """What is known of one worker's daemon."""

    __slots__ = ("first", "guessed_until", "is_told", "path", "pause", "timer", "watch")

    def __init__(self, path: str) -> None:
        self.path = path  # of the pid file; "" without one
        self.first: _First | None = None
        self.guessed_until: Instant | None = None  # set when the main process was guessed
        self.is_told = False  # that there are several, and nobody can say which
        self.pause = _SOONEST
        self.timer: Timer | None = None  # for the next look; never two
        self.watch: int | None = None  # inotify's number


class Daemons:
    """Those of all workers of ``type = "forking"``."""

    def __init__(self, surroundings: Surroundings, owners: Owners) -> None:
        self._surroundings, self._owners = surroundings, owners
        self._daemons: dict[WorkerName, _Daemon] = {}
        self._inotify: Inotify | None = None
        self._heard: Watch | None = None
        surroundings.succeed_by(self.successor)

    def begin(self, name: WorkerName, spec: ServiceSpec) -> None:
        """A worker is about to be started."""
        self.forget(name)
        if spec.type is ServiceType.FORKING:
            path = expand(spec.pid_file, name.number) if spec.pid_file else ""
            base = expand(spec.execution.working_dir, name.number) if spec.execution.working_dir else "."
            self._daemons[name] = _Daemon(os.path.abspath(os.path.join(base, path)) if path else "")

    def born(self, seat: Seat) -> None:
        """It has a main process; the first is remembered."""
        daemon = self._daemons.get(seat.name)
        if daemon is None or daemon.first is not None or seat.pidfd is None:
            return
        ticks = 0
        with suppress(KernelError):
            ticks = read_stat(seat.pidfd).start_ticks
        worker = self._surroundings.worker(seat.name)
        is_daemon = worker is not None and worker.daemon  # of an earlier supervisor: who was first is history
        daemon.first = _First(ProcessId(0, 0) if is_daemon else seat.pidfd.id, ticks)
        if daemon.path:
            self._watch_file(seat.name, daemon)

    def is_first(self, seat: Seat) -> bool:
        """The main process is the one that was started and is to end; the daemon is not known yet."""
        first = self._daemons[seat.name].first if seat.name in self._daemons else None
        return first is not None and seat.pidfd is not None and first.process == seat.pidfd.id

    def forget(self, name: WorkerName) -> None:
        """Nothing more is wanted of this worker."""
        daemon = self._daemons.pop(name, None)
        if daemon is not None and daemon.timer is not None:
            daemon.timer.cancel()
        if daemon is None or daemon.watch is None or self._inotify is None:
            return
        if all(other.watch != daemon.watch for other in self._daemons.values()):  # same directory, same number
            self._inotify.remove(daemon.watch)

    def close(self) -> None:
        """Give everything back."""
        self._daemons.clear()
        if self._heard is not None:
            self._heard.close()
        if self._inotify is not None:
            self._inotify.close()

    def successor(self, seat: Seat, status: ExitStatus) -> Pidfd | None:
        """Who is the main process now that the one in the seat has ended; None: nobody, or not known yet."""
        daemon = self._daemons.get(seat.name)
        worker = self._surroundings.worker(seat.name)
        if daemon is None or worker is None or worker.phase not in _ACTIVE or seat.pidfd is None:
            return None
        is_first = self.is_first(seat)
        if is_first and status.code != 0:
            return None  # the start failed
        found = None
        if daemon.path:
            found = self._named(seat, daemon)
        elif not is_first and (daemon.guessed_until or 0.0) > self._surroundings.loop.now():
            found = self._only_one(seat, daemon)
        if found is None and is_first:
            self._look_later(seat.name, daemon)  # without a file not at once: many fork twice
        return found

    # --- looking, while nobody is the main process

    def _look(self, name: WorkerName) -> None:
        """Is it there now?"""
        seat, daemon = self._surroundings.seat(name), self._daemons.get(name)
        worker = self._surroundings.worker(name)
        if seat is None or daemon is None or worker is None or worker.phase not in _ACTIVE:
            return
        if daemon.path and daemon.watch is None:
            self._watch_file(name, daemon)
        if seat.pidfd is not None:
            return  # the first process has not ended, or the main one is known
        found = self._named(seat, daemon) if daemon.path else self._only_one(seat, daemon)
        if found is not None:
            self._surroundings.change_main(name, found)
        else:
            self._look_later(name, daemon)

    def _look_later(self, name: WorkerName, daemon: _Daemon) -> None:
        def look() -> None:
            daemon.timer = None
            self._look(name)

        if daemon.timer is None:
            loop = self._surroundings.loop
            daemon.timer = loop.call_at(Instant(loop.now() + daemon.pause), look)
            daemon.pause = min(2 * daemon.pause, _LATEST)

    def _only_one(self, seat: Seat, daemon: _Daemon) -> Pidfd | None:
        """The only process of the tree whose parent is not of the tree; None when there are several."""
        if seat.tree is None:
            return None
        numbers = set(seat.tree.processes())
        top: list[Pidfd] = []
        for number in numbers:
            with suppress(KernelError):
                process = Pidfd.open(number)
                try:
                    is_top = read_stat(process).ppid not in numbers and self._is_ours(seat, daemon, process)
                except BaseException:
                    process.close()
                    raise
                if is_top:
                    top.append(process)
                else:
                    process.close()
        if len(top) == 1:
            daemon.guessed_until = Instant(self._surroundings.loop.now() + _SETTLING)
            return top[0]
        for process in top:
            process.close()
        if len(top) > 1 and not daemon.is_told:
            daemon.is_told = True
            self._surroundings.note(
                "notify", seat.name, f"{seat.name}: {len(top)} processes stay, and it cannot be told which is the main "
                f"one: set service.{seat.name.service}.pid_file, or have it send MAINPID",
            )  # fmt: skip
        return None

    # --- pid files

    def _named(self, seat: Seat, daemon: _Daemon) -> Pidfd | None:
        """Whom the file names, if it is a process of this tree that can be its daemon."""
        number = _number_in(daemon.path)
        if number is None:
            return None
        try:
            process = Pidfd.open(number)
        except KernelError:
            return None
        is_known = seat.pidfd is not None and seat.pidfd.id == process.id
        if not is_known and self._is_ours(seat, daemon, process):
            return process
        process.close()
        return None

    def _is_ours(self, seat: Seat, daemon: _Daemon, process: Pidfd) -> bool:
        """It lives, is in this worker's tree, and is no older than the worker's first process."""
        try:
            is_new = daemon.first is None or read_stat(process).start_ticks >= daemon.first.ticks
        except KernelError:
            return False
        return is_new and self._owners.owner(process) == seat.name and process.state() is State.RUNNING

    def _watch_file(self, name: WorkerName, daemon: _Daemon) -> None:
        """Be told of what happens in the directory of the file; while there is none, look for it."""
        try:
            if self._inotify is None:
                self._inotify = Inotify()
                self._heard = self._surroundings.loop.watch(self._inotify, READ, self._changed)
            directory = os.path.dirname(daemon.path)
            daemon.watch = self._inotify.add(directory, CREATE | MOVED_TO | MODIFY | CLOSE_WRITE)
        except KernelError:
            self._look_later(name, daemon)

    def _changed(self, _events: int) -> None:
        assert self._inotify is not None
        events = self._inotify.read()
        happened = {(event.watch, event.name) for event in events}
        lost = any(event.watch < 0 for event in events)  # the queue has overflowed
        for name, daemon in list(self._daemons.items()):
            if lost or (daemon.watch, os.path.basename(daemon.path)) in happened:
                self._look(name)


def _number_in(path: str) -> int | None:
    """The number on the first line of a file; None when there is none. Never waits, whatever kind of file it is."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError:
        return None
    try:
        text = os.read(fd, 32).split(b"\n")[0].strip()
    except OSError:
        return None
    finally:
        os.close(fd)
    return int(text) if text.isdigit() and 0 < len(text) <= 10 and int(text) > 0 else None
