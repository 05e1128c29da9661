"""What workers say of themselves: sd_notify(3), readiness by descriptor, daemons that name their main process.

One socket for all workers. A message counts when the kernel proves that its sender is, or was, of a worker's tree; it
is that worker's then, whichever of its processes sent it. Everybody else is not heard.

A message of an earlier run may still be in the queue when the next run begins; so the queue is emptied just before a
worker is started, and what was said before that says nothing about the new process.
"""

import os
from collections import deque
from collections.abc import Callable
from signal import SIGABRT

from pidward.core import events as on
from pidward.core.actions import Record
from pidward.core.lean import NamedTuple
from pidward.core.model import Phase, ProcessId, WorkerName
from pidward.core.notify import MAX_TEXT, Message, parse
from pidward.core.spec import Configuration, ProbeKind, ServiceSpec, ServiceType
from pidward.core.units import Instant, Seconds, format_duration
from pidward.kernel.closing import Closer
from pidward.kernel.errors import KernelError
from pidward.kernel.notify import Datagram, NotifySocket
from pidward.kernel.pidfd import Pidfd, State
from pidward.runtime.attendant import Equipment, Surroundings
from pidward.runtime.daemons import Daemons
from pidward.runtime.fdstore import FdStore
from pidward.runtime.loop import READ, Watch
from pidward.runtime.owners import Owners
from pidward.runtime.plan import PlanError
from pidward.runtime.readypipe import ReadyPipe
from pidward.runtime.seat import Seat
from pidward.runtime.watchdog import Watchdog

SOCKET_NAME = "notify.sock"
_AT_ONCE = 64
"""Messages read in one turn of the loop; more wait for the next."""
_MOST_PENDING = 1024
"""Messages read before a worker is started; net.unix.max_dgram_qlen, which is 512 or less, bounds what can wait."""
_MAY_SAY, _IN = 30, Seconds(60.0)
"""Notes that one worker, and all strangers together, may cause in this time; what is beyond is not done or told."""


class _Allowance:
    """So much in a time, and no more."""

    __slots__ = ("left", "until")

    def __init__(self) -> None:
        self.left, self.until = 0, Instant(0.0)

    def take(self, now: Instant) -> bool:
        """May it be once more? The last time before it may not is the caller's to tell of (``left`` is 0)."""
        if now >= self.until:
            self.left, self.until = _MAY_SAY, Instant(now + _IN)
        self.left -= 1
        return self.left >= 0


class _Speaker:
    """What one worker has said in its present run, and what is kept for it."""

    def __init__(self, watchdog: Watchdog) -> None:
        self.run = 0
        self.status = ""
        self.ready_as = ""  # how it said that it is ready, while its main process is not known
        self.is_reloading = False
        self.watchdog = watchdog
        self.watchdog_every: Seconds | None = None  # its own wish; None: as configured
        self.pipe: ReadyPipe | None = None
        self.allowance = _Allowance()


class _Said(NamedTuple):
    """A message, and whose it is; ``run`` tells in which of its runs it was read."""

    datagram: Datagram
    worker: WorkerName | None
    run: int


