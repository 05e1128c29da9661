"""The loop: what is ready is called once, what was closed is not, and nothing wakes it up for nothing."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from pidward.core.units import Instant
from pidward.runtime.loop import EDGE, READ, WRITE, Loop, Watch
from pidward.runtime.mailbox import Mailbox


@pytest.fixture
def loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.close()


@contextmanager
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    try:
        yield ends
    finally:
        for fd in ends:
            try:
                os.close(fd)
            except OSError:
                pass


def test_what_is_ready_is_called(loop: Loop) -> None:
    called: list[int] = []
    with pipe() as (read, write):
        loop.watch(read, READ, called.append)
        loop.turn(0)
        assert called == []
        os.write(write, b"x")
        loop.turn()
        assert called == [READ]
        loop.turn()
        assert called == [READ, READ], "as long as it is ready"


def test_edges_are_told_once(loop: Loop) -> None:
    called: list[int] = []
    with pipe() as (read, write):
        loop.watch(read, READ | EDGE, called.append)
        os.write(write, b"x")
        loop.turn()
        loop.turn(0)
        assert len(called) == 1


def test_other_events(loop: Loop) -> None:
    called: list[int] = []
    with pipe() as (_, write):
        watch = loop.watch(write, READ, called.append)
        loop.turn(0)
        watch.modify(WRITE)
        loop.turn(0)
        assert called == [WRITE]


def test_a_closed_watch_is_not_called(loop: Loop) -> None:
    called: list[int] = []
    with pipe() as (read, write):
        watch = loop.watch(read, READ, called.append)
        os.write(write, b"x")
        watch.close()
        watch.close()
        loop.turn(0)
        assert called == []


def test_a_watch_closed_in_the_same_turn_is_not_called(loop: Loop) -> None:
    """Both are ready; whoever is called first closes the other."""
    called: list[str] = []
    with pipe() as (one, write_one), pipe() as (two, write_two):
        watches: dict[str, Watch] = {}

        def close(mine: str, other: str) -> None:
            called.append(mine)
            watches[other].close()

        watches["two"] = loop.watch(two, READ, lambda _: close("two", "one"))
        watches["one"] = loop.watch(one, READ, lambda _: close("one", "two"))
        for write in (write_one, write_two):
            os.write(write, b"x")
        loop.turn()
        assert len(called) == 1


def test_an_event_does_not_reach_the_next_owner_of_a_number(loop: Loop) -> None:
    """One callback closes the other's descriptor, and opens another that gets its number."""
    called: list[str] = []
    with pipe() as (one, write_one), pipe() as (two, write_two), pipe() as (quiet, _):
        reads = {"one": one, "two": two}
        watches: dict[str, Watch] = {}

        def take_over(mine: str, other: str) -> None:
            called.append(mine)
            watches[other].close()
            os.dup2(quiet, reads[other])
            loop.watch(reads[other], READ, lambda _: called.append("new owner"))

        watches["one"] = loop.watch(one, READ, lambda _: take_over("one", "two"))
        watches["two"] = loop.watch(two, READ, lambda _: take_over("two", "one"))
        for write in (write_one, write_two):
            os.write(write, b"x")
        loop.turn()
        assert len(called) == 1
        assert "new owner" not in called


def test_timers_fire_in_order(loop: Loop) -> None:
    called: list[str] = []
    now = loop.now()
    loop.call_at(Instant(now + 0.003), lambda: called.append("late"))
    loop.call_at(Instant(now + 0.001), lambda: called.append("early"))
    loop.call_at(Instant(now - 1000), lambda: called.append("overdue"))
    never = loop.call_at(Instant(now + 0.002), lambda: called.append("never"))
    never.cancel()
    never.cancel()
    while len(called) < 3:
        loop.turn(1)
    assert called == ["overdue", "early", "late"]
    loop.turn(0)
    assert len(called) == 3


def test_a_timer_set_earlier_than_the_present_one(loop: Loop) -> None:
    called: list[str] = []
    loop.call_at(Instant(loop.now() + 3600), lambda: called.append("in an hour"))
    loop.turn(0)
    loop.call_at(Instant(loop.now() + 0.001), lambda: called.append("now"))
    loop.turn(10)
    assert called == ["now"]


def test_cancelled_timers_do_not_pile_up(loop: Loop) -> None:
    """A worker that fails over and over, each time with a deadline of an hour."""
    keep = [loop.call_at(Instant(loop.now() + 3600), lambda: None) for _ in range(10)]
    for _ in range(10_000):
        loop.call_at(Instant(loop.now() + 3600), lambda: None).cancel()
    assert len(loop._timers) < 1000
    assert all(any(timer is entry[-1] for entry in loop._timers) for timer in keep)


def test_soon_is_before_the_end_of_the_turn(loop: Loop) -> None:
    called: list[str] = []
    loop.after_turn = lambda: called.append("after")

    def soon() -> None:
        called.append("soon")
        loop.call_soon(lambda: called.append("sooner"))

    loop.call_soon(soon)
    loop.turn()
    assert called == ["soon", "sooner", "after"]


def test_what_is_asked_after_a_turn_comes_in_the_next_without_waiting(loop: Loop) -> None:
    called: list[str] = []
    loop.call_soon(lambda: None)
    loop.after_turn = lambda: loop.stop() if called else loop.call_soon(lambda: called.append("next"))
    loop.run()
    assert called == ["next"]


def test_letters_from_another_thread(loop: Loop) -> None:
    mailbox = Mailbox(loop)
    here: list[int] = []
    sender = threading.Thread(target=lambda: mailbox.post(lambda: here.append(threading.get_ident())))
    sender.start()
    loop.turn(10)
    sender.join()
    mailbox.close()
    assert here == [threading.get_ident()]


def test_a_letter_that_fails_takes_no_other_with_it(loop: Loop) -> None:
    mailbox = Mailbox(loop)
    told: list[str] = []
    here: list[str] = []
    loop.on_error = lambda error, _gives_up: told.append(str(error))
    mailbox.post(lambda: here.append(here[0]))
    mailbox.post(lambda: here.append("second"))
    loop.turn(10)
    mailbox.close()
    assert (len(told), here) == (1, ["second"])


def test_letters_after_the_end_go_nowhere(loop: Loop) -> None:
    """A thread that hangs in the disk may outlive the mailbox; the number of its eventfd is somebody else's by then."""
    with pipe() as (reading, writing):
        os.set_blocking(reading, False)
        spare = os.dup(writing)
        os.close(spare)
        mailbox = Mailbox(loop)  # the lowest free number is its own
        mailbox.close()
        assert os.dup(writing) == spare
        try:
            mailbox.post(lambda: None)
            with pytest.raises(BlockingIOError):
                os.read(reading, 8)
        finally:
            os.close(spare)


def test_it_stops(loop: Loop) -> None:
    loop.call_at(loop.now(), loop.stop)
    loop.run()
