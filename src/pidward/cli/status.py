"""``pidward status``. The plain form is lean: it imports nothing that Python has not imported already."""

import os
import sys

from pidward.cli.ask import Asking
from pidward.cli.failure import NOT_RUNNING, OK
from pidward.cli.resident import resident_bytes
from pidward.cli.screen import BOLD, PHASE_COLOURS, YELLOW, columns, paint, printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser
    from typing import Any

    from pidward.cli.here import Here
    from pidward.control.client import Client

HEADER = ["WORKER", "PHASE", "READY", "PID:INODE", "UPTIME", "RESTARTS", "RSS", "LAST EXIT", "REASON"]
_PHASE, _RIGHT = 1, (4, 5, 6)


def options(parser: "ArgumentParser") -> None:
    """Add the arguments."""
    parser.add_argument("targets", nargs="*", metavar="SERVICE", help="services or workers, like web/2 (default: all)")
    parser.add_argument("--watch", action="store_true", help="show it again whenever something happens; ^C ends it")
    parser.epilog = "exit status: 0 all is as wanted (or --watch was ended), 3 something is not, 7 no supervisor runs"


def run(here: "Here", given: "Any") -> int:
    """Show workers. 3 when something is not as wanted."""
    if given.watch:
        from pidward.cli.watching import watch

        return watch(here, given.targets, show)
    with Asking(here) as client:
        text, is_as_wanted = show(here, client, given.targets)
    sys.stdout.write(text)
    return OK if is_as_wanted else NOT_RUNNING


def show(here: "Here", client: "Client", targets: list[str]) -> tuple[str, bool]:
    """The page or the document as it is now, and whether all is as wanted."""
    if here.json:
        return _document(client.call("Status", {"targets": targets}))
    answer = client.call("Table", {"targets": targets})
    rows = [line.split("\t") for line in str(answer["table"]).splitlines()]
    empty, trouble = answer["without_workers"], answer["trouble"]
    assert isinstance(empty, list)
    assert isinstance(trouble, list)
    notes = [f"{service}: no workers (workers = 0)" for service in empty]
    if not rows and not notes:
        notes = ["no services are configured"]
    notes += [f"supervisor: {printable(str(sentence))}" for sentence in trouble]
    return _page(rows, notes, here.paints(sys.stdout)), all(row[-1] == "1" for row in rows)


def _document(answer: dict[str, object]) -> tuple[str, bool]:
    from pidward.control.jsontext import encode

    workers = answer["workers"]
    assert isinstance(workers, list)
    for worker in workers:
        worker["rss_bytes"] = None if worker["process"] is None else resident_bytes(worker["process"])
    return encode({"schema_version": 1, **answer}) + "\n", all(worker["as_wanted"] for worker in workers)


def _page(rows: list[list[str]], notes: list[str], colours: bool) -> str:
    lines = [HEADER, *map(_cells, rows)]
    filled = columns(lines, _RIGHT)
    if sys.stdout.isatty():
        _cut_reasons(filled, os.get_terminal_size(sys.stdout.fileno()).columns)
    if colours:
        for row, cells in zip(rows, filled[1:], strict=True):
            cells[_PHASE] = paint(cells[_PHASE], PHASE_COLOURS.get(row[1], BOLD))
        filled[0][0] = f"\x1b[{BOLD}m{filled[0][0]}"
        filled[0][-1] += "\x1b[0m"
    page = "".join(["  ".join(cells) + "\n" for cells in filled]) if rows else ""
    return page + "".join([(paint(note, YELLOW) if colours else note) + "\n" for note in notes])


def _cells(row: list[str]) -> list[str]:
    name, phase, process, uptime, restarts, last_exit, reason, as_wanted = row
    ready = "yes" if phase == "ready" else "no" if process != "-" or as_wanted == "0" else "-"
    rss = None if process == "-" else resident_bytes(process)
    size = "-" if rss is None else _mib(rss)
    return [name, phase, ready, process, uptime, restarts, size, last_exit, printable(reason)]


def _cut_reasons(filled: list[list[str]], width: int) -> None:
    """Shorten the last cells so that no line of the table breaks; a terminal may not know its width, and say 0."""
    room = width - sum(len(cell) + 2 for cell in filled[0][:-1])
    for cells in filled:
        if width and len(cells[-1]) > max(room, 1):
            cells[-1] = cells[-1][: max(room, 1) - 1] + "…"


def _mib(size: int) -> str:
    return f"{size / 2**20:.1f}M"
