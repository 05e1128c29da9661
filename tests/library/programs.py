"""Programs to spawn, and how it is told that nobody of a tree lives: all of it holds the pipe that is its stdout."""

import select
import sys
from typing import IO

DAEMONS = [sys.executable, "-S", "-E", "-c", """
import os, signal, sys
for _ in range(3):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.setpgid(0, 0)
            os.write(1, b".")
            signal.pause()
        os._exit(0)
    os.wait()
os.write(1, b"!")
signal.pause()
"""]  # fmt: skip
"""Starts three daemons, double-forked and in sessions and groups of their own. Each of the four writes a byte."""

STUBBORN = [sys.executable, "-S", "-E", "-c", """
import os, signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
os.write(1, b"!")
while True:
    signal.pause()
"""]  # fmt: skip
"""Does not end when asked to."""


def read_all(pipe: IO[bytes] | None, size: int) -> None:
    """Wait until the tree has written so many bytes; stops at once when it has ended."""
    assert pipe is not None
    while size:
        part = pipe.read(size)
        assert part, "the program has ended"
        size -= len(part)


def is_extinct(pipe: IO[bytes] | None, seconds: float = 0.0) -> bool:
    """Nobody holds the other end of a pipe."""
    assert pipe is not None
    return bool(select.select([pipe], [], [], seconds)[0]) and pipe.read(1) == b""
