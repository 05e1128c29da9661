"""The supervisor's side of the pump, in the runtime's own loop."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pidward.core.model import WorkerName
from pidward.core.spec import LogMode, LogPolicy
from pidward.core.units import Bytes
from pidward.kernel.pidfd import Pidfd
from pidward.logs import client as client_module
from pidward.logs.client import Pump
from pidward.runtime.loop import Loop
from tests.isolation import end

WEB, DB = WorkerName("web", 1), WorkerName("db", 2)
PATIENCE = 20.0


class House:
    """A loop with a pump in it."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.loop = Loop()
        self.said: list[str | None] = []
        self.notes: list[tuple[WorkerName | None, str, dict[str, object]]] = []
        self.pump = Pump(self.loop, str(state), self.said.append)
        self.pump.note = self._note

    def _note(self, kind: str, worker: WorkerName | None, text: str, **data: object) -> None:
        assert kind == "logs"
        self.notes.append((worker, text, data))

    def until(self, true: Callable[[], bool]) -> None:
        """Turn the loop until something holds."""
        deadline = self.loop.now() + PATIENCE
        while not true():
            assert self.loop.now() < deadline, f"in vain; it said {self.said}"
            self.loop.turn(0.05)

    def drain(self) -> None:
        done: list[bool] = []
        self.pump.drain(lambda: done.append(True))
        self.until(lambda: bool(done))

    def write(self, worker: WorkerName, data: bytes, stream: int = 0) -> None:
        """As the worker does, by path."""
        fd = os.open(self.pump.spools(worker)[stream], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
        os.write(fd, data)
        os.close(fd)

    def log(self, name: str) -> Path:
        return self.state / "logs" / f"{name}.log"

    def process(self) -> Pidfd:
        """A handle of the pump's process."""
        self.until(lambda: self.pump.pid is not None and self.said[-1:] == [None])
        assert self.pump.pid is not None
        return Pidfd.open(self.pump.pid)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    yield made
    pid = made.pump.pid
    process = Pidfd.open(pid) if pid else None
    made.pump.close()
    if process:
        os.waitid(os.P_PIDFD, process.fileno(), os.WEXITED)
        process.close()
    made.loop.close()


def test_output_of_a_worker_gets_into_its_logs(house: House) -> None:
    house.pump.add(WEB, LogPolicy())
    house.write(WEB, b"before the pump runs\n")
    house.write(WEB, b"an error\n", stream=1)
    house.drain()
    assert house.log("web-1.out").read_bytes() == b"before the pump runs\n"
    assert house.log("web-1.err").read_bytes() == b"an error\n"
    assert house.said == [None]


def test_no_logs_no_pump(house: House) -> None:
    house.pump.add(WEB, LogPolicy(mode=LogMode.NONE))
    house.pump.remove(WEB)
    done: list[bool] = []
    house.pump.drain(lambda: done.append(True))
    assert done == [True]
    house.loop.turn(0.1)
    assert house.pump.pid is None
    assert list(house.state.iterdir()) == []


def test_a_killed_pump_is_replaced_and_told_everything_again(house: House, tmp_path: Path) -> None:
    house.pump.add(WEB, LogPolicy())
    house.pump.add(DB, LogPolicy(dir=str(tmp_path / "elsewhere")))
    house.write(WEB, b"one\n")
    house.drain()
    with house.process() as process:
        process.signal(9)
        house.write(WEB, b"two\n")
        house.write(DB, b"three\n")
        house.drain()
    assert house.log("web-1.out").read_bytes() == b"one\ntwo\n"
    assert (tmp_path / "elsewhere" / "db-2.out.log").read_bytes() == b"three\n"
    assert "signal 9" in str(house.said[1])
    assert house.said[-1] is None
    assert house.notes == [(None, "the log pump ended (signal 9); a new one goes on where it was", {})]


def test_a_pump_that_cannot_be_started_is_tried_again(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("sys.executable", "/nowhere/python")
        house.pump.add(WEB, LogPolicy())
        house.write(WEB, b"patience\n")
        house.until(lambda: len(house.said) == 2)
        assert "cannot be started" in str(house.said[0])
    house.drain()
    assert house.log("web-1.out").read_bytes() == b"patience\n"
    assert house.said[-1] is None


def test_a_removed_worker_leaves_its_logs_and_may_come_back(house: House) -> None:
    house.pump.add(WEB, LogPolicy())
    house.write(WEB, b"first life\n")
    house.pump.remove(WEB)
    house.pump.add(WEB, LogPolicy())
    house.write(WEB, b"second life\n")
    house.until(lambda: house.log("web-1.out").exists() and house.log("web-1.out").read_bytes().count(b"\n") == 2)
    assert house.log("web-1.out").read_bytes() == b"first life\nsecond life\n"
    house.pump.remove(WEB)
    house.until(lambda: not list((house.state / "spool").glob("web-1.*.gone")))
    assert {p.name for p in (house.state / "spool").glob("web-1.*")} == {"web-1.out.idx"}


def test_spools_of_forgotten_workers_are_emptied_and_deleted(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "TIDY_DELAY", 0.1)
    spool = house.state / "spool"
    spool.mkdir()
    (spool / "old-1.out").write_bytes(b"last words\n")
    house.pump.add(WEB, LogPolicy())
    house.until(lambda: house.log("old-1.out").exists() and not list(spool.glob("old-1.out*.gone")))
    assert house.log("old-1.out").read_bytes() == b"last words\n"
    assert not (spool / "old-1.out").exists()


def test_what_is_dropped_is_told(house: House) -> None:
    (house.state / "spool").mkdir()
    house.write(WEB, b"x" * 99 + b"\n")
    with open(house.pump.spools(WEB)[0], "ab") as spool:
        spool.write((b"y" * 99 + b"\n") * 40_000)
    house.pump.add(WEB, LogPolicy(spool_limit=Bytes(2 << 20)))
    house.drain()
    worker, text, facts = house.notes[0]
    assert (worker, facts["stream"]) == (WEB, "stdout")
    size = facts["bytes"]
    assert isinstance(size, int)
    assert 1_900_000 < size < 4_000_000
    assert text == f"web/1: {size} bytes of its stdout were dropped: the pump could not keep up"


def test_hundreds_of_workers_while_the_pump_is_stopped_make_nobody_wait(house: House) -> None:
    house.pump.add(WEB, LogPolicy())
    house.drain()
    with house.process() as process:
        process.signal(19)
        before = house.loop.now()
        for number in range(1, 401):
            house.pump.add(WorkerName("many", number), LogPolicy())
        for number in range(1, 201):
            house.pump.remove(WorkerName("many", number))
        assert house.loop.now() - before < 2
        house.write(WorkerName("many", 400), b"hello\n")
        process.signal(18)
        house.drain()
        assert house.log("many-400.out").read_bytes() == b"hello\n"


def test_the_pump_outlives_nobody(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.pump.add(WEB, LogPolicy())
    house.drain()
    process = house.process()
    house.write(WEB, b"to the last\n")
    house.pump.close()
    result = os.waitid(os.P_PIDFD, process.fileno(), os.WEXITED)
    assert result is not None
    assert result.si_status == 0
    assert house.log("web-1.out").read_bytes() == b"to the last\n"
    house.loop.close()
    end(process)
