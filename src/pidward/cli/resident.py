"""Resident memory of a process that is known by PID:INODE, read without help from the supervisor. Lean.

The kernel room has the same with all its errors explained, and costs ten times the import.
"""

import os

_PAGE = os.sysconf("SC_PAGE_SIZE")


def resident_bytes(process: str) -> int | None:
    """Resident memory of PID:INODE in bytes; None when it cannot be proved that what was read is its.

    Read, then verify: a pidfd opened after the read that has the expected inode belongs to a process that has held
    the number since before the read.
    """
    pid, _, inode = process.partition(":")
    try:
        statm = os.open(f"/proc/{pid}/statm", os.O_RDONLY)
        try:
            pages = os.read(statm, 100).split()[1]
        finally:
            os.close(statm)
        pidfd = os.pidfd_open(int(pid))  # noqa: TID251 - opened to be compared, and nothing is done to the process
        try:
            same = os.fstat(pidfd).st_ino == int(inode)
        finally:
            os.close(pidfd)
    except (OSError, ValueError, IndexError):
        return None
    return int(pages) * _PAGE if same else None
