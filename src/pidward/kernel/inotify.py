"""Changes of files, told by a descriptor."""

import os
import struct

from pidward.kernel import abi
from pidward.kernel.errors import translated

MODIFY, CLOSE_WRITE, MOVED_TO, CREATE, DELETE = 0x2, 0x8, 0x80, 0x100, 0x200
QUEUE_OVERFLOW, IGNORED = 0x4000, 0x8000
ONE_SHOT = 0x8000_0000
"""With other bits: told once, then the watch is gone and an IGNORED event says so."""

_HEAD = struct.Struct("=iIII")  # watch, mask, cookie, length of the name
_BUFFER = 65536


class Event:
    """What happened to a watched file, or to ``name`` in a watched directory. A QUEUE_OVERFLOW has watch -1.

    No NamedTuple: typing is 1.1 MiB in the log pump, which imports little else.
    """

    __slots__ = ("mask", "name", "watch")

    def __init__(self, watch: int, mask: int, name: str) -> None:
        self.watch, self.mask, self.name = watch, mask, name


class Inotify:
    """A queue of file events (Linux 2.6.13; one user may have fs.inotify.max_user_instances of these)."""

    def __init__(self) -> None:
        try:
            self._fd = abi.call("inotify_init1", os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            raise translated(error, "inotify_init1", "watch files") from error

    def fileno(self) -> int:
        """The descriptor, readable when there are events; it stays ours."""
        return self._fd

    def add(self, path: str, mask: int) -> int:
        """Watch a path, or change what its watch waits for; returns the number of the watch.

        Raises:
            KernelError: there is no such file (ENOENT).
            Denied: it may not be read (EACCES).
            Exhausted: too many watches; raise fs.inotify.max_user_watches (ENOSPC).
        """
        try:
            return abi.call("inotify_add_watch", self._fd, os.fsencode(path) + b"\0", mask)
        except OSError as error:
            raise translated(error, "inotify_add_watch", f"watch {path}") from error

    def remove(self, watch: int) -> None:
        """Stop watching; harmless when the watch is gone already."""
        try:
            abi.call("inotify_rm_watch", self._fd, watch)
        except OSError:
            pass

    def read(self) -> list[Event]:
        """Take the events that are there, without waiting."""
        try:
            data = os.read(self._fd, _BUFFER)
        except BlockingIOError:
            return []
        events, at = [], 0
        while at < len(data):
            watch, mask, _, length = _HEAD.unpack_from(data, at)
            at += _HEAD.size
            events.append(Event(watch, mask, os.fsdecode(data[at : at + length].rstrip(b"\0"))))
            at += length
        return events

    def close(self) -> None:
        """Close the descriptor; harmless when closed already."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
