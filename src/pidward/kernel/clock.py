"""Time: the boot clock that decisions use, the wall clock that people read, and a timer on each."""

import errno
import os
import struct
import time
from functools import cache

from pidward.core.units import Instant
from pidward.kernel import abi

_TFD_FLAGS = os.O_CLOEXEC | os.O_NONBLOCK
_TFD_TIMER_ABSTIME, _TFD_TIMER_CANCEL_ON_SET = 1, 2
_ITIMERSPEC = struct.Struct("=4q")  # interval s, ns, value s, ns


def boottime() -> Instant:
    """Now, on CLOCK_BOOTTIME: never set back, and it counts the time asleep."""
    return Instant(time.clock_gettime(time.CLOCK_BOOTTIME))


def monotonic() -> Instant:
    """Now, on CLOCK_MONOTONIC, which does not count the time asleep: for what nobody could do meanwhile."""
    return Instant(time.monotonic())


def wall() -> float:
    """Seconds since 1970 by the wall clock. For display only: it can be set back."""
    return time.clock_gettime(time.CLOCK_REALTIME)


@cache
def boot_id() -> str:
    """The random name of this boot; instants and pidfs inodes mean nothing in another."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def offset_of_wall(instant: float) -> int:
    """Seconds by which local time is ahead of Greenwich at an instant (since 1970)."""
    return time.localtime(instant).tm_gmtoff


def read_zone_again() -> None:
    """Somebody may have given this machine another time zone."""
    time.tzset()


class Timer:
    """A descriptor that becomes readable at an instant of the boot clock (timerfd, Linux 2.6.25, on BOOTTIME 3.15)."""

    _clock, _flags = abi.CLOCK_BOOTTIME, _TFD_TIMER_ABSTIME

    def __init__(self) -> None:
        self._fd = abi.call("timerfd_create", self._clock, _TFD_FLAGS)

    def fileno(self) -> int:
        """The descriptor, for epoll; it stays the timer's."""
        return self._fd

    def arm(self, when: float | None) -> None:
        """Become readable at, and not before, an instant; at once when it has passed; None: never."""
        # One nanosecond on, so that rounding never wakes anybody early, and zero, which disarms, is never said.
        seconds, nanoseconds = (0, 0) if when is None else divmod(max(0, int(when * 1e9)) + 1, 1_000_000_000)
        abi.call("timerfd_settime", self._fd, self._flags, _ITIMERSPEC.pack(0, 0, seconds, nanoseconds), None)

    def drain(self) -> None:
        """Take the expiry, so that the descriptor is no longer readable."""
        try:
            os.read(self._fd, 8)
        except BlockingIOError:
            pass

    def close(self) -> None:
        """Close the descriptor; harmless when closed already."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class WallTimer(Timer):
    """The same on the wall clock; it becomes readable, too, when that clock is set (Linux 3.0), as after a suspend."""

    _clock, _flags = time.CLOCK_REALTIME, _TFD_TIMER_ABSTIME | _TFD_TIMER_CANCEL_ON_SET

    def arm(self, when: float | None) -> None:
        """As ``Timer.arm``."""
        try:
            super().arm(when)
        except OSError as error:  # armed all the same, says the kernel, and the clock was set before
            if error.errno != errno.ECANCELED:
                raise

    def drain(self) -> None:
        """Take the expiry, or the news that the clock was set."""
        try:
            super().drain()
        except OSError as error:
            if error.errno != errno.ECANCELED:
                raise
