"""The table of docs/pid-reuse.md says what is so."""

import pytest

from tests.reuse import rivals
from tests.reuse.namespace import missing
from tests.reuse.scenarios import NO, SCENARIOS, Outcome

TRIES = 3
FOOLED = ("killpg", "popen_foreign_child", "ssd", "ssd_exec_same", "pidproxy")
OURS = tuple(name for name, scenario in SCENARIOS.items() if scenario.who == "pidward")

pytestmark = pytest.mark.skipif(bool(reason := missing()), reason=reason or "")


def _play(name: str) -> rivals.Tally:
    tally = rivals.play(name, TRIES)
    if tally.missing is not None:
        pytest.skip(f"needs {tally.missing}")
    return tally


@pytest.mark.parametrize("name", FOOLED)
def test_rival_is_fooled(name: str) -> None:
    """Each time, so the forcing works and the harness can fail."""
    assert _play(name).wrong == TRIES


@pytest.mark.parametrize("name", OURS)
def test_pidward_is_not_fooled(name: str) -> None:
    tally = _play(name)
    assert tally.wrong == 0
    assert tally.unnoticed == 0


def test_a_row_says_what_happened() -> None:
    outcomes = [Outcome("SIGTERM", NO), Outcome(None, "yes")]
    assert rivals.row(rivals.Tally("ssd", outcomes))[2:] == (2, "**1 of 2** (SIGTERM)", "1 x no, 1 x yes")
    assert rivals.row(rivals.Tally("ssd", [], "start-stop-daemon"))[3] == "skipped: needs start-stop-daemon"
