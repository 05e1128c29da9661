"""A real supervisor under forced reuse, used by its commands. Runs inside a namespace; test_supervised.py calls it.

Every story returns how often a number was recycled; it raises when a stranger felt something or a death went unnoticed.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pidward.core.model import ProcessId
from tests.e2e.rig import SLEEP, Rig, is_alive, service
from tests.reuse.namespace import Process, spawn_stranger

WORKER = "w/1"
NOT_RUNNING = 3


def worker_is_dead(rounds: int) -> int:
    """A worker died, nothing follows it, its number is a stranger's: no command reaches the stranger."""
    with supervisor(restart={"policy": "never"}) as rig:
        for _ in range(rounds):
            dead = kill_worker(rig, "failed")
            with _innocent(dead.pid):
                shown = rig.status()[WORKER]
                assert shown["process"] is None
                assert shown["last_exit"]["signal"] == "SIGKILL"
                for command in commands_against(dead):
                    told = rig.cli(*command)
                    assert told.status == NOT_RUNNING, told
                assert rig.cli("stop", WORKER).status == 0
                assert rig.cli("status", WORKER).status == 0  # it is as wanted: down
            _start(rig)
    return rounds


def commands_against(dead: ProcessId) -> list[list[str]]:
    """What an operator may try: by the worker's name and by what was written down."""
    by_name = [["signal", "TERM", WORKER], ["kill", WORKER], ["kill", "--tree", WORKER]]
    return [*by_name, ["kill", str(dead)], ["signal", "TERM", str(dead)]]


def worker_is_replaced(rounds: int) -> int:
    """A worker died and the next one runs; the old number is a stranger's. Commands reach the next one only."""
    with supervisor(restart={"delay": 0, "burst": 0}) as rig:
        for _ in range(rounds):
            dead = kill_worker(rig, "ready")
            with _innocent(dead.pid), rig.hold(WORKER) as successor:
                assert successor.id.pid != dead.pid
                assert rig.cli("kill", str(dead)).status == NOT_RUNNING
                assert rig.cli("stop", WORKER).status == 0
                assert not is_alive(successor)
            _start(rig)
    return rounds


def successor_has_the_number(rounds: int) -> int:
    """The next process of the same worker gets the number of the last one: they are told apart."""
    last_pid = Path("/proc/sys/kernel/ns_last_pid")
    with supervisor(restart={"policy": "never"}) as rig:
        for _ in range(rounds):
            dead = kill_worker(rig, "failed")
            last_pid.write_text(str(dead.pid - 1))
            _start(rig)
            with rig.hold(WORKER) as successor:
                assert successor.id.pid == dead.pid
                assert successor.id.inode != dead.inode
                assert rig.cli("kill", str(dead)).status == NOT_RUNNING
                assert rig.status()[WORKER]["process"] == str(successor.id)
                assert rig.cli("signal", "TERM", str(successor.id)).status == 0
                assert rig.wait(WORKER, "failed")["data"]["exit"]["signal"] == "SIGTERM"
                assert not is_alive(successor)
            _start(rig)
    return rounds


def supervisor_crashed(rounds: int) -> int:
    """The supervisor is killed, its worker dies unseen, and the next supervisor finds a stranger under that number."""
    with supervisor(restart={"delay": 0, "burst": 0}) as rig:
        for _ in range(rounds):
            with rig.hold(WORKER) as worker:
                rig.kill()
                worker.signal(signal.SIGKILL)
                with _innocent(worker.id.pid):
                    rig.up()
                    rig.wait(WORKER, "ready")
                    assert rig.status()[WORKER]["process"] != str(worker.id)
                    assert rig.cli("kill", str(worker.id)).status == NOT_RUNNING
                    assert rig.cli("restart", WORKER).status == 0
    return rounds


@contextmanager
def supervisor(**keys: object) -> Iterator[Rig]:
    """One worker, supervised and ready."""
    rig = Rig()
    try:
        rig.configure(service("w", SLEEP, **keys))
        rig.up()
        rig.wait(WORKER, "ready")
        yield rig
    finally:
        rig.close()


@contextmanager
def _innocent(pid: int) -> Iterator[Process]:
    """A stranger with this number, which must feel nothing."""
    with spawn_stranger(pid) as stranger:
        yield stranger
        assert stranger.touched() is None


def kill_worker(rig: Rig, then: str) -> ProcessId:
    """Kill it from outside, and wait until the supervisor has seen it and done what it does."""
    with rig.hold(WORKER) as worker:
        assert worker.signal(signal.SIGKILL)
        rig.wait(WORKER, then)
        return worker.id


def _start(rig: Rig) -> None:
    assert rig.cli("start", WORKER).status == 0
    rig.wait(WORKER, "ready")
