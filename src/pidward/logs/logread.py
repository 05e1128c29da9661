"""An open log file as the reader sees it: the same whether it is compressed or not."""

import os
import zlib
from collections.abc import Iterator
from typing import IO, Self, cast

from pidward.logs import layout

_FIRST_BLOCK, _LAST_BLOCK = 8 * 1024, 1024 * 1024
_GZIP = 31  # window bits for zlib


class LogFile:
    """An open log file.

    inode: of the file in which the lines were written; compression makes another one of it.
    changed_ns: when it was last written to; compression leaves that as it is.
    steps: what a compressed file says of when its bytes came (ends, times in ns); None: the index says that.
    """

    def __init__(self, fd: int, is_compressed: bool = False) -> None:
        self._fd, self._is_compressed = fd, is_compressed
        self._unpacked: IO[bytes] | None = None
        status = os.fstat(fd)
        self.inode, self.changed_ns = status.st_ino, status.st_mtime_ns
        self.steps: tuple[list[int], list[int]] | None = None
        if is_compressed:
            from pidward.logs.squeeze import read_steps  # noqa: PLC0415

            inode, *steps = read_steps(fd)
            self.inode, self.steps = inode or self.inode, (steps[0], steps[1])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close it; harmless when it is closed."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        if self._unpacked is not None:
            self._unpacked.close()
            self._unpacked = None

    @property
    def size(self) -> int:
        """Bytes in it, not compressed."""
        return os.fstat(self._plain()).st_size

    def read(self, count: int, offset: int) -> bytes:
        """Bytes at an offset; none at the end."""
        return os.pread(self._plain(), count, offset)

    def forward(self, start: int) -> Iterator[tuple[int, bytes]]:
        """(offset, line with its end), first the one that begins at or after an offset; the last may have no end."""
        with self._stream() as stream:
            offset = max(0, start - 1)
            _skip(stream, offset)
            if start:
                offset += len(stream.readline())
            try:
                for line in stream:
                    yield offset, line
                    offset += len(line)
            except (EOFError, zlib.error, OSError):
                return  # a damaged compressed file; what came before is shown

    def backward(self, size: int) -> Iterator[tuple[int, bytes]]:
        """(offset, line without its end) from a size to the beginning, newest first."""
        if not size:
            return
        parts: list[bytes] = []  # of the line whose beginning is not found yet, last part first
        block, position = _FIRST_BLOCK, size
        if self.read(1, size - 1) == b"\n":
            position -= 1
        while position:
            wanted = min(block, position)
            position -= wanted
            data = self.read(wanted, position)
            end = len(data)
            while (newline := data.rfind(b"\n", 0, end)) >= 0:
                parts.append(data[newline + 1 : end])
                yield position + newline + 1, b"".join(reversed(parts))
                parts, end = [], newline
            parts.append(data[:end])
            block = min(block * 2, _LAST_BLOCK)
        yield 0, b"".join(reversed(parts))

    def _plain(self) -> int:
        """A descriptor of the lines themselves; a compressed file is unpacked into a nameless one on the disk."""
        if not self._is_compressed:
            return self._fd
        if self._unpacked is None:
            from tempfile import TemporaryFile  # noqa: PLC0415

            self._unpacked = TemporaryFile()  # noqa: SIM115 - closed with us
            with self._stream() as stream:
                try:
                    while data := stream.read(_LAST_BLOCK):
                        self._unpacked.write(data)
                except (EOFError, zlib.error, OSError):
                    pass  # damaged
            self._unpacked.flush()
        return self._unpacked.fileno()

    def _stream(self) -> IO[bytes]:
        if not self._is_compressed:
            return open(self._fd, "rb", buffering=_LAST_BLOCK, closefd=False)
        from gzip import GzipFile  # noqa: PLC0415

        os.lseek(self._fd, 0, os.SEEK_SET)
        raw = open(self._fd, "rb", closefd=False)  # noqa: SIM115 - there is nothing to close
        return cast("IO[bytes]", GzipFile(fileobj=raw))


def open_log(path: str, age: int) -> LogFile | None:
    """Open a log file by its age; None when there is none."""
    name = layout.rotated(path, age)
    for candidate, is_compressed in ((name, False), (layout.compressed(name), True)):
        try:
            return LogFile(os.open(candidate, os.O_RDONLY | os.O_CLOEXEC), is_compressed)
        except FileNotFoundError:
            continue
    return None


def _skip(stream: IO[bytes], count: int) -> None:
    try:
        stream.seek(count)
    except (EOFError, zlib.error, OSError):
        pass
