"""Datagrams whose sender the kernel names."""

import array
import os
import random
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pidward.core.units import Seconds
from pidward.kernel.limits import read_limit
from pidward.kernel.notify import Datagram, NotifySocket, is_same_open_file
from pidward.kernel.pidfd import Ask, Pidfd, State
from pidward.kernel.wait import reap, wait_exit
from tests.kernel.conftest import Start

SIZE = 512


@pytest.fixture
def inbox(tmp_path: Path) -> Iterator[NotifySocket]:
    inbox = NotifySocket(str(tmp_path / "n"), SIZE)
    yield inbox
    inbox.close()


def send(inbox: NotifySocket, data: bytes, fds: list[int] | None = None) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.connect(inbox.path)
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        sender.sendmsg([data], ancillary)


def take(inbox: NotifySocket) -> Datagram:
    datagram = inbox.receive()
    assert datagram is not None
    return datagram


def open_fds() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_the_sender_is_known(inbox: NotifySocket, start: Start) -> None:
    assert inbox.receive() is None
    child = start(lambda: send(inbox, b"READY=1"))
    assert wait_exit(child, Seconds(10))
    datagram = take(inbox)
    assert (datagram.data, datagram.pid, datagram.uid) == (b"READY=1", child.id.pid, os.getuid())
    assert datagram.sender is not None
    assert datagram.sender.id == child.id
    assert datagram.is_whole
    datagram.close()
    assert inbox.receive() is None


def test_a_sender_that_was_reaped_is_known_still(inbox: NotifySocket, start: Start) -> None:
    child = start(lambda: send(inbox, b"READY=1"))
    assert wait_exit(child, Seconds(10))
    reap(child)
    datagram = take(inbox)
    if datagram.sender is None:
        pytest.skip("needs SCM_PIDFD of a reaped sender")
    assert datagram.sender.id == child.id
    assert datagram.sender.state() is State.REAPED
    assert datagram.sender.info().has(Ask.CGROUP), "its cgroup is on record"
    datagram.close()


def test_without_scm_pidfd_the_number_is_opened(tmp_path: Path, start: Start, without: Callable[[str], None]) -> None:
    without("scm_pidfd")
    inbox = NotifySocket(str(tmp_path / "old"), SIZE)
    try:
        gone = start(lambda: send(inbox, b"1"))
        assert wait_exit(gone, Seconds(10))
        reap(gone)
        send(inbox, b"2")
        first, second = take(inbox), take(inbox)
        assert first.sender is None
        assert second.sender is not None
        with Pidfd.own() as own:
            assert second.sender.id == own.id
        second.close()
    finally:
        inbox.close()


def test_descriptors_come_along(inbox: NotifySocket) -> None:
    before = open_fds()
    ours, theirs = os.pipe()
    send(inbox, b"FDSTORE=1", [theirs, theirs])
    datagram = take(inbox)
    one, other = datagram.descriptors
    assert not os.get_inheritable(one)
    os.write(one, b"x")
    assert os.read(ours, 1) == b"x"
    if is_same_open_file(one, one):
        assert is_same_open_file(one, other)
        assert not is_same_open_file(one, ours)
    datagram.close()
    os.close(ours)
    os.close(theirs)
    assert open_fds() == before


def test_what_is_cut_off_is_told(inbox: NotifySocket) -> None:
    send(inbox, b"x" * (SIZE + 1))
    datagram = take(inbox)
    assert (len(datagram.data), datagram.is_whole) == (SIZE, False)
    datagram.close()


def test_many_descriptors(inbox: NotifySocket) -> None:
    before = open_fds()
    send(inbox, b"many", [0] * 253)
    datagram = take(inbox)
    assert (len(datagram.descriptors), datagram.is_whole) == (253, True)
    datagram.close()
    assert open_fds() == before


def test_a_full_table_loses_nothing_of_ours(inbox: NotifySocket) -> None:
    """What fits comes, the rest is told as cut off, and all is given back."""
    before = open_fds()
    send(inbox, b"many", [0] * 20)
    filler = []
    try:
        if read_limit("nofile").soft > 70_000:
            pytest.skip("needs a table that can be filled")
        while True:
            filler.append(os.dup(0))
    except OSError:
        for _ in range(5):
            os.close(filler.pop())
        datagram = take(inbox)
        assert not datagram.is_whole
        assert len(datagram.descriptors) <= 5
        datagram.close()
    finally:
        for fd in filler:
            os.close(fd)
    assert open_fds() == before


def test_an_old_socket_is_replaced(tmp_path: Path) -> None:
    path = str(tmp_path / "n")
    first = NotifySocket(path, SIZE)
    second = NotifySocket(path, SIZE)
    send(second, b"x")
    take(second).close()
    assert first.receive() is None
    second.close()
    first.close()
    assert not Path(path).exists()


def test_noise(inbox: NotifySocket) -> None:
    source = random.Random(7)
    before = open_fds()
    for _ in range(500):
        send(inbox, source.randbytes(source.randrange(2 * SIZE)), [0] * source.randrange(4))
        take(inbox).close()
    assert open_fds() == before
