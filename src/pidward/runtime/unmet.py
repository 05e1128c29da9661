"""What a configuration names and this machine does not have.

Looked at by ``pidward check``, not when a file is read: the file may be for another machine, and a program may be
installed while the supervisor runs.
"""

import os
from collections.abc import Iterable, Iterator

from pidward.core.model import WorkerName
from pidward.core.spec import ServiceSpec
from pidward.runtime.plan import Places, PlanError, make_plan

_NOWHERE = Places("check", "/dev/null", "/dev/null", None, (), False, (1024, 1024))


def unmet(services: Iterable[ServiceSpec]) -> list[str]:
    """One sentence for each user, group, program and working directory that is not there, seen as the caller."""
    return [sentence for spec in services if spec.workers for sentence in _unmet(spec)]


def _unmet(spec: ServiceSpec) -> Iterator[str]:
    try:
        plan = make_plan(spec, WorkerName(spec.name, 1), _NOWHERE, os.environ)
    except PlanError as error:
        yield str(error)
        return
    cwd = plan.cwd
    if cwd is not None and not os.path.isdir(cwd):
        yield f"service.{spec.name}.working_dir: {os.fsdecode(cwd)} is no directory"
        return
    program = os.fsdecode(plan.path)
    if "/" not in program:
        yield f"service.{spec.name}.command: {program} is not found on PATH"
        return
    place = os.path.join(os.fsdecode(cwd or b""), program)
    if not os.path.exists(place):
        yield f"service.{spec.name}.command: {program} does not exist"
    elif os.path.isdir(place) or not os.access(place, os.X_OK):
        yield f"service.{spec.name}.command: {program} cannot be executed"
