"""The control socket in the file system: made private, and never stolen from a living supervisor.

Two supervisors that start at once cannot both replace the same dead socket: the runtime holds a lock on the directory.
"""

import _socket as socket  # the module above it makes enums of all numbers, 0.5 MiB
import errno
import os
import stat
from contextlib import closing

BACKLOG = 128


class AlreadyRunning(Exception):
    """Another supervisor serves this socket."""


class ControlSocket:
    """A listening AF_UNIX stream socket, not blocking.

    Its directory is made with mode 0700 where it does not exist; one that exists must be ours and closed to the
    writing of others, or the socket could be replaced behind our back.

    Raises:
        AlreadyRunning: another supervisor answers at the path.
        OSError: the directory cannot be trusted or made, or the path is too long; the message says which.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        _make_private(os.path.dirname(path))
        self._socket = _bind(path)
        self._inode = os.lstat(path).st_ino

    def fileno(self) -> int:
        """The descriptor; it stays ours."""
        return self._socket.fileno()

    def accept(self) -> socket.socket | None:
        """Take a connection, not blocking; None when there is none after all. Raises OSError for want of resources."""
        try:
            fd, _ = self._socket._accept()  # type: ignore[attr-defined]  # as that module does
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return None
        connection = socket.socket(fileno=fd)
        connection.setblocking(False)
        return connection

    def close(self) -> None:
        """Stop listening and remove the socket, if it is still the one that was made."""
        try:
            if os.lstat(self.path).st_ino == self._inode:
                os.unlink(self.path)
        except OSError:
            pass  # somebody cleaned up before us
        self._socket.close()


def _make_private(directory: str) -> None:
    """Make the directory, or make sure that nobody else can change what is in it."""
    os.makedirs(os.path.dirname(directory) or "/", exist_ok=True)
    try:
        os.mkdir(directory, 0o700)
    except FileExistsError:
        pass
    status = os.lstat(directory)
    if not stat.S_ISDIR(status.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, "is no directory (a link is refused); remove it", directory)
    if status.st_uid != os.geteuid():
        raise PermissionError(errno.EPERM, f"belongs to uid {status.st_uid}; choose another runtime_dir", directory)
    if status.st_mode & 0o022:
        raise PermissionError(errno.EPERM, "is open to the writing of others; chmod go-w it", directory)


def _bind(path: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    umask = os.umask(0o177)
    try:
        try:
            _bind_checked(listener, path)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            _remove_dead(path)
            _bind_checked(listener, path)
        listener.listen(BACKLOG)
    except BaseException:
        listener.close()
        raise
    finally:
        os.umask(umask)
    return listener


def _bind_checked(listener: socket.socket, path: str) -> None:
    try:
        listener.bind(path)
    except OSError as error:
        if error.errno is None:  # "AF_UNIX path too long", found out by Python itself
            raise OSError(errno.ENAMETOOLONG, "is too long for a socket (107 bytes); set runtime_dir", path) from None
        raise OSError(error.errno, error.strerror, path) from None


def _remove_dead(path: str) -> None:
    """Remove a socket that nobody serves any more; anything else stays and is said."""
    if not stat.S_ISSOCK(os.lstat(path).st_mode):
        raise FileExistsError(errno.EEXIST, "is in the way and no socket; remove it", path)
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
        except BlockingIOError:
            raise AlreadyRunning(f"another supervisor serves {path}") from None
        else:
            raise AlreadyRunning(f"another supervisor serves {path}")
