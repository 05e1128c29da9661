"""A supervisor is killed, and the next one goes on with its workers as if nothing had happened."""

import signal
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from pidward.kernel.pidfd import Pidfd
from pidward.testing.programs import Barrier, Gate, exits, polite, sleeper
from tests.e2e.rig import Rig, ends, held, is_alive, service

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


def processes(rig: Rig) -> dict[str, str]:
    """PID:INODE of every worker that runs."""
    return {name: worker["process"] for name, worker in rig.status().items() if worker["process"]}


def crash(rig: Rig, **more: str) -> None:
    """Kill the supervisor and start the next one."""
    settle(rig)
    rig.kill()
    rig.up(**more)


def settle(rig: Rig) -> None:
    """All that happened until now is in the record."""
    eventually_recorded = rig.call("Events", since=-1)["events"][-1]["seq"]
    from tests.e2e.rig import eventually

    def is_recorded() -> bool:
        with sqlite3.connect(f"file:{rig.state / 'state.db'}?mode=ro", uri=True) as database:
            (newest,) = database.execute("SELECT coalesce(max(seq), 0) FROM event").fetchone()
        database.close()
        return bool(newest >= eventually_recorded)

    eventually(is_recorded)


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
