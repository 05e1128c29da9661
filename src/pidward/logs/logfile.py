"""The log file that people read: found at its path, continued at its recorded end, rotated by renaming."""

import os

from pidward.logs.layout import compressed, half_compressed, rotated

LONG_LINE = 64 * 1024
"""A file may grow this much beyond its limit to end with a whole line; a longer line is split."""


def line_end(data: bytearray, got: int, log_end: int, max_size: int) -> tuple[int, bool]:
    """Decide how much of what was read goes into the present file.

    Args:
        data: the buffer; its first ``got`` bytes, at least one, were read.
        got: see there.
        log_end: size of the present file.
        max_size: the file is full with the first line end at or after this size; 0: never.

    Returns:
        (bytes to append, the file is full after them). (0, True) when the file is too large already.
    """
    room = max_size - log_end
    if not max_size or got < room:
        return got, False
    bound = max(room + LONG_LINE, 0)
    newline = data.find(b"\n", max(room, 1) - 1, min(got, bound))
    if newline >= 0:
        return newline + 1, True
    return (bound, True) if got >= bound else (got, False)


class LogFile:
    """The present file of a stream. Opened at the first byte, so that a silent stream leaves no file.

    inode, end: which file, and how much of it is recorded in the index; what is beyond was written by a pump that was
    killed before it could record it, and will be written again.
    """

    __slots__ = ("_fd", "end", "inode", "path")

    def __init__(self, path: str) -> None:
        self.path = path
        self.inode = self.end = 0
        self._fd = -1

    def resume(self, inode: int, end: int) -> None:
        """Say what the index recorded last."""
        self.inode, self.end = inode, end

    def adopt(self, whole_lines: bool) -> None:
        """Take what is beyond the record as written: it came out of a pipe, and is nowhere else."""
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            return
        try:
            found = os.fstat(fd)
            if found.st_ino == self.inode and found.st_size > self.end:
                beyond = os.pread(fd, found.st_size - self.end, self.end)
                self.end += beyond.rfind(b"\n") + 1 if whole_lines else len(beyond)
        finally:
            os.close(fd)

    def is_written(self) -> bool:
        """Something is in the file."""
        try:
            return os.lstat(self.path).st_size > 0
        except FileNotFoundError:
            return False

    def locate(self) -> bool:
        """Be at the file that is at the path now, whoever moved, deleted or emptied the one before.

        Returns:
            True when inode and end are not those of the last record any more.
        """
        try:
            found = os.lstat(self.path)
            if self._fd >= 0 and found.st_ino == self.inode and found.st_size >= self.end:
                return False
        except FileNotFoundError:
            pass
        self.close()
        self._fd = self._open()
        found = os.fstat(self._fd)
        if found.st_ino == self.inode and found.st_size >= self.end:
            os.ftruncate(self._fd, self.end)
            return False
        self.inode, self.end = found.st_ino, found.st_size
        return True

    def splice(self, pipe: int, most: int) -> int:
        """Append what is in a pipe without holding it in between: it is in the one or in the other at any moment.

        Returns how much was written; 0 when the pipe has no writers any more. Raises BlockingIOError when it is empty.
        """
        return os.splice(pipe, self._fd, most, offset_dst=self.end, flags=os.SPLICE_F_NONBLOCK)

    def write(self, data: "memoryview | bytes", offset: int) -> int:
        """Write at an offset; returns how much was written. ``end`` moves when the caller has recorded it."""
        return os.pwrite(self._fd, data, offset)

    def read_back(self, length: int) -> bytes:
        """The last bytes that count."""
        return os.pread(self._fd, length, self.end - length)

    def ends_with_line(self) -> bool:
        """The file is empty or its last byte ends a line."""
        return self.end == 0 or os.pread(self._fd, 1, self.end - 1) == b"\n"

    def rotate(self, keep: int) -> None:
        """Make the present file the newest of ``keep`` old ones, and begin a new one.

        Old files move up only as far as the first gap in their numbers: after a pump was killed half-way the next
        rotation closes the gap instead of losing the oldest file.
        """
        self.close()
        age = 1
        while age < keep and _exists(rotated(self.path, age)):
            age += 1
        while age > 0 and keep > 0:
            _move_up(rotated(self.path, age - 1), rotated(self.path, age))
            age -= 1
        beyond = keep + 1 if keep else 0
        while _remove(rotated(self.path, beyond)):
            beyond += 1
        self.locate()

    def expire(self, before_ns: int) -> None:
        """Delete the old files that were last written before an instant, the oldest first."""
        age = 1
        while _exists(rotated(self.path, age)):
            age += 1
        while age > 1 and _changed_ns(rotated(self.path, age - 1)) < before_ns:
            age -= 1
            _remove(rotated(self.path, age))

    def inodes(self, keep: int) -> set[int]:
        """The files that exist."""
        found = set()
        for age in range(keep + 1):
            try:
                found.add(os.stat(rotated(self.path, age)).st_ino)
            except FileNotFoundError:
                pass
        return found

    def close(self) -> None:
        """Close the descriptor; harmless when closed already."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _open(self) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            return os.open(self.path, flags, 0o640)
        except FileNotFoundError:
            os.makedirs(os.path.dirname(self.path), 0o750, exist_ok=True)
            return os.open(self.path, flags, 0o640)


def next_to_compress(log: str) -> str | None:
    """The oldest file of a log that is rotated and not compressed; None when there is none.

    Clears away what a pump left that was killed while it compressed.
    """
    _unlink(half_compressed(log))
    found, age = None, 1
    while _exists(path := rotated(log, age)):
        if os.path.lexists(compressed(path)):
            _unlink(path)
        else:
            found = path
        age += 1
    return found


def install_compressed(log: str, inode: int) -> None:
    """Put the whole compressed file in the place of the one that it was made of, wherever rotation has moved that."""
    age = 1
    while _exists(path := rotated(log, age)):
        try:
            is_it = os.stat(path).st_ino == inode
        except FileNotFoundError:
            is_it = False
        if is_it:
            os.rename(half_compressed(log), compressed(path))
            os.unlink(path)
            return
        age += 1
    _unlink(half_compressed(log))


def _exists(path: str) -> bool:
    return os.path.lexists(path) or os.path.lexists(compressed(path))


def _changed_ns(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except FileNotFoundError:
        return os.stat(compressed(path)).st_mtime_ns


def _move_up(old: str, new: str) -> None:
    """Rename a file, compressed or not. Where a killed pump left both, the compressed one is whole."""
    _remove(new)
    try:
        if os.path.lexists(compressed(old)):
            _unlink(old)
            os.rename(compressed(old), compressed(new))
        else:
            os.rename(old, new)
    except FileNotFoundError:
        pass


def _remove(path: str) -> bool:
    return any([_unlink(path), _unlink(compressed(path))])


def _unlink(path: str) -> bool:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return False
    return True
