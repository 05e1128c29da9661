"""What several keys of one service say together: contradictions, and what is missing beside what is there."""

from pidward.config.part import Part
from pidward.config.probes import ASKED, kind_in, make_probe
from pidward.config.reading import INVALID, is_sound
from pidward.core.probing import parse_http, request
from pidward.core.signals import signal_name
from pidward.core.spec import LogMode, ProbeKind, RestartPolicy, RestartWhen, ServiceType, SocketKind
from pidward.core.units import format_duration, format_size

FIRST_LISTENED = 3


def check(part: Part) -> None:
    """Report what is wrong with keys that are right one by one."""
    _check_command(part)
    _check_octal(part)
    _check_restart(part)
    _check_type(part)
    _check_schedule(part)
    for key in ("ready", "alive"):
        _check_probe(part, key)
    _check_sockets(part)
    _check_resources(part)
    _check_security(part)


def _check_command(part: Part) -> None:
    if part.is_whole and "command" not in part.values:
        part.report.at_key(("service", part.name), "a service needs a command")
    command = part.get("command")
    if command is not None and not command[0]:
        part.report.at_value((*part.path("command"), 0), "the program must not be empty")


def _check_octal(part: Part) -> None:
    # tomllib does not tell 0o22 from 22, and who writes 22 means the first.
    places = [(part.path("umask"), part.get("umask"), "022")] if "umask" in part.values else []
    for index, socket in enumerate(part.get("sockets") or ()):
        places += [((*part.path("sockets"), index, "mode"), socket["mode"], "660")] if "mode" in socket else []
    for path, value, example in places:
        start = part.report.written(path, 2)
        if value and start[0].isdecimal() and start != "0o":
            part.report.at_value(path, f'is read as a decimal number; write "{example}" or 0o{example}')


def _check_restart(part: Part) -> None:
    values = part.get("restart")
    if values is None:
        return
    policy = RestartPolicy(**values)
    if policy.delay > policy.max_delay:
        part.report.at_value(
            part.blamed("restart", "delay", "max_delay"),
            f"delay {format_duration(policy.delay)} is longer than max_delay {format_duration(policy.max_delay)}",
        )
    if both := policy.never_on & policy.always_on:
        names = ", ".join(str(cause) if cause >= 0 else signal_name(-cause) for cause in sorted(both))
        part.report.at_value(
            part.blamed("restart", "always_on", "never_on"), f"{names} is in never_on and in always_on"
        )
    if part.get("type") is ServiceType.ONESHOT and values.get("policy") is RestartWhen.ALWAYS:
        part.report.at_value(
            part.path("restart", "policy"),
            f'service {part.name} has type "oneshot", whose end is no reason to start it again; '
            'write "never" or "on-failure", or leave the type out',
        )


def _check_type(part: Part) -> None:
    if "pid_file" in part.values and "type" not in part.values:
        part.report.at_value(part.path("pid_file"), 'is for programs that fork: needs type = "forking"')
    path = part.get("pid_file")
    workers = part.get("workers")
    if path and workers and workers > 1 and "%i" not in path.replace("%%", ""):
        part.report.at_value(part.path("pid_file"), f"is the same for all {workers} workers; put %i in it")


def is_scheduled(schedule: dict[str, object]) -> bool:
    """The table says when, and not only what to do if runs overlap."""
    return "every" in schedule or "cron" in schedule


def _check_schedule(part: Part) -> None:
    schedule = part.get("schedule")
    if schedule is None or ("schedule" not in part.own and not is_scheduled(schedule)):
        return
    if not is_scheduled(schedule):
        part.report.at_value(part.path("schedule"), "needs every or cron")
    elif part.values.get("type") not in (ServiceType.ONESHOT, INVALID):
        part.report.at_value(
            part.path("schedule"), 'starts programs that do their work and end: needs type = "oneshot"'
        )
    if part.get("on_demand"):
        part.report.at_value(part.path("on_demand"), "a service is started by its schedule or on demand, not by both")


