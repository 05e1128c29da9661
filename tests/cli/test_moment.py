"""Points in time as people write them."""

import time
from collections.abc import Iterator

import pytest

from pidward.cli.moment import parse_moment

NS = 10**9
NOW = 1_795_348_800 * NS + 123  # 2026-11-22 12:00:00 UTC


@pytest.fixture(autouse=True)
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Where it is one o'clock then, and was two in the summer."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.parametrize(
    "text, seconds_ago",
    [
        ("10min", 600), ("1h 30min", 5400), ("1h30m ago", 5400), ("0.5s", 0.5), ("2d", 172_800),
        ("today", 13 * 3600), ("yesterday", 37 * 3600), ("13:00", 0), ("9:30", 12_600), ("12:59:59.5", 0.5),
        ("2026-11-22", 13 * 3600), ("2026-11-22 10:00", 10_800), ("2026-11-22T10:00:00Z", 7200),
        ("2026-11-22T12:00:00+05:00", 18_000), ("@1795348790", 10), ("2026-07-01 00:00", 144 * 86_400 + 14 * 3600),
    ],
)  # fmt: skip
def test_it_is_understood(text: str, seconds_ago: float) -> None:
    assert abs(parse_moment(text, NOW) - (NOW - seconds_ago * NS)) < 1000


def test_now_is_now() -> None:
    assert parse_moment("now", NOW) == NOW


@pytest.mark.parametrize("text", ["", "soon", "25:00", "10", "5 parsec", "@x", "2026-13-01", "@1e400", "-5min"])
def test_it_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match=r"cannot read the time .*; write it like 10min"):
        parse_moment(text, NOW)
