"""``pidward top``: on a screen, in a pipe, as a document."""

import json
from pathlib import Path

import pytest

from pidward.core.model import WorkerName
from tests.cli.conftest import Supervisor
from tests.cli.terminal import terminal
from tests.control.fake import own_process


def test_in_a_pipe_one_table(supervisor: Supervisor) -> None:
    ended = supervisor.run("top", "--interval", "100ms")
    assert (ended.status, ended.err) == (0, "")
    total, machine, titles, *rows = ended.out.splitlines()
    assert total.startswith("pidward default: 3 ready, 4 stopped; CPU ")
    assert machine.endswith("free")
    assert titles.split()[:5] == ["WORKER", "PHASE", "PID:INODE", "CPU%", "RSS"]
    assert [row.split()[0] for row in rows] == ["web/1", "web/2", "db/1", "slow/1", "bad/1", "loop/1", "off/1"]
    web = rows[0].split()
    assert web[1:3] == ["ready", str(own_process())]
    assert float(web[3]) >= 0
    assert web[4].endswith("M")
    assert web[8:] == ["1min", "30s"]
    assert rows[-1].split()[1:] == ["stopped", "-", "-", "-", "-", "-", "0", "-"]


def test_as_json(supervisor: Supervisor) -> None:
    told = json.loads(supervisor.run("top", "--json", "--pss", "web/1", "off", "--interval", "100ms").out)
    assert told["schema_version"] == 1
    assert told["machine"]["memory_total"] > 0
    web, off = told["workers"]
    assert (web["name"], web["phase"], web["process"]) == ("web/1", "ready", str(own_process()))
    assert web["rss_bytes"] >= web["pss_bytes"] > 1 << 20
    assert web["cpu"] >= 0
    assert 90 <= web["uptime"] <= 180
    assert (off["process"], off["cpu"], off["rss_bytes"], off["uptime"]) == (None, None, None, None)


def test_sorted(supervisor: Supervisor) -> None:
    supervisor.desk.workers[WorkerName("loop", 1)] = supervisor.desk.workers[WorkerName("loop", 1)]._replace(restarts=9)
    rows = supervisor.run("top", "--sort", "restarts", "--interval", "100ms").out.splitlines()
    assert rows[3].split()[0] == "loop/1"


@pytest.mark.parametrize(
    "words, complaint",
    [
        (("--interval", "often"), "--interval: "),
        (("--interval", "1ms"), "--interval: at least 0.1 s"),
        (("--sort", "size"), "invalid choice: 'size'"),
        (("wev",), "did you mean web?"),
    ],
)
def test_wrong_usage(supervisor: Supervisor, words: tuple[str, ...], complaint: str) -> None:
    ended = supervisor.run("top", *words)
    assert (ended.status, ended.out) == (2, "")
    assert complaint in ended.err


def test_the_screen(supervisor: Supervisor) -> None:
    with terminal("top", env=supervisor.env) as screen:
        screen.wait_for("off/1")
        first = screen.text
        assert "3 ready, 4 stopped" in first
        assert "PID:INODE" in first
        screen.type("q")
        assert screen.wait_end() == 0
        assert screen.text.endswith("\x1b[?1l\x1b>") or "\x1b[?1049l" in screen.text  # as it was before


def test_events_show_at_once(supervisor: Supervisor) -> None:
    with terminal("top", "--interval", "1h", env=supervisor.env) as screen:
        screen.wait_for("off/1")
        supervisor.run("start", "bad", "--no-wait")
        screen.wait_for("failed")
        supervisor.run("scale", "db=2")
        screen.wait_for("db/2")
        supervisor.run("scale", "db=1")
        screen.type("/db\n")
        screen.resize(120, 30)
        end = screen.wait_for("1-1 of 7")  # without the second it is one of seven
        assert "db/2" not in screen.text[end : screen.wait_for("db/1", end)]


def test_keys_and_sizes(supervisor: Supervisor) -> None:
    with terminal("top", "--interval", "1h", env=supervisor.env) as screen:
        end = screen.wait_for("off/1")
        screen.type("r")
        screen.resize(120, 30)
        end = screen.wait_for("sorted by restarts ", end)
        screen.wait_for("off/1", end)
        screen.type("/we")
        screen.resize(121, 30)
        end = screen.wait_for("filter: we_ ", end)
        screen.type("b\n")
        screen.resize(122, 30)
        end = screen.wait_for("only 'web'", end)
        shown = screen.text[end : screen.wait_for("web/2", end)]
        assert "db/1" not in shown
        screen.type("\x1b")
        screen.resize(123, 30)
        end = screen.wait_for("off/1", end)
        screen.type("s")
        screen.resize(124, 30)
        end = screen.wait_for("PSS", screen.wait_for("sorted by", end) + 70)
        screen.resize(60, 6)
        end = screen.wait_for("1-2 of 7", end)
        screen.type("j")
        screen.resize(61, 6)
        end = screen.wait_for("2-3 of 7", end)
        screen.resize(5, 1)
        screen.resize(100, 24)
        screen.wait_for("off/1", end)


def test_an_interrupt_ends_it(supervisor: Supervisor) -> None:
    with terminal("top", env=supervisor.env) as screen:
        screen.wait_for("off/1")
        screen.interrupt()
        assert screen.wait_end() == 0


def test_the_end_of_the_supervisor_ends_it(supervisor: Supervisor) -> None:
    with terminal("top", env=supervisor.env) as screen:
        screen.wait_for("off/1")
        supervisor.run("down")
        assert screen.wait_end() == 7
        assert "has ended or closed the connection" in screen.text


def test_no_colours_where_none_are_wanted(supervisor: Supervisor) -> None:
    def painted(**env: str) -> bool:
        with terminal("top", env=supervisor.env | env) as screen:
            screen.wait_for("off/1")
            return any(f"\x1b[{code}m" in screen.text for code in ("90", "38;5;8", "34"))

    assert painted(TERM="xterm-256color")
    assert not painted(TERM="xterm-256color", NO_COLOR="1")


def test_a_terminal_that_nobody_knows(supervisor: Supervisor, tmp_path: Path) -> None:
    with terminal("top", env=supervisor.env | {"TERM": "nonesuch", "TERMINFO": str(tmp_path)}) as screen:
        assert screen.wait_end() == 1
        assert "the terminal 'nonesuch' is not known here; use `pidward top --once`" in screen.text
