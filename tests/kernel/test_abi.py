"""Raw system calls: natively and through ctypes they are the same."""

import errno
import os
from collections.abc import Callable

import pytest

from pidward.kernel import abi

_spawn = pytest.importorskip("pidward.kernel._spawn")
READ, WRITE, GETPID = (0, 1, 39) if os.uname().machine == "x86_64" else (63, 64, 172)
PROC_SUPER_MAGIC = 0x9FA0
Call = Callable[..., int]


@pytest.fixture(params=["native", "ctypes"])
def call(request: pytest.FixtureRequest) -> Call:
    return _spawn.call if request.param == "native" else abi.through_ctypes


def test_numbers_and_buffers_go_there_and_come_back(call: Call) -> None:
    ours, theirs = os.pipe()
    memory = bytearray(4)
    assert call(WRITE, theirs, b"abc", 3) == 3
    assert call(READ, ours, memory, 4) == 3
    assert memory == b"abc\0"
    assert call(GETPID) == os.getpid()
    os.close(ours)
    os.close(theirs)


def test_a_refusal_is_its_errno(call: Call) -> None:
    with pytest.raises(OSError) as caught:  # noqa: PT011 - the number is what is looked at
        call(READ, -1, bytearray(1), 1)
    assert caught.value.errno == errno.EBADF
    with pytest.raises(OSError) as caught:  # noqa: PT011
        call(READ, -1, None, 0)
    assert caught.value.errno == errno.EBADF


def test_what_is_no_argument_is_refused_and_nothing_stays_locked() -> None:
    memory = bytearray(4)
    with pytest.raises(TypeError):
        _spawn.call(READ, memory, "text")
    with pytest.raises(TypeError):
        _spawn.call()
    with pytest.raises(TypeError):
        _spawn.call(READ, *range(7))
    memory.extend(b"more")  # a buffer that is still held could not grow


def test_waitid_of_the_table_tells_the_status(monkeypatch: pytest.MonkeyPatch, call: Call) -> None:
    monkeypatch.setattr(abi, "_system_call", call)
    pid = os.fork()
    if pid == 0:
        os._exit(7)
    pidfd = os.pidfd_open(pid)
    while not (told := abi.waitid(pidfd, abi.WEXITED | abi.WNOHANG))[0]:
        pass
    assert told[1:3] == (1, 7)
    assert told[5] > 0
    os.close(pidfd)


def test_file_system_types(monkeypatch: pytest.MonkeyPatch, call: Call) -> None:
    monkeypatch.setattr(abi, "_system_call", call)
    with open("/proc/self/stat", "rb") as file:
        assert abi.filesystem_type(file.fileno()) == PROC_SUPER_MAGIC
