"""Closing what strangers gave us, without waiting for it.

The last close of a socket may take as long as its owner has set (SO_LINGER), that of a file as long as its file system
likes (FUSE, NFS), and that of a socket with descriptors under way in it as long as theirs.
"""

import os
import stat
import threading
from collections import deque


class Closer:
    """Closes descriptors in a thread of its own, which is there only while there is something to close."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[int] = deque()
        self._is_busy = False

    def close(self, fd: int) -> None:
        """Close a descriptor soon; pipes at once, for they never wait, and somebody may wait for their end."""
        if stat.S_ISFIFO(os.fstat(fd).st_mode):
            os.close(fd)
            return
        with self._lock:
            self._waiting.append(fd)
            if self._is_busy:
                return
            self._is_busy = True
        try:
            threading.Thread(target=self._close_all, name="closer", daemon=True).start()
        except RuntimeError:  # no thread is to be had
            self._close_all()

    def _close_all(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._is_busy = False
                    return
                fd = self._waiting.popleft()
            try:
                os.close(fd)
            except OSError:
                pass  # EIO, ENOSPC of what was not ours to write: it is closed all the same
