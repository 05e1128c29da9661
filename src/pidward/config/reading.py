"""From the values of tomllib to checked ones, along the schema, without stopping at the first mistake."""

import re
from collections.abc import Iterable
from typing import Any, Final, cast

from pidward.config.errors import MAX_MESSAGE, ConfigError, Problem
from pidward.config.nodes import Array, Named, Node, Table
from pidward.config.positions import Path, Positions
from pidward.config.values import Kind, unlike

MAX_PROBLEMS = 1000
MAX_GUESSED = 64
"""Longer unknown keys get no suggestion: comparing takes time by the square of the length."""

_BARE_KEY = re.compile(f"[A-Za-z0-9_-]{{1,{MAX_GUESSED}}}")

INVALID: Final = cast(Any, object())
"""Stands where a value was refused, so that nothing is said about it twice."""


class _Collected:
    """Problems of all files together."""

    def __init__(self) -> None:
        self.problems: set[Problem] = set()  # what the defaults say wrong is found again with each service
        self.omitted = 0

    def add(self, problem: Problem) -> None:
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.add(problem)
        elif problem not in self.problems:
            self.omitted += 1


class Report:
    """Collects the problems of one file and of those that it includes."""

    def __init__(self, file: str, positions: Positions, collected: _Collected | None = None) -> None:
        self._file, self._positions = file, positions
        self._collected = collected or _Collected()
        self._elsewhere: dict[Path, Report] = {}
        self._places: dict[Path, str] = {}
        self._really: dict[Path, Path] = {}

    def at_key(self, path: Path, message: str) -> None:
        """Report a problem with a key itself, or with what is missing in it."""
        part = self._part(path)
        path = part._really.get(path, path)
        part._add(path, part._positions.key(path), message)

    def at_value(self, path: Path, message: str) -> None:
        """Report a problem with a value."""
        part = self._part(path)
        path = part._really.get(path, path)
        part._add(path, part._positions.value(path), message)

    def stands_at(self, path: Path, other: Path) -> None:
        """Remember that what has one path was written at another."""
        self._really[path] = other

    def add(self, problems: Iterable[Problem]) -> None:
        """Report what was found elsewhere."""
        for problem in problems:
            self._collected.add(problem)

    def place(self, path: Path) -> str:
        """Say where a value is: FILE:LINE:COL. The same string for the same place."""
        part = self._part(path)
        if path not in part._places:
            line, column = part._positions.value(path)
            part._places[path] = f"{part._file}:{line}:{column}"
        return part._places[path]

    def file(self, path: Path) -> str:
        """Name the file that a key is in."""
        return self._part(path)._file

    def written(self, path: Path, length: int) -> str:
        """Return the first characters of a value as they stand in the file."""
        return self._part(path)._positions.written(path, length)

    def beside(self, file: str, positions: Positions) -> "Report":
        """Make the report of an included file; what it collects is part of this one."""
        return Report(file, positions, self._collected)

    def lies_in(self, path: Path, part: "Report") -> None:
        """Remember that what is at a path of one or two keys stands in an included file."""
        self._elsewhere[path] = part

    def raise_if_any(self) -> None:
        """Raise ConfigError when something was reported."""
        if self._collected.problems:
            raise ConfigError(self._collected.problems, self._collected.omitted)

    def _part(self, path: Path) -> "Report":
        return self._elsewhere.get(path[:2]) or self._elsewhere.get(path[:1]) or self

    def _add(self, path: Path, place: tuple[int, int], message: str) -> None:
        self._collected.add(Problem(self._file, *place, spelled(path), _clipped(message, MAX_MESSAGE)))


