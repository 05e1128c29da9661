"""From a service's spec to what the kernel is asked for: users, paths and environment resolved for one worker.

Everything that can be wrong with a spec on this very machine (no such user, no such program) comes out here as one
sentence for people, before anything is started.
"""

import os
from collections.abc import Mapping
from functools import lru_cache

from pidward.core.lean import NamedTuple
from pidward.core.model import WorkerName
from pidward.core.spec import Execution, Limit, Security, ServiceSpec
from pidward.kernel.limits import RESOURCES, UNLIMITED
from pidward.kernel.spawn import Failure, Ids, Plan
from pidward.runtime.attendant import Equipment

NOT_INHERITED = frozenset({
    "INVOCATION_ID", "JOURNAL_STREAM", "LISTEN_FDNAMES", "LISTEN_FDS", "LISTEN_PID", "LISTEN_PIDFDID", "MAINPID",
    "NOTIFY_SOCKET", "PIDWARD_FEATURES_MASK", "WATCHDOG_PID", "WATCHDOG_USEC",
})  # fmt: skip
"""Said to pidward by its own supervisor, and a lie when a worker hears it."""

_NOT_PASSED_ON = NOT_INHERITED | {"OLDPWD", "PWD"}  # where somebody stood who started pidward

FIRST_LISTENED = 3
"""Where the descriptors of LISTEN_FDS begin, as everywhere."""

_NUMBER = "PIDWARD_WORKER"
BLANK_INVOCATION = "0" * 32
"""The spawner writes a new one over this at each start."""


class PlanError(Exception):
    """The spec cannot be carried out on this machine. The message says what, where and what to do."""


class Places(NamedTuple):
    """What the runtime decides about a worker, as opposed to the user."""

    instance: str
    stdout: str  # empty: pidward's own
    stderr: str
    cgroup: str | None  # cgroup2 directory to be born in
    join: tuple[str, ...]  # cgroup v1 directories to enter
    gated: bool
    nofile: tuple[int, int]  # pidward's own limit before it was raised; workers start with it


class _User(NamedTuple):
    name: str
    uid: int
    gid: int
    home: str
    shell: str


def make_plan(
    spec: ServiceSpec,
    name: WorkerName,
    places: Places,
    inherited: Mapping[str, str],
    equipment: Equipment = Equipment(),  # noqa: B008 - immutable
) -> Plan:
    """Resolve everything.

    Args:
        spec: the service.
        name: which worker of it.
        places: where its output and its tree go.
        inherited: pidward's own environment.
        equipment: what attendants give it.

    Raises:
        PlanError: the user, group or program does not exist, or two descriptors want one number.
    """
    execution = spec.execution
    user = _find_user(spec)
    env = _environment(execution, name, places.instance, user, inherited) | _equipment_env(equipment)
    argv = [expand(word, name.number) for word in execution.command]
    cwd = expand(execution.working_dir, name.number) if execution.working_dir else None
    plan = Plan(
        path=os.fsencode(find_program(argv[0], env.get("PATH", os.defpath))),
        argv=tuple(_encoded(word) if word in execution.command else os.fsencode(word) for word in argv),
        env=tuple(_encoded(f"{k}={v}") if k != _NUMBER else os.fsencode(f"{k}={v}") for k, v in env.items()),
        cwd=os.fsencode(cwd) if cwd else None,
        umask=execution.umask,
        stdin=_input(execution, name),
        stdout=os.fsencode(places.stdout),
        stderr=os.fsencode(places.stderr),
        limits=_limits(execution.limits, places.nofile),
        nice=execution.nice,
        oom_score_adj=execution.oom_score_adj,
        ids=_ids(spec, user),
        cgroup=os.fsencode(places.cgroup) if places.cgroup else None,
        join=tuple(os.fsencode(j) for j in places.join),
        gated=places.gated,
        descriptors=(*_streams(execution, places), *_descriptors(spec, equipment)),
    )
    if not _has_attributes(execution):
        return plan
    from pidward.runtime.attributes import with_attributes  # noqa: PLC0415 - few services have any

    return with_attributes(plan, spec)


def _has_attributes(execution: Execution) -> bool:
    asked = (execution.scheduler, execution.cpu_affinity, execution.io_priority, execution.optional)
    return any(asked) or execution.security != Security()


@lru_cache(maxsize=4096)
def _encoded(text: str) -> bytes:
    """As the kernel sees it. Workers share the same object for the same text: their environments are alike.

    Not for what only one of them has: it would be kept twice.
    """
    return os.fsencode(text)


