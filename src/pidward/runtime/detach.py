"""A program started in the background: in a session of its own, away from the terminal, its output where we say."""

import os
import select
from collections.abc import Sequence

from pidward.core.lean import Self
from pidward.core.model import ExitStatus, ProcessId
from pidward.core.signals import SIGKILL, SIGTERM
from pidward.kernel.errors import KernelError
from pidward.kernel.helper import start_helper
from pidward.kernel.pidfd import Pidfd
from pidward.kernel.spawn import Plan, Spawner, Started
from pidward.kernel.wait import reap


class Background:
    """A started program, ours to wait for until we end; then it goes on without us.

    Args:
        argv: the program by absolute path, and its arguments.
        stdout: path of what its stdout is appended to.
        stderr: the same for stderr.

    Raises:
        OSError: it could not be started.
    """

    def __init__(self, argv: Sequence[str], stdout: str, stderr: str) -> None:
        plan = Plan(
            path=os.fsencode(argv[0]),
            argv=tuple(os.fsencode(word) for word in argv),
            env=tuple(os.fsencode(f"{key}={value}") for key, value in os.environ.items()),
            stdout=os.fsencode(stdout),
            stderr=os.fsencode(stderr),
        )
        spawner = Spawner()
        try:
            (result,) = spawner.spawn([spawner.prepare(plan)])
        finally:
            spawner.close()
        if not isinstance(result, Started):
            raise OSError(result.errno, f"{os.strerror(result.errno)} (stage {result.stage})", argv[0])
        self._pidfd: Pidfd = result.pidfd
        self._gate = result.gate  # kept: the pure-Python rung still speaks through it

    @classmethod
    def beside_us(cls, argv: Sequence[str]) -> Self:
        """Start a program that writes to our own stdout and stderr: a socket could not be opened once more by its path.

        Raises:
            OSError: it could not be started.
        """
        self = cls.__new__(cls)
        try:
            with open(os.devnull, "rb") as nothing:
                self._pidfd = start_helper(argv, nothing.fileno(), shares_stdout=True)
        except KernelError as error:
            raise OSError(error.errno, str(error), argv[0]) from None
        self._gate = None
        return self

    @property
    def process(self) -> ProcessId:
        """Who it is."""
        return self._pidfd.id

    def wait(self, seconds: float) -> ExitStatus | None:
        """Wait for its end; how it ended, or None when the time is over before."""
        poll = select.poll()
        poll.register(self._pidfd, select.POLLIN)
        return reap(self._pidfd) if poll.poll(seconds * 1000) else None

    def ask_to_end(self, seconds: float) -> None:
        """Send SIGTERM, wait for the end, and when the time is over, kill it."""
        self._pidfd.signal(SIGTERM)
        if self.wait(seconds) is None:
            self._pidfd.signal(SIGKILL)

    def close(self) -> None:
        """Let go of it; it goes on."""
        self._pidfd.close()
        if self._gate is not None:
            self._gate.close()
