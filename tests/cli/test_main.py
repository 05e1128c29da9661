"""What all commands have in common: help, wrong usage, exits, broken pipes, interrupts."""

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pidward.cli import load_command
from pidward.cli.examples import EXAMPLES
from pidward.cli.help import GROUPS
from pidward.cli.here import take_shared
from pidward.cli.parser import parser_of
from pidward.cli.table import COMMANDS, RAW
from tests.cli.conftest import Supervisor
from tests.cli.run import AS_NOBODY, PYTHON, environment, pidward


def test_without_a_command_a_short_reminder() -> None:
    ended = pidward()
    assert (ended.status, ended.out) == (2, "")
    assert "pidward --help" in ended.err
    assert len(ended.err.splitlines()) <= 5


@pytest.mark.parametrize("words", [("--help",), ("-h",), ("help",)])
def test_help_lists_every_command(words: tuple[str, ...]) -> None:
    ended = pidward(*words)
    assert (ended.status, ended.err) == (0, "")
    for name, (_, summary) in COMMANDS.items():
        assert f"  {name} " in ended.out
        assert summary in ended.out
    assert max(map(len, ended.out.splitlines())) <= 120


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str) -> None:
    asked, told = pidward("help", name), pidward(name, "--help")
    assert (asked.status, asked.err) == (told.status, told.err) == (0, "")
    assert asked.out == told.out
    assert asked.out.startswith(f"usage: pidward {name}")
    assert "--instance NAME" in asked.out


