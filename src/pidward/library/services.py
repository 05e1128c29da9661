"""Services for an embedded supervisor, said in a line of Python; core.spec says what else there is."""

import os
import shlex
from collections.abc import Mapping, Sequence

from pidward.config.names import check_service_name
from pidward.core.signals import parse_signal
from pidward.core.spec import (
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
from pidward.core.units import parse_duration


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
    ready: Probe | None = None,
    oneshot: bool = False,
    autostart: bool = True,
    logs: LogPolicy | None = None,
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
        ready: how to find out that a worker may serve; None: as soon as its program runs.
        oneshot: it does its work and ends; then it is restarted, if at all, on failure.
        autostart: start it with the supervisor.
        logs: what becomes of its output; None drops it.

    Raises:
        ValueError: a name, signal, duration or policy that cannot be.
    """
    words = shlex.split(command) if isinstance(command, str) else (
        [command] if isinstance(command, os.PathLike) else list(command)
    )  # fmt: skip
    if not words:
        raise ValueError(f"the command of service {name!r} is empty")
    check_service_name(name)
    if workers < 0:
        raise ValueError(f"a number of workers cannot be negative, got {workers}")
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
        ready=ready,
        restart=policy,
        stop=StopPolicy(signal=parse_signal(stop_signal), grace=parse_duration(grace)),
        autostart=autostart,
        logs=LogPolicy(mode=LogMode.NONE) if logs is None else logs,
    )
