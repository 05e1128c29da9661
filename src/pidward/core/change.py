"""What differs between two configurations, and what that means for running workers."""

import enum
from collections.abc import Mapping

from pidward.core.lean import Any, NamedTuple
from pidward.core.spec import Configuration, Execution, ProbeKind, ServiceSpec, SocketSpec


class Consequence(enum.Enum):
    """What a change asks for."""

    ADD = "added"
    REMOVE = "removed"
    RESTART = "restarting"
    SCALE = "scaled"
    ADOPT = "changed in place"


class Effect(NamedTuple):
    """What a change of one field does to workers that run. ``adopted``: how, when it needs no restart."""

    consequence: Consequence
    adopted: str = ""


_RESTART = Effect(Consequence.RESTART)
_NEXT_START = Effect(Consequence.ADOPT, "counts from the next start on")
_NEXT_STOP = Effect(Consequence.ADOPT, "counts from the next stop on")
_NEXT_END = Effect(Consequence.ADOPT, "counts from the next end on")

EFFECTS: Mapping[str, Effect] = {
    **dict.fromkeys(Execution._fields, _RESTART),
    "workers": Effect(Consequence.SCALE),
    "type": _RESTART,
    "depends_on": _NEXT_START,
    "group": _NEXT_END,
    "ready": Effect(Consequence.ADOPT, "asked from now on; what the process must be told at its start needs a restart"),
    "ready_timeout": _NEXT_START,
    "alive": Effect(Consequence.ADOPT, "asked from now on"),
    "watchdog": _RESTART,  # it was told by WATCHDOG_USEC how often to call
    "notify": _RESTART,
    "fd_store": Effect(Consequence.ADOPT, "the new limit holds at once"),
    "pid_file": _NEXT_START,
    "on_demand": _NEXT_END,
    "schedule": Effect(Consequence.ADOPT, "the next run follows the new one"),
    "restart": _NEXT_END,
    "stop": _NEXT_STOP,
    "reload": Effect(Consequence.ADOPT, "counts from the next reload on"),
    "resources": Effect(Consequence.ADOPT, "written to the cgroup"),
    "logs": Effect(Consequence.ADOPT, "followed by the log pump; another mode from the next start on"),
    "autostart": Effect(Consequence.ADOPT, "counts when pidward is started"),
    "essential": _NEXT_END,
    "rolling": Effect(Consequence.ADOPT, "counts for this change already"),
}
"""What each field of ServiceSpec and Execution asks for. Those that only tell where a thing is written are left out."""


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
    effects = {field: EFFECTS[field].consequence for field in _differing(old, new) if field in EFFECTS}
    effects |= dict.fromkeys(_differing(old.execution, new.execution), Consequence.RESTART)  # "group" is in both
    if list(map(as_given, old.execution.sockets)) == list(map(as_given, new.execution.sockets)):
        effects |= dict.fromkeys(effects.keys() & {"sockets"}, Consequence.ADOPT)
    if _must_be_told(old, new):
        effects.update((field, Consequence.RESTART) for field in ("ready", "fd_store") if field in effects)
    changes = []
    for consequence in (Consequence.SCALE, Consequence.RESTART, Consequence.ADOPT):
        names = [field for field, its in effects.items() if its is consequence]
        if names:
            if consequence is Consequence.ADOPT:
                names = [_adopted(field, old, new) for field in names]
            detail = f"{old.workers} -> {new.workers}" if consequence is Consequence.SCALE else ", ".join(names)
            changes.append(Change(new.name, consequence, detail))
    return changes


def _differing(old: Any, new: Any) -> list[str]:
    return [field for field in old._fields if getattr(old, field) != getattr(new, field)]


def as_given(socket: SocketSpec) -> SocketSpec:
    """What of a socket workers learn at their start; the rest is changed on the socket that they have."""
    unset = SocketSpec(socket.kind, socket.address)
    return socket._replace(backlog=unset.backlog, mode=unset.mode, user=unset.user, group=unset.group)


def _adopted(field: str, old: ServiceSpec, new: ServiceSpec) -> str:
    if EFFECTS[field] == _NEXT_START:
        return f"{field} with the next start"
    if field == "logs" and old.logs.mode is not new.logs.mode:
        others = "" if old.logs._replace(mode=new.logs.mode) == new.logs else "logs, "
        return f"{others}logs.mode with the next start"
    return field


def _must_be_told(old: ServiceSpec, new: ServiceSpec) -> bool:
    """Its processes are to learn of a socket or descriptor that those of before do not have."""
    old_fd, new_fd = (s.ready if s.ready and s.ready.kind is ProbeKind.FD else None for s in (old, new))
    return (
        (new.notifies and not old.notifies) or (new.fd_store > 0 and not old.fd_store) or new_fd not in (None, old_fd)
    )
