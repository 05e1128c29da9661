"""What people ask of logs: the last lines, all since a time, and what comes; of many streams, in the order of time."""

import heapq
import os
import select
from collections.abc import Iterator, Sequence
from operator import attrgetter
from time import CLOCK_REALTIME, clock_gettime_ns

from pidward.core.model import WorkerName
from pidward.kernel.errors import KernelError
from pidward.kernel.inotify import CREATE, MODIFY, MOVED_TO, Inotify
from pidward.logs import layout
from pidward.logs.logread import LogFile
from pidward.logs.trail import Mark, Stamps, backward, end_of, forward, newest_first, sources, stamp
from pidward.logs.undress import Line, Source, Undress

__all__ = ["Follower", "Line", "Source", "follow", "last_lines", "lines_since", "sources", "workers_in"]

_RETRY_MS = 1000
_READ = 1 << 20


def workers_in(directory: str) -> list[WorkerName]:
    """The workers that have log files in a directory, whether they are configured or not; sorted."""
    try:
        entries = os.listdir(directory)
    except FileNotFoundError:
        return []
    found = set()
    for entry in entries:
        if entry.endswith((".out.log", ".err.log")):
            try:
                service, number, _ = layout.split_stream(entry.removesuffix(".log"))
            except ValueError:
                continue  # a file of somebody else
            found.add(WorkerName(service, number))
    return sorted(found)


def last_lines(of: Sequence[Source], count: int, until: dict[Source, Mark] | None = None) -> list[Line]:
    """The newest ``count`` lines of all streams together, oldest first.

    Reads backwards from the ends, one stream after the other, and of each no more than can be among them.

    Args:
        of: the streams.
        count: how many lines.
        until: leave out what is behind these places.
    """
    newest: list[tuple[int, int, int, Line]] = []  # heap: stamp, then later in the stream, is newer
    for place, source in enumerate(of):
        for age, line in enumerate(backward(source, until[source] if until is not None else None)):
            entry = (line.wall_ns, -place, -age, line)
            if len(newest) < count:
                heapq.heappush(newest, entry)
            elif newest and entry > newest[0]:
                heapq.heapreplace(newest, entry)
            else:
                break
    newest.sort(key=lambda entry: (entry[0], -entry[1], entry[2]))
    return [line for *_, line in newest]


def lines_since(of: Sequence[Source], wall_ns: int = 0) -> Iterator[Line]:
    """All lines that came at or after an instant, merged. Holds a descriptor for each stream while it reads."""
    return heapq.merge(*(forward(source, wall_ns) for source in of), key=attrgetter("wall_ns"))


def follow(of: Sequence[Source], count: int = 0) -> Iterator[Line]:
    """The last ``count`` lines, then each new one as it comes, for ever."""
    follower = Follower(of)
    try:
        yield from follower.last(count)
        poll = select.poll()
        poll.register(follower.fileno(), select.POLLIN)
        while True:
            yield from follower.read()
            poll.poll(follower.patience_ms)
    finally:
        follower.close()


class Follower:
    """New lines of streams, over rotations. Holds no descriptor but its own.

    Whatever is there when it is made belongs to ``last``, whatever comes later to ``read``.
    """

    def __init__(self, of: Sequence[Source]) -> None:
        self._inotify = Inotify()
        self._names: dict[str, dict[str, _Tail]] = {}  # directory, then name of the log file
        self._watches: dict[int, str] = {}
        self._unwatched: set[str] = set()
        self._unread: dict[_Tail, None] = {}
        self._marks: dict[Source, Mark] = {}
        for source in of:
            self.add(source)
        for tail in self._unread:
            self._marks[tail.source] = tail.mark = end_of(tail.source)
        self._unread.clear()

    def add(self, source: Source) -> None:
        """Follow another stream, from its beginning unless this is called by the constructor."""
        directory, name = os.path.split(source.log_path)
        if directory not in self._names:
            self._names[directory] = {}
            self._unwatched.add(directory)
            self._watch()
        self._names[directory][name] = tail = _Tail(source)
        self._unread[tail] = None

    def fileno(self) -> int:
        """Readable when ``read`` has something to do; stays ours."""
        return self._inotify.fileno()

    @property
    def patience_ms(self) -> int | None:
        """How long to wait for ``fileno`` before calling ``read`` anyhow; None: for ever."""
        return _RETRY_MS if self._unwatched else None

    def last(self, count: int) -> list[Line]:
        """The last lines before the following began."""
        return last_lines(list(self._marks), count, self._marks)

    def since(self, wall_ns: int) -> Iterator[Line]:
        """Those of them that came at or after an instant."""
        streams = (forward(source, wall_ns, mark) for source, mark in self._marks.items() if mark.inode)
        return heapq.merge(*streams, key=attrgetter("wall_ns"))

    def read(self) -> list[Line]:
        """The whole lines that have come since, in the order of time; without waiting."""
        changed, self._unread = self._unread, {}
        unwatched = list(self._unwatched)
        self._watch()
        for directory in unwatched:
            changed |= dict.fromkeys(self._names[directory].values())
        while events := self._inotify.read():
            for event in events:
                if event.watch not in self._watches:  # the queue overflowed: anything may have changed
                    changed |= dict.fromkeys(t for tails in self._names.values() for t in tails.values())
                elif (tail := self._names[self._watches[event.watch]].get(event.name)) is not None:
                    changed[tail] = None
        return sorted((line for tail in changed for line in tail.read()), key=attrgetter("wall_ns"))

    def close(self) -> None:
        """Give the descriptor back."""
        self._inotify.close()

    def _watch(self) -> None:
        """Watch the directories that can be watched by now."""
        for directory in list(self._unwatched):
            try:
                self._watches[self._inotify.add(directory, MODIFY | CREATE | MOVED_TO)] = directory
            except KernelError:
                continue  # not made yet, or no watch is left: looked at from time to time
            self._unwatched.discard(directory)


class _Tail:
    """The end of one stream."""

    def __init__(self, source: Source) -> None:
        self.source, self.mark = source, Mark(0, 0)
        self._stamps, self._undress = Stamps(source), Undress(source)
        self._rest: list[bytes] = []  # of a line whose end has not come
        self._rest_wall = 0

    def read(self) -> Iterator[Line]:
        """Whole lines behind the mark, which moves on."""
        for file, start, data in self._news():
            now, steps, at = clock_gettime_ns(CLOCK_REALTIME), self._stamps.behind(file, start), start
            for piece in data.split(b"\n"):
                if not self._rest:
                    self._rest_wall = stamp(steps, at, now)
                at += len(piece) + 1
                self._rest.append(piece)
                if at <= start + len(data):
                    line = self._undress.next(Line(self._rest_wall, self.source, b"".join(self._rest)))
                    if line is not None:
                        yield line
                    self._rest = []
            if self._rest == [b""]:
                self._rest = []

    def _news(self) -> Iterator[tuple[LogFile, int, bytes]]:
        """(file, offset, bytes) of what came, from the marked file on to the present one."""
        files = []
        for file in newest_first(self.source):
            files.append(file)
            if file.inode == self.mark.inode:
                break
        try:
            for file in reversed(files):
                is_marked = file.inode == self.mark.inode and self.mark.offset <= file.size
                offset = self.mark.offset if is_marked else 0
                while data := file.read(_READ, offset):
                    yield file, offset, data
                    offset += len(data)
                self.mark = Mark(file.inode, offset)
        finally:
            for file in files:
                file.close()
