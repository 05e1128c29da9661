"""What is remembered over ends of every kind, and what happens when nothing can be written."""

import os
import sqlite3
import stat
import threading
from contextlib import closing
from pathlib import Path

import pytest

from pidward.core.actions import Record
from pidward.core.adoption import Life
from pidward.core.model import EventRow, ExitStatus, Phase, ProcessId, Source, Usage, Wanted, WorkerName
from pidward.core.units import Instant, Seconds
from pidward.store import store as store_module
from pidward.store.database import Batch, Database
from pidward.store.store import NewerSchema, Recorded, Store
from tests.isolation import end, fork, run_apart
from tests.logs.full_disk import mount_small
from tests.store.conftest import Opener, Troubles

WEB1, WEB2 = WorkerName("web", 1), WorkerName("web", 2)
WALL = 1_700_000_000.0
HISTORY = Seconds(1e9)


def running(name: WorkerName = WEB1, pid: int = 10) -> Record:
    return Record(name, Phase.STARTING, Phase.RUNNING, "it runs", Wanted.UP, ProcessId(pid, pid + 1000))


def ended(name: WorkerName = WEB1, pid: int = 10) -> Record:
    status = ExitStatus(None, 11, True, Source.WAITID, Usage(0.5, 0.25, 1 << 20))
    return Record(name, Phase.RUNNING, Phase.BACKING_OFF, "SIGSEGV", Wanted.UP, ProcessId(pid, pid + 1000), status)


def remember(store: Store, record: Record, tree: str | None = "/cg/web") -> EventRow:
    return store.record(record, WALL, Instant(5.0), tree)


def note(store: Store, text: str, wall: float = WALL) -> EventRow:
    return store.note("supervisor", "", text, {"text": text}, wall)


def test_events_come_back_as_they_were_after_a_restart(open_store: Opener, troubles: Troubles) -> None:
    first = open_store()
    rows = [remember(first, running()), remember(first, ended()), note(first, "caf\u00e9, na\u00efve \u2713")]
    assert first.events(0, 10) == rows, "before they are on the disk"
    first.close()
    second = open_store()
    assert second.events(0, 10) == rows
    assert second.events(-2, 10) == rows[1:]
    assert second.events(1, 1) == rows[1:2]
    assert second.events(-5, 0) == []
    assert rows[1].data["exit"] == {
        "code": None, "signal": "SIGSEGV", "core_dumped": True, "source": "waitid",
        "user_s": 0.5, "system_s": 0.25, "max_rss_bytes": 1 << 20,
    }  # fmt: skip
    assert (rows[0].text, rows[0].worker) == ("web/1 running (10:1010): it runs", "web/1")
    assert note(second, "next").seq == 4
    assert troubles == []


def test_bytes_that_are_no_text_are_kept_as_escapes(open_store: Opener, troubles: Troubles) -> None:
    store = open_store()
    note(store, "file \udcff\udcfe")
    assert store.flush(10)
    store.close()
    assert open_store().events(0, 9)[0].text == "file \\udcff\\udcfe"
    assert troubles == []


def test_what_lived_is_known_in_the_same_boot_only(open_store: Opener) -> None:
    store = open_store()
    remember(store, running(WEB1))
    remember(store, running(WEB2, 20), None)
    remember(store, ended(WEB2, 20))
    assert store.living() == [], "what the last run left, not what this one does"
    store.close()
    again = open_store()
    (found,) = again.living()
    assert found._replace(life=Life()) == Recorded(WEB1, ProcessId(10, 1010), "boot", "/cg/web", Phase.RUNNING)
    again.close()
    assert open_store(boot="another").living() == []


def test_what_operators_want_survives_and_what_is_forgotten_does_not(open_store: Opener) -> None:
    store = open_store()
    store.wish(WEB1, Wanted.DOWN)
    store.wish(WEB2, Wanted.DOWN)
    store.wish(WEB2, Wanted.UP)
    remember(store, running())
    assert store.wanted() == {WEB1: Wanted.DOWN, WEB2: Wanted.UP}
    store.close()
    again = open_store()
    assert again.wanted() == {WEB1: Wanted.DOWN, WEB2: Wanted.UP}
    again.forget(WEB1)
    again.close()
    last = open_store()
    assert (last.wanted(), last.living()) == ({WEB2: Wanted.UP}, [])