def expand(template: str, number: int) -> str:
    """Put the worker's number in for ``%i`` and a percent sign for ``%%``."""
    if "%" not in template:
        return template
    return "%".join(part.replace("%i", str(number)) for part in template.split("%%"))


def find_program(program: str, path: str) -> str:
    """Find a program as a shell would; a name that is nowhere on the path is left for exec to refuse."""
    if "/" in program:
        return program
    for directory in path.split(":"):
        candidate = os.path.join(directory or ".", program)
        if os.access(candidate, os.X_OK) and not os.path.isdir(candidate):
            return candidate
    return program


def _environment(
    execution: Execution, name: WorkerName, instance: str, user: _User | None, inherited: Mapping[str, str]
) -> dict[str, str]:
    env: dict[str, str] = {}
    if not execution.clear_env:
        env = {k: v for k, v in inherited.items() if k not in _NOT_PASSED_ON}
    if user is not None:
        env |= {"HOME": user.home, "USER": user.name, "LOGNAME": user.name, "SHELL": user.shell}
    if execution.working_dir is not None:
        env["PWD"] = expand(execution.working_dir, name.number)
    env.setdefault("PATH", os.defpath)
    env |= {key: expand(value, name.number) for key, value in execution.env}
    return env | {
        "PIDWARD_SERVICE": name.service,
        _NUMBER: str(name.number),
        "PIDWARD_INSTANCE": instance,
        "INVOCATION_ID": BLANK_INVOCATION,
    }


def _equipment_env(equipment: Equipment) -> dict[str, str]:
    env = dict(equipment.env)
    if equipment.listen:
        env["LISTEN_FDS"] = str(len(equipment.listen))
        env["LISTEN_FDNAMES"] = ":".join(name for name, _ in equipment.listen)
        env["LISTEN_PID"] = env["LISTEN_PIDFDID"] = ""  # the spawner writes these
    return env


def _input(execution: Execution, name: WorkerName) -> bytes:
    match execution.stdin:
        case "null":
            return b"/dev/null"
        case "inherit":
            return b""
        case path:
            return os.fsencode(expand(path, name.number))


def _streams(execution: Execution, places: Places) -> tuple[tuple[int, int], ...]:
    """Those of our own streams that it shares with us."""
    shared = (execution.stdin == "inherit", not places.stdout, not places.stderr)
    return tuple((number, number) for number, is_shared in enumerate(shared) if is_shared)


def _descriptors(spec: ServiceSpec, equipment: Equipment) -> tuple[tuple[int, int], ...]:
    listen = tuple((number, fd) for number, (_, fd) in enumerate(equipment.listen, FIRST_LISTENED))
    every = (*listen, *equipment.descriptors)
    taken: set[int] = set()
    for number, _ in every:
        if number < FIRST_LISTENED or number in taken:
            why = f"0 to 2 are its stdin, stdout and stderr, then come its {len(listen)} sockets"
            raise PlanError(f"descriptor {number} would be given twice: {why}; check service.{spec.name}.ready")
        taken.add(number)
    return every


def _find_user(spec: ServiceSpec) -> _User | None:
    wanted = spec.execution.user
    if wanted is None:
        return None
    import pwd  # noqa: PLC0415 - few services name a user

    try:
        entry = pwd.getpwuid(int(wanted)) if wanted.isdecimal() else pwd.getpwnam(wanted)
    except KeyError:
        if wanted.isdecimal():  # a number needs no entry; containers run so
            return _User(wanted, int(wanted), int(wanted), "/", "/bin/sh")
        raise PlanError(f"user {wanted!r} does not exist; check service.{spec.name}.user") from None
    return _User(entry.pw_name, entry.pw_uid, entry.pw_gid, entry.pw_dir, entry.pw_shell or "/bin/sh")


def ids_of(spec: ServiceSpec) -> Ids | None:
    """Whom a service's programs run as; None: as pidward itself. Raises PlanError for a name that does not exist."""
    return _ids(spec, _find_user(spec))


def _ids(spec: ServiceSpec, user: _User | None) -> Ids | None:
    execution = spec.execution
    if user is None and execution.group is None and execution.supplementary_groups is None:
        return None
    uid = os.geteuid() if user is None else user.uid
    gid = _group_id(spec, "group", execution.group) if execution.group else (user.gid if user else os.getegid())
    if execution.supplementary_groups is not None:
        groups = [_group_id(spec, "supplementary_groups", g) for g in execution.supplementary_groups]
    elif user is not None:
        groups = os.getgrouplist(user.name, gid)
    else:
        groups = os.getgroups()
    return Ids(uid, gid, tuple(groups))


