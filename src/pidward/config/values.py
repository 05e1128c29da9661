"""What a single value may be: each kind reads one and prints one, or says what was expected."""

import enum
import re
from collections.abc import Callable, Container
from typing import Any, NamedTuple

from pidward.core.cron import parse as parse_cron
from pidward.core.signals import SIGRTMAX, SIGRTMIN, parse_signal, signal_name
from pidward.core.units import (
    MAX_DURATION,
    MAX_SIZE,
    Seconds,
    format_duration,
    format_size,
    parse_duration,
    parse_percent,
    parse_size,
)

Json = dict[str, Any]
"""A piece of JSON Schema."""

DURATION_PATTERN = r"^\s*([0-9]+(\.[0-9]+)?\s*(us|ms|s|sec|m|min|h|d|w)\s*)+$"
SIZE_PATTERN = r"^\s*[0-9]+(\.[0-9]+)?\s*(B|[kKMGT]B|[KMGT]iB|[KMGT])?\s*$"
PERCENT_PATTERN = r"^\s*[0-9]+(\.[0-9]+)?\s*%\s*$"
_TEMPLATE_PATTERN = r"([^%\u0000]|%[i%])*$"


def written(value: object) -> str:
    """Print a plain value as TOML does."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    return f"{value:g}" if isinstance(value, float) else str(value)


class Kind(NamedTuple):
    """A kind of value.

    words: what the documentation calls it.
    json: its JSON Schema, for editors; odd spellings that ``parse`` takes may be missing there.
    parse: takes what tomllib gave; a ValueError of it says what was expected.
    show: prints a parsed value as people write it.
    """

    words: str
    json: Json
    parse: Callable[[object], Any]
    show: Callable[[Any], str] = written


def unlike(expected: str, value: object) -> ValueError:
    """Make the error for a value of the wrong type."""
    return ValueError(f"expected {expected}, got {_shown(value)}")


def _shown(value: object) -> str:
    match value:
        case bool():
            return written(value)
        case int() | float():
            return f"the number {value}"
        case str():
            return f"the string {value!r}"
        case dict():
            return "a table"
        case list():
            return "an array"
    return "a date or time"


def text_of(value: object) -> str:
    """Take a string."""
    if not isinstance(value, str):
        raise unlike("a string", value)
    if "\0" in value:
        raise ValueError("must not contain a NUL byte")
    return value


def path_of(value: object) -> str:
    """Take an absolute path."""
    path = text_of(value)
    if not path.startswith("/"):
        raise ValueError(f"must be an absolute path, got {path!r}")
    return path


def template_of(value: object) -> str:
    """Take a string in which ``%i`` stands for the worker's index and ``%%`` for a percent sign."""
    text = text_of(value)
    unknown = re.search("%.?", re.sub("%[%i]", "", text), re.DOTALL)
    if unknown is not None:
        raise ValueError(f"unknown {unknown[0]!r}; %i is the worker's index, and %% a percent sign")
    return text


def path_template_of(value: object) -> str:
    """Take an absolute path that is a template."""
    return template_of(path_of(value))


def _file(value: object) -> str:
    name = text_of(value)
    if not name.removeprefix("-"):
        raise ValueError("must not be empty")
    return name


def is_whole(value: object) -> bool:
    """``value`` is an int; TOML's booleans are none."""
    return isinstance(value, int) and not isinstance(value, bool)


