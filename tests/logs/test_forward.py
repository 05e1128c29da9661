"""Lines for journald and syslog: sockets of our own take the part of the services."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from tests.logs.rig import PATIENCE, Rig, numbered, numbers, rest

Datagram = dict[str, bytes]


class Service:
    """A datagram socket that takes what the pump sends."""

    open: ClassVar[list["Service"]] = []

    def __init__(self, path: Path) -> None:
        self._path = path
        Service.open.append(self)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.settimeout(PATIENCE)

    def take(self) -> bytes:
        """The next datagram, or what is in the file that came with it."""
        data, fds, _flags, _address = socket.recv_fds(self.socket, 1 << 20, 4)
        if fds:
            with open(fds[0], "rb") as file:
                file.seek(0)
                return file.read()
        return data

    def take_entry(self) -> Datagram:
        """A journal entry of simple fields."""
        lines = self.take().split(b"\n")
        assert lines.pop() == b""
        return {name.decode(): value for name, _, value in (line.partition(b"=") for line in lines)}

    def close(self) -> None:
        self.socket.close()
        self._path.unlink()
        Service.open.remove(self)


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Path]]:
    """Where the pump looks for the services."""
    made = {"journal": tmp_path / "journal", "syslog": tmp_path / "log"}
    for kind, path in made.items():
        monkeypatch.setenv(f"PIDWARD_{kind.upper()}_SOCKET", str(path))
    yield made
    for service in list(Service.open):
        service.close()


@pytest.fixture
def rig(places: dict[str, Path], tmp_path: Path) -> Iterator[Rig]:
    del places
    made = Rig(tmp_path)
    made.start()
    yield made
    made.stop()


def test_lines_become_journal_entries_with_their_worker_and_priority(rig: Rig, places: dict[str, Path]) -> None:
    journal = Service(places["journal"])
    rig.keep("web-7.out", "web-7.err", also=("journal",))
    rig.append("web-7.out", b"hello\n<3>bad \xff\x00\x1b[0m\n<9>no priority\n\n")
    rig.drain()
    whose = {
        "SYSLOG_IDENTIFIER": b"web", "PIDWARD_SERVICE": b"web", "PIDWARD_WORKER": b"7", "PIDWARD_STREAM": b"stdout"
    }  # fmt: skip
    assert journal.take_entry() == whose | {"PRIORITY": b"6", "MESSAGE": b"hello"}
    assert journal.take_entry() == whose | {"PRIORITY": b"3", "MESSAGE": b"bad \xff\x00\x1b[0m"}
    assert journal.take_entry() == whose | {"PRIORITY": b"6", "MESSAGE": b"<9>no priority"}
    assert journal.take_entry() == whose | {"PRIORITY": b"6", "MESSAGE": b""}
    rig.append("web-7.err", b"unfinished")
    entry = journal.take_entry()
    assert (entry["MESSAGE"], entry["PIDWARD_STREAM"]) == (b"unfinished", b"stderr")
    assert rig.whole_log("web-7.out").startswith(b"hello\n<3>bad "), "the log has what was written"


def test_a_message_too_large_for_a_datagram_comes_in_a_sealed_file(rig: Rig, places: dict[str, Path]) -> None:
    journal = Service(places["journal"])
    rig.keep("web-1.out", also=("journal",))
    rig.append("web-1.out", b"y" * 900_000 + b"\nsmall\n" + b"z" * 2_500_000 + b"\n")
    rig.drain()
    assert [len(journal.take_entry()["MESSAGE"]) for _ in range(5)] == [900_000, 5, 1 << 20, 1 << 20, 402_848]


@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize("is_json", [False, True])
def test_syslog_gets_the_lines_of_all_modes_and_formats(
    is_stream: bool, is_json: bool, rig: Rig, places: dict[str, Path]
) -> None:
    log = Service(places["syslog"])
    rig.keep("web-1.out", also=("syslog",), is_stream=is_stream, is_json=is_json)
    rig.append("web-1.out", b"<4>careful\n" + b"x" * 9000 + b"\n")
    rig.drain()
    head, _, text = log.take().partition(b" web/1: ")
    assert (head[:4], len(head), text) == (b"<28>", 19, b"careful")
    assert [len(log.take().partition(b": ")[2]) for _ in range(2)] == [8000, 1000]


def test_a_service_that_is_away_or_slow_holds_up_nobody_and_gets_what_waited(rig: Rig, places: dict[str, Path]) -> None:
    rig.keep("web-1.out", also=("journal",))
    rig.append("web-1.out", numbered(0, 3000))
    rig.drain()
    assert numbers(rig.whole_log("web-1.out")) == list(range(3000))
    journal = Service(places["journal"])
    got = [int(journal.take_entry()["MESSAGE"][:8]) for _ in range(3000)]
    assert got == list(range(3000))
    journal.close()  # and is started again
    rig.append("web-1.out", numbered(3000, 10))
    rig.drain()
    journal = Service(places["journal"])
    assert [int(journal.take_entry()["MESSAGE"][:8]) for _ in range(10)] == list(range(3000, 3010))


def test_a_service_that_is_not_there_is_told_at_once_and_when_it_came(rig: Rig, places: dict[str, Path]) -> None:
    rig.keep("web-1.out", also=("journal",))
    _, sentence = rig.wait_for("trouble")
    assert sentence == (
        f"journal cannot be reached at {places['journal']}: No such file or directory; the log files have all lines."
    )
    journal = Service(places["journal"])
    rig.append("web-1.out", b"hello\n")
    assert journal.take_entry()["MESSAGE"] == b"hello"
    assert rig.wait_for("trouble") == ("trouble", "")


def test_what_is_not_taken_is_counted_and_told(rig: Rig, places: dict[str, Path]) -> None:
    rig.keep("web-1.out", also=("journal", "syslog"))
    Service(places["syslog"])  # and nobody reads
    rig.append("web-1.out", numbered(0, 60_000, width=200))
    lost: dict[str, int] = {}

    def hear() -> bool:
        _, stream, service, lines = rig.wait_for("lost")
        assert stream == "web-1.out"
        assert isinstance(lines, int)
        lost[str(service)] = lost.get(str(service), 0) + lines
        return len(lost) == 2

    while not hear():
        pass
    rig.drain()
    assert numbers(rig.whole_log("web-1.out")) == list(range(60_000)), "the log has it all"
    journal = Service(places["journal"])
    taken = [int(journal.take_entry()["MESSAGE"][:8]) for _ in range(1000)]
    assert taken == list(range(1000)), "the oldest wait, the newest are lost"


def test_at_the_end_the_rest_is_sent(places: dict[str, Path], tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.start()
    journal = Service(places["journal"])
    rig.keep("web-1.out", also=("journal",))
    rig.append("web-1.out", b"last\nwords")
    rig.stop()
    assert [journal.take_entry()["MESSAGE"] for _ in range(2)] == [b"last", b"words"]


def test_a_pump_with_nothing_to_send_sleeps(rig: Rig, places: dict[str, Path]) -> None:
    journal = Service(places["journal"])
    rig.keep("web-1.out", also=("journal",))
    rig.append("web-1.out", b"hello\n")
    rig.drain()
    assert journal.take_entry()["MESSAGE"] == b"hello"
    rest(rig)
