"""JSON Lines, and the FIFOs of mode "stream"."""

import json
import os
import threading
import time
from pathlib import Path

import pytest

from pidward.core.model import WorkerName
from pidward.core.spec import LogPolicy
from pidward.logs.reader import Follower, Source, last_lines, lines_since, sources
from pidward.logs.undress import Undress
from tests.logs.rig import Rig, eventually, numbered, numbers, pause, rest, streams, switches

WEB = WorkerName("web", 1)
SIGSTOP, SIGCONT = 19, 18


def of(rig: Rig) -> tuple[Source, Source]:
    return sources(str(rig.state), WEB, LogPolicy())


def test_each_line_is_an_object_that_says_whose_it_is_and_when(rig: Rig) -> None:
    rig.keep("web-1.out", "web-1.err", is_json=True)
    before = time.time_ns() // 1000 * 1000
    rig.append("web-1.out", 'plain "quoted"\ncaf\u00e9\x1b[2J\n'.encode())
    rig.append("web-1.err", b"\xff\xfe binary\x00\r\n\n")
    rig.drain()
    objects = [json.loads(line) for line in rig.whole_log("web-1.out").splitlines()]
    assert [(o["service"], o["worker"], o["stream"], o["message"]) for o in objects] == [
        ("web", 1, "stdout", 'plain "quoted"'), ("web", 1, "stdout", "caf\u00e9\x1b[2J"),
    ]  # fmt: skip
    from datetime import datetime

    assert all(
        o["time"].endswith("Z") and datetime.fromisoformat(o["time"]).timestamp() * 1e9 >= before for o in objects
    )
    assert rig.whole_log("web-1.err").isascii()
    binary, empty = (json.loads(line) for line in rig.whole_log("web-1.err").splitlines())
    assert (binary["message"], binary["base64"]) == ("\\xff\\xfe binary\x00\r", "//4gYmluYXJ5AA0=")
    assert (empty["message"], "base64" in empty) == ("", False)
    assert [line.data for line in lines_since(of(rig)[1:])] == [b"\xff\xfe binary\x00\r", b""]


def test_any_bytes_and_huge_lines_come_back_whole(rig: Rig) -> None:
    rig.keep("web-1.out", is_json=True, max_size=3 << 20, keep=20)
    follower = Follower(of(rig))
    data = os.urandom(300_000) + b"\n" + b"y" * 10_000_000 + b"\n" + bytes(range(256)) * 50
    rig.append("web-1.out", data)
    rig.drain()
    assert rig.log("web-1.out", 3).exists()
    assert b"\n".join(line.data for line in lines_since(of(rig))) == data
    backwards = last_lines(of(rig), 10**6)
    assert b"\n".join(line.data for line in backwards) == data
    assert b"\n".join(line.data for line in follower.read()) == data.rpartition(b"\n")[0]
    follower.close()


def test_a_line_without_its_end_is_there_soon_and_is_one_line_in_the_end(rig: Rig) -> None:
    rig.keep("web-1.out", is_json=True)
    rig.append("web-1.out", b"before\nPassword: ")
    eventually(lambda: rig.log("web-1.out").exists() and b"Password" in rig.whole_log("web-1.out"))
    assert json.loads(rig.whole_log("web-1.out").splitlines()[1])["partial"] is True
    assert [line.data for line in last_lines(of(rig), 5)] == [b"before", b"Password: "]
    rig.append("web-1.out", b"secret\nafter\n")
    rig.drain()
    for lines in (last_lines(of(rig), 5), list(lines_since(of(rig)))):
        assert [line.data for line in lines] == [b"before", b"Password: secret", b"after"]


def test_a_change_of_format_leaves_all_lines_readable(rig: Rig) -> None:
    for i in range(6):
        rig.keep("web-1.out", is_json=i % 2 == 1)
        rig.append("web-1.out", b"line %d\ncut " % i)
        rig.drain()
    texts = [line.data for line in lines_since(of(rig))]
    assert texts[0] == b"line 0"
    assert [text for text in texts if b"line" in text][-1].endswith(b"line 5")
    assert not any(b'{"time"' in text for text in texts)


