"""What pidward recorded, followed as it happens over the control socket."""

from collections.abc import Generator, Iterator
from typing import Any

from pidward.control.client import Client, Unreachable
from pidward.core.units import Instant
from pidward.demo.story import Story, Unmet
from pidward.kernel.clock import boottime, wall

Event = dict[str, Any]

_GAVE_UP = ("failed", "completed", "slow-lane")


class Record:
    """The events of one supervisor, from its first on.

    patience: seconds without any event after which waiting for one is given up.
    """

    def __init__(self, socket: str, patience: float) -> None:
        self._socket, self._patience = socket, patience
        self._seen: list[Event] = []
        self._stream = self._follow()

    def wait_phase(self, worker: str, phase: str, since: int) -> Event:
        """Wait until a worker enters a phase, in an event after the number ``since``.

        Raises:
            Unmet: it did not, or it gave up.
        """
        for event in self._all():
            after = event["data"].get("after") if _is_later(event, worker, since) else None
            if after == phase:
                return event
            if after in _GAVE_UP:
                raise Unmet(f"{worker} did not become {phase}: {event['text']}")
        raise Unmet(f"{worker} did not become {phase} within {self._patience:.0f} s")

    def when(self, worker: str, since: int, phase: str = "") -> Instant | None:
        """When a worker first entered a phase, or any, after ``since``; None: not, of what was waited for."""
        to_boot = boottime() - wall()
        for event in self._seen:
            if _is_later(event, worker, since) and phase in ("", event["data"].get("after")):
                return Instant(event["wall"] + to_boot)
        return None

    def tell(self, story: Story, worker: str, since: int, start: Instant | None = None) -> None:
        """Pass on what was recorded about a worker after ``since`` and was waited for, timed from ``start``."""
        to_boot = boottime() - wall()
        for event in self._seen:
            if _is_later(event, worker, since):
                at = None if start is None else event["wall"] + to_boot - start
                story.saw(event["text"], at)

    def close(self) -> None:
        """Follow no longer."""
        self._stream.close()

    def _all(self) -> Iterator[Event]:
        """Those that are known, then those that come; ends when nothing comes any more."""
        yield from self._seen
        try:
            for event in self._stream:
                self._seen.append(event)
                yield event
        except Unreachable:
            self._stream = self._follow()

    def _follow(self) -> Generator[Event, None, None]:
        since = self._seen[-1]["seq"] if self._seen else 0
        with Client(self._socket) as client:
            for answer in client.stream("Events", {"since": since, "follow": True}, patience=self._patience):
                events = answer["events"]
                assert isinstance(events, list)
                yield from events


def _is_later(event: Event, worker: str, since: int) -> bool:
    return bool(event["worker"] == worker and event["seq"] > since)
