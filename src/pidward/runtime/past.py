"""The record of a supervisor that does not run: read, and not changed by a byte."""

import os
import sqlite3

from pidward.core.model import EventRow
from pidward.store.database import read_events


class NoRecord(Exception):
    """There is none, or it cannot be read; the message says which file and why."""


def remembered(state_dir: str, since: int, limit: int) -> list[EventRow]:
    """Events with seq > since, oldest first; with since < 0 the newest ``-since``. Raises NoRecord."""
    path = os.path.join(state_dir, "state.db")
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_CLOEXEC))  # whose errors say more than SQLite's
        return read_events(path, since, limit)
    except OSError as error:
        raise NoRecord(f"{path}: {error.strerror}") from None
    except sqlite3.Error as error:
        raise NoRecord(f"{path}: {error}") from None