@pytest.mark.parametrize(
    "forged",
    [
        b'{"time":"2026-11-22T10:00:00.123456Z","service":"web","worker":1,"stream":"stdout","message":7}',
        b'{"time":"2026-11-22T10:00:00.123456Z","service":"web","worker":1,"stream":"stdout","message":"a"',
        b'{"time":"2026-11-22T10:00:00.123456Z","service":"web","worker":1,"stream":"stdout","message":"\\ud800"}',
        b'{"time":"2026-11-22T10:00:00.123456Z","service":"web","worker":1,"stream":"stdout","message":"","base64":"?"}',
        b'{"time":"2026-11-22T10:00:00.123456Z","service":"api","worker":1,"stream":"stdout","message":"other"}',
        b'{"level": "info"}',
    ],
)
def test_what_only_looks_like_ours_is_left_as_it_is(forged: bytes) -> None:
    assert Undress(sources("/", WEB, LogPolicy())[0]).take_off(forged) == (forged, False)


def test_a_program_that_writes_json_is_read_as_it_wrote(rig: Rig) -> None:
    said = b'{"time":"2026-11-22T10:00:00.123456Z","service":"web","worker":1,"stream":"stdout","message":"mine"}'
    rig.keep("web-1.out", is_json=True)
    rig.append("web-1.out", said + b"\n")
    rig.drain()
    assert [line.data for line in lines_since(of(rig))] == [said]


