"""A command on a terminal of its own: typed to, read from, resized; nothing here sleeps."""

import os
import pty
import select
import signal
import subprocess
import termios
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from tests.cli.run import PYTHON

PATIENCE = 20.0
"""Only a hang takes this long."""


class Terminal:
    """What the command has written so far is in ``text``."""

    def __init__(self, words: tuple[str, ...], env: Mapping[str, str], width: int, height: int) -> None:
        self._ours, theirs = pty.openpty()
        self.text = ""
        termios.tcsetwinsize(theirs, (height, width))
        self._child = subprocess.Popen(
            [*PYTHON, *words], env=dict(env), stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
        )
        self._pidfd = os.pidfd_open(self._child.pid)
        os.close(theirs)

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def resize(self, width: int, height: int) -> None:
        """Change the size, and tell the command, which does not have this as its controlling terminal."""
        termios.tcsetwinsize(self._ours, (height, width))
        signal.pidfd_send_signal(self._pidfd, signal.SIGWINCH)

    def interrupt(self) -> None:
        signal.pidfd_send_signal(self._pidfd, signal.SIGINT)

    def wait_for(self, what: str, after: int = 0) -> int:
        """Read until something was written; gives where it ends."""
        while (at := self.text.find(what, after)) < 0:
            assert self._read(), f"it ended without {what!r}: {self.text[after:]!r}"
        return at + len(what)

    def wait_end(self) -> int:
        """Read all that is left; gives the exit status."""
        while self._read():
            pass
        return self._child.wait(PATIENCE)

    def _read(self) -> bool:
        ready, _, _ = select.select([self._ours], [], [], PATIENCE)
        assert ready, f"nothing more came after {self.text!r}"
        try:
            part = os.read(self._ours, 65536)
        except OSError:  # EIO: the other end is closed
            return False
        self.text += part.decode(errors="replace")
        assert "Traceback" not in self.text, self.text
        return True

    def close(self) -> None:
        if self._child.poll() is None:
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
            self._child.wait()
        os.close(self._pidfd)
        os.close(self._ours)


@contextmanager
def terminal(*words: str, env: Mapping[str, str], width: int = 100, height: int = 24) -> Iterator[Terminal]:
    """Run one command there until the block ends."""
    one = Terminal(words, env, width, height)
    try:
        yield one
    finally:
        one.close()