def spelled(path: Path) -> str:
    """Print a path as people write it: ``service.web.command[0]``; what is no bare key in quotes."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += ("." if text else "") + (part if _BARE_KEY.fullmatch(part) else repr(_clipped(part, MAX_GUESSED)))
    return text


def _clipped(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def read(node: Node, raw: object, path: Path, report: Report) -> Any:
    """Check a value against its place in the schema.

    Returns:
        what the schema makes of it: tables become dicts of what their keys become. INVALID stands for each
        value that was refused and reported.
    """
    match node:
        case Kind():
            return _read_one(node, raw, path, report)
        case Array():
            return _read_array(node, raw, path, report)
        case Table():
            return _read_table(node, raw, path, report)
        case Named():
            return _read_named(node, raw, path, report)


def _read_one(kind: Kind, raw: object, path: Path, report: Report) -> Any:
    try:
        if isinstance(raw, int) and not -(2**63) <= raw < 2**63:
            raise ValueError("a whole number has at most 64 bits")
        return kind.parse(raw)
    except ValueError as error:
        report.at_value(path, str(error))
        return INVALID


def _read_array(array: Array, raw: object, path: Path, report: Report) -> Any:
    try:
        if array.split is not None and isinstance(raw, str):
            raw = array.split(raw)
        if not isinstance(raw, list):
            raise unlike(array.words, raw)
        if len(raw) < array.at_least:
            raise ValueError("must not be empty")
    except ValueError as error:
        report.at_value(path, str(error))
        return INVALID
    items = [read(array.item, item, (*path, index), report) for index, item in enumerate(raw)]
    return INVALID if INVALID in items else array.make(items)


def _read_table(table: Table, raw: object, path: Path, report: Report) -> Any:
    if table.shorthand and isinstance(raw, str | list):
        node = table.keys[table.shorthand].of
        if isinstance(raw, str) or isinstance(node, Array):
            return {table.shorthand: read(node, raw, path, report)}
    if not isinstance(raw, dict):
        report.at_value(path, str(unlike(table.words, raw)))
        return INVALID
    values: dict[str, Any] = {}
    for name, value in raw.items():
        key = table.keys.get(table.aliases.get(name) or name)
        if key is None:
            report.at_key((*path, name), "unknown key" + suggestion(name, table.keys))
        elif key.name in values:
            report.at_key((*path, name), f"{key.name} and {' and '.join(key.aliases)} are the same; write one of them")
        else:
            values[key.name] = read(key.of, value, (*path, name), report)
    given = [name for name in raw if name in table.one_of]
    if len(given) > 1:
        report.at_key((*path, given[1]), f"excludes {given[0]}; write one of them")
        return INVALID
    for name in table.needs:
        if name not in values:
            if len(values) == len(raw):  # else an unknown key is perhaps the one
                report.at_value(path, f"needs {name}")
            values[name] = INVALID
    return values


def _read_named(named: Named, raw: object, path: Path, report: Report) -> Any:
    if named.listed is not None and isinstance(raw, list) and all(isinstance(name, str) for name in raw):
        for index, name in enumerate(raw):
            report.stands_at((*path, name), (*path, index))
        raw = dict.fromkeys(raw, named.listed)
    if not isinstance(raw, dict):
        is_secret = isinstance(raw, str) and named.listed is None  # perhaps: a variable, a header
        report.at_value(path, f"expected {named.words}, got a string" if is_secret else str(unlike(named.words, raw)))
        return INVALID
    values: dict[str, Any] = {}
    for name, value in raw.items():
        values[name] = read(named.of, value, (*path, name), report)
        try:
            named.check(name)
        except ValueError as error:
            report.at_key((*path, name), str(error))
            if isinstance(named.of, Kind):  # of a table more can be said
                values[name] = INVALID
    return values


def is_sound(value: Any) -> bool:
    """Nothing in a value that ``read`` gave was refused."""
    if isinstance(value, dict):
        return all(map(is_sound, value.values()))
    return value is not INVALID and not (isinstance(value, tuple) and not all(map(is_sound, value)))


def suggestion(name: str, known: Iterable[str]) -> str:
    """Name what was perhaps meant, as the end of a message; empty when nothing is near."""
    if len(name) > MAX_GUESSED:
        return ""
    import difflib  # noqa: PLC0415 - costs milliseconds that only a mistake should pay

    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
