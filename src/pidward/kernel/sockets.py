"""Listening sockets that outlive the processes they are given to."""

import _socket as socket  # the module above it makes enums of all numbers, 0.5 MiB
import os
import stat
from contextlib import closing, suppress
from errno import EADDRINUSE, ESTALE

from pidward.core.lean import NamedTuple, Self
from pidward.core.spec import SocketKind, SocketSpec
from pidward.kernel.errors import KernelError
from pidward.kernel.pidfd import Pidfd

_STREAMS = frozenset({SocketKind.TCP, SocketKind.UNIX})
_PATHS = frozenset({SocketKind.UNIX, SocketKind.UNIX_DGRAM})
MOST_DESCRIPTORS = 4096
"""Looked at in one process when a socket is looked for."""


Connection = socket.socket


class Owner(NamedTuple):
    """Whom a socket's path is given to; -1 leaves it as it is."""

    uid: int = -1
    gid: int = -1


class Listener:
    """A bound socket, and with a stream kind a listening one. Owned here, also the path it made; close it.

    It is left blocking, as systemd leaves those it passes: the flag is shared with every process that has it, and
    programs set what they need.

    Args:
        spec: what to bind.
        owner: of the path, where there is one.

    Raises:
        OSError: EADDRINUSE (for a path: somebody answers there, or it is no socket), EADDRNOTAVAIL, EACCES, EPERM for
            the owner, ENAMETOOLONG.
    """

    def __init__(self, spec: SocketSpec, owner: Owner = Owner()) -> None:  # noqa: B008 - immutable
        self._socket = socket.socket(
            _family(spec), (socket.SOCK_STREAM if spec.kind in _STREAMS else socket.SOCK_DGRAM) | socket.SOCK_CLOEXEC
        )
        self._path = ""
        self._inode = 0
        try:
            if spec.kind in _PATHS:
                self._bind_path(spec, owner)
            else:
                self._bind_address(spec)
            self.adjust(spec)
        except BaseException:
            self.close()
            raise

    @classmethod
    def held_by(cls, process: Pidfd, spec: SocketSpec) -> Self | None:
        """Take the socket back from a process that was given it: the same one, with its queue.

        Args:
            process: borrowed; it keeps its own descriptor.
            spec: what the socket is bound to, which the kernel confirms.

        Returns:
            None when the process does not hold it, or does not let us see.

        Kernel: pidfd_getfd, Linux 5.6; needs ptrace access to the process.
        """
        for number in _sockets_of(process):
            try:
                found = socket.socket(fileno=process.getfd(number))
            except (KernelError, OSError):  # closed meanwhile, or not to be had
                continue
            if _is(found, spec):
                listener = cls.__new__(cls)
                listener._socket, listener._path, listener._inode = found, "", 0
                if spec.kind in _PATHS and not spec.address.startswith("@"):
                    listener._path, listener._inode = spec.address, os.lstat(spec.address).st_ino
                return listener
            found.close()
        return None

    def fileno(self) -> int:
        """The descriptor; it stays ours."""
        return self._socket.fileno()

    def adjust(self, spec: SocketSpec, owner: Owner = Owner()) -> None:  # noqa: B008 - immutable
        """Take over what can be changed while it is bound: backlog, mode and owner. Raises OSError."""
        if self._path:
            self._give(spec.mode, owner)
        if spec.kind in _STREAMS:
            self._socket.listen(spec.backlog)  # on one that listens already this sets the backlog anew

    def close(self) -> None:
        """Stop holding it; processes that have it keep it. The path goes, if it is still the one that was made."""
        if self._path:
            try:
                if os.lstat(self._path).st_ino == self._inode:
                    os.unlink(self._path)
            except OSError:
                pass  # somebody cleaned up before us, or the directory is closed to us by now
        self._path = ""
        self._socket.close()

    def _bind_address(self, spec: SocketSpec) -> None:
        if spec.kind is SocketKind.TCP:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections of the past may linger
        if spec.reuse_port:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._socket.bind((spec.address, spec.port))

    def _bind_path(self, spec: SocketSpec, owner: Owner) -> None:
        if spec.address.startswith("@"):
            self._socket.bind("\0" + spec.address[1:])
            return
        umask = os.umask(0o177)  # nobody else comes in before it has its owner and its mode
        try:
            self._socket.bind(spec.address)
        except OSError as error:
            if error.errno != EADDRINUSE:
                raise
            _remove_dead(spec.address, self._socket.type)
            self._socket.bind(spec.address)
        finally:
            os.umask(umask)
        self._path, self._inode = spec.address, os.lstat(spec.address).st_ino
        self._give(spec.mode, owner)

    def _give(self, mode: int, owner: Owner) -> None:
        """Change mode and owner of the very socket that was made; its directory may be in the hands of others."""
        fd = os.open(self._path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            found = os.fstat(fd)
            if found.st_ino != self._inode or not stat.S_ISSOCK(found.st_mode):
                raise OSError(ESTALE, "something else has taken its place", self._path)
            here = f"/proc/self/fd/{fd}"  # fchmod and fchown refuse such a descriptor
            if owner != Owner():
                os.chown(here, owner.uid, owner.gid)
            os.chmod(here, mode)
        finally:
            os.close(fd)


def accept(listener: Listener) -> Connection:
    """Take a connection; it does not block, and is the caller's.

    Raises:
        BlockingIOError: it has left. OSError EMFILE, ENFILE, ENOMEM: nothing to hold it with.
    """
    try:
        fd, _address = listener._socket._accept()  # type: ignore[attr-defined]  # as the module above it does
    except ConnectionAbortedError:
        raise BlockingIOError from None
    connection = socket.socket(fileno=fd)
    connection.setblocking(False)
    return connection


def _family(spec: SocketSpec) -> int:
    if spec.kind in _PATHS:
        return socket.AF_UNIX
    return socket.AF_INET6 if ":" in spec.address else socket.AF_INET


def _sockets_of(process: Pidfd) -> list[int]:
    """Which of its descriptors are sockets, lowest first."""
    directory = f"/proc/{process.id.pid}/fd"
    found = []
    with suppress(OSError):
        for number in sorted(map(int, os.listdir(directory)))[:MOST_DESCRIPTORS]:
            with suppress(OSError):
                if os.readlink(f"{directory}/{number}").startswith("socket:"):
                    found.append(number)
    return found


def _is(found: socket.socket, spec: SocketSpec) -> bool:
    """The kernel says that this socket is bound as that."""
    kind = socket.SOCK_STREAM if spec.kind in _STREAMS else socket.SOCK_DGRAM
    if found.family != _family(spec) or found.type != kind:
        return False
    if kind == socket.SOCK_STREAM and not found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        return False
    bound = found.getsockname()
    if spec.kind not in _PATHS:
        host = "127.0.0.1" if spec.address == "localhost" else spec.address
        return bool(bound[1] == spec.port and socket.inet_pton(found.family, bound[0].partition("%")[0])
                    == socket.inet_pton(found.family, host))  # fmt: skip
    if spec.address.startswith("@"):
        return bool(bound == os.fsencode("\0" + spec.address[1:]))
    return bool(bound == spec.address) and os.path.exists(spec.address)


def _remove_dead(path: str, kind: int) -> None:
    """Remove a socket that nobody answers at any more. Raises the OSError of bind for anything else there."""
    if not stat.S_ISSOCK(os.lstat(path).st_mode):
        raise OSError(EADDRINUSE, "something that is no socket is there already", path)
    with closing(socket.socket(socket.AF_UNIX, kind | socket.SOCK_NONBLOCK)) as trial:
        try:
            trial.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
        except OSError:
            pass  # a full backlog, another kind of socket: somebody is there
    raise OSError(EADDRINUSE, "somebody listens there already", path)
