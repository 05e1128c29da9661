"""From checked keys to the specification: defaults under each service, and what several keys say together."""

from typing import Any

from pidward.config.positions import Path
from pidward.config.reading import INVALID, Report
from pidward.config.schema import EXECUTION_FIELDS
from pidward.core.signals import signal_name
from pidward.core.spec import (
    MAX_WORKERS,
    Configuration,
    Execution,
    Limit,
    LogPolicy,
    Probe,
    ProbeKind,
    RestartPolicy,
    ServiceSpec,
    Settings,
    StopPolicy,
)
from pidward.core.units import format_duration

Values = dict[str, Any]


def build(values: Values, path: str, report: Report) -> Configuration:
    """Make the specification of what ``reading.read`` gave; raises ConfigError with everything reported by then."""
    defaults, own = values.get("defaults", {}), values.get("service", {})
    defaults = {} if defaults is INVALID else defaults
    parts = [] if own is INVALID else [_Service(name, keys, defaults, report) for name, keys in own.items()]
    for part in parts:
        part.check()
    _check_total(parts, report)
    report.raise_if_any()
    return Configuration(tuple(part.spec() for part in parts), Settings(**values.get("pidward", {})), path)


class _Service:
    """One service: its own keys over the defaults, and where each of them was written."""

    def __init__(self, name: str, own: Values, defaults: Values, report: Report) -> None:
        self.name, self.report = name, report
        self.own: Values = {} if own is INVALID else own
        self.values = _over(defaults, self.own)
        self.whole = own is not INVALID

    def path(self, *keys: str) -> Path:
        """Where a key was written: in the service itself, or in the defaults."""
        part: Any = self.own
        for key in keys:
            if not isinstance(part, dict) or key not in part:
                return ("defaults", *keys)
            part = part[key]
        return ("service", self.name, *keys)

    def check(self) -> None:
        """Report what is wrong with keys that are right one by one."""
        self._check_command()
        self._check_umask()
        restart = self.values.get("restart", {})
        if restart is not INVALID and INVALID not in restart.values():
            self._check_restart(RestartPolicy(**restart))

    def spec(self) -> ServiceSpec:
        """Make the specification of a service without a problem."""
        values = dict(self.values)
        execution = {key: values.pop(key) for key in EXECUTION_FIELDS & values.keys()}
        if "env" in execution:
            execution["env"] = tuple(execution["env"].items())
        if "limits" in execution:
            execution["limits"] = tuple(Limit(name, *pair) for name, pair in execution["limits"].items())
        for key, policy in (("restart", RestartPolicy), ("stop", StopPolicy), ("logs", LogPolicy)):
            if key in values:
                values[key] = policy(**values[key])
        after = values.pop("ready", {}).get("after")
        values["ready"] = Probe(ProbeKind.AFTER, after=after) if after else None
        origin = self.report.place(self.path("command"))
        return ServiceSpec(name=self.name, execution=Execution(**execution), origin=origin, **values)

    def _check_command(self) -> None:
        if self.whole and "command" not in self.values:
            self.report.at_key(("service", self.name), "a service needs a command")
        command = self.values.get("command", INVALID)
        if command is not INVALID and not command[0]:
            self.report.at_value((*self.path("command"), 0), "the program must not be empty")

    def _check_umask(self) -> None:
        # tomllib does not tell 0o22 from 22, and who writes 22 means the first.
        path = self.path("umask")
        if self.values.get("umask", INVALID) in (0, INVALID):
            return
        start = self.report.positions.written(path, 2)
        if start[0].isdecimal() and start != "0o":
            self.report.at_value(path, 'is read as a decimal number; write "022" or 0o022')

    def _check_restart(self, policy: RestartPolicy) -> None:
        if policy.delay > policy.max_delay:
            self.report.at_value(
                self._blamed("delay", "max_delay"),
                f"delay {format_duration(policy.delay)} is longer than max_delay {format_duration(policy.max_delay)}",
            )
        if both := policy.never_on & policy.always_on:
            names = ", ".join(str(cause) if cause >= 0 else signal_name(-cause) for cause in sorted(both))
            self.report.at_value(self._blamed("always_on", "never_on"), f"{names} is in never_on and in always_on")

    def _blamed(self, *keys: str) -> Path:
        """Choose the place for a contradiction: what the service says itself comes first."""
        own, values = self.own.get("restart", {}), self.values["restart"]
        return self.path("restart", next(key for keys_of in (own, values) for key in keys if key in keys_of))


def _over(defaults: Values, own: Values) -> Values:
    """Lay a service's keys over the defaults; tables meet key by key, anything else replaces."""
    merged = defaults | own
    for key in defaults.keys() & own.keys():
        if isinstance(defaults[key], dict) and isinstance(own[key], dict):
            merged[key] = defaults[key] | own[key]
    return merged


def _check_total(parts: list[_Service], report: Report) -> None:
    total = 0
    for part in parts:
        workers = part.values.get("workers", 1)
        total += 0 if workers is INVALID else workers
        if total > MAX_WORKERS:
            message = f"brings all services together to {total} workers; at most {MAX_WORKERS} are supported"
            report.at_value(part.path("workers") if "workers" in part.values else ("service", part.name), message)
            return