def whole_of(value: object, low: int, high: int, words: str = "a whole number") -> int:
    """Take an integer from low to high."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise unlike(words, value)
    if not low <= value <= high:
        allowed = f"between {low} and {high}" if low < high else low
        raise ValueError(f"must be {allowed}, got {value}")
    return value


def whole(low: int, high: int, words: str = "a whole number") -> Kind:
    """Make the kind of the integers from low to high."""
    json = {"type": "integer", "minimum": low, "maximum": high}
    return Kind(f"{words}, {low} to {high}", json, lambda value: whole_of(value, low, high, words))


def number(low: float, high: float) -> Kind:
    """Make the kind of the numbers from low to high."""

    def parse(value: object) -> float:
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise unlike("a number", value)
        if not low <= value <= high:
            raise ValueError(f"must be between {low:g} and {high:g}, got {value}")
        return float(value)

    return Kind(f"a number, {low:g} to {high:g}", {"type": "number", "minimum": low, "maximum": high}, parse)


def _plain(value: object, words: str) -> object:
    """Refuse what is neither text nor number, in the words of the file and not of Python."""
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        raise unlike(words, value)
    return value


def duration(low: float = 0.0) -> Kind:
    """Make the kind of the durations that are not shorter than ``low`` seconds."""

    def parse(value: object) -> Seconds:
        seconds = parse_duration(_plain(value, 'a duration like "10s"'))
        if seconds < low:
            raise ValueError(f"must be at least {format_duration(low)}, got {value!r}")
        return seconds

    json = {"type": ["string", "number"], "pattern": DURATION_PATTERN, "minimum": low, "maximum": MAX_DURATION}
    return Kind("a duration", json, parse, lambda seconds: written(format_duration(seconds)))


def size(low: int) -> Kind:
    """Make the kind of the sizes that are not smaller than ``low`` bytes."""

    def parse(value: object) -> int:
        length = parse_size(_plain(value, 'a size like "64MiB"'))
        if length < low:
            raise ValueError(f"must be at least {format_size(low)}, got {value!r}")
        return length

    json = {"type": ["string", "integer"], "pattern": SIZE_PATTERN, "minimum": low, "maximum": MAX_SIZE}
    return Kind("a size", json, parse, lambda length: written(format_size(length)))


def one_of(values: list[str]) -> Kind:
    """Make the kind of a few strings."""
    names = [written(value) for value in values]
    words = " or ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)

    def parse(value: object) -> Any:
        if value not in values:
            raise unlike(words, value)
        return value

    return Kind(words, {"enum": values}, parse)


def choice(of: type[enum.Enum], without: Container[enum.Enum] = ()) -> Kind:
    """Make the kind of the values of an enumeration of strings."""
    plain = one_of([member.value for member in of if member not in without])
    return plain._replace(parse=lambda value: of(plain.parse(value)), show=lambda member: written(member.value))


def _boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise unlike("true or false", value)
    return value


def percent_of(value: object) -> float:
    """Take a percentage up to 100%, as a fraction."""
    if isinstance(value, str) and re.fullmatch(PERCENT_PATTERN, value):
        fraction = float(value.rstrip().removesuffix("%")) / 100
    else:
        fraction = parse_percent(_plain(value, 'a percentage like "10%"'))
    if fraction > 1:
        raise ValueError(f"must be between 0% and 100%, got {value!r}")
    return fraction


def _signal(value: object) -> int:
    if not isinstance(value, str | int) or isinstance(value, bool):
        raise unlike('a signal like "SIGTERM"', value)
    return parse_signal(value)


def _cause(value: object) -> int:
    """A code stays itself, a signal becomes its negative number: the form of RestartPolicy."""
    if isinstance(value, str) and not value.strip().isdecimal():
        return -parse_signal(value)
    if isinstance(value, str):
        raise ValueError(f"write an exit code without quotes, and a signal by name; got {value!r}")
    if not isinstance(value, int) or isinstance(value, bool):
        raise unlike('an exit code from 0 to 255 or a signal like "SIGSEGV"', value)
    if not 0 <= value <= 255:
        raise ValueError(f"an exit code is between 0 and 255, got {value}")
    return value


def _cron(value: object) -> str:
    text = text_of(value)
    parse_cron(text)
    return text


_NAMES = [signal_name(number).removeprefix("SIG") for number in range(1, SIGRTMIN)]
_SIGNAL_NAMES: list[Json] = [
    {"enum": [f"SIG{name}" for name in _NAMES if not name.isdecimal()]},
    {
        "type": "string",
        "pattern": f"^(SIG)?({'|'.join(name for name in _NAMES if not name.isdecimal())}"
        r"|RTMIN(\+([12]?[0-9]|30))?|RTMAX(-([12]?[0-9]|30))?)$",
    },
]
_TEMPLATE: Json = {"type": "string", "pattern": "^" + _TEMPLATE_PATTERN}

TEXT = Kind("a string", {"type": "string", "pattern": "^[^\\u0000]*$"}, text_of)
TEMPLATE = Kind("a string", _TEMPLATE, template_of)
BOOLEAN = Kind("`true` or `false`", {"type": "boolean"}, _boolean)
ABSOLUTE_PATH = Kind("an absolute path", {"type": "string", "pattern": "^/[^\\u0000]*$"}, path_of)
PATH_TEMPLATE = Kind("an absolute path", {"type": "string", "pattern": "^/" + _TEMPLATE_PATTERN}, path_template_of)
FILE = Kind("a path", {"type": "string", "pattern": "^(-[^\\u0000]|[^-\\u0000])[^\\u0000]*$"}, _file)
CRON = Kind(
    "a cron expression",
    {"type": "string", "pattern": r"^\s*(@[a-z]+|[-0-9A-Za-z*,/]+(\s+[-0-9A-Za-z*,/]+){4})\s*$"},
    _cron,
)
PERCENT = Kind(
    "a percentage",
    {"type": ["string", "number"], "pattern": PERCENT_PATTERN, "minimum": 0, "maximum": 1},
    percent_of,
    lambda fraction: written(f"{fraction * 100:g}%"),
)
SIGNAL = Kind(
    "a signal",
    {"anyOf": [*_SIGNAL_NAMES, {"type": "integer", "minimum": 1, "maximum": SIGRTMAX}]},
    _signal,
    lambda number: written(signal_name(number)),
)
CAUSE = Kind(
    "exit codes and signals",
    {"anyOf": [{"type": "integer", "minimum": 0, "maximum": 255}, *_SIGNAL_NAMES]},
    _cause,
    lambda cause: str(cause) if cause >= 0 else written(signal_name(-cause)),
)
