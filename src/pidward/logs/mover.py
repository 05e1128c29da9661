"""One stream: its bytes go from the spool into the log file, exactly once whatever happens to the pump.

The order of each step is: data, then index record, then hole. A pump that is killed between any two of them leaves a
state from which ``Mover`` goes on: data without a record is cut off and written again, a hole is only ever where the
record says that all was read. The one exception are dropped bytes: a hole at the recorded position says that they were
dropped, and how many.

Read and write in 128 KiB steps cost no more than copy_file_range(2) or splice(2) on ext4 (0.55-0.7 s of CPU a GB, half
of it for the hole), work between any two file systems, and leave the data where line ends can be found. Larger steps
fall out of the processor's cache and cost up to twice as much.
"""

import errno
import os

from pidward.kernel.errors import KernelError
from pidward.kernel.files import collapse_front, punch_hole
from pidward.logs import index
from pidward.logs.layout import retired, spool_path
from pidward.logs.logfile import LONG_LINE, line_end
from pidward.logs.output import Output, Policy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pidward.logs.dress import Dress
    from pidward.logs.forward import Forward

BUFFER_SIZE = 128 * 1024
PUNCH_BUSY, PUNCH_CALM, PAGE = 4 << 20, 256 << 10, 4096
"""Bytes read that are given back at once: under load, when the spool was read to its end, and when it rests."""
DROP_UNIT = 64 << 10
"""Drops begin and end at multiples of this, a multiple of any block size: a hole is exactly what was dropped."""
TOO_LONG = 1 << 40
"""Length of a spool, mostly hole, from which it is shortened: ext4 ends at 16 TiB, half a year of 1 MB/s."""

_buffer = bytearray(BUFFER_SIZE)
_view = memoryview(_buffer)


