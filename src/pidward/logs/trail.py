"""The log files of one stream read as one: lines with their stamps, backwards from the end or forwards from a time.

Nothing is locked. Files are told apart by inode, so a rotation while we read makes us neither miss nor repeat a file.
"""

import bisect
import os
from collections.abc import Iterator
from itertools import count, takewhile
from typing import NamedTuple, Self

from pidward.core.model import WorkerName
from pidward.core.spec import LogPolicy
from pidward.logs import index, layout

_FIRST_BLOCK, _LAST_BLOCK = 8 * 1024, 1024 * 1024
_CHUNK = 4096  # records


class Source(NamedTuple):
    """One stream of one worker."""

    worker: WorkerName
    stream: str  # "out" or "err"
    log_path: str
    index_path: str


class Line(NamedTuple):
    """A line, without its line end; or what there is of one when the file ends before it does."""

    wall_ns: int  # when its first byte came to the log, since 1970
    source: Source
    data: bytes


class Mark(NamedTuple):
    """A place between two lines of a stream: a file and an offset. inode 0: before the first file."""

    inode: int
    offset: int


def sources(state_dir: str, worker: WorkerName, policy: LogPolicy) -> tuple[Source, Source]:
    """Both streams of a worker."""
    spools, logs = layout.spool_dir(state_dir), layout.log_dir(state_dir, policy.dir)
    out, err = (
        Source(worker, name.rpartition(".")[2], layout.log_path(logs, name), layout.index_path(spools, name))
        for name in layout.streams(worker)
    )
    return out, err


def end_of(source: Source) -> Mark:
    """The place behind the last whole line that is there now."""
    for file in newest_first(source):
        with file:
            offset = next((at for at, _ in _lines_backward(file, file.size)), 0)
            ended = file.size == 0 or os.pread(file.fd, 1, file.size - 1) == b"\n"
            return Mark(file.inode, file.size if ended else offset)
    return Mark(0, 0)


def backward(source: Source, until: Mark | None = None) -> Iterator[Line]:
    """Lines from the newest to the oldest; with ``until`` from that place on."""
    stamps = Stamps(source)
    for file in newest_first(source):
        with file:
            if until is not None and file.inode != until.inode:
                continue
            size = file.size if until is None else until.offset
            until = None
            stamped = stamps.backward(file)
            for offset, data in _lines_backward(file, size):
                yield Line(stamped(offset), source, data)


def forward(source: Source, since_ns: int = 0) -> Iterator[Line]:
    """Lines from the oldest to the newest, those that came before an instant left out."""
    stamps = Stamps(source)
    rest, rest_at = b"", 0
    for inode in [file.inode for file in newest_first(source, closed=True)][::-1]:
        file = find_log(source, inode)
        if file is None:
            continue  # rotated out while we read
        with file:
            steps = ends, walls = stamps.behind(file.inode, -1)
            if walls and walls[-1] < since_ns:
                continue
            first = bisect.bisect_left(walls, since_ns) if not rest else 0
            start = ends[first - 1] if first else 0
            skip = start > 0 and os.pread(file.fd, 1, start - 1) != b"\n"
            for at, line in _lines_forward(file, start):
                if skip:
                    skip = False
                    continue
                wall = rest_at if rest else stamp(steps, at, file.changed_ns)
                if not line.endswith(b"\n"):
                    rest, rest_at = rest + line, wall
                    continue
                yield Line(wall, source, (rest + line)[:-1])
                rest = b""
    if rest:
        yield Line(rest_at, source, rest)


