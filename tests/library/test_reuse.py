"""No number that was handed out again makes the library touch, or wait for, a wrong process."""

import pytest

from tests.reuse.namespace import missing, run_in_namespace

ROUNDS = 30

pytestmark = pytest.mark.skipif(bool(reason := missing()), reason=reason or "")


@pytest.mark.parametrize("story", ["plain", "asynchronous", "watched"])
def test_the_next_owner_of_a_number_feels_nothing(story: str) -> None:
    felt = run_in_namespace(f"tests.library.reuse:{story}", ROUNDS)
    assert set(felt) == {"nothing"}
    assert len(felt) >= ROUNDS


def test_the_same_without_the_watcher_hits_the_next_owner() -> None:
    """The control: asyncio as it is, in the same situation."""
    found = run_in_namespace("tests.reuse.scenarios:play", "asyncio_child", 3)
    if isinstance(found, str):
        pytest.skip(f"needs {found}")
    assert [touched for touched, _ in found] == ["SIGKILL"] * 3
