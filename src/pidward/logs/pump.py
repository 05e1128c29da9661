"""The pump process: moves what workers write from their spools into log files, and sleeps when nobody writes.

A spool that rests has a one-shot inotify watch; the first byte wakes the pump. While any spool grows the pump looks
at the growing ones every 50 ms, and a busy worker costs it no event of its own. Which streams there are is said by
the supervisor over a SOCK_SEQPACKET socket; its end of file means that the supervisor is gone, and after moving what
is there the pump ends too. All that must be remembered is in the indexes.

Messages are marshalled tuples, because json costs 1.2 MiB here; both ends are the same interpreter.

    to the pump      ("keep", policy, streams)  ("forget", policy, streams)  ("drain",)
    from the pump    ("ready",)  ("gone", stream)  ("drained",)  ("dropped", stream, bytes)
                     ("lost", stream, service, lines)  ("trouble", sentence)

A policy is the arguments of ``output.Policy``. What is lost did journald or syslog not take.

A FIFO (mode "stream") is polled itself while it rests, and looked at by ticks like a spool while it does not, with
shorter ticks when it fills fast: its writer waits when it is full.
"""

import _signal  # type: ignore[import-not-found]  # the module above it makes enums of all numbers, 0.9 MiB
import errno
import fcntl
import marshal
import os
import select
import sys
import time

from pidward.kernel.errors import KernelError
from pidward.kernel.inotify import MODIFY, ONE_SHOT, QUEUE_OVERFLOW, Inotify
from pidward.logs.layout import LOCK, pipe_path, retired, spool_path
from pidward.logs.mover import BUFFER_SIZE, Mover
from pidward.logs.output import Policy
from pidward.logs.wire import MAX_MESSAGE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pidward.logs.forward import Outlets
    from pidward.logs.pipemover import PipeMover
    from pidward.logs.squeeze import Squeezer

URGENCY = -5
"""Niceness, where that is allowed: on a busy machine whoever empties must not be slower than whoever fills."""
MAX_UNSAID = 1000
"""Messages that wait for a supervisor that does not listen; drops beyond it are told by the log alone."""
TICK_MS = 50
FLOOD, FLOOD_TICK_MS = 512 * 1024, 5
"""So many bytes in a turn shorten the tick, so that they are still in the processor's cache when they are moved."""
PIPE_TICK_MS, FLOW_TURNS = 1, 100
"""The tick, and for how many of them, after a FIFO was found to fill fast."""
QUIET_TICKS = 4
"""Ticks without a new byte after which a stream is watched instead."""
TURN = 4 << 20
"""Bytes that one stream may move before the next one has its turn."""
MAX_OPEN = 1024
"""Streams whose three files stay open."""
POLL_MS = 1000
"""How often the streams are looked at for which the system has no watch left."""
AGE_TURNS, AGE_LOOK_MIN, AGE_LOOK_MAX = 10, 0.1, 600.0
"""How often old files are looked for: so many times in the shortest max_age, with these bounds in seconds."""
LAST_SENDS = 1.0
"""Seconds at the end for what journald or syslog has not taken yet."""
RETRY_FIRST, RETRY_LAST = 0.5, 8.0
"""Seconds between tries to write logs that cannot be written; doubled each time."""


