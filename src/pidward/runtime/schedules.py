"""Oneshot services that run by themselves: ``every`` on the boot clock, ``cron`` on the wall clock.

Runs that fell due while the machine slept, or while the clock was turned forward by at most ``CORRECTION``, are made
up for by one. What happens when the run before it has not ended, the core decides.
"""

from pidward.core.actions import Record
from pidward.core.cron import Cron, parse
from pidward.core.events import Due
from pidward.core.lean import NamedTuple
from pidward.core.model import WorkerName
from pidward.core.spec import Configuration, Schedule, ServiceSpec
from pidward.core.units import Instant, Seconds, format_duration
from pidward.kernel.clock import WallTimer, boottime, offset_of_wall, read_zone_again, wall
from pidward.runtime.attendant import Equipment, Surroundings
from pidward.runtime.loop import READ, Timer, Watch
from pidward.runtime.seat import Seat

CORRECTION = 3 * 3600
"""Seconds. A wall clock that is set by more was wrong before: nothing is made up for, and all is computed anew. What is
set back by less repeats no run. The limit is that of Vixie's cron."""


class Schedules:
    """The schedules of all services. An attendant."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._loop, self._feed = surroundings.loop, surroundings.feed
        self._began = self._loop.now()
        self._periodic: dict[str, _Periodic] = {}
        self._entries: dict[str, _Entry] = {}
        self._ahead = 0.0  # of the boot clock, by the wall clock
        self._wall_timer: WallTimer | None = None
        self._watch: Watch | None = None

    def configured(self, configuration: Configuration) -> None:
        """Take the schedules; one that is as it was goes on."""
        schedules = {spec.name: spec.schedule for spec in configuration.services if spec.schedule is not None}
        for service, periodic in list(self._periodic.items()):
            if schedules.get(service) != periodic.schedule:
                self._periodic.pop(service).timer.cancel()
        self._entries = {
            service: entry for service, entry in self._entries.items() if schedules.get(service) == entry.schedule
        }
        for service, schedule in schedules.items():
            if schedule.every is not None and service not in self._periodic:
                self._begin(service, schedule, schedule.every)
            elif schedule.cron is not None and service not in self._entries:
                self._enter(service, schedule, schedule.cron)
        if self._entries or self._wall_timer is not None:
            self._arm()

    def equip(self, name: WorkerName, spec: ServiceSpec) -> Equipment:
        """Nothing."""
        del name, spec
        return Equipment()

    def followed(self, record: Record, seat: Seat) -> None:
        """Whether the last run has ended is the core's affair."""

    def close(self) -> None:
        """No more runs."""
        for periodic in self._periodic.values():
            periodic.timer.cancel()
        self._periodic.clear()
        self._entries.clear()
        if self._watch is not None:
            self._watch.close()
        if self._wall_timer is not None:
            self._wall_timer.close()

    def next_run(self, service: str) -> float | None:
        """When a service runs next, in seconds since 1970, for display; None without a schedule."""
        if service in self._entries:
            return self._entries[service].due
        if service in self._periodic:
            return wall() - boottime() + self._periodic[service].timer.when
        return None

    # --- every

    def _begin(self, service: str, schedule: Schedule, every: Seconds) -> None:
        """The first run is a period from pidward's start; a schedule that comes by a reload begins with that."""
        begin = self._began if self._began + every > self._loop.now() else self._loop.now()
        self._periodic[service] = _Periodic(schedule, self._plan(service, every, Instant(begin + every)))

    def _plan(self, service: str, every: Seconds, due: Instant) -> Timer:
        return self._loop.call_at(due, lambda: self._run(service, every, due))

    def _run(self, service: str, every: Seconds, due: Instant) -> None:
        now = self._loop.now()
        missed = int((now - due) // every)
        following = self._plan(service, every, Instant(due + (missed + 1) * every))
        self._periodic[service] = self._periodic[service]._replace(timer=following)
        self._feed(Due(service, f"its schedule (every {format_duration(every)})"))

    # --- cron

    def _enter(self, service: str, schedule: Schedule, text: str) -> None:
        cron = parse(text)
        self._entries[service] = _Entry(schedule, cron, _next_run(cron, wall()))

    def _arm(self) -> None:
        if self._wall_timer is None:
            self._wall_timer = WallTimer()
            self._watch = self._loop.watch(self._wall_timer, READ, self._fired)
            self._ahead = wall() - boottime()
        self._wall_timer.arm(min((entry.due for entry in self._entries.values()), default=None))

    def _fired(self, _events: int) -> None:
        """Something is due, or the clock was set."""
        assert self._wall_timer is not None
        self._wall_timer.drain()
        read_zone_again()
        now, ahead = wall(), wall() - boottime()
        was_wrong = abs(ahead - self._ahead) > CORRECTION
        self._ahead = ahead
        due = []
        for service, entry in self._entries.items():
            if was_wrong or entry.due <= now:
                self._entries[service] = entry._replace(due=_next_run(entry.cron, now))
            if not was_wrong and entry.due <= now:
                due.append((service, entry.schedule.cron))
        self._arm()
        for service, text in due:
            self._feed(Due(service, f'its schedule ("{text}")'))


class _Periodic(NamedTuple):
    schedule: Schedule
    timer: Timer


class _Entry(NamedTuple):
    schedule: Schedule
    cron: Cron
    due: int  # seconds since 1970


def _next_run(cron: Cron, now: float) -> int:
    return cron.next_run(int(now), offset_of_wall)
