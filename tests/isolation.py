"""Scenarios that need a process, or a pid namespace, of their own; and numbers handed out again on purpose.

A scenario is a function. It runs in a fork, so it may become a subreaper, drop its privileges or take its limits
down; when it raises, the test fails with its traceback.
"""

import ctypes
import faulthandler
import os
import select
import signal
import struct
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from pidward.kernel import abi
from pidward.kernel.pidfd import Pidfd

_PR_SET_PDEATHSIG = 1
_CLONE_NEWPID, _CLONE_NEWNS = 0x2000_0000, 0x0002_0000
_MS_REC_PRIVATE = 0x4000 | 0x4_0000
_FAILED, _SKIPPED = 1, 77
_TIMEOUT_MS = 60_000


def fork(act: Callable[[], int | None]) -> Pidfd:
    """A child that runs a function and exits with what it returns; killed when the test process dies."""
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        code = 120
        try:
            abi.call("prctl", _PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() not in (parent, 0):  # 0: the parent is outside of our pid namespace
                os._exit(code)  # it died before it could take us along
            signal.set_wakeup_fd(-1)
            faulthandler.disable()
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_DFL)
            code = act() or 0
        finally:
            os._exit(code)
    return Pidfd.open(pid)


def sleep_forever() -> None:
    """For ``fork``: lives until it is killed."""
    while True:
        signal.pause()


def end(process: Pidfd) -> None:
    """Kill and reap a child of ours, whatever it does; harmless when it was reaped."""
    process.signal(signal.SIGKILL)
    try:
        os.waitid(os.P_PIDFD, process.fileno(), os.WEXITED)
    except ChildProcessError:
        pass
    process.close()


def run_apart(scenario: Callable[[], None]) -> None:
    """Run a scenario in a process of its own."""
    report, reporter = os.pipe()

    def act() -> int:
        os.close(report)
        try:
            scenario()
        except pytest.skip.Exception as skip:
            os.write(reporter, str(skip).encode())
            return _SKIPPED
        except BaseException:  # noqa: BLE001 - a failed assertion, above all
            os.write(reporter, traceback.format_exc().encode()[-60_000:])
            return _FAILED
        return 0

    process = fork(act)
    os.close(reporter)
    try:
        poll = select.poll()
        poll.register(process.fileno(), select.POLLIN)
        assert poll.poll(_TIMEOUT_MS), "the scenario did not end"
        result = os.waitid(os.P_PIDFD, process.fileno(), os.WEXITED)
        assert result is not None
        os.set_blocking(report, False)
        try:
            text = os.read(report, 65536).decode()
        except BlockingIOError:  # a process that the scenario left holds the other end
            text = ""
    finally:
        end(process)
        os.close(report)
    if result.si_status == _SKIPPED:
        pytest.skip(text)
    assert result.si_code == os.CLD_EXITED, f"the scenario was killed by signal {result.si_status}"
    assert result.si_status == 0, f"in a process apart:\n{text}"


def run_in_pid_namespace(scenario: Callable[[], None]) -> None:
    """Run a scenario as the first process of a new pid namespace with its own /proc; nothing of it survives."""

    def outside() -> None:
        if libc.unshare(_CLONE_NEWPID | _CLONE_NEWNS) < 0:
            pytest.skip("no new pid namespace (needs CAP_SYS_ADMIN)")
        run_apart(inside)

    def inside() -> None:
        _mount_proc(libc)
        scenario()

    libc = ctypes.CDLL(None, use_errno=True)
    run_apart(outside)


def _mount_proc(libc: ctypes.CDLL) -> None:
    for arguments in ((b"none", b"/", None, _MS_REC_PRIVATE, None), (b"proc", b"/proc", b"proc", 0, None)):
        if libc.mount(*arguments) < 0:
            raise OSError(ctypes.get_errno(), f"mount {arguments[1]!r}")


def fork_as(pid: int, act: Callable[[], int | None]) -> Pidfd:
    """A child with this very number, by ns_last_pid; the number must be free. For a pid namespace of our own."""
    for _ in range(100):
        with open("/proc/sys/kernel/ns_last_pid", "w") as file:
            file.write(str(pid - 1))
        process = fork(act)
        if process.id.pid == pid:
            return process
        end(process)
    raise AssertionError(f"number {pid} could not be had")


def clone_as(pid: int, act: Callable[[], int | None]) -> Pidfd:
    """As fork_as, by clone3 with set_tid (Linux 5.5)."""
    wanted, pidfd = struct.pack("i", pid), ctypes.create_string_buffer(4)
    address = ctypes.cast(ctypes.c_char_p(wanted), ctypes.c_void_p).value or 0
    arguments = struct.pack("11Q", 0x1000, ctypes.addressof(pidfd), 0, 0, signal.SIGCHLD, 0, 0, 0, address, 1, 0)
    if abi.call("clone3", arguments, len(arguments)) == 0:
        try:
            os._exit(act() or 0)
        finally:
            os._exit(120)
    return Pidfd.take(struct.unpack("i", pidfd.raw)[0], pid)


@contextmanager
def barrier() -> Iterator[tuple[Callable[[], object], Callable[[], object]]]:
    """(pass it, wait for that), across forks, once for each time."""
    read, write = os.pipe()
    try:
        yield (lambda: os.write(write, b".")), (lambda: os.read(read, 1))
    finally:
        os.close(read)
        os.close(write)
