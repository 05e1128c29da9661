"""The pump process against real files: nothing lost, nothing twice, nothing done when there is nothing to do."""

import os
import select
import sys
import threading
import time
from pathlib import Path

import pytest

from pidward.core.units import Seconds
from pidward.kernel.errors import KernelError
from pidward.kernel.files import collapse_front
from pidward.kernel.helper import start_helper
from pidward.kernel.inotify import Inotify
from pidward.kernel.wait import reap, wait_exit
from pidward.logs.pump import Pump
from tests.logs.rig import Rig, numbered, numbers, pause, rest, switches

SIGSTOP, SIGCONT = 19, 18


def test_what_is_written_is_in_the_log(rig: Rig) -> None:
    rig.keep("web-1.out", "web-1.err")
    rig.append("web-1.out", numbered(0, 1000))
    rig.drain()
    assert numbers(rig.whole_log("web-1.out")) == list(range(1000))
    assert not rig.log("web-1.err").exists(), "a silent stream leaves no file"


def test_what_was_written_before_the_pump_started_is_moved_too(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.append("web-1.out", b"early\n")
    rig.start()
    rig.keep("web-1.out")
    rig.drain()
    rig.append("web-1.out", b"late\n")
    rig.stop()
    assert rig.whole_log("web-1.out") == b"early\nlate\n"


def test_any_bytes_pass_unchanged(rig: Rig) -> None:
    data = os.urandom(300_000) + b"no newline at the end"
    rig.keep("web-1.out", max_size=100_000, keep=10)
    rig.append("web-1.out", data)
    rig.drain()
    assert rig.whole_log("web-1.out") == data


def test_a_line_of_10_megabytes_passes_and_is_split_only_by_the_size_limit(rig: Rig) -> None:
    line = b"y" * 10_000_000 + b"\n"
    rig.keep("web-1.out", "web-2.out", max_size=50 << 20)
    rig.append("web-1.out", line)
    rig.drain()
    assert rig.log("web-1.out").read_bytes() == line
    rig.keep("web-2.out", max_size=4 << 20)
    rig.append("web-2.out", line)
    rig.drain()
    assert rig.whole_log("web-2.out") == line
    assert rig.log("web-2.out", 2).stat().st_size == (4 << 20) + (64 << 10)


def test_rotation_keeps_n_files_of_whole_lines(rig: Rig) -> None:
    rig.keep("web-1.out", max_size=10_000, keep=4)
    for first in range(0, 3000, 100):
        rig.append("web-1.out", numbered(first, 100))
        rig.drain()
    files = sorted(path.name for path in rig.logs.iterdir())
    assert files == [f"web-1.out.log{end}" for end in ("", ".1", ".2", ".3", ".4")]
    for age in range(1, 5):
        size = rig.log("web-1.out", age).stat().st_size
        assert 10_000 <= size < 10_000 + 70
    kept = numbers(rig.whole_log("web-1.out"))
    assert kept == list(range(kept[0], 3000))


def test_a_lower_number_of_files_to_keep_deletes_the_others(rig: Rig) -> None:
    rig.keep("web-1.out", max_size=1000, keep=5)
    rig.append("web-1.out", numbered(0, 200))
    rig.drain()
    assert rig.log("web-1.out", 5).exists()
    rig.keep("web-1.out", max_size=1000, keep=2)
    rig.append("web-1.out", numbered(200, 200))
    rig.drain()
    assert [age for age in range(9) if rig.log("web-1.out", age).exists()] == [0, 1, 2]
    rig.keep("web-1.out", max_size=1000, keep=0)
    rig.append("web-1.out", numbered(400, 100))
    rig.drain()
    assert [age for age in range(9) if rig.log("web-1.out", age).exists()] == [0]


def test_a_rotation_that_was_cut_off_is_finished_by_the_next_one(rig: Rig) -> None:
    rig.keep("web-1.out", max_size=100, keep=3)
    rig.append("web-1.out", b"unfinished\n")
    rig.drain()
    rig.log("web-1.out", 2).write_bytes(b"middle\n")  # was .1 until a moment ago
    rig.log("web-1.out", 3).write_bytes(b"oldest\n")
    rig.append("web-1.out", numbered(0, 2))
    rig.drain()
    assert rig.whole_log("web-1.out") == b"oldest\nmiddle\nunfinished\n" + numbered(0, 2)


def test_the_index_is_as_short_as_the_logs(rig: Rig) -> None:
    rig.keep("web-1.out", max_size=1000, keep=2)
    for first in range(0, 6000, 10):
        rig.append("web-1.out", numbered(first, 10))
        rig.drain()
    assert rig.spool("web-1.out.idx").stat().st_size < 100 * 32


def test_a_hundred_streams(rig: Rig) -> None:
    names = [f"web-{i}.out" for i in range(1, 101)]
    rig.keep(*names)
    for part in range(10):
        for name in names:
            rig.append(name, numbered(part * 20, 20))
    rig.drain()
    assert all(numbers(rig.whole_log(name)) == list(range(200)) for name in names)


def test_more_streams_than_files_may_be_open(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (100, hard))
    try:
        rig.start()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    names = [f"web-{i}.out" for i in range(1, 101)]
    rig.keep(*names)
    for part in range(3):
        for name in names:
            rig.append(name, numbered(part * 5, 5))
        rig.drain()
    assert all(numbers(rig.whole_log(name)) == list(range(15)) for name in names)
    rig.stop()


def test_the_spool_takes_no_space(rig: Rig) -> None:
    rig.keep("web-1.out", max_size=20 << 20, keep=1)
    chunk = numbered(0, 15_000)
    for _ in range(200):
        rig.append("web-1.out", chunk)
    rig.drain()
    spool = rig.spool("web-1.out").stat()
    assert spool.st_size == 200 * len(chunk) > 200_000_000
    assert spool.st_blocks * 512 <= 512 << 10


def test_a_spool_that_never_rests_takes_no_space_either(rig: Rig) -> None:
    rig.keep("web-1.out")
    for _ in range(40):
        rig.append("web-1.out", numbered(0, 900))
        rig.drain()
    assert rig.spool("web-1.out").stat().st_blocks * 512 <= 512 << 10


def test_a_spool_is_shortened_before_the_file_system_ends_it(rig: Rig) -> None:
    fd = os.open(rig.spool("web-1.out"), os.O_WRONLY | os.O_CREAT)
    try:
        os.ftruncate(fd, 1 << 40)
        collapse_front(fd, 1 << 30)
        os.ftruncate(fd, 1 << 40)
    except (OSError, KernelError):
        pytest.skip("no collapse range on this file system")
    finally:
        os.close(fd)
    rig.keep("web-1.out")
    for first in range(0, 100, 20):
        rig.append("web-1.out", numbered(first, 20))
        rig.drain()
    assert rig.spool("web-1.out").stat().st_size < 4 << 20
    rig.kill()
    rig.start()
    rig.append("web-1.out", numbered(100, 20))
    rig.drain()
    assert numbers(rig.whole_log("web-1.out")) == list(range(120))


def test_a_byte_written_just_before_the_watch_is_there_wakes_nobody_and_is_seen(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    ours, theirs = os.pipe()
    pump = Pump(theirs, str(rig.spools))
    pump._inotify = Inotify()
    add_watch, late = pump._watch, [b"just before\n"]

    def write_then_watch(stream: str) -> None:
        if late:
            rig.append(stream, late.pop())
        add_watch(stream)

    pump._watch = write_then_watch  # type: ignore[method-assign]
    pump._obey("keep", (str(rig.logs), 0, 3, 1 << 30), ["web-1.out"])
    for _ in range(3):
        pump._turn()
    assert rig.whole_log("web-1.out") == b"just before\n"
    os.close(ours)
    os.close(theirs)


def test_killed_again_and_again_it_moves_every_line_exactly_once(rig: Rig) -> None:
    names = ["web-1.out", "web-2.out", "web-2.err"]
    lines = 40_000
    rig.keep(*names, max_size=150_000, keep=100)

    def write(name: str) -> None:
        fd = os.open(rig.spool(name), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        for first in range(0, lines, 20):
            os.write(fd, numbered(first, 20))
        os.close(fd)

    writers = [threading.Thread(target=write, args=(name,)) for name in names]
    for writer in writers:
        writer.start()
    kills = 0
    while any(writer.is_alive() for writer in writers) or kills < 25:
        rig.wait_for("ready")
        pause(kills * 7 % 41 / 1000)
        rig.kill()
        rig.start()
        kills += 1
    rig.drain()
    for name in names:
        assert numbers(rig.whole_log(name)) == list(range(lines)), f"{name} after {kills} kills"


def test_a_stopped_pump_neither_blocks_the_writer_nor_loses_a_line(rig: Rig) -> None:
    rig.keep("web-1.out")
    rig.append("web-1.out", numbered(0, 10))
    rig.drain()
    assert rig.pump is not None
    rig.pump.signal(SIGSTOP)
    rig.append("web-1.out", numbered(10, 300_000))  # 21 MB: returns although nobody reads
    assert numbers(rig.whole_log("web-1.out")) == list(range(10))
    rig.pump.signal(SIGCONT)
    rig.drain()
    assert numbers(rig.whole_log("web-1.out")) == list(range(300_010))


def test_what_exceeds_the_spool_limit_is_dropped_counted_and_mentioned_in_its_place(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.append("web-1.out", numbered(0, 100_000))  # 7 MB
    rig.start()
    rig.keep("web-1.out", spool_limit=2 << 20)
    message = rig.wait_for("dropped")
    rig.drain()
    rig.append("web-1.out", numbered(100_000, 5))
    rig.drain()
    first, rest = rig.whole_log("web-1.out").split(b"\n", 1)
    kept = numbers(rest)
    assert kept == list(range(kept[0], 100_005))
    assert 20_000 < len(kept) <= (2 << 20) // 70
    assert message == ("dropped", "web-1.out", kept[0] * 70)
    assert first == b"[pidward: %d bytes dropped here: the log pump could not keep up]" % (kept[0] * 70)
    rig.stop()


def test_a_pump_killed_between_drop_and_log_still_tells_of_the_drop(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.append("web-1.out", numbered(0, 100_000))
    rig.logs.mkdir()
    rig.log("web-1.out").mkdir()  # it can drop, but not write
    rig.start()
    rig.keep("web-1.out", spool_limit=2 << 20)
    rig.wait_for("trouble")
    rig.kill()
    rig.log("web-1.out").rmdir()
    rig.start()
    rig.drain()
    first, rest = rig.whole_log("web-1.out").split(b"\n", 1)
    kept = numbers(rest)
    assert kept == list(range(kept[0], 100_000))
    assert first.startswith(b"[pidward: %d bytes dropped" % (kept[0] * 70))
    rig.stop()


def test_a_log_that_cannot_be_written_waits_in_the_spool_and_is_reported_once(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.logs.mkdir()
    rig.log("web-1.out").mkdir()
    rig.start()
    rig.keep("web-1.out", "web-2.out")
    rig.append("web-1.out", numbered(0, 100))
    rig.append("web-2.out", numbered(0, 100))
    trouble = rig.wait_for("trouble")
    assert "web-1.out" in str(trouble[1])
    assert "Is a directory" in str(trouble[1])
    rig.drain()
    assert numbers(rig.whole_log("web-2.out")) == list(range(100)), "others are not held up"
    rig.log("web-1.out").rmdir()
    assert rig.wait_for("trouble") == ("trouble", ""), "well again by itself"
    assert numbers(rig.whole_log("web-1.out")) == list(range(100))
    rig.stop()


def test_a_forgotten_worker_leaves_its_logs_and_no_spool(rig: Rig) -> None:
    rig.keep("web-1.out")
    rig.append("web-1.out", numbered(0, 50))
    rig.forget("web-1.out")
    rig.append("web-1.out", numbered(50, 5))  # the next worker of this name, before the pump has finished the old one
    rig.keep("web-1.out")
    rig.drain()
    while not rig.log("web-1.out").exists() or len(numbers(rig.whole_log("web-1.out"))) < 55:
        rig.drain()
    assert numbers(rig.whole_log("web-1.out")) == list(range(55))
    rig.forget("web-1.out")
    assert rig.wait_for("gone") == ("gone", "web-1.out")
    assert [p.name for p in rig.spools.glob("web*")] == ["web-1.out.idx"]


def test_killed_while_finishing_spools_it_repeats_and_loses_nothing(rig: Rig) -> None:
    expected = 0
    for life in range(12):
        rig.keep("web-1.out", max_size=900, keep=200)
        rig.append("web-1.out", numbered(expected, 30))
        expected += 30
        rig.forget("web-1.out")
        pause(life / 30)
        rig.kill()
        rig.start()
        rig.forget_again("web-1.out")
        rig.wait_for("gone")
    assert numbers(rig.whole_log("web-1.out")) == list(range(expected))


def test_a_log_that_was_moved_or_deleted_or_emptied_is_begun_anew(rig: Rig) -> None:
    rig.keep("web-1.out")
    rig.append("web-1.out", b"one\n")
    rig.drain()
    moved = rig.log("web-1.out").rename(rig.logs / "moved")
    rig.append("web-1.out", b"two\n")
    rig.drain()
    assert (moved.read_bytes(), rig.log("web-1.out").read_bytes()) == (b"one\n", b"two\n")
    rig.log("web-1.out").unlink()
    rig.append("web-1.out", b"three\n")
    rig.drain()
    assert rig.log("web-1.out").read_bytes() == b"three\n"
    os.truncate(rig.log("web-1.out"), 0)
    rig.append("web-1.out", b"four\n")
    rig.drain()
    assert rig.log("web-1.out").read_bytes() == b"four\n"


def test_a_spool_that_was_emptied_or_deleted_goes_on(rig: Rig) -> None:
    rig.keep("web-1.out")
    rig.append("web-1.out", b"a first line\n")
    rig.drain()
    os.truncate(rig.spool("web-1.out"), 0)
    rig.append("web-1.out", b"second\n")
    rig.drain()
    rig.spool("web-1.out").unlink()
    deadline = time.monotonic() + 10
    while not rig.spool("web-1.out").exists():
        assert time.monotonic() < deadline, "the spool was not made again"
        rig.drain()
    rig.append("web-1.out", b"third\n")
    rig.drain()
    assert rig.whole_log("web-1.out") == b"a first line\nsecond\nthird\n"


def test_an_idle_pump_never_wakes_up(rig: Rig) -> None:
    rig.keep(*[f"web-{i}.{end}" for i in range(1, 21) for end in ("out", "err")])
    rig.append("web-1.out", b"hello\n")
    rig.drain()
    rest(rig)
    before = switches(rig)
    pause(2)
    assert switches(rig) == before
    rig.append("web-1.out", b"again\n")
    deadline = time.monotonic() + 10
    while rig.whole_log("web-1.out") != b"hello\nagain\n":
        assert time.monotonic() < deadline, "the watch did not wake it"


def test_when_the_supervisor_is_gone_it_moves_the_rest_and_the_next_one_waits_for_it(tmp_path: Path) -> None:
    first, second = Rig(tmp_path), Rig(tmp_path)
    first.start()
    first.keep("web-1.out")
    first.drain()
    assert first.pump is not None
    first.pump.signal(SIGSTOP)
    second.start()
    second.keep("web-1.out")
    first.append("web-1.out", numbered(0, 10_000))
    assert second._socket is not None
    assert not select.select([second._socket], [], [], 0.3)[0], "two pumps at work"
    first.pump.signal(SIGCONT)
    first.stop()
    second.wait_for("ready")
    second.drain()
    assert numbers(second.whole_log("web-1.out")) == list(range(10_000))
    second.stop()


def test_an_answer_waits_for_a_supervisor_that_listens_late(rig: Rig) -> None:
    names = [f"gone-{i}.out" for i in range(1, 1501)]
    rig.forget_again(*names)
    rest(rig)  # it has said of each that it is gone, more than the socket holds
    rig.drain()
    assert [message[1] for message in rig.heard if message[0] == "gone"] == names


def test_terminal_and_service_signals_do_not_end_it(rig: Rig) -> None:
    rig.keep("web-1.out")
    rig.drain()
    assert rig.pump is not None
    for number in (1, 2, 15):
        rig.pump.signal(number)
    rig.append("web-1.out", b"still here\n")
    rig.drain()
    assert rig.whole_log("web-1.out") == b"still here\n"


def test_a_full_disk_is_survived_and_nothing_is_lost_when_there_is_space_again(tmp_path: Path) -> None:
    script = Path(__file__).with_name("full_disk.py")
    reading, writing = os.pipe()
    process = start_helper((sys.executable, str(script), str(tmp_path)), reading)
    os.close(reading)
    os.close(writing)
    assert wait_exit(process, Seconds(60))
    status = reap(process)
    process.close()
    assert status is not None
    if status.code == 77:
        pytest.skip("CAP_SYS_ADMIN: no mount namespace for a small disk")
    assert status.code == 0, (tmp_path / "said").read_text()
