"""The store's face to the loop: everything is handed over in memory, and a thread writes it.

Nothing here raises into the loop and nothing waits, but ``flush``, which says how long. When the disk is full,
read-only or broken, what is to be kept waits in memory with a limit, and supervision goes on.
"""

import threading
import time
from _sqlite3 import Error as SqlError
from collections import deque
from collections.abc import Callable

from pidward.core.actions import Record
from pidward.core.adoption import Life, Recorded
from pidward.core.lean import Self
from pidward.core.model import EventRow, Wanted, WorkerName
from pidward.core.units import Instant, Seconds
from pidward.store import rows
from pidward.store.database import Batch, Database, NewerSchema, is_damage, move_aside, read_events
from pidward.store.rows import Fact

__all__ = ["NewerSchema", "Recorded", "Store"]

MAX_WAITING = 10_000
"""Events that wait to be written; beyond it the oldest are dropped and counted."""
MAX_RECENT = 500
"""Events kept in memory, so that following them reads no disk."""
GATHERING = 0.1
"""Seconds from the first thing to be written to writing: a thousand restarts are one transaction, and after them."""
BACKOFF_FIRST, BACKOFF_LAST = 0.5, 30.0
RESERVE = 20_000
"""Numbers of events are promised to nobody else in blocks of this, so that none is used twice after a crash."""
DELETE_BATCH = 1000


