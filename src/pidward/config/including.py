"""``include``: more files with services, groups and defaults, as if all stood in one."""

import os
from collections.abc import Iterator
from typing import Any

from pidward.config.errors import ConfigError
from pidward.config.files import parse_toml, read_file
from pidward.config.positions import Path, Positions
from pidward.config.reading import INVALID, Report, read
from pidward.config.schema import ROOT

MAX_INCLUDED = 1000

Values = dict[str, Any]


def include(values: Values, path: str, report: Report) -> None:
    """Add what the included files say, in the order of the patterns and, for each, of the names.

    Each service, each group and the defaults stand in one file only. An included file includes no others.

    Args:
        values: what ``reading.read`` gave for the file; added to.
        path: of the file; patterns are relative to its directory.
        report: of the file; gets the problems of all.
    """
    settings = values.get("pidward", {})
    patterns = INVALID if settings is INVALID else settings.pop("include", ())
    seen = {os.path.realpath(path)}
    for index, pattern in enumerate(() if patterns is INVALID else patterns):
        place = ("pidward", "include", index)
        for file in _matching(os.path.join(os.path.dirname(path), pattern), place, report):
            real = os.path.realpath(file)
            if real == os.path.realpath(path):
                report.at_value(place, "includes the file itself")
            elif len(seen) > MAX_INCLUDED:
                report.at_value(place, f"at most {MAX_INCLUDED} files may be included")
                return
            elif real not in seen:
                seen.add(real)
                _take(file, place, values, path, report)


def _matching(pattern: str, place: Path, report: Report) -> Iterator[str]:
    import glob  # noqa: PLC0415 - only for those who include

    if "\0" in pattern:
        report.at_value(place, "must not contain a NUL byte")
    elif glob.has_magic(pattern):
        yield from sorted(glob.glob(pattern))
    else:
        yield pattern


def _take(file: str, place: Path, values: Values, main: str, report: Report) -> None:
    try:
        text = read_file(file)
    except ConfigError as error:
        report.at_value(place, f"{file}: {error.problems[0].message}")
        return
    try:
        raw = parse_toml(text, file)
    except ConfigError as error:
        report.add(error.problems)
        return
    part = report.beside(file, Positions(text))
    if raw.pop("pidward", None) is not None:
        part.at_key(("pidward",), f"belongs in {main}; an included file has services, groups and defaults")
    if _is_new(("defaults",), raw, values, part, report):
        values |= read(ROOT, {"defaults": raw.pop("defaults")}, (), part)
    for kind in ("service", "group"):
        if isinstance(raw.get(kind), dict) and isinstance(values.setdefault(kind, {}), dict):
            for name in list(raw[kind]):
                _is_new((kind, name), raw[kind], values[kind], part, report)
            values[kind] |= read(ROOT, {kind: raw.pop(kind)}, (), part)[kind]
    read(ROOT, raw, (), part)  # what is left is mistakes


def _is_new(path: tuple[str, ...], raw: Values, values: Values, part: Report, report: Report) -> bool:
    """Whether there is a table to be taken; one that there is already is reported and removed from ``raw``."""
    name = path[-1]
    if name not in raw:
        return False
    if name in values:
        part.at_key(path, f"is already at {report.place(path)}")
        del raw[name]
        return False
    report.lies_in(path, part)
    return True
