"""The state of workers, kept up to date by the supervisor's events: asked for all once, then for those that change."""

import time
from collections.abc import Iterable
from typing import Any, NamedTuple

from pidward.cli.ask import explained
from pidward.cli.changes import Changes
from pidward.control.client import CallFailed, Client


class Row(NamedTuple):
    """One worker. ``born``: when its process started, on CLOCK_BOOTTIME; None: it has none."""

    name: str
    phase: str
    process: str | None
    restarts: int
    born: float | None
    as_wanted: bool


def boottime() -> float:
    """Seconds since boot, as the supervisor counts them."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Observed:
    """The rows of some workers, in order of the file.

    Args:
        client: to ask; borrowed.
        changes: tell when to ask again; begun before the first question.
        targets: services or workers; empty: all.
    """

    def __init__(self, client: Client, changes: Changes, targets: list[str]) -> None:
        self._client, self._changes, self._targets = client, changes, targets
        self.rows: dict[str, Row] = {}
        self.about: dict[str, Any] = {}
        self._ask_all()

    def fileno(self) -> int:
        """The descriptor, to wait until ``update`` has something to do."""
        return self._changes.fileno()

    def update(self) -> bool:
        """Take in what has happened; whether that was anything. Raises as the client does."""
        names = {event["worker"] for event in self._changes.take()} - {""}
        if not names:
            return False
        if not names <= self.rows.keys():  # a new one, or somebody else's
            self._ask_all()
            return True
        try:
            fresh, _ = self._ask(sorted(names))
        except CallFailed:  # one of them was removed
            self._ask_all()
            return True
        if len(fresh) < len(names):
            self._ask_all()
        self.rows.update(fresh)
        return True

    def _ask_all(self) -> None:
        try:
            self.rows, self.about = self._ask(self._targets)
        except CallFailed as error:
            raise explained(error) from None

    def _ask(self, targets: Iterable[str]) -> tuple[dict[str, Row], dict[str, Any]]:
        answer: dict[str, Any] = self._client.call("Status", {"targets": list(targets)})
        now = boottime()
        return {worker["name"]: _row(worker, now) for worker in answer["workers"]}, answer["supervisor"]


def _row(worker: dict[str, Any], now: float) -> Row:
    uptime = worker["uptime"]
    born = None if uptime is None else now - float(uptime)
    return Row(worker["name"], worker["phase"], worker["process"], worker["restarts"], born, worker["as_wanted"])
