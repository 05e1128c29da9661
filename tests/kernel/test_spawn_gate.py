"""The gate: nothing runs before it opens, and nothing ever when its keeper is gone."""

import errno
import os
import signal
from pathlib import Path

from pidward.kernel.pidfd import Pidfd
from pidward.kernel.spawn import Failure
from pidward.kernel.wait import wait_exit
from tests.kernel.spawning import AT_ONCE, PATIENCE, Launcher, freeze, pause, python, readable, shell


def test_opening_lets_it_run(launcher: Launcher, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    started = launcher.start(shell(f"echo ran > {mark}", gated=True))
    assert started.gate is not None
    assert started.gate.result() is None
    assert not mark.exists()
    started.gate.open()
    assert launcher.answer(started) is True
    assert launcher.end_of(started).code == 0
    assert mark.read_text() == "ran\n"


def test_opening_twice_is_opening_once(launcher: Launcher) -> None:
    started = launcher.start(shell("exit 4", gated=True))
    assert started.gate is not None
    started.gate.open()
    started.gate.open()
    assert launcher.answer(started) is True
    started.gate.open()
    assert launcher.end_of(started).code == 4


def test_closing_ends_it_without_exec(launcher: Launcher, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    started = launcher.start(shell(f"echo ran > {mark}", gated=True))
    assert started.gate is not None
    started.gate.close()
    assert launcher.end_of(started).code == 125
    assert not mark.exists()


def test_closing_after_opening_does_no_harm(launcher: Launcher) -> None:
    started = launcher.start(shell("exit 5", gated=True))
    assert started.gate is not None
    freeze(started)
    started.gate.open()
    started.gate.close()  # before it can tell anything
    started.pidfd.signal(signal.SIGCONT)
    assert launcher.end_of(started).code == 5


def test_dying_at_the_gate_is_a_failure(launcher: Launcher) -> None:
    started = launcher.start(shell("exit 0", gated=True))
    assert started.gate is not None
    started.pidfd.signal(signal.SIGKILL)
    readable(started.gate.fileno())
    assert started.gate.result() == Failure("gate", errno.ESRCH)
    assert started.gate.result() == Failure("gate", errno.ESRCH)
    started.gate.open()  # nobody is there, and that is all
    assert launcher.end_of(started).signal == signal.SIGKILL


def test_the_gate_is_not_among_the_programs_descriptors(launcher: Launcher) -> None:
    started = launcher.run(pause(gated=True))
    assert sorted(os.listdir(f"/proc/{started.pidfd.id.pid}/fd")) == ["0", "1", "2"]


def test_siblings_do_not_hold_each_others_gates(launcher: Launcher) -> None:
    first = launcher.start(shell("exit 1", gated=True))
    launcher.run(pause())  # born while the first waits
    second = launcher.start(shell("exit 2", gated=True))
    assert first.gate is not None
    assert second.gate is not None
    first.gate.close()
    assert launcher.end_of(first).code == 125
    second.gate.open()
    assert launcher.end_of(second).code == 2


SUPERVISOR = """
import sys, time
from pidward.kernel.spawn import Plan, Spawner
native, mark, fifo = sys.argv[1] == "native", sys.argv[2], sys.argv[3]
spawner = Spawner(native=native)
plan = Plan(b"/bin/sh", (b"sh", b"-c", f"echo ran > {mark}".encode()), (), gated=True)
started, = spawner.spawn([spawner.prepare(plan)])
with open(fifo, "w") as file:
    file.write(str(started.pidfd.id.pid))
time.sleep(1000)
"""


def test_a_supervisor_killed_at_the_gate_leaves_no_orphan(launcher: Launcher, tmp_path: Path) -> None:
    mark, fifo = tmp_path / "mark", tmp_path / "fifo"
    os.mkfifo(fifo)
    rung = "native" if launcher.native else "python"
    supervisor = launcher.run(python(SUPERVISOR, rung, str(mark), str(fifo)))
    with fifo.open() as file, Pidfd.open(int(file.read())) as worker:  # its parent lives and has not reaped it
        assert not wait_exit(worker, AT_ONCE)
        supervisor.pidfd.signal(signal.SIGKILL)
        assert wait_exit(worker, PATIENCE)
    assert not mark.exists()


def test_many_gates_at_once(launcher: Launcher) -> None:
    size = 40 if launcher.native else 5
    results = launcher.launch(*[shell(f"exit {i}", gated=True) for i in range(size)], threads=2)
    for i, started in reversed(list(enumerate(results))):
        assert not isinstance(started, Failure)
        assert started.gate is not None
        started.gate.open()
        assert launcher.end_of(started).code == i
