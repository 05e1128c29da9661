"""``pidward events``: what happened, and with ``-f`` what happens."""

import sys
from argparse import ArgumentParser
from collections.abc import Iterable, Iterator
from time import CLOCK_REALTIME, clock_gettime_ns
from typing import Any

from pidward.cli.ask import Asking, explained, why_unreachable
from pidward.cli.failure import OK, UNREACHABLE, USAGE, Failure
from pidward.cli.here import Here
from pidward.cli.moment import HELP, parse_moment
from pidward.cli.paths import record_dir_of
from pidward.cli.screen import GREY, paint, printable, stamp
from pidward.control.client import CallFailed, Client
from pidward.control.jsontext import encode
from pidward.control.views import show_event

DEFAULT_COUNT = 50
PAGE = 1000
MOST = 2**31
"""Events that are read of a record that nobody serves: all."""

Event = dict[str, Any]


def options(parser: ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("targets", nargs="*", metavar="SERVICE", help="only about these services or workers")
    parser.add_argument("-f", "--follow", action="store_true", help="go on as things happen; ^C ends it")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("-n", type=int, metavar="N", help=f"the newest N events (default: {DEFAULT_COUNT})")
    which.add_argument("--since", metavar="SEQ|TIME", help=f"all after this number, or from this time on, {HELP}")


def run(here: Here, given: Any) -> int:
    """Print events, oldest first."""
    if (given.n or 0) < 0:
        raise Failure(USAGE, "-n counts from 0")
    given.since, given.wall = _since(given.since)
    record = None if given.follow else record_dir_of(here)
    why = None if record is None else why_unreachable(here)
    if record is not None and why is not None:
        return _show_past(here, given, record, why)
    with Asking(here) as client:
        unknown = _unknown(client, given.targets)
        if unknown is not None and given.follow:
            raise unknown
        after = given.since
        if after is None:
            after = max(0, _newest(client) - _count(given))
        shown = _show(here, given, _stream(client, after, given.follow))
    if unknown is not None and not shown:  # what was removed may have left events
        raise unknown
    return OK


def _since(written: str | None) -> tuple[int | None, float]:
    """The event after which, and the time from which on: seconds since 1970."""
    if written is None:
        return None, 0.0
    if written.isascii() and written.isdecimal():
        return int(written), 0.0
    try:
        return 0, parse_moment(written, clock_gettime_ns(CLOCK_REALTIME)) / 1e9
    except ValueError as error:
        raise Failure(USAGE, f"--since: {error}, or as an event's number") from None


def _count(given: Any) -> int:
    return DEFAULT_COUNT if given.n is None else int(given.n)


def _show(here: Here, given: Any, events: Iterable[Event]) -> int:
    """Print those that were asked for; returns how many there were."""
    shown = 0
    for event in events:
        if event["wall"] >= given.wall and (not given.targets or _concerns(event["worker"], given.targets)):
            shown += 1
            print(_line(here, event), flush=given.follow)
    return shown


def _show_past(here: Here, given: Any, record: str, why: str) -> int:
    """No supervisor answers: show what the last one has written down."""
    from pidward.runtime.past import NoRecord, remembered

    try:
        newest = remembered(record, -1, 1)
        count = _count(given)
        rows = remembered(record, given.since, MOST) if given.since is not None else remembered(record, -count, count)
    except NoRecord as error:
        raise Failure(UNREACHABLE, f"{why} (and there is no record to show: {error})") from None
    until = f"it ends at {stamp(int(newest[-1].wall * 1e9))}" if newest else "it is empty"
    here.say(f"pidward: {why}; this is the record in {record}: {until}")
    _show(here, given, map(show_event, rows if given.since is not None or count else []))
    return OK


def _unknown(client: Client, targets: list[str]) -> Failure | None:
    """What is wrong with the targets, if one of them is not known to the supervisor."""
    try:
        client.call("Table", {"targets": targets})
    except CallFailed as error:
        return explained(error)
    return None


def _stream(client: Client, after: int, follow: bool) -> Iterator[Event]:
    if follow:
        for answer in client.stream("Events", {"since": after, "follow": True, "limit": PAGE}):
            yield from _list(answer)
        return
    while page := _list(client.call("Events", {"since": after, "limit": PAGE})):
        yield from page
        after = page[-1]["seq"]


def _newest(client: Client) -> int:
    page = _list(client.call("Events", {"since": -1, "limit": 1}))
    return int(page[-1]["seq"]) if page else 0


def _list(answer: dict[str, object]) -> list[Event]:
    events = answer["events"]
    assert isinstance(events, list)
    return events


def _concerns(worker: str, targets: list[str]) -> bool:
    return worker in targets or worker.rpartition("/")[0] in targets


def _line(here: Here, event: Event) -> str:
    if here.json:
        return encode({"schema_version": 1, **event})
    head = f"{event['seq']:>6}  {stamp(int(event['wall'] * 1e9))}"
    return f"{paint(head, GREY) if here.paints(sys.stdout) else head}  {printable(event['text'])}"
