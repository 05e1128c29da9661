import select
import time

import pytest

from pidward.core.units import Instant
from pidward.kernel.clock import Timer, boot_id, boottime, wall


@pytest.fixture
def timer():
    timer = Timer()
    yield timer
    timer.close()


def fires_within(timer: Timer, seconds: float) -> bool:
    return bool(select.select([timer], [], [], seconds)[0])


def test_boottime_rises_and_is_the_kernels_own() -> None:
    first, second = boottime(), boottime()
    with open("/proc/uptime") as file:
        uptime = float(file.read().split()[0])
    assert first <= second
    assert abs(second - uptime) < 1.0


def test_wall_is_seconds_since_1970() -> None:
    assert abs(wall() - time.time()) < 1.0


def test_boot_id_is_the_kernels() -> None:
    assert len(boot_id()) == 36
    assert boot_id() == boot_id()


def test_timer_fires_at_its_instant_and_not_before(timer: Timer) -> None:
    when = Instant(boottime() + 0.02)
    timer.arm(when)
    assert fires_within(timer, 5.0)
    assert boottime() >= when


@pytest.mark.parametrize("when", [0.0, -5.0, 1e-9])
def test_an_instant_of_the_past_fires_at_once(timer: Timer, when: float) -> None:
    timer.arm(Instant(when))
    assert fires_within(timer, 5.0)


def test_a_disarmed_timer_is_silent(timer: Timer) -> None:
    timer.arm(Instant(boottime() + 0.01))
    timer.arm(None)
    assert not fires_within(timer, 0.03)


def test_drain_takes_the_expiry_and_does_not_wait_for_one(timer: Timer) -> None:
    timer.drain()
    timer.arm(Instant(0))
    assert fires_within(timer, 5.0)
    timer.drain()
    assert not fires_within(timer, 0)


def test_close_twice_is_harmless() -> None:
    timer = Timer()
    timer.close()
    timer.close()
