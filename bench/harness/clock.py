"""The clock that workers stamp their records with."""

import time


def now_ns() -> int:
    """CLOCK_MONOTONIC_RAW in nanoseconds: never slewed, comparable with the records of ``bin/worker``."""
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)
