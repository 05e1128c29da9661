"""Points in time as people write them: how long ago, a time of day, a date, or words."""

import re
from datetime import datetime, timedelta

from pidward.core.units import parse_duration

HELP = "like 10min (ago), 14:30, today, yesterday, 2026-11-22 10:00, 2026-11-22T10:00:00Z or @1795341600"
_NS = 1_000_000_000
_DURATION = re.compile(r"(?:\s*[0-9]+(?:\.[0-9]+)?\s*[a-z]+)+(?:\s+ago)?")
_TIME_OF_DAY = re.compile(r"\d\d?:\d\d(?::\d\d(?:\.\d+)?)?")


def parse_moment(text: str, now_ns: int) -> int:
    """Read a point in time; local time where it names no zone.

    Args:
        text: what was written.
        now_ns: the present, in nanoseconds since 1970.

    Returns:
        Nanoseconds since 1970.

    Raises:
        ValueError: it is none; with what was expected.
    """
    words = text.strip().lower()
    midnight = datetime.fromtimestamp(now_ns // _NS).astimezone().replace(hour=0, minute=0, second=0, microsecond=0)
    if words in ("now", "today", "yesterday"):
        named = {"today": midnight, "yesterday": _local(midnight - timedelta(days=1))}
        return _ns(named[words]) if words in named else now_ns
    try:
        if words.startswith("@"):
            return int(float(words[1:]) * _NS)
        if _DURATION.fullmatch(words):
            return now_ns - int(parse_duration(words.removesuffix("ago")) * _NS)
        if _TIME_OF_DAY.fullmatch(words):
            words = f"{midnight:%Y-%m-%d} {words.rjust(len(words) + (words[1] == ':'), '0')}"
        return _ns(datetime.fromisoformat(words.upper()).astimezone())
    except (ValueError, OverflowError) as error:
        hint = f" ({error})" if "unit" in str(error) else ""
        raise ValueError(f"cannot read the time {text!r}{hint}; write it {HELP}") from None


def _local(day: datetime) -> datetime:
    """The same time on the clock, in the zone's offset of that day."""
    return day.replace(tzinfo=None).astimezone()


def _ns(moment: datetime) -> int:
    return int(moment.timestamp()) * _NS + moment.microsecond * 1000
