"""Reads again and again what processes use, cheaply, and never another process's numbers.

A descriptor of /proc/PID/stat belongs to the process, not to the number: once the process is reaped, reading it fails
(ESRCH), whoever has the number then. So it is opened and verified once (a pidfd that was opened after it and has the
expected inode), and after that a look costs one pread of some 4 us. Before pidfs (Linux 6.9) nothing can be verified,
and nothing is read.
"""

import errno
import os
from collections.abc import Iterator, Mapping

from pidward.core.lean import NamedTuple
from pidward.kernel.cgroup import own_directory
from pidward.kernel.errors import KernelError
from pidward.kernel.pidfd import Pidfd
from pidward.kernel.procfs import read, read_file

_TICK = 1 / os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Machine(NamedTuple):
    """The machine as a whole. Pressures are percentages of the last 10 s; None: the kernel does not tell."""

    memory_some: float | None
    memory_full: float | None
    cpu_some: float | None
    io_some: float | None
    memory_total: int
    memory_available: int


class Held:
    """One process, and what it used when it was looked at. None: not known.

    cpu: processors' worth of time since the look before (1.0 is one processor); None at the first look.
    rss: bytes; 0 of one that has ended and was not reaped.
    cgroup: the directory of its worker, version 2.
    """

    __slots__ = ("_at", "_fd", "_text", "_ticks", "cgroup", "cpu", "has_memory", "process", "rss")

    def __init__(self, process: str, fd: int, cgroup: str | None) -> None:
        self.process, self._fd, self.cgroup = process, fd, cgroup
        self.cpu: float | None = None
        self.rss: int | None = None
        self.has_memory = cgroup is not None  # until memory.stat is found missing
        self._text, self._ticks, self._at = b"", 0, 0.0

    def look(self, now: float) -> None:
        """Read it. ``now``: seconds, on any clock."""
        try:
            text = os.pread(self._fd, 1024, 0)
        except OSError:  # reaped
            self.cpu = self.rss = None
            return
        if text == self._text:  # as most processes are, most of the time
            self.cpu = 0.0
        else:
            fields = text[text.rindex(b")") + 2 :].split(b" ", 22)
            ticks = int(fields[11]) + int(fields[12])
            if self._text and now > self._at:
                self.cpu = max(0, ticks - self._ticks) * _TICK / (now - self._at)
            self.rss = int(fields[21]) * _PAGE
            self._text, self._ticks = text, ticks
        self._at = now

    def pressure(self) -> float | None:
        """Memory pressure of its worker: the share of the last 10 s in which some of it waited, in percent."""
        return None if self.cgroup is None else _average(_contents(f"{self.cgroup}/memory.pressure"), b"some")

    def refaults(self) -> int | None:
        """Pages of its worker that were read again soon after they had been taken away, since the cgroup was made."""
        if not self.has_memory:
            return None
        text = _contents(f"{self.cgroup}/memory.stat")
        self.has_memory = bool(text)
        if not text:
            return None
        lines = (line.split() for line in text.splitlines() if line.startswith(b"workingset_refault_"))
        return sum(int(count) for _, count in lines)

    def close(self) -> None:
        """Let go of it."""
        os.close(self._fd)


class Meter:
    """The main processes of some workers."""

    def __init__(self) -> None:
        self.held: dict[str, Held] = {}
        self._mounts = read_file("/proc/self/mountinfo").decode(errors="surrogateescape")
        self._machine = {name: _opened(f"/proc/pressure/{name}") for name in ("memory", "cpu", "io")}

    def follow(self, processes: Mapping[str, str]) -> None:
        """Hold these, and no others.

        Args:
            processes: PID:INODE by worker. Those that cannot be verified, or for which no descriptor is left, are not
                in ``held`` afterwards.
        """
        for worker in [w for w, held in self.held.items() if processes.get(w) != held.process]:
            self.held.pop(worker).close()
        for worker, process in processes.items():
            if worker not in self.held:
                found = self._hold(worker, process)
                if found is not None:
                    self.held[worker] = found

    def look(self, now: float) -> None:
        """Read all of them. ``now``: seconds, on any clock."""
        for held in self.held.values():
            held.look(now)

    def machine(self) -> Machine:
        """Read what the machine tells about itself."""
        memory, cpu, io = (_reread(fd) for fd in self._machine.values())
        about = dict(_sizes(read_file("/proc/meminfo")))
        return Machine(
            _average(memory, b"some"), _average(memory, b"full"), _average(cpu, b"some"), _average(io, b"some"),
            about.get(b"MemTotal", 0), about.get(b"MemAvailable", 0),
        )  # fmt: skip

    def close(self) -> None:
        """Let go of all."""
        self.follow({})
        for fd in self._machine.values():
            if fd is not None:
                os.close(fd)

    def _hold(self, worker: str, process: str) -> Held | None:
        pid, _, inode = process.partition(":")
        stat = _opened(f"/proc/{pid}/stat")
        if stat is None:
            return None
        try:
            with Pidfd.open(int(pid), int(inode)) as pidfd:  # it held the number already when we opened
                return Held(process, stat, self._cgroup(worker, pidfd))
        except (KernelError, ValueError):
            os.close(stat)
            return None

    def _cgroup(self, worker: str, process: Pidfd) -> str | None:
        """Its directory, if that is its worker's own."""
        try:
            text = read(process, "cgroup").decode(errors="surrogateescape")
        except KernelError:
            return None
        path = own_directory("cgroup2", self._mounts, text)
        service, _, number = worker.rpartition("/")
        return path if path is not None and path.endswith(f"/{service}.{number}") else None


def proportional_bytes(process: str) -> int | None:
    """Memory of PID:INODE with what it shares divided by those who share it (PSS); None: not known, or not for us.

    Costs some 0.3 ms and more the larger the process is; needs ptrace access to it.
    """
    pid, _, inode = process.partition(":")
    try:
        with Pidfd.open(int(pid), int(inode)) as pidfd:
            sizes = dict(_sizes(read(pidfd, "smaps_rollup")))
    except (KernelError, ValueError):
        return None
    return sizes.get(b"Pss")


def _sizes(text: bytes) -> Iterator[tuple[bytes, int]]:
    """``Name:   123 kB`` as (name, bytes)."""
    for line in text.splitlines():
        name, colon, rest = line.partition(b":")
        words = rest.split()
        if colon and len(words) == 2 and words[1] == b"kB":
            yield name, int(words[0]) * 1024


def _average(text: bytes, line: bytes) -> float | None:
    """``avg10`` of a line of a pressure file; None when it is not there."""
    at = text.find(line + b" avg10=")
    return None if at < 0 else float(text[at + len(line) + 7 :].split(b" ", 1)[0])


def _contents(path: str) -> bytes:
    try:
        return read_file(path)
    except OSError:  # no such group or controller (ENOENT, ENODEV), or pressure is not counted (EOPNOTSUPP)
        return b""


def _opened(path: str) -> int | None:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOENT, errno.ESRCH, errno.EACCES, errno.EOPNOTSUPP):
            return None
        raise


def _reread(fd: int | None) -> bytes:
    try:
        return b"" if fd is None else os.pread(fd, 512, 0)
    except OSError:
        return b""
