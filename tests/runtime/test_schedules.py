"""Schedules on a loop: the boot clock is the real one, the wall clock is in the test's hand."""

from collections.abc import Iterator
from typing import Any, cast

import pytest

from pidward.core.events import Due
from pidward.core.spec import Configuration, Execution, Schedule, ServiceSpec, ServiceType
from pidward.core.units import Instant, Seconds
from pidward.kernel.clock import boottime, wall
from pidward.runtime import schedules
from pidward.runtime.attendant import Surroundings
from pidward.runtime.loop import Loop
from pidward.runtime.schedules import CORRECTION, Schedules
from tests.runtime.bench import descriptors

NOON = 1_800_000_000 // 86400 * 86400 + 12 * 3600


def job(name: str, **schedule: Any) -> ServiceSpec:
    return ServiceSpec(name, Execution(("true",)), type=ServiceType.ONESHOT, schedule=Schedule(**schedule))


class Clock:
    """Two clocks that the test moves, and the schedules that look at them. Local time is Greenwich's."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.loop = Loop()
        self.wall, self.boot = float(NOON), 1000.0
        self.due: list[Due] = []
        monkeypatch.setattr(schedules, "wall", lambda: self.wall)
        monkeypatch.setattr(schedules, "boottime", lambda: Instant(self.boot))
        monkeypatch.setattr(schedules, "offset_of_wall", lambda _at: 0)
        around = {"loop": self.loop, "feed": self.due.append}
        self.schedules = Schedules(cast("Surroundings", type("Around", (), around)))

    def configure(self, *specs: ServiceSpec) -> None:
        self.schedules.configured(Configuration(specs))

    def pass_by(self, seconds: float, *, is_set: float = 0.0) -> list[str]:
        """Let time pass, set the wall clock, and have the timer fire as the kernel does then; who is due."""
        self.wall += seconds + is_set
        self.boot += seconds
        self.schedules._fired(0)
        due, self.due[:] = [event.service for event in self.due], []
        return due


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    before = descriptors()
    clock = Clock(monkeypatch)
    yield clock
    clock.schedules.close()
    clock.loop.close()
    assert descriptors() == before


def test_cron_is_due_at_its_time(clock: Clock) -> None:
    clock.configure(job("a", cron="30 12 * * *"), job("b", cron="0 13 * * *"))
    assert clock.schedules.next_run("a") == NOON + 1800
    assert clock.pass_by(1799) == []
    assert clock.pass_by(1) == ["a"]
    assert clock.schedules.next_run("a") == NOON + 1800 + 86400
    assert clock.pass_by(1800) == ["b"]
    assert clock.due == []


def test_what_was_missed_in_a_sleep_is_made_up_for_once(clock: Clock) -> None:
    """The boot clock counts the time asleep, so this is no setting of the clock."""
    clock.configure(job("often", cron="*/5 * * * *"), job("daily", cron="0 0 * * *"))
    assert clock.pass_by(10 * 86400 + 60) == ["often", "daily"]
    assert clock.schedules.next_run("often") == NOON + 10 * 86400 + 300


def test_a_small_jump_forward_is_made_up_for_and_back_repeats_nothing(clock: Clock) -> None:
    clock.configure(job("a", cron="30 12 * * *"), job("b", cron="*/10 * * * *"))
    assert clock.pass_by(60, is_set=3600) == ["a", "b"]
    assert clock.pass_by(60, is_set=-3600) == []
    assert clock.pass_by(60) == []
    assert clock.schedules.next_run("b") == NOON + 4200
    assert clock.schedules.next_run("a") == NOON + 1800 + 86400


@pytest.mark.parametrize("jump", [CORRECTION + 60, 20 * 365 * 86400, -CORRECTION - 60, -5 * 365 * 86400])
def test_a_clock_that_was_wrong_makes_up_for_nothing(clock: Clock, jump: int) -> None:
    """A machine without a battery wakes in 1970, and learns the date from the network."""
    clock.configure(job("a", cron="*/30 * * * *"))
    assert clock.pass_by(60, is_set=jump) == []
    following = clock.schedules.next_run("a")
    assert following is not None
    assert 0 < following - clock.wall <= 1800


def test_why_is_told(clock: Clock) -> None:
    clock.configure(job("a", cron="@hourly"))
    clock.wall += 3600
    clock.boot += 3600
    clock.schedules._fired(0)
    assert clock.due == [Due("a", 'its schedule ("@hourly")')]


def test_a_schedule_that_is_as_it_was_goes_on(clock: Clock) -> None:
    clock.configure(job("a", cron="0 * * * *"), job("b", every=Seconds(60.0)))
    timer = clock.schedules._periodic["b"].timer
    clock.configure(job("a", cron="0 * * * *"), job("b", every=Seconds(60.0)), job("c", cron="5 * * * *"))
    assert clock.schedules._periodic["b"].timer is timer
    clock.configure(job("b", every=Seconds(30.0)), job("c", cron="5 * * * *"))
    assert clock.schedules.next_run("a") is None
    assert timer.callback is None
    assert clock.pass_by(3600) == ["c"]
    clock.configure()
    assert clock.schedules.next_run("b") is clock.schedules.next_run("c") is None


@pytest.fixture
def real() -> Iterator[tuple[Loop, Schedules, list[Due]]]:
    loop, due = Loop(), list[Due]()
    around = Schedules(cast("Surroundings", type("Around", (), {"loop": loop, "feed": due.append})))
    yield loop, around, due
    around.close()
    loop.close()


def test_every_is_from_start_to_start(real: tuple[Loop, Schedules, list[Due]]) -> None:
    loop, around, due = real
    begun = loop.now()
    around.configured(Configuration((job("a", every=Seconds(0.1)),)))
    moments: list[float] = []
    while len(moments) < 3:
        loop.turn(1.0)
        if due:
            due.clear()
            moments.append(loop.now() - begun)
    assert all(moment >= 0.1 * number - 0.001 for number, moment in enumerate(moments, 1))
    grid = around._periodic["a"].timer.when - around._began
    assert round(grid / 0.1, 6) == round(grid / 0.1), "late wake-ups do not add up"


def test_periods_that_were_missed_are_one_run(real: tuple[Loop, Schedules, list[Due]]) -> None:
    """As after a sleep of the machine: the loop comes back much later."""
    loop, around, due = real
    around.configured(Configuration((job("a", every=Seconds(0.01)),)))
    end = loop.now() + 0.1
    while loop.now() < end:
        pass
    loop.turn(1.0)
    assert due == [Due("a", "its schedule (every 10ms)")]
    assert around._periodic["a"].timer.when > end
    following = around.next_run("a")
    assert following is not None


def test_the_real_wall_timer_fires(real: tuple[Loop, Schedules, list[Due]], monkeypatch: pytest.MonkeyPatch) -> None:
    loop, around, due = real
    monkeypatch.setattr(schedules, "_next_run", lambda _cron, now: now + 0.05)
    around.configured(Configuration((job("a", cron="* * * * *"),)))
    begun = wall()
    deadline = boottime() + 10
    while not due and boottime() < deadline:
        loop.turn(1.0)
    assert due[0].service == "a"
    assert wall() - begun >= 0.049
