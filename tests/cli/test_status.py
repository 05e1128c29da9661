"""``pidward status``: the table, the document, and how little it loads."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pidward.cli.resident import resident_bytes
from pidward.cli.status import HEADER
from pidward.core.model import ExitStatus, Phase, ProcessId, Source, Wanted, WorkerName
from tests.cli.conftest import Serve, Supervisor
from tests.cli.run import PYTHON
from tests.control.fake import FakeDesk, own_process

WEB1, WEB2, DB1 = WorkerName("web", 1), WorkerName("web", 2), WorkerName("db", 1)


def all_well(desk: FakeDesk) -> None:
    """It is."""


def in_trouble(desk: FakeDesk) -> None:
    status = ExitStatus(None, 11, core_dumped=True, source=Source.WAITID)
    why = "killed by SIGSEGV; starts again in 1s"
    desk.change(WEB1, Phase.BACKING_OFF, why, process=None, last_exit=status, restarts=4)
    desk.change(DB1, Phase.STOPPED, "stopped by root", process=None, wanted=Wanted.DOWN, last_exit=ExitStatus(3, None))
    desk.workers[WEB2] = desk.workers[WEB2]._replace(last_exit=ExitStatus(None, 1))
    desk.trouble = ("the disk is full\x1b[2J",)


def test_the_table(serve: Serve) -> None:
    supervisor = serve(in_trouble, {"web": 2, "db": 1})
    ended = supervisor.run("status")
    assert (ended.status, ended.err) == (3, "")
    lines = ended.out.splitlines()
    assert lines[0].split() == " ".join(HEADER).split()
    assert lines[1].split()[:4] == ["web/1", "backing-off", "no", "-"]
    assert lines[1].split()[5] == "4"
    assert lines[1].endswith("  SIGSEGV, core  killed by SIGSEGV; starts again in 1s")
    process = own_process()
    assert lines[2].split()[-2:] == ["SIGHUP", "serving"]  # what it says of itself
    assert lines[2].split()[:4] == ["web/2", "ready", "yes", str(process)]
    assert lines[2].split()[-3].endswith("M")
    assert lines[3].split()[:4] == ["db/1", "stopped", "-", "-"]
    assert lines[3].endswith("  exit 3         stopped by root")
    assert lines[4] == "supervisor: the disk is full?[2J"
    assert len(lines) == 5
    starts = [lines[0].index(title) for title in ("PHASE", "READY", "PID:INODE")]
    assert all(line[start - 1] == " " != line[start] for line in lines[:4] for start in starts)


def test_reasons_do_not_break_the_lines_of_a_terminal(serve: Serve) -> None:
    supervisor = serve(in_trouble, {"web": 2, "db": 1})
    whole = supervisor.run("status").out.splitlines()
    width = whole[1].index("killed by") + len("killed by ")
    shown = supervisor.run_on_terminal("status", "--no-color", width=width).out.splitlines()
    assert shown[1].startswith(whole[1][: width - 1])
    assert shown[1].endswith("killed by…")
    assert max(map(len, shown[:4])) == width
    assert shown[4] == whole[4]
    assert "starts again in 1s" in supervisor.run_on_terminal("status", "--no-color", width=0).out


def test_zero_when_all_is_as_wanted(serve: Serve) -> None:
    supervisor = serve(all_well, {"web": 2, "off": 1})
    assert supervisor.run("status").status == 0
    _, *rows = supervisor.run("status", "off", "web/2").out.splitlines()
    assert [row.split()[0] for row in rows] == ["web/2", "off/1"]


def test_no_services(serve: Serve) -> None:
    def empty(desk: FakeDesk) -> None:
        desk.workers.clear()

    ended = serve(empty).run("status")
    assert (ended.status, ended.out) == (0, "no services are configured\n")


def test_services_without_workers(serve: Serve) -> None:
    def prepare(desk: FakeDesk) -> None:
        desk.empty = ("none", "nil")

    supervisor = serve(prepare, {"web": 1})
    _, web, *notes = supervisor.run("status").out.splitlines()
    assert web.startswith("web/1 ")
    assert notes == ["none: no workers (workers = 0)", "nil: no workers (workers = 0)"]
    ended = supervisor.run("status", "nil")
    assert (ended.status, ended.out) == (0, "nil: no workers (workers = 0)\n")
    assert json.loads(supervisor.run("status", "nil", "--json").out)["without_workers"] == ["nil"]
    ended = supervisor.run("start", "nil")
    assert (ended.status, ended.out, ended.err) == (0, "", "nil: no workers (workers = 0)\n")


def test_the_document(serve: Serve) -> None:
    ended = serve(in_trouble, {"web": 2, "db": 1}).run("status", "--json")
    document = json.loads(ended.out)
    assert ended.status == 3
    assert list(document) == ["schema_version", "workers", "without_workers", "supervisor"]
    assert document["schema_version"] == 1
    crashed, running, stopped = document["workers"]
    assert crashed["last_exit"] == {"code": None, "signal": "SIGSEGV", "core_dumped": True, "source": "waitid"}
    assert crashed["rss_bytes"] is None
    assert running["rss_bytes"] > 2**20
    assert (stopped["wanted"], stopped["as_wanted"]) == ("down", True)
    assert document["supervisor"]["trouble"] == ["the disk is full\x1b[2J"]


def test_colours_only_on_a_terminal_that_wants_them(serve: Serve) -> None:
    supervisor = serve(in_trouble, {"web": 2, "db": 1})
    assert "\x1b" not in supervisor.run("status").out
    shown = supervisor.run_on_terminal("status").out
    assert "\x1b[33mbacking-off\x1b[0m" in shown
    assert "\x1b[32mready      \x1b[0m" in shown
    assert "\x1b[90mstopped    \x1b[0m" in shown
    for changes in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        assert "\x1b" not in supervisor.run_on_terminal("status", env={**supervisor.env, **changes}).out
    assert "\x1b" not in supervisor.run_on_terminal("status", "--no-color").out
    assert "\x1b" not in supervisor.run_on_terminal("status", "--json").out


@pytest.mark.parametrize("words", [("status",), ("status", "web", "--no-color"), ("status", "--json"), ("__complete",)])
def test_the_lean_path_loads_nothing_heavy(supervisor: Supervisor, words: tuple[str, ...]) -> None:
    """Beside our own modules only C ones that are small; whatever bare Python loads already does not count."""
    bare = loaded([sys.executable, "-c", "import sys"], supervisor.env)
    ours = loaded([*PYTHON, *words], supervisor.env)
    extra = {name for name in ours - bare if not name.startswith("pidward")}
    assert extra <= {"_json", "_socket", "errno", "stat", "_stat", "math"}
    rooms = {name.split(".")[1] for name in ours if name.startswith("pidward.")}
    assert rooms == {"cli", "control"}


def loaded(argv: list[str], env: dict[str, str]) -> set[str]:
    flagged = [argv[0], "-X", "importtime", *argv[1:]]
    done = subprocess.run(flagged, env=env, capture_output=True, text=True, check=False)
    return {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}


def test_the_lean_path_is_cheap(serve: Serve, tmp_path: Path) -> None:
    """CPU time, not wall: the machine may be busy. The promise is far below; this catches a module that crept in."""
    supervisor = serve(services={"web": 50})
    env = {**supervisor.env, "PYTHONPYCACHEPREFIX": str(tmp_path / "cache")}
    subprocess.run([*PYTHON, "status"], env=env, stdout=subprocess.DEVNULL, check=True)
    bare = min(cpu_seconds([sys.executable, "-c", "pass"], env) for _ in range(5))
    assert min(cpu_seconds([*PYTHON, "status"], env) for _ in range(5)) - bare < 0.05


def cpu_seconds(argv: list[str], env: dict[str, str]) -> float:
    before = os.times()
    subprocess.run(argv, env=env, stdout=subprocess.DEVNULL, check=True)
    after = os.times()
    return (after.children_user + after.children_system) - (before.children_user + before.children_system)


def test_memory_is_shown_only_where_it_is_proved() -> None:
    process = own_process()
    resident = resident_bytes(str(process))
    assert resident is not None
    assert resident > 2**20
    assert resident_bytes(str(ProcessId(process.pid, process.inode + 1))) is None
    assert resident_bytes(f"{process.pid}:0") is None
    assert resident_bytes("4194304:17") is None
