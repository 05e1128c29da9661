"""No number that was handed out again makes pidward signal, wait for, or ask a wrong process."""

import pytest

from tests.reuse.namespace import FORCINGS, missing, run_in_namespace

ROUNDS = 1_200
STORIES = (
    "start", "send_signal", "stop", "kill_by_identity", "kill_by_file_handle", "kill_tree", "wait", "status",
    "library_calls",
)  # fmt: skip
assert ROUNDS * len(STORIES) >= 10_000

pytestmark = pytest.mark.skipif(bool(reason := missing()), reason=reason or "")


@pytest.mark.parametrize("by", FORCINGS)
def test_a_stranger_has_the_number_and_is_no_relation(by: str) -> None:
    found = run_in_namespace("tests.reuse.library:relations", by)
    assert found == {"has the number": True, "is our child": False, "leads its session": True}


@pytest.mark.parametrize("by", FORCINGS)
def test_who_signals_a_number_hits_the_stranger(by: str) -> None:
    """The control: without it all that follows would prove nothing."""
    assert run_in_namespace("tests.reuse.library:signal_by_number", by, 3) == ["SIGTERM"] * 3


def test_a_stranger_tells_everything_that_is_done_to_it() -> None:
    expected = {"0": None, "10": "SIGUSR1", "17": "SIGCHLD", "18": "SIGCONT", "19": "SIGSTOP", "9": "SIGKILL"}
    assert run_in_namespace("tests.reuse.library:touch_in_every_way") == expected


@pytest.mark.parametrize("story", STORIES)
def test_library(story: str) -> None:
    """More than ten thousand reuses in all."""
    assert run_in_namespace("tests.reuse.library:play", story, ROUNDS) == ROUNDS
