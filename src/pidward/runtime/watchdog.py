"""The watchdog of a worker: WATCHDOG=1 must come in time."""

from collections.abc import Callable

from pidward.core.units import Instant, Seconds
from pidward.kernel.clock import monotonic
from pidward.runtime.loop import Loop, Timer

_LOOK_AGAIN = 0.05
"""Seconds, when there is more to read than one turn takes."""


class Watchdog:
    """Counts from ``start`` and from each ping; the time that the machine sleeps does not count.

    Args:
        loop: borrowed.
        catch_up: reads what has come; False when there is more. A ping that waits to be read was in time: perhaps
            it is this process that was late.
        missed: called once, with the time within which a ping should have come.
    """

    def __init__(self, loop: Loop, catch_up: Callable[[], bool], missed: Callable[[Seconds], None]) -> None:
        self._loop, self._catch_up, self._missed = loop, catch_up, missed
        self._every = Seconds(0.0)
        self._last = Instant(0.0)
        self._timer: Timer | None = None

    @property
    def is_running(self) -> bool:
        """Pings are awaited."""
        return self._timer is not None

    def start(self, every: Seconds) -> None:
        """Await pings, each at most this long after the last one; 0: none."""
        self.stop()
        self._every = every
        if every > 0:
            self.ping()
            self._sleep(every)

    def ping(self) -> None:
        """One has come. The timer is left alone: it looks when it fires."""
        self._last = monotonic()

    def stop(self) -> None:
        """Await nothing; harmless when nothing is awaited."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _sleep(self, delay: float) -> None:
        self._timer = self._loop.call_at(Instant(self._loop.now() + delay), self._look)

    def _look(self) -> None:
        is_caught_up = self._catch_up()
        if self._timer is None:
            return  # what was read has ended it
        left = self._last + self._every - monotonic()
        if left > 0:
            self._sleep(left)
        elif not is_caught_up:
            self._sleep(_LOOK_AGAIN)
        else:
            self._timer = None
            self._missed(self._every)
