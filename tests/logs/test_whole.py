"""The modes of logs under a whole supervisor."""

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from pidward.core.model import WorkerName
from pidward.core.spec import LogPolicy
from pidward.logs.reader import lines_since, sources
from tests.e2e.conftest import new_rig
from tests.e2e.rig import Rig, ends, eventually, is_alive, service

COUNTING = ["/bin/sh", "-c", 'i=0; while read -r _; do i=$((i+1)); echo "line $i"; echo "error $i" >&2; done <"$TICKS"']
"""Says something at each line that it is told."""


@pytest.fixture
def rig() -> Iterator[Rig]:
    with new_rig() as made:
        yield made


class Counter:
    """A worker that says something when it is told to."""

    def __init__(self, rig: Rig, **logs: object) -> None:
        self.rig, self.path = rig, rig.base / "ticks"
        os.mkfifo(self.path)
        self._pipe = self.path.open("r+b", buffering=0)
        self.configure(**logs)

    def configure(self, **logs: object) -> None:
        self.rig.configure(service("count", COUNTING, env={"TICKS": str(self.path)}, logs=logs), service("web"))

    def say(self) -> None:
        self._pipe.write(b"\n")

    def close(self) -> None:
        self._pipe.close()

    def logged(self, stream: int = 0) -> list[str]:
        of = sources(str(self.rig.state), WorkerName("count", 1), LogPolicy())
        return [line.data.decode() for line in lines_since(of[stream : stream + 1])]


@pytest.mark.parametrize("mode", ["file", "stream"])
def test_the_death_of_the_pump_is_an_event_and_costs_no_line_and_no_worker(mode: str, rig: Rig) -> None:
    counter = Counter(rig, mode=mode)
    rig.up()
    with rig.hold_when_ready("count/1") as worker:
        for i in range(5):
            counter.say()
            eventually(lambda i=i: counter.logged()[i:] == [f"line {i + 1}"])  # type: ignore[misc]
            with rig.pump() as pump:
                assert pump.signal(signal.SIGKILL)
                assert ends(pump)
            event = rig.events.find("", lambda e: "log pump ended" in e["text"], "the end of the pump")
            assert (event["kind"], "signal 9" in event["text"]) == ("logs", True)
        eventually(lambda: counter.logged(1) == [f"error {i + 1}" for i in range(5)])
        assert is_alive(worker)
    assert rig.status()["count/1"]["restarts"] == 0
    assert (rig.state / "spool" / "count-1.out").exists() == (mode == "file")
    counter.close()


def test_inherited_output_is_pidwards_own(rig: Rig) -> None:
    counter = Counter(rig, mode="inherit")
    rig.up()
    rig.wait("count/1", "ready")
    counter.say()
    assert rig.wait_said("error 1") == "error 1"
    told = rig.cli("logs", "count")
    assert (told.status, told.out) == (0, "")
    assert told.err == "pidward: count/1: what it writes goes where pidward itself writes: its logs have mode inherit\n"
    assert not (rig.state / "spool").exists(), "there is no pump"
    counter.close()


def test_a_socket_is_inherited_too_as_under_systemd(rig: Rig) -> None:
    command = ["sh", "-c", "echo hello >&2; exec sleep infinity"]
    rig.configure(service("web", command, logs={"mode": "inherit"}))
    ours, theirs = socket.socketpair()
    with ours, theirs:
        rig.up(stderr=theirs.fileno())
        rig.wait("web/1", "ready")
        theirs.close()
        said = b""
        while b"hello\n" not in said:
            said += ours.recv(4096)


def test_another_mode_begins_with_the_next_start_and_nothing_is_lost(rig: Rig) -> None:
    counter = Counter(rig, mode="file")
    rig.up()
    rig.wait("count/1", "ready")
    counter.say()
    said = ["line 1"]
    for mode in ("stream", "file", "stream"):
        counter.configure(mode=mode)
        assert rig.cli("reload").status == 0
        counter.say()
        said.append("line 2")
        eventually(lambda: counter.logged() == said)
        assert rig.cli("restart", "count").status == 0
        counter.say()
        said.append("line 1")
        eventually(lambda: counter.logged() == said)
    counter.close()


def test_journald_gets_the_lines_of_the_whole(rig: Rig) -> None:
    counter = Counter(rig, mode="stream", format="json", also=["journal"], compress=True)
    path = rig.base / "journal"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
        journal.bind(str(path))
        journal.settimeout(20)
        rig.up(PIDWARD_JOURNAL_SOCKET=str(path))
        rig.wait("count/1", "ready")
        counter.say()
        entries = {journal.recv(4096).rpartition(b"MESSAGE=")[2] for _ in range(2)}
    assert entries == {b"line 1\n", b"error 1\n"}
    eventually(lambda: counter.logged() == ["line 1"])
    assert Path(rig.state, "logs", "count-1.out.log").read_bytes().startswith(b'{"time":"')
    counter.close()


def test_a_removed_worker_takes_its_pipes_along(rig: Rig) -> None:
    counter = Counter(rig, mode="stream")
    rig.up()
    rig.wait("count/1", "ready")
    counter.say()
    eventually(lambda: counter.logged() == ["line 1"])
    assert {path.name for path in (rig.state / "spool").glob("*.pipe")} == {"count-1.out.pipe", "count-1.err.pipe"}
    rig.configure(service("web"))
    assert rig.cli("reload").status == 0
    eventually(lambda: not list((rig.state / "spool").glob("*.pipe")))
    assert "line 1" in rig.cli("logs", "count").out
    counter.close()


def test_a_stream_worker_outlives_a_supervisor_that_is_killed(rig: Rig) -> None:
    """It writes on, into a pipe that it holds itself, and the next supervisor has it again."""
    counter = Counter(rig, mode="stream")
    rig.configure(
        service("count", ["/bin/sh", "-c", f'trap "" TERM; {COUNTING[2]}; echo done >{rig.base}/done; sleep 1000'],
                env={"TICKS": str(counter.path)}, logs={"mode": "stream"}, stop={"grace": "0.1s"}),
    )  # fmt: skip
    rig.up()
    with rig.hold_when_ready("count/1") as worker:
        with rig.pump() as pump:
            rig.kill()
            assert ends(pump)
        counter.say()
        counter.say()
        (rig.base / "ticks").unlink()
        counter.close()
        eventually((rig.base / "done").exists)
        assert is_alive(worker)
        rig.up()
        assert is_alive(worker)
        assert rig.status()["count/1"]["process"] == str(worker.id)
        assert rig.cli("stop", "count").status == 0
        assert ends(worker)
