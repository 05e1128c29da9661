"""The one epoll loop: descriptors, timers on boottime, and nothing else.

A number of a descriptor is handed out again as soon as it is closed, and an event that was already fetched must not
reach the new owner. So the watches of a turn are looked up before the first callback, and a closed one has none.
"""

import heapq
import select
from collections.abc import Callable
from itertools import count

from pidward.core.lean import Protocol
from pidward.core.units import Instant
from pidward.kernel.clock import Timer as KernelTimer
from pidward.kernel.clock import boottime

READ, WRITE, EDGE = select.EPOLLIN, select.EPOLLOUT, select.EPOLLET
HANGUP = select.EPOLLHUP
PRIORITY = select.EPOLLPRI

MAX_EVENTS = 1024
"""Fetched in one turn, and decided as one batch. Smaller batches restart the first of a mass death sooner and the last
later: what has been started competes with us for the processors (measured with 128: 1000 back in 190 ms, not 135)."""


MANY_CANCELLED = 100
"""From here on it is looked whether most timers are cancelled ones that wait for their time in vain."""


TOLERATED = 10
"""Errors of one callback in a row. A descriptor that stays ready would call it for ever, and keep a processor busy."""


class HasFileno(Protocol):
    """Anything with a descriptor."""

    def fileno(self) -> int:
        """The descriptor; it stays its owner's."""
        ...


class Watch:
    """A descriptor in the loop. Close the watch before the descriptor."""

    __slots__ = ("_fd", "_loop", "callback")

    def __init__(self, loop: "Loop", fd: int, callback: Callable[[int], None]) -> None:
        self._loop, self._fd = loop, fd
        self.callback: Callable[[int], None] | None = callback  # None: closed

    def modify(self, events: int) -> None:
        """Wait for other events from now on; harmless when closed already."""
        if self.callback is not None:
            self._loop._epoll.modify(self._fd, events)

    def close(self) -> None:
        """Stop watching; harmless when closed already."""
        if self.callback is not None:
            self.callback = None
            self._loop._failures.pop(self, None)
            del self._loop._watches[self._fd]
            self._loop._epoll.unregister(self._fd)


class Timer:
    """A call in the future."""

    __slots__ = ("_loop", "callback", "when")

    def __init__(self, loop: "Loop", when: Instant, callback: Callable[[], None]) -> None:
        self._loop = loop
        self.when = when
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        """The call will not happen; harmless when it has."""
        if self.callback is not None:
            self.callback = None
            self._loop._cancelled += 1


class Loop:
    """Runs callbacks for ready descriptors and due timers until stopped. Sleeps without a wake-up when nothing is due.

    ``after_turn`` runs once after each batch of callbacks: the place to do in one go what they asked for.

    ``on_error`` hears of an exception in whatever is called, and then the loop goes on; without it the exception leaves
    ``run``. Its second argument says that a descriptor is not watched any more, because its callback has failed
    TOLERATED times in a row.
    """

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._watches: dict[int, Watch] = {}  # by descriptor
        self._next_timer = count(1)
        self._timers: list[tuple[float, int, Timer]] = []
        self._cancelled = 0  # of those, at most: some may have left by themselves
        self._kernel_timer = KernelTimer()
        self._armed: Instant | None = None
        self._running = False
        self._soon: list[Callable[[], None]] = []
        self._failures: dict[Watch, int] = {}  # of callbacks that failed the last time
        self.after_turn: Callable[[], None] = lambda: None
        self.on_error: Callable[[Exception, bool], None] | None = None
        self.watch(self._kernel_timer, READ, self._timer_fired)

    def now(self) -> Instant:
        """The present, on CLOCK_BOOTTIME."""
        return boottime()

    def watch(self, of: HasFileno | int, events: int, callback: Callable[[int], None]) -> Watch:
        """Call ``callback(event mask)`` when a descriptor is ready. The descriptor stays its owner's."""
        fd = of if isinstance(of, int) else of.fileno()
        self._epoll.register(fd, events)
        watch = self._watches[fd] = Watch(self, fd, callback)
        return watch

    def call_at(self, when: Instant, callback: Callable[[], None]) -> Timer:
        """Call once, at or shortly after an instant."""
        if self._cancelled > MANY_CANCELLED and self._cancelled > len(self._timers) // 2:
            self._timers = [entry for entry in self._timers if entry[2].callback is not None]
            heapq.heapify(self._timers)
            self._cancelled = 0
        timer = Timer(self, when, callback)
        heapq.heappush(self._timers, (when, next(self._next_timer), timer))
        return timer

    def call_soon(self, callback: Callable[[], None]) -> None:
        """Call in this turn, after the callbacks that are already due."""
        self._soon.append(callback)

    def stop(self) -> None:
        """Leave ``run`` after the present turn."""
        self._running = False

    def run(self) -> None:
        """Turn until stopped."""
        self._running = True
        while self._running:
            self.turn()

    def turn(self, timeout: float = -1) -> None:
        """Wait for something, then do all that is due."""
        self._arm()
        ready = self._epoll.poll(0 if self._soon else timeout, MAX_EVENTS)
        # Watches first: a callback may close a descriptor whose number another callback opens again.
        watches = self._watches
        for watch, events in [(watches[fd], events) for fd, events in ready if fd in watches]:
            if watch.callback is None:
                continue
            try:
                watch.callback(events)
            except Exception as error:  # noqa: BLE001 - one mistake must not end the supervision of all others
                self._failed(error, watch)
            else:
                if self._failures:
                    self._failures.pop(watch, None)
        while self._soon:
            soon, self._soon = self._soon, []
            for call in soon:
                self._guarded(call)
        self._guarded(self.after_turn)

    def close(self) -> None:
        """Close the loop's own descriptors; the watched ones are their owners'."""
        self._epoll.close()
        self._kernel_timer.close()

    def _guarded(self, call: Callable[[], None]) -> None:
        try:
            call()
        except Exception as error:  # noqa: BLE001 - as in turn
            self._failed(error)

    def _failed(self, error: Exception, watch: Watch | None = None) -> None:
        """Tell of an error, and give up a descriptor whose callback does nothing but fail."""
        if self.on_error is None:
            raise error
        gives_up = False
        if watch is not None and watch.callback is not None:
            failures = self._failures[watch] = self._failures.get(watch, 0) + 1
            gives_up = failures == TOLERATED
            if gives_up:
                watch.close()
        self.on_error(error, gives_up)

    def _arm(self) -> None:
        timers = self._timers
        while timers and timers[0][2].callback is None:
            heapq.heappop(timers)
        due = timers[0][2].when if timers else None
        if due != self._armed:
            self._kernel_timer.arm(due)
            self._armed = due

    def _timer_fired(self, _events: int) -> None:
        self._kernel_timer.drain()
        self._armed = None
        now = self.now()
        while self._timers and self._timers[0][0] <= now:
            _, _, timer = heapq.heappop(self._timers)
            if timer.callback is not None:
                callback, timer.callback = timer.callback, None
                self._guarded(callback)
