"""A running supervisor, its commands and its control socket, while numbers are handed out again."""

import pytest

from tests.reuse.namespace import missing, run_in_namespace

ROUNDS = {
    "worker_is_dead": 150,
    "worker_is_replaced": 150,
    "successor_has_the_number": 100,
    "supervisor_crashed": 15,
}

pytestmark = pytest.mark.skipif(bool(reason := missing()), reason=reason or "")


@pytest.mark.parametrize("story", ROUNDS)
def test_supervisor(story: str) -> None:
    rounds = ROUNDS[story]
    assert run_in_namespace(f"tests.reuse.supervised:{story}", rounds) == rounds
