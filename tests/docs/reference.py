"""Writes what the code's own tables say into pages: ``python -m tests.docs.reference``; a test compares.

Between ``<!-- begin: NAME ... -->`` and ``<!-- end -->``; all around it is written by hand.
"""

import re
from collections.abc import Callable, Iterable
from pathlib import Path

from pidward.cli import failure
from pidward.cli.table import COMMANDS
from pidward.control.interface import DESCRIPTIONS, VARLINK_NAME
from pidward.kernel.features import FEATURES

DOCS = Path(__file__).parents[2] / "docs"
PART = re.compile(r"(<!-- begin: (\w+); [^\n]* -->\n)(.*?)(<!-- end -->)", re.DOTALL)
MEANINGS = {
    "OK": "it is done, or as it should be",
    "FAILED": "it could not be done, or not in time",
    "USAGE": "wrong usage, no such name, or a configuration that is not valid; nothing was done",
    "NOT_RUNNING": "there is no process to act on; with `status`, something is not as it should be",
    "DENIED": "not allowed",
    "UNREACHABLE": "no supervisor answers",
    "INTERRUPTED": "ended by ^C",
    "PIPE_CLOSED": "whoever read the output has gone",
}


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def commands() -> str:
    """Each command in a line."""
    return table(
        ("command", "does"),
        [(f"[{name}](../commands/{name}.md)", about[0].upper() + about[1:]) for name, (_, about) in COMMANDS.items()],
    )


def statuses() -> str:
    """The exit statuses that commands share."""
    numbers = {name: value for name, value in vars(failure).items() if name.isupper() and isinstance(value, int)}
    return table(("status", "means"), [(str(value), MEANINGS[name]) for name, value in numbers.items()])


def control() -> str:
    """The interfaces of the control socket."""
    ours = [name for name in DESCRIPTIONS if name != VARLINK_NAME]
    return "".join(f"```text\n{DESCRIPTIONS[name].rstrip()}\n```\n" for name in ours)


def rungs() -> str:
    """What is used where a kernel facility is missing."""
    rows = [(f"`{one.name}`", one.since, one.purpose, one.without) for one in FEATURES]
    return table(("facility", "Linux", "wanted", "without it"), rows)


PARTS: dict[str, Callable[[], str]] = {
    "commands": commands, "statuses": statuses, "control": control, "rungs": rungs,
}  # fmt: skip


def pages() -> list[Path]:
    """Those that have such parts."""
    return [page for page in DOCS.rglob("*.md") if PART.search(page.read_text())]


def refreshed(page: str) -> str:
    """A page with its parts as the code has them now."""
    return PART.sub(lambda found: f"{found[1]}\n{PARTS[found[2]]()}\n{found[4]}", page)


def main() -> None:
    """Write them."""
    for page in pages():
        page.write_text(refreshed(page.read_text()))


if __name__ == "__main__":
    main()