def test_a_scale_survives_until_it_is_what_the_file_says(open_store: Opener) -> None:
    store = open_store()
    store.scale("web", 5, of=2)
    store.scale("api", 0, of=1)
    store.wish(WEB1, Wanted.DOWN)
    store.close()
    again = open_store()
    assert again.scales() == {"web": (5, 2), "api": (0, 1)}
    assert again.wanted() == {WEB1: Wanted.DOWN}
    again.scale("web", 2, of=2)
    again.close()
    assert open_store().scales() == {"api": (0, 1)}


def test_flush_means_committed(open_store: Opener, tmp_path: Path) -> None:
    store = open_store()
    row = note(store, "kept")
    assert store.flush(10)
    other = sqlite3.connect(tmp_path / "state.db")
    assert other.execute("SELECT seq FROM event").fetchall() == [(row.seq,)]
    other.close()
    assert store.flush(0), "nothing to wait for"


def test_who_hurries_waits_for_nothing_and_is_called_when_it_is_written(open_store: Opener, tmp_path: Path) -> None:
    store, called = open_store(), threading.Event()
    store.on_settled = called.set
    row = note(store, "kept")
    ticket = store.hurry()
    assert called.wait(10)
    assert store.is_settled(ticket)
    with closing(sqlite3.connect(tmp_path / "state.db")) as other:
        assert other.execute("SELECT seq FROM event").fetchall() == [(row.seq,)]
    assert store.is_settled(store.hurry()), "nothing to wait for"
    note(store, "not awaited yet")
    assert not store.is_settled(ticket + 1)


def test_a_store_in_trouble_keeps_nobody_waiting(open_store: Opener, tmp_path: Path) -> None:
    store, called = open_store(), threading.Event()
    note(store, "kept")
    assert store.flush(10)
    store.on_settled = called.set
    (tmp_path / "state.db").unlink()
    (tmp_path / "state.db").mkdir()
    note(store, "cannot be kept")
    ticket = store.hurry()
    assert called.wait(10)
    assert store.is_settled(ticket)
    (tmp_path / "state.db").rmdir()


def test_killed_while_writing_it_keeps_what_was_flushed_and_reuses_no_number(
    open_store: Opener, tmp_path: Path
) -> None:
    reading, writing = os.pipe()

    def write_until_killed() -> int:
        os.close(reading)
        store = open_store()
        while True:
            row = [remember(store, running()) for _ in range(50)][-1]
            store.wish(WEB1, Wanted.DOWN)
            assert store.flush(10)
            unflushed = [note(store, "perhaps lost").seq for _ in range(7)][-1]
            os.write(writing, b"%d %d\n" % (row.seq, unflushed))

    flushed = given = 0
    for life in range(4):
        child = fork(write_until_killed)
        lines = b""
        while lines.count(b"\n") < 2 + 3 * life:
            lines += os.read(reading, 4096)
        end(child)
        first, last = (int(n) for n in lines.split(b"\n")[lines.count(b"\n") - 1].split())
        assert first > given, "numbers of the life before were used again"
        flushed, given = first, last
    os.close(reading)
    os.close(writing)
    store = open_store()
    assert note(store, "after").seq > given
    seqs = {row.seq for row in store.events(0, 100_000)}
    assert flushed in seqs
    assert store.wanted() == {WEB1: Wanted.DOWN}
    assert [r.name for r in store.living()] == [WEB1]


def test_killed_before_anything_was_written_it_reuses_no_number(open_store: Opener) -> None:
    reading, writing = os.pipe()

    def note_one() -> int:
        os.write(writing, b"%d" % note(open_store(), "lost").seq)
        threading.Event().wait()
        return 0

    child = fork(note_one)
    seq = int(os.read(reading, 20))
    end(child)
    os.close(reading)
    os.close(writing)
    assert note(open_store(), "next").seq > seq


