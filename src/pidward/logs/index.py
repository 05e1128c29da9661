"""The index of a stream: which bytes of the spool are where in the log files, and when they were put there.

A file of fixed-size records, appended to after the data they speak of; the last one is the truth about how far the
pump has come. It lies beside the spool, not beside the logs, so that moving or deleting a log loses no position.
Rotation renames log files only: a record names its file by inode.
"""

import errno
import os
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_CHUNK = 4096  # records
_LAYOUT = struct.Struct("<4Q")
SIZE = _LAYOUT.size
"""32 bytes: a divisor of the page size, so that no record is ever written in part."""


class Record:
    """A step of the pump.

    file: inode of the log file; 0 when the spool with the inode ``log_end`` is finished and the next one begins.
    log_end: size of the log file after the step; the step began where the record before it ended.
    spool_end: how far the spool has been read after the step.
    wall_ns: when, in nanoseconds since 1970.
    """

    __slots__ = ("file", "log_end", "spool_end", "wall_ns")

    def __init__(self, file: int, log_end: int, spool_end: int, wall_ns: int) -> None:
        self.file, self.log_end, self.spool_end, self.wall_ns = file, log_end, spool_end, wall_ns

    def pack(self) -> bytes:
        """The record as in the file."""
        return _LAYOUT.pack(self.file, self.log_end, self.spool_end, self.wall_ns)

    def finishes(self, spool_inode: int) -> bool:
        """This record says that the spool is finished."""
        return self.file == 0 and self.log_end == spool_inode


def finished(spool_inode: int, wall_ns: int) -> Record:
    """The record after the last byte of a spool that is about to be deleted."""
    return Record(0, spool_inode, 0, wall_ns)


def unpack(data: bytes) -> "Iterator[Record]":
    """All whole records."""
    for fields in _LAYOUT.iter_unpack(data[: len(data) // SIZE * SIZE]):
        yield Record(*fields)


def read(fd: int, first: int, count: int) -> list[Record]:
    """Records by number, from an open index; fewer where the file ends."""
    return list(unpack(os.pread(fd, count * SIZE, first * SIZE)))


def count(fd: int) -> int:
    """How many whole records there are."""
    return os.fstat(fd).st_size // SIZE


def newest_run(fd: int, inode: int) -> "Iterator[Record]":
    """The records of a log file, newest first. An inode number may have had other owners before."""
    end, number = None, count(fd)
    while number:
        first = max(0, number - _CHUNK)
        for record in reversed(read(fd, first, number - first)):
            if record.file == inode and (end is None or record.log_end <= end):
                end = record.log_end
                yield record
            elif end is not None:
                return
        number = first


def began(fd: int, default_ns: int) -> int:
    """When the present log file was begun; looked for in steps that double, as its records may be many."""
    total = count(fd)
    known, step = total - 1, 1
    last = read(fd, known, 1)[0] if total else None
    if last is None:
        return default_ns
    wall, end = last.wall_ns, last.log_end
    while known > 0 and step:
        found = read(fd, max(0, known - step), 1)[0]
        if found.file == last.file and found.log_end <= end:
            known, wall, end = max(0, known - step), found.wall_ns, found.log_end
            step *= 2
        else:
            step //= 2
    return wall


def prune(path: str, fd: int, kept: "set[int]") -> int:
    """Forget the records of deleted log files, once they are half of the index.

    Args:
        path: of the index; replaced in one step, so that it is whole at any moment.
        fd: the open index; closed when it was replaced.
        kept: inodes of the log files that exist.

    Returns:
        The descriptor to go on with.
    """
    total = count(fd)
    dead = _first_of(fd, total, kept)
    if dead * 2 < total:
        return fd
    temporary = f"{path}.new"
    new = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        for first in range(dead, total, _CHUNK):
            chunk_bytes = os.pread(fd, _CHUNK * SIZE, first * SIZE)
            if os.write(new, chunk_bytes) != len(chunk_bytes):
                raise OSError(errno.ENOSPC, "could not be written whole", temporary)
        os.rename(temporary, path)
    except OSError:
        os.close(new)
        return fd  # the long index serves as well; the next rotation tries again
    os.close(fd)
    return new


def _first_of(fd: int, total: int, kept: "set[int]") -> int:
    """The number of the first record that some kept file needs.

    Searched from the end: an inode number is soon another file's, and then only its latest records count.
    """
    unseen, file, end, number = set(kept), 0, 0, total
    while number:
        first = max(0, number - _CHUNK)
        for record in reversed(read(fd, first, number - first)):
            if not unseen and (record.file != file or record.log_end > end):
                return number
            file, end = record.file, record.log_end
            unseen.discard(file)
            number -= 1
    return 0
