"""What a configuration names and this machine does not have."""

import os
from pathlib import Path
from typing import Any

import pytest

from pidward.core.spec import (
    Execution,
    LogAlso,
    LogPolicy,
    Probe,
    ProbeKind,
    ReloadPolicy,
    ServiceSpec,
    StopPolicy,
)
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
        ("sleep", {"user": "nobody-here"}, "service.web.user: user 'nobody-here' does not exist"),
        ("sleep", {"group": "nobody-here"}, "service.web.group: group 'nobody-here' does not exist"),
        ("sleep", {"working_dir": "/no/such"}, "service.web.working_dir: /no/such is no directory"),
        ("sleep", {"stdin": "/no/such"}, "service.web.stdin: /no/such does not exist"),
        ("sleep", {"env": (("PATH", "/nowhere"),)}, "service.web.command: sleep is not found on PATH"),
    ],
)
def test_what_is_not_there_is_said(command: str, keys: dict[str, object], said: str) -> None:
    assert [str(one) for one in unmet([service(command, **keys)])] == [f"warning: {said}"]


def test_a_service_without_workers_needs_nothing() -> None:
    assert unmet([service("/no/such/program")._replace(workers=0)]) == []


def said(spec: ServiceSpec) -> list[str]:
    return [f"{one.key}: {one.message}" for one in unmet([spec])]


def test_all_programs_of_a_service_are_looked_at() -> None:
    probe = Probe(ProbeKind.EXEC, command=("/no/%i", "x"))
    spec = service("sleep")._replace(
        ready=probe, alive=probe, stop=StopPolicy(pre=("no-such",)), reload=ReloadPolicy(command=("/etc",))
    )
    assert said(spec) == [
        "service.web.ready.exec: /no/1 does not exist",
        "service.web.alive.exec: /no/1 does not exist",
        "service.web.stop.pre: no-such is not found on PATH",
        "service.web.reload.command: /etc cannot be executed",
    ]


def test_processors_that_are_not_there() -> None:
    last = (os.cpu_count() or 1) - 1
    assert said(service("sleep", cpu_affinity=(last, 4000))) == [
        f"service.web.cpu_affinity: this machine has processors 0 to {last}, and not 4000"
    ]


def test_places_of_logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIDWARD_JOURNAL_SOCKET", str(tmp_path / "journal"))
    logs = LogPolicy(dir=str(tmp_path / "made" / "later"), also=(LogAlso.JOURNAL,))
    assert said(service("sleep")._replace(logs=logs)) == [
        f"service.web.logs.also: journal cannot be reached: {tmp_path}/journal does not exist"
    ]
    (tmp_path / "made").write_text("")
    (tmp_path / "journal").write_text("")
    assert said(service("sleep")._replace(logs=logs)) == [f"service.web.logs.dir: {tmp_path}/made is no directory"]


def test_a_program_that_its_user_may_not_execute(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    program = tmp_path / "run"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    stranger = str(os.getuid() + 4711)
    [sentence] = said(service(str(program), user=stranger, group=stranger, supplementary_groups=()))
    assert sentence.startswith(f"service.web.command: user {stranger} may not be able to execute {program}: /")
    assert sentence.endswith(" is closed to it")
    assert said(service(str(program), user=str(os.getuid()), supplementary_groups=())) == []
    assert said(service("/bin/sleep", user=stranger, group=stranger, supplementary_groups=())) == []


def test_the_place_comes_first() -> None:
    spec = service("/no/such", stdin="/no/such")._replace(origin="f:2:11", origins=(("stdin", "f:3:9"),))
    assert [str(one) for one in unmet([spec])] == [
        "f:3:9: warning: service.web.stdin: /no/such does not exist",
        "f:2:11: warning: service.web.command: /no/such does not exist",
    ]
