import os
import select
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from pidward.core.units import Seconds
from pidward.kernel import cgroup
from pidward.kernel.cgroup import Group, GroupV1, Located, locate, look_for, own_directory
from pidward.kernel.members import kill_members
from pidward.kernel.pidfd import Pidfd, State
from pidward.kernel.wait import reap, wait_exit
from tests.isolation import sleep_forever
from tests.kernel.conftest import Start
from tests.trees import eventually, group

KINDS = ["cgroup2", "cgroup1"]


@pytest.fixture(params=KINDS)
def any_group(request: pytest.FixtureRequest) -> Iterator[Group | GroupV1]:
    with group(request.param) as ours:
        yield ours


@pytest.fixture
def group2() -> Iterator[Group]:
    with group("cgroup2") as ours:
        assert isinstance(ours, Group)
        yield ours


def start_in(start: Start, directory: Group | GroupV1) -> Pidfd:
    process = start(sleep_forever)
    Path(directory.procs_path).write_text(str(process.id.pid))
    return process


def test_members_are_listed_also_those_below(any_group: Group | GroupV1, start: Start) -> None:
    assert any_group.processes() == []
    assert not any_group.is_populated()
    below = type(any_group)(any_group.path + "/a/b")
    below.create()
    below.create()
    assert not any_group.is_populated()
    upper, lower = start_in(start, any_group), start_in(start, below)
    assert sorted(any_group.processes()) == sorted([upper.id.pid, lower.id.pid])
    assert below.processes() == [lower.id.pid]
    assert any_group.is_populated()
    assert below.is_populated()


def test_a_zombie_does_not_populate(any_group: Group | GroupV1, start: Start) -> None:
    process = start_in(start, any_group)
    process.signal(signal.SIGKILL)
    wait_exit(process)
    eventually(lambda: not any_group.is_populated())
    assert any_group.processes() == []


def test_what_does_not_exist_is_empty(any_group: Group | GroupV1) -> None:
    nothing = type(any_group)(any_group.path + "/nothing")
    assert nothing.processes() == []
    assert not nothing.is_populated()
    assert nothing.remove()
    assert nothing.signal_all(signal.SIGKILL) == set()
    nothing.kill()


def test_remove_takes_what_is_below_and_leaves_what_is_used(any_group: Group | GroupV1, start: Start) -> None:
    below = type(any_group)(any_group.path + "/a/b")
    below.create()
    process = start_in(start, below)
    assert any_group.remove() is False
    assert any_group.is_populated()
    process.signal(signal.SIGKILL)
    wait_exit(process)
    reap(process)
    eventually(any_group.remove)
    assert not os.path.exists(any_group.path)


def test_signal_all_reaches_each_member_and_nobody_else(any_group: Group | GroupV1, start: Start) -> None:
    members, outsider = [start_in(start, any_group) for _ in range(3)], start(sleep_forever)
    assert any_group.signal_all(signal.SIGTERM) == {member.id.pid for member in members}
    for member in members:
        assert wait_exit(member, Seconds(30))
        status = reap(member)
        assert status is not None
        assert status.signal == signal.SIGTERM
    assert outsider.state() is State.RUNNING


def test_more_members_than_are_held_at_a_time(any_group: Group | GroupV1, start: Start, monkeypatch) -> None:
    monkeypatch.setattr("pidward.kernel.members._AT_ONCE", 3)
    members = [start_in(start, any_group) for _ in range(8)]
    assert any_group.signal_all(signal.SIGKILL) == {member.id.pid for member in members}


def test_frozen_do_not_run_and_thawed_do(any_group: Group | GroupV1, start: Start) -> None:
    read, write = os.pipe()
    reply, replied = os.pipe()

    def echo() -> None:
        while True:
            os.write(replied, os.read(read, 1))

    process = start(echo)
    Path(any_group.procs_path).write_text(str(process.id.pid))
    assert any_group.freeze()
    eventually(lambda: state_of(any_group) == "FROZEN\n")
    os.write(write, b"x")
    assert select.select([reply], [], [], 0.05)[0] == []
    any_group.thaw()
    assert os.read(reply, 1) == b"x"
    for fd in (read, write, reply, replied):
        os.close(fd)


