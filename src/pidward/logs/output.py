"""Where the bytes of a stream go: its log file, and the index that says how far all has come."""

import errno
import os

from pidward.logs import index
from pidward.logs.layout import index_path, log_path
from pidward.logs.logfile import LogFile

MIN_SPOOL_LIMIT = 1 << 20


class Policy:
    """What to do with a stream: core.spec.LogPolicy without core's weight. Sizes in bytes; max_size 0: no limit.

    also: "journal", "syslog".
    """

    __slots__ = ("also", "compress", "dir", "is_json", "is_stream", "keep", "max_age_ns", "max_size", "spool_limit")

    def __init__(
        self, log_dir: str, max_size: int, keep: int, spool_limit: int, max_age_ns: int = 0,
        is_stream: bool = False, compress: bool = False, is_json: bool = False, also: "tuple[str, ...]" = (),
    ) -> None:  # fmt: skip
        self.dir, self.max_size, self.keep = log_dir, max_size, keep
        self.spool_limit = max(spool_limit, MIN_SPOOL_LIMIT)
        self.max_age_ns, self.compress, self.is_json, self.is_stream, self.also = (
            max_age_ns, compress, is_json, is_stream, also
        )  # fmt: skip


class Output:
    """The present log file and the index of a stream.

    file: the log file.
    has_rotated: there may be a file to compress, until somebody takes note of that and clears it.
    """

    __slots__ = ("_began_ns", "_index", "_index_end", "_policy", "file", "has_rotated", "index_path")

    def __init__(self, spools: str, stream: str, policy: Policy) -> None:
        self._policy = policy
        self.index_path = index_path(spools, stream)
        self._index, self._index_end, self._began_ns = -1, 0, 0
        self.has_rotated = True  # by a pump before us
        self.file = LogFile(log_path(policy.dir, stream))

    def resume(self) -> index.Record | None:
        """Go on where the index ends; None when there is none, as before the first byte: most errors stay silent."""
        try:
            self._index = os.open(self.index_path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return None
        records = index.count(self._index)
        self._index_end = records * index.SIZE
        if not records:
            return None
        last = index.read(self._index, records - 1, 1)[0]
        self.file.resume(last.file, last.log_end)
        return last

    @property
    def has_records(self) -> bool:
        """Something was written, or is known to have been dropped."""
        return self._index_end > 0

    def locate(self, spool_end: int, wall_ns: int) -> None:
        """Be at the file that is at the path now."""
        if self.file.locate():
            self.record(self.file.end, spool_end, wall_ns)
            self._began_ns = wall_ns

    def record(self, log_end: int, spool_end: int, wall_ns: int) -> None:
        """Make a step count."""
        self.write_record(index.Record(self.file.inode, log_end, spool_end, wall_ns))
        self.file.end = log_end

    def write_record(self, record: index.Record) -> None:
        """Append to the index."""
        if self._index < 0:
            self._index = os.open(self.index_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        if os.pwrite(self._index, record.pack(), self._index_end) != index.SIZE:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._index_end += index.SIZE

    def rotate(self, spool_end: int, wall_ns: int) -> None:
        """Begin a new file, and forget what the index says of files that are gone."""
        keep = self._policy.keep
        self.file.rotate(keep)
        self.record(self.file.end, spool_end, wall_ns)
        self._began_ns, self.has_rotated = wall_ns, True
        self._index = index.prune(self.index_path, self._index, self.file.inodes(keep))
        self._index_end = index.count(self._index) * index.SIZE

    def expire(self, spool_end: int, wall_ns: int) -> None:
        """Rotate the present file when it was begun too long ago; delete those that were left too long ago."""
        before = wall_ns - self._policy.max_age_ns
        if self.file.is_written() and self._began(spool_end, wall_ns) <= before:
            self.rotate(spool_end, wall_ns)
        self.file.expire(before)

    def _began(self, spool_end: int, wall_ns: int) -> int:
        self.locate(spool_end, wall_ns)
        if not self._began_ns:
            self._began_ns = index.began(self._index, wall_ns)
        return self._began_ns

    def close(self) -> None:
        """Close all descriptors."""
        if self._index >= 0:
            os.close(self._index)
            self._index = -1
        self.file.close()
