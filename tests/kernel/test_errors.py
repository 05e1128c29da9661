import errno

import pytest

from pidward.kernel.errors import (
    Denied,
    Exhausted,
    Foreign,
    Gone,
    KernelError,
    NotChild,
    NotLeader,
    Unsupported,
    translated,
)


@pytest.mark.parametrize(
    "call, number, meaning",
    [
        ("pidfd_open", errno.ESRCH, Gone),
        ("pidfd_open", errno.EINVAL, Gone),  # died while it was opened
        ("pidfd_open", errno.ENOENT, NotLeader),
        ("pidfd_open", errno.ENOSYS, Unsupported),
        ("pidfd_open", errno.EMFILE, Exhausted),
        ("pidfd_open", errno.ENFILE, Exhausted),
        ("pidfd_open", errno.ENOMEM, Exhausted),
        ("pidfd_send_signal", errno.EINVAL, Foreign),
        ("pidfd_send_signal", errno.EPERM, Denied),
        ("pidfd_send_signal", errno.EAGAIN, Exhausted),
        ("waitid", errno.ECHILD, NotChild),
        ("waitid", errno.EINVAL, Unsupported),
        ("PIDFD_GET_INFO", errno.ENOTTY, Unsupported),
        ("PIDFD_GET_INFO", errno.EREMOTE, Foreign),
        ("open_by_handle_at", errno.ESTALE, Gone),
        ("clone3", errno.EAGAIN, Exhausted),
        ("procfs", errno.ESRCH, Gone),
        ("mkdir", errno.ENOENT, KernelError),  # no special meaning
    ],
)
def test_an_errno_means_what_it_means_in_that_call(call: str, number: int, meaning: type[KernelError]) -> None:
    error = translated(OSError(number, "text"), call, "do it")
    assert type(error) is meaning
    assert (error.errno, error.call) == (number, call)


def test_a_message_says_what_why_where_and_what_to_do() -> None:
    error = translated(OSError(errno.EMFILE, "Too many open files"), "pidfd_open", "open process 7")
    assert str(error) == (
        "cannot open process 7: the system or a limit has run out of descriptors, processes or memory "
        "(pidfd_open, EMFILE); raise the limit (nofile, nproc, pids.max) or run fewer workers"
    )


def test_an_errno_without_a_meaning_keeps_its_text() -> None:
    error = translated(OSError(errno.EIO, "Input/output error"), "read", "read it")
    assert str(error) == "cannot read it: input/output error (read, EIO)"
