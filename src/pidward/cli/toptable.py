"""The table of ``pidward top``: which rows, in which order, in which columns. Pure."""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from pidward.cli.observed import Row
from pidward.core.units import format_duration
from pidward.runtime.meter import Machine


class Numbers(NamedTuple):
    """What was measured of a worker; None: not known. See ``runtime.meter``."""

    cpu: float | None = None
    rss: int | None = None
    pss: int | None = None
    pressure: float | None = None
    refaults: int | None = None


NOTHING = Numbers()


TITLES = ("WORKER", "PHASE", "PID:INODE", "CPU%", "RSS", "PRESS%", "REFAULTS", "RESTARTS", "UPTIME")
LEAVES_FIRST = (6, 5, 2, 8, 7, 1)
"""Columns that go, one after the other, where there is no room; the name, CPU and memory stay."""
NUMBERS_FROM = 3
"""Columns from here on are aligned to the right."""
LEAST_NAME = 12
"""Characters of the longest name that stay before a column goes."""


class Key(NamedTuple):
    """A way to sort. ``of``: largest first; None: in order of the file."""

    letter: str
    name: str
    of: Callable[[Row, Numbers], float] | None


def _or_less(value: float | None) -> float:
    return -1.0 if value is None else value


KEYS = (
    Key("n", "name", None),
    Key("c", "cpu", lambda _, numbers: _or_less(numbers.cpu)),
    Key("m", "memory", lambda _, numbers: _or_less(numbers.rss if numbers.pss is None else numbers.pss)),
    Key("p", "pressure", lambda _, numbers: _or_less(numbers.pressure)),
    Key("f", "refaults", lambda _, numbers: _or_less(numbers.refaults)),
    Key("r", "restarts", lambda row, _: row.restarts),
    Key("u", "uptime", lambda row, _: -1.0 if row.born is None else -row.born),
)


def chosen(rows: Iterable[Row], text: str) -> list[Row]:
    """The rows whose name or phase contains the text."""
    return [row for row in rows if text in row.name or text in row.phase] if text else list(rows)


def ordered(rows: list[Row], numbers: Mapping[str, Numbers], key: Key, reverse: bool) -> list[Row]:
    """Sort; those that are alike stay in order of the file."""
    if key.of is not None:
        of = key.of
        rows = sorted(rows, key=lambda row: of(row, numbers.get(row.name, NOTHING)), reverse=not reverse)
    return rows[::-1] if reverse and key.of is None else rows


def cells(row: Row, numbers: Numbers, now: float) -> list[str]:
    """The texts of one row, by TITLES."""
    memory = numbers.rss if numbers.pss is None else numbers.pss
    return [
        row.name,
        row.phase,
        row.process or "-",
        "-" if numbers.cpu is None else f"{numbers.cpu * 100:.1f}",
        "-" if memory is None else size(memory),
        "-" if numbers.pressure is None else f"{numbers.pressure:.1f}",
        "-" if numbers.refaults is None else str(numbers.refaults),
        str(row.restarts),
        "-" if row.born is None else format_duration(max(0, int(now - row.born))),
    ]


def table(rows: list[list[str]], shows_pss: bool, width: int = 0) -> list[str]:
    """Lay out the titles and the rows, as many columns as there is room for; a name that is too long ends in ``~``.

    Args:
        rows: from ``cells``.
        shows_pss: the memory is PSS.
        width: of the screen; 0: without limit.
    """
    titles = list(TITLES)
    if shows_pss:
        titles[titles.index("RSS")] = "PSS"
    widths = [max(map(len, column)) for column in zip(titles, *rows, strict=True)]
    here = list(range(len(TITLES)))
    for number in LEAVES_FIRST:
        if not width or min(widths[0], LEAST_NAME) + sum([widths[n] + 1 for n in here[1:]]) <= width:
            break
        here.remove(number)
    if width:
        widths[0] = max(1, min(widths[0], width - sum([widths[n] + 1 for n in here[1:]])))
    gap = "  " if not width or sum([widths[n] + 2 for n in here]) - 2 <= width else " "
    shape = gap.join([f"{{{n}:{'>' if n >= NUMBERS_FROM else '<'}{widths[n]}}}" for n in here])
    for texts in rows:
        texts[0] = _cut(texts[0], widths[0])
    return [shape.format(*texts).rstrip() for texts in (titles, *rows)]


def summary(instance: str, rows: Iterable[Row], numbers: Mapping[str, Numbers]) -> str:
    """Everything together, in one line."""
    phases: dict[str, int] = {}
    restarts = 0
    for row in rows:
        phases[row.phase] = phases.get(row.phase, 0) + 1
        restarts += row.restarts
    cpu = sum([one.cpu for one in numbers.values() if one.cpu is not None])
    rss = sum([one.rss for one in numbers.values() if one.rss is not None])
    counts = ", ".join(f"{count} {phase}" for phase, count in phases.items())
    return f"pidward {instance}: {counts or 'no workers'}; CPU {cpu * 100:.1f}%, RSS {size(rss)}, {restarts} restarts"


def machine_line(machine: Machine) -> str:
    """The machine, in one line."""
    pressures = [
        f"{name} {value:.1f}%"
        for name, value in (
            ("memory", machine.memory_some), ("all memory", machine.memory_full),
            ("cpu", machine.cpu_some), ("io", machine.io_some),
        )
        if value is not None
    ]  # fmt: skip
    free = f"{size(machine.memory_available)} of {size(machine.memory_total)} free"
    return f"pressure {', '.join(pressures) or 'is not told by this kernel'}; {free}"


def size(number: int) -> str:
    """A size in at most six characters: ``512K``, ``20.7M``, ``1.5G``."""
    for unit, power in (("K", 10), ("M", 20), ("G", 30)):
        if number < 1000 << power:
            value = number / (1 << power)
            return f"{value:.0f}{unit}" if unit == "K" or value >= 100 else f"{value:.1f}{unit}"
    return f"{number / (1 << 40):.1f}T"


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "~"
