"""The handle: a process, held by its pidfd.

An open pidfd keeps naming the process it was opened for, also when that process has ended and its number is another's.
It does not keep the number reserved: what was learned through the number counts only while ``exists`` says so
afterwards (read, then verify).
"""

import enum
import errno
import fcntl
import os
import select
import signal
import struct
from types import TracebackType

from pidward.core.lean import NamedTuple, Self
from pidward.core.model import ProcessId, Sameness
from pidward.core.signals import SIGRTMAX
from pidward.kernel import abi, clock, mask
from pidward.kernel.errors import Foreign, Gone, KernelError, Recycled, StaleBoot, Unsupported, translated

_TAG_PREFIX = "trusted.pidward."
_SI_QUEUE = -1
_MAX_NUMBER = 2**31 - 1  # what is beyond does not fit into a pid_t
_SIGINFO = struct.Struct("=iii4xiiq96x")  # signo errno code | pid uid value
_INFO = struct.Struct("=QQ11Ii")
_pidfs_devices: set[int] = set()  # st_dev of pidfs, once seen: a kernel-internal mount, the same until reboot


class State(enum.Enum):
    """What the poll bits of a pidfd tell."""

    RUNNING = "running"
    EXITED = "exited"  # dead and not yet reaped; before Linux 6.9 also when reaped
    REAPED = "reaped"
    UNKNOWN = "unknown"  # the descriptor does not behave as a pidfd


class Scope(enum.IntEnum):
    """Whom a signal reaches: the flag of pidfd_send_signal(2), Linux 6.9 but for PROCESS."""

    PROCESS = 0
    THREAD = 1
    GROUP = 4  # the process group that the process leads


class Ask(enum.IntFlag):
    """What PIDFD_GET_INFO may be asked for, and what it answered."""

    PID = 1
    CREDENTIALS = 2
    CGROUP = 4
    EXIT = 8  # Linux 6.15; answered only after the process was reaped


class Info(NamedTuple):
    """The answer of PIDFD_GET_INFO. A field means something only when ``has`` says that it was answered."""

    mask: int
    cgroup_id: int  # inode of the cgroup v2 directory
    pid: int
    tgid: int
    ppid: int
    real_uid: int
    real_gid: int
    effective_uid: int
    effective_gid: int
    saved_uid: int
    saved_gid: int
    fs_uid: int
    fs_gid: int
    exit_word: int  # a wait status

    def has(self, what: Ask) -> bool:
        """All of this was answered."""
        return self.mask & what == what


