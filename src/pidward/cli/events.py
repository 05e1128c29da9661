"""``pidward events``: what happened, and with ``-f`` what happens."""

import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any

from pidward.cli.ask import Asking
from pidward.cli.failure import OK, USAGE, Failure
from pidward.cli.here import Here
from pidward.cli.screen import GREY, paint, printable, stamp
from pidward.control.client import Client
from pidward.control.jsontext import encode

DEFAULT_COUNT = 50
PAGE = 1000

Event = dict[str, Any]


def options(parser: ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("targets", nargs="*", metavar="SERVICE", help="only about these services or workers")
    parser.add_argument("-f", "--follow", action="store_true", help="go on as things happen; ^C ends it")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("-n", type=int, metavar="N", help=f"the newest N events (default: {DEFAULT_COUNT})")
    which.add_argument("--since", type=int, metavar="SEQ", help="all events after this number")


def run(here: Here, given: Any) -> int:
    """Print events, oldest first."""
    for name in ("n", "since"):
        if (getattr(given, name) or 0) < 0:
            raise Failure(USAGE, f"{'-' if name == 'n' else '--'}{name} counts from 0")
    with Asking(here) as client:
        after = given.since
        if after is None:
            after = max(0, _newest(client) - (DEFAULT_COUNT if given.n is None else given.n))
        for event in _stream(client, after, given.follow):
            if not given.targets or _concerns(event["worker"], given.targets):
                print(_line(here, event), flush=given.follow)
    return OK


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
