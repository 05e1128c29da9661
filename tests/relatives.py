"""A process that is not ours to reap: the child of a child, reaped when we say so."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pidward.kernel.pidfd import Pidfd
from tests.isolation import end, fork


@contextmanager
def grandchild(act: Callable[[], int | None]) -> Iterator[tuple[Pidfd, Callable[[], None]]]:
    """(its handle, a function that makes its parent reap it and returns when that is done)."""
    number_read, number_write = os.pipe()
    ask_read, ask_write = os.pipe()

    def parent() -> None:
        os.close(ask_write)
        child = fork(act)
        os.write(number_write, str(child.id.pid).encode())
        os.read(ask_read, 1)
        os.waitid(os.P_PIDFD, child.fileno(), os.WEXITED)
        os.write(number_write, b"reaped")
        os.read(ask_read, 1)

    process = fork(parent)
    try:
        with Pidfd.open(int(os.read(number_read, 20))) as handle:

            def let_it_be_reaped() -> None:
                os.write(ask_write, b".")
                assert os.read(number_read, 20) == b"reaped"

            yield handle, let_it_be_reaped
            handle.signal(9)
    finally:
        end(process)
        for fd in (number_read, number_write, ask_read, ask_write):
            os.close(fd)
