"""Signals to the processes of a set that the kernel lists by number, such as a cgroup.

A number is opened first and looked for in the list again: who is still listed, and whose pidfd still takes the
signal, held the number all the while. So nobody is hit who was not in the set.
"""

import os
from collections.abc import Callable, Container

from pidward.core.signals import SIGKILL
from pidward.kernel.errors import Denied, Exhausted, Gone, NotLeader
from pidward.kernel.pidfd import Pidfd

_AT_ONCE = 256  # pidfds held at a time
_MAX_LOOKS = 200


def signal_members(numbers: Callable[[], list[int]], number: int, skip: Container[int] = ()) -> set[int]:
    """Send a signal to each member but ourselves and those to skip.

    Args:
        numbers: lists the members now; called again after the pidfds were opened.
        number: the signal.
        skip: numbers to leave alone.

    Returns:
        The numbers of those who got it.

    Raises:
        Denied: some are not ours to signal; all others got it.
        Exhausted: not one descriptor is to be had.
    """
    waiting = [pid for pid in numbers() if pid not in skip and pid != os.getpid()]
    reached: set[int] = set()
    denied: Denied | None = None
    while waiting:
        held = _open_some(waiting)
        try:
            listed = set(numbers())
            for process in held:
                try:
                    if process.id.pid in listed and process.signal(number):
                        reached.add(process.id.pid)
                except Denied as error:
                    denied = error
        finally:
            for process in held:
                process.close()
    if denied is not None:
        raise denied
    return reached


def kill_members(numbers: Callable[[], list[int]]) -> None:
    """SIGKILL the members, until a look finds nobody new. Complete when the set is frozen. Raises as signal_members."""
    reached: set[int] = set()
    for _ in range(_MAX_LOOKS):
        fresh = signal_members(numbers, SIGKILL, skip=reached)
        if not fresh:
            return
        reached |= fresh


def _open_some(waiting: list[int]) -> list[Pidfd]:
    """Open processes from the end of the list, and take them off it; fewer when descriptors run out."""
    held: list[Pidfd] = []
    while waiting and len(held) < _AT_ONCE:
        try:
            held.append(Pidfd.open(waiting[-1]))
        except (Gone, NotLeader):
            pass
        except Exhausted:
            if not held:
                raise
            break
        waiting.pop()
    return held
