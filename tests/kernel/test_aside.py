"""Work done in a fork of ours."""

import os

import pytest

from pidward.kernel.aside import Aside
from pidward.kernel.procfs import own_children


def test_the_answer_comes_over_and_nothing_stays() -> None:
    before, children = os.listdir("/proc/self/fd"), own_children()
    aside = Aside(lambda: b"%d" % os.getpid() * 100_000)
    answer = aside.answer()
    assert answer is not None
    assert len(answer) >= 100_000
    assert answer[:4] != b"%d" % os.getpid()
    assert os.listdir("/proc/self/fd") == before
    assert own_children() == children


@pytest.mark.parametrize("ending", [ZeroDivisionError, SystemExit, KeyboardInterrupt])
def test_a_task_that_fails_gives_no_answer(ending: type[BaseException]) -> None:
    def fail() -> bytes:
        raise ending

    assert Aside(fail).answer() is None


def test_a_task_that_is_killed_gives_no_answer() -> None:
    def die() -> bytes:
        os.abort()

    assert Aside(die).answer() is None
