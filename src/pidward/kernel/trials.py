"""One small trial for each kernel facility; the table in features.py says what each is for.

Each returns a remark, mostly empty, or raises KernelError or OSError. It may leave things changed or open: it runs in
a child that ends afterwards, and that may be killed for it.
"""

import errno
import os
import signal
import socket
import struct
from collections.abc import Callable

from pidward.kernel import abi, cgroup, clock, procfs, tree, wait
from pidward.kernel.errors import KernelError
from pidward.kernel.pidfd import Ask, Pidfd, Scope
from pidward.kernel.spawn import native_is_built

_SO_PASSPIDFD = 76
_CLONE_INTO_CGROUP = 1 << 33
_CLONE_ARGS = struct.Struct("=11Q")


def pidfd_open() -> str:
    """A pidfd of ourselves."""
    Pidfd.own().close()
    return ""


def pidfd_send_signal() -> str:
    """Nothing, sent to ourselves."""
    Pidfd.own().exists()
    return ""


def waitid_pidfd() -> str:
    """We are no child of our own, and a kernel that knows P_PIDFD says so."""
    return _expect(errno.ECHILD, lambda: abi.waitid(Pidfd.own().fileno(), abi.WEXITED | abi.WNOHANG))


def native() -> str:
    """The extension and the shim were built."""
    if not native_is_built():
        raise KernelError("use the native spawner", why="it was not built; there was no compiler")
    return ""


def clone3() -> str:
    """Arguments of no size are invalid, where the call is known."""
    return _expect(errno.EINVAL, lambda: abi.call("clone3", None, 0))


def clone_into_cgroup() -> str:
    """A descriptor that is not open is refused, where the flag is known."""
    no_such_fd = 0x7FFF_FFFF
    arguments = _CLONE_ARGS.pack(_CLONE_INTO_CGROUP, 0, 0, 0, signal.SIGCHLD, 0, 0, 0, 0, 0, no_such_fd)
    return _expect(errno.EBADF, lambda: abi.call("clone3", arguments, len(arguments)))


def cgroup2() -> str:
    """A group can be made and removed; where."""
    return _make_group("cgroup2", "cgroup.events")


def cgroup1() -> str:
    """As cgroup2, in the freezer hierarchy."""
    return _make_group("cgroup1", "freezer.state")


def cgroup_kill() -> str:
    """A group that we make has the file."""
    _make_group("cgroup2", "cgroup.kill")
    return ""


def _make_group(kind: str, file: str) -> str:
    """Make a group that has a control file, and remove it; returns the directory where that can be done."""
    located = cgroup.look_for(kind)
    if located.kind is None:
        raise KernelError(f"use {kind}", why=located.why)
    group = located.group(f"pidward-probe-{os.getpid()}")
    group.create()
    try:
        if not os.path.exists(f"{group.path}/{file}"):
            raise KernelError("make a cgroup that serves", why=f"a new group in {located.path} has no {file}")
    finally:
        group.remove()
    return located.path


def subreaper() -> str:
    """For ourselves."""
    tree.become_subreaper()
    return ""


def proc_children() -> str:
    """Needs CONFIG_PROC_CHILDREN."""
    procfs.read_file("/proc/thread-self/children")
    return ""


def pidfs() -> str:
    """A pidfd of ourselves has an inode of its own."""
    if not Pidfd.own().id.inode:
        raise KernelError("identify processes by inode", why="pidfds are not on pidfs")
    return ""


def pidfd_info() -> str:
    """About ourselves."""
    Pidfd.own().info()
    return ""


def pidfd_info_exit() -> str:
    """Of a child that was reaped."""
    pid = os.fork()  # noqa: TID251
    if pid == 0:
        os._exit(0)
    with Pidfd.open(pid) as child:
        wait.wait_exit(child)
        wait.reap(child)
        if not child.info(Ask.EXIT).has(Ask.EXIT):
            raise KernelError("learn an exit status after the reap", why="the kernel does not keep it")
    return ""


def scm_pidfd() -> str:
    """Asked for, on a socket that nobody writes to."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as inbox:
        inbox.setsockopt(socket.SOL_SOCKET, _SO_PASSPIDFD, 1)
    return ""


def pidfd_signal_group() -> str:
    """Nothing, sent to a group of our own."""
    os.setsid()
    Pidfd.own().signal(0, Scope.GROUP)
    return ""


def pidfd_getfd() -> str:
    """Of ourselves."""
    with Pidfd.own() as own:
        os.close(own.getfd(own.fileno()))
    return ""


def file_handle() -> str:
    """Ourselves, named and found again."""
    with Pidfd.own() as own:
        Pidfd.from_handle(own.handle(), clock.boot_id()).close()
    return ""


def xattr() -> str:
    """On ourselves."""
    with Pidfd.own() as own:
        own.set_tag("probe", b"")
    return ""


def _expect(number: int, refused: Callable[[], object]) -> str:
    """A call that cannot succeed must be refused in the way of a kernel that knows it."""
    try:
        refused()
    except OSError as error:
        if error.errno != number:
            raise
    return ""
