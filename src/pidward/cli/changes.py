"""What happens from now on, for screens that stay: taken when it has come, so that they may wait for keys as well."""

import os
import signal
from typing import Any

from pidward.control.client import Client

Event = dict[str, Any]


class Changes:
    """The supervisor's events, from the making of this on. Whatever is asked after that is not older.

    Args:
        client: a connection for this alone; borrowed. Errors are its own.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._answers = client.stream("Events", {"since": -1, "follow": True})
        next(self._answers)  # what was

    def fileno(self) -> int:
        """The descriptor, to wait for."""
        return self._client.fileno()

    def take(self) -> list[Event]:
        """All that has come, without waiting; raises Unreachable when the supervisor has left."""
        events: list[Event] = []
        while self._client.has_news():
            page = next(self._answers)["events"]
            assert isinstance(page, list)
            events += page
        return events


class Resizes:
    """Tells of changes of the terminal's size. One at a time: it takes the signal for itself until closed."""

    def __init__(self) -> None:
        self._ours, theirs = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._theirs = theirs
        self._wakeup = signal.set_wakeup_fd(theirs, warn_on_full_buffer=False)
        self._before = signal.signal(signal.SIGWINCH, lambda _number, _frame: None)

    def fileno(self) -> int:
        """The descriptor, to wait for; it tells of any signal, so look at the size."""
        return self._ours

    def take(self) -> None:
        """Forget what was told so far."""
        try:
            os.read(self._ours, 4096)
        except BlockingIOError:
            pass

    def close(self) -> None:
        """Let others have the signal."""
        signal.signal(signal.SIGWINCH, self._before)
        signal.set_wakeup_fd(self._wakeup)
        os.close(self._ours)
        os.close(self._theirs)
