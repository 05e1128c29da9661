"""Quantities with their unit in the type, and the way people write them.

Durations are ``"500ms"``, ``"10s"``, ``"5min"``, ``"1h 30min"`` or a bare number of seconds. Sizes are ``"64MiB"``,
``"2GB"`` or a bare number of bytes. Percentages are ``"40%"``. Parsing accepts what printing produces.
"""

from pidward.core.lean import NewType

Seconds = NewType("Seconds", float)
"""A length of time."""
Instant = NewType("Instant", float)
"""A point in time: seconds on the kernel's CLOCK_BOOTTIME. Means nothing in another boot."""
Bytes = NewType("Bytes", int)

_DURATION_UNITS = {
    "us": 1e-6, "ms": 1e-3, "s": 1.0, "sec": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0,
}  # fmt: skip
_SIZE_UNITS = {
    "": 1, "B": 1,
    "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
    "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40,
    "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40,
}  # fmt: skip
_NUMBER_AND_UNIT = r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)"

MAX_DURATION = Seconds(1e10)
"""About three centuries: beyond it a float of seconds no longer tells microseconds apart."""
MAX_SIZE = Bytes(2**62)
MAX_FRACTION = 1e6


def parse_duration(text: object) -> Seconds:
    """Read a duration; a bare number is seconds. Raises ValueError with what was expected."""
    if isinstance(text, bool) or not isinstance(text, str | int | float):
        raise ValueError(f'expected a duration like "10s", got {text!r}')
    if isinstance(text, int | float):
        return _checked_duration(text, text)
    total = 0.0
    for number, unit in _parts(text, "duration", '"500ms", "10s" or "5min"'):
        if unit and unit not in _DURATION_UNITS:
            raise ValueError(f"unknown unit {unit!r} in duration {text!r}; use us, ms, s, min, h or d")
        total += number * _DURATION_UNITS.get(unit, 1.0)
    return _checked_duration(total, text)


def _checked_duration(seconds: float, given: object) -> Seconds:
    if not 0 <= seconds <= MAX_DURATION:  # also when it is not a number
        raise ValueError(f"a duration must be between 0 and {MAX_DURATION:.0f} seconds, got {given!r}")
    return Seconds(float(seconds))


def parse_size(text: object) -> Bytes:
    """Read a size; a bare number is bytes. Raises ValueError with what was expected."""
    if isinstance(text, bool) or not isinstance(text, str | int):
        raise ValueError(f'expected a size like "64MiB", got {text!r}')
    size: float = text if isinstance(text, int) else 0
    if isinstance(text, str):
        [*parts] = _parts(text, "size", '"64MiB" or "2GB"')
        if len(parts) != 1 or parts[0][1] not in _SIZE_UNITS:
            raise ValueError(f"cannot read size {text!r}; use B, kB, MB, GB, KiB, MiB or GiB")
        size = parts[0][0] * _SIZE_UNITS[parts[0][1]]
    if not 0 <= size <= MAX_SIZE:
        raise ValueError(f"a size must be between 0 and 2**62 bytes, got {text!r}")
    return Bytes(int(size))


def parse_percent(text: object) -> float:
    """Read ``"40%"`` as 0.4; a bare number is taken as the fraction itself. Raises ValueError."""
    if isinstance(text, str):
        import re  # noqa: PLC0415 - reading is for those who read the file, not for the supervisor

        number = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*%\s*", text)
        if number is None:
            raise ValueError(f'expected a percentage like "10%", got {text!r}')
        return parse_percent(float(number[1]) / 100)
    if isinstance(text, bool) or not isinstance(text, int | float) or not 0 <= text <= MAX_FRACTION:
        raise ValueError(f'expected a percentage like "10%", got {text!r}')
    return float(text)


def _parts(text: str, what: str, examples: str) -> list[tuple[float, str]]:
    """Split ``"1h 30min"`` into numbers and units; ValueError unless all of the text is such pairs."""
    import re  # noqa: PLC0415 - as above

    pattern = re.compile(_NUMBER_AND_UNIT)
    parts, at, end = [], 0, len(text.rstrip())
    while at < end:
        found = pattern.match(text, at)
        if found is None:
            break
        parts.append((float(found[1]), found[2]))
        at = found.end()
    if not parts or at < end:
        raise ValueError(f"cannot read {what} {text!r}; write {examples}")
    return parts


def format_duration(seconds: float) -> str:
    """Print a duration in at most two units, from whole microseconds down: ``"480us"``, ``"1.5s"``, ``"2h 5min"``."""
    if seconds < 0:
        return "-" + format_duration(-seconds)
    us = round(seconds * 1e6)  # whole numbers from here: 0.0003 s is 300us, not 299
    if us == 0:
        return "0s"
    if us < 1_000:
        return f"{us}us"
    if us < 1_000_000:
        return f"{_short(us // 100)}ms"
    if us < 60_000_000:
        return f"{_short(us // 100_000)}s"
    whole = us // 1_000_000
    for size, unit, smaller, small_unit in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // smaller
            return f"{whole // size}{unit}" + (f" {rest}{small_unit}" if rest else "")
    raise AssertionError(seconds)


def _short(tenths: int) -> str:
    return f"{tenths / 10:.1f}".removesuffix(".0")


def format_size(size: int) -> str:
    """Print a size in binary units, rounded down: ``"640B"``, ``"12.5MiB"``."""
    if size < 0:
        return "-" + format_size(-size)
    for shift, unit in ((40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")):
        if size >> shift:
            return _short(size * 10 >> shift) + unit
    return f"{size}B"
