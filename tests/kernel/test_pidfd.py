import ctypes
import errno
import os
import resource
import signal
import socket
import struct
import threading

import pytest

from pidward.core.model import ProcessId, Sameness
from pidward.core.units import Seconds
from pidward.kernel import abi
from pidward.kernel.clock import boot_id
from pidward.kernel.errors import Denied, Exhausted, Gone, KernelError, NotLeader, Recycled, StaleBoot, Unsupported
from pidward.kernel.pidfd import Ask, Pidfd, Scope, State
from pidward.kernel.wait import reap, wait_exit
from tests.isolation import barrier, end, fork, run_apart, sleep_forever
from tests.kernel.conftest import Start

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def ended(process: Pidfd) -> Pidfd:
    assert wait_exit(process, Seconds(30))
    return process


def reaped(process: Pidfd) -> Pidfd:
    assert reap(ended(process)) is not None
    return process


# Opening and identity


def test_open_knows_who_it_is(start: Start) -> None:
    process = start(sleep_forever)
    assert process.id.inode == os.stat(process.fileno()).st_ino
    assert not os.get_inheritable(process.fileno())
    with Pidfd.open(*process.id) as again:
        assert again.id.compare(process.id) is Sameness.SAME


def test_open_refuses_another_inode(start: Start) -> None:
    process = start(sleep_forever)
    descriptors = os.listdir("/proc/self/fd")
    with pytest.raises(Recycled, match="belongs to another process"):
        Pidfd.open(process.id.pid, process.id.inode + 1)
    assert os.listdir("/proc/self/fd") == descriptors


def test_open_of_a_reaped_one_is_gone(start: Start) -> None:
    with pytest.raises(Gone):
        Pidfd.open(reaped(start(lambda: 0)).id.pid)


@pytest.mark.parametrize("pid", [0, -1])
def test_no_process_has_such_a_number(pid: int) -> None:
    with pytest.raises(ValueError, match="positive"):
        Pidfd.open(pid)


def test_open_of_a_thread_is_refused() -> None:
    done, tid = threading.Event(), []
    known = threading.Event()

    def run() -> None:
        tid.append(threading.get_native_id())
        known.set()
        done.wait()

    thread = threading.Thread(target=run)
    thread.start()
    known.wait()
    try:
        with pytest.raises(NotLeader):
            Pidfd.open(tid[0])
    finally:
        done.set()
        thread.join()


def test_without_pidfs_nothing_is_compared(start: Start, without) -> None:
    inode = start(sleep_forever).id.inode
    without("pidfs")
    process = start(sleep_forever)
    assert process.id.inode == 0
    with pytest.raises(Unsupported):
        Pidfd.open(process.id.pid, inode)


def test_out_of_descriptors_is_exhausted() -> None:
    def scenario() -> None:
        lowest_free = os.dup(0)
        os.close(lowest_free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, 1000))
        with pytest.raises(Exhausted) as caught:
            Pidfd.own()
        assert caught.value.errno == errno.EMFILE

    run_apart(scenario)


def test_take_owns_and_reads_the_number(start: Start) -> None:
    process = start(sleep_forever)
    fd = os.dup(process.fileno())
    taken = Pidfd.take(fd)
    assert taken.id == process.id
    taken.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


def test_take_of_no_pidfd_closes_and_refuses() -> None:
    fd = os.open("/dev/null", os.O_RDONLY)
    with pytest.raises(KernelError, match="not a pidfd"):
        Pidfd.take(fd)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


def test_copy_of_leaves_the_original(start: Start) -> None:
    process = start(sleep_forever)
    with Pidfd.copy_of(process.fileno()) as copy:
        assert copy.id == process.id
        assert copy.fileno() != process.fileno()
    assert process.state() is State.RUNNING


def test_a_closed_handle_says_so() -> None:
    process = Pidfd.own()
    process.close()
    process.close()
    assert process.is_closed
    with pytest.raises(ValueError, match="closed"):
        process.fileno()


def test_intact_until_somebody_replaces_the_descriptor(start: Start) -> None:
    process, other = start(sleep_forever), Pidfd.own()
    assert process.is_intact()
    with Pidfd.copy_of(process.fileno()) as victim:
        os.dup2(other.fileno(), victim.fileno())
        assert not victim.is_intact()
        os.dup2(os.open("/dev/null", os.O_RDONLY), victim.fileno())
        assert not victim.is_intact()
    other.close()


