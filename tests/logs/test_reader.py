"""Reading logs back: order of time, last lines, following over rotation, and a terminal that stays unharmed."""

import select
import time

import pytest

from pidward.core.model import WorkerName
from pidward.core.spec import LogPolicy
from pidward.logs.display import printable
from pidward.logs.reader import Follower, Line, Source, last_lines, lines_since, sources
from tests.logs.rig import Rig, numbered

WEB, DB = WorkerName("web", 1), WorkerName("db", 1)


def of(rig: Rig, *workers: WorkerName) -> list[Source]:
    return [source for worker in workers for source in sources(str(rig.state), worker, LogPolicy())]


def texts(lines: list[Line]) -> list[str]:
    return [line.data.decode() for line in lines]


def test_streams_of_all_workers_are_merged_in_the_order_of_time(rig: Rig) -> None:
    rig.keep("web-1.out", "web-1.err", "db-1.out", "db-1.err")
    before = time.clock_gettime_ns(time.CLOCK_REALTIME)
    said = [("db-1.out", "a"), ("web-1.err", "b"), ("web-1.out", "c"), ("db-1.out", "d"), ("web-1.err", "e\nf")]
    for stream, text in said:
        rig.append(stream, text.encode() + b"\n")
        rig.drain()
    lines = list(lines_since(of(rig, WEB, DB)))
    assert texts(lines) == ["a", "b", "c", "d", "e", "f"]
    assert [(str(line.source.worker), line.source.stream) for line in lines[:3]] == [
        ("db/1", "out"), ("web/1", "err"), ("web/1", "out"),
    ]  # fmt: skip
    now = time.clock_gettime_ns(time.CLOCK_REALTIME)
    assert all(before <= line.wall_ns <= now for line in lines)
    assert texts(last_lines(of(rig, WEB, DB), 4)) == ["c", "d", "e", "f"]
    assert texts(list(lines_since(of(rig, WEB, DB), lines[3].wall_ns))) == ["d", "e", "f"]


@pytest.mark.parametrize("count", [0, 1, 7, 150, 500, 10_000])
def test_last_lines_over_rotated_files(count: int, rig: Rig) -> None:
    rig.keep("web-1.out", max_size=2000, keep=50)
    for first in range(0, 500, 20):
        rig.append("web-1.out", numbered(first, 20))
        rig.drain()
    expected = [line.decode() for line in numbered(0, 500).splitlines()]
    assert texts(last_lines(of(rig, WEB), count)) == expected[len(expected) - min(count, 500) :]
    assert texts(list(lines_since(of(rig, WEB)))) == expected


@pytest.mark.parametrize("keep", [0, 1])
def test_a_file_number_used_again_does_not_mix_up_stamps(keep: int, rig: Rig) -> None:
    """The oldest file is deleted and the newest gets its inode number: usual on ext4."""
    rig.keep("web-1.out", max_size=300, keep=keep)
    times = {}
    for number in range(62):
        before = time.clock_gettime_ns(time.CLOCK_REALTIME)
        rig.append("web-1.out", numbered(number, 1))
        rig.drain()
        times[number] = (before, time.clock_gettime_ns(time.CLOCK_REALTIME))
    for lines in (list(lines_since(of(rig, WEB))), last_lines(of(rig, WEB), 100)):
        assert len(lines) in range(5 * keep, 12)
        for line in lines:
            first, last = times[int(line.data[:8])]
            assert first <= line.wall_ns <= last


def test_logs_without_an_index_can_be_read(rig: Rig) -> None:
    rig.keep("web-1.out")
    rig.append("web-1.out", b"a\nb\nunfinished")
    rig.drain()
    rig.spool("web-1.out.idx").unlink()
    assert texts(last_lines(of(rig, WEB), 2)) == ["b", "unfinished"]
    assert texts(list(lines_since(of(rig, WEB)))) == ["a", "b", "unfinished"]


def test_nothing_written_yet_is_nothing_to_read(rig: Rig) -> None:
    assert last_lines(of(rig, WEB), 5) == []
    assert list(lines_since(of(rig, WEB))) == []
    with_directory = Follower(of(rig, WEB))
    assert with_directory.last(5) == []
    assert with_directory.read() == []
    with_directory.close()


def test_a_huge_line_is_one_line(rig: Rig) -> None:
    rig.keep("web-1.out")
    follower = Follower(of(rig, WEB))
    huge = b"h" * 10_000_000
    rig.append("web-1.out", b"before\n" + huge + b"\nafter\n")
    rig.drain()
    for lines in (last_lines(of(rig, WEB), 3), list(lines_since(of(rig, WEB))), new_lines(follower, 3)):
        assert [len(line.data) for line in lines] == [6, 10_000_000, 5]
        assert lines[1].data == huge
    follower.close()


