"""The table of signals against the running system's."""

import contextlib
import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pidward.core import signals


@pytest.mark.parametrize("name", [name for name in dir(signal) if name.startswith("SIG") and name[3] != "_"])
def test_every_name_of_the_system_is_known(name: str) -> None:
    number = getattr(signal, name)
    if name in ("SIG_DFL", "SIG_IGN"):
        return
    assert signals.parse_signal(name) == number
    assert signals.parse_signal(name.removeprefix("SIG").lower()) == number


def test_every_number_of_the_system_has_its_name() -> None:
    for member in signal.Signals:
        if member not in (signal.SIGRTMIN, signal.SIGRTMAX):
            assert signals.signal_name(member) == member.name
    assert signals.signal_name(signal.SIGRTMIN) == "SIGRTMIN"
    assert signals.signal_name(signal.SIGRTMIN + 3) == "SIGRTMIN+3"


@given(st.integers(1, 64))
def test_what_is_printed_can_be_read(number: int) -> None:
    assert signals.parse_signal(signals.signal_name(number)) == number


@pytest.mark.parametrize("text", ["SIGRTMAX", "SIGRTMAX-0", "RTMIN+30", "64", " sigrtmax "])
def test_last_signal(text: str) -> None:
    assert signals.parse_signal(text) == 64


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "SIG",
        "SIGFOO",
        "SIGSIGTERM",
        "TERM+1",
        "+3",
        "RTMIN+31",
        "RTMAX-31",
        "RTMIN-1",
        "RTMIN+²",
        "²",
        "9" * 5000,
        0,
        -9,
        65,
        True,
    ],
)
def test_what_is_no_signal_is_refused_by_name(wrong: str | int) -> None:
    with pytest.raises(ValueError, match="unknown signal"):
        signals.parse_signal(wrong)


@given(st.text() | st.integers())
def test_anything_else_is_a_value_error(text: str | int) -> None:
    with contextlib.suppress(ValueError):
        assert 1 <= signals.parse_signal(text) <= signals.SIGRTMAX
