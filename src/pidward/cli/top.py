"""``pidward top``: what workers use, live; without a terminal one table."""

import resource
import sys
from argparse import ArgumentParser
from collections.abc import Iterable
from select import poll
from typing import Any

from pidward.cli.ask import Asking
from pidward.cli.changes import Changes
from pidward.cli.failure import OK, USAGE, Failure
from pidward.cli.here import Here
from pidward.cli.observed import Observed, Row, boottime
from pidward.cli.toptable import (
    KEYS,
    NOTHING,
    Numbers,
    cells,
    machine_line,
    ordered,
    summary,
    table,
)
from pidward.control.client import Client
from pidward.control.jsontext import encode
from pidward.core.units import parse_duration
from pidward.runtime.meter import Meter, proportional_bytes

LEAST_INTERVAL = 0.1


def options(parser: ArgumentParser) -> None:
    """Add the arguments."""
    names = [key.name for key in KEYS]
    parser.add_argument("targets", nargs="*", metavar="SERVICE", help="services or workers, like web/2 (default: all)")
    parser.add_argument("--sort", choices=names, default="name", help="begin sorted by this (default: name)")
    parser.add_argument(
        "--pss", action="store_true", help="show PSS instead of RSS: exact where memory is shared, dear"
    )
    parser.add_argument("--interval", default="2s", metavar="TIME", help="between two looks (default: %(default)s)")
    parser.add_argument("--once", action="store_true", help="print one table and end, as it is without a terminal")
    parser.epilog = (
        "keys: q ends; n c m p f r u sort by name, cpu, memory, pressure, refaults, restarts, uptime; R the other way\n"
        "round; / filters by name or phase; s changes between RSS and PSS; arrows and page keys move\n\n"
        "exit status: 0 ended, 2 no such name, 7 no supervisor runs or it has ended"
    )


def run(here: Here, given: Any) -> int:
    """Watch, or look once."""
    interval = _interval(given.interval)
    _allow_descriptors()
    is_seen = sys.stdin.isatty() and sys.stdout.isatty() and not (given.once or here.json)
    with Asking(here) as client, Asking(here) as listener:
        observed = Observed(client, Changes(listener), given.targets)
        sight = Sight(observed, Meter(), given.pss)
        try:
            if is_seen:
                from pidward.cli.topscreen import show

                show(sight, given.sort, interval, here.paints(sys.stdout))
            else:
                sight.look(everything=True)
                _wait(listener, min(interval, 1.0))
                sight.look(everything=True)
                print(_document(sight) if here.json else _page(sight, given.sort), end="")
        finally:
            sight.meter.close()
    return OK


class Sight:
    """What there is to be seen: the workers' state and their numbers.

    wants: what to read beside CPU and RSS, and of whom.
    """

    def __init__(self, observed: Observed, meter: Meter, pss: bool) -> None:
        self.observed, self.meter, self.pss = observed, meter, pss
        self.numbers: dict[str, Numbers] = {}
        self.now = boottime()
        self._follow()

    def catch_up(self) -> bool:
        """Take in what has happened; whether that was anything."""
        happened = self.observed.update()
        if happened:
            self._follow()
        return happened

    def look(self, *, everything: bool = False) -> None:
        """Read CPU and RSS of all, and with ``everything`` the rest, too."""
        self.now = boottime()
        self.meter.look(self.now)
        before = self.numbers
        self.numbers = {}
        for name, held in self.meter.held.items():
            known = before.get(name, NOTHING)
            if known.cpu != held.cpu or known.rss != held.rss:
                known = Numbers(held.cpu, held.rss, known.pss, known.pressure, known.refaults)
            self.numbers[name] = known
        if everything:
            self.look_closely(self.numbers)

    def look_closely(self, names: Iterable[str]) -> None:
        """Read what costs more, of some."""
        for name in list(names):
            held, numbers = self.meter.held.get(name), self.numbers.get(name)
            if held is not None and numbers is not None:
                pss = proportional_bytes(held.process) if self.pss else None
                self.numbers[name] = Numbers(numbers.cpu, numbers.rss, pss, held.pressure(), held.refaults())

    def _follow(self) -> None:
        rows = self.observed.rows.values()
        self.meter.follow({row.name: row.process for row in rows if row.process is not None})
        self.numbers = {name: one for name, one in self.numbers.items() if name in self.meter.held}


def _interval(text: str) -> float:
    try:
        interval = parse_duration(text)
    except ValueError as error:
        raise Failure(USAGE, f"--interval: {error}") from None
    if interval < LEAST_INTERVAL:
        raise Failure(USAGE, f"--interval: at least {LEAST_INTERVAL:g} s, got {text!r}")
    return interval


def _allow_descriptors() -> None:
    """One is held for each worker."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _wait(listener: Client, seconds: float) -> None:
    """Let the time pass in which the processors' time is counted; what happens meanwhile comes too late."""
    waiting = poll()
    waiting.register(listener.fileno(), 0)
    waiting.poll(seconds * 1000)


def _page(sight: Sight, sort: str) -> str:
    key = next(key for key in KEYS if key.name == sort)
    rows = ordered(list(sight.observed.rows.values()), sight.numbers, key, reverse=False)
    lines = [
        summary(sight.observed.about["instance"], rows, sight.numbers),
        machine_line(sight.meter.machine()),
        *table([cells(row, sight.numbers.get(row.name, NOTHING), sight.now) for row in rows], sight.pss),
    ]
    return "\n".join(lines) + "\n"


def _document(sight: Sight) -> str:
    workers = [_worker(row, sight.numbers.get(row.name, NOTHING), sight.now) for row in sight.observed.rows.values()]
    return encode({"schema_version": 1, "machine": sight.meter.machine()._asdict(), "workers": workers}) + "\n"


def _worker(row: Row, numbers: Numbers, now: float) -> dict[str, object]:
    return {
        "name": row.name, "phase": row.phase, "process": row.process, "as_wanted": row.as_wanted,
        "restarts": row.restarts, "uptime": None if row.born is None else now - row.born,
        "cpu": numbers.cpu, "rss_bytes": numbers.rss, "pss_bytes": numbers.pss,
        "memory_pressure": numbers.pressure, "refaults": numbers.refaults,
    }  # fmt: skip
