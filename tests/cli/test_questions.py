"""Commands that only look: events, check, doctor, version, completion."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from pidward import __version__
from pidward.cli.completion import GLOBAL_OPTIONS
from pidward.cli.table import COMMANDS
from tests.cli.conftest import Serve, Supervisor
from tests.cli.run import PYTHON, pidward
from tests.control.fake import FakeDesk


def with_history(desk: FakeDesk) -> None:
    for number in range(1, 2501):
        worker = ("web/1", "web/2", "db/1")[number % 3]
        desk.happen("transition", worker, f"{worker}: event {number}\x1b[2J", number=number)


def test_events_are_the_newest_fifty_oldest_first(serve: Serve) -> None:
    supervisor = serve(with_history)
    lines = supervisor.run("events").out.splitlines()
    assert len(lines) == 50
    assert re.fullmatch(r"  2451  \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}  web/1: event 2451\?\[2J", lines[0])
    assert lines[-1].split()[0] == "2500"


@pytest.mark.parametrize(
    "words, count", [("-n 3", 3), ("-n 2400", 2400), ("-n 0", 0), ("--since 2000", 500), ("--since 0", 2500)]
)
def test_as_many_events_as_asked_for(serve: Serve, words: str, count: int) -> None:
    assert len(serve(with_history).run("events", *words.split()).out.splitlines()) == count


def test_events_of_some(serve: Serve) -> None:
    lines = serve(with_history).run("events", "-n", "30", "web/2", "db").out.splitlines()
    assert len(lines) == 20
    assert not any("web/1" in line for line in lines)


def test_events_of_nobody(serve: Serve) -> None:
    supervisor = serve(with_history, {"web": 2, "db": 1})
    supervisor.desk.happen("transition", "gone/1", "gone/1: forgotten")
    for words in (("nosuch",), ("nosuch", "--since", "0"), ("-f", "nosuch")):
        ended = supervisor.run("events", *words)
        assert (ended.status, ended.out) == (2, "")
        assert "no service or worker is named 'nosuch'" in ended.err
    assert supervisor.run("events", "gone").out.endswith("  gone/1: forgotten\n")
    assert supervisor.run("events", "gone").status == 0
    assert supervisor.run("events", "-n", "0", "db") == (0, "", "")


def test_events_as_json_lines(serve: Serve) -> None:
    events = [json.loads(line) for line in serve(with_history).run("events", "-n", "2", "--json").out.splitlines()]
    assert [event["seq"] for event in events] == [2499, 2500]
    assert {event["schema_version"] for event in events} == {1}
    assert events[1]["data"] == {"number": 2500}


def test_following_events(supervisor: Supervisor) -> None:
    supervisor.desk.happen("supervisor", "", "before")
    child = subprocess.Popen([*PYTHON, "events", "-f"], env=supervisor.env, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    with child.stdout:
        assert "before" in child.stdout.readline()
        supervisor.run("restart", "db")  # the desk tells of it in its own thread
        assert "db/1: stopping: restarted by" in child.stdout.readline()
        assert "db/1: ready" in child.stdout.readline()
        supervisor.run("down")
        assert child.stdout.read() == ""
    assert child.wait(60) == 7


def test_check(tmp_path: Path) -> None:
    (tmp_path / "pidward.toml").write_text('[service.web]\ncommand = ["/bin/true"]\nworkers = 3\n')
    ended = pidward("check", cwd=tmp_path)
    assert (ended.status, ended.out) == (0, "pidward.toml: valid; 1 service, 3 workers\n")
    document = json.loads(pidward("check", "--json", str(tmp_path / "pidward.toml")).out)
    assert (document["valid"], document["services"], document["workers"]) == (True, ["web"], 3)


def test_check_tells_every_mistake(tmp_path: Path) -> None:
    file = tmp_path / "bad.toml"
    file.write_text('[service.web]\ncomand = ["/bin/true"]\nworkers = -3\n')
    ended = pidward("check", "-c", str(file))
    assert (ended.status, ended.out) == (2, "")
    assert f"{file}:2:1: service.web.comand: unknown key" in ended.err
    assert f"{file}:3:11: service.web.workers:" in ended.err
    assert "mistakes; nothing was started or changed" in ended.err.splitlines()[-1]
    ended = pidward("check", "--json", str(file))
    assert ended.status == 2
    problems = json.loads(ended.out)["problems"]
    assert {problem["line"] for problem in problems} >= {2, 3}


def test_check_without_a_file(tmp_path: Path) -> None:
    if Path("/etc/pidward/pidward.toml").exists():
        pytest.skip("this machine has a configuration")
    ended = pidward("check", cwd=tmp_path)
    assert ended.status == 2
    assert "there is no configuration" in ended.err
    assert "cannot be read" in pidward("check", "missing.toml", cwd=tmp_path).err


def test_doctor() -> None:
    ended = pidward("doctor")
    assert (ended.status, ended.err) == (0, "")
    assert re.search(r"^  yes  pidfd_open +5\.3 +to hold processes by handle$", ended.out, re.MULTILINE)
    document = json.loads(pidward("doctor", "--json").out)
    assert document["can_run"] is True
    assert {feature["name"] for feature in document["features"]} >= {"pidfs", "clone3", "cgroup2"}
    assert any("nofile" in limit["name"] for limit in document["limits"])


def test_doctor_says_what_an_absence_costs() -> None:
    from tests.cli.run import environment

    masked = pidward("doctor", env=environment(PIDWARD_FEATURES_MASK="pidfs,pidfd_open"))
    assert masked.status == 1
    assert re.search(r"^  no   pidfs .*instead: PID:INODE cannot be verified", masked.out, re.MULTILINE)
    assert re.search(r"^  NO   pidfd_open ", masked.out, re.MULTILINE)
    assert "pidward cannot run here" in masked.out


def test_version() -> None:
    assert pidward("version").out.startswith(f"pidward {__version__} (Python 3.")
    assert json.loads(pidward("--version", "--json").out)["version"] == __version__


# --- completion


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_are_right_for_their_shell(shell: str, tmp_path: Path) -> None:
    script = pidward("completion", shell)
    assert script.status == 0
    for command in COMMANDS:
        assert re.search(rf"\b{command}\b", script.out)
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed")
    file = tmp_path / "script"
    file.write_text(script.out)
    subprocess.run([program, "-n", str(file)], check=True)


def complete(supervisor: Supervisor, tmp_path: Path, *words: str) -> list[str]:
    """What bash offers for the last word."""
    (tmp_path / "pidward").write_text(f'#!/bin/sh\nexec {PYTHON[0]} -c "{PYTHON[2]}" "$@"\n')
    (tmp_path / "pidward").chmod(0o755)
    (tmp_path / "script").write_text(pidward("completion", "bash").out)
    line = " ".join(f"'{word}'" for word in ("pidward", *words))
    program = (
        f". {tmp_path}/script; COMP_WORDS=({line}); COMP_CWORD={len(words)}; _pidward; "
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    env = {**supervisor.env, "PATH": f"{tmp_path}:{supervisor.env['PATH']}"}
    done = subprocess.run(["bash", "-c", program], env=env, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_completes_commands_options_names_and_signals(supervisor: Supervisor, tmp_path: Path) -> None:
    assert complete(supervisor, tmp_path, "st") == ["status", "start", "stop"]
    assert complete(supervisor, tmp_path, "restart", "w") == ["web", "web/1", "web/2"]
    assert complete(supervisor, tmp_path, "--json", "stop", "db", "web/") == ["web/1", "web/2"]
    assert complete(supervisor, tmp_path, "stop", "--ti") == ["--timeout"]
    assert complete(supervisor, tmp_path, "signal", "SIGUS") == ["SIGUSR1", "SIGUSR2"]
    assert complete(supervisor, tmp_path, "signal", "HUP", "d") == ["db", "db/1"]
    assert complete(supervisor, tmp_path, "signal", "sigusr1") == ["SIGUSR1"]
    assert complete(supervisor, tmp_path, "signal", "hu") == ["SIGHUP"]
    assert complete(supervisor, tmp_path, "signal", "HUP", "sig") == []
    assert complete(supervisor, tmp_path, "completion", "z") == ["zsh"]
    assert complete(supervisor, tmp_path, "top", "--sort", "re") == ["refaults", "restarts"]
    assert complete(supervisor, tmp_path, "top", "--interval", "") == []
    assert complete(supervisor, tmp_path, "top", "--sort", "cpu", "d") == ["db", "db/1"]
    assert complete(supervisor, tmp_path, "status", "--w") == ["--watch"]
    assert complete(supervisor, tmp_path, "tree", "web/") == ["web/1", "web/2"]
    assert complete(supervisor, tmp_path, "restart", "--rolling", "d") == ["db", "db/1"]
    assert complete(supervisor, tmp_path, "reload", "d") == ["db", "db/1"]
    assert complete(supervisor, tmp_path, "wait", "--") == [
        "--ready", "--exit", "--stopped", "--timeout", *GLOBAL_OPTIONS,
    ]  # fmt: skip
    assert complete(supervisor, tmp_path, "scale", "w") == ["web="]
    assert complete(supervisor, tmp_path, "run", "--restart.b") == ["--restart.burst"]
    assert "bash" in complete(supervisor, tmp_path, "run", "--", "bas")


@pytest.mark.skipif(shutil.which("fish") is None, reason="needs fish")
def test_fish_completes_the_same(supervisor: Supervisor, tmp_path: Path) -> None:
    (tmp_path / "pidward").write_text(f'#!/bin/sh\nexec {PYTHON[0]} -c "{PYTHON[2]}" "$@"\n')
    (tmp_path / "pidward").chmod(0o755)
    (tmp_path / "script").write_text(pidward("completion", "fish").out)
    env = {**supervisor.env, "PATH": f"{tmp_path}:{supervisor.env['PATH']}", "HOME": str(tmp_path)}

    def offered(line: str) -> set[str]:
        program = f"source {tmp_path}/script; complete -C 'pidward {line}'"
        done = subprocess.run(
            ["fish", "--no-config", "-c", program], env=env, capture_output=True, text=True, check=True
        )
        return {word.split("\t")[0] for word in done.stdout.splitlines()}

    assert {"status", "start", "stop"} <= offered("st")
    assert offered("restart w") == {"web", "web/1", "web/2"}
    assert offered("top --sort re") == {"refaults", "restarts"}
    assert offered("top --sort cpu d") == {"db", "db/1"}
    assert offered("scale w") == {"web="}
    assert offered("signal SIGUSR") == {"SIGUSR1", "SIGUSR2"}
    assert "--restart.burst" in offered("run --restart.b")
    assert "bash" in offered("run -- bas")
    assert offered("help sta") == {"status", "start"}
    assert complete(supervisor, tmp_path, "status", "--he") == ["--help"]
    assert complete(supervisor, tmp_path, "up", "--back") == []


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_completes_scenes_and_services_to_start(
    supervisor: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pidward.demo.scenes import SCENES

    names = [scene.name for scene in SCENES]
    assert complete(supervisor, tmp_path, "demo", "") == names
    assert complete(supervisor, tmp_path, "demo", names[0], "") == names
    monkeypatch.chdir(tmp_path)
    assert complete(supervisor, tmp_path, "up", "") == []
    (tmp_path / "pidward.toml").write_text('[service.one]\ncommand = "x"\n[service.two]\ncommand = "x"\n')
    assert complete(supervisor, tmp_path, "up", "") == ["one", "two"]
    (tmp_path / "pidward.toml").write_text("[service.one]\n")
    assert complete(supervisor, tmp_path, "up", "") == []


def test_names_for_completion_are_silent_without_a_supervisor(tmp_path: Path) -> None:
    ended = pidward("__complete", "--socket", str(tmp_path / "nothing"))
    assert ended == (0, "", "")


def test_events_since_a_time(serve: Serve) -> None:
    def prepare(desk: FakeDesk) -> None:
        for number in range(5):
            desk.happen("supervisor", "", f"event {number}")  # a second from one to the next, from 1.5e9 on

    supervisor = serve(prepare)
    shown = supervisor.run("events", "--since", "@1500000003").out
    assert [line.split("  ")[-1] for line in shown.splitlines()] == ["event 3", "event 4"]
    assert supervisor.run("events", "--since", "1h").out == ""
    wrong = supervisor.run("events", "--since", "soonish")
    assert (wrong.status, "cannot read the time 'soonish'" in wrong.err) == (2, True)
