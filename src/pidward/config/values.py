"""What a single value may be: each kind reads one and prints one, or says what was expected."""

import enum
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from pidward.core.signals import parse_signal, signal_name
from pidward.core.units import (
    Seconds,
    format_duration,
    format_size,
    parse_duration,
    parse_percent,
    parse_size,
)


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
    parse: takes what tomllib gave; a ValueError of it says what was expected.
    show: prints a parsed value as people write it.
    """

    words: str
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


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise unlike("a string", value)
    if "\0" in value:
        raise ValueError("must not contain a NUL byte")
    return value


def _absolute_path(value: object) -> str:
    path = _text(value)
    if not path.startswith("/"):
        raise ValueError(f"must be an absolute path, got {path!r}")
    return path


def _template(value: object) -> str:
    text = _text(value)
    unknown = re.search("%.?", re.sub("%[%i]", "", text), re.DOTALL)
    if unknown is not None:
        raise ValueError(f"unknown {unknown[0]!r}; %i is the worker's index, and %% a percent sign")
    return text


def _path_template(value: object) -> str:
    return _template(_absolute_path(value))


def _boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise unlike("true or false", value)
    return value


def whole(low: int, high: int, words: str = "a whole number") -> Kind:
    """Make the kind of the integers from low to high."""

    def parse(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise unlike(words, value)
        if not low <= value <= high:
            raise ValueError(f"must be between {low} and {high}, got {value}")
        return value

    return Kind(f"{words}, {low} to {high}", parse)


def number(low: float, high: float) -> Kind:
    """Make the kind of the numbers from low to high."""

    def parse(value: object) -> float:
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise unlike("a number", value)
        if not low <= value <= high:
            raise ValueError(f"must be between {low:g} and {high:g}, got {value}")
        return float(value)

    return Kind(f"a number, {low:g} to {high:g}", parse)


def duration(low: float = 0.0) -> Kind:
    """Make the kind of the durations that are not shorter than ``low`` seconds."""

    def parse(value: object) -> Seconds:
        seconds = parse_duration(value)
        if seconds < low:
            raise ValueError(f"must be at least {format_duration(low)}, got {value!r}")
        return seconds

    return Kind("a duration", parse, lambda seconds: written(format_duration(seconds)))


def size(low: int) -> Kind:
    """Make the kind of the sizes that are not smaller than ``low`` bytes."""

    def parse(value: object) -> int:
        length = parse_size(value)
        if length < low:
            raise ValueError(f"must be at least {format_size(low)}, got {value!r}")
        return length

    return Kind("a size", parse, lambda length: written(format_size(length)))


def choice(of: type[enum.Enum]) -> Kind:
    """Make the kind of the values of an enumeration of strings."""
    names = [f'"{member.value}"' for member in of]
    words = " or ".join([", ".join(names[:-1]), names[-1]])

    def parse(value: object) -> enum.Enum:
        try:
            return of(value)
        except ValueError:
            raise unlike(words, value) from None

    return Kind(words, parse, lambda member: written(member.value))


def _percent(value: object) -> float:
    fraction = parse_percent(value)
    if fraction > 1:
        raise ValueError(f"must be between 0% and 100%, got {value!r}")
    return fraction


def _signal(value: object) -> int:
    if not isinstance(value, str | int) or isinstance(value, bool):
        raise unlike('a signal like "SIGTERM"', value)
    return parse_signal(value)


def _umask(value: object) -> int:
    if isinstance(value, str) and re.fullmatch("0?[0-7]{3}", value):
        return int(value, 8)
    if not isinstance(value, int) or isinstance(value, bool):
        raise unlike('a umask like "022" or 0o022', value)
    if not 0 <= value <= 0o777:
        raise ValueError("must be between 0o000 and 0o777")
    return value


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


def _identity(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        if not 0 <= value < 2**32 - 1:  # the last one means "no change" to the kernel
            raise ValueError(f"an id is between 0 and {2**32 - 2}, got {value}")
        return str(value)
    if not isinstance(value, str):
        raise unlike("a name or a number", value)
    if not re.fullmatch(r"[^\s:/\0]+", value):
        raise ValueError(f"{value!r} cannot be a name of a user or group")
    return value


def _env_value(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise ValueError(f"{unlike('a string or a whole number', value)}; put it in quotes")
    return _template(value)


def _stdin(value: object) -> str:
    return "null" if value == "null" else _absolute_path(value)


def limit(in_bytes: bool) -> Kind:
    """Make the kind of a resource limit, read as (soft, hard) with None for infinity."""
    words = "a size" if in_bytes else "a whole number"

    def parse_one(value: object) -> int | None:
        if value == "infinity":
            return None
        if in_bytes and isinstance(value, str):
            return parse_size(value)
        if not isinstance(value, int) or isinstance(value, bool):
            raise unlike(f'{words}, "infinity", or [soft, hard] of these', value)
        if value < 0:
            raise ValueError(f'must not be negative, got {value}; "infinity" lifts the limit')
        return value

    def parse(value: object) -> tuple[int | None, int | None]:
        pair = value if isinstance(value, list) else [value, value]
        if len(pair) != 2:
            raise ValueError(f"expected two limits, [soft, hard], got {len(pair)}")
        soft, hard = parse_one(pair[0]), parse_one(pair[1])
        if hard is not None and (soft is None or soft > hard):
            raise ValueError(f"the soft limit {pair[0]} is above the hard limit {pair[1]}")
        return soft, hard

    return Kind(f'{words}, `"infinity"`, or `[soft, hard]`', parse)


TEXT = Kind("a string", _text)
TEMPLATE = Kind("a string", _template)
BOOLEAN = Kind("`true` or `false`", _boolean)
ABSOLUTE_PATH = Kind("an absolute path", _absolute_path)
PATH_TEMPLATE = Kind("an absolute path", _path_template)
PERCENT = Kind("a percentage", _percent, lambda fraction: written(f"{fraction * 100:g}%"))
SIGNAL = Kind("a signal", _signal, lambda number: written(signal_name(number)))
UMASK = Kind('`"022"` or `0o022`', _umask, lambda mask: written(f"{mask:03o}"))
CAUSE = Kind("exit codes and signals", _cause, lambda cause: str(cause) if cause >= 0 else written(signal_name(-cause)))
IDENTITY = Kind("a name or a number", _identity)
ENV_VALUE = Kind("a string or a whole number", _env_value)
STDIN = Kind('`"null"` or an absolute path', _stdin)