def test_every_command_stands_under_one_purpose() -> None:
    assert sorted(name for _, names in GROUPS for name in names) == sorted(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_example_can_be_typed(name: str) -> None:
    for typed, meaning in EXAMPLES[name]:
        program, command, *words = shlex.split(typed.partition(" > ")[0])
        assert (program, command) == ("pidward", name)
        assert meaning
        if name not in RAW:
            _, rest = take_shared(words)
            parser_of(name, load_command(name)).parse_args(rest)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_its_page(name: str) -> None:
    page = Path(__file__).parents[2] / "docs" / "commands" / f"{name}.md"
    text = page.read_text()
    assert text.startswith(f"# pidward {name}\n")
    for heading in ("## Synopsis", "## Options", "## Exit status", "## Example"):
        assert heading in text, f"{page.name} has no {heading!r}"


def test_every_page_names_every_option() -> None:
    from pidward.cli.completion import _words
    from pidward.config.options import option_help

    for name in COMMANDS:
        text = (Path(__file__).parents[2] / "docs" / "commands" / f"{name}.md").read_text()
        keys = [f"--{key}" for key, _ in option_help()] if name == "run" else []  # docs/configuration.md names them
        missing = [option for option in _words(name).options if option not in text and option not in keys]
        assert not missing, (name, missing)


@pytest.mark.parametrize(
    "words, complaint",
    [
        (("satus",), "no command is named 'satus'; did you mean status?"),
        (("frobnicate",), "`pidward --help` lists all commands"),
        (("help", "satus"), "did you mean status"),
        (("status", "--colour"), "unrecognized arguments: --colour; see `pidward status --help`"),
        (("start",), "name services or workers, or say --all"),
        (("start", "web", "--all"), "but not both"),
        (("stop", "web", "--timeout", "soon"), "--timeout: cannot read duration 'soon'"),
        (("signal", "HUP"), "required: TARGET"),
        (("signal", "HUPP", "web"), "unknown signal 'HUPP'"),
        (("status", "--socket"), "--socket needs a value"),
        (("--instance=", "status"), "--instance needs a value"),
        (("--instance", "../x", "status"), "instance '../x'"),
        (("completion", "tcsh"), "invalid choice: 'tcsh'"),
        (("events", "-n", "-1"), "-n counts from 0"),
        (("events", "-n", "5", "--since", "3"), "not allowed with"),
    ],
)
def test_wrong_usage(words: tuple[str, ...], complaint: str) -> None:
    ended = pidward(*words)
    assert (ended.status, ended.out) == (2, "")
    assert complaint in ended.err
    assert ended.err.startswith("pidward: ")


def test_shared_options_stand_anywhere(supervisor: Supervisor) -> None:
    env = environment()
    for words in (
        ("--json", "--socket", supervisor.path, "status"),
        ("status", f"--socket={supervisor.path}", "--json"),
        ("status", "db", "--json", "web", "--socket", supervisor.path),
    ):
        assert pidward(*words, env=env).out.startswith('{"schema_version":1,')


def test_after_two_dashes_nothing_is_an_option(supervisor: Supervisor) -> None:
    assert "no service or worker is named '--json'" in supervisor.run("status", "--", "--json").err


@pytest.mark.parametrize(
    "words", ["status", "stop web", "events", "signal HUP web", "kill web", "down", "reload", "start --all"]
)
def test_no_supervisor(tmp_path: Path, words: str) -> None:
    ended = pidward(*words.split(), "--socket", str(tmp_path / "control.sock"))
    assert (ended.status, ended.out) == (7, "")
    assert ended.err == (
        f"pidward: supervisor not reachable at {tmp_path}/control.sock: no such socket; start it with `pidward up`\n"
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody else")
def test_a_closed_socket_is_denied(supervisor: Supervisor) -> None:
    ended = pidward("status", env=supervisor.env, argv=AS_NOBODY)
    assert ended.status == 4
    assert "is closed to uid 65534" in ended.err


def test_unknown_names(supervisor: Supervisor) -> None:
    ended = supervisor.run("stop", "wev")
    assert (ended.status, ended.out) == (2, "")
    assert ended.err == "pidward: no service or worker is named 'wev'; did you mean web?\n"
    assert supervisor.desk.asked == []


def test_whoever_reads_may_leave(supervisor: Supervisor) -> None:
    for number in range(5000):
        supervisor.desk.history.append(supervisor.desk.happen("supervisor", "", f"event {number} " + "x" * 50))
    child = subprocess.Popen(
        [*PYTHON, "events", "-n", "100000"], env=supervisor.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert child.stdout is not None
    assert child.stderr is not None
    child.stdout.readline()
    child.stdout.close()
    assert child.stderr.read() == b""
    child.stderr.close()
    assert child.wait(60) == 141


def test_an_interrupt_is_clean(supervisor: Supervisor) -> None:
    supervisor.desk.happen("supervisor", "", "one")
    child = subprocess.Popen(
        [*PYTHON, "events", "-f"], env=supervisor.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert child.stdout is not None
    assert child.stderr is not None
    child.stdout.readline()
    with open(os.pidfd_open(child.pid), "rb", buffering=0) as pidfd:
        signal.pidfd_send_signal(pidfd.fileno(), signal.SIGINT)
    assert child.stderr.read() == b""
    assert child.wait(60) == 130
    child.stdout.close()
    child.stderr.close()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize("words", [("status",), ("version",), ("events",), ("--help",)])
def test_a_full_disk_is_said(supervisor: Supervisor, words: tuple[str, ...]) -> None:
    supervisor.desk.happen("supervisor", "", "one")
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*PYTHON, *words], env=supervisor.env, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (done.returncode, done.stderr) == (1, "pidward: No space left on device\n")


def test_without_any_output_the_status_still_counts(supervisor: Supervisor) -> None:
    shell = f'exec {PYTHON[0]} -c "{PYTHON[2]}" status >&- 2>&-'
    done = subprocess.run(["/bin/sh", "-c", shell], env=supervisor.env, check=False)
    assert done.returncode == 0


def test_as_a_module() -> None:
    ended = pidward("version", argv=(sys.executable, "-m", "pidward"))
    assert ended.status == 0
    assert ended.out.startswith("pidward ")
    assert ended.out == pidward("--version").out


@pytest.mark.parametrize(
    "words",
    [
        "status", "status --json", "events", "down", "stop --all", "start web", "restart db", "reload",
        "signal HUP web", "kill web",
    ],
)  # fmt: skip
def test_a_named_file_must_be_the_one_that_runs(supervisor: Supervisor, tmp_path: Path, words: str) -> None:
    other = tmp_path / "other.toml"
    other.write_text("")
    ended = supervisor.run("-c", str(other), "--socket", supervisor.path, *words.split())
    assert (ended.status, ended.out) == (1, "")
    assert f"at {supervisor.path} runs /etc/pidward/pidward.toml, not {other}; use --instance NAME" in ended.err
    assert supervisor.desk.asked == []


def test_the_same_file_by_another_name(supervisor: Supervisor, tmp_path: Path) -> None:
    (tmp_path / "link.toml").symlink_to("/etc/pidward/pidward.toml")
    words = ("--socket", supervisor.path, "restart", "db", "-c")
    assert supervisor.run(*words, str(tmp_path / "link.toml")).status == 0
    assert supervisor.run(*words, "/etc/pidward/../pidward/pidward.toml").status == 0
