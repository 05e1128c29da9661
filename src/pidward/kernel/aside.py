"""Work done in a fork of ours that ends at once: what it loads and allocates never becomes part of this process."""

import os
from collections.abc import Callable
from contextlib import suppress

from pidward.kernel.errors import translated
from pidward.kernel.pidfd import Pidfd
from pidward.kernel.wait import reap, wait_exit


class Aside:
    """A function that is being called in a child.

    To be made while the process has one thread: the child is a plain fork and runs Python.

    Args:
        task: gives the answer; an exception in it ends the child without one.

    Raises:
        Exhausted: no process, pipe or memory is to be had.
    """

    def __init__(self, task: Callable[[], bytes]) -> None:
        self._pipe, theirs = os.pipe2(os.O_CLOEXEC)
        try:
            pid = os.fork()  # noqa: TID251 - what it shares with us is the point, and it never execs
        except OSError as error:
            os.close(self._pipe)
            os.close(theirs)
            raise translated(error, "fork", "work aside") from error
        if pid == 0:
            _work(task, theirs)
        os.close(theirs)
        self._process = Pidfd.open(pid)  # ours and not reaped, so the number is its own

    def answer(self) -> bytes | None:
        """Wait for the answer, once; None when the child ended without giving one."""
        with open(self._pipe, "rb") as pipe:
            said = pipe.read()
        with self._process as process:
            wait_exit(process)
            reap(process)
        return said or None


def _work(task: Callable[[], bytes], pipe: int) -> None:
    """The child's whole life. It must end here: what it inherited is the parent's to flush and to close."""
    try:
        with open(pipe, "wb") as file, suppress(Exception):  # no answer is the answer
            file.write(task())
    finally:
        os._exit(0)
