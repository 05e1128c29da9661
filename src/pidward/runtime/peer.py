"""Who is at the other end of a UNIX socket, as the kernel tells it."""

import _socket as socket  # the module above it makes enums of all numbers, 0.5 MiB
import os
import struct

from pidward.core.lean import NamedTuple
from pidward.core.model import ProcessId
from pidward.kernel import procfs
from pidward.kernel.errors import KernelError
from pidward.kernel.pidfd import Pidfd

_CREDENTIALS = struct.Struct("=iII")  # struct ucred: pid uid gid
_SO_PEERPIDFD = 77


class Peer(NamedTuple):
    """A process at the time it connected. It may have ended, or handed the socket on, since.

    process: None when it cannot be told: the peer has ended or lives in another pid namespace.
    name: as in listings, "" when not known. Only a label: a process chooses it itself.
    """

    uid: int
    process: ProcessId | None
    name: str

    def __str__(self) -> str:
        user = "root" if self.uid == 0 else f"uid {self.uid}"
        what = " ".join(filter(None, ["" if self.process is None else f"pid {self.process}", self.name]))
        return f"{user} ({what})" if what else user


def peer_of(connection: socket.socket) -> Peer:
    """Ask the kernel who connected (SO_PEERCRED; SO_PEERPIDFD, Linux 6.5, proves the process).

    Before 6.5 the number is looked up, and the process left out when it has another user by now.
    """
    pid, uid, _gid = _CREDENTIALS.unpack(
        connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    )
    try:
        with _handle(connection, pid, uid) as handle:
            return Peer(uid, handle.id, printable(procfs.name(handle)))
    except (KernelError, OSError, ValueError):
        return Peer(uid, None, "")


def printable(text: str) -> str:
    """The text without what could play with a terminal."""
    return "".join(c if c.isprintable() else "?" for c in text)


def _handle(connection: socket.socket, pid: int, uid: int) -> Pidfd:
    try:
        return Pidfd.take(connection.getsockopt(socket.SOL_SOCKET, _SO_PEERPIDFD), pid)
    except OSError:
        handle = Pidfd.open(pid)  # ValueError for 0: not in our pid namespace
    if os.stat(f"/proc/{pid}").st_uid != uid or not handle.exists():
        handle.close()
        raise ProcessLookupError(f"process {pid} is another by now")
    return handle
