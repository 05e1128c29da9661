"""What /proc tells about a process, read by number and then verified by its pidfd.

A number that was still reserved after the read was reserved during it; so ``Pidfd.exists`` after the read proves that
the text is about that process. Without it the answer is Gone, whatever was read.
"""

import os
from collections.abc import Iterator

from pidward.core.lean import NamedTuple
from pidward.core.units import Bytes
from pidward.kernel import mask
from pidward.kernel.errors import Gone, translated
from pidward.kernel.pidfd import Pidfd

_PAGE = os.sysconf("SC_PAGE_SIZE")
_CHUNK = 65536
_PF_KTHREAD = 0x0020_0000


class Stat(NamedTuple):
    """The parts of /proc/PID/stat that pidward uses."""

    name: str  # up to 15 bytes, as the process likes it
    state: str  # one letter: R S D T t Z X I
    ppid: int
    group: int
    session: int
    start_ticks: int  # since boot, in clock ticks
    rss_bytes: int
    exit_word: int  # a wait status; 0 also where we may not look (needs ptrace access)
    flags: int = 0  # PF_* of include/linux/sched.h

    @property
    def is_kernel_thread(self) -> bool:
        """It is no program: it has no memory, environment or command line to read."""
        return bool(self.flags & _PF_KTHREAD)

    @property
    def is_dead(self) -> bool:
        """A zombie, or on its way out."""
        return self.state in "ZXx"


def read(process: Pidfd, name: str) -> bytes:
    """Read /proc/PID/NAME whole.

    Raises:
        Gone: the process was reaped, before or while it was read; or it is a zombie and the file needs memory (ESRCH).
        Denied: needs ptrace access (EACCES, EPERM).
    """
    doing = f"read {name} of process {process.id}"
    try:
        text = read_file(f"/proc/{process.id.pid}/{name}")
    except OSError as error:
        if not process.exists():
            raise Gone(doing, "procfs", error.errno or 0) from error
        raise translated(error, "procfs", doing) from error
    if not process.exists():
        raise Gone(doing, "procfs")
    return text


def read_stat(process: Pidfd) -> Stat:
    """State, parent, session, start and more. Raises Gone."""
    return _parse_stat(read(process, "stat"))


def rss(process: Pidfd) -> Bytes:
    """Resident memory; 0 for a zombie. Raises Gone."""
    return Bytes(int(read(process, "statm").split()[1]) * _PAGE)


def name(process: Pidfd) -> str:
    """The name that the process has in listings, up to 15 bytes. Raises Gone."""
    return _text(read(process, "comm")).removesuffix("\n")


def command_line(process: Pidfd) -> list[str]:
    """The arguments as the process shows them; empty for a zombie and a kernel thread. Raises Gone."""
    text = read(process, "cmdline")
    return [_text(word) for word in text.removesuffix(b"\0").split(b"\0")] if text else []


def environ(process: Pidfd) -> dict[str, str]:
    """The environment that the program was started with. Raises Gone or Denied, for a zombie too."""
    entries = read(process, "environ").split(b"\0")
    return {_text(key): _text(value) for key, equals, value in (entry.partition(b"=") for entry in entries) if equals}


def children(process: Pidfd) -> list[int]:
    """Numbers of its direct children: candidates to open and verify. Raises Gone."""
    found = children_by_number(process.id.pid)
    if not process.exists():
        raise Gone(f"list the children of process {process.id}", "procfs")
    return found


def own_children() -> list[int]:
    """Numbers of our own children, zombies too. Those stay reserved until we reap them."""
    return children_by_number(os.getpid())


def children_by_number(pid: int) -> list[int]:
    """Numbers of the children of whoever has a number; none when nobody has. Unverified. Raises Exhausted."""
    try:
        threads = os.listdir(f"/proc/{pid}/task")
        if "proc_children" in mask.taken_away():
            return [child for child, parent in parents() if parent == pid]
        texts = [read_file(f"/proc/{pid}/task/{thread}/children") for thread in threads]
    except FileNotFoundError:  # the process, a thread of it, or, without CONFIG_PROC_CHILDREN, the file
        return [child for child, parent in parents() if parent == pid]
    except ProcessLookupError:
        return []
    except OSError as error:
        raise translated(error, "procfs", f"list the children of process {pid}") from error
    return [int(child) for text in texts for child in text.split()]


def numbers() -> list[int]:
    """Numbers of all processes that /proc shows. Unverified. Raises Exhausted."""
    try:
        return [int(entry) for entry in os.listdir("/proc") if entry.isdecimal()]
    except OSError as error:
        raise translated(error, "procfs", "list the processes") from error


def parents() -> Iterator[tuple[int, int]]:
    """(pid, ppid) of all processes. Unverified: candidates to open and look at again."""
    for pid in numbers():
        try:
            yield pid, _parse_stat(read_file(f"/proc/{pid}/stat")).ppid
        except (FileNotFoundError, ProcessLookupError):
            continue
        except OSError as error:
            raise translated(error, "procfs", "find parents") from error


def read_file(path: str) -> bytes:
    """Read a file of /proc or a cgroup whole. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        text = os.read(fd, _CHUNK)
        if len(text) < 4096:  # the kernel fills a page before it stops short
            return text
        parts = [text]
        while part := os.read(fd, _CHUNK):
            parts.append(part)
        return b"".join(parts)
    finally:
        os.close(fd)


def _parse_stat(text: bytes) -> Stat:
    head, _, tail = text.rpartition(b")")  # the name may hold anything, also ") "
    fields = tail.split()
    return Stat(
        name=_text(head.partition(b"(")[2]),
        state=fields[0].decode(),
        ppid=int(fields[1]),
        group=int(fields[2]),
        session=int(fields[3]),
        start_ticks=int(fields[19]),
        rss_bytes=int(fields[21]) * _PAGE,
        exit_word=int(fields[49]) if len(fields) > 49 else 0,
        flags=int(fields[6]),
    )


def _text(raw: bytes) -> str:
    return raw.decode(errors="surrogateescape")
