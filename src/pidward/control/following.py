"""A stream of events that starts in the past and goes on into the present, with nothing missing and nothing twice."""

from collections.abc import Callable

from pidward.runtime.desk import EventRow


class Follower:
    """First reads what is remembered, page by page as the reader takes it; then passes on what happens.

    Args:
        read: the next page of remembered events after a seq, oldest first; empty when there are none.
        since: start after this seq; below 0 with that many of the newest.
        send: pass on; called at once with the first page, also when that is empty.
        later: call back when the loop has done what is urgent.
    """

    def __init__(
        self,
        read: Callable[[int], list[EventRow]],
        since: int,
        send: Callable[[list[EventRow]], None],
        later: Callable[[Callable[[], None]], None],
    ) -> None:
        self._read, self._since, self._send, self._later = read, since, send, later
        self._started = self._live = False
        self._new: list[EventRow] = []

    def catch_up(self) -> None:
        """Send the next page, unless the present is reached. Call again whenever the reader has taken it."""
        if self._live:
            return
        rows = self._read(self._since)
        self._live = not rows
        if rows:
            self._since = rows[-1].seq
        if rows or not self._started:
            self._started = True
            self._send(rows)

    def happened(self, row: EventRow) -> None:
        """Take a new event. Before the present is reached it is left for a page to bring."""
        if self._live and row.seq > self._since:
            self._since = row.seq
            if not self._new:
                self._later(self._flush)
            self._new.append(row)

    def _flush(self) -> None:
        rows, self._new = self._new, []
        self._send(rows)