class Mover:
    """The open files of a stream. Making one finds the point to go on from; nothing else is remembered anywhere.

    behind: bytes that the last step left unread.
    deleted: somebody deleted the spool.
    dropped: bytes that went over the limit and are not yet mentioned in the log; mentioned: those that are.
    retired: this is the spool of a forgotten worker, to be finished when it is empty.
    trouble: why the spool keeps its space; empty when holes can be punched.
    """

    is_pipe = False
    __slots__ = ("_dress", "_forward", "_is_dressed", "_path", "_policy", "_position", "_punched", "_spool",
                 "behind", "deleted", "dropped", "mentioned", "out", "retired", "trouble")  # fmt: skip

    def __init__(
        self, spools: str, stream: str, policy: Policy, dress: "Dress | None" = None, forward: "Forward | None" = None
    ) -> None:
        self._policy, self._dress, self._forward = policy, dress, forward
        self._is_dressed = False
        self._punched = self.behind = self.dropped = self.mentioned = 0
        self.deleted, self.trouble = False, ""
        self.out = Output(spools, stream, policy)
        self._path, self._spool = _open_spool(spool_path(spools, stream))
        self.retired = self._path != spool_path(spools, stream)
        try:
            self._resume()
        except BaseException:
            self.close()
            raise

    def _resume(self) -> None:
        last, spool = self.out.resume(), os.fstat(self._spool)
        if last is None:  # never seen, or the index was lost: begin with what is there
            self._position = self._first_data(0, spool.st_size)
            return
        if self.retired and last.finishes(spool.st_ino):
            self._position = spool.st_size
            return
        self._position = last.spool_end
        first = self._first_data(self._position, spool.st_size)
        if first > self._position:
            self._lose_until(first)

    def unread(self) -> int:
        """Bytes in the spool that are not in the log."""
        spool = os.fstat(self._spool)
        self.deleted = spool.st_nlink == 0
        if spool.st_size < self._position:  # truncated, by a person or by the program through /dev/stdout
            self._position, self._punched = self._first_data(0, spool.st_size), 0
        return spool.st_size - self._position

    @property
    def is_unused(self) -> bool:
        """Nobody has ever written anything to this spool."""
        return self._position == 0 and not self.dropped

    def move(self, wall_ns: int, most: int) -> int:
        """Move what is there, at most about ``most`` bytes; returns how many bytes of the spool were moved.

        Raises:
            OSError: the log or the index cannot be written (ENOSPC, EDQUOT, EROFS, EACCES, EIO ...). Nothing is lost:
                the bytes stay in the spool, up to its limit.
        """
        self.behind = self.unread()
        if self.behind > self._policy.spool_limit:
            self._drop()
        elif not self.behind and not self.dropped:
            return 0
        self.out.locate(self._position, wall_ns)
        if self.dropped:
            self._mention_drop(wall_ns)
        start, copy = self._position, self._copy if self._dress is None else self._copy_dressed
        while copy(start + most, wall_ns):
            self.out.rotate(self._position, wall_ns)
        moved = self._position - start
        self.behind -= moved
        self._punch(PUNCH_CALM if self.behind < BUFFER_SIZE else PUNCH_BUSY)
        if self._position > TOO_LONG:
            self._shorten(wall_ns)
        return moved

    def _copy(self, stop: int, wall_ns: int) -> bool:
        """Copy until the spool is empty, its position is at ``stop`` or the file is full; True when it is full.

        One record for all of it: a pump that is killed before that does it again.
        """
        file, forward = self.out.file, self._forward
        position, end = self._position, file.end
        try:
            while position < stop:
                got = os.preadv(self._spool, [_view], position)
                if not got:
                    return False
                take, full = line_end(_buffer, got, end, self._policy.max_size)
                written = file.write(_view[:take], end)
                if forward is not None:
                    forward.feed(bytes(_view[:written]))
                position, end = position + written, end + written
                if written < take or (got < BUFFER_SIZE and not full):
                    return False
                if full:
                    return True
            return False
        finally:
            if position > self._position:
                self._record(end, position, wall_ns)

    def _copy_dressed(self, stop: int, wall_ns: int, to_the_end: bool = False) -> bool:
        """The same for lines in another dress: they are whole in the log, or not there yet."""
        assert self._dress is not None
        room = self._policy.max_size
        while self._position < stop:
            data = os.pread(self._spool, BUFFER_SIZE, self._position)
            left = max(room - self.out.file.end, 1) if room else 0
            took, text = self._dress.put_on(
                data, wall_ns, left, to_the_end=to_the_end or (len(data) == BUFFER_SIZE and b"\n" not in data)
            )
            if not took:
                return False
            if not self._is_dressed:  # a file that was begun as text may end within a line
                self._is_dressed = True
                text = text if self.out.file.ends_with_line() else b"\n" + text
            end = self.out.file.end
            if self.out.file.write(text, end) != len(text):  # the rest of an object would be no object
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            if self._forward is not None:
                self._forward.feed(data[:took])
            self._record(end + len(text), self._position + took, wall_ns)
            if room and self.out.file.end >= room:
                return True
        return False

    def flush(self, wall_ns: int) -> None:
        """The end of the last line does not come: what there is of it goes into the log."""
        if self._dress is not None and self.unread() > 0:
            self.out.locate(self._position, wall_ns)
            if self._copy_dressed(self._position + 1, wall_ns, to_the_end=True):
                self.out.rotate(self._position, wall_ns)
        if self._forward is not None:
            self._forward.flush()

    def expire(self, wall_ns: int) -> None:
        """Rotate by age, and delete by age."""
        self.out.expire(self._position, wall_ns)

    def rest(self) -> None:
        """Nobody writes: give the space of all whole pages back."""
        self._punch(PAGE)

    def finish(self, wall_ns: int) -> None:
        """The retired spool is empty: delete it. The next ``Mover`` of the stream begins a new one at 0."""
        if not self.out.has_records:  # nothing was ever in it
            os.unlink(self._path)
            return
        self.out.write_record(index.finished(os.fstat(self._spool).st_ino, wall_ns))
        os.unlink(self._path)
        self.out.write_record(index.finished(0, wall_ns))  # the inode number may be the next spool's

    def close(self) -> None:
        """Close all descriptors."""
        os.close(self._spool)
        self.out.close()

    def _record(self, log_end: int, spool_end: int, wall_ns: int) -> None:
        """Make a step count."""
        self.out.record(log_end, spool_end, wall_ns)
        self._position = spool_end

    # --- holes

    def _punch(self, step: int) -> None:
        """Give space back when at least ``step`` bytes of it were read."""
        end = self._position // PAGE * PAGE
        if end - self._punched >= step:
            try:
                punch_hole(self._spool, self._punched, end - self._punched)
            except KernelError as error:
                self.trouble = str(error)
            self._punched = end

    def _shorten(self, wall_ns: int) -> None:
        """Cut the hole off, where the file system can.

        The one step with a price: a pump killed between the cut and the record is followed by one that finds a file
        shorter than its record says, and moves what was left before the position once more: less than a page.
        """
        self._punch(PAGE)
        length = self._position // PUNCH_BUSY * PUNCH_BUSY
        try:
            collapse_front(self._spool, length)
        except KernelError:
            return  # this file system has no limit that matters, or the next step succeeds
        self._punched = max(0, self._punched - length)
        self._record(self.out.file.end, self._position - length, wall_ns)

    def _drop(self) -> None:
        """Give up the oldest unread bytes, down to three quarters of the limit so that it is not each step's work."""
        target = self._position + self.behind - self._policy.spool_limit * 3 // 4
        if not self.out.has_records:  # else a hole at the beginning would say nothing to the next pump
            self.out.write_record(index.Record(0, 0, self._position, 0))
        start, end = self._position // DROP_UNIT * DROP_UNIT, -(-target // DROP_UNIT) * DROP_UNIT
        try:
            punch_hole(self._spool, start, end - start)
        except KernelError as error:
            self.trouble = str(error)
        self._lose_until(end)

    def _lose_until(self, end: int) -> None:
        """Go on behind a hole, at the beginning of a line when there is one."""
        resume = end + os.pread(self._spool, LONG_LINE, end).find(b"\n") + 1
        lost = resume - self._position
        self.dropped += lost
        self.behind -= lost
        self._position = resume

    def _mention_drop(self, wall_ns: int) -> None:
        text = f"[pidward: {self.dropped} bytes dropped here: the log pump could not keep up]\n".encode()
        file = self.out.file
        if self._dress is not None:
            text = self._dress.put_on(text, wall_ns, 0, to_the_end=True)[1]
        elif not file.ends_with_line():
            text = b"\n" + text
        if file.write(text, file.end) != len(text):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._record(file.end + len(text), self._position, wall_ns)
        self.mentioned += self.dropped
        self.dropped = 0

    def _first_data(self, position: int, size: int) -> int:
        """Where the first byte at or after a position is that is not in a hole."""
        try:
            return os.lseek(self._spool, position, os.SEEK_DATA)
        except OSError as error:  # ENXIO: none; EINVAL: this file system does not know
            return max(position, size) if error.errno == errno.ENXIO else position


def _open_spool(spool: str) -> tuple[str, int]:
    """Open the retired spool if there is one, else the spool, made when missing; the descriptor is the caller's."""
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        return retired(spool), os.open(retired(spool), flags)
    except FileNotFoundError:
        return spool, os.open(spool, flags | os.O_CREAT, 0o640)
