"""When a cron expression is due: the fields of crontab(5), on a wall clock that summer time turns forth and back.

Wall time here is an integer: the seconds since 1970 that a clock in Greenwich would count when it showed the same date
and time. What the clock shows at an instant is told by a function, so that nothing here knows a zone.
"""

import re
from collections.abc import Callable

from pidward.core.lean import NamedTuple

MINUTE, HOUR, DAY = 60, 3600, 86400
_HORIZON = 8 * 366 + 1
"""Days to look ahead: February 29 is 8 years away around 2100."""
_TURN_BACK = 3 * HOUR
"""No clock is turned back further at once by a change of summer time."""

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_SHORTHAND = {
    "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
}  # fmt: skip
_PART = re.compile(r"(?:(\*)|([0-9a-z]+)(?:-([0-9a-z]+))?)(?:/([0-9]+))?", re.ASCII)
_LONGEST = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)

Offset = Callable[[int], int]
"""From an instant (seconds since 1970) to the seconds by which the wall clock is ahead of Greenwich then."""


class Cron(NamedTuple):
    """A cron expression, read.

    by_hour: the hour field begins with ``*``. Such an entry goes by elapsed time: an hour that the clock leaves out
        has no runs, and one that comes twice has them twice. Others run once for each date, whatever the clock does.
    either_day: day of month and day of week are both restricted: either is enough, as in every cron.
    """

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    by_hour: bool
    either_day: bool

    def next_run(self, after: int, offset: Offset) -> int:
        """The first instant after another one at which it is due.

        A time of day that does not exist on that day is due when the clock has been turned forward; one that comes
        twice is due the first time (but see ``by_hour``).
        """
        here = offset(after)
        since = after
        while True:
            wall = self.next_wall(since + here)
            at = wall - here
            if offset(at) == here:
                earlier = self._earlier(wall, at, offset)
                if earlier > after:
                    return earlier
                if earlier == at or self.by_hour:
                    return at
                since = at  # it ran the first time that the clock showed this
                continue
            turn = _turn(since, at, offset)
            there = offset(turn)
            if not self.by_hour and wall < turn + there and turn > after:
                return turn
            since, here = turn - 1, there

    def next_wall(self, wall: int) -> int:
        """The first wall time later than another one, in whole minutes, that the fields name."""
        today, seconds = divmod(wall, DAY)
        first = seconds // MINUTE + 1  # minute of the day
        for day in range(today, today + _HORIZON):
            if self._is_on(day):
                for hour in self.hours:
                    if hour * 60 + 59 >= first:
                        for minute in self.minutes:
                            if hour * 60 + minute >= first:
                                return day * DAY + hour * HOUR + minute * MINUTE
            first = 0
        raise AssertionError("parse refuses what never comes")

    def _is_on(self, day: int) -> bool:
        """It runs on a day, counted from 1970."""
        month, day_of_month = _civil(day)
        if month not in self.months:
            return False
        by_month, by_week = day_of_month in self.days, (day + 4) % 7 in self.weekdays  # 1970 began on a Thursday
        return by_month or by_week if self.either_day else by_month and by_week

    def _earlier(self, wall: int, at: int, offset: Offset) -> int:
        """When the clock showed this wall time for the first time; that is ``at`` but after it was turned back."""
        before = wall - offset(at - _TURN_BACK)
        return before if before < at and before + offset(before) == wall else at


def parse(text: str) -> Cron:
    """Read ``minute hour day-of-month month day-of-week``, or a shorthand like ``@daily``.

    Each field is ``*`` or a list of numbers and ranges, with ``/step`` after ``*`` or a range; months and days of the
    week also by the first three letters of their names; Sunday is 0 or 7.

    Raises:
        ValueError: what is wrong and what was expected, or that such a day never comes.
    """
    fields = _SHORTHAND.get(text.strip().lower(), text).lower().split()
    if len(fields) != 5:
        raise ValueError(
            f'expected 5 fields "minute hour day-of-month month day-of-week" or one of '
            f"{', '.join(_SHORTHAND)}, got {text!r}"
        )
    minutes = _field("minute", fields[0], 0, 59)
    hours = _field("hour", fields[1], 0, 23)
    days = _field("day of month", fields[2], 1, 31)
    months = _field("month", fields[3], 1, 12, _MONTHS)
    weekdays = frozenset(day % 7 for day in _field("day of week", fields[4], 0, 7, _WEEKDAYS))
    either_day = fields[2][0] != "*" and fields[4][0] != "*"
    if not either_day and not any(day <= _LONGEST[month - 1] for day in days for month in months):
        raise ValueError(f"there is no such day in any year: {text!r}")
    return Cron(
        tuple(sorted(minutes)), tuple(sorted(hours)), days, months, weekdays,
        by_hour=fields[1][0] == "*", either_day=either_day,
    )  # fmt: skip


def _field(what: str, text: str, low: int, high: int, names: tuple[str, ...] = ()) -> frozenset[int]:
    chosen: set[int] = set()
    for part in text.split(","):
        found = _PART.fullmatch(part)
        if found is None or (found[4] and not (found[1] or found[3])):
            raise ValueError(f"{what}: expected *, a number, a range like 1-5, or a step like */10, got {part!r}")
        first, last = low, high
        if found[2]:
            first = _number(what, found[2], low, high, names)
            last = _number(what, found[3], low, high, names) if found[3] else first
        step = int(found[4] or 1)
        if first > last:
            raise ValueError(f"{what}: {part!r} ends before it begins; write two ranges")
        if not 1 <= step <= high:
            raise ValueError(f"{what}: the step in {part!r} must be from 1 to {high}")
        chosen.update(range(first, last + 1, step))
    return frozenset(chosen)


def _number(what: str, word: str, low: int, high: int, names: tuple[str, ...]) -> int:
    if word in names:
        return names.index(word) + low
    if not word.isdecimal() or not low <= int(word) <= high:
        or_name = f", or {names[0]} to {names[-1]}" if names else ""
        raise ValueError(f"{what}: expected {low} to {high}{or_name}, got {word!r}")
    return int(word)


def _turn(before: int, after: int, offset: Offset) -> int:
    """The instant between two, the second included, at which the clock was turned to what it is at the second."""
    there = offset(after)
    while after - before > 1:
        middle = (before + after) // 2
        if offset(middle) == there:
            after = middle
        else:
            before = middle
    return after


def _civil(day: int) -> tuple[int, int]:
    """Month and day of month, of a day counted from 1970 (Gregorian; years begin in March to put leap days last)."""
    day_of_era = (day + 719468) % 146097
    year_of_era = (day_of_era - day_of_era // 1460 + day_of_era // 36524 - day_of_era // 146096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted = (5 * day_of_year + 2) // 153
    return (shifted + 2) % 12 + 1, day_of_year - (153 * shifted + 2) // 5 + 1