def state_of(directory: Group | GroupV1) -> str:
    if isinstance(directory, GroupV1):
        return Path(directory.path, "freezer.state").read_text()
    return "FROZEN\n" if "frozen 1" in Path(directory.path, "cgroup.events").read_text() else "THAWED\n"


def test_a_frozen_group_can_be_killed(any_group: Group | GroupV1, start: Start) -> None:
    process = start_in(start, any_group)
    any_group.freeze()
    any_group.kill()
    assert wait_exit(process, Seconds(30))


@pytest.mark.parametrize("kind", KINDS)
def test_one_by_one_they_are_killed_while_frozen(kind: str, start: Start, without, monkeypatch) -> None:
    without("cgroup_kill")
    with group(kind) as ours:
        process = start_in(start, ours)

        def spy(numbers) -> None:
            eventually(lambda: state_of(ours) == "FROZEN\n")
            kill_members(numbers)

        monkeypatch.setattr(cgroup, "kill_members", spy)
        ours.kill()
        assert wait_exit(process, Seconds(30))
        assert state_of(ours) == "THAWED\n"


def test_a_group_below_that_was_frozen_from_inside_is_killed(start: Start) -> None:
    with group("cgroup1") as ours:
        below = GroupV1(ours.path + "/below")
        below.create()
        process = start_in(start, below)
        below.freeze()
        ours.kill()
        assert wait_exit(process, Seconds(30))


def test_events_tell_of_the_end(group2: Group, start: Start) -> None:
    process = start_in(start, group2)
    with open(group2.open_events()) as events:
        poll = select.poll()
        poll.register(events, select.POLLPRI)
        while group2.is_populated():
            events.seek(0)
            events.read()
            process.signal(signal.SIGKILL)
            assert poll.poll(30_000)


def test_a_directory_opens_for_clone(group2: Group) -> None:
    fd = group2.open_directory()
    assert os.path.samefile(f"/proc/self/fd/{fd}", group2.path)
    os.close(fd)


# Where


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_located_can_be_used(kind: str) -> None:
    located = look_for(kind)
    if located.kind is None:
        pytest.skip(f"needs {kind}: {located.why}")
    assert os.path.samefile(os.path.dirname(located.group("x").path), located.path)


def test_locating_says_what_was_not_to_be_had(without) -> None:
    without("cgroup2")
    located = locate()
    assert located.kind != "cgroup2"
    assert "cgroup2: taken away by PIDWARD_FEATURES_MASK" in located.why


def test_nowhere(without) -> None:
    without("cgroup1,cgroup2")
    located = locate()
    assert located == Located(None, "", located.why)
    assert "cgroup1: taken away" in located.why
    with pytest.raises(ValueError, match="no place"):
        located.group("x")


HYBRID = """\
32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
37 31 0:34 / /sys/fs/cgroup/freezer rw,relatime shared:9 - cgroup cgroup rw,freezer
41 31 0:38 / /sys/fs/cgroup/uni\\040fied rw,relatime - cgroup2 cgroup2 rw
"""
CONTAINER = "41 31 0:38 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw,nsdelegate\n"


@pytest.mark.parametrize(
    "kind, mounts, own, directory",
    [
        ("cgroup2", HYBRID, "6:freezer:/x\n0::/\n", "/sys/fs/cgroup/uni fied"),
        ("cgroup2", HYBRID, "0::/system.slice/a.service\n", "/sys/fs/cgroup/uni fied/system.slice/a.service"),
        ("cgroup1", HYBRID, "6:freezer:/x\n0::/\n", "/sys/fs/cgroup/freezer/x"),
        ("cgroup1", HYBRID, "0::/\n", None),
        ("cgroup2", HYBRID, "6:freezer:/\n", None),
        ("cgroup2", CONTAINER, "0::/docker/abc/inner\n", "/sys/fs/cgroup/inner"),
        ("cgroup2", CONTAINER, "0::/docker/abc\n", "/sys/fs/cgroup"),
        ("cgroup2", CONTAINER, "0::/docker/abcdef\n", None),
        ("cgroup2", CONTAINER, "0::/../other\n", None),
        ("cgroup1", CONTAINER, "0::/\n", None),
    ],
)
def test_own_directory(kind: str, mounts: str, own: str, directory: str | None) -> None:
    assert own_directory(kind, mounts, own) == directory