def test_what_comes_while_it_is_writing_is_written_next(open_store: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store()
    write, late = Database.write, ["while writing"]

    def write_slowly(database: Database, batch: Batch) -> None:
        write(database, batch)
        if late:
            note(store, late.pop())

    monkeypatch.setattr(Database, "write", write_slowly)
    note(store, "first")
    assert store.flush(10)
    assert store.flush(10)
    store.close()
    assert [row.text for row in open_store().events(0, 10)] == ["first", "while writing"]


@pytest.mark.parametrize("exists", [False, True])
def test_only_the_owner_may_read_it(exists: bool, open_store: Opener, tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    if exists:
        path.touch(mode=0o644)
    store = open_store()
    note(store, "x")
    assert store.flush(10)
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in tmp_path.iterdir()}
    assert modes == {"state.db": 0o600, "state.db-wal": 0o600, "state.db-shm": 0o600}


def test_history_is_limited_by_number_and_by_age(open_store: Opener) -> None:
    store = open_store(most=100)
    for i in range(3000):
        note(store, str(i))
    assert store.flush(10)
    note(store, "last")
    assert store.flush(10)
    store.close()
    kept = open_store(most=100).events(0, 10_000)
    assert [row.text for row in kept][-1] == "last"
    assert len(kept) == 100

    aged = open_store(most=100, history=60)
    note(aged, "a minute and more later", WALL + 61)
    aged.close()
    assert [row.text for row in open_store().events(0, 1000)] == ["a minute and more later"]


def test_older_events_than_those_in_memory_come_from_the_file(
    open_store: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "MAX_RECENT", 10)
    store = open_store()
    for i in range(100):
        note(store, str(i))
    assert [row.text for row in store.events(0, 3)] == ["0", "1", "2"]
    assert [row.seq for row in store.events(50, 1000)] == list(range(51, 101))
    assert [row.seq for row in store.events(-30, 1000)] == list(range(71, 101))
    assert store.flush(10)
    assert [row.seq for row in store.events(-30, 1000)] == list(range(71, 101))


def test_a_newer_schema_is_refused_in_clear_words(open_store: Opener, tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    open_store().close()
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 7")
    db.close()
    with pytest.raises(NewerSchema, match=r"state\.db was written by a newer pidward \(schema 7, "):
        open_store()
    db = sqlite3.connect(path)
    assert db.execute("PRAGMA user_version").fetchone() == (7,), "untouched"
    db.close()


def filled(open_store: Opener, path: Path) -> bytes:
    store = open_store(path)
    for i in range(500):
        note(store, f"event {i}")
    for i in range(50):
        remember(store, running(WorkerName("web", i + 1), i + 1))
        store.wish(WorkerName("web", i + 1), Wanted.DOWN)
    store.close()
    return path.read_bytes()


@pytest.mark.parametrize("share", [0.001, 0.02, 0.2, 0.5, 0.77, 0.99])
def test_a_file_cut_off_anywhere_is_moved_aside_when_it_matters_and_supervision_goes_on(
    share: float, open_store: Opener, tmp_path: Path, troubles: Troubles
) -> None:
    path = tmp_path / "state.db"
    whole = filled(open_store, path)
    path.write_bytes(whole[: int(len(whole) * share)])
    store = open_store()
    store.events(0, 10_000)
    remember(store, running(WEB1, 77))
    store.wish(WEB1, Wanted.DOWN)
    note(store, "on we go")
    assert flushed_in_the_end(store)
    store.close()
    asides = list(tmp_path.glob("state.db.corrupt-1"))
    assert bool(asides) == any(t and "damaged" in t and "corrupt-1" in t for t in troubles)
    assert troubles.now is None
    again = open_store()
    assert "on we go" in [row.text for row in again.events(0, 10_000)]
    assert again.wanted()[WEB1] is Wanted.DOWN
    assert ProcessId(77, 1077) in [r.process for r in again.living()]


@pytest.mark.parametrize("position", range(30))
def test_garbage_in_the_file_never_raises(position: int, open_store: Opener, tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    whole = bytearray(filled(open_store, path))
    at = position * len(whole) // 30
    whole[at : at + 300] = os.urandom(300)
    path.write_bytes(whole)
    try:
        store = open_store()
    except NewerSchema:
        return  # 300 random bytes over the header can say so
    before = store.events(0, 10_000)
    row = note(store, "after")
    store.events(-10, 10)
    assert all(old.seq < row.seq for old in before)
    assert flushed_in_the_end(store)


def test_what_is_damaged_while_open_is_replaced_with_all_that_memory_knows(
    open_store: Opener, tmp_path: Path, troubles: Troubles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "MAX_RECENT", 1)
    store = open_store()
    remember(store, running(WEB1))
    store.wish(WEB2, Wanted.DOWN)
    assert store.flush(10)
    for end_of_name in ("", "-wal"):
        (tmp_path / f"state.db{end_of_name}").write_bytes(b"no database " * 4000)
    note(store, "after")
    store.events(0, 10)
    assert flushed_in_the_end(store)
    assert any(t and "damaged" in t for t in troubles)
    store.close()
    again = open_store()
    assert again.wanted() == {WEB2: Wanted.DOWN}
    assert [r.name for r in again.living()] == [WEB1]


def test_a_deleted_file_is_made_again_with_all_that_memory_knows(open_store: Opener, tmp_path: Path) -> None:
    store = open_store()
    remember(store, running(WEB1))
    assert store.flush(10)
    for path in tmp_path.glob("state.db*"):
        path.unlink()
    note(store, "after")
    assert flushed_in_the_end(store)
    store.close()
    again = open_store()
    assert [r.name for r in again.living()] == [WEB1]
    assert "after" in [row.text for row in again.events(0, 100)]


def test_a_directory_that_cannot_be_used_is_reported_once_and_used_when_it_can(
    open_store: Opener, tmp_path: Path, troubles: Troubles
) -> None:
    path = tmp_path / "missing" / "state.db"
    store = open_store(path)
    assert len(troubles) == 1
    assert "not saved" in str(troubles.now)
    assert str(path) in str(troubles.now)
    rows = [note(store, "one"), note(store, "two")]
    store.wish(WEB1, Wanted.DOWN)
    assert not store.flush(5), "it says so at once"
    assert store.events(0, 10) == rows or store.events(-2, 10) == rows
    path.parent.mkdir()
    wait_until_well(troubles)
    assert len(troubles) == 2
    store.close()
    again = open_store(path)
    assert again.events(-2, 10) == rows
    assert again.wanted() == {WEB1: Wanted.DOWN}


def test_a_read_only_directory_stops_nothing(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("CAP_SETUID: another user is needed who may not write")
    directory = tmp_path / "state"
    directory.mkdir()

    def scenario() -> None:
        os.chmod(tmp_path.parent.parent, 0o755)
        os.chmod(tmp_path.parent, 0o755)
        os.chmod(tmp_path, 0o755)
        os.setgroups([])
        os.setresgid(65534, 65534, 65534)
        os.setresuid(65534, 65534, 65534)
        troubles: Troubles = Troubles()
        store = Store.open(
            str(directory / "state.db"), boot_id="b", history=HISTORY, history_max=10, on_trouble=troubles.append
        )
        row = note(store, "kept in memory")
        assert not store.flush(5)
        assert store.events(-1, 1) == [row]
        assert "Permission denied" in str(troubles.now)
        store.close()

    run_apart(scenario)


def test_a_full_disk_is_reported_once_and_recovered_from(tmp_path: Path) -> None:
    def scenario() -> None:
        mount_small(tmp_path, "600k")
        troubles: Troubles = Troubles()
        store = Store.open(
            str(tmp_path / "state.db"), boot_id="b", history=HISTORY, history_max=10**6,
            on_trouble=troubles.append,
        )  # fmt: skip
        first = note(store, "first")
        assert store.flush(10)
        (tmp_path / "ballast").write_bytes(bytes(250_000))
        rows = [note(store, "x" * 1000) for _ in range(900)]
        assert not store.flush(10)
        assert len(troubles) == 1
        assert "full" in str(troubles.now)
        assert store.events(-1, 1) == rows[-1:]
        os.remove(tmp_path / "ballast")
        store._events.clear()  # they are more than this disk can ever hold
        last = note(store, "last")
        wait_until_well(troubles)
        store.close()
        again = Store.open(
            str(tmp_path / "state.db"), boot_id="b", history=HISTORY, history_max=10**6,
            on_trouble=troubles.append,
        )  # fmt: skip
        assert {first.seq, last.seq} <= {row.seq for row in again.events(0, 10_000)}
        again.close()

    run_apart(scenario)


def test_what_waits_has_a_limit_and_what_was_dropped_is_counted(
    open_store: Opener, tmp_path: Path, troubles: Troubles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "MAX_WAITING", 20)
    path = tmp_path / "missing" / "state.db"
    store = open_store(path)
    rows = [note(store, str(i)) for i in range(50)]
    path.parent.mkdir()
    wait_until_well(troubles)
    assert flushed_in_the_end(store)
    store.close()
    kept = open_store(path).events(0, 1000)
    assert kept[:20] == rows[30:]
    assert kept[20].kind == "store"
    assert kept[20].data == {"dropped": 30}


def test_an_idle_store_never_wakes_up(open_store: Opener) -> None:
    store = open_store()
    note(store, "x")
    assert store.flush(10)
    tid = store._thread.native_id

    def switches() -> str:
        status = Path(f"/proc/self/task/{tid}/status").read_text()
        return status[status.index("voluntary_ctxt") :]

    threading.Event().wait(0.3)
    before = switches()
    threading.Event().wait(1.0)
    assert switches() == before


def wait_until_well(troubles: Troubles) -> None:
    for _ in range(1000):
        if troubles.now is None:
            return
        threading.Event().wait(0.02)
    raise AssertionError(f"still in trouble: {troubles}")


def flushed_in_the_end(store: Store) -> bool:
    """Flush, over as many tries as a repair takes."""
    return any(store.flush(1) or threading.Event().wait(0.05) for _ in range(200))
