"""``pidward logs``: what workers wrote, read from the files.

Where these are, the supervisor says when one runs, and else the configuration; so none needs to run.
"""

import os
import re
import select
import signal
import sys
from argparse import SUPPRESS, ArgumentParser
from collections import deque
from collections.abc import Iterable
from time import CLOCK_REALTIME, clock_gettime_ns
from typing import Any, NamedTuple

from pidward.cli.ask import Asking, supervisor_of
from pidward.cli.failure import FAILED, OK, USAGE, Failure
from pidward.cli.here import Here
from pidward.cli.moment import HELP, parse_moment
from pidward.cli.paths import NO_FILE, configuration_of, state_dir_of
from pidward.cli.screen import paint, stamp
from pidward.config.errors import ConfigError
from pidward.config.load import load
from pidward.control.jsontext import encode
from pidward.core.model import WorkerName
from pidward.core.spec import Configuration, LogMode, LogPolicy
from pidward.logs.display import printable
from pidward.logs.layout import log_dir
from pidward.logs.reader import Follower, Line, Source, last_lines, lines_since, sources, workers_in
from pidward.runtime.foreign import KernelError, open_process

DEFAULT_COUNT = 100
MAX_RECENT = 1000
"""Lines that a viewer shows from before it began, while it was starting itself."""
COLOURS = ("36", "32", "35", "33", "34", "96", "92", "95", "93", "94")
STDERR_COLOUR = "31"
KEPT = (LogMode.FILE, LogMode.STREAM)


