"""From checked keys to the specification: the last checks, then the objects of ``core.spec``."""

from pidward.config.checks import check, is_scheduled
from pidward.config.part import EnvFiles, Part, Values
from pidward.config.probes import kind_in, make_probe
from pidward.config.reading import INVALID, Report
from pidward.config.schema import EXECUTION_FIELDS
from pidward.config.together import Groups, check_together
from pidward.core.spec import (
    Condition,
    Configuration,
    Dependency,
    Execution,
    Limit,
    LogPolicy,
    ReloadPolicy,
    Resources,
    RestartPolicy,
    RestartWhen,
    Schedule,
    Security,
    ServiceSpec,
    ServiceType,
    Settings,
    SocketSpec,
    StopPolicy,
)

_POLICIES: dict[str, type] = {
    "restart": RestartPolicy, "stop": StopPolicy, "reload": ReloadPolicy, "logs": LogPolicy, "resources": Resources,
}  # fmt: skip


def build(values: Values, path: str, report: Report) -> Configuration:
    """Make the specification of what ``reading.read`` gave; raises ConfigError with everything reported by then."""
    defaults, own = _table(values, "defaults"), _table(values, "service")
    parts = [Part(name, keys, defaults, report) for name, keys in own.items()]
    groups = Groups(_table(values, "group"), parts, report)
    files = EnvFiles(report)
    env = {part.name: files.of(part) for part in parts}
    for part in parts:
        check(part)
    check_together(parts, groups, report)
    report.raise_if_any()
    done_when_ended = {part.name for part in parts if _is_done_when_ended(part)}
    services = tuple(_service(part, groups, env[part.name], done_when_ended) for part in parts)
    return Configuration(services, Settings(**values.get("pidward", {})), path, tuple(groups.specs()))


def _table(values: Values, key: str) -> Values:
    table: Values = values.get(key, {})
    return {} if table is INVALID else table


def _service(part: Part, groups: Groups, from_files: dict[str, str], done_when_ended: set[str]) -> ServiceSpec:
    """Make the specification of a service without a problem."""
    values = dict(part.values)
    for key in ("env_file", "strategy"):
        values.pop(key, None)
    if groups.is_named_in(part):
        del values["group"]
    execution = _execution({key: values.pop(key) for key in EXECUTION_FIELDS & values.keys()}, from_files)
    if values.get("type") is ServiceType.ONESHOT:
        values["restart"] = {"policy": RestartWhen.NEVER} | values.get("restart", {})
    for key, policy in _POLICIES.items():
        if key in values:
            values[key] = policy(**values[key])
    schedule = values.pop("schedule", {})
    depends_on = values.pop("depends_on", {})
    ready = values.pop("ready", {})
    return ServiceSpec(
        name=part.name,
        execution=execution,
        group=groups.of(part.name),
        depends_on=tuple(
            _dependency(name, condition, name in done_when_ended) for name, condition in depends_on.items()
        ),
        ready=make_probe(ready),
        ready_timeout=ready.get("deadline"),
        alive=make_probe(values.pop("alive", {})),
        schedule=Schedule(**schedule) if is_scheduled(schedule) else None,
        origin=part.report.place(part.path("command")),
        origins=part.origins(),
        **values,
    )


def _is_done_when_ended(part: Part) -> bool:
    """A oneshot that does not say when it is ready is of use to others when it has done its work, as in systemd."""
    return part.values.get("type") is ServiceType.ONESHOT and kind_in(part.values.get("ready", {})) is None


def _dependency(name: str, condition: Condition, done_when_ended: bool) -> Dependency:
    if condition is Condition.READY and done_when_ended:
        condition = Condition.COMPLETED
    return Dependency(name, condition)


def _execution(values: Values, from_files: dict[str, str]) -> Execution:
    if env := from_files | values.get("env", {}):
        values["env"] = tuple(sorted(env.items()))  # no change of the order is a change
    if "limits" in values:
        values["limits"] = tuple(Limit(name, *pair) for name, pair in sorted(values["limits"].items()))
    if "security" in values:
        values["security"] = Security(**values["security"])
    if "sockets" in values:
        values["sockets"] = tuple(map(_socket, values["sockets"]))
    return Execution(**values)


def _socket(values: Values) -> SocketSpec:
    kind, address, port = values["listen"]
    return SocketSpec(kind, address, port, **{key: value for key, value in values.items() if key != "listen"})
