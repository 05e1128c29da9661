"""``pidward logs`` and the foreground's view, of what real workers wrote."""

import json
import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from time import CLOCK_REALTIME, clock_gettime_ns
from typing import Self

import pytest

from pidward.cli.screen import stamp
from pidward.kernel.pidfd import Pidfd
from tests.cli.run import PYTHON
from tests.cli.test_up import Home

SERVICES = r"""
[service.hello]
command = ["/bin/sh", "-c", "echo one; echo two >&2; printf 'clear\\033[2J\\377\\n'; exec sleep 1000"]
[service.named]
command = ["/bin/sh", "-c", "echo I am $PIDWARD_WORKER; exec sleep 1000"]
workers = 2
[service.silent]
command = ["/bin/sleep", "1000"]
logs = { mode = "none" }
[service.last]
command = ["/bin/sh", "-c", "trap 'echo last words; exit' TERM; echo ready; sleep 1000 & wait"]
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A supervisor whose workers have said what they had to say."""
    home = Home(tmp_path_factory.mktemp("logs"))
    home.write(SERVICES)
    assert home.run("up", "--detach").status == 0
    wait_for_lines(home, 6)
    yield home
    home.run("down", "--now")


def wait_for_lines(home: Home, count: int) -> None:
    """Follow until so many lines have come."""
    with Following(home, "-n", "1000") as following:
        for _ in range(count):
            following.line()


class Following:
    """``logs -f`` in the background."""

    def __init__(self, home: Home, *words: str) -> None:
        self._child = subprocess.Popen(
            [*PYTHON, "logs", "-f", *words], env=home.env, cwd=home.place, stdout=subprocess.PIPE, text=True
        )

    def line(self) -> str:
        assert self._child.stdout is not None
        return self._child.stdout.readline()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_about: object) -> None:
        with Pidfd.open(self._child.pid) as process:
            process.signal(signal.SIGINT)
        assert self._child.wait(30) == 130
        assert self._child.stdout is not None
        self._child.stdout.close()


def test_lines_have_their_time_and_worker(home: Home) -> None:
    lines = home.run("logs", "hello").out.splitlines()
    assert len(lines) == 3
    assert all(re.match(r"\d\d:\d\d:\d\d\.\d{3} hello/1 [|!] ", line) for line in lines)
    assert {line[13:] for line in lines} == {"hello/1 | one", "hello/1 ! two", r"hello/1 | clear\x1b[2J\xff"}


def test_some_workers_and_the_newest_lines(home: Home) -> None:
    assert [line[13:] for line in home.run("logs", "named/2").out.splitlines()] == ["named/2 | I am 2"]
    assert len(home.run("logs", "named", "hello/1").out.splitlines()) == 5
    assert len(home.run("logs", "-n", "2").out.splitlines()) == 2
    assert home.run("logs", "-n", "0").out == ""
    assert home.run("logs", "silent").out == ""


def test_json_lines(home: Home) -> None:
    documents = [json.loads(line) for line in home.run("logs", "hello", "--json").out.splitlines()]
    said = {(d["stream"], d["text"]) for d in documents}
    assert said == {("out", "one"), ("err", "two"), ("out", "clear\x1b[2J\\xff")}
    assert {d["worker"] for d in documents} == {"hello/1"}
    assert {d["schema_version"] for d in documents} == {1}


def test_lines_are_chosen_by_time_and_content(home: Home) -> None:
    def texts(*words: str) -> list[str]:
        return [line[13:].partition(" ")[2] for line in home.run("logs", *words).out.splitlines()]

    assert texts("--grep", "^ONE$") == []
    assert texts("--grep", "^ONE$", "-i") == ["| one"]
    assert texts("--grep", "^I am", "-n", "1") == ["| I am 2"] or texts("--grep", "^I am", "-n", "1") == ["| I am 1"]
    assert len(texts("--since", "1h")) == len(texts("--since", "yesterday", "--until", "now")) == 6
    assert texts("--since", "now") == texts("--until", "1h") == []
    third = json.loads(home.run("logs", "--json").out.splitlines()[3])
    assert len(texts("--since", f"@{third['wall'] + 1e-6:.6f}")) < 6


def test_raw_bytes_go_to_a_pipe_and_nothing_else(home: Home) -> None:
    ended = subprocess.run(
        [*PYTHON, "logs", "hello", "--raw", "--grep", "clear|one"], env=home.env, cwd=home.place, capture_output=True,
        check=True,
    )  # fmt: skip
    assert sorted(ended.stdout.splitlines()) == [b"clear\x1b[2J\xff", b"one"]


def test_raw_bytes_do_not_reach_a_terminal(home: Home) -> None:
    ours, theirs = os.openpty()
    try:
        subprocess.run(
            [*PYTHON, "logs", "hello", "--raw"], env=home.env, cwd=home.place, stdout=theirs, check=True, timeout=30
        )
        shown = os.read(ours, 4096)
    finally:
        os.close(ours)
        os.close(theirs)
    assert rb"clear\x1b[2J\xff" in shown
    assert b"\x1b[2J" not in shown


def test_following_shows_what_fits(home: Home) -> None:
    with Following(home, "--grep", "am 1$", "--since", "today", "named") as following:
        assert following.line().endswith("I am 1\n")
        assert home.run("restart", "named").status == 0
        assert following.line().endswith("I am 1\n")
        assert home.run("restart", "named").status == 0
        assert following.line().endswith("I am 1\n")


