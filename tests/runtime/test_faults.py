"""A mistake of pidward's own is told, and the loop goes on."""

import os

from pidward.runtime.faults import MAX_FAULTS, Faults
from pidward.runtime.loop import READ, TOLERATED, Loop


class Broken:
    """A callback that fails."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, *_events: int) -> None:
        self.calls += 1
        raise ValueError("broken")


def test_an_error_in_any_callback_is_told_and_the_others_are_called() -> None:
    loop, said, done = Loop(), list[str](), list[str]()
    loop.on_error = lambda error, _gave_up: said.append(str(error))
    ready, fine = os.eventfd(1), os.eventfd(1)
    broken = Broken()
    watch = loop.watch(ready, READ, broken)
    other = loop.watch(fine, READ, lambda _events: done.append("fine"))
    loop.call_soon(broken)
    loop.call_soon(lambda: done.append("soon"))
    loop.call_at(loop.now(), broken)
    loop.call_at(loop.now(), lambda: done.append("timer"))
    loop.after_turn = broken
    while "timer" not in done:
        loop.turn(5)
    assert {"fine", "soon", "timer"} == set(done)
    assert broken.calls >= 4
    assert said == ["broken"] * broken.calls
    watch.close()
    other.close()
    loop.close()
    os.close(ready)
    os.close(fine)


def test_a_descriptor_whose_callback_only_fails_is_given_up() -> None:
    loop, told = Loop(), list[bool]()
    loop.on_error = lambda _error, gave_up: told.append(gave_up)
    ready = os.eventfd(1)
    broken = Broken()
    watch = loop.watch(ready, READ, broken)
    for _ in range(TOLERATED + 5):
        loop.turn(0)
    assert broken.calls == TOLERATED
    assert told == [False] * (TOLERATED - 1) + [True]
    watch.modify(READ)
    watch.close()
    again = loop.watch(ready, READ, lambda _events: told.append(True))
    loop.turn(0)
    assert len(told) == TOLERATED + 1, "the descriptor can be watched anew"
    again.close()
    loop.close()
    os.close(ready)


def test_errors_that_are_not_in_a_row_are_tolerated() -> None:
    loop, told, calls = Loop(), list[bool](), [0]
    loop.on_error = lambda _error, gave_up: told.append(gave_up)
    ready = os.eventfd(1)

    def sometimes(_events: int) -> None:
        calls[0] += 1
        if calls[0] % 2:
            raise ValueError("odd")

    watch = loop.watch(ready, READ, sometimes)
    for _ in range(4 * TOLERATED):
        loop.turn(0)
    assert calls[0] == 4 * TOLERATED
    assert not any(told)
    watch.close()
    loop.close()
    os.close(ready)


def failure(number: int) -> Exception:
    try:
        exec(compile("\n" * number + "1 / 0", "part.py", "exec"))  # at a line of our choice
    except ZeroDivisionError as error:
        return error
    raise AssertionError


def test_each_kind_is_told_seldom_and_with_its_place() -> None:
    said: list[str] = []
    faults = Faults(said.append)
    for _ in range(100):
        faults.tell(failure(6), False)
    assert said == [
        f"internal error: ZeroDivisionError: division by zero (at part.py:7{times}); please report this"
        for times in ("", ", 10 times", ", 100 times")
    ]
    faults.tell(failure(6), True)
    assert said[-1].endswith("not looked at any more")


def test_kinds_have_a_limit() -> None:
    said: list[str] = []
    faults = Faults(said.append)
    for number in range(MAX_FAULTS + 20):
        faults.tell(failure(number), False)
    assert len(said) == MAX_FAULTS
