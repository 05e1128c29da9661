"""``pidward run``: where its own words end, and what it says and leaves behind when it cannot start."""

import os
import socket
from pathlib import Path

import pytest

from pidward.cli.here import take_shared
from tests.cli.run import Ended, environment, pidward


@pytest.fixture
def instance(tmp_path: Path) -> str:
    return f"test-{os.getpid()}-{tmp_path.name}"[:60]


def run(instance: str, *words: str) -> Ended:
    return pidward("run", "--instance", instance, *words, env=environment(XDG_RUNTIME_DIR="/tmp"))


@pytest.mark.parametrize(
    "words, rest",
    [
        ("run sh -c x --json", "run -- sh -c x --json"),
        ("run --json --verbose sh --json", "run --verbose -- sh --json"),
        ("run --nice 5 --instance x -c y sh -h", "run --nice 5 -- sh -h"),
        ("run --nice=5 sh --instance x", "run --nice=5 -- sh --instance x"),
        ("run --name --json true", "run --name --json -- true"),
        ("run --json -- -c", "run -- -c"),
        ("run --help", "run --help"),
        ("run --nice", "run --nice"),
        ("status web --json", "status web"),
    ],
)
def test_options_end_where_the_command_begins(words: str, rest: str) -> None:
    assert take_shared(words.split())[1] == rest.split()


def test_the_words_of_the_command_are_its_own(instance: str) -> None:
    ended = run(instance, "sh", "-c", 'echo "$0" "$1"; exit 5', "--json", "--help")
    assert (ended.status, ended.out) == (5, "--json --help\n")


@pytest.mark.parametrize(
    "words, said",
    [
        (("-v", "true"), "there is no option -v"),
        (("--name", "bad name", "true"), "--name: the name of a service has only"),
        (("--env", "A=1", "true"), "write --env.A VALUE"),
        (("--health", "127.0.0.1:x", "true"), "--health: expected a port"),
        (("--nice",), "--nice needs a value"),
        (("--nice", "5"), "no command"),
    ],
)
def test_a_mistake_is_told_in_the_words_of_the_command_line(instance: str, words: tuple[str, ...], said: str) -> None:
    ended = run(instance, *words)
    assert (ended.status, ended.out) == (2, "")
    assert said in ended.err


def test_who_cannot_answer_about_health_leaves_nothing_behind(instance: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ended = run(instance, "--health", f"127.0.0.1:{taken.getsockname()[1]}", "true")
    assert (ended.status, ended.out) == (1, "")
    assert "address already in use; choose another for `health`" in ended.err
    assert not any(Path(base, instance).exists() for base in ("/run/pidward", "/tmp/pidward"))


def test_what_exists_and_cannot_be_started_is_126(instance: str) -> None:
    assert run(instance, "/etc/passwd").status == 126
    assert run(instance, "/nowhere/at-all").status == 127
