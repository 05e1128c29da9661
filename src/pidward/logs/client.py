"""The supervisor's side of the pump: keeps it running and tells it which streams there are. Never waits for it."""

import marshal
import os
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from pidward.core.model import WorkerName
from pidward.core.spec import LogMode, LogPolicy
from pidward.core.units import Instant, Seconds
from pidward.kernel.errors import KernelError, NotChild
from pidward.kernel.helper import start_helper
from pidward.kernel.pidfd import Pidfd
from pidward.kernel.wait import exit_status_of, reap, wait_exit
from pidward.logs.layout import log_dir, retired, split_stream, spool_dir, spool_path, stream_of, streams
from pidward.logs.wire import MAX_MESSAGE

BATCH = 200
"""Streams named in one message, so that it fits into the socket."""
START_DELAY = 0.02
"""Seconds from the first worker to the start of the pump: the workers first, they need none."""
TIDY_DELAY = 2.0
"""Seconds from the start until spools of nobody are looked for."""
BACKOFF_FIRST, BACKOFF_LAST = 0.1, 10.0
_READ, _WRITE = 0x1, 0x4  # EPOLLIN, EPOLLOUT

_Fields = tuple[str, int, int, int]


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


class Pump:
    """The pump process of this supervisor: started with the first worker that has logs, and again when it dies.

    Args:
        loop: calls us; nothing here waits.
        state_dir: holds the spools, and by default the logs.
        report: told what is wrong, in a sentence, and None when all is well again.

    ``on_dropped(worker, "stdout" or "stderr", bytes)`` is called when output went over its limit, and the log says so.
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
        self.on_dropped: Callable[[WorkerName, str, int], None] = lambda _worker, _stream, _bytes: None

    def spools(self, worker: WorkerName) -> tuple[str, str]:
        """The files that a worker appends its stdout and its stderr to; it makes them when they are missing."""
        out, err = streams(worker)
        return spool_path(self._spools, out), spool_path(self._spools, err)

    @property
    def pid(self) -> int | None:
        """The number of the pump process, for those who reap orphans."""
        return self._process.id.pid if self._process else None

    def add(self, worker: WorkerName, policy: LogPolicy) -> None:
        """Move a worker's output from now on, or move it by another policy. To be called before it is spawned.

        With mode "none" this forgets the worker.
        """
        if policy.mode is LogMode.NONE:
            self.remove(worker)
            return
        fields = (log_dir(self._state_dir, policy.dir), policy.max_size, policy.keep, policy.spool_limit)
        for stream in streams(worker):
            self._kept[stream] = fields
            self._leaving.pop(stream, None)  # the process finishes the retired spool first by itself
            self._unsent[stream] = None
        self._want()
        self._flush()

    def remove(self, worker: WorkerName) -> None:
        """Forget a worker that has ended: the rest of its output is moved, then its spool is deleted.

        Its logs stay. What a process that was left behind still writes is lost.
        """
        for stream in streams(worker):
            if stream in self._kept:
                self._retire(stream, self._kept.pop(stream))
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
        with theirs:
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
            case ("dropped", str(stream), int(size)):
                service, number, end = split_stream(stream)
                self.on_dropped(WorkerName(service, number), end, size)
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
        default = LogPolicy()
        fields = (log_dir(self._state_dir, None), default.max_size, default.keep, default.spool_limit)
        try:
            names = os.listdir(self._spools)
        except OSError:  # gone, or no descriptor for it; nothing depends on it
            return
        for name in names:
            stream = stream_of(name)
            if stream is not None and stream not in self._kept and stream not in self._leaving:
                self._retire(stream, fields)
        self._flush()
