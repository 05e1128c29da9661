"""Quantities: what is printed can be read, and loses at most the rounding."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pidward.core import units
from pidward.core.units import format_duration, format_size, parse_duration, parse_percent, parse_size


@pytest.mark.parametrize(
    "text, seconds",
    [
        ("500ms", 0.5),
        ("10s", 10),
        ("10", 10),
        ("5min", 300),
        ("1h 30min", 5400),
        ("1h30m", 5400),
        (" 2 d ", 172800),
        ("1.5s", 1.5),
        ("250us", 0.00025),
        ("1w", 604800),
        (3, 3.0),
        (0.25, 0.25),
        (0, 0),
    ],
)
def test_durations_people_write(text: str | float, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "seconds, text",
    [
        (0, "0s"),
        (0.0003, "300us"),
        (0.0009994, "999us"),
        (0.0015, "1.5ms"),
        (0.99999, "999.9ms"),
        (1.59, "1.5s"),
        (59.99, "59.9s"),
        (60, "1min"),
        (3661, "1h 1min"),
        (90061, "1d 1h"),
        (86400, "1d"),
        (-2, "-2s"),
    ],
)
def test_durations_as_printed(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@given(st.floats(0, 1e9))
def test_a_printed_duration_loses_at_most_the_rounding(seconds: float) -> None:
    lost = seconds - parse_duration(format_duration(seconds))
    step = 1e-6 if seconds < 1e-3 else 1e-4 if seconds < 1 else 0.1 if seconds < 60 else 1 if seconds < 3600 else 60
    assert -1e-6 <= lost <= (step if seconds < 86400 else 3600) + 1e-6


@pytest.mark.parametrize(
    "text, size",
    [("64MiB", 64 << 20), ("2GB", 2 * 10**9), ("640", 640), ("1.5 KiB", 1536), ("1kB", 1000), ("1K", 1024), (7, 7)],
)
def test_sizes_people_write(text: str | int, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "size, text",
    [
        (0, "0B"),
        (1023, "1023B"),
        (1024, "1KiB"),
        (2**20 - 1, "1023.9KiB"),
        (50 << 20, "50MiB"),
        (-1536, "-1.5KiB"),
        (1 << 40, "1TiB"),
        (2**62, "4194304TiB"),
    ],
)
def test_sizes_as_printed(size: int, text: str) -> None:
    assert format_size(size) == text


@given(st.integers(0, units.MAX_SIZE))
def test_a_printed_size_loses_at_most_the_rounding(size: int) -> None:
    back = parse_size(format_size(size))
    unit = next(unit for unit in (1 << 40, 1 << 30, 1 << 20, 1 << 10, 1) if size >= unit or unit == 1)
    inexact = 1 + size / 2**52  # a float of bytes is in between
    assert -inexact <= size - back <= unit / 10 + inexact


@pytest.mark.parametrize("text, fraction", [("40%", 0.4), (" 2.5 % ", 0.025), (0.1, 0.1), (1, 1.0)])
def test_percentages(text: str | float, fraction: float) -> None:
    assert parse_percent(text) == pytest.approx(fraction)


WRONG = ["", " ", "s", "ten", "-1s", "1 fortnight", "1..5s", "1s,", "1e3", "9" * 400 + "d", "\x00", "10s\n;"]


@pytest.mark.parametrize("wrong", [*WRONG, -1, float("nan"), float("inf"), 10**400, True, None, []])
def test_what_is_no_duration_is_a_value_error(wrong: object) -> None:
    with pytest.raises(ValueError, match="duration"):
        parse_duration(wrong)


@pytest.mark.parametrize("wrong", [*WRONG, "1MiB 1KiB", "1mb", -1, 2**63, 1.5, True, None])
def test_what_is_no_size_is_a_value_error(wrong: object) -> None:
    with pytest.raises(ValueError, match="size"):
        parse_size(wrong)


@pytest.mark.parametrize("wrong", ["40", "%", "-1%", "9" * 400 + "%", -0.1, float("nan"), float("inf"), 10**400, False])
def test_what_is_no_percentage_is_a_value_error(wrong: object) -> None:
    with pytest.raises(ValueError, match="percentage"):
        parse_percent(wrong)


@given(st.text() | st.integers() | st.floats() | st.booleans())
def test_anything_read_is_in_range_or_a_value_error(text: str | float) -> None:
    for parse, most in ((parse_duration, units.MAX_DURATION), (parse_size, units.MAX_SIZE), (parse_percent, 1e6)):
        with contextlib.suppress(ValueError):
            assert 0 <= parse(text) <= most
