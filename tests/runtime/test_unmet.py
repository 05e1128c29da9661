"""What a configuration names and this machine does not have."""

from pathlib import Path
from typing import Any

import pytest

from pidward.core.spec import Execution, ServiceSpec
from pidward.runtime.unmet import unmet


def service(command: str, **keys: Any) -> ServiceSpec:
    return ServiceSpec(name="web", execution=Execution(command=(command,))._replace(**keys))


def test_what_is_there_is_not_mentioned(tmp_path: Path) -> None:
    (tmp_path / "run-1").write_text("#!/bin/sh\n")
    (tmp_path / "run-1").chmod(0o755)
    assert unmet([service("sleep"), service("/bin/sleep", user="0", group="0")]) == []
    assert unmet([service("./run-%i", working_dir=str(tmp_path))]) == []


@pytest.mark.parametrize(
    "command, keys, said",
    [
        ("no-such-program", {}, "service.web.command: no-such-program is not found on PATH"),
        ("/no/such/program", {}, "service.web.command: /no/such/program does not exist"),
        ("/etc/passwd", {}, "service.web.command: /etc/passwd cannot be executed"),
        ("/etc", {}, "service.web.command: /etc cannot be executed"),
        ("sleep", {"user": "nobody-here"}, "user 'nobody-here' does not exist; check service.web.user"),
        ("sleep", {"group": "nobody-here"}, "group 'nobody-here' does not exist; check service.web.group"),
        ("sleep", {"working_dir": "/no/such"}, "service.web.working_dir: /no/such is no directory"),
        ("sleep", {"env": (("PATH", "/nowhere"),)}, "service.web.command: sleep is not found on PATH"),
    ],
)
def test_what_is_not_there_is_said(command: str, keys: dict[str, object], said: str) -> None:
    assert unmet([service(command, **keys)]) == [said]


def test_a_service_without_workers_needs_nothing() -> None:
    assert unmet([service("/no/such/program")._replace(workers=0)]) == []
