"""Waiting for a text in what a worker writes, from the first byte of its present process on.

The spool is read as the worker fills it. The pump empties it at the same time, and what it has taken before we came to
read (a supervisor that starts a thousand workers has other things to do) is read where the pump put it: its index
says which bytes of the spool are where in the logs.
"""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import suppress

from pidward.core.model import WorkerName
from pidward.core.spec import LogFormat, LogPolicy
from pidward.kernel.errors import KernelError
from pidward.kernel.inotify import MODIFY, Inotify
from pidward.logs import index
from pidward.logs.layout import index_path, log_dir, log_path, rotated, spool_dir, spool_path, streams
from pidward.runtime.loop import READ, Loop, Watch

BLOCK = 64 << 10
MOST = 1 << 20
"""Bytes of a stream that are read in one turn of the loop; others have their turn before the next."""
RECORDS, FILES = 4096, 8
"""Steps of the pump, and log files, that are looked at from the newest back."""


def ends_of(state_dir: str, name: WorkerName) -> tuple[int, int]:
    """Where the spools of stdout and stderr end now; 0 for those that are not there."""
    out, err = (_size(spool_path(spool_dir(state_dir), stream)) for stream in streams(name))
    return out, err


class Reader:
    """Reads both streams of a worker until one of them has said it.

    Args:
        loop: calls us.
        state_dir: where the spools are.
        name: the worker, whose logs are in mode "file".
        policy: where its logs are, and how lines are written there.
        begins: the offsets from which on output is the present process's, from ``ends_of`` before it was started.
        text: what is looked for; within a line.
        found: called once, never from within the constructor; not after ``cancel``.
    """

    def __init__(
        self, loop: Loop, state_dir: str, name: WorkerName, policy: LogPolicy, begins: tuple[int, int], text: str,
        found: Callable[[], None],
    ) -> None:  # fmt: skip
        self._loop, self._found = loop, found
        self._streams: list[_Stream] = []
        self._inotify: Inotify | None = None
        self._watch: Watch | None = None
        with suppress(KernelError):  # without it there is one look at what is there: see docs/health.md
            self._inotify = Inotify()
            self._watch = loop.watch(self._inotify, READ, self._changed)
        for stream, begin in zip(streams(name), begins, strict=True):
            with suppress(KernelError, FileNotFoundError):  # another mode than "file": there is nothing to read
                if self._inotify is not None:
                    self._inotify.add(spool_path(spool_dir(state_dir), stream), MODIFY)  # before the first look
                self._streams.append(_Stream(state_dir, stream, policy, begin, text))
        loop.call_soon(self._read)

    def cancel(self) -> None:
        """Stop; harmless when it has stopped."""
        if self._watch is not None:
            self._watch.close()
            self._watch = None
        if self._inotify is not None:
            self._inotify.close()
            self._inotify = None
        while self._streams:
            self._streams.pop().close()

    def _changed(self, _events: int) -> None:
        if self._inotify is not None:
            self._inotify.read()
            self._read()

    def _read(self) -> None:
        results = [stream.read() for stream in self._streams]
        if True in results:
            self.cancel()
            self._found()
        elif None in results:
            self._loop.call_at(self._loop.now(), self._read)  # in the next turn: who writes without end gets no more


class _Stream:
    """One spool, from an offset on."""

    def __init__(self, state_dir: str, stream: str, policy: LogPolicy, begin: int, text: str) -> None:
        spools = spool_dir(state_dir)
        self._fd = os.open(spool_path(spools, stream), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        self._index, self._log = index_path(spools, stream), log_path(log_dir(state_dir, policy.dir), stream)
        self._position, self._is_json = begin, policy.format is LogFormat.JSON
        self._text = self._in_log = text.encode("utf-8", "surrogateescape")
        if self._is_json:
            from _json import encode_basestring_ascii as quoted  # noqa: PLC0415 - as the pump does

            self._in_log = quoted(text)[1:-1].encode()
        self._tail = b""

    def read(self) -> bool | None:
        """Whether the text is in what came since the last call; None: not yet, and there is more to read."""
        if os.fstat(self._fd).st_size < self._position:  # truncated by somebody
            self._position = 0
        stop = self._position + MOST
        while self._position < stop:
            data = os.pread(self._fd, BLOCK, self._position)
            if not data:
                return False
            kept = self._first_data()
            if kept > self._position:  # looked at after the read: what was read were zeros, or soon may have been
                if self._is_in_log(kept):
                    return True
                self._position, self._tail = kept, b""
                continue
            text = self._tail + data
            if self._text in text:
                return True
            self._position += len(data)
            self._tail = text[-len(self._text) :]
        return None

    def close(self) -> None:
        os.close(self._fd)

    def _first_data(self) -> int:
        """Where the first byte is that the pump has not taken away."""
        try:
            return os.lseek(self._fd, self._position, os.SEEK_DATA)
        except OSError as error:  # ENXIO: all is taken; EINVAL: this file system has no holes
            return os.fstat(self._fd).st_size if error.errno == errno.ENXIO else self._position

    def _is_in_log(self, last: int) -> bool:
        tail = b""
        for data in self._moved(last):
            text = tail + data
            if self._in_log in text:
                return True
            tail = text[-len(self._in_log) :]
        return False

    def _moved(self, last: int) -> Iterator[bytes]:
        """What the pump made of the spool from our position on, at least up to ``last``; of JSON, whole steps."""
        log_file = log_end = 0
        for record in _newest_records(self._index):
            if record.file != log_file:
                log_file, log_end = record.file, 0
            if self._position < record.spool_end and log_file:
                start = log_end if self._is_json else record.log_end - (record.spool_end - self._position)
                yield from _bytes_of(self._log, log_file, max(log_end, start), record.log_end)
            log_end = record.log_end
            if record.spool_end >= last:
                return


def _newest_records(path: str) -> list[index.Record]:
    """Steps of the present spool, oldest first."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return []
    try:
        total = index.count(fd)
        begin = max(0, total - RECORDS)
        records = index.read(fd, begin, total - begin)
    finally:
        os.close(fd)
    earlier = max((number for number, record in enumerate(records, 1) if not record.file), default=0)
    return records[earlier:]


def _bytes_of(log: str, inode: int, start: int, end: int) -> Iterator[bytes]:
    """A range of the log file with an inode, wherever rotation has moved it; nothing when it is compressed by now."""
    for age in range(FILES):
        try:
            fd = os.open(rotated(log, age), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            if os.fstat(fd).st_ino != inode:
                continue
            while start < end and (data := os.pread(fd, min(BLOCK, end - start), start)):
                yield data
                start += len(data)
            return
        finally:
            os.close(fd)


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0
