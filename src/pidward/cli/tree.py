"""``pidward tree``: all processes of workers, as a tree; those that got away are marked."""

import os
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any

from pidward.cli.ask import Asking
from pidward.cli.failure import OK
from pidward.cli.here import Here
from pidward.cli.screen import BOLD, GREY, YELLOW, paint, printable
from pidward.control.jsontext import encode

Member = dict[str, Any]
_ENDED = "ended, and not reaped by its parent"


def options(parser: ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="services or workers, like web/2 (default: all)")
    parser.epilog = (
        "The main process is the one that pidward supervises. `left its parent` marks processes that are not below it\n"
        "any more (daemons, or children that outlived theirs), `left the cgroup` those that moved themselves out.\n\n"
        "exit status: 0 shown, 2 no such name, 7 no supervisor runs"
    )


def run(here: Here, given: Any) -> int:
    """Show the trees."""
    with Asking(here) as client:
        answer = client.call("Tree", {"targets": given.targets})
    if here.json:
        print(encode({"schema_version": 1, **answer}))
        return OK
    trees = answer["trees"]
    assert isinstance(trees, list)
    width = os.get_terminal_size(sys.stdout.fileno()).columns if sys.stdout.isatty() else 0
    for tree in trees:
        for line in drawn(tree["worker"], tree["processes"], here.paints(sys.stdout), width):
            print(line)
    return OK


def drawn(worker: str, members: list[Member], colours: bool = False, width: int = 0) -> Iterator[str]:
    """The lines of one worker's tree. Pure.

    Args:
        worker: its name.
        members: its processes, the main process first.
        colours: paint.
        width: cut lines here; 0: nowhere.
    """
    main = next((one for one in members if one["main"]), None)
    title = worker if members else f"{worker}: no processes"
    if members and main is None:
        title += ": no main process"
    yield paint(title, BOLD) if colours else title
    by_parent: dict[int | None, list[Member]] = {}
    for one in members:
        by_parent.setdefault(one["parent"], []).append(one)
    pending = [(one, "", one is by_parent[None][-1]) for one in reversed(by_parent.get(None, ()))]
    while pending:
        one, indent, is_last = pending.pop()
        branch = indent + ("└─ " if is_last else "├─ ")
        yield _line(branch, one, colours, width)
        below = by_parent.get(_pid(one), [])
        indent += "   " if is_last else "│  "
        pending += [(child, indent, child is below[-1]) for child in reversed(below)]


def _line(branch: str, one: Member, colours: bool, width: int) -> str:
    is_dead = one["state"] in "ZXx"
    command = printable(one["command"]) or f"[{printable(one['name'])}]"
    notes = ["main"] * one["main"] + ([one["escaped"]] if one["escaped"] else []) + [_ENDED] * is_dead
    note = f"  ({'; '.join(notes)})" if notes else ""
    room = width - len(branch) - len(one["process"]) - len(note) - 2
    if width and len(command) > max(room, 1):
        command = command[: max(room, 2) - 1] + "…"
    if not colours:
        return f"{branch}{one['process']}  {command}{note}"
    marked = paint(note, YELLOW if one["escaped"] or is_dead else BOLD) if note else ""
    return f"{branch}{paint(one['process'], GREY)}  {command}{marked}"


def _pid(one: Member) -> int:
    return int(str(one["process"]).partition(":")[0])
