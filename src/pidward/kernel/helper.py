"""Starting pidward's own helper programs, which are not workers: no cgroup, no limits, one descriptor passed on."""

import os
from collections.abc import Sequence

from pidward.kernel.errors import translated
from pidward.kernel.pidfd import Pidfd

_SIGNALS_PYTHON_IGNORES = (13, 25)  # SIGPIPE, SIGXFSZ


def start_helper(argv: Sequence[str], stdin: int, *, shares_stdout: bool = False) -> Pidfd:
    """Start a program that talks with us over its descriptor 0.

    It gets a session of its own, so that a ^C at the terminal is not meant for it, an empty signal mask, /dev/null as
    stdout unless it shares ours, and our stderr; no other descriptor of ours, which are all close-on-exec.
    posix_spawn(3) shares our memory until exec: about 0.3 ms.

    Args:
        argv: absolute path of the program, then its arguments.
        stdin: the descriptor; borrowed.
        shares_stdout: it writes to our stdout, whatever that is.

    Returns:
        The handle of the child; to be reaped when it ends.

    Raises:
        KernelError: it could not be started.
    """
    actions: list[tuple[object, ...]] = [(os.POSIX_SPAWN_DUP2, stdin, 0)]
    if not shares_stdout:
        actions.append((os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0))
    try:
        pid = os.posix_spawn(  # noqa: TID251 - the child is not reaped before its pidfd is open
            argv[0], list(argv), os.environ, file_actions=actions, setsid=True,
            setsigmask=(), setsigdef=_SIGNALS_PYTHON_IGNORES,
        )  # fmt: skip
    except OSError as error:
        raise translated(error, "posix_spawn", f"start {argv[0]}") from error
    return Pidfd.open(pid)
