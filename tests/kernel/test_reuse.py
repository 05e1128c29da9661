"""The number is handed out again, on purpose, and nobody is fooled."""

import os
import signal
from collections.abc import Callable

import pytest

from pidward.core.model import ExitStatus, Sameness, Source
from pidward.kernel import procfs
from pidward.kernel.clock import boot_id
from pidward.kernel.errors import Gone, Recycled
from pidward.kernel.members import signal_members
from pidward.kernel.pidfd import Pidfd, State
from pidward.kernel.tree import WalkedTree, reap_orphans
from pidward.kernel.wait import exit_status_of, reap, wait_exit
from tests.isolation import barrier, clone_as, end, fork, fork_as, run_in_pid_namespace, sleep_forever
from tests.kernel.conftest import Start

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: pid namespaces")

Make = Callable[[int, Callable[[], int | None]], Pidfd]


@pytest.fixture(params=[fork_as, clone_as], ids=["ns_last_pid", "set_tid"])
def make(request: pytest.FixtureRequest) -> Make:
    made: Make = request.param
    return made


def recycled(make: Make) -> tuple[Pidfd, Pidfd]:
    """A handle whose process is reaped, and the stranger that has its number now."""
    old = fork(lambda: 41)
    wait_exit(old)
    assert reap(old) is not None
    stranger = make(old.id.pid, sleep_forever)
    assert stranger.id.pid == old.id.pid
    return old, stranger


def test_signals_do_not_reach_the_stranger(make: Make) -> None:
    def scenario() -> None:
        old, stranger = recycled(make)
        assert old.signal(signal.SIGKILL) is False
        assert old.exists() is False
        assert stranger.exists()
        assert stranger.state() is State.RUNNING

    run_in_pid_namespace(scenario)


def test_opening_by_identity_refuses_the_stranger(make: Make) -> None:
    def scenario() -> None:
        old, stranger = recycled(make)
        with pytest.raises(Recycled):
            Pidfd.open(*old.id)
        assert Pidfd.open(old.id.pid).id == stranger.id
        assert old.id.compare(stranger.id) is Sameness.DIFFERENT

    run_in_pid_namespace(scenario)


def test_what_is_known_of_the_old_one_stays_known(make: Make) -> None:
    def scenario() -> None:
        old, _ = recycled(make)
        assert old.state() is State.REAPED
        assert old.is_intact()
        expected = ExitStatus(41, None, False, Source.PIDFD_INFO)
        assert reap(old) == exit_status_of(old) == expected

    run_in_pid_namespace(scenario)


def test_procfs_and_descriptors_of_the_stranger_are_not_taken_for_its_own(make: Make) -> None:
    def scenario() -> None:
        old, stranger = recycled(make)
        assert procfs.read_stat(stranger).name
        for question in (procfs.read_stat, procfs.rss, procfs.environ, procfs.children):
            with pytest.raises(Gone):
                question(old)
        with pytest.raises(Gone):
            old.reopen_fd(0, os.O_RDONLY)
        with pytest.raises(Gone):
            old.getfd(0)

    run_in_pid_namespace(scenario)


def test_a_handle_finds_nobody_rather_than_the_stranger(make: Make) -> None:
    def scenario() -> None:
        old = fork(lambda: 0)
        handle = old.handle()
        wait_exit(old)
        reap(old)
        make(old.id.pid, sleep_forever)
        with pytest.raises(Gone):
            Pidfd.from_handle(handle, boot_id())

    run_in_pid_namespace(scenario)


def test_a_number_that_changes_hands_while_members_are_signalled() -> None:
    def scenario() -> None:
        member = fork(sleep_forever)
        number = member.id.pid
        strangers: list[Pidfd] = []

        def listing() -> list[int]:
            """A set that is late: it still names the member when the number is a stranger's."""
            if strangers or not listing_seen:
                listing_seen.append(True)
                return [number]
            end(member)
            strangers.append(fork_as(number, sleep_forever))
            return [number]

        listing_seen: list[bool] = []
        assert signal_members(listing, signal.SIGKILL) == set()
        assert strangers[0].state() is State.RUNNING

    run_in_pid_namespace(scenario)


def test_who_is_no_longer_listed_is_not_signalled(start: Start) -> None:
    process = start(sleep_forever)
    lists = [[process.id.pid], []]
    assert signal_members(lambda: lists.pop(0), signal.SIGKILL) == set()
    assert process.state() is State.RUNNING


def test_a_stranger_in_a_session_of_the_same_number_is_no_member() -> None:
    def scenario() -> None:
        main = fork(lambda: 0)
        wait_exit(main)
        reap(main)
        with barrier() as (done, wait_done):

            def lead() -> None:
                os.setsid()
                if os.fork() == 0:
                    if os.fork() == 0:  # becomes our child
                        done()
                        sleep_forever()
                    os._exit(0)
                os.wait()  # noqa: TID251 - its only child
                done()
                sleep_forever()

            stranger = fork_as(main.id.pid, lead)
            wait_done()
            wait_done()
        tree = WalkedTree("0123456789abcdef", main)
        assert tree.processes() == []
        assert not tree.is_populated()
        tree.kill()
        assert stranger.state() is State.RUNNING

    run_in_pid_namespace(scenario)


def test_orphans_are_reaped_and_a_watched_child_of_the_same_number_is_not() -> None:
    def scenario() -> None:
        orphan, watched = fork(lambda: 1), fork(lambda: 2)
        wait_exit(orphan)
        wait_exit(watched)
        assert [who for who, _ in reap_orphans({watched.id.pid})] == [orphan.id]
        status = reap(watched)
        assert status is not None
        assert (status.code, status.source) == (2, Source.WAITID)

    run_in_pid_namespace(scenario)
