"""One stream of mode "stream": its bytes go from a FIFO into the log file, with nothing on the disk in between.

The supervisor holds the FIFO open, so a pump that dies neither ends the worker nor loses what is in the FIFO: the next
pump opens it by its path. Text is moved by splice(2), which has it in the FIFO or in the file at any moment. Where the
bytes must be looked at they are read, and what a pump held that is killed in just that moment is lost: 4 KiB of text
when it rotates at the end of a line, 128 KiB of what becomes JSON.
"""

import errno
import fcntl
import os
from contextlib import suppress

from pidward.logs.layout import pipe_path
from pidward.logs.logfile import line_end
from pidward.logs.mover import BUFFER_SIZE
from pidward.logs.output import Output, Policy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pidward.logs.dress import Dress
    from pidward.logs.forward import Forward

FIONREAD = 0x541B
BUSY = 4096
"""Bytes found at once that say that more is about to come."""
USUAL, WIDE = 64 * 1024, 256 * 1024
"""Size of a FIFO, and of one that was found full. All FIFOs of a user may have 64 MiB in sum (Linux 4.5)."""
SIP = 4096
"""Bytes read at once to find the end of a line: no more of text is ever held in memory."""


class PipeMover:
    """The open files of a stream; see ``Mover``, whose place it takes.

    behind: more than nothing when the FIFO was filling fast.
    """

    is_pipe = True
    is_unused = False  # it is held open to be polled
    __slots__ = ("_dress", "_forward", "_is_wide", "_pipe", "_policy", "_rest", "_splices", "behind", "deleted",
                 "dropped", "mentioned", "out", "retired", "trouble")  # fmt: skip

    def __init__(
        self, spools: str, stream: str, policy: Policy, dress: "Dress | None" = None, forward: "Forward | None" = None
    ) -> None:
        self._policy, self._dress, self._forward = policy, dress, forward
        self._rest = bytearray()  # read, and not written yet
        self._splices = dress is None
        self._is_wide = False
        self.behind = self.dropped = self.mentioned = 0
        self.deleted = self.retired = False
        self.trouble = ""
        self.out = Output(spools, stream, policy)
        self._pipe = os.open(pipe_path(spools, stream), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            self.out.resume()
            self.out.file.adopt(whole_lines=dress is not None)
        except BaseException:
            self.close()
            raise

    def fileno(self) -> int:
        """The FIFO; readable when there is something to move."""
        return self._pipe

    def unread(self) -> int:
        """Bytes in the FIFO."""
        answer = fcntl.ioctl(self._pipe, FIONREAD, bytes(4))
        return int.from_bytes(answer, "little")

    def move(self, wall_ns: int, most: int) -> int:
        """Move what is there, at most about ``most`` bytes; returns how many.

        Raises:
            OSError: the log cannot be written. Nothing more is read, and when the FIFO is full the worker waits.
        """
        if not self._rest and not self.unread():
            self.behind = 0
            return 0
        self.out.locate(0, wall_ns)
        if self._rest:
            self._write_rest(wall_ns)
        moved = 0
        try:
            while moved < most and (got := self._step(wall_ns)):
                moved += got
        except BlockingIOError:
            pass
        self.behind = moved if moved >= BUSY else 0
        if moved >= USUAL and not self._is_wide:
            self._is_wide = True  # or cannot be, and is not tried again
            with suppress(OSError):
                fcntl.fcntl(self._pipe, fcntl.F_SETPIPE_SZ, WIDE)
        return moved

    def _step(self, wall_ns: int) -> int:
        file, size = self.out.file, self._policy.max_size
        room = size - file.end if size else BUFFER_SIZE
        if self._splices and room > 0:
            try:
                return self._splice(min(room, BUFFER_SIZE), wall_ns)
            except BlockingIOError:
                raise
            except OSError as error:
                if not _cannot_splice(error):
                    raise
                self._splices = False
        data = os.read(self._pipe, SIP if self._dress is None else BUFFER_SIZE - len(self._rest))
        self._rest += data
        self._write_rest(wall_ns)
        return len(data)

    def _splice(self, most: int, wall_ns: int) -> int:
        file = self.out.file
        got = file.splice(self._pipe, most)
        self.out.record(file.end + got, 0, wall_ns)
        if self._forward is not None:
            self._forward.feed(file.read_back(got))
        return got

    def _write_rest(self, wall_ns: int, to_the_end: bool = False) -> None:
        """Write what was read: text all of it, JSON the whole lines of it."""
        while self._rest:
            file, size = self.out.file, self._policy.max_size
            if self._dress is None:
                took, full = line_end(self._rest, len(self._rest), file.end, size)
                text = bytes(self._rest[:took])
            else:
                took, text = self._dress.put_on(
                    bytes(self._rest), wall_ns, max(size - file.end, 1) if size else 0,
                    to_the_end=to_the_end or len(self._rest) == BUFFER_SIZE,
                )  # fmt: skip
                full = bool(size) and file.end + len(text) >= size
                if not took:
                    return
            written = file.write(text, file.end)
            if written < len(text):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), file.path)
            self.out.record(file.end + written, 0, wall_ns)
            if self._forward is not None:
                self._forward.feed(bytes(self._rest[:took]))
            del self._rest[:took]
            if full:
                self.out.rotate(0, wall_ns)

    def flush(self, wall_ns: int) -> None:
        """The end of the last line does not come: what there is of it goes into the log."""
        if self._rest:
            self.out.locate(0, wall_ns)
            self._write_rest(wall_ns, to_the_end=True)
        if self._forward is not None:
            self._forward.flush()

    def expire(self, wall_ns: int) -> None:
        """Rotate by age, and delete by age."""
        self.out.expire(0, wall_ns)

    def rest(self) -> None:
        """Nothing has to be given back."""

    def finish(self, wall_ns: int) -> None:
        """The supervisor owns the FIFO, and removes it."""

    def close(self) -> None:
        """Close all descriptors."""
        os.close(self._pipe)
        self.out.close()


def _cannot_splice(error: OSError) -> bool:
    """This file system takes no splice."""
    return error.errno == errno.EINVAL
