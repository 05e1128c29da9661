"""The supervisor's side of the pump: keeps it running and tells it which streams there are. Never waits for it."""

import _socket as socket  # the module above it makes enums of all numbers, 0.5 MiB
import marshal
import os
import sys
from collections.abc import Callable
from contextlib import closing, suppress
from functools import lru_cache

from pidward.core.lean import Protocol
from pidward.core.model import WorkerName
from pidward.core.spec import LogFormat, LogMode, LogPolicy
from pidward.core.units import Instant, Seconds
from pidward.kernel.errors import KernelError, NotChild
from pidward.kernel.helper import start_helper
from pidward.kernel.pidfd import Pidfd
from pidward.kernel.wait import exit_status_of, reap, wait_exit
from pidward.logs.layout import log_dir, pipe_path, retired, split_stream, spool_dir, spool_path, stream_of, streams
from pidward.logs.wire import MAX_MESSAGE

BATCH = 200
"""Streams named in one message, so that it fits into the socket."""
START_DELAY = 0.02
"""Seconds from the first worker to the start of the pump: the workers first, they need none."""
TIDY_DELAY = 2.0
"""Seconds from the start until spools of nobody are looked for."""
BACKOFF_FIRST, BACKOFF_LAST = 0.1, 10.0
_READ, _WRITE = 0x1, 0x4  # EPOLLIN, EPOLLOUT

_Fields = tuple[str, int, int, int, int, bool, bool, bool, tuple[str, ...]]
"""The arguments of ``output.Policy``."""
_IS_STREAM = 5


class Watch(Protocol):
    """A descriptor in the loop."""

    def modify(self, events: int) -> None:
        """Wait for other events."""

    def close(self) -> None:
        """Wait no more."""


class Loop(Protocol):
    """What the pump needs of the runtime's loop."""

    def now(self) -> Instant:
        """The present."""

    def watch(self, of: int, events: int, callback: Callable[[int], None]) -> Watch:
        """Call when a descriptor is ready."""

    def call_at(self, when: Instant, callback: Callable[[], None]) -> object:
        """Call once, later."""


class Note(Protocol):
    """Remembers what happened, and tells it."""

    def __call__(self, kind: str, worker: WorkerName | None, text: str, **data: object) -> None:
        """Remember it."""


