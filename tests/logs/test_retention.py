"""Old files: rotated and removed by age, compressed, and found whole whatever happens to the pump meanwhile."""

import gzip
import os
import threading
import time
from pathlib import Path

import pytest

from pidward.core.model import WorkerName
from pidward.core.spec import LogPolicy
from pidward.logs import index
from pidward.logs.reader import Follower, last_lines, lines_since, sources
from pidward.logs.squeeze import compress, read_steps
from tests.logs.rig import Rig, eventually, numbered, numbers, pause

WEB = WorkerName("web", 1)
MS = 1_000_000


def test_rotated_files_are_compressed_and_read_as_before(rig: Rig) -> None:
    rig.keep("web-1.out", max_size=2000, keep=50, compress=True)
    times = {}
    for first in range(0, 500, 20):
        before = time.clock_gettime_ns(time.CLOCK_REALTIME)
        rig.append("web-1.out", numbered(first, 20))
        rig.drain()
        times[first] = (before, time.clock_gettime_ns(time.CLOCK_REALTIME))
    wait_compressed(rig)
    names = sorted(path.name for path in rig.logs.iterdir())
    assert len(names) > 10
    assert {name.removeprefix("web-1.out.log") for name in names} == {
        "", *(f".{age}.gz" for age in range(1, len(names)))
    }  # fmt: skip
    assert numbers(rig.whole_log("web-1.out")) == list(range(500))
    of = sources(str(rig.state), WEB, LogPolicy())
    for lines in (list(lines_since(of)), last_lines(of, 1000)):
        assert [int(line.data[:8]) for line in lines] == list(range(500))
        for line in lines:
            first, last = times[int(line.data[:8]) // 20 * 20]
            assert first - MS <= line.wall_ns <= last
    middle = list(lines_since(of, times[240][0]))
    assert int(middle[0].data[:8]) == 240, "times are known without the index"
    assert [int(line.data[:8]) for line in last_lines(of, 77)] == list(range(423, 500))


def test_what_compression_makes_is_a_gzip_file_like_any_other(tmp_path: Path) -> None:
    data = os.urandom(200_000) + b"line\n" * 100_000
    (tmp_path / "log").write_bytes(data)
    os.chmod(tmp_path / "log", 0o640)
    os.utime(tmp_path / "log", ns=(5, 123_456_789))
    inode = (tmp_path / "log").stat().st_ino
    records = [index.Record(inode, i * 30 + 1, i, 10**18 + i * i * 7 * MS) for i in range(10_000)]
    (tmp_path / "idx").write_bytes(b"".join(record.pack() for record in records))
    with open(tmp_path / "log", "rb") as source, open(tmp_path / "idx", "rb") as steps:
        compress(source.fileno(), steps.fileno(), str(tmp_path / "log.gz"))
    assert gzip.decompress((tmp_path / "log.gz").read_bytes()) == data
    about = (tmp_path / "log.gz").stat()
    assert (about.st_mode & 0o777, about.st_mtime_ns) == (0o640, 123_456_789)
    with open(tmp_path / "log.gz", "rb") as made:
        assert read_steps(made.fileno()) == (inode, [r.log_end for r in records], [r.wall_ns for r in records])


def test_the_number_of_a_compressed_file_may_be_anothers_by_now(rig: Rig) -> None:
    """As on ext4, where the next new file gets the number of the last deleted one."""
    rig.logs.mkdir()
    log, old = rig.log("web-1.out"), rig.logs / "web-1.out.log.1.gz"
    log.write_bytes(b"old\n")
    os.utime(log, (1_000, 1_000))
    with open(log, "rb") as source:
        compress(source.fileno(), -1, str(old))
    log.write_bytes(b"new\n")  # the same file, to be sure of its number
    of = sources(str(rig.state), WEB, LogPolicy())
    assert [line.data for line in lines_since(of)] == [b"old", b"new"]
    assert [line.data for line in last_lines(of, 5)] == [b"old", b"new"]
    follower = Follower(of)
    assert [line.data for line in follower.since(0)] == [b"old", b"new"]
    follower.close()


def test_foreign_and_damaged_gzip_files_are_read_as_far_as_possible(rig: Rig) -> None:
    rig.logs.mkdir()
    rig.log("web-1.out").write_bytes(b"new\n")
    (rig.logs / "web-1.out.log.1.gz").write_bytes(gzip.compress(b"a\nb\n"))
    whole = gzip.compress(b"".join(b"%d\n" % i for i in range(100_000)))
    (rig.logs / "web-1.out.log.2.gz").write_bytes(whole[: len(whole) // 2])
    for age, path in enumerate(("log", "log.1.gz", "log.2.gz")):
        os.utime(rig.logs / f"web-1.out.{path}", (1_000 - age, 1_000 - age))
    of = sources(str(rig.state), WEB, LogPolicy())
    texts = [line.data for line in lines_since(of)]
    assert texts[-2:] == [b"b", b"new"], "the first line of a file ends the broken one before"
    assert 10_000 < len(texts) < 100_000
    assert texts[:3] == [b"0", b"1", b"2"]
    assert [line.data for line in last_lines(of, 2)] == [b"b", b"new"]


def test_what_cannot_be_compressed_stays_and_is_told(rig: Rig) -> None:
    rig.logs.mkdir()
    half = rig.logs / "web-1.out.log.gz.new"
    half.mkdir()
    rig.keep("web-1.out", max_size=1000, keep=50, compress=True)
    rig.append("web-1.out", numbered(0, 20))
    assert "old files of" in str(rig.wait_for("trouble"))
    half.rmdir()
    rig.append("web-1.out", numbered(20, 20))
    assert rig.wait_for("trouble") == ("trouble", "")
    wait_compressed(rig)
    assert numbers(rig.whole_log("web-1.out")) == list(range(40))


@pytest.mark.parametrize("left", ["half", "both"])
def test_what_a_killed_compression_leaves_is_cleared_away(left: str, rig: Rig) -> None:
    rig.keep("web-1.out", max_size=1000, keep=50)
    rig.append("web-1.out", numbered(0, 40))
    rig.drain()
    rig.kill()
    if left == "half":
        (rig.logs / "web-1.out.log.gz.new").write_bytes(b"half")
    else:  # killed between the last two steps
        (rig.logs / "web-1.out.log.2.gz").write_bytes(gzip.compress(rig.log("web-1.out", 2).read_bytes()))
    assert [int(line.data[:8]) for line in lines_since(sources(str(rig.state), WEB, LogPolicy()))] == list(range(40))
    rig.start()
    rig.keep("web-1.out", max_size=1000, keep=50, compress=True)
    rig.append("web-1.out", numbered(40, 40))
    rig.drain()
    wait_compressed(rig)
    assert numbers(rig.whole_log("web-1.out")) == list(range(80))
    assert all(path.name.endswith(".gz") for path in rig.logs.iterdir() if path.name != "web-1.out.log")


def test_rotation_moves_compressed_files_and_removes_them_like_others(rig: Rig) -> None:
    rig.keep("web-1.out", max_size=1000, keep=3, compress=True)
    for first in range(0, 400, 20):
        rig.append("web-1.out", numbered(first, 20))
        rig.drain()
        if first % 100 == 0:
            wait_compressed(rig)
    wait_compressed(rig)
    names = sorted(path.name for path in rig.logs.iterdir())
    assert names == ["web-1.out.log", *(f"web-1.out.log.{age}.gz" for age in (1, 2, 3))]
    kept = numbers(rig.whole_log("web-1.out"))
    assert kept == list(range(kept[0], 400))


@pytest.mark.parametrize("mode", ["text", "json", "stream"])
def test_killed_again_and_again_while_it_rotates_and_compresses_each_line_is_there_once(mode: str, rig: Rig) -> None:
    name, lines = "web-1.out", 12_000
    rig.keep(name, max_size=100_000, keep=200, compress=True, is_json=mode == "json", is_stream=mode == "stream")

    def write() -> None:
        with rig.writer(name) as fd:
            for first in range(0, lines, 20):
                os.write(fd, numbered(first, 20, width=200))

    writer = threading.Thread(target=write)
    writer.start()
    kills = 0
    while writer.is_alive() or kills < 25:
        rig.wait_for("ready")
        pause(kills * 7 % 41 / 1000)
        rig.kill()
        rig.start()
        kills += 1
    rig.drain()
    wait_compressed(rig)
    writer.join()
    of = sources(str(rig.state), WEB, LogPolicy())
    texts = [line.data for line in lines_since(of)]
    whole = [int(text[:8]) for text in texts if len(text) == 209 and text[:8].isdigit()]
    if mode == "stream":  # a rotation reads what it cannot splice, and a kill may fall between reading and writing
        assert whole == sorted(set(whole)), "each at most once, in order"
        assert lines - len(whole) <= kills * 4096 / 210 + kills
    else:
        assert whole == list(range(lines))
        assert len(texts) == lines
    assert not list(rig.logs.glob("*.new"))


def test_files_are_rotated_by_age_and_removed_by_age_also_when_nobody_writes(rig: Rig) -> None:
    rig.keep("web-1.out", "web-2.out", max_age_ns=1_000 * MS)
    rig.append("web-1.out", b"old\n")
    rig.drain()
    assert rig.log("web-1.out").read_bytes() == b"old\n"
    later = time.clock_gettime(time.CLOCK_REALTIME) + 3600
    os.utime(rig.log("web-1.out"), (later, later))
    eventually(lambda: rig.log("web-1.out", 1).exists() and rig.log("web-1.out").exists())
    assert rig.log("web-1.out").read_bytes() == b""
    rig.append("web-1.out", b"new\n")
    rig.drain()
    assert rig.whole_log("web-1.out") == b"old\nnew\n"
    os.utime(rig.log("web-1.out", 1), (later - 3602, later - 3602))
    eventually(lambda: not list(rig.logs.glob("web-1.out.log.*")) and rig.log("web-1.out").read_bytes() == b"")
    assert not rig.log("web-2.out").exists(), "a silent stream leaves no file"


def test_age_is_counted_from_the_beginning_of_the_file_over_lives_of_the_pump(rig: Rig) -> None:
    rig.keep("web-1.out", max_age_ns=3_600_000 * MS)
    for i in range(50):
        rig.append("web-1.out", b"%d\n" % i)
        rig.drain()
    rig.kill()
    backdate(rig, 3_000)
    rig.start()
    rig.drain()
    pause(0.3)
    assert not rig.log("web-1.out", 1).exists()
    rig.kill()
    backdate(rig, 700)
    os.utime(rig.log("web-1.out"))
    rig.start()
    eventually(lambda: rig.log("web-1.out", 1).exists())
    assert rig.whole_log("web-1.out") == b"".join(b"%d\n" % i for i in range(50))


def test_the_beginning_of_the_present_file_is_found_in_the_index(tmp_path: Path) -> None:
    path = tmp_path / "idx"
    for before in (0, 1, 5, 1000):
        for count in (1, 2, 3, 10, 1000, 1001):
            records = [index.Record(7, i, i, i) for i in range(before)]
            records += [index.Record(8, i * 10, i, 5_000 + i) for i in range(count)]
            path.write_bytes(b"".join(record.pack() for record in records))
            with open(path, "rb") as file:
                assert index.began(file.fileno(), 1) == 5_000, (before, count)
    path.write_bytes(b"")
    with open(path, "rb") as file:
        assert index.began(file.fileno(), 1) == 1


def backdate(rig: Rig, seconds: int) -> None:
    """Make everything in the index older."""
    path = rig.spool("web-1.out.idx")
    records = list(index.unpack(path.read_bytes()))
    for record in records:
        record.wall_ns -= seconds * 10**9
    path.write_bytes(b"".join(record.pack() for record in records))


def wait_compressed(rig: Rig) -> None:
    """Wait until nothing is left to compress."""
    pattern = "*.log.[0-9]*"
    eventually(
        lambda: all(path.suffix == ".gz" for path in rig.logs.glob(pattern)) and not list(rig.logs.glob("*.new"))
    )