class Store:
    """Made by ``open``. All methods belong to one thread, the loop's; the writer is the store's own."""

    def __init__(
        self,
        path: str,
        boot_id: str,
        history: Seconds,
        history_max: int,
        on_trouble: Callable[[str | None], None],
    ) -> None:
        self._path, self._boot_id = path, boot_id
        self._history, self._history_max = history, history_max
        self._on_trouble = on_trouble
        self._living: list[Recorded] = []
        self._recent: deque[EventRow] = deque(maxlen=MAX_RECENT)
        self._next_seq = 1
        # Shared with the writer, under the lock:
        self._changed = threading.Condition()
        self._events: deque[EventRow] = deque()
        self._dropped = 0
        self._facts: dict[str, Fact] = {}
        self._wishes: dict[str, str] = {}
        self._stale_facts: dict[str, None] = {}
        self._stale_wishes: dict[str, None] = {}
        self._handed_over = self._committed = 0
        self._awaited = 0  # a ticket of ``hurry``
        self._hurry = self._closing = self._damaged = False
        self._trouble: str | None = None
        # The writer's own:
        self._database: Database | None = None
        self._reserved = 0
        self._kept = -1  # events in the file; -1: not counted yet
        self.on_settled: Callable[[], None] = lambda: None  # see ``hurry``
        self._thread = threading.Thread(target=self._write_always, name="store", daemon=True)

    @classmethod
    def open(
        cls,
        path: str,
        *,
        boot_id: str,
        history: Seconds,
        history_max: int,
        on_trouble: Callable[[str | None], None],
    ) -> Self:
        """Open the file, or make it; a damaged one is moved aside, and one that cannot be used now is tried again.

        Args:
            path: of the file.
            boot_id: of this boot.
            history: events older than this are deleted.
            history_max: and those beyond this number.
            on_trouble: told what is wrong in a sentence, once, and None when all is well again. Called from the
                store's thread as well as from the caller's.

        Raises:
            NewerSchema: the file belongs to a later version of pidward.
        """
        store = cls(path, boot_id, history, history_max, on_trouble)
        try:
            store._open()
        except (SqlError, OSError) as error:
            store._next_seq = _seq_of_now()
            store._report(store._explain(error))
        store._thread.start()
        return store

    # --- for the loop

    def record(self, record: Record, wall: float, at: Instant, tree: str | None, life: Life | None = None) -> EventRow:
        """Remember a transition and the worker's new state.

        Args:
            record: from the core.
            wall: seconds since 1970.
            at: the same instant on the boot clock.
            tree: how to find the worker's process tree again: a cgroup's path, or what the runtime makes of it.
            life: what the next supervisor has to know to go on with the process; None: nothing.
        """
        name, fact = str(record.worker), rows.fact_of(record, self._boot_id, at, tree, life)
        with self._changed:
            row = rows.transition(self._take_seq(), record, wall)
            if fact is None:
                self._facts.pop(name, None)
            else:
                self._facts[name] = fact
            self._stale_facts[name] = None
            self._hand_over(row)
        return row

    def note(self, kind: str, worker: str, text: str, data: dict[str, object], wall: float) -> EventRow:
        """Remember an event that is no transition."""
        with self._changed:
            row = EventRow(self._take_seq(), wall, kind, worker, text, data)
            self._hand_over(row)
        return row

    def wish(self, worker: WorkerName, wanted: Wanted) -> None:
        """Remember what an operator asked for."""
        with self._changed:
            self._wishes[str(worker)] = wanted.value
            self._stale_wishes[str(worker)] = None
            self._hand_over(None)

    def scale(self, service: str, workers: int, of: int) -> None:
        """Remember how many workers of a service an operator wants.

        Args:
            service: its name.
            workers: how many are wanted; as many as ``of`` is no wish any more, and forgotten.
            of: how many the configuration says.
        """
        with self._changed:
            if workers == of:
                if self._wishes.pop(service, None) is None:
                    return
            else:
                self._wishes[service] = f"{workers} of {of}"
            self._stale_wishes[service] = None
            self._hand_over(None)

    def forget(self, worker: WorkerName) -> None:
        """The worker is no longer configured: forget its state and what was asked for it. Its events stay."""
        name = str(worker)
        with self._changed:
            self._facts.pop(name, None)
            self._wishes.pop(name, None)
            self._stale_facts[name] = self._stale_wishes[name] = None
            self._hand_over(None)

    def forget_process(self, worker: WorkerName) -> None:
        """What ran in the last run is gone; what was asked for the worker stays."""
        name = str(worker)
        with self._changed:
            self._facts.pop(name, None)
            self._stale_facts[name] = None
            self._hand_over(None)

    def hurry(self) -> int:
        """Have all that was handed over written at once; waits for nothing.

        Returns:
            a ticket for ``is_settled``; whenever that may have become true, ``on_settled`` is called, in the thread
            of the store.
        """
        with self._changed:
            self._awaited = self._handed_over
            self._hurry = self._committed < self._awaited
            self._changed.notify_all()
            return self._awaited

    def is_settled(self, ticket: int) -> bool:
        """What was handed over before the ticket is written, or the store has trouble and nobody should wait for it."""
        with self._changed:
            return self._committed >= ticket or self._trouble is not None

    def flush(self, timeout: float) -> bool:
        """Wait until all that was handed over is on its way to the disk for good.

        Returns:
            False when that took longer than ``timeout`` seconds, or, at once, when the store has trouble.
        """
        with self._changed:
            target = self._handed_over
            self._hurry = self._committed < target
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._committed >= target or self._trouble is not None, timeout)
            return self._committed >= target

    def wanted(self) -> dict[WorkerName, Wanted]:
        """What operators asked for, in this run and in those before."""
        with self._changed:
            return dict(rows.wish(name, wanted) for name, wanted in self._wishes.items() if not rows.is_scale(name))

    def scales(self) -> dict[str, rows.Scale]:
        """How many workers operators wanted, by service, in this run and in those before."""
        with self._changed:
            return {name: rows.scale(text) for name, text in self._wishes.items() if rows.is_scale(name)}

    def living(self) -> list[Recorded]:
        """The workers of the last run that had a process when it ended, if that was in this boot."""
        return self._living

    def events(self, since: int, limit: int) -> list[EventRow]:
        """Remembered events with seq > since, oldest first; with since < 0 the newest ``-since``. At most ``limit``."""
        with self._changed:
            recent, waiting = list(self._recent), list(self._events)
        newest = min(-since, limit)
        if since < 0 and len(recent) >= newest:
            return recent[len(recent) - newest :]
        if since >= 0 and recent and recent[0].seq <= since + 1:
            return [row for row in recent if row.seq > since][:limit]
        known = {row.seq: row for row in [*self._read(since, limit), *waiting] if row.seq > since}
        found = [known[seq] for seq in sorted(known)]
        return found[-newest:] if since < 0 else found[:limit]

    def close(self) -> None:
        """Write what is left, and end the thread."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(timeout=5.0)

    def _take_seq(self) -> int:
        seq, self._next_seq = self._next_seq, self._next_seq + 1
        return seq

    def _hand_over(self, row: EventRow | None) -> None:
        if row is not None:
            self._recent.append(row)
            self._events.append(row)
            if len(self._events) > MAX_WAITING:
                self._events.popleft()
                self._dropped += 1
        if self._handed_over == self._committed:
            self._changed.notify_all()
        self._handed_over += 1

    def _read(self, since: int, limit: int) -> list[EventRow]:
        try:
            return read_events(self._path, since, limit)
        except SqlError as error:
            if is_damage(error):
                with self._changed:
                    self._damaged = True
                    self._changed.notify_all()
            return []

    # --- the writer

    def _write_always(self) -> None:
        backoff = BACKOFF_FIRST
        while self._gather():
            try:
                self._write()
            except (SqlError, OSError, NewerSchema) as error:
                self._give_up_database(error)
                with self._changed:
                    if self._closing:
                        return
                    self._changed.wait_for(lambda: self._closing, backoff)
                backoff = min(backoff * 2, BACKOFF_LAST)
            else:
                backoff = BACKOFF_FIRST
                self._report(None)
        if self._database is not None:
            try:
                self._database.release(self._next_seq)
            except SqlError:
                pass  # some numbers stay unused
            self._database.close()

    def _gather(self) -> bool:
        """Sleep until there is something to write, and a little more of it; False when all is done and we close."""
        with self._changed:
            self._changed.wait_for(lambda: self._pending() or self._closing)
            if not self._pending():
                return False
            self._changed.wait_for(lambda: self._hurry or self._closing, GATHERING)
            self._hurry = False
            return True

    def _pending(self) -> bool:
        return self._committed < self._handed_over or self._damaged

    def _write(self) -> None:
        """Write all that waits in one transaction, then shorten the history."""
        if self._database is not None and not self._database.is_in_place():
            self._database.close()
            self._database = None
        if self._damaged:
            self._damaged = False
            self._replace("it cannot be read")
        if self._database is None:
            self._open()
        assert self._database is not None
        with self._changed:
            target, events = self._handed_over, list(self._events)
            facts = {name: self._facts.get(name) for name in self._stale_facts}
            wishes = {name: self._wishes.get(name) for name in self._stale_wishes}
            self._stale_facts, self._stale_wishes = {}, {}
            newest = self._next_seq
        if newest + RESERVE // 2 > self._reserved:
            self._reserved = newest + RESERVE
        try:
            self._database.write(Batch(events, facts, wishes, self._reserved))
        except BaseException:
            with self._changed:
                self._stale_facts |= dict.fromkeys(facts)
                self._stale_wishes |= dict.fromkeys(wishes)
            raise
        with self._changed:
            while self._events and events and self._events[0].seq <= events[-1].seq:
                self._events.popleft()
            was_awaited = self._committed < self._awaited
            self._committed = target
            dropped, self._dropped = self._dropped, 0
            self._changed.notify_all()
        if was_awaited:
            self.on_settled()
        if dropped:
            self._note(f"{dropped} events are missing here: they could not be written in time", {"dropped": dropped})
        self._shorten(len(events), events[-1].wall if events else 0.0)

    def _shorten(self, written: int, now: float) -> None:
        """Delete what is too old or too much, in small transactions."""
        assert self._database is not None
        self._kept = self._database.count_events() if self._kept < 0 else self._kept + written
        deleted = DELETE_BATCH
        while deleted == DELETE_BATCH:
            deleted = self._database.forget_events(now - self._history, self._kept - self._history_max, DELETE_BATCH)
            self._kept -= deleted

    # --- trouble

    def _open(self) -> None:
        """Open the file and learn what it says; begin a new one when it is damaged."""
        try:
            database = Database.open(self._path)
            try:
                self._learn(database)
            except BaseException:
                database.close()
                raise
        except SqlError as error:
            if not is_damage(error):
                raise
            self._replace(str(error))

    def _learn(self, database: Database) -> None:
        """Take over what the file says, but what memory says is newer; and have all of memory written to it."""
        found = database.find(self._boot_id, RESERVE)
        with self._changed:
            if not self._thread.is_alive():
                self._living = [r for name, fact in found.facts.items() if (r := rows.recorded(name, fact))]
                self._next_seq = max(self._next_seq, found.next_seq)
            self._facts = found.facts | self._facts
            self._wishes = found.wishes | self._wishes
            self._stale_facts = dict.fromkeys(self._facts)
            self._stale_wishes = dict.fromkeys(self._wishes)
        self._database, self._kept, self._reserved = database, -1, 0

    def _replace(self, why: str) -> None:
        """Move a damaged file aside and begin a new one, with all that memory knows."""
        if self._database is not None:
            self._database.close()
            self._database = None
        aside = move_aside(self._path)
        text = (
            f"{self._path} was damaged ({why}) and is now {aside}; a new one was begun: the history until now, and "
            "what operators had stopped before this start, are only in the old one"
        )
        self._report(text)
        with self._changed:
            self._next_seq = max(self._next_seq, _seq_of_now())
        self._learn(Database.open(self._path))
        self._note(text, {"moved_to": aside})

    def _give_up_database(self, error: Exception) -> None:
        """It could not be written: say why, once. A damaged file is replaced at the next try."""
        if self._database is not None:
            self._database.close()
            self._database = None
        self._damaged = self._damaged or is_damage(error)
        self._report(self._explain(error))

    def _explain(self, error: Exception) -> str:
        why = error.strerror if isinstance(error, OSError) else str(error)
        return (
            f"events and states are not saved: {self._path}: {why}; check the space and the permissions of its "
            f"directory. Supervision goes on; the newest {MAX_WAITING} events wait in memory and are saved when it "
            "works again"
        )

    def _report(self, trouble: str | None) -> None:
        if trouble != self._trouble:
            with self._changed:
                self._trouble = trouble
                self._changed.notify_all()
            self._on_trouble(trouble)
            self.on_settled()

    def _note(self, text: str, data: dict[str, object]) -> None:
        self.note("store", "", text, data, time.clock_gettime(time.CLOCK_REALTIME))


def _seq_of_now() -> int:
    """A number above all that were ever given, when nobody knows which: more than a thousand a second are not given."""
    return int(time.clock_gettime(time.CLOCK_REALTIME) * 1000)
