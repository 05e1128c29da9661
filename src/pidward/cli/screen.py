"""Text on a terminal: columns and colours. Lean."""

from time import localtime, strftime

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

RED, GREEN, YELLOW, BLUE, GREY, BOLD = "31", "32", "33", "34", "90", "1"

PHASE_COLOURS = {
    "waiting": BLUE,
    "ready": GREEN,
    "running": BLUE,
    "starting": BLUE,
    "completed": GREEN,
    "stopped": GREY,
    "stopping": YELLOW,
    "killing": YELLOW,
    "backing-off": YELLOW,
    "slow-lane": RED,
    "failed": RED,
}


def paint(text: str, colour: str) -> str:
    """The text in a colour."""
    return f"\x1b[{colour}m{text}\x1b[0m"


def columns(rows: "Sequence[Sequence[str]]", right: "Iterable[int]" = ()) -> list[list[str]]:
    """Fill all cells but the last of each row with blanks, so that columns stand below each other.

    Args:
        rows: all of the same length.
        right: numbers of the columns that are aligned to the right.
    """
    flush = frozenset(right)
    filled = []
    for number, column in enumerate(zip(*rows, strict=True)):
        width = max(map(len, column))
        if number in flush:
            filled.append([cell.rjust(width) for cell in column])
        elif number < len(rows[0]) - 1:
            filled.append([cell.ljust(width) for cell in column])
        else:
            filled.append(list(column))
    return [list(row) for row in zip(*filled, strict=True)]


def clock(wall_ns: int) -> str:
    """The time of day, to the millisecond."""
    return f"{strftime('%H:%M:%S', localtime(wall_ns // 10**9))}.{wall_ns // 10**6 % 1000:03d}"


def stamp(wall_ns: int) -> str:
    """The time of day, and the date before it when that is not today's."""
    day = localtime(wall_ns // 10**9)
    return clock(wall_ns) if day[:3] == localtime()[:3] else f"{strftime('%Y-%m-%d', day)} {clock(wall_ns)}"


def printable(text: str) -> str:
    """The text without what could play with a terminal."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)