class Notify:
    """An Attendant."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._surroundings = surroundings
        self._loop, self._feed, self._note = surroundings.loop, surroundings.feed, surroundings.note
        self._path = os.path.join(surroundings.runtime_dir, SOCKET_NAME)
        self._socket: NotifySocket | None = None
        self._watch: Watch | None = None
        self._read: deque[_Said] = deque()
        self._speakers: dict[WorkerName, _Speaker] = {}
        self._strangers = _Allowance()
        self._owners = Owners()
        self._daemons = Daemons(surroundings, self._owners)
        self._closer = Closer()
        self._store = FdStore(
            self._loop, lambda worker: surroundings.prepare_again(worker.service), self._closer.close
        )  # fmt: skip
        self._services: frozenset[str] = frozenset()
        self._inherits = False
        self._is_open = False

    # --- as an Attendant

    def configured(self, configuration: Configuration) -> None:
        """Whoever is heard is equipped anew before its next start."""
        heard = {spec.name for spec in configuration.services if _is_heard(spec)}
        if any(s.notifies or s.type is ServiceType.FORKING for s in configuration.services) and not self._inherits:
            self._inherits = True
            self._surroundings.inherit_orphans()
        for service in heard | self._services:
            self._surroundings.prepare_again(service)
        self._services = frozenset(heard)

    def equip(self, name: WorkerName, spec: ServiceSpec) -> Equipment:
        """Say where to write to, and give back what was left with us."""
        if not _is_heard(spec):
            return Equipment()
        env: list[tuple[str, str]] = []
        descriptors: list[tuple[int, int]] = []
        if spec.notifies or spec.type is ServiceType.FORKING:
            self._listen(spec)
            env.append(("NOTIFY_SOCKET", self._path))
        if spec.watchdog is not None:
            env.append(("WATCHDOG_USEC", str(round(spec.watchdog * 1e6))))
            if spec.type is not ServiceType.FORKING:  # there it is not the first process that pings
                env.append(("WATCHDOG_PID", "0"))  # the number is written at each birth
        if spec.fd_store:
            env.append(("FDSTORE", str(spec.fd_store)))
        speaker = self._speaker(name)
        if spec.ready is not None and spec.ready.kind is ProbeKind.FD:
            if speaker.pipe is None:
                speaker.pipe = self._new_pipe(name)
            descriptors.append((int(spec.ready.target), speaker.pipe.theirs))
        elif speaker.pipe is not None:
            speaker.pipe.close()
            speaker.pipe = None
        return Equipment(tuple(env), tuple(descriptors), self._store.of(name))

    def followed(self, record: Record, seat: Seat) -> None:
        """Begin to listen, go on, or forget."""
        name = record.worker
        if name.service not in self._services and name not in self._speakers:
            return
        if record.after is None:
            self._forget(name)
            return
        spec, speaker = self._surroundings.spec(name), self._speaker(name)
        if record.after is Phase.STARTING and seat.pidfd is None:
            self._begin(name, spec, speaker)
        elif seat.pidfd is not None:
            if record.before is None:
                self._take_over(name, spec)
            self._owners.sit(seat)
            self._daemons.born(seat)
        can_serve = seat.pidfd is not None and record.after is not Phase.STARTING
        if speaker.ready_as and can_serve and not self._daemons.is_first(seat):
            how, speaker.ready_as = speaker.ready_as, ""
            self._loop.call_soon(lambda: self._ready(name, how))
        self._follow_watchdog(record.after, spec, speaker)
        if record.after.is_final:
            self._store.clear(name)

    def close(self) -> None:
        """Give everything back."""
        for name in list(self._speakers):
            self._forget(name)
        while self._read:
            self._read.popleft().datagram.close(self._closer.close)
        self._daemons.close()
        self._store.close()
        if self._watch is not None:
            self._watch.close()
        if self._socket is not None:
            self._socket.close()

    def status_of(self, name: WorkerName) -> str:
        """What the worker said by STATUS= in its present run; "" for nothing."""
        speaker = self._speakers.get(name)
        return speaker.status if speaker is not None else ""

    # --- the life of a worker

    def _speaker(self, name: WorkerName) -> _Speaker:
        speaker = self._speakers.get(name)
        if speaker is None:
            watchdog = Watchdog(self._loop, self._hear, lambda every: self._missed(name, every))
            speaker = self._speakers[name] = _Speaker(watchdog)
        return speaker

    def _begin(self, name: WorkerName, spec: ServiceSpec, speaker: _Speaker) -> None:
        """Its next process is about to be started: what was said until now was about the one before."""
        if self._socket is not None and self._collect(_MOST_PENDING):
            self._loop.call_soon(self._apply_all)
        speaker.run += 1
        speaker.status, speaker.ready_as, speaker.is_reloading, speaker.watchdog_every = "", "", False, None
        speaker.watchdog.stop()
        self._daemons.begin(name, spec)
        if speaker.pipe is not None:
            speaker.pipe.begin()

    def _take_over(self, name: WorkerName, spec: ServiceSpec) -> None:
        """A process that an earlier supervisor started knows where to write to."""
        self._daemons.begin(name, spec)
        if spec.notifies or spec.type is ServiceType.FORKING:
            try:
                self._listen(spec)
            except PlanError as error:
                self._note("notify", name, f"{name} is not heard: {error}")

    def _forget(self, name: WorkerName) -> None:
        speaker = self._speakers.pop(name, None)
        if speaker is not None:
            speaker.watchdog.stop()
            if speaker.pipe is not None:
                speaker.pipe.close()
        self._owners.leave(name)
        self._daemons.forget(name)
        self._store.clear(name)

    def _new_pipe(self, name: WorkerName) -> ReadyPipe:
        try:
            pipe = ReadyPipe(self._loop, name, self._wrote)
        except OSError as error:
            raise PlanError(f"no pipe can be made for service.{name.service}.ready: {error.strerror}") from None
        pipe.begin()
        return pipe

    def _wrote(self, name: WorkerName) -> None:
        ready = self._surroundings.spec(name).ready
        if ready is not None and ready.kind is ProbeKind.FD:
            self._ready(name, f"a newline on descriptor {ready.target}")

    def _follow_watchdog(self, phase: Phase, spec: ServiceSpec, speaker: _Speaker) -> None:
        """Pings are awaited from the first time that it is ready until it is to end."""
        every = spec.watchdog if speaker.watchdog_every is None else speaker.watchdog_every
        if phase is Phase.READY and not speaker.watchdog.is_running:
            speaker.watchdog.start(every or Seconds(0.0))
        elif phase not in (Phase.RUNNING, Phase.READY):
            speaker.watchdog.stop()

    def _missed(self, name: WorkerName, every: Seconds) -> None:
        self._unhealthy(name, f"no WATCHDOG=1 within {format_duration(every)}")

    # --- messages in

    def _listen(self, spec: ServiceSpec) -> None:
        """Have the socket, and a way to it for whoever this service runs as."""
        if self._socket is None:
            try:
                self._socket = NotifySocket(self._path, MAX_TEXT + 1)
            except (KernelError, OSError) as error:
                raise PlanError(f"{error}; service.{spec.name} needs it to notify") from None
            self._watch = self._loop.watch(self._socket, READ, self._heard)
        if spec.execution.user is not None and os.geteuid() == 0 and not self._is_open:
            self._is_open = True
            self._let_pass(spec)

    def _let_pass(self, spec: ServiceSpec) -> None:
        """Another user's worker must get to the socket: others may pass through our directory, and see nothing."""
        directory = os.path.realpath(self._surroundings.runtime_dir)
        os.chmod(directory, os.stat(directory).st_mode & 0o7777 | 0o011)  # noqa: S103 - to pass through, not to look
        while (directory := os.path.dirname(directory)) != "/":
            if not os.stat(directory).st_mode & 0o001:
                self._note(
                    "notify", None, f"{spec.name}: user {spec.execution.user} may not be able to reach {self._path} to "
                    f"notify: {directory} is closed to others; choose another runtime_dir",
                )  # fmt: skip

    def _heard(self, _events: int) -> None:
        self._hear()

    def _hear(self) -> bool:
        """Take in what has come; False when there is more than one turn should take."""
        self._apply_all()
        if self._socket is None:
            return True
        is_all = self._collect(_AT_ONCE) < _AT_ONCE
        self._apply_all()
        return is_all

    def _collect(self, most: int) -> int:
        """Read messages and find out whose they are, now; how many there were."""
        assert self._socket is not None
        for count in range(most):
            datagram = self._socket.receive()
            if datagram is None:
                return count
            name = self._owners.owner(datagram.sender) if datagram.sender is not None else None
            self._read.append(_Said(datagram, name, self._speakers[name].run if name in self._speakers else 0))
        return most

    def _apply_all(self) -> None:
        while self._read:
            said = self._read.popleft()
            try:
                self._apply(said)
            finally:
                said.datagram.close(self._closer.close)  # also what a barrier waits for

    def _apply(self, said: _Said) -> None:
        datagram, name = said.datagram, said.worker
        speaker = self._speakers.get(name) if name is not None else None
        if name is None or speaker is None:
            self._turn_away(datagram)
        elif said.run != speaker.run:
            return
        elif not datagram.is_whole:
            self._tell(name, "a message was cut off: it is longer than "
                       f"{MAX_TEXT} bytes, or there were no descriptors free; it was passed over")  # fmt: skip
        else:
            message = parse(datagram.data)
            if message.unread:
                self._tell(name, f"cannot read what it says by {', '.join(message.unread)}")
            self._obey(name, speaker, message, datagram)

    def _turn_away(self, datagram: Datagram) -> None:
        if self._strangers.take(self._loop.now()):
            who = f"pid {datagram.pid} (uid {datagram.uid})"
            why = "it is no process of a worker" if datagram.sender else "nobody can tell any more who that was"
            self._note("notify", None, f"a message from {who} was not heard: {why}", pid=datagram.pid, uid=datagram.uid)

    def _tell(self, name: WorkerName, text: str, **data: object) -> bool:
        """Note something about a worker; False when it has caused too many notes, and should not be done either."""
        speaker = self._speakers[name]
        if not speaker.allowance.take(self._loop.now()):
            return False
        if speaker.allowance.left == 0:
            text += f"; it says too much: nothing more of this is heard for up to {format_duration(_IN)}"
        self._note("notify", name, f"{name}: {text}", **data)
        return True

    # --- messages obeyed

    def _obey(self, name: WorkerName, speaker: _Speaker, message: Message, datagram: Datagram) -> None:
        """Do what a message asks for: first who is meant, then what is said of it."""
        if message.barrier:
            return  # its descriptor is closed with the message, after all that came before
        if message.main_pid is not None or message.main_pidfd or message.main_inode is not None:
            self._change_main(name, message, datagram)
        if message.status is not None:
            speaker.status = message.status
        self._note_errors(name, message)
        if message.restart_reset and self._tell(name, "asks to forget its past failures"):
            self._feed(on.Forgiven(name))
        if message.extend is not None:
            self._extend(name, message.extend)
        self._watch_over(name, speaker, message)
        self._keep(name, message, datagram)
        if message.reloading and not speaker.is_reloading and self._tell(name, "reads its configuration again"):
            speaker.is_reloading = True
        if message.stopping:
            self._about(name, lambda process: on.Announced(name, process))
        if message.ready:
            if speaker.is_reloading:
                speaker.is_reloading = False
                self._tell(name, "has read its configuration again")
            spec = self._surroundings.spec(name)
            if spec.ready is not None and spec.ready.kind is ProbeKind.NOTIFY:
                self._ready(name, "READY=1")

    def _about(self, name: WorkerName, event: Callable[[ProcessId], on.Event]) -> None:
        """Tell the core something about the present main process, if there is one."""
        seat = self._surroundings.seat(name)
        if seat is not None and seat.pidfd is not None:
            self._feed(event(seat.pidfd.id))

    def _ready(self, name: WorkerName, how: str) -> None:
        """It is. It may say so before we know that its gate let it go, and a daemon before it is known."""
        seat, speaker = self._surroundings.seat(name), self._speakers.get(name)
        worker = self._surroundings.worker(name)
        if seat is None or speaker is None or worker is None:
            return
        if seat.pidfd is None or worker.phase is Phase.STARTING or self._daemons.is_first(seat):
            speaker.ready_as = how
        else:
            self._feed(on.Ready(name, seat.pidfd.id, how))

    def _unhealthy(self, name: WorkerName, why: str) -> None:
        self._about(name, lambda process: on.Unhealthy(name, process, why, SIGABRT))

    def _extend(self, name: WorkerName, extend: Seconds) -> None:
        until = Instant(self._loop.now() + extend)
        self._about(name, lambda process: on.Extended(name, process, until))

    def _note_errors(self, name: WorkerName, message: Message) -> None:
        if message.errno is not None:
            self._tell(name, f"says that it failed: {os.strerror(min(message.errno, 4095))} (errno {message.errno})")
        if message.exit_status is not None:
            self._tell(name, f"says that its exit status is {message.exit_status}")
        if message.bus_error:
            self._tell(name, f"says that it failed: {message.bus_error}")

    def _watch_over(self, name: WorkerName, speaker: _Speaker, message: Message) -> None:
        if message.watchdog_every is not None:
            speaker.watchdog_every = message.watchdog_every
            if speaker.watchdog.is_running:
                speaker.watchdog.start(message.watchdog_every)
        if message.watchdog:
            speaker.watchdog.ping()
        if message.trigger:
            speaker.watchdog.stop()
            self._unhealthy(name, "WATCHDOG=trigger")

    def _keep(self, name: WorkerName, message: Message, datagram: Datagram) -> None:
        if message.store_remove:
            self._store.remove(name, message.fd_name)
        elif message.store and datagram.descriptors:
            most = self._surroundings.spec(name).fd_store
            refused = self._store.add(name, message.fd_name, datagram.descriptors, most, message.fd_poll)
            if refused:
                self._tell(name, f"{refused} of the descriptors it sent were not kept: fd_store is {most}")

    def _change_main(self, name: WorkerName, message: Message, datagram: Datagram) -> None:
        """Another process is to be the main one: believed when it is proved to be of this worker's tree, and lives."""
        seat = self._surroundings.seat(name)
        try:
            process = _meant(message, datagram)
        except (KernelError, ValueError) as error:
            self._tell(name, f"names a main process that is not to be had: {error}")
            return
        if seat is None or process is None or (seat.pidfd is not None and seat.pidfd.id == process.id):
            why = ""
        elif self._owners.owner(process) != name:
            why = "it is no process of this worker"
        elif process.state() is not State.RUNNING:
            why = "it has ended"
        elif self._tell(name, f"names {process.id} as its main process"):
            self._surroundings.change_main(name, process)
            return
        else:
            why = ""
        if process is not None:
            process.close()
            if why:
                self._tell(name, f"names {process.id} as its main process, which is refused: {why}")


def _meant(message: Message, datagram: Datagram) -> Pidfd | None:
    """The process that is named, held: by the pidfd that came along, or by its number, and inode if that was said."""
    if message.main_pidfd and datagram.descriptors:
        return Pidfd.copy_of(datagram.descriptors[0])  # what is none is closed with the message
    if message.main_pid is not None:
        return Pidfd.open(message.main_pid, message.main_inode)
    return None


def _is_heard(spec: ServiceSpec) -> bool:
    by_fd = spec.ready is not None and spec.ready.kind is ProbeKind.FD
    return spec.notifies or by_fd or spec.type is ServiceType.FORKING
