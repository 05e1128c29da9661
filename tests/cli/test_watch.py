"""``pidward status --watch``: in place on a terminal, one after the other in a pipe."""

import json
import os
import signal
import subprocess

from tests.cli.conftest import Serve, Supervisor
from tests.cli.run import PYTHON
from tests.cli.terminal import terminal


class Piped:
    """The command with its output in a pipe."""

    def __init__(self, supervisor: Supervisor, *words: str) -> None:
        self._child = subprocess.Popen(
            [*PYTHON, "status", "--watch", *words], env=supervisor.env, stdout=subprocess.PIPE
        )

    def lines(self, count: int) -> list[str]:
        assert self._child.stdout is not None
        return [self._child.stdout.readline().decode().rstrip("\n") for _ in range(count)]

    def interrupt(self) -> tuple[int, str]:
        with open(os.pidfd_open(self._child.pid), "rb", buffering=0) as pidfd:
            signal.pidfd_send_signal(pidfd.fileno(), signal.SIGINT)
        rest, _ = self._child.communicate(timeout=20)
        return self._child.returncode, rest.decode()


def test_in_a_pipe_a_table_for_each_change(supervisor: Supervisor) -> None:
    watch = Piped(supervisor, "bad", "db")
    titles, _db, bad = watch.lines(3)
    assert titles.startswith("WORKER")
    assert bad.split()[:2] == ["bad/1", "stopped"]
    supervisor.run("restart", "web", "--no-wait")  # nobody's concern here
    supervisor.run("start", "bad", "--no-wait")
    between, _, _, bad = watch.lines(4)
    assert between == ""
    assert bad.split()[:2] == ["bad/1", "failed"]
    assert watch.interrupt() == (0, "")


def test_documents_are_lines(supervisor: Supervisor) -> None:
    watch = Piped(supervisor, "bad", "--json")
    (first,) = watch.lines(1)
    supervisor.run("start", "bad", "--no-wait")
    (second,) = watch.lines(1)
    phases = [json.loads(line)["workers"][0]["phase"] for line in (first, second)]
    assert phases == ["stopped", "failed"]
    assert watch.interrupt()[0] == 0


def test_in_place_on_a_terminal(supervisor: Supervisor) -> None:
    with terminal("status", "--watch", env=supervisor.env | {"NO_COLOR": "1"}) as screen:
        end = screen.wait_for("\x1b[J", screen.wait_for("off/1"))
        supervisor.run("start", "bad", "--no-wait")
        begin = screen.wait_for("\x1b[H", end)
        end = screen.wait_for("\x1b[J", begin)
        assert "failed" in screen.text[begin:end]
        assert all(line.endswith("\x1b[K\r") for line in screen.text[begin:end].split("\n")[:-1])
        screen.resize(100, 5)
        end = screen.wait_for("... and 5 more", end)
        screen.interrupt()
        assert screen.wait_end() == 0
        assert screen.text.endswith("\x1b[?7h")


def test_many_changes_are_shown_together(serve: Serve) -> None:
    supervisor = serve(services={"web": 300})
    watch = Piped(supervisor, "--json")
    watch.lines(1)
    supervisor.run("restart", "web", "--no-wait")  # some six hundred events
    rest = ""
    while '"stopping"' in (line := watch.lines(1)[0]):
        rest += line
    status, _ = watch.interrupt()
    assert status == 0
    assert rest.count("schema_version") <= 3


def test_the_end_of_the_supervisor_ends_it(supervisor: Supervisor) -> None:
    with terminal("status", "--watch", env=supervisor.env) as screen:
        screen.wait_for("off/1")
        supervisor.run("down")
        assert screen.wait_end() == 7


def test_a_terminal_that_can_nothing_gets_plain_tables(supervisor: Supervisor) -> None:
    with terminal("status", "--watch", env=supervisor.env | {"TERM": "dumb"}) as screen:
        screen.wait_for("off/1")
        assert "\x1b" not in screen.text
