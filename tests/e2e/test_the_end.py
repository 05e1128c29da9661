"""How a supervisor ends, what it takes with it, and what comes after one that was killed."""

import os
import signal
import sqlite3
import time
from pathlib import Path

import pytest

from pidward.runtime.main import DRAIN_TIME
from pidward.testing.programs import Barrier, daemons, polite, stubborn
from tests.e2e.rig import SLEEP, Rig, ends, groups_of, held, is_alive, service
from tests.isolation import end, fork, sleep_forever

OK, FAILED, USAGE = 0, 1, 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_services_stop_in_reverse_order(rig: Rig, tmp_path: Path, number: int) -> None:
    with Barrier(tmp_path / "b") as barrier:
        rig.configure(*(service(name, polite(barrier), workers=2) for name in ("a", "b", "c")))
        rig.up()
        pids = {report.pid for report in barrier.wait(6, "started")}
        workers = rig.status()
        rig.signal(number)
        stopped = [report.pid for report in barrier.wait(6, "stopping")]
        assert rig.wait_end().code == OK
    assert set(stopped) == pids
    service_of = {int(worker["process"].split(":")[0]): worker["service"] for worker in workers.values()}
    assert [service_of[pid] for pid in stopped] == ["c", "c", "b", "b", "a", "a"]
    assert not list(groups_of(rig.instance)), "its cgroups are removed"
    assert not Path(rig.socket).exists()


def test_a_second_interrupt_ends_at_once(rig: Rig, tmp_path: Path) -> None:
    with Barrier(tmp_path / "b") as barrier:
        rig.configure(*(service(name, stubborn(barrier), stop={"grace": "1h"}) for name in ("a", "b")))
        rig.up()
        barrier.wait(2, "started")
        rig.signal(signal.SIGINT)
        rig.wait("b/1", "stopping")
        assert rig.status()["a/1"]["phase"] == "ready"
        rig.signal(signal.SIGINT)
        assert rig.wait_end().code == OK


def test_a_second_sigterm_does_not_hurry(rig: Rig, tmp_path: Path) -> None:
    with Barrier(tmp_path / "b") as barrier:
        rig.configure(service("a", stubborn(barrier), stop={"grace": "1h"}))
        rig.up()
        barrier.wait(1, "started")
        for _ in range(2):
            rig.signal(signal.SIGTERM)
            rig.wait_said("SIGTERM", len(rig.said) - 1)
        assert rig.status()["a/1"]["phase"] == "stopping"


def test_down_waits_for_the_end(rig: Rig) -> None:
    rig.configure(service("web", workers=2, logs={"mode": "file"}))
    rig.up()
    workers = [held(event["data"]["process"]) for event in rig.wait_all("web", 2).values()]
    supervisor = rig.process.id
    begun = time.monotonic()
    told = rig.cli("down")
    assert told.status == OK
    assert time.monotonic() - begun < DRAIN_TIME, "it waits for the pump only as long as that has work"
    assert str(supervisor) in told.out
    for worker in workers:
        with worker:
            assert not is_alive(worker)
    assert rig.wait_end().code == OK


def test_down_now_has_no_patience(rig: Rig, tmp_path: Path) -> None:
    with Barrier(tmp_path / "b") as barrier:
        rig.configure(service("a", stubborn(barrier), stop={"grace": "1h"}))
        rig.up()
        barrier.wait(1, "started")
        assert rig.cli("down", "--timeout", "10ms").status == FAILED
        assert rig.cli("down", "--now").status == OK
        assert rig.wait_end().code == OK


def test_nothing_is_started_while_everything_ends(rig: Rig, tmp_path: Path) -> None:
    with Barrier(tmp_path / "b") as barrier:
        rig.configure(service("a"), service("b", stubborn(barrier), stop={"grace": "1h"}))
        rig.up()
        barrier.wait(1, "started")
        rig.signal(signal.SIGTERM)
        rig.wait("b/1", "stopping")
        with rig.hold("a/1") as a:
            a.signal(signal.SIGKILL)
            ends(a)
        rig.wait("a/1", "starting")  # it is not its turn to stop, and b may need it
        rig.cli("start", "a", "--no-wait")
        rig.signal(signal.SIGINT)
        rig.wait_said("SIGINT")
        rig.signal(signal.SIGINT)
        assert rig.wait_end().code == OK


# --- stop-all


def test_a_worker_that_gives_up_can_take_all_down(rig: Rig) -> None:
    restart = {"policy": "on-failure", "delay": "1ms", "burst": 2, "then": "stop-all"}
    rig.configure(service("web"), service("vital", ["/bin/sh", "-c", "exit 5"], restart=restart))
    rig.begin()
    assert rig.wait_end().code == FAILED
    assert "everything stops with it" in rig.text
    assert "web/1 stopped" in rig.text
    assert rig.text.count("vital/1 ready") == 3


def test_giving_up_in_the_first_moment_is_no_hang(rig: Rig) -> None:
    """The end may come before the loop has turned once."""
    restart = {"delay": "0s", "burst": 1, "then": "stop-all"}
    rig.configure(service("vital", ["/nonexistent/program"], restart=restart))
    rig.begin()
    assert rig.wait_end().code == FAILED


