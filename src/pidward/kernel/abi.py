"""The C side: numbers, layouts and raw calls, with OSError as the only error. Nothing else in pidward uses ctypes.

Linux on 64-bit machines: the numbers are those of x86-64 and of the generic table (aarch64, riscv64, loongarch64).
"""

import os
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:  # the log pump imports this, and is small because of what it does not import
    import ctypes  # noqa: TID251 - this is the place

_NUMBERS = {
    "pidfd_send_signal": (424, 424), "clone3": (435, 435), "pidfd_getfd": (438, 438), "waitid": (247, 95),
    "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265), "timerfd_create": (283, 85),
    "timerfd_settime": (286, 86), "signalfd4": (289, 74), "inotify_init1": (294, 26), "inotify_add_watch": (254, 27),
    "inotify_rm_watch": (255, 28), "prctl": (157, 167), "fallocate": (285, 47), "fstatfs": (138, 44),
}  # fmt: skip
_TABLE = 0 if os.uname().machine == "x86_64" else 1

PIDFS_MAGIC = 0x50494446
CLOCK_BOOTTIME = 7
AT_EMPTY_PATH = 0x1000


def call(name: str, *arguments: "int | bytes | bytearray | None") -> int:
    """Make a system call of the table.

    Args:
        name: as in its man page.
        arguments: at most six; a pointer is None, bytes to read, or a bytearray to fill.

    Raises:
        OSError: with the errno of the call.
    """
    return _system_call(_NUMBERS[name][_TABLE], *arguments)


def through_ctypes(number: int, *arguments: "int | bytes | bytearray | None") -> int:
    """What ``_spawn.call`` does, where that was not built. ctypes takes 0.5 MiB, and 70 us when the caches are cold."""
    import ctypes  # noqa: PLC0415, TID251

    function = libc().syscall
    function.restype = ctypes.c_long
    result: int = function(ctypes.c_long(number), *map(_passed, arguments))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def _passed(argument: "int | bytes | bytearray | None") -> object:
    import ctypes  # noqa: PLC0415, TID251

    if isinstance(argument, int):
        return ctypes.c_long(argument)
    if argument is None or isinstance(argument, bytes):
        return argument
    return (ctypes.c_char * len(argument)).from_buffer(argument)


_libc: "list[ctypes.CDLL]" = []


def libc() -> "ctypes.CDLL":
    """The C library of this process."""
    import ctypes  # noqa: PLC0415, TID251

    if not _libc:
        _libc.append(ctypes.CDLL(None, use_errno=True))
    return _libc[0]


try:
    from pidward.kernel._spawn import call as _system_call
except ImportError:
    _system_call = through_ctypes


# Waiting

P_PIDFD = 3
WNOHANG, WEXITED, WNOWAIT, WALL = 0x1, 0x4, 0x0100_0000, 0x4000_0000
_SIGINFO = struct.Struct("=i4xi4xi4xi100x")  # signo code pid status, in 128 bytes
_RUSAGE = struct.Struct("=4qq104x")  # user s, us, system s, us, maxrss KiB, in 144 bytes


def waitid(pidfd: int, options: int) -> tuple[int, int, int, float, float, int]:
    """Look for the end of a child by pidfd, with the raw call: libc leaves out the argument that gives the rusage.

    The native part has the same, which is faster where it matters.

    Returns:
        (signo, code, status, user s, system s, max RSS KiB); signo is 0 when nothing ended.
    """
    info, rusage = bytearray(_SIGINFO.size), bytearray(_RUSAGE.size)
    call("waitid", P_PIDFD, pidfd, info, options, rusage)
    signo, code, _, status = _SIGINFO.unpack(info)
    user, user_us, system, system_us, max_rss = _RUSAGE.unpack(rusage)
    return signo, code, status, user + user_us / 1e6, system + system_us / 1e6, max_rss


# Files and file systems

_HANDLE_HEAD = struct.Struct("=Ii")  # size of the payload, type


def name_to_handle(fd: int) -> bytes:
    """The file handle of an open file: 8 bytes of head, then the payload."""
    memory, mount = bytearray(_HANDLE_HEAD.size + 128), bytearray(4)
    _HANDLE_HEAD.pack_into(memory, 0, 128, 0)
    call("name_to_handle_at", fd, b"\0", memory, mount, AT_EMPTY_PATH)
    size: int = _HANDLE_HEAD.unpack_from(memory)[0]
    return bytes(memory[: _HANDLE_HEAD.size + size])


def open_by_handle(mount_fd: int, handle: bytes) -> int:
    """Open what a handle names, on the file system of mount_fd; the new descriptor is the caller's."""
    return call("open_by_handle_at", mount_fd, bytearray(handle), os.O_CLOEXEC)


def filesystem_type(fd: int) -> int:
    """f_type of the file system that an open file is on."""
    memory = bytearray(256)
    call("fstatfs", fd, memory)
    magic: int = struct.unpack_from("=q", memory)[0]
    return magic


PIDFD_GET_INFO = 0xC040_FF0B  # _IOWR(0xFF, 11, the 64 bytes of the first version of struct pidfd_info)
