"""The programs that other tests rely on do what their descriptions say."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pidward.core.units import Seconds
from pidward.kernel.pidfd import Pidfd
from pidward.kernel.wait import reap, wait_exit
from pidward.testing import programs
from pidward.testing.programs import Argv, Barrier, Gate, Report
from tests.isolation import end, fork

Start = Callable[..., Pidfd]


@pytest.fixture
def barrier(tmp_path: Path) -> Iterator[Barrier]:
    with Barrier(tmp_path / "barrier") as barrier:
        yield barrier


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    with Gate(tmp_path / "gate") as gate:
        yield gate


@pytest.fixture
def start() -> Iterator[Start]:
    started: list[Pidfd] = []

    def start_one(argv: Argv, stdout: int = 1) -> Pidfd:
        def become() -> None:
            os.dup2(stdout, 1)
            os.execv(argv[0], argv)

        started.append(fork(become))
        return started[-1]

    yield start_one
    for process in started:
        end(process)


@contextmanager
def held(reports: list[Report]) -> Iterator[list[Pidfd]]:
    """Handles on processes that reported; they end with the block."""
    handles = [Pidfd.open(report.pid) for report in reports]
    try:
        yield handles
    finally:
        for handle in handles:
            handle.signal(signal.SIGKILL)
            handle.close()


def end_of(process: Pidfd) -> int | None:
    assert wait_exit(process, Seconds(10))
    status = reap(process)
    assert status is not None
    return status.cause


def test_a_sleeper_ends_at_sigterm(start: Start, barrier: Barrier) -> None:
    process = start(programs.sleeper(barrier))
    assert barrier.wait() == [("started", process.id.pid)]
    process.signal(signal.SIGTERM)
    assert end_of(process) == -signal.SIGTERM


def test_a_stubborn_one_does_not(start: Start, barrier: Barrier) -> None:
    process = start(programs.stubborn(barrier))
    barrier.wait()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        process.signal(number)
    process.signal(signal.SIGUSR1)
    assert end_of(process) == -signal.SIGUSR1


def test_a_polite_one_says_that_it_stops(start: Start, barrier: Barrier) -> None:
    process = start(programs.polite(barrier, code=7))
    barrier.wait(word="started")
    process.signal(signal.SIGTERM)
    assert barrier.wait() == [("stopping", process.id.pid)]
    assert end_of(process) == 7


def test_the_gate_lets_as_many_pass_as_it_is_opened_for(start: Start, barrier: Barrier, gate: Gate) -> None:
    first, second = (start(programs.exits(code, barrier, gate)) for code in (3, 3))
    barrier.wait(2)
    gate.open()
    gate.open()
    assert end_of(first) == end_of(second) == 3
    third = start(programs.crashes(barrier, gate))
    barrier.wait()
    assert reap(third) is None
    gate.open()
    assert end_of(third) == -signal.SIGSEGV


def test_without_a_gate_they_end_at_once(start: Start) -> None:
    assert end_of(start(programs.exits(255))) == 255
    assert end_of(start(programs.crashes(number=signal.SIGABRT))) == -signal.SIGABRT


def test_daemons_are_in_sessions_of_their_own_and_outlive_their_maker(start: Start, barrier: Barrier) -> None:
    process = start(programs.daemons(3, barrier))
    barrier.wait(word="started")
    reports = barrier.wait(3, word="daemon")
    with held(reports) as escaped:
        assert len({os.getsid(report.pid) for report in reports} | {os.getsid(process.id.pid)}) == 4
        process.signal(signal.SIGKILL)
        end_of(process)
        assert all(daemon.signal(signal.SIGTERM) for daemon in escaped)
        assert not any(wait_exit(daemon, Seconds(0)) for daemon in escaped)


def test_a_family_shares_the_session(start: Start, barrier: Barrier) -> None:
    process = start(programs.family(2, barrier))
    barrier.wait(word="started")
    reports = barrier.wait(2, word="child")
    with held(reports):
        assert {os.getsid(report.pid) for report in reports} == {os.getsid(process.id.pid)}


@pytest.mark.parametrize(
    "program, output",
    [
        (lambda barrier: programs.writes_lines(3, "a b", barrier), b"a b 0\na b 1\na b 2\n"),
        (lambda barrier: programs.writes_binary(2, barrier), bytes(range(256)) * 2),
        (lambda barrier: programs.writes_long_line(10_000_000, barrier), b"x" * 10_000_000 + b"\n"),
    ],
)
def test_writers(
    program: Callable[[Barrier], Argv], output: bytes, start: Start, barrier: Barrier, tmp_path: Path
) -> None:
    with open(tmp_path / "out", "wb") as file:
        process = start(program(barrier), file.fileno())
    assert barrier.wait(timeout=30) == [("written", process.id.pid)]
    assert end_of(process) == 0
    assert (tmp_path / "out").read_bytes() == output


def test_a_barrier_says_what_it_saw_when_it_waits_in_vain(barrier: Barrier) -> None:
    with open(barrier.path, "w") as report:
        report.write("started 7\nstarted 8\nhal")
    with pytest.raises(TimeoutError, match=r"0 of 1 reports 'ready' within 0.01 s; seen: 2 started"):
        barrier.wait(word="ready", timeout=0.01)
    assert barrier.wait(2) == [("started", 7), ("started", 8)]
    with open(barrier.path, "w") as report:
        report.write("f 9\n")
    assert barrier.pending() == [("half", 9)]
    assert barrier.pending() == []
