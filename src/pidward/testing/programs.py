"""Small programs to supervise, and the two ends of FIFOs that make tests wait for the thing and not for a while.

A program is an argument vector, ready for a service's ``command``::

    with Barrier(tmp_path / "reports") as barrier, Gate(tmp_path / "gate") as gate:
        command = exits(3, barrier=barrier, gate=gate)
        ...  # start it
        [report] = barrier.wait(1)  # Report(word="started", pid=4711)
        gate.open()  # now it exits, with code 3

Programs that only report, wait and end are ``/bin/sh`` (a millisecond to start); the others are this Python without
its site packages. None of them ends before it is told to, unless its description says so.
"""

import os
import select
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

Argv = tuple[str, ...]


class Report(NamedTuple):
    """What a program said through a barrier: a word, and its pid as it sees it itself."""

    word: str
    pid: int


class _Fifo:
    """A FIFO that the test holds open at both ends: no program waits in open(2), and none sees an end of file."""

    def __init__(self, path: str | Path, mode: int) -> None:
        self.path = os.fspath(path)
        os.mkfifo(self.path)
        os.chmod(self.path, mode)  # programs may run as other users
        self._fd = os.open(self.path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)

    def close(self) -> None:
        """Remove the FIFO. Programs that still use it see a broken pipe or an end of file."""
        os.close(self._fd)
        os.unlink(self.path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()


class Barrier(_Fifo):
    """Where programs report. Reports of any number of processes arrive whole, each in the order of its process."""

    def __init__(self, path: str | Path) -> None:
        super().__init__(path, 0o622)
        self._partial = b""
        self._arrived: list[Report] = []

    def wait(self, count: int = 1, word: str = "", timeout: float = 10.0) -> list[Report]:
        """Take the next ``count`` reports, of one word if it is given; others stay for later calls.

        Raises:
            TimeoutError: they did not all come within ``timeout`` seconds; says what did, and takes nothing.
        """
        deadline = time.monotonic() + timeout
        while len(wanted := [report for report in self._arrived if word in ("", report.word)]) < count:
            if not self._receive(deadline - time.monotonic()):
                seen = ", ".join(f"{n} {seen}" for seen, n in Counter(r.word for r in self._arrived).items())
                raise TimeoutError(f"{len(wanted)} of {count} reports {word!r} within {timeout} s; seen: {seen or '-'}")
        for report in wanted[:count]:
            self._arrived.remove(report)
        return wanted[:count]

    def pending(self) -> list[Report]:
        """Take what has arrived, without waiting."""
        while self._receive(0):
            pass
        arrived, self._arrived = self._arrived, []
        return arrived

    def _receive(self, seconds: float) -> bool:
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        if not poll.poll(max(0.0, seconds) * 1000):
            return False
        *lines, self._partial = (self._partial + os.read(self._fd, 65536)).split(b"\n")
        for word, pid in (line.decode().split() for line in lines):
            self._arrived.append(Report(word, int(pid)))
        return True


class Gate(_Fifo):
    """Where programs wait until the test lets them go on."""

    def __init__(self, path: str | Path) -> None:
        super().__init__(path, 0o644)

    def open(self, count: int = 1) -> None:
        """Let the next ``count`` programs pass, those that wait or those that come."""
        os.write(self._fd, b"\n" * count)


def sleeper(barrier: Barrier | None = None) -> Argv:
    """Reports ``started``, then sleeps; SIGTERM ends it."""
    return _shell("exec sleep infinity", barrier)


def stubborn(barrier: Barrier | None = None) -> Argv:
    """Reports ``started``, then sleeps; ignores SIGTERM, SIGINT and SIGHUP."""
    return _shell("exec sleep infinity", barrier, before="trap '' TERM INT HUP;")


def polite(barrier: Barrier, code: int = 0) -> Argv:
    """Reports ``started``; at SIGTERM reports ``stopping`` and exits with ``code``."""
    script = (
        "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM}); report('started')\n"
        f"signal.sigwait({{signal.SIGTERM}}); report('stopping'); os._exit({code})"
    )
    return _python(script, barrier)


def exits(code: int, barrier: Barrier | None = None, gate: Gate | None = None) -> Argv:
    """Reports ``started``, waits at the gate, exits with ``code``; without a gate at once."""
    return _shell(f"exit {code}", barrier, gate)


def crashes(barrier: Barrier | None = None, gate: Gate | None = None, number: int = signal.SIGSEGV) -> Argv:
    """Reports ``started``, waits at the gate, dies of a signal without a core file; without a gate at once."""
    return _shell(f"ulimit -c 0; kill -{number} $$; exec sleep infinity", barrier, gate)


def daemons(count: int, barrier: Barrier) -> Argv:
    """Starts ``count`` double-forked daemons, each in a session of its own; then sleeps.

    Each reports ``daemon``; the program itself reports ``started`` when it has made them all. They ignore SIGHUP and
    SIGTERM, and outlive the program: who starts it has to end them.
    """
    script = (
        f"for _ in range({count}):\n"
        "    if child := os.fork():\n"
        "        os.waitpid(child, 0)\n"
        "        continue\n"
        "    os.setsid()\n"
        "    if os.fork():\n"
        "        os._exit(0)\n"
        "    signal.signal(signal.SIGHUP, signal.SIG_IGN); signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "    report('daemon')\n"
        "    while True: signal.pause()\n"
        "report('started')\n"
        "while True: signal.pause()"
    )
    return _python(script, barrier)


def family(count: int, barrier: Barrier) -> Argv:
    """Starts ``count`` children that report ``child``, reports ``started`` itself; all sleep."""
    script = (
        f"for _ in range({count}):\n"
        "    if os.fork() == 0:\n"
        "        report('child')\n"
        "        while True: signal.pause()\n"
        "report('started')\n"
        "while True: signal.pause()"
    )
    return _python(script, barrier)


def writes_lines(count: int, prefix: str = "line", barrier: Barrier | None = None) -> Argv:
    """Writes ``PREFIX 0`` to ``PREFIX COUNT-1`` on stdout, a line each, reports ``written``, and exits with 0."""
    return _writer(f"b''.join(b'%s %d\\n' % ({prefix.encode()!r}, n) for n in range({count}))", barrier)


def writes_binary(repeats: int, barrier: Barrier | None = None) -> Argv:
    """Writes all 256 byte values in order, ``repeats`` times, reports ``written``, and exits with 0."""
    return _writer(f"bytes(range(256)) * {repeats}", barrier)


def writes_long_line(length: int, barrier: Barrier | None = None) -> Argv:
    """Writes one line of ``length`` bytes ``x`` and its newline, reports ``written``, and exits with 0."""
    return _writer(f"b'x' * {length} + b'\\n'", barrier)


def _shell(act: str, barrier: Barrier | None = None, gate: Gate | None = None, before: str = "") -> Argv:
    report = 'echo "started $$" >"$1"; ' if barrier else ""
    wait = 'read -r _ <"$2"; ' if gate else ""
    paths = (barrier.path if barrier else "", gate.path if gate else "")
    return ("/bin/sh", "-c", f"{before} {report}{wait}{act}", "pidward-program", *paths)


def _writer(what: str, barrier: Barrier | None) -> Argv:
    written = "report('written')" if barrier else ""
    return _python(f"with open(1, 'wb') as out: out.write({what})\n{written}", barrier)


def _python(script: str, barrier: Barrier | None) -> Argv:
    head = (
        "import os, signal, sys\n"
        "def report(word):\n"
        "    fd = os.open(sys.argv[1], os.O_WRONLY)\n"
        "    os.write(fd, f'{word} {os.getpid()}\\n'.encode())\n"
        "    os.close(fd)\n"
    )
    return (sys.executable, "-I", "-S", "-c", head + script, barrier.path if barrier else "")