def test_binary_output_is_read_as_it_is(rig: Rig) -> None:
    data = bytes(range(256)) * 1000
    rig.keep("web-1.out", max_size=50_000, keep=10)
    rig.append("web-1.out", data)
    rig.drain()
    assert b"\n".join(line.data for line in lines_since(of(rig, WEB))) == data


def test_following_gives_each_line_once_over_rotations(rig: Rig) -> None:
    rig.keep("web-1.out", "web-1.err", max_size=1000, keep=30)
    rig.append("web-1.out", numbered(0, 10) + b"cut ")
    rig.drain()
    follower = Follower(of(rig, WEB))
    rig.append("web-1.out", b"in two\n")
    rig.drain()
    assert texts(follower.last(2)) == [line.decode() for line in numbered(8, 2).splitlines()], "as it was at the start"
    assert texts(new_lines(follower, 1)) == ["cut in two"]
    expected = []
    for first in range(10, 200, 19):
        rig.append("web-1.out", numbered(first, 19))  # more than a file
        expected += numbered(first, 19).splitlines()
        rig.drain()
        if first % 3 == 0:
            rig.append("web-1.err", b"error %d\n" % first)
            expected.append(b"error %d" % first)
            rig.drain()
    assert [line.data for line in new_lines(follower, len(expected))] == expected
    assert follower.read() == []
    follower.close()


def test_a_stream_that_comes_later_is_followed_from_its_beginning(rig: Rig) -> None:
    follower = Follower(of(rig, WEB))
    patience = follower.patience_ms
    assert patience is not None, "there is no directory to watch yet"
    rig.keep("web-1.out", "db-1.out")
    rig.append("web-1.out", b"first\n")
    rig.drain()
    assert texts(new_lines(follower, 1)) == ["first"]
    assert follower.patience_ms is None
    rig.append("db-1.out", b"second\n")
    rig.drain()
    for source in of(rig, DB):
        follower.add(source)
    rig.append("db-1.out", b"third\n")
    rig.drain()
    assert texts(new_lines(follower, 2)) == ["second", "third"]
    follower.close()


def test_reading_while_the_pump_rotates_misses_and_repeats_nothing(rig: Rig) -> None:
    rig.keep("web-1.out", max_size=3000, keep=1000)
    rig.append("web-1.out", numbered(0, 400))
    rig.drain()
    reading = lines_since(of(rig, WEB))
    got = [next(reading) for _ in range(150)]
    for first in range(400, 2000, 400):
        rig.append("web-1.out", numbered(first, 400))
        rig.drain()
        got += [next(reading) for _ in range(20)]
    got += list(reading)
    numbers = [int(line.data[:8]) for line in got]
    assert numbers == list(range(len(numbers)))
    assert len(numbers) >= 400


@pytest.mark.parametrize(
    "raw,shown",
    [
        (b"plain \tcaf\xc3\xa9", "plain \tcaf\u00e9"),
        (b"\x1b[2J\x1b]0;title\x07", "\\x1b[2J\\x1b]0;title\\x07"),
        (b"windows\r", "windows"),
        (b"over\rwritten\x08", "over\\x0dwritten\\x08"),
        (b"\xff\xfe\x80", "\\xff\\xfe\\x80"),
        ("c1 \u009b31m".encode(), "c1 \\x9b31m"),
        ("turned \u202e round".encode(), "turned \\u202e round"),
        (b"\x00\x7f", "\\x00\\x7f"),
    ],
)
def test_no_byte_of_a_line_reaches_the_terminal_as_a_control(raw: bytes, shown: str) -> None:
    assert printable(raw) == shown


def test_printable_is_printable_for_all_bytes_and_code_points() -> None:
    everything = bytes(range(256)) + "".join(map(chr, [*range(0xD800), *range(0xE000, 0x11000)])).encode()
    shown = printable(everything)
    assert all(char == "\t" or (ord(char) >= 0x20 and not 0x7F <= ord(char) < 0xA0) for char in shown)


def new_lines(follower: Follower, count: int) -> list[Line]:
    """Wait for so many lines."""
    lines: list[Line] = []
    while len(lines) < count:
        got = follower.read()
        lines += got
        if not got:
            patience = follower.patience_ms
            woken = select.select([follower.fileno()], [], [], (patience or 10_000) / 1000)[0]
            assert woken or patience, f"only {len(lines)} of {count} lines came"
    return lines
