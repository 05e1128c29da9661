"""What services and groups say about each other: dependencies, membership, and what there can be only one of."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from pidward.config.part import Part, Values
from pidward.config.positions import Path
from pidward.config.reading import INVALID, Report, is_sound, suggestion
from pidward.core.order import cycle_in
from pidward.core.spec import MAX_WORKERS, Condition, GroupSpec, ServiceType


def check_together(parts: list[Part], groups: "Groups", report: Report) -> None:
    """Report what is wrong between services and groups that are right one by one."""
    _check_total(parts, report)
    _check_dependencies(parts, report)
    _check_sockets(parts, report)
    groups.check()


def _check_total(parts: list[Part], report: Report) -> None:
    total = 0
    for part in parts:
        workers = part.values.get("workers", 1)
        total += 0 if workers is INVALID else workers
        if total > MAX_WORKERS:
            message = f"brings all services together to {total} workers; {MAX_WORKERS} are possible at most"
            report.at_value(part.path("workers") if "workers" in part.values else ("service", part.name), message)
            return


def _check_dependencies(parts: list[Part], report: Report) -> None:
    known = {part.name: part for part in parts}
    edges: dict[str, list[str]] = {}
    for part in parts:
        edges[part.name] = []
        needs = part.values.get("depends_on", INVALID)
        for name, condition in ({} if needs is INVALID else needs).items():
            path = part.path("depends_on", name)
            if condition is INVALID:
                continue
            if name == part.name:
                report.at_key(path, "a service cannot depend on itself")
            elif name not in known:
                report.at_key(path, f"there is no service {name!r}" + suggestion(name, known))
            else:
                edges[part.name].append(name)
                kind = known[name].values.get("type", ServiceType.SERVICE)
                if condition is Condition.COMPLETED and kind not in (ServiceType.ONESHOT, INVALID):
                    report.at_value(path, f'{name} never completes: it needs type = "oneshot"; or write "ready" here')
    _check_cycle(edges, lambda name: known[name].path("depends_on"), "none of these could start first", report)


def _check_cycle(edges: dict[str, list[str]], path: Callable[[str], Path], consequence: str, report: Report) -> None:
    if cycle := cycle_in(edges):
        report.at_value(path(cycle[0]), f"a cycle, {' -> '.join(cycle)}: {consequence}")


def _check_sockets(parts: list[Part], report: Report) -> None:
    seen: dict[Any, tuple[Path, str]] = {}
    for part in parts:
        for index, socket in enumerate(part.get("sockets") or ()):
            path = (*part.path("sockets"), index)
            if socket["listen"] not in seen:
                seen[socket["listen"]] = path, part.name
                continue
            other, owner = seen[socket["listen"]]
            if other == path:
                report.at_value(path, f"would be bound for {owner} and for {part.name}; a socket has one service")
            else:
                report.at_value(path, f"is the same socket as that of {owner} at {report.place(other)}")


class Groups:
    """The groups of services, from their own tables and from ``group`` and ``strategy`` of services.

    A service's ``group`` is one of these if there is a table of that name, or if some service says ``strategy`` beside
    it; else it is a group of users.
    """

    def __init__(self, tables: Values, parts: list[Part], report: Report) -> None:
        self._tables = {name: {} if table is INVALID else table for name, table in tables.items()}
        self._parts, self._report = parts, report
        shorthand = [part.get("group") for part in parts if "strategy" in part.values]
        self._names = dict.fromkeys([*self._tables, *filter(None, shorthand)])
        self._members: dict[str, tuple[str, Path]] = {}
        for part in parts:
            group = part.get("group")
            if group in self._names:
                self._members[part.name] = group, part.path("group")

    def of(self, service: str) -> str | None:
        """The group that a service is in."""
        return self._members.get(service, (None, ()))[0]

    def is_named_in(self, part: Part) -> bool:
        """Whether ``group`` of a service is one of these groups, and no group of users."""
        return part.get("group") in self._names

    def check(self) -> None:
        """Report contradictions, and take in the members that tables name."""
        self._check_members()
        self._check_strategies()
        self._check_parents()
        services = {part.name for part in self._parts}
        for name in self._tables:
            if name in services:
                self._report.at_key(
                    ("group", name), "is the name of a service, too; commands could not tell them apart"
                )

    def specs(self) -> Iterable[GroupSpec]:
        """Make the specifications of groups without a problem."""
        for name in self._names:
            fields = {key: value for key, value in self._tables.get(name, {}).items() if key != "members"}
            strategy = next(self._strategies(name), None)
            if strategy is not None:
                fields["strategy"] = strategy[0]
            yield GroupSpec(name, **fields)

    def _check_members(self) -> None:
        services = [part.name for part in self._parts]
        for group, table in self._tables.items():
            members = table.get("members", ())
            for index, name in enumerate(members if is_sound(members) else ()):
                path = ("group", group, "members", index)
                if name not in services:
                    self._report.at_value(path, f"there is no service {name!r}" + suggestion(name, services))
                elif self.of(name) not in (None, group):
                    other, place = self._members[name]
                    self._report.at_value(path, f"{name} is in group {other} by {self._report.place(place)}")
                else:
                    self._members.setdefault(name, (group, path))

    def _strategies(self, group: str) -> Iterator[tuple[Any, Path]]:
        table = self._tables.get(group, {})
        if table.get("strategy", INVALID) is not INVALID:
            yield table["strategy"], ("group", group, "strategy")
        for part in self._parts:
            if self.of(part.name) == group and part.get("strategy") is not None:
                yield part.values["strategy"], part.path("strategy")

    def _check_strategies(self) -> None:
        for part in self._parts:
            if (
                part.get("strategy") is not None
                and self.of(part.name) is None
                and part.values.get("group") is not INVALID
            ):
                self._report.at_key(part.path("strategy"), "is that of a group of services; add group = NAME")
        for group in self._names:
            [*said] = self._strategies(group)
            for strategy, path in said[1:]:
                if strategy is not said[0][0]:
                    place = self._report.place(said[0][1])
                    self._report.at_value(path, f'group {group} has strategy "{said[0][0].value}" by {place}')

    def _check_parents(self) -> None:
        edges: dict[str, list[str]] = {name: [] for name in self._names}
        for group, table in self._tables.items():
            parent = table.get("parent", INVALID)
            if parent is INVALID:
                continue
            if parent not in self._names:
                self._report.at_value(
                    ("group", group, "parent"), f"there is no group {parent!r}" + suggestion(parent, self._names)
                )
            else:
                edges[group] = [parent]
        _check_cycle(edges, lambda name: ("group", name, "parent"), "none of these is the outermost", self._report)
