"""Cron against a walker that looks at every minute of real time, in zones whose clocks are turned forth and back."""

from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pidward.core.cron import MINUTE, Cron, parse

ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "America/St_Johns"]


@cache
def zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def offset_in(name: str):
    def offset(at: int) -> int:
        ahead = datetime.fromtimestamp(at, zone(name)).utcoffset()
        assert ahead is not None
        return int(ahead.total_seconds())

    return offset


def instant(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())


def shown(cron: Cron, at: int, name: str) -> bool:
    """The clock shows a time that the fields name, by the calendar of the standard library."""
    when = datetime.fromtimestamp(at, zone(name))
    by_month, by_week = when.day in cron.days, when.isoweekday() % 7 in cron.weekdays
    on_day = (by_month or by_week) if cron.either_day else (by_month and by_week)
    return on_day and when.month in cron.months and when.hour in cron.hours and when.minute in cron.minutes


def walked(cron: Cron, first: int, minutes: int, name: str) -> list[int]:
    """All runs within some minutes, by looking at each of them."""
    offset = offset_in(name)
    runs = []
    shown_before: set[int] = set()
    for at in range(first - 3 * 3600, first + minutes * MINUTE, MINUTE):
        turned = offset(at) - offset(at - MINUTE)
        wall = at + offset(at)
        due = shown(cron, at, name) and (cron.by_hour or wall not in shown_before)
        if not cron.by_hour and turned > 0:  # what was left out is made up for
            due = due or any(
                cron.next_wall(skipped - 1) == skipped for skipped in range(wall - turned, wall, MINUTE)
            )  # fmt: skip
        shown_before.add(wall)
        if due and at > first:
            runs.append(at)
    return runs


def runs_until(cron: Cron, first: int, minutes: int, name: str) -> list[int]:
    runs, at = [], first
    while (at := cron.next_run(at, offset_in(name))) < first + minutes * MINUTE:
        runs.append(at)
    return runs


numbers = st.integers


def fields(low: int, high: int) -> st.SearchStrategy[str]:
    number = st.integers(low, high).map(str)
    two = st.tuples(st.integers(low, high), st.integers(low, high)).map(sorted)
    spans = two.map(lambda pair: f"{pair[0]}-{pair[1]}")
    stepped = st.tuples(spans | st.just("*"), st.integers(1, high)).map(lambda pair: f"{pair[0]}/{pair[1]}")
    part = number | spans | stepped | st.just("*")
    return st.lists(part, min_size=1, max_size=3).map(",".join)


EXPRESSIONS = st.tuples(fields(0, 59), fields(0, 23) | st.just("*"), st.just("*"), st.just("*"), fields(0, 7)).map(
    " ".join
)
TURNS = ["2026-03-28T22:00Z", "2026-10-24T22:00Z", "2026-03-08T03:00Z", "2026-11-01T03:00Z", "2026-04-04T12:00Z",
         "2026-10-03T12:00Z", "2026-12-31T20:00Z"]  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(EXPRESSIONS, st.sampled_from(TURNS), st.sampled_from(ZONES), st.integers(0, 600))
@example("30 2 * * *", "2026-03-28T22:00Z", "Europe/Berlin", 0)
@example("30 2 * * *", "2026-10-24T22:00Z", "Europe/Berlin", 0)
@example("*/10 * * * *", "2026-10-24T22:00Z", "Europe/Berlin", 0)
@example("45 1 * * *", "2026-04-04T12:00Z", "Australia/Lord_Howe", 0)
def test_it_is_what_a_walker_finds(text: str, begin: str, name: str, later: int) -> None:
    first, minutes = instant(begin) + later * MINUTE, 16 * 60
    cron = parse(text)
    assert runs_until(cron, first, minutes, name) == walked(cron, first, minutes, name)


@settings(max_examples=60, deadline=None)
@given(fields(1, 31), fields(1, 12), fields(0, 7), st.integers(0, 40_000))
def test_days_are_those_of_the_calendar(days: str, months: str, weekdays: str, start: int) -> None:
    try:
        cron = parse(f"0 0 {days} {months} {weekdays}")
    except ValueError:
        return
    got = cron.next_wall(start * 86400 - 1)
    day = start
    while not shown(cron, day * 86400, "UTC"):
        day += 1
    assert got == day * 86400


