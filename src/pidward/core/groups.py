"""Groups: who shares the fate of a worker that ended without being asked. The rules are those of OTP's supervisors.

A group restarts together what its strategy names. When it has to do that too often it gives up, which is for the
group it is part of the end of one of its own members; a group that is part of none fails, or ends everything.
"""

from collections.abc import Sequence

from pidward.core.lean import NamedTuple
from pidward.core.model import WorkerName
from pidward.core.restart import recent
from pidward.core.spec import Configuration, GroupSpec, Strategy
from pidward.core.units import Instant, format_duration


class Fate(NamedTuple):
    """What the end of a member means for others.

    services: whose workers go down, in order of the file.
    escalated: the end was that of a whole group, and is not the affair of one worker any more.
    gives_up: they are not started again.
    """

    group: GroupSpec
    why: str
    services: tuple[str, ...]
    escalated: bool = False
    gives_up: bool = False


class Groups:
    """The groups of a configuration, and how often each of them was restarted."""

    def __init__(self) -> None:
        self._groups: dict[str, GroupSpec] = {}
        self._group_of: dict[str, str] = {}
        self._members: dict[str, tuple[str, ...]] = {}  # with those of its parts, in order of the file
        self._restarts: dict[str, tuple[Instant, ...]] = {}

    def configure(self, configuration: Configuration) -> None:
        """Take another configuration; restarts of groups that stay are remembered."""
        self._groups = {g.name: g for g in configuration.groups}
        self._group_of = {s.name: s.group for s in configuration.services if s.group in self._groups and s.group}
        members: dict[str, list[str]] = {name: [] for name in self._groups}
        for service, group in self._group_of.items():
            for name in self._line(group):
                members[name].append(service)
        self._members = {name: tuple(services) for name, services in members.items()}
        self._restarts = {name: restarts for name, restarts in self._restarts.items() if name in self._groups}

    def _line(self, name: str) -> list[str]:
        """A group, the group it is part of, and so on."""
        line: list[str] = []
        step: str | None = name
        while step in self._groups and step not in line:
            line.append(step)
            step = self._groups[step].parent
        return line

    def decides(self, service: str, now: Instant) -> str:
        """Name the group when a restart of one member is not its own affair now; empty: it is."""
        group = self._groups.get(self._group_of.get(service, ""))
        if group is None or (group.strategy is Strategy.ONE_FOR_ONE and not self._is_exhausted(group, now)):
            return ""
        return group.name

    def _is_exhausted(self, group: GroupSpec, now: Instant) -> bool:
        restarts = recent(self._restarts.get(group.name, ()), now, group.window)
        self._restarts[group.name] = restarts
        return 0 < group.burst <= len(restarts)

    def fell(self, name: WorkerName, why: str, now: Instant, exhausted: bool = False) -> Fate | None:
        """A member ended and is to be started again, or with ``exhausted`` is not, because that was too often.

        Returns:
            What happens to its group; None for a worker without one.
        """
        fallen: tuple[str, ...] = (name.service,)
        why = f"{name}: {why}"
        line = self._line(self._group_of.get(name.service, ""))
        for depth, group in enumerate(self._groups[g] for g in line):
            if exhausted and group.strategy is Strategy.ONE_FOR_ONE:
                return None  # its end is nobody else's affair
            if not exhausted and not self._is_exhausted(group, now):
                self._restarts[group.name] = (*self._restarts[group.name], now)[-group.burst :] if group.burst else ()
                return Fate(group, why, self._affected(group, fallen, depth > 0), escalated=depth > 0)
            if not exhausted:
                restarts = "1 restart" if group.burst == 1 else f"{group.burst} restarts"
                why = f"{restarts} within {format_duration(group.window)}; {why}"
            exhausted = False
            self._restarts.pop(group.name, None)
            why = f"group {group.name} gave up: {why}"
            fallen = self._members[group.name]
        return Fate(self._groups[line[-1]], why, fallen, escalated=True, gives_up=True) if line else None

    def _affected(self, group: GroupSpec, fallen: Sequence[str], is_group: bool) -> tuple[str, ...]:
        """Whose workers go down when these services did; a worker that fell alone is not among them by itself."""
        members = self._members[group.name]
        match group.strategy:
            case Strategy.ONE_FOR_ALL:
                return members
            case Strategy.REST_FOR_ONE:
                first = members.index(fallen[0])
                return members[first:] if is_group else members[first + 1 :]
            case Strategy.ONE_FOR_ONE:
                return tuple(fallen) if is_group else ()
