"""A supervisor is killed, and the next one goes on with its workers as if nothing had happened."""

import shutil
import signal
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from pidward.kernel import abi
from pidward.kernel.tree import become_subreaper, reap_orphans
from pidward.kernel.wait import wait_reaped
from pidward.testing.programs import Barrier, Gate, exits
from tests.e2e.rig import PATIENCE, SLEEP, Rig, ends, held, is_alive, service
from tests.e2e.test_sockets import TELLS, free_port, told

_PR_SET_CHILD_SUBREAPER = 36
MASKS = ["", "cgroup2", "cgroup2,cgroup1", "native", "pidfd_info_exit", "xattr"]
MANY = 100


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    with Gate(tmp_path / "gate") as gate:
        yield gate


@pytest.fixture
def barrier(tmp_path: Path) -> Iterator[Barrier]:
    with Barrier(tmp_path / "barrier") as barrier:
        yield barrier


@pytest.fixture
def orphanage() -> Iterator[None]:
    """Who loses its parent comes to us, and stays a zombie until the test is over."""
    become_subreaper()
    try:
        yield
    finally:
        abi.call("prctl", _PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
        reap_orphans(())


def processes(rig: Rig) -> dict[str, str]:
    """PID:INODE of every worker that runs."""
    return {name: worker["process"] for name, worker in rig.status().items() if worker["process"]}


def crash(rig: Rig, **more: str) -> None:
    """Kill the supervisor and start the next one."""
    rig.settle()
    rig.kill()
    rig.up(**more)


@pytest.mark.parametrize("mask", MASKS)
def test_workers_are_adopted_untouched_on_every_rung(rig: Rig, gate: Gate, mask: str) -> None:
    rig.configure(service("web", workers=2), service("job", exits(23, gate=gate)))
    rig.up(mask=mask)
    rig.wait_all("web", 2)
    rig.wait("job/1", "ready")
    before = processes(rig)
    crash(rig, mask=mask)
    assert processes(rig) == before
    gate.open()
    exit_ = rig.wait("job/1", "starting")["data"]["exit"]
    assert exit_["code"] == 23
    with held(before["web/1"]) as process:
        assert rig.cli("restart", "web/1").status == 0
        assert not is_alive(process)
    assert rig.cli("stop", "web/2").status == 0
    assert rig.status()["web/2"]["phase"] == "stopped"


def test_a_hundred(rig: Rig) -> None:
    rig.configure(service("web", workers=MANY))
    rig.up()
    rig.wait_all("web", MANY)
    before = processes(rig)
    assert len(before) == MANY
    crash(rig)
    assert processes(rig) == before
    rig.wait_said(f"{MANY} workers of the supervisor before this one adopted")
    for process in rig.members(MANY):
        process.close()
    with held(before["web/7"]) as process:
        process.signal(signal.SIGKILL)
        assert rig.wait("web/7", "starting")["data"]["exit"]["signal"] == "SIGKILL"


def test_an_end_that_nobody_watched_is_told_with_its_true_status(orphanage: None, rig: Rig, gate: Gate) -> None:
    """The init process has not reaped it yet; as if the supervisor had been there, ``restart`` decides what follows."""
    rig.configure(
        service("once", exits(23, gate=gate), restart="never"), service("web", exits(23, gate=gate), restart="always")
    )
    rig.up()
    mains = [rig.hold_when_ready(name) for name in ("once/1", "web/1")]
    rig.settle()
    rig.kill()
    gate.open(2)
    for main in mains:
        with main:
            assert ends(main)
    rig.up()
    rig.wait("web/1", "ready")
    found = rig.status()
    assert (found["once/1"]["phase"], found["web/1"]["restarts"]) == ("failed", 1)
    for worker in found.values():
        assert (worker["last_exit"]["code"], worker["last_exit"]["source"]) == (23, "proc_stat")
    rig.wait_said("once/1: ")


def test_an_end_that_nobody_can_tell_of_is_unknown_and_not_invented(rig: Rig) -> None:
    rig.configure(service("web"))
    rig.up()
    rig.settle()
    with rig.hold_when_ready("web/1") as main:
        rig.settle()
        rig.kill()
        main.signal(signal.SIGKILL)
        wait_reaped(main, PATIENCE)
        rig.up()
        rig.wait("web/1", "ready")
        status = rig.status()["web/1"]["last_exit"]
    assert (status["code"], status["signal"], status["source"]) == (None, None, "unknown")


@pytest.mark.parametrize("mask", ["", "cgroup2,cgroup1"])
def test_one_that_was_born_after_the_last_record_is_found_all_the_same(rig: Rig, mask: str) -> None:
    """The store writes a tenth of a second later: until then the kernel alone knows."""
    rig.configure(service("web", workers=3))
    rig.up(mask=mask)
    rig.wait_all("web", 3)
    before = processes(rig)
    rig.kill()
    with closing(sqlite3.connect(rig.state / "state.db")) as database:
        database.execute("DELETE FROM worker WHERE name = 'web/1'" if not mask else "SELECT 1")
        database.execute("UPDATE worker SET phase = 'starting' WHERE name = 'web/2'")
        database.commit()
    rig.up(mask=mask)
    assert processes(rig) == before
    assert {worker["phase"] for worker in rig.status().values()} == {"ready"}


def test_without_the_state_directory_the_kernel_remembers(rig: Rig) -> None:
    rig.configure(service("web", workers=3))
    rig.up()
    rig.wait_all("web", 3)
    before = processes(rig)
    rig.kill()
    rig.await_pump()
    shutil.rmtree(rig.state)
    rig.up()
    assert processes(rig) == before


def test_what_is_configured_otherwise_by_now_is_replaced_and_the_rest_is_not(rig: Rig) -> None:
    slow = [*SLEEP[:1], "1d"]
    rig.configure(service("web"), service("db"), service("old", workers=2), service("roll", workers=2))
    rig.up()
    rig.wait("roll/2", "ready")
    rig.settle()
    before = processes(rig)
    rig.kill()
    rig.configure(service("web"), service("db", slow), service("old"), service("roll", slow, workers=2, rolling=1))
    rig.up()
    rig.wait("roll/2", "ready", "program runs")
    rig.wait("db/1", "ready", "program runs")
    after = processes(rig)
    assert {name for name in after if after[name] == before[name]} == {"web/1", "old/1"}
    assert "its configuration was changed while pidward was away" in rig.cli("events").out
    assert set(after) == {"web/1", "db/1", "old/1", "roll/1", "roll/2"}


def test_what_was_stopped_is_not_kept(rig: Rig) -> None:
    """The wish was written, its obedience was not."""
    rig.configure(service("web", workers=2))
    rig.up()
    rig.wait_all("web", 2)
    rig.settle()
    before = processes(rig)
    rig.kill()
    with closing(sqlite3.connect(rig.state / "state.db")) as database:
        database.execute("INSERT INTO wish VALUES ('web/2', 'down')")
        database.commit()
    rig.up()
    rig.wait("web/2", "stopped")
    assert processes(rig) == {"web/1": before["web/1"]}


def test_after_a_reboot_nobody_is_taken_for_alive(rig: Rig) -> None:
    """A record of another boot says nothing, also when a process fits it to the inode."""
    rig.configure(service("web"))
    rig.up(mask="cgroup2,cgroup1")
    rig.wait("web/1", "ready")
    rig.settle()
    before = processes(rig)["web/1"]
    rig.kill()
    with closing(sqlite3.connect(rig.state / "state.db")) as database:
        database.execute("UPDATE worker SET boot_id = 'another'")
        database.commit()
    with held(before) as stranger:
        rig.up(mask="cgroup2,cgroup1")
        rig.wait("web/1", "ready")
        assert processes(rig)["web/1"] != before
        assert is_alive(stranger), "and it is not touched"
        stranger.signal(signal.SIGKILL)


def test_counters_and_the_time_go_on(rig: Rig) -> None:
    rig.configure(service("web", restart={"delay": "1ms", "max_delay": "1ms"}))
    rig.up()
    for _ in range(3):
        with rig.hold_when_ready("web/1") as main:
            main.signal(signal.SIGKILL)
    rig.wait("web/1", "ready")
    before = rig.status()["web/1"]
    crash(rig)
    after = rig.status()["web/1"]
    same = ("process", "restarts", "phase")
    assert [after[key] for key in same] == [before[key] for key in same]
    assert after["in_phase"] > before["in_phase"]
    assert after["uptime"] > before["uptime"]


def test_lines_are_neither_lost_nor_doubled(rig: Rig, barrier: Barrier) -> None:
    script = (
        "import os, sys, time\n"
        "def report():\n    with open(sys.argv[1], 'w') as f: f.write(f'written {os.getpid()}\\n')\n"
        "for i in range(3000):\n"
        "    os.write(1, b'%d\\n' % i)\n"
        "    if i in (300, 2999): report()\n"
        "    time.sleep(0.0003)\n"
        "time.sleep(1e6)\n"
    )
    rig.configure(service("web", [sys.executable, "-c", script, barrier.path], logs={"mode": "file"}))
    rig.up()
    barrier.wait(1, "written")
    rig.kill()
    rig.up()
    barrier.wait(1, "written")
    rig.signal(signal.SIGTERM)
    rig.wait_end()
    (log,) = rig.state.glob("logs/web-1.out.log")
    lines = [line.rsplit(" ", 1)[-1] for line in log.read_text().splitlines()]
    assert lines == [str(i) for i in range(3000)]


def test_what_it_says_is_heard_again(rig: Rig, gate: Gate) -> None:
    script = (
        "import os, socket, sys\n"
        "def say(text):\n"
        "    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.sendto(text, os.environ['NOTIFY_SOCKET'])\n"
        "say(b'READY=1')\n"
        "open(sys.argv[1]).readline()\n"
        "say(b'STATUS=I am still here')\n"
        "say(b'WATCHDOG=trigger')\n"
        "while True: open(sys.argv[1]).readline()\n"
    )
    rig.configure(service("web", [sys.executable, "-c", script, gate.path], ready={"notify": True}, watchdog="1h"))
    rig.up()
    rig.wait("web/1", "ready")
    before = processes(rig)
    crash(rig)
    found = rig.status()["web/1"]
    assert (found["process"], found["phase"]) == (before["web/1"], "ready")
    gate.open()
    rig.wait("web/1", "stopping", "WATCHDOG=trigger")


def test_sockets_are_taken_back_and_nobody_is_refused(rig: Rig) -> None:
    port = free_port()
    path = f"{rig.base}/web.sock"
    rig.configure(
        service("web", [sys.executable, "-c", TELLS], workers=2, sockets=[f"tcp://127.0.0.1:{port}", f"unix:{path}"])
    )
    rig.up()
    rig.wait_all("web", 2)
    assert "AF_UNIX" in told(port)
    before = processes(rig)
    crash(rig)
    assert processes(rig) == before
    assert "AF_INET" in told(port)
    rig.wait_said(f"tcp://127.0.0.1:{port}: taken back from")
    rig.wait_said(f"unix://{path}: taken back from")
    assert rig.cli("restart", "web").status == 0
    assert processes(rig).keys() == before.keys()
    assert not set(processes(rig).values()) & set(before.values())
    assert "AF_INET" in told(port)
