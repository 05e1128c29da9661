"""What the supervisor says to a person who watches: on stderr, and never at the cost of what it does."""

import os
import select
import sys
from time import CLOCK_REALTIME, clock_gettime_ns

from pidward.cli.here import Here
from pidward.cli.screen import GREY, clock, paint, printable

STDERR = 2


class Announcer:
    """Tells on stderr what happens, each line with its time.

    It never waits and never raises: a terminal that stands still, or a pipe that is full or that nobody reads any
    more, must not hold up a restart. Lines that find no room are left out, and counted when there is room again.
    """

    def __init__(self, here: Here) -> None:
        self._colours = here.paints(sys.stderr)
        self._poll = select.poll()
        self._poll.register(STDERR, select.POLLOUT)
        self._missed = 0

    def say(self, text: str) -> None:
        """Write, if that can be done now."""
        stamp = clock(clock_gettime_ns(CLOCK_REALTIME))
        for part in text.splitlines():
            if self._missed and self._write(f"{stamp} * {self._missed} lines were left out; see `pidward events`"):
                self._missed = 0
            if self._missed or not self._write(f"{stamp} * {printable(part)}"):
                self._missed += 1

    def _write(self, line: str) -> bool:
        data = (paint(line, GREY) if self._colours else line).encode(errors="backslashreplace")
        try:
            if any(events & select.POLLOUT for _, events in self._poll.poll(0)):
                os.write(STDERR, data[: select.PIPE_BUF - 1] + b"\n")  # a pipe with room has room for this much
                return True
        except OSError:
            pass
        return False
