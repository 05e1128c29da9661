"""Programs that the demo itself starts: the supervisor, a command, a stranger. Held by pidfd; none outlives it."""

import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Self

from pidward.core.model import ExitStatus
from pidward.core.units import Seconds
from pidward.kernel.errors import NotChild
from pidward.kernel.pidfd import Pidfd
from pidward.kernel.spawn import Failure, Plan, Spawner, Started
from pidward.kernel.wait import exit_status_of, reap, wait_exit

ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def plan_of(argv: Sequence[str], output: str) -> Plan:
    """How to start a program in our environment.

    Args:
        argv: the program by absolute path, and its arguments.
        output: where stdout and stderr are appended to.
    """
    return Plan(
        path=os.fsencode(argv[0]),
        argv=tuple(os.fsencode(word) for word in argv),
        env=tuple(os.fsencode(f"{key}={value}") for key, value in os.environ.items()),
        stdout=os.fsencode(output),
        stderr=os.fsencode(output),
    )


@contextmanager
def uninterrupted() -> Iterator[None]:
    """No signal that asks to end comes between what is started here and the one who will end it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Program:
    """A started program."""

    def __init__(self, result: Started | Failure, name: str) -> None:
        """Take what a spawner answered. Raises OSError when it could not be started."""
        if isinstance(result, Failure):
            raise OSError(result.errno, f"{os.strerror(result.errno)} (stage {result.stage})", name)
        self.handle: Pidfd = result.pidfd
        self._gate = result.gate  # kept: the pure-Python rung still speaks through it

    @classmethod
    def start(cls, argv: Sequence[str], output: str) -> Self:
        """Start one, as ``plan_of`` says. Raises OSError."""
        spawner = Spawner()
        try:
            (result,) = spawner.spawn([spawner.prepare(plan_of(argv, output))])
        finally:
            spawner.close()
        return cls(result, argv[0])

    def wait(self, seconds: float) -> ExitStatus | None:
        """Wait for its end and reap it; how it ended, or None when the time is over before."""
        if not wait_exit(self.handle, Seconds(seconds)):
            return None
        try:
            return reap(self.handle)
        except NotChild:
            return exit_status_of(self.handle)

    def close(self) -> None:
        """End it, if it has not ended, and let go of it; harmless when done already."""
        if self.handle.is_closed:
            return
        self.handle.signal(signal.SIGKILL)
        self.wait(10)
        self.handle.close()
        if self._gate is not None:
            self._gate.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_about: object) -> None:
        self.close()