class Pump:
    """The pump process of this supervisor: started with the first worker that has logs, and again when it dies.

    Args:
        loop: calls us; nothing here waits.
        state_dir: holds the spools, and by default the logs.
        report: told what is wrong, in a sentence, and None when all is well again.

    ``note("logs", worker or None, sentence, **facts)`` is called for what is to be remembered: output went over its
    limit (and the log says so), journald or syslog did not take it, the process ended.
    """

    def __init__(self, loop: Loop, state_dir: str, report: Callable[[str | None], None]) -> None:
        self._loop, self._state_dir, self._report = loop, state_dir, report
        self._spools = spool_dir(state_dir)
        self._kept: dict[str, _Fields] = {}
        self._leaving: dict[str, _Fields] = {}
        self._unsent: dict[str, None] = {}  # streams, in order, whose state the process has not been told
        self._drains: list[Callable[[], None]] = []
        self._drains_unsent = 0
        self._process: Pidfd | None = None
        self._socket: socket.socket | None = None
        self._watch: Watch | None = None
        self._wanted = False
        self._backoff, self._started = BACKOFF_FIRST, loop.now()
        self._pipes: dict[str, int] = {}  # held open, so that the death of the process ends no worker's output
        self.note: Note = _forget

    def spools(self, worker: WorkerName) -> tuple[str, str]:
        """What a worker opens as stdout and stderr: its spools, which it makes, or its FIFOs, which are there."""
        out, err = (
            (pipe_path if stream in self._pipes else spool_path)(self._spools, stream) for stream in streams(worker)
        )
        return out, err

    @property
    def pid(self) -> int | None:
        """The number of the pump process, for those who reap orphans."""
        return self._process.id.pid if self._process else None

    @property
    def pipes(self) -> int:
        """How many descriptors are held open for workers' output."""
        return len(self._pipes)

    def add(self, worker: WorkerName, policy: LogPolicy) -> None:
        """Move a worker's output from now on, or move it by another policy. To be called before it is spawned.

        A mode that does not concern the pump forgets the worker. To another mode no worker changes that runs: it
        would write to where nobody reads, or be ended by SIGPIPE.
        """
        if not uses_pump(policy.mode):
            self.remove(worker)
            return
        self._want()
        for stream in streams(worker):
            has_pipe = policy.mode is LogMode.STREAM and self._open_pipe(stream)
            before = self._kept.get(stream)
            if before is not None and before[_IS_STREAM] != has_pipe:
                self._change_mode(stream, before)
            self._kept[stream] = _fields(policy, self._state_dir, has_pipe)
            self._leaving.pop(stream, None)  # the process finishes the retired spool first by itself
            self._unsent[stream] = None
        self._flush()

    def remove(self, worker: WorkerName) -> None:
        """Forget a worker that has ended: the rest of its output is moved, then its spool is deleted.

        Its logs stay. What a process that was left behind still writes is lost.
        """
        for stream in streams(worker):
            if stream in self._kept:
                self._leave(stream, self._kept.pop(stream))
        self._flush()

    def drain(self, done: Callable[[], None]) -> None:
        """Call ``done`` when all that is written now is in the logs, but for logs that cannot be written."""
        if not self._wanted:
            done()
            return
        self._drains.append(done)
        self._drains_unsent += 1
        self._flush()

    def close(self) -> None:
        """Let the process go: it moves what is there and ends by itself."""
        self._wanted = False
        self._disconnect()
        if self._process is not None:
            self._process.close()
            self._process = None

    def end(self, patience: Seconds) -> None:
        """Close, wait for the process to end, and reap it: for a program that lives on without it. Waits.

        Args:
            patience: after so long it is left to end by itself.
        """
        if self._process is None:
            self.close()
            return
        with Pidfd.copy_of(self._process.fileno(), self._process.id.pid) as process:
            self.close()
            if wait_exit(process, patience):
                with suppress(NotChild):
                    reap(process)

    # --- the process

    def _want(self) -> None:
        if not self._wanted:
            self._wanted = True
            try:
                self._make_spools()
            except OSError as error:
                self._report(f"{self._spools} cannot be made: {error.strerror}; without it no output can be kept")
            self._loop.call_at(Instant(self._loop.now() + START_DELAY), self._start)
            self._loop.call_at(Instant(self._loop.now() + TIDY_DELAY), self._tidy)

    def _make_spools(self) -> None:
        if not os.path.isdir(self._spools):
            os.mkdir(self._spools, 0o700)

    def _start(self) -> None:
        if not self._wanted or self._process is not None:
            return
        try:
            self._make_spools()
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        except OSError as error:
            self._start_later(f"the log pump cannot be started: {error}")
            return
        argv = (sys.executable, "-I", "-S", os.path.dirname(os.path.abspath(__file__)), self._spools)
        with closing(theirs):
            try:
                self._process = start_helper(argv, theirs.fileno())
            except KernelError as error:
                ours.close()
                self._start_later(f"the log pump cannot be started: {error}")
                return
        ours.setblocking(False)
        self._socket, self._started = ours, self._loop.now()
        self._watch = self._loop.watch(ours.fileno(), _READ, self._ready)
        self._unsent = dict.fromkeys([*self._leaving, *self._kept])
        self._drains_unsent = len(self._drains)
        self._flush()

    def _start_later(self, why: str) -> None:
        if self._loop.now() - self._started > BACKOFF_LAST:
            self._backoff = BACKOFF_FIRST
        self._report(f"{why}; trying again in {self._backoff:g} s; output waits in the spools")
        self._loop.call_at(Instant(self._loop.now() + self._backoff), self._start)
        self._backoff = min(self._backoff * 2, BACKOFF_LAST)

    def _disconnect(self) -> None:
        if self._watch is not None:
            self._watch.close()
            self._watch = None
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _ended(self) -> None:
        """The process closed its end, so it is dead or about to be."""
        assert self._process is not None
        self._disconnect()
        watch = self._loop.watch(self._process.fileno(), _READ, lambda _events: self._dead(watch))

    def _dead(self, watch: Watch) -> None:
        watch.close()
        process, self._process = self._process, None
        if process is None:
            return
        with process:
            try:
                status = reap(process)
            except NotChild:
                status = exit_status_of(process)
        how = "" if status is None else f" (signal {status.signal})" if status.signal else f" (code {status.code})"
        self.note("logs", None, f"the log pump ended{how}; a new one goes on where it was")
        self._start_later(f"the log pump ended{how}")

    # --- the conversation

    def _ready(self, events: int) -> None:
        if events & _WRITE:
            self._flush()
        while self._socket is not None:
            try:
                message = self._socket.recv(MAX_MESSAGE)
            except BlockingIOError:
                return
            except OSError:
                message = b""
            if not message:
                self._ended()
                return
            self._hear(*marshal.loads(message))  # noqa: S302 - from the program that we started

    def _hear(self, what: str, *facts: str | int) -> None:
        match what, *facts:
            case ("ready",):
                self._report(None)
            case ("drained",):
                if self._drains:
                    self._drains.pop(0)()
            case ("gone", str(stream)) if stream not in self._unsent:
                self._leaving.pop(stream, None)
                if stream not in self._kept:
                    self._close_pipe(stream)
            case ("dropped", str(stream), int(size)):
                worker, end = _of(stream)
                text = f"{worker}: {size} bytes of its {end} were dropped: the pump could not keep up"
                self.note("logs", worker, text, stream=end, bytes=size)
            case ("lost", str(stream), str(service), int(lines)):
                worker, end = _of(stream)
                text = f"{worker}: {lines} lines of its {end} were not sent to {service}, which did not take them"
                self.note("logs", worker, text, stream=end, service=service, lines=lines)
            case ("trouble", str(sentence)):
                self._report(sentence or None)

    def _flush(self) -> None:
        """Send what was not sent; what does not fit waits here as state, not as messages, and so has a limit."""
        if self._socket is None or self._watch is None:
            return
        try:
            while self._unsent:
                verb, fields, batch = self._next_batch()
                self._socket.send(marshal.dumps((verb, fields, batch)))
                for stream in batch:
                    del self._unsent[stream]
            self._unsent.clear()  # one that was emptied key by key stays as large as it was
            while self._drains_unsent:
                self._socket.send(marshal.dumps(("drain",)))
                self._drains_unsent -= 1
            self._watch.modify(_READ)
        except BlockingIOError:
            self._watch.modify(_READ | _WRITE)
        except OSError:
            pass  # it died; the end of file follows

    def _next_batch(self) -> tuple[str, _Fields, list[str]]:
        """The first unsent streams that have the same to be said of them."""
        batch: list[str] = []
        said: tuple[str, _Fields] | None = None
        for stream in self._unsent:
            kept = self._kept.get(stream)
            now = ("keep", kept) if kept is not None else ("forget", self._leaving[stream])
            said = said or now
            if now != said or len(batch) == BATCH:
                break
            batch.append(stream)
        assert said is not None
        return said[0], said[1], batch

    # --- FIFOs

    def _open_pipe(self, stream: str) -> bool:
        """Make a worker's FIFO and hold it as reader and writer: who opens it need not wait, and none sees its end.

        False when that is impossible.
        """
        if stream in self._pipes:
            return True
        path = pipe_path(self._spools, stream)
        try:
            try:
                os.mkfifo(path, 0o600)
            except FileExistsError:
                pass  # of a supervisor before us; what is left in it is moved
            self._pipes[stream] = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError as error:
            self._report(f"{path} cannot be made: {error.strerror}; the worker's output goes into its spool instead")
            return False
        return True

    def _close_pipe(self, stream: str) -> None:
        """Let a FIFO go that nobody is to write to any more."""
        fd = self._pipes.pop(stream, None)
        if fd is not None:
            with suppress(FileNotFoundError):
                os.unlink(pipe_path(self._spools, stream))
            os.close(fd)

    def _change_mode(self, stream: str, before: _Fields) -> None:
        """Let the old way go; the process takes what is in it first."""
        if before[_IS_STREAM]:
            self._close_pipe(stream)
        else:
            self._retire(stream, before)

    def _leave(self, stream: str, fields: _Fields) -> None:
        """Nobody writes any more; a FIFO is held until the process has emptied it."""
        if stream in self._pipes:
            self._leaving[stream] = fields
            self._unsent[stream] = None
        else:
            self._retire(stream, fields)

    # --- spools of nobody

    def _retire(self, stream: str, fields: _Fields) -> None:
        """Rename a spool, so that a worker of this name that comes back begins a new one.

        One that came and went before the last one was emptied is left for the next of its name.
        """
        spool = spool_path(self._spools, stream)
        if not os.path.lexists(retired(spool)):
            try:
                os.rename(spool, retired(spool))
            except OSError:
                pass  # there is none
        self._leaving[stream] = fields
        self._unsent[stream] = None

    def _tidy(self) -> None:
        """Retire the spools of workers that were forgotten while no supervisor ran."""
        fields = _fields(LogPolicy(), self._state_dir, has_pipe=False)
        try:
            names = os.listdir(self._spools)
        except OSError:  # gone, or no descriptor for it; nothing depends on it
            return
        for name in names:
            stream = stream_of(name)
            if stream is None:
                continue
            path = os.path.join(self._spools, name)
            if path == pipe_path(self._spools, stream):
                if stream not in self._pipes:
                    with suppress(OSError):
                        os.unlink(path)
            elif stream not in self._kept and stream not in self._leaving:
                self._retire(stream, fields)
        self._flush()


def uses_pump(mode: LogMode) -> bool:
    """Output of this mode is moved by the pump into log files."""
    return mode in (LogMode.FILE, LogMode.STREAM)


@lru_cache(maxsize=64)
def _fields(policy: LogPolicy, state_dir: str, has_pipe: bool) -> _Fields:
    """One object for all streams of which the same is to be said."""
    return (
        log_dir(state_dir, policy.dir), policy.max_size, policy.keep, policy.spool_limit,
        int((policy.max_age or 0) * 1e9), has_pipe, policy.compress,
        policy.format is LogFormat.JSON, tuple(also.value for also in policy.also),
    )  # fmt: skip


def _forget(kind: str, worker: WorkerName | None, text: str, **data: object) -> None:
    """Take note of nothing."""


def _of(stream: str) -> tuple[WorkerName, str]:
    service, number, end = split_stream(stream)
    return WorkerName(service, number), end
