"""A tree ends whole, on every rung."""

import os
import signal
from collections.abc import Callable

import pytest

from pidward.core.units import Seconds
from pidward.kernel import tree
from pidward.kernel.pidfd import Pidfd, State
from pidward.kernel.procfs import read_stat
from pidward.kernel.tree import WalkedTree, become_subreaper, reap_orphans
from pidward.kernel.wait import reap, wait_exit
from tests.isolation import barrier, end, fork, run_apart, sleep_forever
from tests.trees import RABBIT, Worker, eventually, group, worker_with_daemons

DAEMONS = 20


def on_cgroup(kind: str, then: Callable[[Worker, object], None]) -> None:
    with group(kind) as ours, worker_with_daemons(DAEMONS, enter=ours.procs_path) as worker:
        assert len(ours.processes()) == DAEMONS + 1
        then(worker, ours)
        eventually(lambda: not ours.is_populated())
        assert ours.processes() == []


def walked(then: Callable[[Worker, WalkedTree], None], main_is_gone: bool = False) -> None:
    def scenario() -> None:
        become_subreaper()
        with worker_with_daemons(DAEMONS) as worker:
            family = WalkedTree(worker.mark, worker.main)
            assert len(family.processes()) == DAEMONS + 1
            if main_is_gone:
                worker.main.signal(signal.SIGKILL)
                wait_exit(worker.main)
                reap(worker.main)
                assert len(family.processes()) == DAEMONS
                assert family.is_populated()
            then(worker, family)
            eventually(lambda: not family.is_populated())
            assert family.processes() == []
            if not main_is_gone:
                assert reap(worker.main) is not None
            reaped: list[object] = []
            while len(reaped) < DAEMONS:
                reaped += reap_orphans(())
            assert reap_orphans(()) == []

    run_apart(scenario)


def kill_until_empty(family: WalkedTree) -> None:
    def is_empty() -> bool:
        family.kill()
        return not family.is_populated()

    eventually(is_empty)


def kill(worker: Worker, family) -> None:
    family.kill()
    assert worker.is_extinct(30)


def terminate(worker: Worker, family) -> None:
    assert len(family.signal_all(signal.SIGTERM)) == DAEMONS + 1
    assert worker.is_extinct(30)


def test_kill_by_cgroup_kill() -> None:
    on_cgroup("cgroup2", kill)


def test_kill_in_version_2_one_by_one(without) -> None:
    without("cgroup_kill")
    on_cgroup("cgroup2", kill)


def test_kill_in_version_1() -> None:
    on_cgroup("cgroup1", kill)


@pytest.mark.parametrize("kind", ["cgroup2", "cgroup1"])
def test_terminate_in_a_cgroup(kind: str) -> None:
    on_cgroup(kind, terminate)


def test_kill_by_walking() -> None:
    walked(kill)


def test_kill_by_walking_when_the_main_process_is_gone() -> None:
    walked(kill, main_is_gone=True)


def test_kill_by_walking_without_lists_of_children(without) -> None:
    without("proc_children")
    walked(kill)


def test_terminate_by_walking() -> None:
    walked(terminate)


@pytest.mark.parametrize("rung", ["cgroup2", "cgroup2 one by one", "cgroup1", "walk"])
def test_a_rabbit_that_is_never_the_same_process_is_killed(rung: str, without) -> None:
    without("cgroup_kill" if rung == "cgroup2 one by one" else "")

    def hunt(worker: Worker, family) -> None:
        wait_exit(worker.main)
        assert not worker.is_extinct(0)
        assert family.is_populated()
        family.kill()
        kill_until_empty(family)
        assert worker.is_extinct(30)
        while reap_orphans({worker.main.id.pid}):
            pass

    def scenario() -> None:
        become_subreaper()
        if rung == "walk":
            with worker_with_daemons(0, script=RABBIT) as worker:
                hunt(worker, WalkedTree(worker.mark, worker.main))
        else:
            with (
                group(rung.partition(" ")[0]) as ours,
                worker_with_daemons(0, ours.procs_path, RABBIT) as worker,
            ):
                hunt(worker, ours)

    run_apart(scenario)


