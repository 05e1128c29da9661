"""What a spawned program gets as stdin, stdout and stderr, said the way subprocess says it."""

import os
from typing import IO, Final, Protocol

PIPE: Final = -1
"""A pipe of its own, whose other end is an attribute of the Process."""
STDOUT: Final = -2
"""For stderr: the same as stdout."""
DEVNULL: Final = -3


class HasFileno(Protocol):
    """An open file, pipe or terminal."""

    def fileno(self) -> int:
        """Its descriptor."""
        ...


Stream = None | int | str | os.PathLike[str] | HasFileno
"""None: ours. PIPE, DEVNULL, STDOUT. A path. An open file or its descriptor, which stays the caller's."""


class Streams:
    """The three streams of one spawn. Owns the pipes it makes until ``take`` hands ours over.

    A program's streams are opened by the program itself before exec, by path. So a descriptor is given as a path too,
    by way of our /proc/PID/fd: what it opens is the same pipe, terminal or file.
    """

    def __init__(self, stdin: Stream, stdout: Stream, stderr: Stream) -> None:
        self._ours: list[IO[bytes] | None] = [None, None, None]
        self._theirs: list[int] = []
        try:
            self.stdin = self._path(0, stdin)
            self.stdout = self._path(1, stdout)
            self.stderr = self.stdout if _is(stderr, STDOUT) else self._path(2, stderr)
        except BaseException:
            self.close()
            raise

    def take(self) -> tuple[IO[bytes] | None, IO[bytes] | None, IO[bytes] | None]:
        """Our ends of the pipes, unbuffered, from now on the caller's."""
        ours, self._ours = self._ours, []
        stdin, stdout, stderr = ours
        return stdin, stdout, stderr

    def close(self) -> None:
        """Close what was not taken: the program's ends, which it has opened anew by now."""
        for file in self._ours:
            if file is not None:
                file.close()
        for fd in self._theirs:
            os.close(fd)
        self._ours, self._theirs = [], []

    def _path(self, number: int, stream: Stream) -> bytes:
        if stream is None:
            return _by_descriptor(number)
        if _is(stream, STDOUT):
            raise ValueError("STDOUT is for stderr only")
        if _is(stream, DEVNULL):
            return b"/dev/null"
        if _is(stream, PIPE):
            return self._pipe(number)
        if isinstance(stream, int):
            return _by_descriptor(stream)
        if isinstance(stream, str | os.PathLike):
            return os.path.abspath(os.fsencode(stream))
        return _by_descriptor(stream.fileno())

    def _pipe(self, number: int) -> bytes:
        read, write = os.pipe2(os.O_CLOEXEC)
        ours, theirs = (write, read) if number == 0 else (read, write)
        self._theirs.append(theirs)
        self._ours[number] = open(ours, "wb" if number == 0 else "rb", buffering=0)  # noqa: SIM115 - kept
        return _by_descriptor(theirs)


def _is(stream: Stream, which: int) -> bool:
    return isinstance(stream, int) and stream == which


def _by_descriptor(fd: int) -> bytes:
    if fd < 0:
        raise ValueError(f"{fd} is no descriptor")
    return b"/proc/%d/fd/%d" % (os.getpid(), fd)
