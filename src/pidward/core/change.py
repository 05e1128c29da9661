"""What differs between two configurations, and what that means for running workers."""

import enum
from typing import NamedTuple

from pidward.core.spec import Configuration, Execution, ServiceSpec


class Consequence(enum.Enum):
    """What a change asks for."""

    ADD = "added"
    REMOVE = "removed"
    RESTART = "restarting"
    SCALE = "scaled"
    ADOPT = "changed in place"


class Change(NamedTuple):
    """One service that is not as it was."""

    service: str
    consequence: Consequence
    detail: str

    def __str__(self) -> str:
        return f"{self.service}: {self.consequence.value}" + (f" ({self.detail})" if self.detail else "")


def compare(old: Configuration, new: Configuration) -> list[Change]:
    """List what changed, in the order of the new file, removals last. Equal services do not occur."""
    before = {s.name: s for s in old.services}
    after = {s.name for s in new.services}
    changes = [change for s in new.services for change in _compare_service(before.get(s.name), s)]
    return changes + [Change(s.name, Consequence.REMOVE, "") for s in old.services if s.name not in after]


def _compare_service(old: ServiceSpec | None, new: ServiceSpec) -> list[Change]:
    if old is None:
        return [Change(new.name, Consequence.ADD, f"{new.workers} worker{'s' * (new.workers != 1)}")]
    changes = []
    if old.workers != new.workers:
        changes.append(Change(new.name, Consequence.SCALE, f"{old.workers} -> {new.workers}"))
    if old.execution != new.execution:
        changes.append(Change(new.name, Consequence.RESTART, _differing(old.execution, new.execution)))
    if old.logs != new.logs:  # the running process holds its spool open
        changes.append(Change(new.name, Consequence.ADOPT, "logs"))
    kept = [f for f in ("ready", "restart", "stop", "autostart") if getattr(old, f) != getattr(new, f)]
    if kept:
        changes.append(Change(new.name, Consequence.ADOPT, ", ".join(kept)))
    return changes


def _differing(old: Execution, new: Execution) -> str:
    return ", ".join(field for field in Execution._fields if getattr(old, field) != getattr(new, field))
