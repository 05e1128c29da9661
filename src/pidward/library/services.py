"""Services for an embedded supervisor, said in a line of Python; core.spec says what else there is."""

import os
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pidward.config.names import check_service_name
from pidward.core.order import find_cycle
from pidward.core.signals import parse_signal
from pidward.core.spec import (
    Condition,
    Configuration,
    Dependency,
    Execution,
    LogMode,
    LogPolicy,
    Probe,
    RestartPolicy,
    RestartWhen,
    ServiceSpec,
    ServiceType,
    StopPolicy,
)
from pidward.core.units import Seconds, parse_duration

Needs = Iterable[str | Dependency] | Mapping[str, str | Condition]


def service(
    name: str,
    command: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    workers: int = 1,
    cwd: str | os.PathLike[str] | None = None,
    env: Mapping[str, str] | None = None,
    user: str | None = None,
    restart: str | RestartPolicy = "always",
    stop_signal: int | str = "TERM",
    grace: float | str = 10.0,
    depends_on: Needs = (),
    ready: Probe | Mapping[str, object] | None = None,
    oneshot: bool = False,
    autostart: bool = True,
    logs: LogPolicy | Mapping[str, object] | None = None,
) -> ServiceSpec:
    """Describe a service.

    What is not here is set by ``service(...)._replace(...)`` with the fields of ``pidward.core.spec.ServiceSpec``.

    Args:
        name: as in pidward.toml.
        command: program and arguments; a string is split as a shell would, and no shell is run. ``%i`` is the
            worker's number.
        workers: how many processes of it.
        cwd: working directory; None: ours.
        env: variables beside our own environment.
        user: to run as; needs root.
        restart: "always", "on-failure", "never", or a whole policy.
        stop_signal: the polite one.
        grace: seconds, or "10s", until the whole tree is killed.
        depends_on: services that must be there first: ``["db"]``, or ``{"db": "started"}`` with a condition. A job
            is needed as completed, anything else as ready.
        ready: how to find out that a worker may serve, as in pidward.toml: ``{"http": "http://127.0.0.1:8000/",
            "deadline": "30s"}``; None: as soon as its program runs.
        oneshot: it does its work and ends; then it is restarted, if at all, on failure.
        autostart: start it with the supervisor.
        logs: what becomes of its output, as in pidward.toml: ``{"max_size": "10MiB"}``; None drops it.

    Raises:
        ValueError: a name, signal, duration, condition or policy that cannot be.
    """
    words = shlex.split(command) if isinstance(command, str) else (
        [command] if isinstance(command, os.PathLike) else list(command)
    )  # fmt: skip
    if not words:
        raise ValueError(f"the command of service {name!r} is empty")
    check_service_name(name)
    if workers < 0:
        raise ValueError(f"a number of workers cannot be negative, got {workers}")
    probe, deadline = _readiness(name, ready)
    policy = RestartPolicy(policy=RestartWhen(restart)) if isinstance(restart, str) else restart
    if oneshot and restart == "always":
        policy = RestartPolicy(policy=RestartWhen.ON_FAILURE)
    return ServiceSpec(
        name,
        Execution(
            tuple(os.fspath(word) for word in words),
            working_dir=None if cwd is None else os.path.abspath(cwd),
            user=user,
            env=tuple((env or {}).items()),
        ),
        workers=workers,
        type=ServiceType.ONESHOT if oneshot else ServiceType.SERVICE,
        depends_on=_dependencies(depends_on),
        ready=probe,
        ready_timeout=deadline,
        restart=policy,
        stop=StopPolicy(signal=parse_signal(stop_signal), grace=parse_duration(grace)),
        autostart=autostart,
        logs=_logs(name, logs),
    )


def configuration_of(services: tuple[ServiceSpec, ...]) -> Configuration:
    """Put services together.

    Raises:
        ValueError: two have one name, one depends on what is not there or never completes, or a circle of them.
    """
    known: dict[str, ServiceSpec] = {}
    for spec in services:
        if spec.name in known:
            raise ValueError(f"two services are named {spec.name!r}")
        known[spec.name] = spec
    whole = tuple(
        spec._replace(depends_on=tuple(_checked(spec.name, needed, known) for needed in spec.depends_on))
        for spec in services
    )
    if cycle := find_cycle(whole):
        raise ValueError(f"services depend on each other, {' -> '.join(cycle)}: none of these could start first")
    return Configuration(whole)


def _checked(name: str, needed: Dependency, known: Mapping[str, ServiceSpec]) -> Dependency:
    """A job that does not say when it is ready is of use to others when it has done its work."""
    other = known.get(needed.service)
    if other is None:
        raise ValueError(f"service {name!r} depends on {needed.service!r}, which is not among {', '.join(known)}")
    if other.type is not ServiceType.ONESHOT:
        if needed.condition is Condition.COMPLETED:
            raise ValueError(f"service {name!r} waits for {needed.service!r} to complete, which is no oneshot")
        return needed
    if needed.condition is Condition.READY and other.ready is None:
        return needed._replace(condition=Condition.COMPLETED)
    return needed


def _dependencies(needs: Needs) -> tuple[Dependency, ...]:
    if isinstance(needs, str):
        raise ValueError(f"depends_on is a list or a mapping, not the string {needs!r}")
    if isinstance(needs, Mapping):
        return tuple(Dependency(name, Condition(condition)) for name, condition in needs.items())
    return tuple(need if isinstance(need, Dependency) else Dependency(need) for need in needs)


def _readiness(name: str, ready: Probe | Mapping[str, object] | None) -> tuple[Probe | None, Seconds | None]:
    if ready is None or isinstance(ready, Probe):
        return ready, None
    from pidward.config.probes import READY, make_probe  # noqa: PLC0415 - only for those who say it so

    values = _read(READY, ready, ("service", name, "ready"))
    return make_probe(values), values.get("deadline")


def _logs(name: str, logs: LogPolicy | Mapping[str, object] | None) -> LogPolicy:
    if logs is None:
        return LogPolicy(mode=LogMode.NONE)
    if isinstance(logs, LogPolicy):
        return logs
    from pidward.config.schema import LOGS  # noqa: PLC0415 - only for those who say it so

    return LogPolicy(**_read(LOGS, logs, ("service", name, "logs")))


def _read(table: Any, given: Mapping[str, object], path: tuple[str, ...]) -> dict[str, Any]:
    """Read a table as if it stood in a file. Raises ValueError with all that is wrong in it."""
    from pidward.config.errors import ConfigError  # noqa: PLC0415 - only for those who say it so
    from pidward.config.positions import Positions  # noqa: PLC0415
    from pidward.config.reading import Report, read  # noqa: PLC0415

    report = Report("", Positions(""))
    values: dict[str, Any] = read(table, dict(given), path, report)
    try:
        report.raise_if_any()
    except ConfigError as error:
        told = (f"{problem.key}: {problem.message}" for problem in error.problems)
        raise ValueError("; ".join(told)) from None
    return values
