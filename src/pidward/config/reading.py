"""From the values of tomllib to checked ones, along the schema, without stopping at the first mistake."""

import re
from typing import Any, Final, cast

from pidward.config.errors import MAX_MESSAGE, ConfigError, Problem
from pidward.config.nodes import Array, Key, Named, Node, Table
from pidward.config.positions import Path, Positions
from pidward.config.values import Kind, unlike

MAX_PROBLEMS = 1000
MAX_GUESSED = 64
"""Longer unknown keys get no suggestion: comparing takes time by the square of the length."""

_BARE_KEY = re.compile(f"[A-Za-z0-9_-]{{1,{MAX_GUESSED}}}")

INVALID: Final = cast(Any, object())
"""Stands where a value was refused, so that nothing is said about it twice."""


class Report:
    """Collects the problems of one file."""

    def __init__(self, file: str, positions: Positions) -> None:
        self._file, self.positions = file, positions
        self._problems: set[Problem] = set()  # what the defaults say wrong is found again with each service
        self._omitted = 0

    def at_key(self, path: Path, message: str) -> None:
        """Report a problem with a key itself, or with what is missing in it."""
        self._add(path, self.positions.key(path), message)

    def at_value(self, path: Path, message: str) -> None:
        """Report a problem with a value."""
        self._add(path, self.positions.value(path), message)

    def place(self, path: Path) -> str:
        """Say where a value is: FILE:LINE:COL."""
        line, column = self.positions.value(path)
        return f"{self._file}:{line}:{column}"

    def raise_if_any(self) -> None:
        """Raise ConfigError when something was reported."""
        if self._problems:
            raise ConfigError(self._problems, self._omitted)

    def _add(self, path: Path, place: tuple[int, int], message: str) -> None:
        problem = Problem(self._file, *place, spelled(path), _clipped(message, MAX_MESSAGE))
        if len(self._problems) < MAX_PROBLEMS:
            self._problems.add(problem)
        elif problem not in self._problems:
            self._omitted += 1


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
    items = [_read_one(array.item, item, (*path, index), report) for index, item in enumerate(raw)]
    return INVALID if INVALID in items else array.make(items)


def _read_table(table: Table, raw: object, path: Path, report: Report) -> Any:
    if table.shorthand and isinstance(raw, str):
        return {table.shorthand: read(table.keys[table.shorthand].of, raw, path, report)}
    if not isinstance(raw, dict):
        report.at_value(path, str(unlike(table.words, raw)))
        return INVALID
    values: dict[str, Any] = {}
    for name, value in raw.items():
        key = table.keys.get(name)
        if key is None:
            report.at_key((*path, name), "unknown key" + _suggestion(name, table.keys))
        else:
            values[name] = read(key.of, value, (*path, name), report)
    return values


def _read_named(named: Named, raw: object, path: Path, report: Report) -> Any:
    if not isinstance(raw, dict):
        report.at_value(path, str(unlike(named.words, raw)))
        return INVALID
    values: dict[str, Any] = {}
    for name, value in raw.items():
        try:
            named.check(name)
        except ValueError as error:
            report.at_key((*path, name), str(error))
        values[name] = read(named.of, value, (*path, name), report)
    return values


def _suggestion(name: str, known: dict[str, Key]) -> str:
    if len(name) > MAX_GUESSED:
        return ""
    import difflib  # noqa: PLC0415 - costs milliseconds that only a mistake should pay

    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
