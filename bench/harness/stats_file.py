"""The shared file in which workers count what they write: it tells the truth when everybody is dead."""

import struct
from pathlib import Path
from typing import NamedTuple

_HEADER = 64
_SLOT = struct.Struct("<IIQQII")
_MAX_SLOTS = 65536


class Slot(NamedTuple):
    """One worker process. See struct slot in src/worker.c."""

    pid: int
    id: int
    written: int  # lines, whole
    started_ns: int
    failed: int  # writes
    done: int


def create(path: Path) -> None:
    """Make an empty file that workers of every user can map."""
    path.write_bytes(bytes(_HEADER + _MAX_SLOTS * _SLOT.size))
    path.chmod(0o666)


def slots(path: Path) -> list[Slot]:
    """All processes that ever took a slot."""
    data = path.read_bytes()
    taken = min(int.from_bytes(data[:4], "little"), _MAX_SLOTS)
    return [Slot(*_SLOT.unpack_from(data, _HEADER + _SLOT.size * index)) for index in range(taken)]
