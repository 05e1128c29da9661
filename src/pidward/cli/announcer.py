"""What the supervisor says to a person who watches: on stderr, and never at the cost of what it does."""

import os
import select
import sys
from time import CLOCK_REALTIME, clock_gettime_ns

from pidward.cli.here import Here
from pidward.cli.screen import GREY, clock, paint, printable
from pidward.control.jsontext import encode

STDERR = 2


class Announcer:
    """Tells on stderr what happens, each line with its time, or with ``--json`` as an object.

    It never waits and never raises: a terminal that stands still, or a pipe that is full or that nobody reads any
    more, must not hold up a restart. Lines that find no room are left out, and counted when there is room again.
    """

    def __init__(self, here: Here) -> None:
        self._colours, self._json = here.paints(sys.stderr), here.json
        self._poll = select.poll()
        self._poll.register(STDERR, select.POLLOUT)
        self._missed = 0

    def say(self, text: str) -> None:
        """Write, if that can be done now."""
        now = clock_gettime_ns(CLOCK_REALTIME)
        for part in text.splitlines():
            if self._missed and self._write(now, f"{self._missed} lines were left out; see `pidward events`"):
                self._missed = 0
            if self._missed or not self._write(now, part):
                self._missed += 1

    def _write(self, now: int, text: str) -> bool:
        line = self._line(now, text)
        while len(line) >= select.PIPE_BUF:  # a pipe with room has room for this much
            text = text[: len(text) * 3 // 4]
            line = self._line(now, text)
        try:
            if any(events & select.POLLOUT for _, events in self._poll.poll(0)):
                os.write(STDERR, line + b"\n")
                return True
        except OSError:
            pass
        return False

    def _line(self, now: int, text: str) -> bytes:
        if self._json:
            return encode({"schema_version": 1, "wall": now / 1e9, "kind": "event", "text": text}).encode()
        line = f"{clock(now)} * {printable(text)}"
        return (paint(line, GREY) if self._colours else line).encode(errors="backslashreplace")
