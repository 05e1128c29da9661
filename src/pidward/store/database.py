"""The one file, and all SQL that is spoken to it."""

import _sqlite3 as sqlite3  # the module above it loads datetime for adapters that nobody here needs, 0.4 MiB
import os
from _json import encode_basestring_ascii, make_encoder  # json itself needs regular expressions to read, 0.3 MiB
from collections.abc import Sequence

from pidward.core.lean import NamedTuple, Self
from pidward.core.model import EventRow
from pidward.store.rows import Fact, is_scale, recorded, scale, wish

_encode = make_encoder(None, str, encode_basestring_ascii, None, ":", ",", False, False, True)
"""As ``json.dumps`` with short separators and ``default=str``."""

MIGRATIONS = (
    """
    CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE wish (worker TEXT PRIMARY KEY, wanted TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE worker (
        name TEXT PRIMARY KEY, phase TEXT NOT NULL, wanted TEXT NOT NULL, process TEXT, boot_id TEXT NOT NULL,
        tree TEXT, since REAL NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE event (
        seq INTEGER PRIMARY KEY, wall REAL NOT NULL, kind TEXT NOT NULL, worker TEXT NOT NULL, text TEXT NOT NULL,
        data TEXT NOT NULL
    );
    """,
    """
    ALTER TABLE worker ADD COLUMN until REAL;
    ALTER TABLE worker ADD COLUMN started REAL;
    ALTER TABLE worker ADD COLUMN starts TEXT NOT NULL DEFAULT '';
    ALTER TABLE worker ADD COLUMN failures INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE worker ADD COLUMN restarts INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE worker ADD COLUMN daemon INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE worker ADD COLUMN made TEXT NOT NULL DEFAULT '';
    ALTER TABLE worker ADD COLUMN log_mode TEXT NOT NULL DEFAULT '';
    """,
)
"""Each brings the schema from the version of its place in this list to the next."""
VERSION = len(MIGRATIONS)
_COLUMNS = ", ".join(("name", *Fact._fields))  # those of the table worker
_PLACES = ", ".join("?" * (1 + len(Fact._fields)))

_SETTINGS = """
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = NORMAL;
    PRAGMA journal_size_limit = 4194304;
    PRAGMA cache_size = -256;
    PRAGMA temp_store = MEMORY;
"""
_DAMAGE_CODES = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_FILES = ("", "-wal", "-shm")


class NewerSchema(Exception):
    """The file was written by a later version of pidward, which alone knows what it means."""

    def __init__(self, path: str, found: int) -> None:
        super().__init__(
            f"{path} was written by a newer pidward (schema {found}, this version knows {VERSION}): install that "
            "version again, or move the file away to begin without its history and without what operators have stopped"
        )


class Damaged(sqlite3.DatabaseError):
    """The file is a database, but what is in it is not what was written."""


class Batch(NamedTuple):
    """What is written in one transaction."""

    events: Sequence[EventRow]
    facts: dict[str, Fact | None]  # None: forget
    wishes: dict[str, str | None]
    reserved_seq: int


class Found(NamedTuple):
    """What the file says when it is opened."""

    facts: dict[str, Fact]
    wishes: dict[str, str]
    next_seq: int