def _check_probe(part: Part, key: str) -> None:
    values = part.get(key)
    if not values:
        return
    kind = kind_in(values)
    own = part.own.get(key, {})
    asked = [name for name in own if name in ASKED]
    if kind is None and len(own) > 0 and not own.keys() & {"notify", "after"}:
        words = "http, tcp or exec" if key == "alive" else "one of notify, fd, http, tcp, exec, log and after"
        part.report.at_value(part.path(key), f"says nothing of what is asked: needs {words}")
    elif kind in ("notify", "fd", "log", "after") and asked:
        part.report.at_key(
            part.path(key, asked[0]),
            f"is for http, tcp and exec, which are asked again and again; for {kind} there is deadline",
        )
    elif kind not in ("http", "httpGet", None) and "headers" in own:
        part.report.at_key(part.path(key, "headers"), f"is for http, not for {kind}")
    mode = (part.get("logs") or {}).get("mode", LogMode.FILE)
    if kind == "log" and key == "ready" and mode is not LogMode.FILE:
        part.report.at_value(
            part.path(key, kind), f'is read where the output is kept: needs logs.mode = "file", not "{mode.value}"'
        )
    probe = make_probe(values)
    if probe is not None and probe.kind is ProbeKind.HTTP and kind is not None:
        try:
            _, host, uri = parse_http(probe.target.replace("%i", "1").replace("%%", "%"))
            request(host, uri, probe.headers, "0")
        except ValueError as error:
            part.report.at_value(part.path(key, kind), str(error))


def _check_sockets(part: Part) -> None:
    sockets = part.get("sockets") or ()
    names: set[str] = set()
    for index, socket in enumerate(sockets):
        path = (*part.path("sockets"), index)
        kind, address, _ = socket["listen"]
        is_path = kind in (SocketKind.UNIX, SocketKind.UNIX_DGRAM) and not address.startswith("@")
        is_stream = kind in (SocketKind.TCP, SocketKind.UNIX)
        is_port = kind in (SocketKind.TCP, SocketKind.UDP)
        for key in socket:
            if key in ("mode", "user", "group") and not is_path:
                part.report.at_key((*path, key), "is for unix sockets with a path")
            elif (key == "backlog" and not is_stream) or (key == "reuse_port" and not is_port):
                part.report.at_key((*path, key), f"means nothing for {kind.value} sockets")
        if socket.get("name") in names:
            part.report.at_value((*path, "name"), f"another socket of this service has the name {socket['name']!r}")
        names |= {socket["name"]} if "name" in socket else set()
    if part.get("on_demand") and not sockets and is_sound(part.values.get("sockets")):
        part.report.at_value(part.path("on_demand"), "is started by a connection to one of its sockets: needs sockets")
    last = FIRST_LISTENED + len(sockets) - 1
    fd = (part.get("ready") or {}).get("fd")
    if fd is not None and fd <= last:
        part.report.at_value(
            part.path("ready", "fd"), f"the sockets are descriptors {FIRST_LISTENED} to {last}; take {last + 1}"
        )


def _check_resources(part: Part) -> None:
    resources = part.get("resources") or {}
    most, high = resources.get("memory_max", -1), resources.get("memory_high", -1)
    if 0 <= most < high:
        part.report.at_value(
            part.blamed("resources", "memory_high", "memory_max"),
            f"memory_high {format_size(high)} is never reached: memory_max is {format_size(most)}",
        )


def _check_security(part: Part) -> None:
    security = part.get("security") or {}
    allowed = security.get("capabilities")
    if allowed is not None and (beyond := [name for name in security.get("ambient", ()) if name not in allowed]):
        part.report.at_value(
            part.blamed("security", "ambient", "capabilities"), f"{', '.join(beyond)} is not in capabilities"
        )
