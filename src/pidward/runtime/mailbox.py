"""How another thread speaks to the loop."""

import os
import threading
from collections import deque
from collections.abc import Callable

from pidward.runtime.loop import READ, Loop


class Mailbox:
    """Calls posted from any thread are made in the loop's own."""

    def __init__(self, loop: Loop) -> None:
        self._calls: deque[Callable[[], None]] = deque(maxlen=1000)
        self._eventfd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._lock = threading.Lock()
        self._loop, self._watch = loop, loop.watch(self._eventfd, READ, self._opened)

    def post(self, call: Callable[[], None]) -> None:
        """Have it called soon; of calls without number that nobody could make yet, the oldest are forgotten."""
        with self._lock:
            if self._eventfd >= 0:
                self._calls.append(call)
                os.eventfd_write(self._eventfd, 1)

    def close(self) -> None:
        """Calls that were not made yet, or come later, are forgotten: a thread that hangs in the disk outlives us."""
        with self._lock:
            self._watch.close()
            os.close(self._eventfd)
            self._eventfd = -1

    def _opened(self, _events: int) -> None:
        os.eventfd_read(self._eventfd)
        while self._calls:
            self._loop.call_soon(self._calls.popleft())  # one that fails takes no other with it
