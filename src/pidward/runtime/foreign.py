"""Processes that are nobody's workers: opened by number or PID:INODE, looked at, signalled through the pidfd."""

import os
import select

from pidward.core.model import ProcessId
from pidward.core.signals import SIGKILL
from pidward.kernel import procfs
from pidward.kernel.errors import Denied, Gone, KernelError, Recycled
from pidward.kernel.pidfd import Pidfd
from pidward.kernel.tree import WalkedTree
from pidward.runtime.peer import printable

__all__ = [
    "Denied", "Gone", "KernelError", "Recycled",
    "describe", "is_process", "kill", "open_process", "own_identity", "wait_ended",
]  # fmt: skip


def is_process(target: str) -> bool:
    """Tell whether a target is written as a process, ``PID`` or ``PID:INODE``, and not as a service or worker."""
    pid, colon, inode = target.partition(":")
    return pid.isascii() and pid.isdecimal() and (not colon or (inode.isascii() and inode.isdecimal()))


def open_process(target: str) -> Pidfd:
    """Open a process by what somebody typed. The handle is the caller's.

    With an inode it is the process that once had this identity, or nobody. Without, it is whoever has the number at
    this moment; look at it before doing anything to it.

    Raises:
        ValueError: not ``PID`` or ``PID:INODE``.
        KernelError: Gone, Recycled, NotLeader, Unsupported (the inode cannot be compared here), Exhausted.
    """
    if ":" in target:
        meant = ProcessId.parse(target)
        return Pidfd.open(meant.pid, meant.inode)
    if not is_process(target):
        raise ValueError(f"expected PID or PID:INODE, got {target!r}")
    number = int(target)
    if not 1 <= number < 2**31:
        raise ValueError(f"no process can have the number {target}")
    return Pidfd.open(number)


def own_identity() -> str:
    """This process, written so that ``open_process`` of another finds it: with its inode where there is one."""
    with Pidfd.own() as own:
        return str(own.id) if own.id.inode else str(own.id.pid)


def describe(process: Pidfd) -> str:
    """Say who it is: ``1234:5678 nginx: master process (uid 0)``. Raises Gone."""
    words = procfs.command_line(process)
    command = printable(" ".join(words)) if words else f"[{printable(procfs.name(process))}]"
    try:
        uid = os.stat(f"/proc/{process.id.pid}").st_uid
    except OSError:
        uid = None
    if not process.exists():
        raise Gone(f"look at process {process.id}", "procfs")
    return f"{process.id} {command[:200]}" + ("" if uid is None else f" (uid {uid})")


def kill(process: Pidfd, tree: bool) -> None:
    """SIGKILL it; with ``tree`` all its descendants too, stopped first so that none slips away. Raises KernelError."""
    if tree:
        WalkedTree("none", main=process).kill()
    process.signal(SIGKILL)


def wait_ended(process: Pidfd, seconds: float) -> bool:
    """Wait until the process has ended; False when the time is over before."""
    poll = select.poll()
    poll.register(process, select.POLLIN)
    return bool(poll.poll(seconds * 1000))
