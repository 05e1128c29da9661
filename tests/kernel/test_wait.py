import os
import resource
import signal
import threading

import pytest

from pidward.core.model import UNKNOWN_EXIT, ExitStatus, Source
from pidward.core.units import Seconds
from pidward.kernel import abi
from pidward.kernel.errors import NotChild, NotYet
from pidward.kernel.pidfd import Pidfd, State
from pidward.kernel.procfs import read_stat
from pidward.kernel.wait import exit_status_of, reap, wait_exit
from tests.isolation import run_apart, sleep_forever
from tests.kernel.conftest import Start
from tests.relatives import grandchild


def ended(process: Pidfd) -> Pidfd:
    assert wait_exit(process, Seconds(30))
    return process


def die_of(number: int) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.raise_signal(number)


@pytest.mark.parametrize("code", [0, 1, 23, 255])
def test_reap_tells_the_code_and_what_was_used(start: Start, code: int) -> None:
    process = start(lambda: code)
    status = reap(ended(process))
    assert status is not None
    assert (status.code, status.signal, status.source) == (code, None, Source.WAITID)
    assert status.usage is not None
    assert status.usage.max_rss_bytes > 1 << 20
    assert 0 <= status.usage.user_s + status.usage.system_s < 30
    assert process.state() is State.REAPED


def test_usage_counts_what_the_child_did(start: Start) -> None:
    def work() -> None:
        while sum(os.times()[:2]) < 0.05:
            sum(range(1000))

    status = reap(ended(start(work)))
    assert status is not None
    assert status.usage is not None
    assert status.usage.user_s + status.usage.system_s >= 0.04


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGABRT])
def test_reap_tells_the_signal(start: Start, number: int) -> None:
    status = reap(ended(start(lambda: die_of(number))))
    assert status is not None
    assert (status.code, status.signal) == (None, number)


def test_reap_of_a_running_one_is_none(start: Start) -> None:
    assert reap(start(sleep_forever)) is None


def test_a_stolen_status_is_repaired(start: Start) -> None:
    process = start(lambda: 23)
    ended(process)
    assert os.waitpid(-1, 0)[0] == process.id.pid  # noqa: TID251 - what some library does
    assert reap(process) == ExitStatus(23, None, False, Source.PIDFD_INFO)


def test_a_stolen_status_that_nobody_kept_is_unknown_and_not_invented(start: Start, without) -> None:
    without("pidfd_info_exit")
    process = start(lambda: 23)
    ended(process)
    os.waitpid(-1, 0)  # noqa: TID251
    assert reap(process) == UNKNOWN_EXIT


def test_two_reaps_agree(start: Start) -> None:
    process = start(lambda: 5)
    first, second = reap(ended(process)), reap(process)
    assert first is not None
    assert second is not None
    assert (first.code, second.code, second.source) == (5, 5, Source.PIDFD_INFO)


def test_others_cannot_be_reaped() -> None:
    with grandchild(sleep_forever) as (process, _):
        with pytest.raises(NotChild):
            reap(process)
        process.signal(signal.SIGKILL)
        ended(process)
        with pytest.raises(NotChild):
            reap(process)
        assert process.state() is State.EXITED


def test_status_of_others_zombie_then_reaped() -> None:
    with grandchild(lambda: 7) as (process, let_it_be_reaped):
        ended(process)
        assert exit_status_of(process) == ExitStatus(7, None, False, Source.PROC_STAT)
        let_it_be_reaped()
        assert exit_status_of(process) == ExitStatus(7, None, False, Source.PIDFD_INFO)


def test_status_of_others_that_were_killed() -> None:
    with grandchild(sleep_forever) as (process, let_it_be_reaped):
        with pytest.raises(NotYet):
            exit_status_of(process)
        process.signal(signal.SIGTERM)
        assert exit_status_of(ended(process)) == ExitStatus(None, signal.SIGTERM, False, Source.PROC_STAT)
        let_it_be_reaped()
        assert exit_status_of(process) == ExitStatus(None, signal.SIGTERM, False, Source.PIDFD_INFO)


@pytest.mark.parametrize("taken", ["pidfd_info", "pidfd_info_exit"])
def test_status_after_the_reap_is_unknown_where_the_kernel_does_not_keep_it(taken: str, without) -> None:
    without(taken)
    with grandchild(lambda: 7) as (process, let_it_be_reaped):
        ended(process)
        let_it_be_reaped()
        assert exit_status_of(process) == UNKNOWN_EXIT


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_the_zombie_of_another_user_reads_as_unknown_and_not_as_success() -> None:
    with grandchild(lambda: 7) as (process, _):
        ended(process)

        def scenario() -> None:
            os.setuid(65534)
            assert exit_status_of(process) == UNKNOWN_EXIT

        run_apart(scenario)


def test_a_leader_that_left_its_threads_is_running_and_the_group_gives_the_status(start: Start) -> None:
    read, write = os.pipe()

    def act() -> None:
        def finish() -> None:
            os.read(read, 1)
            os._exit(7)

        threading.Thread(target=finish).start()
        abi.libc().syscall(60 if os.uname().machine == "x86_64" else 93, 3)  # exit, of this thread alone

    process = start(act)
    while read_stat(process).state != "Z":
        os.sched_yield()
    assert process.state() is State.RUNNING
    assert reap(process) is None
    os.write(write, b".")
    assert exit_status_of(ended(process)).code == 7
    status = reap(process)
    assert status is not None
    assert status.code == 7
    os.close(read)
    os.close(write)


def test_wait_exit_gives_up_and_reaps_nothing(start: Start) -> None:
    process = start(sleep_forever)
    assert wait_exit(process, Seconds(0.01)) is False
    process.signal(signal.SIGKILL)
    assert wait_exit(process) is True
    assert process.state() is State.EXITED