def test_then_fail_leaves_the_others_alone(rig: Rig) -> None:
    restart = {"delay": "1ms", "max_delay": "1ms", "burst": 2, "then": "fail"}
    rig.configure(service("web"), service("bad", ["/bin/false"], restart=restart))
    rig.up()
    rig.wait("bad/1", "failed", "2 restarts within 1min: gave up")
    assert rig.status()["web/1"]["phase"] == "ready"


# --- one supervisor for one instance


def test_a_second_supervisor_is_refused(rig: Rig) -> None:
    rig.configure(service("web"))
    rig.up()
    process = rig.wait("web/1", "ready")["data"]["process"]
    told = rig.cli("up")
    assert told.status == FAILED
    assert "is running already" in told.err
    told = rig.cli("up", "--detach")
    assert told.status == FAILED
    assert str(rig.process.id) in told.err
    assert rig.status()["web/1"]["process"] == process


def test_detached_it_goes_on_by_itself(rig: Rig) -> None:
    rig.configure(service("web"))
    told = rig.cli("up", "--detach", "--json")
    assert told.status == OK
    try:
        assert rig.status()["web/1"]["phase"] in ("starting", "ready")
        with held(told.json["supervisor"]) as supervisor:
            assert is_alive(supervisor)
            rig.wait("web/1", "ready")
            with rig.hold("web/1") as worker:
                assert rig.cli("down").status == OK
                assert ends(supervisor)
                os.waitid(os.P_PIDFD, supervisor.fileno(), os.WEXITED)  # the command ran here: it is our child
                assert not is_alive(worker)
    finally:
        rig.cli("down", "--now")


def test_detached_it_tells_why_it_could_not_start(rig: Rig) -> None:
    rig.configure(service("web", bad=1))
    told = rig.cli("up", "--detach")
    assert told.status == USAGE
    assert "unknown key" in told.err


# --- a supervisor that was killed


@pytest.mark.parametrize("mask", ["", "cgroup_kill", "cgroup2", "cgroup2,cgroup1", "native", "cgroup2,cgroup1,native"])
def test_nothing_runs_twice_after_the_supervisor_was_killed(rig: Rig, tmp_path: Path, mask: str) -> None:
    with Barrier(tmp_path / "b") as barrier:
        rig.configure(service("web", workers=2), service("forks", daemons(3, barrier)))
        rig.up(mask=mask)
        rig.wait_all("web", 2)
        barrier.wait(4)
        rig.call("Restart", targets=["web/1"], wait=True)  # a worker whose first process is history
        rig.settle()
        left = rig.members(6)
        rig.kill()
        assert all(map(is_alive, left)), "they do not depend on it"
        rig.configure(service("web", workers=2))  # and the other one is wanted no more
        rig.up(mask=mask)
        kept = [process.id for process in rig.members(2)]
        ended = [process.id for process in left if not is_alive(process)]
        assert sorted(kept + ended) == sorted(process.id for process in left), "nobody is new"
        for process in left:
            process.close()
        told = rig.cli("events").out
        assert "of an earlier supervisor: killed" in told or "an earlier supervisor left there: killed" in told


def test_a_worker_whose_tree_was_killed_can_start_under_the_next_supervisor(rig: Rig, tmp_path: Path) -> None:
    """A cgroup that was killed kills who is born into it; the next supervisor does not know that it was."""
    with Barrier(tmp_path / "b") as barrier:
        rig.configure(service("web", stubborn(barrier), stop={"grace": "0s"}))
        rig.up()
        barrier.wait(1, "started")
        assert rig.cli("stop", "web").status == OK
        rig.settle()
        rig.kill()
        rig.up()
        assert rig.cli("start", "web").status == OK
        barrier.wait(1, "started")
        assert rig.status()["web/1"]["last_exit"] is None


def test_a_number_that_belongs_to_somebody_else_now_is_left_alone(rig: Rig) -> None:
    """The store names a process by PID:INODE; a living process of that number and another inode is no worker."""
    rig.configure(service("web"))
    rig.up()
    rig.wait("web/1", "ready")
    bystander = fork(sleep_forever)
    try:
        with rig.hold("web/1") as worker:
            rig.call("Stop", targets=["web"], wait=True)
            assert not is_alive(worker)
        rig.kill()
        with sqlite3.connect(rig.state / "state.db") as database:
            fake = f"{bystander.id.pid}:{bystander.id.inode - 1}"
            database.execute("UPDATE worker SET phase = 'ready', process = ?", (fake,))
        database.close()
        rig.up()
        rig.cli("start", "web")
        assert is_alive(bystander)
    finally:
        end(bystander)


def test_an_orphaned_runtime_directory_is_taken_over(rig: Rig) -> None:
    rig.configure(service("web", SLEEP))
    rig.up()
    rig.wait("web/1", "ready")
    rig.kill()
    assert Path(rig.socket).exists()
    rig.up()
    rig.wait("web/1", "ready")
    assert rig.cli("status").status == OK