@pytest.mark.parametrize(
    "words, complaint",
    [
        ("helo", "no service or worker is named 'helo'; did you mean hello"),
        ("hello/2", "is named 'hello/2'"),
        ("-n -1", "-n counts from 0"),
        ("--since soon", "cannot read the time 'soon'; write it like 10min"),
        ("--until 5parsec", "unknown unit 'parsec'"),
        ("--grep (", "--grep '(' is no regular expression: missing ), unterminated subpattern at position 0"),
        ("-f --until now", "--until and --follow exclude each other"),
    ],
)
def test_wrong_usage(home: Home, words: str, complaint: str) -> None:
    ended = home.run("logs", *words.split())
    assert (ended.status, ended.out) == (2, "")
    assert complaint in ended.err


def test_a_service_without_logs_says_so(home: Home) -> None:
    ended = home.run("logs", "silent")
    assert (ended.status, ended.out) == (0, "")
    assert ended.err == "pidward: silent/1: what it writes is not kept: its logs have mode none\n"
    assert home.run("logs").err == ""


def test_the_running_supervisor_knows_where_logs_are(home: Home) -> None:
    """Whatever has become of its file."""
    where = ("--socket", f"{home.place}/run/control.sock")
    try:
        home.write("[service.web]\ncomand = 1\n")
        assert len(home.run("logs", "hello").out.splitlines()) == 3
        home.file.unlink()
        assert len(home.run("logs", *where, "hello").out.splitlines()) == 3
        assert home.run("logs", *where, "helo").status == 2
    finally:
        home.write(SERVICES)


def test_another_file_is_not_looked_into(home: Home) -> None:
    other = home.place / "other.toml"
    other.write_text(home.file.read_text())
    ended = home.run("logs", "-c", str(other))
    assert (ended.status, ended.out) == (1, "")
    assert f"runs {home.file}, not {other}" in ended.err


def test_following(home: Home) -> None:
    with Following(home, "-n", "1", "named/1") as following:
        assert "I am 1" in following.line()
        assert home.run("restart", "named/1").status == 0
        assert "I am 1" in following.line()


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Home]:
    """A directory where nothing runs yet, and nothing runs afterwards."""
    home = Home(tmp_path)
    home.write(SERVICES)
    yield home
    home.run("down", "--now")


def test_what_was_removed_is_shown_and_needs_no_supervisor(fresh: Home) -> None:
    assert fresh.run("up", "--detach", "named").status == 0
    wait_for_lines(fresh, 2)
    assert fresh.run("down").status == 0
    fresh.write(SERVICES.replace("named", "other").replace("workers = 2", 'workers = 1\nlogs = { dir = "/none" }'))
    assert sorted(line[13:] for line in fresh.run("logs", "named").out.splitlines()) == [
        "named/1 | I am 1", "named/2 | I am 2",
    ]  # fmt: skip
    assert fresh.run("logs", "-n", "1", "named/2").out.endswith("named/2 | I am 2\n")
    assert fresh.run("logs", "other").out == ""


def test_lines_of_another_day_have_their_date() -> None:
    now = clock_gettime_ns(CLOCK_REALTIME)
    assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3}", stamp(now))
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}", stamp(now - 86_400 * 10**9))


def test_the_foreground_shows_everything_to_the_last_word(fresh: Home) -> None:
    home = fresh
    assert home.run("up", "--detach", "named").status == 0
    wait_for_lines(home, 2)  # of an earlier life, which the foreground of the next one does not show
    assert home.run("down").status == 0
    pipe = subprocess.PIPE
    child = subprocess.Popen(
        [*PYTHON, "up", "hello", "last"], env=home.env, cwd=home.place, stdout=pipe, stderr=pipe, text=True
    )
    assert child.stdout is not None
    assert child.stderr is not None
    with child.stdout, child.stderr, Pidfd.open(child.pid) as supervisor:
        shown: list[str] = []
        while len(shown) < 4:
            shown.append(child.stdout.readline()[13:].rstrip())
        supervisor.signal(signal.SIGTERM)
        shown += [line[13:] for line in child.stdout.read().splitlines()]
        told = child.stderr.read()
        assert child.wait(30) == 0
    assert sorted(shown) == [
        "hello/1 ! two", r"hello/1 | clear\x1b[2J\xff", "hello/1 | one", "last/1  | last words", "last/1  | ready",
    ]  # fmt: skip
    assert shown[-1] == "last/1  | last words"
    assert re.search(r"^\d\d:\d\d:\d\d\.\d{3} \* hello/1 ready", told, re.MULTILINE)


def test_the_view_ends_with_a_killed_supervisor(fresh: Home) -> None:
    child = subprocess.Popen(
        [*PYTHON, "up", "silent", "hello"], env=fresh.env, cwd=fresh.place, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    with child.stdout, Pidfd.open(child.pid) as supervisor:
        child.stdout.readline()  # the viewer shows something, so it runs
        supervisor.signal(signal.SIGKILL)
        child.stdout.read()  # until nobody holds the other end any more
        assert child.wait(30) == -signal.SIGKILL
    assert fresh.run("up", "--detach").status == 0  # and clears away what the dead one left


def test_the_foreground_shows_output_on_a_socket_too(fresh: Home) -> None:
    """As under systemd; a socket cannot be opened by a path."""
    home = fresh
    ours, theirs = socket.socketpair()
    ours.settimeout(30)
    child = subprocess.Popen(
        [*PYTHON, "up", "hello"], env=home.env, cwd=home.place, stdout=theirs.fileno(), stderr=subprocess.DEVNULL
    )
    theirs.close()
    with ours, Pidfd.open(child.pid) as supervisor:
        shown = b""
        while shown.count(b"\n") < 3:
            data = ours.recv(4096)
            assert data, shown
            shown += data
        supervisor.signal(signal.SIGTERM)
        assert child.wait(30) == 0
    assert b"hello/1 ! two" in shown
