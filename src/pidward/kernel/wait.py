"""How a process ended, and never a guess: what nobody can tell is ``UNKNOWN_EXIT``."""

import errno
import os
import select

from pidward.core.model import UNKNOWN_EXIT, ExitStatus, Source, Usage
from pidward.core.units import Seconds
from pidward.kernel import abi
from pidward.kernel.errors import Gone, KernelError, NotYet, translated
from pidward.kernel.pidfd import Ask, Pidfd, State
from pidward.kernel.procfs import read_stat

try:
    from pidward.kernel._spawn import waitid as _waitid
except ImportError:
    _waitid = abi.waitid

_OPTIONS = abi.WEXITED | abi.WNOHANG | abi.WALL  # WALL: also children that were made without an exit signal
_CLD_EXITED, _CLD_DUMPED = 1, 3


def reap(process: Pidfd, *, keep_zombie: bool = False) -> ExitStatus | None:
    """Reap a child of ours that has ended.

    A status that somebody else took (a library that calls waitpid(-1)) is repaired from the kernel's own record.

    Args:
        process: borrowed. Its number is free for others afterwards.
        keep_zombie: only read how it ended, and leave the reaping for a later call, for who wants to start a
            successor first: the reap adds some 30 us when everything is cold.

    Returns:
        How it ended, with its rusage; None when it has not.

    Raises:
        NotChild: it exists and is another's child (ECHILD); ``exit_status_of`` tells how it ended.
        Unsupported: no waitid(P_PIDFD), before Linux 5.4 (EINVAL).
    """
    try:
        signo, code, status, user, system, max_rss = _waitid(
            process.fileno(), _OPTIONS | abi.WNOWAIT if keep_zombie else _OPTIONS
        )
    except OSError as error:
        if error.errno == errno.ECHILD and not process.exists():
            return _recorded(process)
        raise translated(error, "waitid", f"reap process {process.id}") from error
    if not signo:
        return None
    return status_of_wait(code, status, user, system, max_rss)


def status_of_wait(code: int, status: int, user: float, system: float, max_rss_kib: int) -> ExitStatus:
    """What waitid(2) tells: si_code, si_status, and of the rusage seconds and KiB."""
    usage = Usage(user, system, max_rss_kib * 1024)
    if code == _CLD_EXITED:
        return ExitStatus(status, None, False, Source.WAITID, usage)
    return ExitStatus(None, status, code == _CLD_DUMPED, Source.WAITID, usage)


def exit_status_of(process: Pidfd) -> ExitStatus:
    """Tell how a process ended that is not ours to reap, or was reaped by others. Reaps nothing.

    Args:
        process: borrowed; opened before the reap.

    Returns:
        From PIDFD_GET_INFO once it was reaped (Linux 6.15), from /proc/PID/stat while it is a zombie and we may
        read that (ptrace access), else UNKNOWN_EXIT.

    Raises:
        NotYet: it runs.
    """
    state = process.state()
    if state is State.RUNNING:
        raise NotYet(f"tell how process {process.id} ended", why="it still runs")
    if state is State.EXITED and process.exists():
        try:
            return _of_zombie(process)
        except Gone:
            pass  # reaped meanwhile, and so recorded
    return _recorded(process)


def wait_exit(process: Pidfd, timeout: Seconds | None = None) -> bool:
    """Block until the process has ended; False when the time is over first. Reaps nothing."""
    poll = select.poll()
    poll.register(process.fileno(), select.POLLIN)
    return bool(poll.poll(None if timeout is None else max(0, timeout * 1000)))


def wait_reaped(process: Pidfd, timeout: Seconds) -> bool:
    """Block until somebody has reaped the process, and its number is free; False when the time is over first.

    Kernel: EPOLLHUP on a pidfd, Linux 6.9. Before, this waits out the time.
    """
    poll = select.poll()
    poll.register(process.fileno(), 0)  # the hang-up is always told, and nothing else is wanted
    return bool(poll.poll(max(0, timeout * 1000)))


def _recorded(process: Pidfd) -> ExitStatus:
    """What the kernel keeps of a reaped process."""
    try:
        info = process.info(Ask.EXIT)
    except KernelError:
        return UNKNOWN_EXIT
    return ExitStatus.from_wait_status(info.exit_word, Source.PIDFD_INFO) if info.has(Ask.EXIT) else UNKNOWN_EXIT


def _of_zombie(process: Pidfd) -> ExitStatus:
    """Field 52 of stat, which reads 0 without ptrace access: the link to the program tells whether we have that."""
    stat = read_stat(process)
    try:
        os.readlink(f"/proc/{process.id.pid}/exe")
    except FileNotFoundError:  # what a zombie answers to those who may look
        if process.exists():
            return ExitStatus.from_wait_status(stat.exit_word, Source.PROC_STAT)
    except OSError:
        return UNKNOWN_EXIT
    return _recorded(process)
