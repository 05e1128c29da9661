"""``pidward up`` and its life, for real: the whole program, real workers, the command line as its only face."""

import json
import os
import select
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pidward.core.model import ProcessId
from pidward.kernel.pidfd import Pidfd, State
from tests.cli.run import PYTHON, Ended, environment, pidward

SERVICES = """
[service.web]
command = ["/bin/sleep", "1000"]
workers = 2
[service.db]
command = ["/bin/sleep", "1000"]
"""


class Home:
    """A directory with a configuration, and the command line in it."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.file = place / "pidward.toml"
        self.write(SERVICES)
        self.env = environment(PIDWARD_INSTANCE=f"test-{os.getpid()}-{place.name}"[:60])

    def write(self, services: str) -> None:
        where = f'[pidward]\nruntime_dir = "{self.place}/run"\nstate_dir = "{self.place}/state"\n'
        self.file.write_text(where + services)

    def run(self, *words: str) -> Ended:
        return pidward(*words, env=self.env, cwd=self.place)

    def workers(self) -> dict[str, str | None]:
        """The process of each worker."""
        document = json.loads(self.run("status", "--json").out)
        return {worker["name"]: worker["process"] for worker in document["workers"]}


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path)
    yield home
    home.run("down", "--now")


def opened(process: str | None) -> Pidfd:
    assert process is not None
    identity = ProcessId.parse(process)
    return Pidfd.open(identity.pid, identity.inode)


def test_the_main_path(home: Home) -> None:
    ended = home.run("up", "--detach")
    assert (ended.status, ended.err) == (0, "")
    assert ended.out.endswith(f"runs in the background; socket {home.place}/run/control.sock\n")
    assert home.run("status").status == 0

    first = home.workers()
    assert home.run("restart", "web/1").status == 0
    second = home.workers()
    assert {name for name in first if first[name] != second[name]} == {"web/1"}

    with opened(second["web/2"]) as victim:
        assert home.run("kill", "web/2").status == 0
        assert home.run("start", "web/2").status == 0
        assert victim.state() is not State.RUNNING
    assert home.workers()["web/2"] not in (None, second["web/2"])

    assert home.run("stop", "db").status == 0
    assert home.run("status").status == 0  # down as wanted
    assert home.run("signal", "TERM", "db").status == 3

    home.write(SERVICES.replace("workers = 2", "workers = 3"))
    ended = home.run("reload")
    assert ended.status == 0
    assert "web" in ended.out
    assert home.workers()["web/3"] is not None

    home.file.write_text("[service.web]\ncomand = 1\n")
    ended = home.run("reload", "--socket", f"{home.place}/run/control.sock")
    assert ended.status == 2
    assert "did you mean 'command'?" in ended.err
    home.write(SERVICES)

    with opened(home.workers()["web/1"]) as worker:
        ended = home.run("down")
        assert (ended.status, ended.err) == (0, "")
        assert worker.state() is not State.RUNNING
    assert home.run("status").status == 7

    assert home.run("up", "--detach").status == 0
    assert home.workers()["db/1"] is None  # what an operator stopped stays stopped
    assert "stopped by" in home.run("events", "db").out


def test_a_service_without_workers_is_told_of(home: Home) -> None:
    home.write('[service.web]\ncommand = ["/bin/true"]\nworkers = 0\n')
    assert home.run("up", "--detach").status == 0
    for words in (("status",), ("status", "web")):
        assert home.run(*words).out == "web: no workers (workers = 0)\n"
    assert home.run("start", "web").err == "web: no workers (workers = 0)\n"
    assert json.loads(home.run("status", "--json").out)["supervisor"]["state_dir"] == f"{home.place}/state"


def test_a_scale_stays_and_is_shown(home: Home) -> None:
    assert home.run("up", "--detach").status == 0
    assert home.run("scale", "web=1").out == "web/2  removed  -  no longer wanted: scaled to 1\n"
    assert home.run("plan").out == "nothing would change\nweb: stays scaled to 1; the file says 2\n"
    assert home.run("reload").out == "nothing changed\n"
    assert home.run("scale", "web=0", "db=0").status == 0
    assert home.run("status").out.splitlines() == [f"{name}: no workers (workers = 0)" for name in ("web", "db")]

    home.file.write_text(home.file.read_text().replace("[pidward]", "[pidward]\nhistory = '1d'"))
    notes = home.run("plan").out.splitlines()
    assert notes[:2] == ["nothing would change", "[pidward]: takes effect when pidward is started the next time"]
    assert home.run("reload").out.strip() == notes[1]


def test_a_reload_waits_for_its_command(home: Home) -> None:
    home.write(f"""
