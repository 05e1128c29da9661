"""Compressed log files: gzip files that any tool reads, with the times of their lines in front.

A file of a log loses its inode by compression, and with it what the index says of it. So its steps are put into extra
fields of empty gzip members before the data: zlib-compressed pairs of (bytes, nanoseconds) since the step before.

The work is done in a thread of the lowest priority; deflate lets go of the interpreter. It writes a file beside the
log that gets its name when it is whole, and by the pump's own thread, so that no rotation comes in between.
"""

import _thread
import os
import struct
import zlib

from pidward.logs import index
from pidward.logs.layout import half_compressed
from pidward.logs.logfile import install_compressed, next_to_compress

LOWEST = 19
_CHUNK = 256 * 1024
_STEPS = 4000
"""A gzip extra field has 64 KiB, also when nothing can be compressed."""
_HEAD = struct.Struct("<4sLBBHccH")  # 1f 8b, deflate, FEXTRA; time, flags, system; length of all; name and length
_EMPTY = b"\x03\x00" + bytes(8)  # deflate of nothing, its CRC and size
_PAIR = struct.Struct("<2Q")
_FILE = struct.Struct("<Q")
_MAGIC, _UNIX = b"\x1f\x8b\x08\x04", 3


class Squeezer:
    """Compresses the old files of logs, one at a time.

    trouble: why the last one could not be; empty when it could.
    """

    def __init__(self) -> None:
        self._done = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._wanted: dict[str, str] = {}  # log, and its index
        self._log, self._source, self.trouble = "", -1, ""

    def fileno(self) -> int:
        """Readable when ``go_on`` has something to do."""
        return self._done

    def want(self, log: str, index_path: str) -> None:
        """Compress what this log has of old files, when those before it are done."""
        self._wanted[log] = index_path
        if not self._log:
            self._begin()

    def go_on(self) -> None:
        """Put what is done in its place, and begin with the next."""
        try:
            os.eventfd_read(self._done)
        except BlockingIOError:
            return
        log, self._log = self._log, ""
        try:
            if not self.trouble:
                install_compressed(log, os.fstat(self._source).st_ino)
        except OSError as error:
            self.trouble = _explain(log, os.strerror(error.errno or 0))
        finally:
            os.close(self._source)  # and not before: its inode number would be free for another file
        if self.trouble:
            self._wanted.pop(log, None)  # tried again after the next rotation
            self._remove_half(log)
        self._begin()

    def give_up(self) -> None:
        """Leave nothing half done."""
        if self._log:
            self._remove_half(self._log)

    def _remove_half(self, log: str) -> None:
        try:
            os.unlink(half_compressed(log))
        except OSError:
            pass  # there is none

    def _begin(self) -> None:
        while self._wanted and not self._log:
            log, index_path = next(iter(self._wanted.items()))
            try:
                path = next_to_compress(log)
                if path is None:
                    del self._wanted[log]
                    continue
                self._source = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            except OSError as error:
                del self._wanted[log]
                self.trouble = _explain(log, os.strerror(error.errno or 0))
                continue
            try:
                steps = os.open(index_path, os.O_RDONLY | os.O_CLOEXEC)  # stays as it is, also when it is pruned
            except OSError:
                steps = -1
            self._log, self.trouble = log, ""
            try:
                _thread.start_new_thread(self._work, (self._source, steps))
            except RuntimeError as error:  # the system is short of processes
                self._end(steps, str(error))

    def _work(self, source: int, steps: int) -> None:
        why = "it broke off"
        try:
            os.setpriority(os.PRIO_PROCESS, 0, LOWEST)  # of this thread alone
            compress(source, steps, half_compressed(self._log))
            why = ""
        except OSError as error:
            why = os.strerror(error.errno or 0)
        finally:
            self._end(steps, why)

    def _end(self, steps: int, why: str) -> None:
        self.trouble = why and _explain(self._log, why)
        if steps >= 0:
            os.close(steps)
        os.eventfd_write(self._done, 1)


def _explain(log: str, why: str) -> str:
    return f"old files of {log} cannot be compressed: {why}; they stay as they are until the next rotation."


def compress(source: int, steps: int, path: str) -> None:
    """Write a compressed file, with the times and the mode of its source, and see it safe on the disk.

    Args:
        source: the file; borrowed.
        steps: the index; borrowed. -1: none.
        path: of the new file; an old one is replaced.

    Raises:
        OSError: it cannot be written.
    """
    about = os.fstat(source)
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
    with open(os.open(path, flags, 0o600), "wb") as target:
        for member in _steps_of(steps, about.st_ino):
            target.write(member)
        deflate = zlib.compressobj(6, zlib.DEFLATED, 31)
        at = 0
        while data := os.pread(source, _CHUNK, at):
            target.write(deflate.compress(data))
            at += len(data)
        target.write(deflate.flush())
        target.flush()
        os.fchmod(target.fileno(), about.st_mode & 0o777)
        os.utime(target.fileno(), ns=(about.st_atime_ns, about.st_mtime_ns))
        os.fsync(target.fileno())


def _steps_of(steps: int, inode: int) -> "list[bytes]":
    """The members that say when the file's bytes came; the first one also which file it was."""
    run = list(index.newest_run(steps, inode))[::-1] if steps >= 0 else []
    members, end, wall = [], 0, 0
    for first in range(0, len(run) or 1, _STEPS):
        pairs = []
        for record in run[first : first + _STEPS]:
            later = max(wall, record.wall_ns)
            pairs.append(_PAIR.pack(record.log_end - end, later - wall))
            end, wall = record.log_end, later
        content = _FILE.pack(inode) + zlib.compress(b"".join(pairs))
        members.append(_HEAD.pack(_MAGIC, 0, 0, _UNIX, len(content) + 4, b"P", b"W", len(content)) + content + _EMPTY)
    return members


def read_steps(fd: int) -> "tuple[int, list[int], list[int]]":
    """What a compressed file says of itself: (its inode when it was none, ends of steps, when they were made in ns).

    Of a file that somebody else compressed: (0, [], []).
    """
    at = inode = end = wall = 0
    ends: list[int] = []
    walls: list[int] = []
    while len(head := os.pread(fd, _HEAD.size, at)) == _HEAD.size:
        magic, _, _, _, _, first, second, length = _HEAD.unpack(head)
        if (magic, first, second) != (_MAGIC, b"P", b"W"):
            break
        content = os.pread(fd, length, at + _HEAD.size)
        at += _HEAD.size + length + len(_EMPTY)
        inode = _FILE.unpack_from(content)[0]
        for size, later in _PAIR.iter_unpack(zlib.decompress(content[_FILE.size :])):
            end, wall = end + size, wall + later
            ends.append(end)
            walls.append(wall)
    return inode, ends, walls
