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


class CannotOpen(Exception):
    """A path among the streams. stage: which one."""

    def __init__(self, stage: str, errno: int) -> None:
        super().__init__(f"cannot open {stage}: {os.strerror(errno)}")
        self.stage, self.errno = stage, errno


class Streams:
    """The three streams of one spawn. Owns the pipes it makes until ``take`` hands ours over.

    All three are passed as descriptors: those that are paths are opened here, so that all are of one kind.

    descriptors: (number there, ours), as a plan takes them.

    Raises:
        CannotOpen: one of the paths.
    """

    def __init__(self, stdin: Stream, stdout: Stream, stderr: Stream) -> None:
        self._ours: list[IO[bytes] | None] = [None, None, None]
        self._theirs: list[int] = []
        self.descriptors: list[tuple[int, int]] = []
        try:
            self._add(0, stdin)
            self._add(1, stdout)
            if _is(stderr, STDOUT):
                self._pass(2, dict(self.descriptors)[1])
            else:
                self._add(2, stderr)
        except BaseException:
            self.close()
            raise

    def take(self) -> tuple[IO[bytes] | None, IO[bytes] | None, IO[bytes] | None]:
        """Our ends of the pipes, unbuffered, from now on the caller's."""
        ours, self._ours = self._ours, []
        stdin, stdout, stderr = ours
        return stdin, stdout, stderr

    def close(self) -> None:
        """Close what was not taken: the program's ends, which it has by now."""
        for file in self._ours:
            if file is not None:
                file.close()
        for fd in self._theirs:
            os.close(fd)
        self._ours, self._theirs = [], []

    def _add(self, number: int, stream: Stream) -> None:
        if stream is None:
            self._pass(number, number)
        elif _is(stream, STDOUT):
            raise ValueError("STDOUT is for stderr only")
        elif _is(stream, DEVNULL):
            self._open(number, os.devnull)
        elif _is(stream, PIPE):
            self._pipe(number)
        elif isinstance(stream, int):
            self._pass(number, stream)
        elif isinstance(stream, str | os.PathLike):
            self._open(number, stream)
        else:
            self._pass(number, stream.fileno())

    def _open(self, number: int, path: str | os.PathLike[str]) -> None:
        """Without waiting for a FIFO's other end, and without taking a terminal for ours."""
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT if number else os.O_RDONLY
        try:
            fd = os.open(path, flags | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK, 0o640)
        except OSError as error:
            raise CannotOpen(("stdin", "stdout", "stderr")[number], error.errno or 0) from error
        self._theirs.append(fd)
        os.set_blocking(fd, True)
        self._pass(number, fd)

    def _pipe(self, number: int) -> None:
        read, write = os.pipe2(os.O_CLOEXEC)
        ours, theirs = (write, read) if number == 0 else (read, write)
        self._theirs.append(theirs)
        self._ours[number] = open(ours, "wb" if number == 0 else "rb", buffering=0)  # noqa: SIM115 - kept
        self._pass(number, theirs)

    def _pass(self, number: int, ours: int) -> None:
        if ours < 0:
            raise ValueError(f"{ours} is no descriptor")
        self.descriptors.append((number, ours))


def _is(stream: Stream, which: int) -> bool:
    return isinstance(stream, int) and stream == which
