"""Descriptors that are passed on, and the variables that tell a program who it is: the same on both rungs."""

import errno
import fcntl
import os
import resource
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pidward.kernel.pidfd import Pidfd
from pidward.kernel.spawn import Failure, Ids, Plan, Started
from tests.kernel.spawning import Launcher, open_descriptors, pause, proc, shell

WAYS: dict[str, dict[str, object]] = {
    "at once": {},
    "gated": {"gated": True},
    "through the shim": {"ids": Ids(os.getuid(), os.getgid(), tuple(os.getgroups()))},
}
as_root = os.geteuid() == 0


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> dict[str, object]:
    """How the program is reached."""
    if request.param == "through the shim" and not as_root:
        pytest.skip("needs root")
    return dict(WAYS[request.param])


@pytest.fixture
def files(tmp_path: Path) -> Iterator[list[int]]:
    """Ten open files, all on different numbers, with close-on-exec as Python makes them."""
    fds = [os.open(tmp_path / f"file{i}", os.O_RDWR | os.O_CREAT) for i in range(10)]
    yield fds
    for fd in fds:
        os.close(fd)


def standing(launcher: Launcher, **keys: Any) -> Started:
    """A program that has loaded all it needs and stopped itself."""
    started = launcher.run(shell("kill -STOP $$", **keys))
    while proc(started, "stat").rpartition(")")[2].split()[0] != "T":
        os.sched_yield()
    return started


def held(started: Started) -> dict[int, str]:
    """What a process has open beside 0, 1 and 2."""
    directory = f"/proc/{started.pidfd.id.pid}/fd"
    return {int(n): os.path.basename(os.readlink(f"{directory}/{n}")) for n in os.listdir(directory) if int(n) > 2}


def test_under_their_numbers_and_no_others(launcher: Launcher, files: list[int], way: dict[str, object]) -> None:
    started = standing(launcher, descriptors=((3, files[0]), (4, files[1]), (9, files[0])), **way)
    assert held(started) == {3: "file0", 4: "file1", 9: "file0"}


def test_numbers_that_cross(launcher: Launcher, files: list[int], way: dict[str, object]) -> None:
    """Every source is also a target of another, in a ring; and one stays where it is."""
    around = [*files[1:5], files[0]]
    wanted = [*zip(files[:5], around, strict=True), (files[7], files[7])]
    started = standing(launcher, descriptors=tuple(wanted), **way)
    assert held(started) == {number: f"file{files.index(source)}" for number, source in wanted}


def test_far_apart(launcher: Launcher, files: list[int], way: dict[str, object]) -> None:
    high = fcntl.fcntl(files[2], fcntl.F_DUPFD_CLOEXEC, 700)
    try:
        started = standing(launcher, descriptors=((3, high), (500, files[0])), **way)
        assert held(started) == {3: "file2", 500: "file0"}
    finally:
        os.close(high)


def test_ours_stay_ours(launcher: Launcher, files: list[int], way: dict[str, object]) -> None:
    before = open_descriptors()
    launcher.end_of(launcher.run(pause(path=b"/bin/true", argv=(b"true",), descriptors=((3, files[0]),), **way)))
    assert open_descriptors() == before
    assert not os.get_inheritable(files[0])


def test_the_same_socket_and_how_it_blocks(launcher: Launcher, way: dict[str, object]) -> None:
    with socket.socket() as patient, socket.socket() as hasty:
        hasty.setblocking(False)
        passed = ((3, patient.fileno()), (4, hasty.fileno()))
        started = standing(launcher, descriptors=passed, **way)
        links = [os.readlink(f"/proc/{started.pidfd.id.pid}/fd/{number}") for number in (3, 4)]
        assert links == [os.readlink(f"/proc/self/fd/{s.fileno()}") for s in (patient, hasty)]
        for number, blocks in ((3, True), (4, False)):
            flags = int(proc(started, f"fdinfo/{number}").split("flags:")[1].split()[0], 8)
            assert (flags & os.O_NONBLOCK == 0) is blocks
        assert patient.getblocking()


def test_below_the_workers_own_limit(launcher: Launcher, files: list[int], way: dict[str, object]) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    tight = ((resource.RLIMIT_NOFILE, 6, hard),)
    started = standing(launcher, descriptors=((3, files[8]), (4, files[9])), limits=tight, **way)
    assert held(started) == {3: "file8", 4: "file9"}


def test_one_that_is_closed(launcher: Launcher, files: list[int]) -> None:
    gone = 900
    before = open_descriptors()
    assert launcher.failure(pause(descriptors=((3, files[1]), (4, gone)))) == Failure("descriptors", errno.EBADF)
    assert open_descriptors() == before


# --- who it is


def environment(launcher: Launcher, tmp_path: Path, *env: bytes, **way: object) -> tuple[int, int, list[str]]:
    """The number and inode of a process, and what it finds in its environment."""
    output = tmp_path / "output"
    output.unlink(missing_ok=True)
    plan = Plan(path=b"/usr/bin/env", argv=(b"env",), env=env, stdout=bytes(output), **way)  # type: ignore[arg-type]
    started = launcher.run(plan)
    launcher.end_of(started)
    return started.pidfd.id.pid, started.pidfd.id.inode, output.read_text().splitlines()


def test_who_it_is(launcher: Launcher, tmp_path: Path, way: dict[str, object]) -> None:
    with Pidfd.open(os.getpid()) as ourselves:
        if not ourselves.id.inode:
            pytest.skip("needs pidfs")
    for _ in range(2):
        env = (b"A=1", b"LISTEN_PID=", b"LISTEN_PIDFDID=0", b"WATCHDOG_PID=123456789012", b"Z=26")
        pid, inode, found = environment(launcher, tmp_path, *env, **way)
        assert found == ["A=1", f"LISTEN_PID={pid}", f"LISTEN_PIDFDID={inode}", f"WATCHDOG_PID={pid}", "Z=26"]


def test_only_when_the_plan_has_them(launcher: Launcher, tmp_path: Path) -> None:
    assert environment(launcher, tmp_path, b"LISTEN_PIDS=x")[2] == ["LISTEN_PIDS=x"]


def test_no_inode_without_pidfs(launcher: Launcher, tmp_path: Path, without: object) -> None:
    without("pidfs")  # type: ignore[operator]
    pid, _, found = environment(launcher, tmp_path, b"LISTEN_PIDFDID=", b"LISTEN_PID=")
    assert found == [f"LISTEN_PID={pid}"]


def test_a_plan_serves_many_starts(launcher: Launcher, tmp_path: Path, files: list[int]) -> None:
    output = tmp_path / "output"
    env = (b"LISTEN_PID=",)
    plan = Plan(b"/usr/bin/env", (b"env",), env, stdout=bytes(output), descriptors=((3, files[0]),))
    batch = [launcher.spawner.prepare(plan) for _ in range(20 if launcher.native else 3)]
    pids = []
    for started in launcher.spawner.spawn(batch, 2):
        assert isinstance(started, Started)
        pids.append(started.pidfd.id.pid)
        assert launcher.end_of(started).code == 0
    assert sorted(output.read_text().splitlines()) == sorted(f"LISTEN_PID={pid}" for pid in pids)