class Pump:
    """The process.

    Args:
        control: the socket to the supervisor, non-blocking.
        spools: the spool directory.
    """

    def __init__(self, control: int, spools: str) -> None:
        self._control, self._spools = control, spools
        self._asleep, self._ticking = select.poll(), select.poll()
        self._unsaid: list[bytes] = []  # no deque: collections is 0.4 MiB here
        self._inotify: Inotify | None = None
        self._kept: dict[str, Policy] = {}
        self._leaving: dict[str, Policy] = {}
        self._movers: dict[str, Mover | PipeMover] = {}  # the least recently woken first
        self._pipes: dict[int, str] = {}  # FIFOs that rest
        self._growing: dict[str, int] = {}  # ticks since the last byte
        self._watches: dict[int, str] = {}
        self._unwatched: set[str] = set()
        self._blocked: set[str] = set()
        self._squeezer: Squeezer | None = None
        self._outlets: Outlets | None = None
        self._look_at = self._retry_at = self._age_at = 0.0
        self._age_every = 0.0  # 0: nothing ages
        self._retry_delay = RETRY_FIRST
        self._hurry, self._flows, self._moved = False, 0, 0
        self._troubles: dict[str, str] = {}
        self._max_open = max(16, min(MAX_OPEN, (os.sysconf("SC_OPEN_MAX") - 32) // 3))

    def run(self) -> None:
        """Move until the supervisor is gone."""
        self._send("ready")
        try:
            self._inotify = Inotify()
            self._asleep.register(self._inotify.fileno(), select.POLLIN)
        except KernelError as error:
            self._cannot_watch(error)
        while True:
            poll, timeout = self._rest_of_turn()
            for fd, _ in poll.poll(timeout):
                if fd in self._pipes:
                    self._growing[self._stop_polling(fd)] = 0
            if self._unsaid:
                self._speak()
            if not self._read_control():
                break
            self._read_events()
            self._turn()
            if self._squeezer or self._outlets or self._age_every:
                self._look_after()
        self._drain()
        if self._outlets:
            self._outlets.finish(LAST_SENDS)
        if self._squeezer:
            self._squeezer.give_up()

    def _rest_of_turn(self) -> "tuple[select.poll, int | None]":
        """How to sleep, in milliseconds: shortly while something grows, else until something happens."""
        if self._hurry:
            return self._ticking, 0
        if self._growing:
            tick = TICK_MS if self._moved < FLOOD else FLOOD_TICK_MS
            return self._ticking, PIPE_TICK_MS if self._flows else tick
        must_look = self._blocked or self._unwatched or (self._outlets and self._outlets.are_busy)
        patience = POLL_MS if must_look else None
        if self._age_every:
            next_look = max(0, int((self._age_at - time.monotonic()) * 1000) + 1)
            patience = next_look if patience is None else min(patience, next_look)
        return self._asleep, patience

    # --- the supervisor

    def _read_control(self) -> bool:
        """Obey all messages that are there; False at the end of file."""
        while True:
            try:
                message = os.read(self._control, MAX_MESSAGE)
            except BlockingIOError:
                return True
            except ConnectionResetError:
                return False
            if not message:
                return False
            self._obey(*marshal.loads(message))  # noqa: S302 - from the program that started us

    def _obey(self, verb: str, *arguments: "Any") -> None:
        if verb == "drain":
            self._drain()
            self._send("drained")
            return
        fields, streams = arguments
        policy = Policy(*fields)
        if policy.max_age_ns:
            every = min(max(policy.max_age_ns / 1e9 / AGE_TURNS, AGE_LOOK_MIN), AGE_LOOK_MAX)
            self._age_every = min(self._age_every or every, every)
            self._age_at = 0.0
        for stream in streams:
            self._let_go(stream)
            if verb == "keep":
                self._kept[stream] = policy
            else:
                self._kept.pop(stream, None)
                self._leaving[stream] = policy
            self._growing[stream] = QUIET_TICKS  # looked at once, then watched

    def _send(self, *message: str | int) -> None:
        """Tell the supervisor, as soon as it listens."""
        if message[0] != "dropped" or len(self._unsaid) < MAX_UNSAID:
            self._unsaid.append(marshal.dumps(message))
            self._speak()

    def _speak(self) -> None:
        """Send what fits into the socket; poll says when more does."""
        try:
            while self._unsaid:
                os.write(self._control, self._unsaid[0])
                del self._unsaid[0]
        except BlockingIOError:
            pass
        except OSError:
            self._unsaid.clear()  # nobody is there any more, as the end of file will say
        for poll in (self._asleep, self._ticking):
            poll.register(self._control, select.POLLIN | (select.POLLOUT if self._unsaid else 0))

    def _trouble(self, what: str, sentence: str) -> None:
        """Tell of a trouble, or with an empty sentence that it is over."""
        if self._troubles.get(what, "") != sentence:
            self._troubles[what] = sentence
            self._send("trouble", " ".join(text for text in self._troubles.values() if text))

    # --- what happens to files

    def _read_events(self) -> None:
        while self._inotify and (events := self._inotify.read()):
            for event in events:
                if event.mask & QUEUE_OVERFLOW:
                    self._watches.clear()
                    for stream in self._kept:
                        self._growing.setdefault(stream, QUIET_TICKS)
                elif (woken := self._watches.pop(event.watch, None)) is not None:
                    self._growing[woken] = 0
                    if mover := self._movers.pop(woken, None):
                        self._movers[woken] = mover

    def _turn(self) -> None:
        """Give each growing stream its turn."""
        self._hurry, self._flows, self._moved = False, max(0, self._flows - 1), 0
        now = time.monotonic()
        if self._unwatched and now >= self._look_at:
            self._look_at = now + POLL_MS / 1000
            self._wake(self._unwatched)
        if self._blocked and now >= self._retry_at:
            self._retry_at, self._retry_delay = now + self._retry_delay, min(self._retry_delay * 2, RETRY_LAST)
            self._wake(self._blocked)
        for stream in list(self._growing):
            self._attempt(stream, TURN)
        if not self._blocked:
            self._retry_delay = RETRY_FIRST
            self._trouble("log", "")
        if not self._unwatched and self._inotify:
            self._trouble("watch", "")

    def _wake(self, streams: set[str]) -> None:
        for stream in streams:
            self._growing.setdefault(stream, QUIET_TICKS)
        streams.clear()

    def _attempt(self, stream: str, most: int) -> None:
        """Move at most about ``most`` bytes. What cannot be moved stays in the spool."""
        try:
            self._serve(stream, most)
        except OSError as error:
            del self._growing[stream]
            if (mover := self._movers.get(stream)) is None or not mover.is_pipe:  # it may hold what was read
                self._close(stream)
            self._blocked.add(stream)
            self._trouble("log", _explain(stream, error))

    def _serve(self, stream: str, most: int) -> None:
        mover = self._open(stream)
        if mover is None:
            del self._growing[stream]
            return
        now = time.clock_gettime_ns(time.CLOCK_REALTIME)
        moved = mover.move(now, most)
        if mover.mentioned:
            self._send("dropped", stream, mover.mentioned)
            mover.mentioned = 0
        self._moved += moved
        if not mover.is_pipe:
            self._hurry = self._hurry or mover.behind >= BUFFER_SIZE
        elif mover.behind:
            self._hurry, self._flows = True, FLOW_TURNS
        if mover.out.has_rotated:
            self._compress(stream, mover)
        self._growing[stream] = 0 if moved else self._growing[stream] + 1
        if self._growing[stream] > QUIET_TICKS:
            mover.flush(now)
            self._rest(stream, mover, now)

    def _rest(self, stream: str, mover: "Mover | PipeMover", now: int) -> None:
        """Watch a quiet stream, or finish it when its worker is forgotten."""
        if mover.retired:
            mover.finish(now)
            self._close(stream)
            return
        if mover.is_pipe:
            self._rest_pipe(stream, mover)
            return
        self._watch(stream)
        if mover.unread():  # written before the watch was there
            self._growing[stream] = 0
            return
        if mover.deleted:  # by a person: be ready for the next worker's
            self._close(stream)
            self._growing[stream] = 0
            return
        mover.rest()
        if mover.trouble:
            self._trouble("hole", f"{mover.trouble}; spools keep their space.")
        del self._growing[stream]
        if mover.is_unused:  # so is most of stderr; it is opened when the first byte comes
            self._close(stream)

    def _rest_pipe(self, stream: str, mover: "Any") -> None:
        del self._growing[stream]
        if stream in self._kept:
            self._pipes[mover.fileno()] = stream
            self._asleep.register(mover.fileno(), select.POLLIN)
        else:
            self._close(stream)
            del self._leaving[stream]
            self._send("gone", stream)

    def _stop_polling(self, pipe: int) -> str:
        """Look at a FIFO by ticks; returns its stream."""
        self._asleep.unregister(pipe)
        return self._pipes.pop(pipe)

    def _watch(self, stream: str) -> None:
        try:
            if self._inotify:
                self._watches[self._inotify.add(spool_path(self._spools, stream), MODIFY | ONE_SHOT)] = stream
            else:
                self._unwatched.add(stream)
        except KernelError as error:
            self._unwatched.add(stream)
            if error.errno != errno.ENOENT:  # else it is being retired, and we are about to be told
                self._cannot_watch(error)

    def _cannot_watch(self, error: KernelError) -> None:
        self._trouble("watch", f"{error}; output is looked for once a second instead.")

    # --- old files, other services

    def _look_after(self) -> None:
        if self._squeezer:
            self._squeezer.go_on()
            self._trouble("compress", self._squeezer.trouble)
        if self._outlets:
            for lost in self._outlets.go_on((self._asleep, self._ticking)):
                self._send("lost", *lost)
            self._trouble("forward", self._outlets.trouble)
        if self._age_every and time.monotonic() >= self._age_at:
            self._age_at = time.monotonic() + self._age_every
            self._expire()

    def _expire(self) -> None:
        now = time.clock_gettime_ns(time.CLOCK_REALTIME)
        trouble = ""
        for stream, policy in self._kept.items():
            if policy.max_age_ns and stream not in self._blocked:
                try:
                    mover = self._open(stream)
                    assert mover is not None
                    mover.expire(now)
                    if mover.out.has_rotated:
                        self._compress(stream, mover)
                except OSError as error:
                    trouble = _explain(stream, error)
        self._trouble("age", trouble)

    def _compress(self, stream: str, mover: "Mover | PipeMover") -> None:
        """Take note of a rotation."""
        mover.out.has_rotated = False
        policy = self._kept.get(stream) or self._leaving.get(stream)
        if policy is None or not policy.compress:
            return
        if self._squeezer is None:
            from pidward.logs.squeeze import Squeezer  # noqa: PLC0415 - zlib, for those who want it

            self._squeezer = Squeezer()
            for poll in (self._asleep, self._ticking):
                poll.register(self._squeezer, select.POLLIN)
        self._squeezer.want(mover.out.file.path, mover.out.index_path)

    # --- open files

    def _open(self, stream: str) -> "Mover | PipeMover | None":
        """The stream's open files; None when it is to be left alone."""
        mover = self._movers.get(stream)
        if mover is not None:
            return mover
        spool_is_left = os.path.lexists(retired(spool_path(self._spools, stream)))
        policy = self._kept.get(stream)
        if policy is None:
            policy = self._leaving.get(stream)
            is_left = spool_is_left or (
                policy is not None and policy.is_stream and os.path.lexists(pipe_path(self._spools, stream))
            )
            if policy is None or not is_left:
                self._leaving.pop(stream, None)
                self._send("gone", stream)
                return None
        self._make_room()
        mover = self._movers[stream] = self._make(stream, policy, policy.is_stream and not spool_is_left)
        return mover

    def _make(self, stream: str, policy: Policy, is_pipe: bool) -> "Mover | PipeMover":
        """Make a mover; what only some policies need is imported for them."""
        dress = forward = None
        if policy.is_json:
            from pidward.logs.dress import Dress  # noqa: PLC0415

            dress = Dress(stream)
        if policy.also:
            if self._outlets is None:
                from pidward.logs.forward import Outlets  # noqa: PLC0415

                self._outlets = Outlets()
            forward = self._outlets.forward(stream, policy.also)
        if is_pipe:
            from pidward.logs.pipemover import PipeMover  # noqa: PLC0415

            return PipeMover(self._spools, stream, policy, dress, forward)
        return Mover(self._spools, stream, policy, dress, forward)

    def _make_room(self) -> None:
        """Close spools that were not woken for long; a FIFO is not to be found again without a descriptor."""
        while len(self._movers) >= self._max_open:
            oldest = next((stream for stream, mover in self._movers.items() if not mover.is_pipe), None)
            if oldest is None:
                return
            self._close(oldest)

    def _let_go(self, stream: str) -> None:
        """Take what is in a FIFO out of it, and close."""
        mover = self._movers.get(stream)
        if mover is not None and mover.is_pipe:
            self._flush(stream, mover, TURN)
        self._close(stream)

    def _flush(self, stream: str, mover: "Mover | PipeMover", most: int) -> None:
        """Move as much, and the beginning of a line whose end has not come."""
        now = time.clock_gettime_ns(time.CLOCK_REALTIME)
        try:
            mover.move(now, most)
            mover.flush(now)
        except OSError as error:
            self._trouble("log", _explain(stream, error))

    def _close(self, stream: str) -> None:
        mover = self._movers.pop(stream, None)
        if mover is not None:
            pipe = next((fd for fd, of in self._pipes.items() if of == stream), None) if mover.is_pipe else None
            if pipe is not None:
                self._stop_polling(pipe)
            mover.close()

    def _drain(self) -> None:
        """Move all that was written until now, by everybody whose log can be written."""
        self._read_events()
        self._wake(self._unwatched)
        for pipe in list(self._pipes):
            self._growing[self._stop_polling(pipe)] = 0
        for stream in list(self._growing):
            try:
                mover = self._open(stream)
                written = mover.unread() if mover else 0
            except OSError:
                written = 0  # said by the attempt
            self._attempt(stream, written)
            if (mover := self._movers.get(stream)) is not None:
                self._flush(stream, mover, 0)


def _explain(stream: str, error: OSError) -> str:
    where = f" ({error.filename})" if error.filename else ""
    return (
        f"the log of {stream} cannot be written: {error.strerror}{where}; output waits in its spool up to spool_limit, "
        "then the oldest is dropped. A spool on the same full disk takes no more either, and the worker's own writes "
        "fail: make space, or check logs.dir."
    )


def main(spools: str) -> None:
    """Be the pump, with the control socket as descriptor 0; returns when the supervisor is gone."""
    for number in (_signal.SIGINT, _signal.SIGTERM, _signal.SIGHUP):
        _signal.signal(number, _signal.SIG_IGN)  # we end when the supervisor does, after its last worker
    try:
        os.nice(URGENCY)
    except OSError:
        pass  # not root: fair share
    os.set_blocking(0, False)
    try:
        lock = os.open(f"{spools}/{LOCK}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)  # the pump of a dead supervisor finishes first
        Pump(0, spools).run()
    except OSError as error:  # the supervisor starts us again
        sys.exit(f"pidward: the log pump has to start anew: {error}")
