"""Which cgroup a process is in, or was in when it ended."""

from pidward.kernel.cgroup import own_directory
from pidward.kernel.errors import KernelError
from pidward.kernel.pidfd import Ask, Pidfd
from pidward.kernel.procfs import read, read_file


def cgroup_id(process: Pidfd) -> int:
    """The inode of its cgroup v2 directory, also when it was reaped (Linux 6.15; 6.13 for the living); 0: not known.

    The number is used once in a boot: another directory at the same path has another.
    """
    try:
        info = process.info(Ask.CGROUP | Ask.EXIT)
    except KernelError:
        return 0
    return info.cgroup_id if info.has(Ask.CGROUP) else 0


def cgroup_directory(process: Pidfd, kind: str) -> str | None:
    """The directory of its cgroup, read and then verified.

    Args:
        process: borrowed.
        kind: "cgroup2", or "cgroup1" for the freezer.

    Returns:
        None when it is nowhere below what is mounted here.

    Raises:
        Gone: it was reaped.
    """
    text = read(process, "cgroup").decode(errors="surrogateescape")
    return own_directory(kind, read_file("/proc/self/mountinfo").decode(errors="surrogateescape"), text)