class Pidfd:
    """A process, held. Owns its descriptor: close it, or use it as a context manager.

    id: who it is. The inode is 0 where the kernel has no pidfs (before 6.9), and then nothing can be compared.
    """

    __slots__ = ("_fd", "id")

    def __init__(self, fd: int, process: ProcessId) -> None:
        """Use take, open, copy_of, from_handle or own."""
        self._fd, self.id = fd, process

    # openings

    @classmethod
    def take(cls, fd: int, pid: int | None = None) -> "Pidfd":
        """Own a pidfd that somebody opened, at once also its closing.

        Args:
            fd: a pidfd; on error it is closed.
            pid: its number where it is known, as from clone3; else it is read from /proc/self/fdinfo.

        Raises:
            Gone, Foreign: only without pid: the number is not to be had any more, or is not in our namespace.
        """
        try:
            return cls(fd, ProcessId(_number_of(fd) if pid is None else pid, _inode_of(fd)))
        except BaseException:
            os.close(fd)
            raise

    @classmethod
    def open(cls, pid: int, inode: int | None = None) -> "Pidfd":
        """Open a process by number, and make sure that it is the one that was meant.

        Args:
            pid: its number in our pid namespace.
            inode: its pidfs inode as it was recorded; None takes whoever has the number now.

        Raises:
            Gone: nobody has the number (ESRCH, EINVAL of a dying one).
            Recycled: somebody else has it.
            NotLeader: it is a thread's (ENOENT; before 6.9 this is Gone).
            Unsupported: no pidfd_open (before 5.3, or confined), or an inode was given and cannot be compared.
            Exhausted: no descriptor to be had (EMFILE, ENFILE, ENOMEM).
        """
        if pid <= 0:
            raise ValueError(f"a process number is positive, got {pid}")
        if pid > _MAX_NUMBER:
            raise Gone(f"open process {pid}", "pidfd_open")
        try:
            fd = os.pidfd_open(pid)  # noqa: TID251 - this is the place
        except OSError as error:
            raise translated(error, "pidfd_open", f"open process {pid}") from error
        handle = cls.take(fd, pid)
        if inode is not None:
            sameness = handle.id.compare(ProcessId(pid, inode))
            if sameness is not Sameness.SAME:
                handle.close()
                refusal = Recycled if sameness is Sameness.DIFFERENT else Unsupported
                raise refusal(f"open process {pid}:{inode}", "pidfd_open")
        return handle

    @classmethod
    def copy_of(cls, fd: int, pid: int | None = None) -> "Pidfd":
        """Own a duplicate of a pidfd, which stays its owner's."""
        try:
            copy = os.dup(fd)
        except OSError as error:
            raise translated(error, "dup", "duplicate a pidfd") from error
        return cls.take(copy, pid)

    @classmethod
    def from_handle(cls, handle: bytes, boot_id: str) -> "Pidfd":
        """Open the process that ``handle`` named; never another one.

        Args:
            handle: what ``handle`` returned.
            boot_id: of the boot in which it did; inodes start anew with each.

        Raises:
            StaleBoot: another boot; the process cannot exist.
            Gone: it was reaped (ESTALE), also while somebody still holds a pidfd of it.
            Unsupported: before Linux 6.14.
        """
        doing = "open a process by its file handle"
        if boot_id != clock.boot_id():
            raise StaleBoot(doing)
        mask.need("file_handle", doing)
        with cls.own() as own:
            try:
                return cls.take(abi.open_by_handle(own.fileno(), handle))
            except OSError as error:
                raise translated(error, "open_by_handle_at", doing) from error

    @classmethod
    def own(cls) -> "Pidfd":
        """This process."""
        return cls.open(os.getpid())

    # ownership

    def fileno(self) -> int:
        """The descriptor; it stays the handle's. Raises ValueError when closed."""
        if self._fd < 0:
            raise ValueError(f"the handle of process {self.id} is closed")
        return self._fd

    @property
    def is_closed(self) -> bool:
        """It was let go of."""
        return self._fd < 0

    def close(self) -> None:
        """Let go of the process; harmless when done already. Unregister it from an epoll first."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Pidfd {self.id} fd={self._fd}>"

    def is_intact(self) -> bool:
        """The descriptor still is the pidfd that was opened: nobody closed or replaced it behind our back."""
        try:
            if self.id.inode:
                return _inode_of(self.fileno()) == self.id.inode
            return _number_of(self.fileno()) in (self.id.pid, -1)
        except (OSError, KernelError):
            return False

    # questions

    def state(self) -> State:
        """Whether it runs, has ended, or was reaped; from the poll bits alone, about 1 us."""
        poll = select.poll()
        poll.register(self.fileno(), select.POLLIN)
        ready = poll.poll(0)
        if not ready:
            return State.RUNNING
        bits = ready[0][1]
        if bits & ~(select.POLLIN | select.POLLHUP):
            return State.UNKNOWN
        return State.REAPED if bits & select.POLLHUP else State.EXITED

    def exists(self) -> bool:
        """It has not been reaped, so its number is still its own. True for a zombie.

        What was read through the number before a True is about this process.
        """
        try:
            signal.pidfd_send_signal(self.fileno(), 0)  # noqa: TID251
        except PermissionError:
            return True
        except OSError as error:
            if error.errno == errno.ESRCH:
                return False
            raise translated(error, "pidfd_send_signal", f"look for process {self.id}") from error
        return True

    def info(self, ask: int = Ask.PID | Ask.CREDENTIALS | Ask.CGROUP | Ask.EXIT) -> Info:
        """Ask the kernel about the process (PIDFD_GET_INFO, Linux 6.13).

        EXIT is answered only after the reap, by whomever (6.15); then PID and CREDENTIALS are not.

        Raises:
            Gone: reaped and EXIT was not asked for, or the kernel kept nothing (ESRCH).
            Unsupported: before 6.13 (ENOTTY).
            Foreign: not in our pid namespace or below (EREMOTE).
        """
        doing = f"ask about process {self.id}"
        mask.need("pidfd_info", doing)
        if "pidfd_info_exit" in mask.taken_away():
            ask &= ~Ask.EXIT
        memory = bytearray(_INFO.size)
        _INFO.pack_into(memory, 0, ask, *[0] * 13)
        try:
            fcntl.ioctl(self.fileno(), abi.PIDFD_GET_INFO, memory, True)
        except OSError as error:
            raise translated(error, "PIDFD_GET_INFO", doing) from error
        return Info._make(_INFO.unpack(memory))

    def handle(self) -> bytes:
        """A name for the process that can be written down: 16 bytes, for ``from_handle``, with the boot id beside.

        Raises:
            Unsupported: before Linux 6.14.
        """
        doing = f"name process {self.id} by a file handle"
        mask.need("file_handle", doing)
        try:
            return abi.name_to_handle(self.fileno())
        except OSError as error:
            raise translated(error, "name_to_handle_at", doing) from error

    # acts

    def signal(self, number: int, scope: Scope = Scope.PROCESS, value: int | None = None) -> bool:
        """Send a signal.

        Args:
            number: 0 sends nothing and only asks.
            scope: PROCESS, or (Linux 6.9) THREAD or GROUP. GROUP also works through a reaped leader while members live.
            value: goes along as sigqueue(3) would send it.

        Returns:
            False when the process is gone. True says that the kernel took it; a zombie takes all signals too.

        Raises:
            Denied: not ours to signal (EPERM).
            Foreign: in another pid namespace (EINVAL).
            Unsupported: a scope before Linux 6.9 (EINVAL).
            Exhausted: too many queued signals with a value (EAGAIN).
        """
        if not 0 <= number <= SIGRTMAX:
            raise ValueError(f"signals are numbered 1 to {SIGRTMAX}, got {number}")
        doing = f"signal process {self.id}"
        if scope is not Scope.PROCESS:
            mask.need("pidfd_signal_group", doing)
        try:
            if value is None:
                signal.pidfd_send_signal(self.fileno(), number, None, scope)  # noqa: TID251
            else:
                info = _SIGINFO.pack(number, 0, _SI_QUEUE, os.getpid(), os.getuid(), value)
                abi.call("pidfd_send_signal", self.fileno(), number, info, scope)
        except OSError as error:
            if error.errno == errno.ESRCH:
                return False
            if error.errno == errno.EINVAL and scope is not Scope.PROCESS and self.exists():
                raise Unsupported(doing, "pidfd_send_signal", errno.EINVAL) from error
            raise translated(error, "pidfd_send_signal", doing) from error
        return True

    def getfd(self, number: int) -> int:
        """Duplicate a descriptor of the process: the same open file, its flags and position shared (Linux 5.6).

        Returns:
            A descriptor that is the caller's, close-on-exec.

        Raises:
            Gone: it has ended; a zombie has no descriptors (ESRCH).
            Denied: needs ptrace access (EPERM).
            KernelError: it has no such descriptor (EBADF).
        """
        doing = f"take descriptor {number} of process {self.id}"
        mask.need("pidfd_getfd", doing)
        try:
            return abi.call("pidfd_getfd", self.fileno(), number, 0)
        except OSError as error:
            raise translated(error, "pidfd_getfd", doing) from error

    def reopen_fd(self, number: int, flags: int) -> int:
        """Open anew what a descriptor of the process names: an open file of our own, with its own flags and position.

        Of a pipe this gives an end that is closed, as ours, when we close it; the process is not touched.

        Returns:
            A descriptor that is the caller's, close-on-exec.

        Raises:
            Gone: the process has ended.
            Unsupported: a socket cannot be opened again, only ``getfd`` (ENXIO).
            Denied: needs ptrace access, or the file's permissions forbid it.
            KernelError: it has no such descriptor (ENOENT).
        """
        doing = f"open descriptor {number} of process {self.id}"
        try:
            fd = os.open(f"/proc/{self.id.pid}/fd/{number}", flags | os.O_CLOEXEC | os.O_NOCTTY)
        except OSError as error:
            if not self.exists():
                raise Gone(doing, "procfs fd", error.errno or 0) from error
            raise translated(error, "procfs fd", doing) from error
        if not self.exists():
            os.close(fd)
            raise Gone(doing, "procfs fd")
        return fd

    # tags

    def set_tag(self, name: str, value: bytes) -> None:
        """Write a word on the process itself; it stays when every pidfd is closed, and through the reap (Linux 6.17).

        Args:
            name: kept as the extended attribute trusted.pidward.NAME.
            value: up to 64 KiB.

        Raises:
            Unsupported: before 6.17.
            Denied: needs CAP_SYS_ADMIN in the first user namespace.
        """
        doing = f"tag process {self.id}"
        mask.need("xattr", doing)
        try:
            os.setxattr(self.fileno(), _TAG_PREFIX + name, value)
        except OSError as error:
            raise translated(error, "fsetxattr", doing) from error

    def get_tag(self, name: str) -> bytes | None:
        """Read a tag; None when there is none, or none that we may see."""
        if "xattr" in mask.taken_away():
            return None
        try:
            return os.getxattr(self.fileno(), _TAG_PREFIX + name)
        except OSError as error:
            if error.errno in (errno.ENODATA, errno.EOPNOTSUPP):
                return None
            raise translated(error, "fgetxattr", f"read a tag of process {self.id}") from error

    def tags(self) -> dict[str, bytes]:
        """All tags that we may see; none before Linux 6.17."""
        if "xattr" in mask.taken_away():
            return {}
        try:
            names = os.listxattr(self.fileno())
        except OSError as error:
            if error.errno == errno.EOPNOTSUPP:
                return {}
            raise translated(error, "flistxattr", f"read the tags of process {self.id}") from error
        ours = [name.removeprefix(_TAG_PREFIX) for name in names if name.startswith(_TAG_PREFIX)]
        return {name: value for name in ours if (value := self.get_tag(name)) is not None}


def _inode_of(fd: int) -> int:
    """The inode where it is an identity: on pidfs. Older kernels show one anonymous inode for all."""
    status = os.fstat(fd)
    if status.st_dev not in _pidfs_devices:
        if "pidfs" in mask.taken_away() or abi.filesystem_type(fd) != abi.PIDFS_MAGIC:
            return 0
        _pidfs_devices.add(status.st_dev)
    return status.st_ino


def _number_of(fd: int) -> int:
    """The number that fdinfo prints. Raises Gone (-1, reaped) or Foreign (0)."""
    with open(f"/proc/self/fdinfo/{fd}", encoding="ascii") as file:
        lines = [line for line in file if line.startswith("Pid:")]
    doing = f"find the process of descriptor {fd}"
    if not lines:
        raise KernelError(doing, "fdinfo", errno.EBADF, "it is not a pidfd")
    number = int(lines[0].split()[1])
    if number <= 0:
        raise (Gone if number < 0 else Foreign)(doing, "fdinfo")
    return number