def test_intact_without_pidfs_goes_by_the_number(start: Start, without) -> None:
    without("pidfs")
    process, other = start(sleep_forever), Pidfd.own()
    assert process.is_intact()
    with Pidfd.copy_of(process.fileno()) as victim:
        os.dup2(other.fileno(), victim.fileno())
        assert not victim.is_intact()
    other.close()


# State


def test_states_follow_the_life(start: Start) -> None:
    process = start(sleep_forever)
    assert (process.state(), process.exists()) == (State.RUNNING, True)
    process.signal(signal.SIGKILL)
    ended(process)
    assert (process.state(), process.exists()) == (State.EXITED, True)
    reap(process)
    assert (process.state(), process.exists()) == (State.REAPED, False)


def test_what_is_no_pidfd_has_no_state() -> None:
    process = Pidfd.own()
    null = os.open("/dev/null", os.O_RDWR)
    os.dup2(null, process.fileno())
    os.close(process.fileno())
    assert process.state() is State.UNKNOWN
    os.close(null)


def test_info_tells_who_and_after_the_reap_how_it_ended(start: Start) -> None:
    process = start(sleep_forever)
    info = process.info()
    assert (info.pid, info.tgid, info.ppid, info.real_uid) == (process.id.pid, process.id.pid, os.getpid(), os.getuid())
    assert not info.has(Ask.EXIT)
    process.signal(signal.SIGKILL)
    reaped(process)
    after = process.info()
    assert after.has(Ask.EXIT)
    assert not after.has(Ask.PID)
    assert after.exit_word == signal.SIGKILL


def test_info_of_a_reaped_one_without_exit_is_gone(start: Start) -> None:
    with pytest.raises(Gone):
        reaped(start(lambda: 0)).info(Ask.PID)


def test_info_can_be_taken_away(start: Start, without) -> None:
    without("pidfd_info")
    with pytest.raises(Unsupported, match="PIDWARD_FEATURES_MASK"):
        start(sleep_forever).info()


# Signals


def test_a_signal_reaches_the_process_and_only_while_it_is_there(start: Start) -> None:
    process = start(sleep_forever)
    assert process.signal(signal.SIGTERM)
    assert process.signal(0)  # a zombie takes all
    status = reap(ended(process))
    assert status is not None
    assert status.signal == signal.SIGTERM
    assert process.signal(signal.SIGTERM) is False


@pytest.mark.parametrize("number", [-1, 65])
def test_no_such_signal(number: int) -> None:
    with Pidfd.own() as own, pytest.raises(ValueError, match="numbered"):
        own.signal(number)


def test_a_value_goes_along(start: Start) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})

    def receive() -> int:
        info = ctypes.create_string_buffer(128)
        while abi.libc().sigwaitinfo(struct.pack("Q", 1 << (signal.SIGUSR1 - 1)).ljust(128, b"\0"), info) < 0:
            pass
        code, pid, value = struct.unpack_from("=8xi4xi4xq", info)[:3]
        return 0 if (code, pid, value) == (-1, os.getppid(), 4711) else 1

    try:
        process = start(receive)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1})
    assert process.signal(signal.SIGUSR1, value=4711)
    status = reap(ended(process))
    assert status is not None
    assert status.code == 0


def test_group_scope_reaches_the_group_also_through_a_reaped_leader(start: Start) -> None:
    with barrier() as (done, wait_done):
        read, write = os.pipe()

        def lead() -> None:
            os.setpgid(0, 0)
            os.close(read)
            if os.fork() == 0:
                done()
                sleep_forever()

        leader = start(lead)
        os.close(write)
        wait_done()
        reaped(leader)
        assert leader.signal(signal.SIGKILL) is False
        assert leader.signal(signal.SIGKILL, Scope.GROUP)
        assert os.read(read, 1) == b""  # the member held the other end, and is dead
        os.close(read)


def test_thread_scope_reaches_the_thread(start: Start) -> None:
    process = start(sleep_forever)
    assert process.signal(signal.SIGKILL, Scope.THREAD)
    ended(process)


def test_group_scope_can_be_taken_away(start: Start, without) -> None:
    without("pidfd_signal_group")
    with pytest.raises(Unsupported):
        start(sleep_forever).signal(signal.SIGKILL, Scope.GROUP)


def test_a_scope_before_linux_6_9_is_unsupported_and_not_foreign(start: Start, monkeypatch) -> None:
    process, send = start(sleep_forever), signal.pidfd_send_signal

    def old_kernel(fd: int, number: int, info: None = None, flags: int = 0) -> None:
        if flags:
            raise OSError(errno.EINVAL, "Invalid argument")
        send(fd, number)

    monkeypatch.setattr(signal, "pidfd_send_signal", old_kernel)
    with pytest.raises(Unsupported):
        process.signal(signal.SIGKILL, Scope.THREAD)
    assert process.state() is State.RUNNING


