"""What a configuration names and this machine does not have.

Looked at by ``pidward check``, not when a file is read: the file may be for another machine, and a program may be
installed while the supervisor runs.
"""

import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from pidward.core.lean import NamedTuple
from pidward.core.model import WorkerName
from pidward.core.spec import LogMode, ServiceSpec
from pidward.kernel.spawn import Ids, Plan
from pidward.logs.forward import place_of
from pidward.runtime.plan import Places, PlanError, expand, find_program, make_plan

_NOWHERE = Places("check", "/dev/null", "/dev/null", None, (), False, (1024, 1024))


class Unmet(NamedTuple):
    """One thing that is not there. ``place``: FILE:LINE:COL; empty for a spec that was not read from a file."""

    place: str
    key: str
    message: str

    def __str__(self) -> str:
        return ": ".join(part for part in (self.place, "warning", self.key, self.message) if part)


def unmet(services: Iterable[ServiceSpec]) -> list[Unmet]:
    """All users, programs, files, directories, processors and log services that are not there, seen as the caller."""
    found = []
    for spec in services:
        places = {"command": spec.origin, **dict(spec.origins)}
        for key, message in _unmet(spec) if spec.workers else ():
            found.append(Unmet(places.get(key.partition(".")[0], ""), f"service.{spec.name}.{key}", message))
    return found


def _unmet(spec: ServiceSpec) -> Iterator[tuple[str, str]]:
    """Each with its key in the service."""
    yield from _attributes(spec)
    yield from _logs(spec)
    try:
        plan = make_plan(spec, WorkerName(spec.name, 1), _NOWHERE, os.environ)
    except PlanError as error:
        message, _, key = str(error).rpartition(f"; check service.{spec.name}.")
        yield key, message
        return
    if plan.cwd is not None and not os.path.isdir(plan.cwd):
        yield "working_dir", f"{os.fsdecode(plan.cwd)} is no directory"
        return
    for key, program in _programs(spec):
        if why := _why_not(program, spec, plan):
            yield key, why


def _attributes(spec: ServiceSpec) -> Iterator[tuple[str, str]]:
    execution, count = spec.execution, os.cpu_count() or 1
    missing = ", ".join(str(number) for number in execution.cpu_affinity if number >= count)
    if missing:
        yield "cpu_affinity", f"this machine has processors 0 to {count - 1}, and not {missing}"
    if execution.stdin not in ("null", "inherit"):
        file = expand(execution.stdin, 1)
        if not os.path.exists(file):
            yield "stdin", f"{file} does not exist"


def _logs(spec: ServiceSpec) -> Iterator[tuple[str, str]]:
    logs = spec.logs
    if logs.mode not in (LogMode.FILE, LogMode.STREAM):
        return
    if logs.dir is not None:
        nearest = next(path for path in (Path(logs.dir), *Path(logs.dir).parents) if path.exists())
        if not nearest.is_dir():
            yield "logs.dir", f"{nearest} is no directory"
        elif not os.access(nearest, os.W_OK | os.X_OK):
            yield "logs.dir", f"nothing can be written in {nearest}"
    for service in logs.also:
        if not os.path.exists(place := place_of(service.value)):
            yield "logs.also", f"{service.value} cannot be reached: {place} does not exist"


def _programs(spec: ServiceSpec) -> Iterator[tuple[str, str]]:
    yield "command", spec.execution.command[0]
    for key, probe in (("ready", spec.ready), ("alive", spec.alive)):
        if probe is not None and probe.command:
            yield f"{key}.exec", probe.command[0]
    if spec.stop.pre:
        yield "stop.pre", spec.stop.pre[0]
    if spec.reload.command:
        yield "reload.command", spec.reload.command[0]


def _why_not(word: str, spec: ServiceSpec, plan: Plan) -> str:
    """Say why a program cannot be executed by a worker; empty: it can."""
    path = next((entry[5:] for entry in plan.env if entry.startswith(b"PATH=")), b"")
    program = find_program(expand(word, 1), os.fsdecode(path))
    if "/" not in program:
        return f"{program} is not found on PATH"
    place = Path(os.fsdecode(plan.cwd or b"."), program).absolute()
    try:
        mode = place.stat().st_mode
    except PermissionError:
        return ""  # whether it is there cannot be seen from here
    except OSError:
        return f"{program} does not exist"
    if stat.S_ISDIR(mode) or not mode & 0o111:
        return f"{program} cannot be executed"
    if plan.ids is None:
        return "" if os.access(place, os.X_OK) else f"{program} cannot be executed"
    for path_on_the_way in reversed((place, *place.parents)):
        if not _may_execute(plan.ids, path_on_the_way):
            user = spec.execution.user or plan.ids.uid
            return f"user {user} may not be able to execute {program}: {path_on_the_way} is closed to it"
    return ""


def _may_execute(ids: Ids, path: Path) -> bool:
    """Execute a program or pass a directory, by the bits of its mode; access lists are not looked at."""
    try:
        status = path.stat()
    except OSError:
        return True  # not to be seen from here
    if ids.uid == 0:
        return True
    if status.st_uid == ids.uid:
        return bool(status.st_mode & stat.S_IXUSR)
    if status.st_gid in (ids.gid, *ids.groups):
        return bool(status.st_mode & stat.S_IXGRP)
    return bool(status.st_mode & stat.S_IXOTH)