class Stamps:
    """When the bytes of a stream's files came, from its index."""

    def __init__(self, source: Source) -> None:
        self._path = source.index_path

    def behind(self, inode: int, offset: int) -> tuple[list[int], list[int]]:
        """The steps of a file that ended behind an offset, oldest first: their ends, and when they were made."""
        steps = takewhile(lambda record: record.log_end > offset, self._newest_run(inode))
        ends_walls = [(record.log_end, record.wall_ns) for record in steps][::-1]
        return [end for end, _ in ends_walls], [wall for _, wall in ends_walls]

    def backward(self, file: "LogFile") -> "_Backward":
        """A function from offsets, to be asked in falling order, to stamps; it reads no more than it needs."""
        return _Backward(file, self._newest_run(file.inode))

    def _newest_run(self, inode: int) -> Iterator[index.Record]:
        """The records of a file, newest first. An inode number may have had other owners before."""
        end = None
        for record in self._all_backward():
            if record.file == inode and (end is None or record.log_end <= end):
                end = record.log_end
                yield record
            elif end is not None:
                return

    def _all_backward(self) -> Iterator[index.Record]:
        try:
            fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        try:
            number = index.count(fd)
            while number:
                first = max(0, number - _CHUNK)
                yield from reversed(index.read(fd, first, number - first))
                number = first
        finally:
            os.close(fd)


class _Backward:
    """See ``Stamps.backward``."""

    def __init__(self, file: "LogFile", records: Iterator[index.Record]) -> None:
        self._records, self._wall = records, file.changed_ns
        self._next = next(records, None)

    def __call__(self, offset: int) -> int:
        while self._next is not None and self._next.log_end > offset:
            self._wall = self._next.wall_ns
            self._next = next(self._records, None)
        return self._wall


class LogFile:
    """An open log file."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        status = os.fstat(fd)
        self.inode, self.size, self.changed_ns = status.st_ino, status.st_size, status.st_mtime_ns

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close it; harmless when it is closed."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def open_log(source: Source, age: int) -> LogFile | None:
    """Open a log file by its age; None when there is none."""
    try:
        return LogFile(os.open(layout.rotated(source.log_path, age), os.O_RDONLY | os.O_CLOEXEC))
    except FileNotFoundError:
        return None


def newest_first(source: Source, closed: bool = False) -> Iterator[LogFile]:
    """The files of a stream, each once, also when they are renamed meanwhile; the caller closes them."""
    seen: set[int] = set()
    for age in count():
        file = open_log(source, age)
        if file is None:
            if age:  # the present file may be missing for a moment
                return
            continue
        if file.inode in seen:
            file.close()
            continue
        seen.add(file.inode)
        if closed:
            file.close()
        yield file


def find_log(source: Source, inode: int) -> LogFile | None:
    """Open the file with an inode, wherever rotation has moved it."""
    for file in newest_first(source):
        if file.inode == inode:
            return file
        file.close()
    return None


def stamp(steps: tuple[list[int], list[int]], offset: int, default: int) -> int:
    """When the byte at an offset came; the default when it is not indexed yet."""
    ends, walls = steps
    step = bisect.bisect_right(ends, offset)
    return walls[step] if step < len(walls) else default


def _lines_forward(file: LogFile, start: int) -> Iterator[tuple[int, bytes]]:
    """(offset, line with its end) from an offset to the end of the file; the last one may have no end."""
    with open(file.fd, "rb", buffering=_LAST_BLOCK, closefd=False) as stream:
        stream.seek(start)
        offset = start
        for line in stream:
            yield offset, line
            offset += len(line)


def _lines_backward(file: LogFile, size: int) -> Iterator[tuple[int, bytes]]:
    """(offset, line without its end) from a size to the beginning, newest first."""
    if not size:
        return
    parts: list[bytes] = []  # of the line whose beginning is not found yet, last part first
    block, position = _FIRST_BLOCK, size
    if os.pread(file.fd, 1, size - 1) == b"\n":
        position -= 1
    while position:
        wanted = min(block, position)
        position -= wanted
        data = os.pread(file.fd, wanted, position)
        end = len(data)
        while (newline := data.rfind(b"\n", 0, end)) >= 0:
            parts.append(data[newline + 1 : end])
            yield position + newline + 1, b"".join(reversed(parts))
            parts, end = [], newline
        parts.append(data[:end])
        block = min(block * 2, _LAST_BLOCK)
    yield 0, b"".join(reversed(parts))
