"""``pidward status --watch``: the table again whenever something happens, in place on a terminal."""

import os
import sys
import time
from collections.abc import Callable, Iterable
from select import POLLIN, poll

from pidward.cli.ask import Asking
from pidward.cli.changes import Changes, Event, Resizes
from pidward.cli.failure import OK
from pidward.cli.here import Here
from pidward.control.client import Client

SOONEST = 0.2
"""Seconds between two tables; what happens meanwhile is shown together."""
_HOME, _END_OF_LINE, _END_OF_SCREEN = "\x1b[H", "\x1b[K", "\x1b[J"
_NO_WRAP, _WRAP = "\x1b[?7l", "\x1b[?7h"

Show = Callable[[Here, Client, list[str]], tuple[str, bool]]


def watch(here: Here, targets: list[str], show: Show) -> int:
    """Show until ^C, which ends it with 0. In a pipe each table follows the one before."""
    with Asking(here) as listener, Asking(here) as client:
        changes = Changes(listener)
        is_screen = sys.stdout.isatty() and not here.json and os.environ.get("TERM") != "dumb"
        resizes = Resizes() if is_screen else None
        try:
            if is_screen:
                _write(_NO_WRAP + _HOME + _END_OF_SCREEN)
            _repeat(lambda: show(here, client, targets)[0], changes, targets, resizes, here.json)
        except KeyboardInterrupt:
            pass
        finally:
            if resizes is not None:
                resizes.close()
                _write(_WRAP)
    return OK


def _repeat(show: Callable[[], str], changes: Changes, targets: list[str], resizes: Resizes | None, json: bool) -> None:
    waiting = poll()
    waiting.register(changes, POLLIN)
    if resizes is not None:
        waiting.register(resizes, POLLIN)
    begun = time.monotonic()
    _write(_placed(show()) if resizes is not None else show())
    while True:
        ready = {fd for fd, _ in waiting.poll()}
        if resizes is not None and resizes.fileno() in ready:
            resizes.take()
            _write(_placed(show()))
        if changes.fileno() in ready:
            poll().poll(max(0.0, begun + SOONEST - time.monotonic()) * 1000)
            begun = time.monotonic()
            if any(_concerns(event, targets) for event in changes.take()):
                _write(_placed(show()) if resizes is not None else show() if json else "\n" + show())


def _concerns(event: Event, targets: Iterable[str]) -> bool:
    worker = str(event["worker"])
    return not targets or not worker or worker in targets or worker.rpartition("/")[0] in targets


def _placed(page: str) -> str:
    """The page over the one before, cut to the height of the screen."""
    size = os.get_terminal_size(sys.stdout.fileno())
    lines = page.splitlines()
    room = size.lines - 1 if size.lines else len(lines)
    if len(lines) > room:
        hidden = len(lines) - max(0, room - 1)
        lines = [*lines[: max(0, room - 1)], f"... and {hidden} more; a larger screen or names show them"]
    return _HOME + "".join([line + _END_OF_LINE + "\n" for line in lines]) + _END_OF_SCREEN


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