@pytest.mark.parametrize("text, after, name, due", [
    ("30 2 * * *", "2026-03-29T00:00+01:00", "Europe/Berlin", "2026-03-29T03:00+02:00"),  # left out: when it is turned
    ("30 2 * * *", "2026-03-29T03:00+02:00", "Europe/Berlin", "2026-03-30T02:30+02:00"),
    ("30 2 * * *", "2026-10-25T02:30+02:00", "Europe/Berlin", "2026-10-26T02:30+01:00"),  # comes twice: runs once
    ("30 2 * * *", "2026-10-25T02:10+01:00", "Europe/Berlin", "2026-10-26T02:30+01:00"),
    ("30 * * * *", "2026-10-25T02:30+02:00", "Europe/Berlin", "2026-10-25T02:30+01:00"),  # by the hour: twice
    ("30 * * * *", "2026-03-29T01:30+01:00", "Europe/Berlin", "2026-03-29T03:30+02:00"),  # by the hour: not
    ("30 2 25 10 *", "2026-01-01T00:00+01:00", "Europe/Berlin", "2026-10-25T02:30+02:00"),  # across both turns
    ("30 2 29 3 *", "2026-01-01T00:00+01:00", "Europe/Berlin", "2026-03-29T03:00+02:00"),
    ("0 0 29 2 *", "2097-01-01T00:00+00:00", "UTC", "2104-02-29T00:00+00:00"),
    ("0 9 13 * fri", "2026-11-01T00:00+00:00", "UTC", "2026-11-06T09:00+00:00"),  # either is enough
    ("0 9 */2 * fri", "2026-11-01T10:00+00:00", "UTC", "2026-11-13T09:00+00:00"),  # a * asks for both
    ("@hourly", "2026-11-01T10:00:01+00:00", "UTC", "2026-11-01T11:00+00:00"),
    ("@weekly", "2026-11-02T10:00+00:00", "UTC", "2026-11-08T00:00+00:00"),
    ("0 0 * * 7", "2026-11-02T10:00+00:00", "UTC", "2026-11-08T00:00+00:00"),
    ("59 23 31 DEC Mon-Fri", "2026-11-28T10:00+00:00", "UTC", "2026-12-01T23:59+00:00"),
])  # fmt: skip
def test_dates(text: str, after: str, name: str, due: str) -> None:
    got = parse(text).next_run(instant(after), offset_in(name))
    assert datetime.fromtimestamp(got, UTC) == datetime.fromisoformat(due), datetime.fromtimestamp(got, zone(name))


@pytest.mark.parametrize("text, said", [
    ("", "expected 5 fields"),
    ("* * * *", "expected 5 fields"),
    ("@reboot", "expected 5 fields"),
    ("60 * * * *", "minute: expected 0 to 59, got '60'"),
    ("* 24 * * *", "hour: expected 0 to 23"),
    ("* * 0 * *", "day of month: expected 1 to 31"),
    ("* * * 13 *", "month: expected 1 to 12, or jan to dec"),
    ("* * * * funday", "day of week: expected 0 to 7, or sun to sat"),
    ("5-1 * * * *", "ends before it begins"),
    ("*/0 * * * *", "must be from 1 to 59"),
    ("5/10 * * * *", "expected *, a number"),
    ("1,,2 * * * *", "expected *, a number"),
    ("-1 * * * *", "expected *, a number"),
    ("0 0 31 2,4 *", "there is no such day in any year"),
    ("٣ * * * *", "expected *, a number"),
])  # fmt: skip
def test_mistakes(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said.replace("*", r"\*")):
        parse(text)


@given(st.text("0123456789*/-,@ abcjansunдé", max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        cron = parse(text)
    except ValueError:
        return
    assert 0 < cron.next_wall(0) < timedelta(days=366 * 9).total_seconds()