def options(parser: ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("targets", nargs="*", metavar="SERVICE", help="services or workers, like web/2 (default: all)")
    parser.add_argument("-f", "--follow", action="store_true", help="go on as they write; ^C ends it")
    parser.add_argument(
        "-n", "--lines", type=int, metavar="N",
        help=f"the newest N lines (default: {DEFAULT_COUNT}; all, when --since, --until or --grep chooses)",
    )  # fmt: skip
    parser.add_argument("--since", metavar="TIME", help=f"lines of this time or later: {HELP}")
    parser.add_argument("--until", metavar="TIME", help="lines of this time or earlier")
    parser.add_argument("--grep", metavar="REGEX", help="lines in which this is found (Python's re)")
    parser.add_argument("-i", "--ignore-case", action="store_true", help="--grep does not look at case")
    parser.add_argument("--raw", action="store_true", help="the bytes as they were written, without time and worker")
    parser.add_argument("--attached", metavar="SUPERVISOR", help=SUPPRESS)  # be the viewer of its foreground
    parser.add_argument("--since-ns", type=int, default=0, help=SUPPRESS)


def run(here: Here, given: Any) -> int:
    """Print lines, oldest first."""
    wanted = _wanted(given)
    of = _chosen(here, given.targets, is_viewer=given.attached is not None)
    printer = Printer(here, of, given.raw)
    if given.attached is not None:
        _view(of, given.attached, given.since_ns, printer)
    elif given.follow:
        _follow(of, wanted, printer)
    elif wanted.is_plain:
        printer.show(last_lines(of, wanted.limit or 0))
    else:
        printer.show(wanted.newest(lines_since(of, wanted.since_ns)))
    return OK


class Wanted(NamedTuple):
    """Which lines; limit None: all of them."""

    limit: int | None
    since_ns: int
    until_ns: int | None
    pattern: re.Pattern[str] | None

    @property
    def is_plain(self) -> bool:
        """Just the newest."""
        return not self.since_ns and self.until_ns is None and self.pattern is None

    def fits(self, line: Line) -> bool:
        """This line is wanted."""
        if line.wall_ns < self.since_ns or (self.until_ns is not None and line.wall_ns > self.until_ns):
            return False
        return self.pattern is None or self.pattern.search(line.data.decode("utf-8", "backslashreplace")) is not None

    def newest(self, lines: Iterable[Line]) -> Iterable[Line]:
        """The wanted of some lines, or the last of them."""
        fitting = filter(self.fits, lines)
        return fitting if self.limit is None else deque(fitting, self.limit)


def _wanted(given: Any) -> Wanted:
    if given.lines is not None and given.lines < 0:
        raise Failure(USAGE, "-n counts from 0")
    if given.until is not None and given.follow:
        raise Failure(USAGE, "--until and --follow exclude each other: one ends before the other begins")
    now = clock_gettime_ns(CLOCK_REALTIME)
    try:
        since, until = (parse_moment(text, now) if text is not None else None for text in (given.since, given.until))
        pattern = re.compile(given.grep, re.IGNORECASE if given.ignore_case else 0) if given.grep is not None else None
    except ValueError as error:
        raise Failure(USAGE, str(error)) from None
    except re.error as error:
        raise Failure(USAGE, f"--grep {given.grep!r} is no regular expression: {error}") from None
    chooses = given.since is not None or until is not None or pattern is not None
    limit = given.lines if given.lines is not None or chooses else DEFAULT_COUNT
    return Wanted(limit, since or 0, until, pattern)


def _chosen(here: Here, targets: list[str], is_viewer: bool) -> list[Source]:
    places = (None if is_viewer else _places_of_running(here)) or _places_in_file(here)
    found = [] if is_viewer else _left_behind(places)
    _check_names(places, [name for name, _ in found], targets)
    chosen: list[Source] = []
    for name, policy in [*places.workers.items(), *found]:
        if targets and name.service not in targets and str(name) not in targets:
            continue
        if policy.mode in KEPT:
            chosen += sources(places.state_dir, name, policy)
        elif targets:
            where = "is not kept" if policy.mode is LogMode.NONE else "goes where pidward itself writes"
            here.say(f"pidward: {name}: what it writes {where}: its logs have mode {policy.mode.value}")
    return chosen


class Places(NamedTuple):
    """Where logs are."""

    state_dir: str
    workers: dict[WorkerName, LogPolicy]
    services: frozenset[str]


def _places_of_running(here: Here) -> Places | None:
    """Those of the supervisor that answers; None when none does."""
    try:
        with Asking(here) as client:
            about = supervisor_of(client)
            table = str(client.call("Table", {})["table"])
    except Failure as failure:
        if failure.status == FAILED:
            raise
        return None
    state_dir = str(about["state_dir"])
    try:
        return _places(state_dir, load(str(about["config"])))
    except ConfigError:  # written anew, and wrong; what runs is known all the same
        names = [WorkerName.parse(line.partition("\t")[0]) for line in table.splitlines()]
        return Places(state_dir, dict.fromkeys(names, LogPolicy()), frozenset(name.service for name in names))


def _places_in_file(here: Here) -> Places:
    path = configuration_of(here)
    if path is None:
        raise Failure(USAGE, NO_FILE)
    try:
        configuration = load(path)
    except ConfigError as error:
        raise Failure(USAGE, f"{error}\n{path} is not valid, and where logs are is said there") from None
    return _places(configuration.settings.state_dir or state_dir_of(here), configuration)


def _places(state_dir: str, configuration: Configuration) -> Places:
    services = configuration.services
    workers = {WorkerName(s.name, number): s.logs for s in services for number in range(1, s.workers + 1)}
    return Places(state_dir, workers, frozenset(service.name for service in services))


def _left_behind(places: Places) -> list[tuple[WorkerName, LogPolicy]]:
    """Workers that are not configured any more, or that keep no logs any more, and whose files are there.

    The default directory holds nothing but our logs; in one that was chosen only the names of services are ours.
    """
    kept = {name for name, policy in places.workers.items() if policy.mode in KEPT}
    found: dict[WorkerName, LogPolicy] = {}
    for chosen in {None} | {policy.dir for policy in places.workers.values()}:
        for name in workers_in(log_dir(places.state_dir, chosen)):
            if name not in kept and (chosen is None or name.service in places.services):
                found[name] = LogPolicy(dir=chosen)
    return sorted(found.items())


def _check_names(places: Places, found: list[WorkerName], targets: list[str]) -> None:
    workers = [*places.workers, *found]
    known = places.services | {name.service for name in workers} | {str(name) for name in workers}
    for target in targets:
        if target not in known:
            from difflib import get_close_matches

            close = get_close_matches(target, sorted(known), n=2)
            hint = f"; did you mean {' or '.join(close)}?" if close else ""
            raise Failure(USAGE, f"no service or worker is named {target!r}{hint}")


def _follow(of: list[Source], wanted: Wanted, printer: "Printer") -> None:
    follower = Follower(of)
    printer.show(
        follower.last(wanted.limit or 0) if wanted.is_plain else wanted.newest(follower.since(wanted.since_ns))
    )
    poll = select.poll()
    poll.register(follower.fileno(), select.POLLIN)
    while True:
        printer.show(filter(wanted.fits, follower.read()))
        poll.poll(follower.patience_ms)


def _view(of: list[Source], supervisor: str, since_ns: int, printer: "Printer") -> None:
    """Show what has come since an instant, until SIGTERM or the end of the supervisor, and then the rest."""
    told, teller = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(teller)
    signal.signal(signal.SIGTERM, lambda _number, _frame: None)
    follower = Follower(of)
    poll = select.poll()
    poll.register(follower.fileno(), select.POLLIN)
    poll.register(told, select.POLLIN)
    try:
        process = open_process(supervisor)
    except KernelError:
        os.write(teller, b"x")  # it has ended already
    else:
        poll.register(process, select.POLLIN)
    printer.show(line for line in follower.last(MAX_RECENT) if line.wall_ns >= since_ns)
    while True:
        ready = dict(poll.poll(follower.patience_ms))
        printer.show(follower.read())
        if ready.keys() - {follower.fileno()}:
            return


class Printer:
    """Writes lines with their time and their worker before them, or raw.

    Nothing that a worker wrote can play with a terminal: not with ours, and not with the one on which somebody looks
    later at what we wrote into a file. Only what was asked for raw is raw, and that only where no terminal is.
    """

    def __init__(self, here: Here, of: list[Source], is_raw: bool = False) -> None:
        self._json, self._is_raw = here.json, is_raw
        self._colours = here.paints(sys.stdout)
        workers = dict.fromkeys(source.worker for source in of)
        self._colour = {worker: COLOURS[place % len(COLOURS)] for place, worker in enumerate(workers)}
        self._width = max((len(str(worker)) for worker in workers), default=0)

    def show(self, lines: Iterable[Line]) -> None:
        """Write them, and out at once."""
        if self._is_raw and not self._json and not sys.stdout.isatty():
            sys.stdout.flush()
            sys.stdout.buffer.writelines(line.data + b"\n" for line in lines)
            sys.stdout.buffer.flush()
            return
        write = sys.stdout.write
        for line in lines:
            write(self._as_json(line) if self._json else self._as_text(line))
        sys.stdout.flush()

    def _as_json(self, line: Line) -> str:
        text = line.data.decode("utf-8", "backslashreplace")
        source = line.source
        return encode({
            "schema_version": 1, "wall": line.wall_ns / 1e9, "worker": str(source.worker), "stream": source.stream,
            "text": text,
        }) + "\n"  # fmt: skip

    def _as_text(self, line: Line) -> str:
        if self._is_raw:
            return f"{printable(line.data)}\n"
        when = stamp(line.wall_ns)
        name = str(line.source.worker).ljust(self._width)
        bar = "|" if line.source.stream == "out" else "!"
        if not self._colours:
            return f"{when} {name} {bar} {printable(line.data)}\n"
        colour = self._colour[line.source.worker]
        bar_colour = colour if bar == "|" else STDERR_COLOUR
        return f"{when} {paint(name, colour)} {paint(bar, bar_colour)} {printable(line.data)}\n"
