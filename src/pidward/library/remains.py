"""What embedded supervisors leave that were ended from outside: their directories, once nobody lives in their trees."""

import fcntl
import os
import shutil
import tempfile
from contextlib import suppress

from pidward.kernel.cgroup import Located
from pidward.kernel.errors import KernelError

PREFIX = "pidward-embedded-"
"""How the temporary directory of an embedded supervisor is called, which is made by mkdtemp."""


def remove_remains(place: Located) -> None:
    """Remove the temporary directory and the empty cgroups of each embedded supervisor of ours that is dead.

    Dead is whose lock is free: it is held as long as the program lives. The identity is written after the lock was
    taken, so that one which is just starting is not mistaken for a dead one.
    """
    above = tempfile.gettempdir()
    with suppress(OSError):
        for name in os.listdir(above):
            if name.startswith(PREFIX):
                with suppress(OSError, KernelError):  # it is not ours, or somebody else removes it now
                    _remove(os.path.join(above, name), place)


def _remove(scratch: str, place: Located) -> None:
    if os.lstat(scratch).st_uid != os.geteuid():
        return
    with open(f"{scratch}/run/identity", encoding="ascii") as file:
        identity = file.read(64)
    fd = os.open(f"{scratch}/run/lock", os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)  # BlockingIOError: it lives
        if identity.isalnum() and _nobody_lives(identity, place):
            shutil.rmtree(scratch)
    finally:
        os.close(fd)


def _nobody_lives(identity: str, place: Located) -> bool:
    """Remove the cgroups that bear its name; False while a worker that it left behind lives in one."""
    if place.kind is None:
        return True
    ours = f"-{identity}.{os.stat('/proc/self/ns/pid').st_ino:x}"
    return all(place.group(name).remove() for name in os.listdir(place.path) if name.endswith(ours))