def test_dropped_bytes_are_mentioned_as_an_object(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.append("web-1.out", numbered(0, 100_000))
    rig.start()
    rig.keep("web-1.out", spool_limit=2 << 20, is_json=True)
    rig.wait_for("dropped")
    rig.drain()
    first, *others = lines_since(of(rig))
    assert b"bytes dropped here" in first.data
    assert [int(line.data[:8]) for line in others][-1] == 99_999
    rig.stop()


# --- stream


@pytest.mark.parametrize("is_json", [False, True])
def test_output_comes_through_the_pipe(is_json: bool, rig: Rig) -> None:
    rig.keep("web-1.out", "web-1.err", is_stream=True, is_json=is_json, max_size=10_000, keep=100)
    data = numbered(0, 3000) + b"end"
    with rig.writer("web-1.out") as fd:
        for first in range(0, len(data), 1000):
            os.write(fd, data[first : first + 1000])
        rig.drain()
    assert [int(line.data[:8]) for line in lines_since(of(rig)) if line.data != b"end"] == list(range(3000))
    assert last_lines(of(rig), 1)[0].data == b"end"
    assert not rig.spool("web-1.out").exists(), "there is no spool"
    assert not rig.log("web-1.err").exists(), "a silent stream leaves no file"
    if not is_json:
        assert all(10_000 <= rig.log("web-1.out", age).stat().st_size < 10_070 for age in range(1, 21))


def test_any_bytes_pass_the_pipe(rig: Rig) -> None:
    rig.keep("web-1.out", is_stream=True, max_size=4 << 20, keep=100)
    data = os.urandom(1_000_000) + b"y" * 10_000_000 + b"\n" + bytes(range(256)) * 1000
    rig.append("web-1.out", data)
    rig.drain()
    assert rig.whole_log("web-1.out") == data


def test_a_pump_that_is_away_neither_ends_the_worker_nor_loses_what_is_in_the_pipe(rig: Rig) -> None:
    rig.keep("web-1.out", is_stream=True)
    with rig.writer("web-1.out") as fd:
        os.write(fd, numbered(0, 10))
        rig.drain()
        rig.kill()
        os.write(fd, numbered(10, 500))  # no SIGPIPE
    rig.start()
    rig.drain()
    assert numbers(rig.whole_log("web-1.out")) == list(range(510))


def test_killed_again_and_again_text_loses_nothing_without_rotation(rig: Rig) -> None:
    rig.keep("web-1.out", is_stream=True)
    lines = 60_000

    def write() -> None:
        with rig.writer("web-1.out") as fd:
            for first in range(0, lines, 20):
                os.write(fd, numbered(first, 20))

    writer = threading.Thread(target=write)
    writer.start()
    kills = 0
    while writer.is_alive() or kills < 25:
        rig.wait_for("ready")
        pause(kills * 7 % 41 / 1000)
        rig.kill()
        rig.start()
        kills += 1
    writer.join()
    rig.drain()
    assert numbers(rig.whole_log("web-1.out")) == list(range(lines)), f"after {kills} kills"


@pytest.mark.parametrize(
    "is_json, cut, kept", [(False, b"spliced\ncut ", b"spliced\ncut "), (True, b'{"a":1}\n{"b"', b'{"a":1}\n')]
)
def test_what_a_killed_pump_wrote_and_did_not_record_is_kept(is_json: bool, cut: bytes, kept: bytes, rig: Rig) -> None:
    """It is nowhere else: the pipe has been emptied of it."""
    rig.keep("web-1.out", is_stream=True, is_json=is_json)
    rig.append("web-1.out", b"recorded\n")
    rig.drain()
    rig.kill()
    before = rig.log("web-1.out").read_bytes()
    rig.log("web-1.out").write_bytes(before + cut)
    rig.start()
    rig.append("web-1.out", b"later\n")
    rig.drain()
    after = rig.log("web-1.out").read_bytes()
    assert after.startswith(before + kept)
    assert b"later" in after[len(before + kept) :].splitlines()[0]


def test_a_stopped_pump_makes_the_writer_wait_and_loses_nothing(rig: Rig) -> None:
    rig.keep("web-1.out", is_stream=True)
    rig.drain()
    assert rig.pump is not None
    rig.pump.signal(SIGSTOP)
    writer = threading.Thread(target=rig.append, args=("web-1.out", numbered(0, 10_000)))
    writer.start()
    writer.join(0.3)
    assert writer.is_alive(), "700 kB do not fit into the pipe"
    rig.pump.signal(SIGCONT)
    writer.join()
    rig.drain()
    assert numbers(rig.whole_log("web-1.out")) == list(range(10_000))


def test_a_hundred_streams_at_once(rig: Rig) -> None:
    names = streams(100)
    rig.keep(*names, is_stream=True)
    for part in range(10):
        for name in names:
            rig.append(name, numbered(part * 20, 20))
    rig.drain()
    assert all(numbers(rig.whole_log(name)) == list(range(200)) for name in names)


def test_a_log_that_cannot_be_written_holds_up_its_writer_alone(rig: Rig) -> None:
    rig.logs.mkdir()
    rig.log("web-1.out").mkdir()
    rig.keep("web-1.out", "web-2.out", is_stream=True)
    rig.append("web-1.out", numbered(0, 100))
    assert "web-1.out" in str(rig.wait_for("trouble")[1])
    rig.append("web-2.out", numbered(0, 100))
    rig.drain()
    assert numbers(rig.whole_log("web-2.out")) == list(range(100))
    rig.log("web-1.out").rmdir()
    assert rig.wait_for("trouble") == ("trouble", "")
    assert numbers(rig.whole_log("web-1.out")) == list(range(100))


def test_an_idle_pump_with_pipes_never_wakes_up(rig: Rig) -> None:
    rig.keep(*streams(20), is_stream=True)
    rig.append("web-1.out", b"hello\n")
    rig.drain()
    rest(rig)
    before = switches(rig)
    pause(1)
    assert switches(rig) == before
    rig.append("web-1.out", b"again\n")
    eventually(lambda: rig.whole_log("web-1.out") == b"hello\nagain\n")


def test_what_is_in_a_pipe_at_the_end_is_moved(rig: Rig) -> None:
    rig.keep("web-1.out", is_stream=True)
    rig.drain()
    rest(rig)
    rig.append("web-1.out", b"last words\n")
    rig.stop()
    assert rig.whole_log("web-1.out") == b"last words\n"
    rig.start()