@needs_root
def test_what_is_not_ours_is_denied(start: Start) -> None:
    process = start(sleep_forever)

    def scenario() -> None:
        os.setuid(65534)
        with pytest.raises(Denied):
            process.signal(signal.SIGKILL)
        assert process.exists()

    run_apart(scenario)


# Descriptors of the process


def test_getfd_shares_the_open_file(start: Start, tmp_path) -> None:
    fd = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    os.write(fd, b"hello")
    process = start(sleep_forever)
    copy = process.getfd(fd)
    assert os.lseek(copy, 0, os.SEEK_CUR) == 5
    assert not os.get_inheritable(copy)
    os.close(copy)
    os.close(fd)


def test_getfd_of_a_descriptor_that_is_not_open(start: Start) -> None:
    with pytest.raises(KernelError) as caught:
        start(sleep_forever).getfd(999)
    assert caught.value.errno == errno.EBADF


def test_getfd_of_a_zombie_is_gone(start: Start) -> None:
    with pytest.raises(Gone):
        ended(start(lambda: 0)).getfd(1)


def test_reopen_gives_an_end_of_the_pipe_that_is_ours(start: Start) -> None:
    read, write = os.pipe()
    process = start(sleep_forever)
    os.close(read)
    ours = process.reopen_fd(read, os.O_RDONLY | os.O_NONBLOCK)
    os.write(write, b"x")
    assert os.read(ours, 10) == b"x"
    os.close(ours)
    os.close(write)


def test_reopen_of_a_socket_is_unsupported(start: Start) -> None:
    one, other = socket.socketpair()
    with one, other, pytest.raises(Unsupported):
        start(sleep_forever).reopen_fd(one.fileno(), os.O_RDONLY)


def test_reopen_of_a_descriptor_that_is_not_open_is_not_gone(start: Start) -> None:
    with pytest.raises(KernelError) as caught:
        start(sleep_forever).reopen_fd(999, os.O_RDONLY)
    assert type(caught.value) is KernelError


def test_reopen_after_the_reap_is_gone(start: Start) -> None:
    with pytest.raises(Gone):
        reaped(start(lambda: 0)).reopen_fd(1, os.O_RDONLY)


# Names that outlive the handle


def test_a_handle_finds_the_process_again(start: Start) -> None:
    process = start(sleep_forever)
    handle = process.handle()
    assert len(handle) == 16
    with Pidfd.from_handle(handle, boot_id()) as again:
        assert again.id == process.id
        assert not os.get_inheritable(again.fileno())


def test_a_handle_of_a_reaped_one_is_gone(start: Start) -> None:
    process = start(lambda: 0)
    handle = process.handle()
    reaped(process)
    with pytest.raises(Gone) as caught:
        Pidfd.from_handle(handle, boot_id())
    assert caught.value.errno == errno.ESTALE


def test_a_handle_of_another_boot_is_not_tried(start: Start) -> None:
    with pytest.raises(StaleBoot):
        Pidfd.from_handle(start(sleep_forever).handle(), "00000000-0000-0000-0000-000000000000")


@needs_root
def test_tags_survive_the_closing_of_every_pidfd_and_the_reap() -> None:
    process = fork(sleep_forever)
    pid, inode = process.id
    process.set_tag("worker", b"web/2")
    process.close()
    again = Pidfd.open(pid, inode)
    assert again.tags() == {"worker": b"web/2"}
    assert again.get_tag("nothing") is None
    again.signal(signal.SIGKILL)
    reaped(again)
    assert again.get_tag("worker") == b"web/2"
    end(again)


@needs_root
def test_tags_need_privilege(start: Start) -> None:
    process = start(sleep_forever)
    process.set_tag("worker", b"web/2")

    def scenario() -> None:
        os.setuid(65534)
        with pytest.raises(Denied):
            process.set_tag("worker", b"other")
        assert process.tags() == {}

    run_apart(scenario)


def test_tags_can_be_taken_away(start: Start, without) -> None:
    process = start(sleep_forever)
    without("xattr")
    with pytest.raises(Unsupported):
        process.set_tag("worker", b"")
    assert (process.tags(), process.get_tag("worker")) == ({}, None)


def test_an_id_reads_as_it_is_written(start: Start) -> None:
    process = start(sleep_forever)
    assert ProcessId.parse(str(process.id)) == process.id
    assert str(process.id) in repr(process)
