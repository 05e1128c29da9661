"""Resource limits: their names, and our own limit of open files raised as far as we may."""

import os
import resource
import sys

from pidward.core.lean import NamedTuple
from pidward.kernel.errors import Denied, KernelError

UNLIMITED = resource.RLIM_INFINITY
RESOURCES = {
    name.removeprefix("RLIMIT_").lower(): getattr(resource, name)
    for name in sorted(dir(resource))
    if name.startswith("RLIMIT_") and name != "RLIMIT_OFILE"  # an old name of NOFILE
}
"""Numbers of the limits by the names that people write: "nofile", "nproc", "core"."""


class LimitPair(NamedTuple):
    """A limit as it holds now, soft, and as far as it may be raised, hard; UNLIMITED for none."""

    soft: int
    hard: int


def read_limit(name: str) -> LimitPair:
    """Read one of our own limits by name."""
    return LimitPair(*resource.getrlimit(RESOURCES[name]))


def set_limit(name: str, soft: int, hard: int) -> None:
    """Set one of our own limits.

    Raises:
        Denied: above the hard limit; needs CAP_SYS_RESOURCE (EPERM).
        KernelError: soft is above hard (EINVAL).
    """
    try:
        resource.setrlimit(RESOURCES[name], (soft, hard))
    except (ValueError, OSError) as error:  # the module makes a ValueError of EINVAL and of EPERM
        refusal = KernelError if soft > hard != UNLIMITED else Denied
        raise refusal(f"set limit {name} to {soft}:{hard}", "setrlimit", why=str(error)) from error


def free_descriptors() -> int:
    """How many more descriptors we may open: the soft limit of now, less those that are open.

    The size of /proc/self/fd is their number (Linux 6.2); before, they are counted one by one.
    """
    soft = read_limit("nofile").soft
    if soft == UNLIMITED:
        return sys.maxsize
    try:
        return soft - (os.stat("/proc/self/fd").st_size or len(os.listdir("/proc/self/fd")))
    except OSError:  # not even one, to count them with
        return 0


def raise_nofile() -> LimitPair:
    """Raise our soft limit of open files to the hard one, where that is allowed; returns what it was before.

    Give workers the limits of before: programs that use select(2) break above 1024.
    """
    before = read_limit("nofile")
    try:
        set_limit("nofile", before.hard, before.hard)
    except Denied:
        pass  # the hard limit is above fs.nr_open
    return before