class Database:
    """An open file. Methods raise sqlite3.Error; ``is_damage`` tells what kind."""

    def __init__(self, connection: sqlite3.Connection, path: str, inode: int) -> None:
        self._connection, self._path, self._inode = connection, path, inode

    @classmethod
    def open(cls, path: str) -> Self:
        """Open for reading and writing; made with mode 0600 when missing.

        Raises:
            NewerSchema: see there.
            sqlite3.Error, OSError: it cannot be used.
        """
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        except FileExistsError:
            os.chmod(path, 0o600)  # not opened: closing it would take away the locks of a reader in this process
        connection = sqlite3.connect(
            path, timeout=1.0, isolation_level=None, check_same_thread=False, cached_statements=16
        )
        try:
            connection.executescript(_SETTINGS)
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version > VERSION:
                raise NewerSchema(path, version)
            for step in range(version, VERSION):
                connection.executescript(f"BEGIN; {MIGRATIONS[step]} PRAGMA user_version = {step + 1}; COMMIT;")
        except BaseException:
            connection.close()
            raise
        return cls(connection, path, os.stat(path).st_ino)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def is_in_place(self) -> bool:
        """Nobody has deleted or moved the file."""
        try:
            return os.stat(self._path).st_ino == self._inode
        except FileNotFoundError:
            return False

    def find(self, boot_id: str, reserve: int) -> Found:
        """Read what the last run left, and reserve some numbers of events for this one.

        Facts of other boots are forgotten: their processes cannot exist.
        """
        query = self._connection.execute
        query("DELETE FROM worker WHERE boot_id != ?", (boot_id,))
        facts = {name: Fact(*row) for name, *row in query(f"SELECT {_COLUMNS} FROM worker")}  # noqa: S608 - a constant
        wishes = dict(query("SELECT worker, wanted FROM wish"))
        (newest,) = query("SELECT coalesce(max(seq), 0) FROM event").fetchone()
        reserved = query("SELECT value FROM meta WHERE name = 'reserved_seq'").fetchone()
        _check(facts, wishes)
        next_seq = max(newest, reserved[0] if reserved else 0) + 1
        self._reserve(next_seq + reserve)
        return Found(facts, wishes, next_seq)

    def write(self, batch: Batch) -> None:
        """Write all of it or nothing."""
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            connection.executemany(
                "INSERT OR REPLACE INTO event VALUES (?, ?, ?, ?, ?, ?)",
                ((e.seq, e.wall, e.kind, e.worker, _clean(e.text), _dump(e.data)) for e in batch.events),
            )
            connection.executemany("DELETE FROM worker WHERE name = ?", ((name,) for name in batch.facts))
            connection.executemany(
                f"INSERT INTO worker ({_COLUMNS}) VALUES ({_PLACES})",  # noqa: S608 - constants
                ((name, *fact) for name, fact in batch.facts.items() if fact is not None),
            )
            connection.executemany("DELETE FROM wish WHERE worker = ?", ((name,) for name in batch.wishes))
            connection.executemany(
                "INSERT INTO wish VALUES (?, ?)", (pair for pair in batch.wishes.items() if pair[1] is not None)
            )
            self._reserve(batch.reserved_seq)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def release(self, next_seq: int) -> None:
        """Give the reserved numbers back from ``next_seq`` on."""
        self._reserve(next_seq - 1)

    def _reserve(self, last: int) -> None:
        self._connection.execute("INSERT OR REPLACE INTO meta VALUES ('reserved_seq', ?)", (last,))

    def count_events(self) -> int:
        """How many events there are."""
        (number,) = self._connection.execute("SELECT count(*) FROM event").fetchone()
        return int(number)

    def forget_events(self, before: float, surplus: int, most: int) -> int:
        """Delete some of the oldest events: those of before an instant, and ``surplus`` of any age.

        Returns:
            How many were deleted, at most ``most``; call again when it was that many.
        """
        return self._connection.execute(
            "DELETE FROM event WHERE seq IN (SELECT seq FROM (SELECT seq, wall, row_number() OVER (ORDER BY seq) AS n "
            "FROM event ORDER BY seq LIMIT ?) WHERE wall < ? OR n <= ?)",
            (most, before, surplus),
        ).rowcount


def read_events(path: str, since: int, limit: int) -> list[EventRow]:
    """Events from the file, oldest first: those with seq > since, or with since < 0 the newest ``-since``.

    Opens and closes the file: it is seldom asked for, and holds no memory in between.

    After an orderly end there is no write-ahead log. SQLite would make one, and leave it, even to read; so the file is
    then taken as one that nobody changes.
    """
    how = "mode=ro" if os.path.exists(path + "-wal") else "mode=ro&immutable=1"
    connection = sqlite3.connect(f"file:{_quoted(path)}?{how}", uri=True, timeout=0.2, isolation_level=None)
    try:
        if since < 0:
            rows = connection.execute("SELECT * FROM event ORDER BY seq DESC LIMIT ?", (min(-since, limit),)).fetchall()
            rows.reverse()
        else:
            rows = connection.execute(
                "SELECT * FROM event WHERE seq > ? ORDER BY seq LIMIT ?", (since, limit)
            ).fetchall()
    finally:
        connection.close()
    try:
        return [
            EventRow(int(seq), float(wall), str(kind), str(worker), str(text), _load(data))
            for seq, wall, kind, worker, text, data in rows
        ]
    except (TypeError, ValueError) as error:
        raise Damaged(f"an event cannot be understood: {error}") from error


def move_aside(path: str) -> str:
    """Give a damaged file another name, with all that belongs to it; returns the name."""
    number = 1
    while os.path.lexists(f"{path}.corrupt-{number}"):
        number += 1
    aside = f"{path}.corrupt-{number}"
    for end in _FILES:
        try:
            os.rename(path + end, aside + end)
        except FileNotFoundError:
            pass
    return aside


def is_damage(error: BaseException) -> bool:
    """The file is not, or no longer, a database; nothing but a new one helps."""
    code = getattr(error, "sqlite_errorcode", None)
    return isinstance(error, Damaged) or (code is not None and code & 0xFF in _DAMAGE_CODES)


def _check(facts: dict[str, Fact], wishes: dict[str, str]) -> None:
    try:
        for name, fact in facts.items():
            recorded(name, fact)
        for name, wanted in wishes.items():
            if is_scale(name):
                scale(wanted)
            else:
                wish(name, wanted)
    except (TypeError, ValueError, AttributeError) as error:
        raise Damaged(f"the state of a worker cannot be understood: {error}") from error


def _clean(text: str) -> str:
    """The text without what is no Unicode, as bytes of file names are."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def _dump(data: dict[str, object]) -> str:
    return "".join(_encode(data, 0))


def _load(data: str) -> dict[str, object]:
    import json  # noqa: PLC0415 - for those who look back further than memory reaches

    return dict(json.loads(data))


def _quoted(path: str) -> str:
    return path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
