"""What processes use, and never another's numbers."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from pidward.kernel.cgroup import look_for
from pidward.kernel.pidfd import Pidfd
from pidward.runtime.meter import Meter, proportional_bytes

BUSY = "import os, time\nwhile time.process_time() < 0.2: pass\nos.write(1, b'x'); os.read(0, 1)"


@contextmanager
def child(code: str = "import os; os.write(1, b'x'); os.read(0, 1)") -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A process that has said that it is there, and ends when its stdin is closed."""
    process = subprocess.Popen([sys.executable, "-I", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    with Pidfd.open(process.pid) as pidfd:
        name = str(pidfd.id)
    try:
        if "BEGIN" not in code:
            process.stdout.read(1)
        yield name, process
    finally:
        process.stdin.close()
        process.wait()
        process.stdout.close()


@pytest.fixture
def meter() -> Iterator[Meter]:
    meter = Meter()
    yield meter
    meter.close()


def test_processor_time_and_memory(meter: Meter) -> None:
    code = "import os, time  # BEGIN\nos.read(0, 1)\n" + BUSY
    with child(code) as (process, popen):
        assert popen.stdin is not None
        assert popen.stdout is not None
        meter.follow({"busy/1": process})
        meter.look(100.0)
        held = meter.held["busy/1"]
        assert [held.cpu] == [None]  # nothing to compare with
        popen.stdin.write(b"x")
        popen.stdin.flush()
        popen.stdout.read(1)
        meter.look(102.0)
        assert held.cpu is not None
        assert 0.08 <= held.cpu <= 0.2  # some 0.2 s of two
        assert held.rss is not None
        assert 2 << 20 < held.rss < 1 << 30
        meter.look(104.0)
        assert 0 <= (held.cpu or 0.0) < 0.02


def test_an_ended_process_has_no_numbers(meter: Meter) -> None:
    with child() as (process, _popen):
        meter.follow({"web/1": process})
        meter.look(1.0)
        held = meter.held["web/1"]
        assert (held.rss or 0) > 0
    meter.look(2.0)  # it is reaped, and its number may be anybody's
    assert (held.cpu, held.rss) == (None, None)
    meter.follow({"web/1": process})
    meter.follow({})
    assert meter.held == {}


def test_another_process_with_the_number_is_not_shown(meter: Meter) -> None:
    with child() as (process, _popen):
        pid, _, inode = process.partition(":")
        meter.follow({"web/1": f"{pid}:{int(inode) + 1}"})
        assert meter.held == {}
        assert proportional_bytes(f"{pid}:{int(inode) + 1}") is None
        pss = proportional_bytes(process)
        assert pss is not None
        assert 1 << 20 < pss < 1 << 30


def test_whoever_is_followed_no_more_is_let_go(meter: Meter) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with child() as (one, _), child() as (two, _):
        held = len(os.listdir("/proc/self/fd"))
        meter.follow({"web/1": one, "web/2": two})
        meter.follow({"web/1": two})
        assert meter.held["web/1"].process == two
        assert len(os.listdir("/proc/self/fd")) == held + 1
        meter.follow({})
    assert len(os.listdir("/proc/self/fd")) == before


def test_the_machine(meter: Meter) -> None:
    machine = meter.machine()
    assert 0 < machine.memory_available <= machine.memory_total
    if os.path.exists("/proc/pressure/memory"):
        assert machine.memory_some is not None
        assert 0 <= machine.memory_some <= 100


@pytest.mark.skipif(look_for("cgroup2").kind is None, reason="needs cgroup2")
def test_pressure_is_that_of_the_workers_own_cgroup(meter: Meter) -> None:
    group = look_for("cgroup2").group(f"pw-meter-{os.getpid()}/web.1")
    group.create()
    try:
        with child() as (process, popen):
            meter.follow({"web/1": process})
            assert meter.held["web/1"].cgroup is None  # it is in ours, which says nothing about it
            assert meter.held["web/1"].pressure() is None
            meter.follow({})
            with open(group.procs_path, "w") as procs:
                procs.write(str(popen.pid))
            meter.follow({"web/1": process, "web/2": process})
            held = meter.held["web/1"]
            assert held.cgroup == group.path
            assert meter.held["web/2"].cgroup is None
            if os.path.exists(group.path + "/memory.pressure"):
                assert held.pressure() == 0.0
            assert (held.refaults() is not None) == os.path.exists(group.path + "/memory.stat")
    finally:
        group.remove()
        os.rmdir(os.path.dirname(group.path))