[service.good]
command = ["/bin/sleep", "1000"]
reload.command = ["sh", "-c", "sleep 0.2; echo done > {home.place}/told"]
[service.bad]
command = ["/bin/sleep", "1000"]
reload.command = ["sh", "-c", "echo no such table; exit 3"]
""")
    assert home.run("up", "--detach").status == 0
    assert home.run("wait", "good", "bad").status == 0
    ended = home.run("reload", "good", "bad")
    assert (home.place / "told").read_text() == "done\n"
    assert ended.status == 1
    assert [line.split()[0] for line in ended.out.splitlines()] == ["good/1"]
    assert "bad/1" in ended.err
    assert ended.err.endswith("could not be told to reload: exited with code 3: no such table\n")


@pytest.mark.parametrize("how", [("up",), ("up", "--detach")])
def test_a_state_directory_that_cannot_be_made(home: Home, how: tuple[str, ...]) -> None:
    (home.place / "file").touch()
    home.file.write_text(home.file.read_text().replace("/state", "/file/state"))
    ended = home.run(*how)
    assert ended.status == 1
    assert f"{home.place}/file" in ended.err
    assert "state_dir in [pidward], or XDG" in ended.err


def test_a_second_one_is_refused(home: Home) -> None:
    assert home.run("up", "--detach").status == 0
    ended = home.run("up", "--detach")
    assert (ended.status, ended.out) == (1, "")
    assert f"runs already, with {home.file}, and answers at" in ended.err
    ended = home.run("up")
    assert (ended.status, ended.out) == (1, "")
    assert "running already" in ended.err
    assert f"speak to it with `pidward -c {home.file} status`" in ended.err
    assert ended.err.endswith(f"/run/control.sock runs {home.file}\n")
    assert home.run("status").status == 0


def test_the_record_can_be_read_when_nothing_runs(home: Home) -> None:
    ended = home.run("events")
    assert (ended.status, ended.out) == (7, "")
    assert "no such socket" in ended.err
    assert "/state/state.db: No such file or directory" in ended.err

    assert home.run("up", "--detach").status == 0
    live = home.run("events", "-n", "1000").out.splitlines()
    with opened(json.loads(home.run("status", "--json").out)["supervisor"]["process"]) as supervisor:
        assert home.run("restart", "db").status == 0
        assert home.run("down").status == 0
        select.select([supervisor], [], [], 30)  # it writes the last events when the socket is closed already
    before = sorted(file.name for file in (home.place / "state").iterdir())
    ended = home.run("events", "-n", "1000")
    assert ended.status == 0
    assert ended.out.splitlines()[: len(live)] == live
    assert "pidward ended" in ended.out.splitlines()[-1]
    last = ended.out.splitlines()[-1].split()
    assert ended.err.endswith(f"this is the record in {home.place}/state: it ends at {last[1]}\n")
    assert "/run/control.sock: no such socket" in ended.err
    assert sorted(file.name for file in (home.place / "state").iterdir()) == before
    assert json.loads(home.run("events", "-n", "1", "--json").out)["seq"] == int(last[0])
    assert home.run("events", "-n", "0").out == ""
    assert len(home.run("events", "--since", str(int(last[0]) - 3)).out.splitlines()) == 3
    assert all(" db/1 " in line for line in home.run("events", "db").out.splitlines())
    assert home.run("events", "-f").status == 7


def test_the_record_of_a_killed_supervisor_can_be_read(home: Home) -> None:
    assert home.run("up", "--detach", "db").status == 0
    assert home.run("stop", "db").status == 0  # which is on the disk before it is done
    with opened(json.loads(home.run("status", "--json").out)["supervisor"]["process"]) as supervisor:
        supervisor.signal(signal.SIGKILL)
        select.select([supervisor], [], [], 30)
    ended = home.run("events")
    assert ended.status == 0
    assert "db/1 ready" in ended.out
    assert home.run("up", "--detach").status == 0


def test_in_the_foreground_until_interrupted(home: Home) -> None:
    child = subprocess.Popen([*PYTHON, "up", "db"], env=home.env, cwd=home.place, stderr=subprocess.PIPE, text=True)
    assert child.stderr is not None
    with child.stderr, Pidfd.open(child.pid) as supervisor:
        for line in child.stderr:
            if "db/1" in line and "ready" in line:
                break
        assert home.workers()["web/1"] is None  # only what was named was started
        with opened(home.workers()["db/1"]) as worker:
            supervisor.signal(signal.SIGINT)
            told = child.stderr.read()
            assert child.wait(30) == 0
            assert worker.state() is not State.RUNNING
    assert "SIGINT" in told
    assert "Traceback" not in told
    assert home.run("status").status == 7


def test_announcements_as_json_lines(home: Home) -> None:
    words = [*PYTHON, "up", "--json", "db"]
    child = subprocess.Popen(words, env=home.env, cwd=home.place, stderr=subprocess.PIPE, text=True)
    assert child.stderr is not None
    with child.stderr, Pidfd.open(child.pid) as supervisor:
        lines = [child.stderr.readline()]
        while "db/1 ready" not in lines[-1]:
            lines.append(child.stderr.readline())
        supervisor.signal(signal.SIGTERM)
        lines += child.stderr.read().splitlines()
        assert child.wait(30) == 0
    said = [json.loads(line) for line in lines]
    assert all(list(one) == ["schema_version", "wall", "kind", "text"] and one["kind"] == "event" for one in said)
    assert any(one["text"].startswith("db/1 stopped") for one in said)


@pytest.mark.parametrize("how", [("up",), ("up", "--detach")])
def test_what_cannot_start_says_why(home: Home, how: tuple[str, ...]) -> None:
    ended = home.run(*how, "nothing")
    assert ended.status == 2
    assert "no service is named 'nothing'" in ended.err
    assert "it has web, db" in ended.err

    ended = home.run(*how, "--socket", "/x")
    assert ended.status == 2

    (home.place / "run" / "theirs").mkdir(parents=True)  # an empty one would be made private
    (home.place / "run").chmod(0o777)
    ended = home.run(*how)
    assert (ended.status, ended.out) == (1, "")
    assert f"{home.place}/run" in ended.err
    assert "writable by nobody else" in ended.err

    home.file.write_text("[service.web]\n")
    ended = home.run(*how)
    assert ended.status == 2
    assert "a service needs a command" in ended.err
    home.file.unlink()
    assert home.run(*how, "-c", "pidward.toml").status == 2


def test_a_dead_supervisors_socket_is_no_obstacle(home: Home) -> None:
    assert home.run("up", "--detach", "--json").status == 0
    about = json.loads(home.run("status", "--json").out)["supervisor"]
    with opened(about["process"]) as supervisor:
        supervisor.signal(signal.SIGKILL)
    ended = home.run("status")
    assert ended.status == 7
    assert "nobody listens there any more" in ended.err or "has ended" in ended.err
    assert home.run("up", "--detach").status == 0
    assert home.run("status").status == 0
