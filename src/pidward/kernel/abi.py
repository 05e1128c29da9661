"""The C side: numbers, layouts and raw calls, with OSError as the only error. Nothing else in pidward uses ctypes.

Linux on 64-bit machines. Calls since 5.1 have one number everywhere; the older ones are listed for x86-64 and for the
generic table (aarch64, riscv64, loongarch64).
"""

import ctypes  # noqa: TID251 - this is the place
import os
import struct
from collections.abc import Callable
from functools import cache

_NEW = {"pidfd_send_signal": 424, "clone3": 435, "pidfd_getfd": 438}
_X86_64 = {"waitid": 247, "name_to_handle_at": 303, "open_by_handle_at": 304}
_GENERIC = {"waitid": 95, "name_to_handle_at": 264, "open_by_handle_at": 265}

# Arguments of each call: i int, l long, u unsigned int, p pointer.
_SIGNATURES = {
    "pidfd_send_signal": "iipu", "pidfd_getfd": "iiu", "clone3": "pl", "waitid": "iipip",
    "name_to_handle_at": "ipppi", "open_by_handle_at": "ipi",
    "timerfd_create": "ii", "timerfd_settime": "iipp", "signalfd": "ipi", "inotify_init1": "i",
    "inotify_add_watch": "ipu", "inotify_rm_watch": "ii", "prctl": "illll", "fallocate": "iill", "fstatfs": "ip",
}  # fmt: skip
_TYPES = {"i": ctypes.c_int, "l": ctypes.c_long, "u": ctypes.c_uint, "p": ctypes.c_void_p}

PIDFS_MAGIC = 0x50494446
CLOCK_BOOTTIME = 7
AT_EMPTY_PATH = 0x1000


@cache
def libc() -> ctypes.CDLL:
    """The C library of this process."""
    return ctypes.CDLL(None, use_errno=True)


@cache
def _function(name: str) -> Callable[..., int]:
    """A libc function of this name, or the system call through syscall(2)."""
    types = [_TYPES[letter] for letter in _SIGNATURES[name]]
    numbers = _NEW | (_X86_64 if os.uname().machine == "x86_64" else _GENERIC)
    if name not in numbers:
        plain: Callable[..., int] = ctypes.CFUNCTYPE(ctypes.c_int, *types, use_errno=True)((name, libc()))
        return plain
    syscall = ctypes.CFUNCTYPE(ctypes.c_long, ctypes.c_long, *types, use_errno=True)(("syscall", libc()))
    number = numbers[name]
    return lambda *arguments: syscall(number, *arguments)


def call(name: str, *arguments: object) -> int:
    """Make a call of the table; pointers are None, bytes to read, or a ``buffer`` to fill. Raises OSError."""
    result = _function(name)(*arguments)
    if result < 0:
        raise last_error()
    return result


def last_error() -> OSError:
    """The errno that the last call of this thread left."""
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number))


def buffer(size: int) -> "ctypes.Array[ctypes.c_char]":
    """Zeroed memory for the kernel to fill; readable with struct.unpack_from."""
    return ctypes.create_string_buffer(size)


# Waiting

P_PIDFD = 3
WNOHANG, WEXITED, WNOWAIT, WALL = 0x1, 0x4, 0x0100_0000, 0x4000_0000
_WaitBuffer = ctypes.c_char * (128 + 144)  # siginfo_t, then struct rusage
_WAIT_RESULT = struct.Struct("=i4xi4xi4xi100x4qq")  # signo code pid status | user s, us, system s, us, maxrss KiB


def waitid(pidfd: int, options: int) -> tuple[int, int, int, float, float, int]:
    """Look for the end of a child by pidfd, with the raw call: libc leaves out the argument that gives the rusage.

    The native part has the same, which is faster where it matters.

    Returns:
        (signo, code, status, user s, system s, max RSS KiB); signo is 0 when nothing ended.
    """
    memory = _WaitBuffer()
    if _function("waitid")(P_PIDFD, pidfd, memory, options, ctypes.byref(memory, 128)) < 0:
        raise last_error()
    signo, code, _, status, user, user_us, system, system_us, max_rss = _WAIT_RESULT.unpack_from(memory)
    return signo, code, status, user + user_us / 1e6, system + system_us / 1e6, max_rss


# Files and file systems

_HANDLE_HEAD = struct.Struct("=Ii")  # size of the payload, type


def name_to_handle(fd: int) -> bytes:
    """The file handle of an open file: 8 bytes of head, then the payload."""
    memory, mount = buffer(_HANDLE_HEAD.size + 128), buffer(4)
    _HANDLE_HEAD.pack_into(memory, 0, 128, 0)
    call("name_to_handle_at", fd, b"\0", memory, mount, AT_EMPTY_PATH)
    size: int = _HANDLE_HEAD.unpack_from(memory)[0]
    return memory.raw[: _HANDLE_HEAD.size + size]


def open_by_handle(mount_fd: int, handle: bytes) -> int:
    """Open what a handle names, on the file system of mount_fd; the new descriptor is the caller's."""
    return call("open_by_handle_at", mount_fd, ctypes.create_string_buffer(handle, len(handle)), os.O_CLOEXEC)


def filesystem_type(fd: int) -> int:
    """f_type of the file system that an open file is on."""
    memory = buffer(256)
    call("fstatfs", fd, memory)
    magic: int = struct.unpack_from("=q", memory)[0]
    return magic


PIDFD_GET_INFO = 0xC040_FF0B  # _IOWR(0xFF, 11, the 64 bytes of the first version of struct pidfd_info)