def _group_id(spec: ServiceSpec, key: str, group: str) -> int:
    if group.isdecimal():
        return int(group)
    import grp  # noqa: PLC0415 - few services name a group

    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        raise PlanError(f"group {group!r} does not exist; check service.{spec.name}.{key}") from None


@lru_cache(maxsize=256)
def _limits(limits: tuple[Limit, ...], nofile: tuple[int, int]) -> tuple[tuple[int, int, int], ...]:
    chosen = {RESOURCES["nofile"]: nofile}
    for limit in limits:
        soft = UNLIMITED if limit.soft is None else limit.soft
        hard = UNLIMITED if limit.hard is None else limit.hard
        chosen[RESOURCES[limit.name]] = (soft, hard)
    return tuple((resource, soft, hard) for resource, (soft, hard) in chosen.items())


_STAGES = {
    "descriptors": ("be given its sockets", "one may have been closed; `pidward restart {service}` binds them anew"),
    "cgroup": ("enter its cgroup", "the cgroup may have been removed or its limits reached"),
    "stdin": ("open its stdin", "check service.{service}.stdin"),
    "stdout": ("open its output spool", "check that the state directory is there and has space"),
    "stderr": ("open its output spool", "check that the state directory is there and has space"),
    "session": ("become a session of its own", "this should not happen; please report it"),
    "cwd": ("enter its working directory {cwd}", "check service.{service}.working_dir"),
    "limits": ("set its limits", "check service.{service}.limits; raising a hard limit needs CAP_SYS_RESOURCE"),
    "nice": ("set its nice value", "check service.{service}.nice; going below 0 needs CAP_SYS_NICE"),
    "oom_score_adj": ("set oom_score_adj", "check service.{service}.oom_score_adj; lowering needs CAP_SYS_RESOURCE"),
    "scheduler": ("set its scheduling policy", "check service.{service}.scheduler; fifo and rr need CAP_SYS_NICE"),
    "cpu_affinity": (
        "be bound to its processors",
        "check service.{service}.cpu_affinity; each must be there, and allowed to pidward itself",
    ),
    "io_priority": ("set its io priority", "check service.{service}.io_priority; realtime needs CAP_SYS_NICE"),
    "capabilities": (
        "set its capabilities",
        "check service.{service}.security; taking some away needs CAP_SETPCAP, ambient ones must be pidward's own",
    ),
    "no_new_privileges": (
        "give up new privileges",
        "check service.{service}.security.no_new_privileges; a system call filter may forbid it",
    ),
    "ids": ("become its user and groups", "check service.{service}.user; changing user needs root"),
    "descriptor": ("be held", "pidward's limit of open files (nofile) is reached: raise it, or run fewer workers"),
    "clone": ("be born", "the system is short of processes, descriptors or memory; it is tried again"),
    "gate": ("pass its gate", "it was ended before it could start"),
}


def explain_failure(spec: ServiceSpec, name: WorkerName, failure: Failure) -> str:
    """Say in one line why a worker could not be started: what, where, why, and what to do."""
    import errno  # noqa: PLC0415 - only when something failed

    code = errno.errorcode.get(failure.errno, str(failure.errno))
    stage = f"(stage {failure.stage}, {code})"
    if failure.stage == "exec":
        return f"cannot execute {_quoted(spec)}: {_why_not_executed(spec, failure.errno)} {stage}; check {_where(spec)}"
    doing, advice = _STAGES.get(failure.stage, (failure.stage, "please report it"))
    words = {"service": spec.name, "cwd": repr(expand(spec.execution.working_dir or ".", name.number))}
    why = os.strerror(failure.errno)
    return f"cannot {doing.format(**words)}: {why} {stage}; {advice.format(**words)}"


def explain_refusal(spec: ServiceSpec, name: WorkerName, failure: Failure) -> str:
    """Say in one line what a worker runs without, because it is optional."""
    return f"{name} runs, but pidward {explain_failure(spec, name, failure)}; it is optional, so this is a warning"


def _why_not_executed(spec: ServiceSpec, number: int) -> str:
    import errno  # noqa: PLC0415

    program = spec.execution.command[0]
    match number:
        case errno.ENOENT if "/" not in program:
            return "not found on PATH"
        case errno.ENOENT:
            return "no such file, or its interpreter is missing"
        case errno.EACCES:
            return "not executable, or a directory on the way to it or to its #! interpreter is closed to this user"
        case errno.ENOEXEC:
            return "not a program for this machine, or a script without #!"
        case _:
            return os.strerror(number)


def _quoted(spec: ServiceSpec) -> str:
    return f'"{spec.execution.command[0]}"'


def _where(spec: ServiceSpec) -> str:
    return f"service.{spec.name}.command" + (f" at {spec.origin}" if spec.origin else "")