def test_a_rabbit_that_lives_is_never_overlooked() -> None:
    def scenario() -> None:
        become_subreaper()
        with worker_with_daemons(0, script=RABBIT) as worker:
            family = WalkedTree(worker.mark, worker.main)
            for _ in range(50):
                assert family.is_populated()
                reap_orphans({worker.main.id.pid})
            kill_until_empty(family)
            assert worker.is_extinct(30)

    run_apart(scenario)


def test_all_are_at_rest_before_the_first_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    signalled: list[tuple[int, set[str]]] = []
    signal_each = tree._signal_each

    def spy(processes: list[Pidfd], number: int) -> set[int]:
        signalled.append((number, {read_stat(process).state for process in processes}))
        return signal_each(processes, number)

    monkeypatch.setattr(tree, "_signal_each", spy)

    def scenario() -> None:
        become_subreaper()
        with worker_with_daemons(3) as worker:
            WalkedTree(worker.mark, worker.main).kill()
            assert signalled[0][0] == signal.SIGSTOP
            assert signalled[-1] == (signal.SIGKILL, {"T"})
            assert worker.is_extinct(30)

    run_apart(scenario)


def test_a_tree_leaves_others_alone() -> None:
    def scenario() -> None:
        become_subreaper()
        with worker_with_daemons(3) as one, worker_with_daemons(3) as other:
            family = WalkedTree(one.mark, one.main, others={other.main.id.pid})
            assert len(family.processes()) == 4
            family.kill()
            assert one.is_extinct(30)
            assert not other.is_extinct(0)
            assert len(WalkedTree(other.mark, other.main).processes()) == 4
            kill(other, WalkedTree(other.mark, other.main))

    run_apart(scenario)


def test_a_child_without_the_mark_belongs_while_it_descends_or_shares_the_session() -> None:
    def scenario() -> None:
        become_subreaper()
        with barrier() as (done, wait_done):

            def lead() -> None:
                os.setsid()
                if os.fork() == 0:
                    if os.fork() == 0:
                        done()
                        sleep_forever()
                    os._exit(0)
                os.wait()  # noqa: TID251 - its only child
                if os.fork() == 0:
                    os.setsid()
                    done()
                    sleep_forever()
                sleep_forever()

            main = fork(lead)
            wait_done()
            wait_done()
        family = WalkedTree("no such mark", main)
        assert len(family.processes()) == 3
        family.kill()
        eventually(lambda: not family.is_populated())
        assert wait_exit(main, Seconds(30))
        assert reap(main) is not None
        eventually(lambda: len(reap_orphans(())) + len(os.listdir("/proc/self/task")) > 1)

    run_apart(scenario)


def test_what_an_earlier_supervisor_left_is_found_everywhere() -> None:
    """The worker is not our child, and its daemons went to another."""
    read, write = os.pipe()
    told, tell = os.pipe()

    def supervise() -> None:
        become_subreaper()
        with worker_with_daemons(3) as worker:
            os.write(tell, f"{worker.mark} {worker.main.id}".encode())
            os.read(read, 1)
            assert worker.is_extinct(30)

    supervisor = fork(supervise)
    mark, number = os.read(told, 200).decode().split()
    try:
        with Pidfd.open(int(number.partition(":")[0])) as main:
            assert WalkedTree(mark).processes() == []
            assert len(WalkedTree(mark, main).processes()) == 1
            family = WalkedTree(mark, everywhere=True)
            assert len(family.processes()) == 4
            family.kill()
        os.write(write, b".")
        assert wait_exit(supervisor, Seconds(60))
        status = reap(supervisor)
        assert status is not None
        assert status.code == 0
    finally:
        for fd in (read, write, told, tell):
            os.close(fd)


def test_orphans_are_reaped_and_watched_children_are_not() -> None:
    def scenario() -> None:
        orphan, watched, alive = fork(lambda: 3), fork(lambda: 4), fork(sleep_forever)
        wait_exit(orphan)
        wait_exit(watched)
        found = reap_orphans({watched.id.pid})
        assert [(who, status.code) for who, status in found] == [(orphan.id, 3)]
        assert watched.state() is State.EXITED
        assert alive.state() is State.RUNNING
        status = reap(watched)
        assert status is not None
        assert status.code == 4
        end(alive)

    run_apart(scenario)
