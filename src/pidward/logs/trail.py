"""The log files of one stream read as one: lines with their stamps, backwards from the end or forwards from a time.

Nothing is locked. Files are told apart by inode, so a rotation while we read makes us neither miss nor repeat a file.
"""

import bisect
import os
from collections.abc import Iterator
from itertools import count, takewhile

from pidward.core.lean import NamedTuple
from pidward.core.model import WorkerName
from pidward.core.spec import LogPolicy
from pidward.logs import index, layout
from pidward.logs.logread import LogFile, open_log
from pidward.logs.undress import Line, Source, Undress


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
            size = file.size
            offset = next((at for at, _ in file.backward(size)), 0)
            ended = size == 0 or file.read(1, size - 1) == b"\n"
            return Mark(file.inode, size if ended else offset)
    return Mark(0, 0)


def backward(source: Source, until: Mark | None = None) -> Iterator[Line]:
    """Lines from the newest to the oldest; with ``until`` from that place on."""
    return Undress(source).backward(_backward(source, until))


def forward(source: Source, since_ns: int = 0, until: Mark | None = None) -> Iterator[Line]:
    """Lines from the oldest to the newest, those that came before an instant or behind a place left out."""
    return Undress(source).forward(_forward(source, since_ns, until))


def _backward(source: Source, until: Mark | None) -> Iterator[Line]:
    stamps = Stamps(source)
    for file in newest_first(source):
        with file:
            if until is not None and file.inode != until.inode:
                continue
            size = file.size if until is None else until.offset
            until = None
            stamped = stamps.backward(file)
            for offset, data in file.backward(size):
                yield Line(stamped(offset), source, data)


def _forward(source: Source, since_ns: int, until: Mark | None) -> Iterator[Line]:
    stamps = Stamps(source)
    rest, rest_at = b"", 0
    found = [(file.inode, file.changed_ns) for file in newest_first(source, closed=True)]
    last = next((place for place, (inode, _) in enumerate(found) if until is not None and inode == until.inode), -1)
    for place in range(len(found) - 1, -1, -1):
        file = _find(source, *found[place], may_have_changed=place == 0)
        if file is None:
            continue  # rotated out while we read
        with file:
            ends, walls = steps = stamps.behind(file, -1)
            if walls and walls[-1] < since_ns:
                continue
            first = bisect.bisect_left(walls, since_ns) if not rest else 0
            for at, line in file.forward(ends[first - 1] if first else 0):
                if until is not None and place == last and at >= until.offset:
                    return
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

    def behind(self, file: LogFile, offset: int) -> tuple[list[int], list[int]]:
        """The steps of a file that ended behind an offset, oldest first: their ends, and when they were made."""
        if file.steps is not None:
            return file.steps
        steps = takewhile(lambda record: record.log_end > offset, self._newest_run(file.inode))
        ends_walls = [(record.log_end, record.wall_ns) for record in steps][::-1]
        return [end for end, _ in ends_walls], [wall for _, wall in ends_walls]

    def backward(self, file: LogFile) -> "_Backward":
        """A function from offsets, to be asked in falling order, to stamps; it reads no more than it needs."""
        if file.steps is None:
            return _Backward(file, ((record.log_end, record.wall_ns) for record in self._newest_run(file.inode)))
        ends, walls = file.steps
        return _Backward(file, zip(reversed(ends), reversed(walls), strict=True))

    def _newest_run(self, inode: int) -> Iterator[index.Record]:
        """The records of a file, newest first."""
        try:
            fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        try:
            yield from index.newest_run(fd, inode)
        finally:
            os.close(fd)


class _Backward:
    """See ``Stamps.backward``."""

    def __init__(self, file: LogFile, steps: Iterator[tuple[int, int]]) -> None:
        self._steps, self._wall = steps, file.changed_ns
        self._next = next(steps, None)

    def __call__(self, offset: int) -> int:
        while self._next is not None and self._next[0] > offset:
            self._wall = self._next[1]
            self._next = next(self._steps, None)
        return self._wall


def newest_first(source: Source, closed: bool = False) -> Iterator[LogFile]:
    """The files of a stream, each once, also when they are renamed meanwhile; the caller closes them."""
    seen: dict[int, int] = {}  # the number of a file that was compressed may be another's: that one was written later
    for age in count():
        file = open_log(source.log_path, age)
        if file is None:
            if age:  # the present file may be missing for a moment
                return
            continue
        if file.inode in seen and file.changed_ns >= seen[file.inode]:
            file.close()
            continue
        seen[file.inode] = file.changed_ns
        if closed:
            file.close()
        yield file


def _find(source: Source, inode: int, changed_ns: int, may_have_changed: bool) -> LogFile | None:
    """Open a file again, wherever rotation has moved it; an inode number may be another file's meanwhile."""
    for file in newest_first(source):
        if file.inode == inode and (
            file.changed_ns == changed_ns or (may_have_changed and file.changed_ns > changed_ns)
        ):
            return file
        file.close()
    return None


def stamp(steps: tuple[list[int], list[int]], offset: int, default: int) -> int:
    """When the byte at an offset came; the default when it is not indexed yet."""
    ends, walls = steps
    step = bisect.bisect_right(ends, offset)
    return walls[step] if step < len(walls) else default
