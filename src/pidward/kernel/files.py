"""Files: giving disk space back from the front of a file that is still written at its end."""

from pidward.kernel import abi
from pidward.kernel.errors import translated

_KEEP_SIZE, _PUNCH_HOLE, _COLLAPSE_RANGE = 0x1, 0x2, 0x8


def punch_hole(fd: int, offset: int, length: int) -> None:
    """Free the blocks of a range; it reads as zeros from then on, and the size stays (fallocate, Linux 2.6.38).

    Args:
        fd: open for writing; borrowed.
        offset: in bytes; parts of blocks are zeroed and not freed.
        length: in bytes, more than 0.

    Raises:
        Unsupported: the file system cannot (EOPNOTSUPP).
    """
    try:
        abi.call("fallocate", fd, _PUNCH_HOLE | _KEEP_SIZE, offset, length)
    except OSError as error:
        raise translated(error, "fallocate", "free the read part of a file") from error


def collapse_front(fd: int, length: int) -> None:
    """Take the first bytes out of a file: what follows moves to the front (fallocate, Linux 3.15, ext4 and xfs).

    One step for whoever appends with O_APPEND meanwhile: nothing is lost, and it goes on at the new end.

    Args:
        fd: open for writing; borrowed.
        length: in bytes, a multiple of the block size, less than the size of the file.

    Raises:
        Unsupported: the file system cannot (EOPNOTSUPP).
        KernelError: length is no such number (EINVAL).
    """
    try:
        abi.call("fallocate", fd, _COLLAPSE_RANGE, 0, length)
    except OSError as error:
        raise translated(error, "fallocate", "shorten the read part of a file") from error
