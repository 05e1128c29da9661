import os
import signal

import pytest

from pidward.kernel import procfs
from pidward.kernel.errors import Denied, Gone, KernelError
from pidward.kernel.pidfd import Pidfd
from pidward.kernel.wait import reap, wait_exit
from tests.isolation import barrier, run_apart, sleep_forever
from tests.kernel.conftest import Start


def reaped(process: Pidfd) -> Pidfd:
    wait_exit(process)
    assert reap(process) is not None
    return process


def test_stat_of_a_hostile_name(start: Start) -> None:
    with barrier() as (done, wait_done):

        def act() -> None:
            with open("/proc/self/comm", "w") as file:
                file.write(") Z 1 (x) 7 7")
            os.setsid()
            done()
            sleep_forever()

        process = start(act)
        wait_done()
    stat = procfs.read_stat(process)
    assert stat.name == ") Z 1 (x) 7 7" == procfs.name(process)
    assert (stat.ppid, stat.group, stat.session) == (os.getpid(), process.id.pid, process.id.pid)
    assert stat.state in "SRD"
    assert stat.start_ticks > 0
    assert not stat.is_dead


def test_stat_of_a_zombie_has_the_status(start: Start) -> None:
    process = start(lambda: 9)
    wait_exit(process)
    stat = procfs.read_stat(process)
    assert stat.is_dead
    assert stat.exit_word == 9 << 8
    assert procfs.rss(process) == 0
    assert procfs.command_line(process) == []
    with pytest.raises((Gone, Denied)):  # EACCES for all but root
        procfs.environ(process)


def test_rss_in_bytes(start: Start) -> None:
    process = start(sleep_forever)
    assert 1 << 20 < procfs.rss(process) < 1 << 32


def test_command_line_and_environment_of_an_executed_program(start: Start) -> None:
    read, write = os.pipe()
    big = "x" * 100_000
    arguments = ["sh", "-c", "echo; kill -STOP $$", "two words", ""]

    def act() -> None:
        os.dup2(write, 1)
        os.execve("/bin/sh", arguments, {"KEY": "a=b", "BIG": big})

    process = start(act)
    os.read(read, 1)
    assert procfs.command_line(process) == arguments
    environ = procfs.environ(process)
    assert environ["KEY"] == "a=b"
    assert environ["BIG"] == big
    os.close(read)
    os.close(write)


@pytest.mark.parametrize("masked", ["", "proc_children"])
def test_children(start: Start, without, masked: str) -> None:
    without(masked)
    read, write = os.pipe()

    def act() -> None:
        child = os.fork()
        if child:
            os.write(write, str(child).encode())
        sleep_forever()

    process = start(act)
    child = int(os.read(read, 20))
    assert procfs.children(process) == [child]
    assert process.id.pid in procfs.own_children()
    with Pidfd.open(child) as orphan:
        orphan.signal(signal.SIGKILL)
    os.close(read)
    os.close(write)


@pytest.mark.parametrize(
    "question",
    [procfs.read_stat, procfs.rss, procfs.name, procfs.command_line, procfs.environ, procfs.children],
    ids=lambda question: question.__name__,
)
def test_a_reaped_one_is_gone(start: Start, question) -> None:
    with pytest.raises(Gone):
        question(reaped(start(lambda: 0)))


def test_a_file_that_proc_does_not_have_is_not_the_processs_fault(start: Start) -> None:
    with pytest.raises(KernelError) as caught:
        procfs.read(start(sleep_forever), "nothing")
    assert type(caught.value) is not Gone


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_the_environment_of_others_is_denied(start: Start) -> None:
    process = start(sleep_forever)

    def scenario() -> None:
        os.setuid(65534)
        with pytest.raises(Denied):
            procfs.environ(process)

    run_apart(scenario)


def test_parents_knows_us() -> None:
    assert dict(procfs.parents())[os.getpid()] == os.getppid()
