"""Signals, file events, holes and limits."""

import os
import resource
import select
import signal
from collections.abc import Iterator

import pytest

from pidward.kernel import inotify
from pidward.kernel.errors import Denied, KernelError
from pidward.kernel.files import punch_hole
from pidward.kernel.inotify import Inotify
from pidward.kernel.limits import RESOURCES, UNLIMITED, raise_nofile, read_limit, set_limit
from pidward.kernel.pidfd import Pidfd
from pidward.kernel.signals import SignalFd
from tests.isolation import run_apart


def test_signals_are_read_with_their_sender() -> None:
    def scenario() -> None:  # apart, for no other thread may take them
        signals = SignalFd([signal.SIGUSR1, signal.SIGUSR2, 35])
        assert signals.read() == []
        with Pidfd.own() as own:
            for number in (signal.SIGUSR1, signal.SIGUSR1, 35, 35):
                own.signal(number)
        assert select.select([signals], [], [], 5)[0]
        mine = (os.getpid(), os.getuid())
        assert [tuple(one) for one in signals.read()] == [(signal.SIGUSR1, *mine), (35, *mine), (35, *mine)]
        assert signals.read() == []

    run_apart(scenario)


def test_signals_are_blocked_until_closed_and_the_mask_comes_back() -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
    try:
        signals = SignalFd([signal.SIGUSR1, signal.SIGUSR2])
        assert {signal.SIGUSR1, signal.SIGUSR2} <= signal.pthread_sigmask(signal.SIG_BLOCK, ())
        signals.close()
        signals.close()
        now = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        assert signal.SIGUSR2 in now
        assert signal.SIGUSR1 not in now
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@pytest.fixture
def watcher() -> Iterator[Inotify]:
    watcher = Inotify()
    yield watcher
    watcher.close()
    watcher.close()


def test_a_one_shot_watch_tells_once(watcher: Inotify, tmp_path) -> None:
    file = tmp_path / "spool"
    file.write_text("")
    watch = watcher.add(str(file), inotify.MODIFY | inotify.ONE_SHOT)
    assert watcher.read() == []
    with file.open("a") as out:
        for _ in range(3):
            out.write("x")
            out.flush()
    assert select.select([watcher], [], [], 5)[0]
    events = [(event.watch, event.mask) for event in watcher.read()]
    assert events == [(watch, inotify.MODIFY), (watch, inotify.IGNORED)]


def test_a_directory_tells_names(watcher: Inotify, tmp_path) -> None:
    watch = watcher.add(str(tmp_path), inotify.CREATE)
    names = ["a", "name of just 16b", "ü"]
    for name in names:
        (tmp_path / name).write_text("")
    assert [(event.watch, event.name) for event in watcher.read()] == [(watch, name) for name in names]
    watcher.remove(watch)
    watcher.remove(watch)
    (tmp_path / "later").write_text("")
    assert [event.mask for event in watcher.read()] == [inotify.IGNORED]


def test_what_does_not_exist_cannot_be_watched(watcher: Inotify, tmp_path) -> None:
    with pytest.raises(KernelError, match="ENOENT"):
        watcher.add(str(tmp_path / "nothing"), inotify.MODIFY)


def test_a_hole_gives_blocks_back_and_keeps_size_and_the_rest(tmp_path) -> None:
    path = tmp_path / "spool"
    path.write_bytes(b"x" * 300_000)
    with path.open("r+b") as file:
        before = os.stat(path).st_blocks
        punch_hole(file.fileno(), 0, 200_000)
    after = os.stat(path)
    assert after.st_size == 300_000
    assert after.st_blocks < before - 300
    data = path.read_bytes()
    assert data == b"\0" * 200_000 + b"x" * 100_000


def test_a_hole_needs_a_writable_file(tmp_path) -> None:
    path = tmp_path / "spool"
    path.write_bytes(b"x")
    with path.open("rb") as file, pytest.raises(KernelError):
        punch_hole(file.fileno(), 0, 1)


def test_limits_by_name() -> None:
    assert RESOURCES["nofile"] == resource.RLIMIT_NOFILE
    assert RESOURCES["core"] == resource.RLIMIT_CORE
    assert "ofile" not in RESOURCES
    assert read_limit("nofile") == resource.getrlimit(resource.RLIMIT_NOFILE)


def test_open_files_are_raised_to_the_hard_limit_and_the_old_one_told() -> None:
    def scenario() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (100, 200))
        assert raise_nofile() == (100, 200)
        assert read_limit("nofile") == (200, 200)

    run_apart(scenario)


def test_limits_that_may_not_be() -> None:
    def scenario() -> None:
        set_limit("nofile", 100, 200)
        assert read_limit("nofile") == (100, 200)
        with pytest.raises(KernelError, match="exceeds"):
            set_limit("nofile", 201, 200)
        if os.geteuid() == 0:
            os.setuid(65534)
        with pytest.raises(Denied):
            set_limit("nofile", 100, 201)
        set_limit("core", 0, read_limit("core").hard)
        assert UNLIMITED == resource.RLIM_INFINITY

    run_apart(scenario)
