"""Datagrams with their senders: the receiving end of sd_notify(3).

The kernel says who sent each one. SCM_PIDFD (Linux 6.5) is a handle on the sender, valid also when that has ended
since, and (6.17; 6.16 with fixes) been reaped: nobody has to look a number up. Before 6.5 the number is opened when
the message is read; whoever has it then may not be who sent it.

A sender with CAP_SYS_ADMIN may speak in another's name, as ``systemd-notify`` run by root does for its parent.
"""

import array
import fcntl
import os
import socket
import struct
from collections.abc import Callable
from contextlib import suppress

from pidward.core.lean import NamedTuple
from pidward.kernel import mask
from pidward.kernel.errors import KernelError, translated
from pidward.kernel.pidfd import Pidfd

MAX_DESCRIPTORS = 253
"""What the kernel lets one message carry."""
_SO_PASSPIDFD, _SCM_PIDFD = 76, 4
_F_DUPFD_QUERY = 1024 + 3
_UCRED = struct.Struct("=iII")
_CONTROL = (
    socket.CMSG_SPACE(_UCRED.size) + socket.CMSG_SPACE(4) + socket.CMSG_SPACE(4 * MAX_DESCRIPTORS) + 256
)  # and room for what a later kernel may add: what does not fit would be lost with descriptors of ours


class Datagram(NamedTuple):
    """One message. What it holds is the receiver's: ``close`` it.

    pid: the sender's number for people; 0 when it is not in our pid namespace.
    sender: None when nobody can tell any more who it was.
    descriptors: those that came along; the receiver may keep some and remove them from the list.
    is_whole: False when text or descriptors were cut off, for want of room or of free descriptors.
    """

    data: bytes
    pid: int
    uid: int
    sender: Pidfd | None
    descriptors: list[int]
    is_whole: bool

    def close(self, close: Callable[[int], None] = os.close) -> None:
        """Close the sender's handle and, each by ``close``, the descriptors that are still here."""
        if self.sender is not None:
            self.sender.close()
        while self.descriptors:
            close(self.descriptors.pop())


class NotifySocket:
    """A bound datagram socket that learns its senders. Any user may write to it who reaches its path."""

    def __init__(self, path: str, size: int) -> None:
        """Bind; a socket that an earlier owner left at the path is replaced, so hold a lock for the path.

        Args:
            path: of the socket, at most 107 bytes.
            size: bytes of the longest message; what is longer is cut off, and that is told.

        Raises:
            KernelError: the path cannot be used.
        """
        self.path, self._size = path, size
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
            with suppress(OSError):  # ENOPROTOOPT before Linux 6.5
                if "scm_pidfd" not in mask.taken_away():
                    self._socket.setsockopt(socket.SOL_SOCKET, _SO_PASSPIDFD, 1)
            with suppress(FileNotFoundError):
                os.unlink(path)
            self._socket.bind(path)
            os.chmod(path, 0o666)  # noqa: S103 - every sender is looked at, and the directory decides who comes near
        except OSError as error:
            self._socket.close()
            raise translated(error, "bind", f"make the socket {path}") from error

    def fileno(self) -> int:
        """The descriptor, readable when there are messages; it stays ours."""
        return self._socket.fileno()

    def receive(self) -> Datagram | None:
        """Take the next message, without waiting; None when there is none, or no memory for it now."""
        try:
            data, control, flags, _ = self._socket.recvmsg(self._size, _CONTROL, socket.MSG_CMSG_CLOEXEC)
        except OSError:  # EAGAIN, ENOMEM, ENOBUFS: nothing of it has been taken
            return None
        pid, uid = 0, 0xFFFFFFFF
        handle: int | None = None
        descriptors = array.array("i")
        for level, kind, content in control:
            if level != socket.SOL_SOCKET:
                continue
            if kind == socket.SCM_RIGHTS:
                descriptors.frombytes(content[: len(content) // 4 * 4])
            elif kind == socket.SCM_CREDENTIALS:
                pid, uid, _ = _UCRED.unpack(content)
            elif kind == _SCM_PIDFD:
                (handle,) = struct.unpack("=i", content)
        sender = _held(handle, pid)
        return Datagram(data, pid, uid, sender, list(descriptors), not flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC))

    def close(self) -> None:
        """Close and remove the socket; harmless when done already."""
        if self._socket.fileno() >= 0:
            self._socket.close()
            with suppress(OSError):
                os.unlink(self.path)


def _held(handle: int | None, pid: int) -> Pidfd | None:
    """The sender: what SCM_PIDFD gave, which is an errno below zero when it was reaped or no descriptor is left.

    Only where the kernel gives none at all is the number opened.
    """
    if pid <= 0:  # not in our pid namespace: nobody of ours
        if handle is not None and handle >= 0:
            os.close(handle)
        return None
    try:
        if handle is None:
            return Pidfd.open(pid)
        return Pidfd.take(handle, pid) if handle >= 0 else None
    except KernelError:
        return None


def is_same_open_file(one: int, other: int) -> bool:
    """Both descriptors name one open file (F_DUPFD_QUERY, Linux 6.10). False where that cannot be asked."""
    try:
        return fcntl.fcntl(one, _F_DUPFD_QUERY, other) == 1
    except OSError:
        return False
