"""A service from the command line: every key of the file, and mistakes that name the option."""

import pytest

from pidward.config.options import OptionError, option_help, parse_options
from pidward.core.spec import Essential, LogMode, ProbeKind, RestartWhen, ServiceSpec
from pidward.core.units import Seconds


def service(keys: dict[str, str], command: list[str] | None = None) -> ServiceSpec:
    (only,) = parse_options("web", keys, command or ["true"]).services
    return only


def test_keys_are_those_of_the_file() -> None:
    spec = service({
        "restart": "on-failure", "restart.delay": "20ms", "stop.grace": "1s", "workers": "3", "essential": "true",
        "limits.nofile": "[10, 20]", "logs.mode": "inherit", "env.A": "1 2", "user": "www-data", "umask": "0o027",
        "ready.exec": '["test", "-e", "x"]',
    })  # fmt: skip
    assert spec.restart.policy is RestartWhen.ON_FAILURE
    assert (spec.restart.delay, spec.stop.grace, spec.workers) == (0.02, 1.0, 3)
    assert (spec.essential, spec.logs.mode) == (Essential.ALWAYS, LogMode.INHERIT)
    assert (spec.execution.user, spec.execution.umask) == ("www-data", 0o027)
    assert spec.execution.env == (("A", "1 2"),)
    (limit,) = spec.execution.limits
    assert tuple(limit) == ("nofile", 10, 20)
    assert spec.ready is not None
    assert (spec.ready.kind, spec.ready.command) == (ProbeKind.EXEC, ("test", "-e", "x"))
    assert spec.origin == ""


def test_the_command_is_taken_as_it_is() -> None:
    words = ["printf", "%i%%", 'a "b" \\ $c', "", "é\t\x7f", "x\ny"]
    written = service({}, words).execution.command
    assert [word.replace("%%", "%") for word in written] == words  # a percent sign is doubled for the template


def test_settings_are_told_from_keys() -> None:
    configuration = parse_options("web", {"stop_timeout": "5s", "health": "127.0.0.1:80"}, ["true"])
    assert (configuration.settings.stop_timeout, configuration.settings.health) == (Seconds(5.0), "127.0.0.1:80")


@pytest.mark.parametrize(
    "keys, said",
    [
        ({"nicee": "5"}, "--nicee: unknown key; did you mean 'nice'?"),
        ({"nice": "50"}, "--nice: "),
        ({"limits.nofil": "5"}, "--limits.nofil: unknown key; did you mean 'nofile'?"),
        ({"stop": "5"}, "--stop: "),
        ({"": "5"}, "unknown key"),
        ({"a..b": "5"}, "unknown key"),
        ({"nice": "5\nuser = 'x'"}, "--nice: "),
        ({"command": "x"}, ""),
    ],
)
def test_a_mistake_names_its_option(keys: dict[str, str], said: str) -> None:
    with pytest.raises(OptionError) as mistake:
        service(keys)
    assert said in str(mistake.value)
    assert "Traceback" not in str(mistake.value)


def test_the_help_has_every_key_once() -> None:
    names = [name for name, _ in option_help()]
    assert len(names) == len(set(names))
    assert {"restart.policy", "stop.grace", "user", "limits", "ready.http", "alive.tcp"} <= set(names)
    assert "command" not in names
