"""Starting processes in tests, on either rung, and leaving none behind."""

import os
import select
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pidward.core.model import ExitStatus
from pidward.core.signals import SIGKILL, parse_signal
from pidward.core.units import Seconds
from pidward.kernel.spawn import Failure, Plan, Spawner, Started
from pidward.kernel.wait import reap, wait_exit

SRC = str(Path(__file__).parents[2] / "src")
SHELL, PAUSE = b"/bin/sh", b"/bin/sleep"
SIGSTOP = parse_signal("STOP")
PATIENCE = Seconds(30.0)  # only a hang takes this long
AT_ONCE = Seconds(0.0)


def shell(script: str, **more: Any) -> Plan:
    """A plan that runs a shell script."""
    return Plan(**{"path": SHELL, "argv": (b"sh", b"-c", script.encode()), "env": (b"PATH=/bin:/usr/bin",), **more})


def pause(**more: Any) -> Plan:
    """A plan of a program that does nothing until it is killed."""
    return Plan(**{"path": PAUSE, "argv": (b"sleep", b"1000"), "env": (), **more})


def python(script: str, *arguments: str, **more: Any) -> Plan:
    """A plan that runs Python with pidward on its path."""
    words = (sys.executable, "-c", script, *arguments)
    env = (f"PYTHONPATH={SRC}".encode(), b"PATH=/bin:/usr/bin", b"PYTHONDONTWRITEBYTECODE=1")
    argv = tuple(word.encode() for word in words)
    return Plan(**{"path": argv[0], "argv": argv, "env": env, **more})


def readable(fd: int) -> None:
    """Wait until a descriptor has something to read."""
    assert select.select([fd], [], [], PATIENCE)[0], "nothing came"


class Launcher:
    """A spawner whose processes end with the test."""

    def __init__(self, native: bool) -> None:
        self.native = native
        self.spawner = Spawner(native=native)
        self._started: set[Started] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.finish()
        self.spawner.close()

    def finish(self) -> None:
        """Kill and reap all that still live."""
        for started in list(self._started):
            started.pidfd.signal(SIGKILL)
            self.end_of(started)

    def launch(self, *plans: Plan, threads: int = 1) -> list[Started | Failure]:
        """Spawn as one batch."""
        results = self.spawner.spawn([self.spawner.prepare(plan) for plan in plans], threads)
        self._started.update(one for one in results if isinstance(one, Started))
        return results

    def start(self, plan: Plan) -> Started:
        """Spawn one; it may still be on its way to its program."""
        (one,) = self.launch(plan)
        assert isinstance(one, Started), one
        return one

    def run(self, plan: Plan) -> Started:
        """Spawn one and wait until it is its program."""
        started = self.start(plan)
        if plan.gated:
            assert started.gate is not None
            started.gate.open()
        assert self.answer(started) is True
        return started

    def answer(self, started: Started) -> bool | Failure:
        """Wait for what the gate tells; True at once where there is none."""
        gate = started.gate
        if gate is None:
            return True
        while (result := gate.result()) is None:
            readable(gate.fileno())
        return result

    def failure(self, plan: Plan) -> Failure:
        """Spawn one that must fail, whether at once or through its gate."""
        (one,) = self.launch(plan)
        if isinstance(one, Started):
            if plan.gated:
                assert one.gate is not None
                one.gate.open()
            answer = self.answer(one)
            assert isinstance(answer, Failure), answer
            assert self.end_of(one).code == 127
            return answer
        return one

    def end_of(self, started: Started) -> ExitStatus:
        """Wait for the end, reap and close."""
        assert wait_exit(started.pidfd, PATIENCE), "it did not end"
        status = reap(started.pidfd)
        assert status is not None
        self._started.discard(started)
        started.pidfd.close()
        if started.gate is not None:
            started.gate.close()
        return status

    def output(self, make: Callable[..., Plan], *arguments: Any, tmp_path: Path, **more: Any) -> str:
        """Run a program to its end, which must be good, and read its stdout."""
        file = tmp_path / "output"
        file.unlink(missing_ok=True)
        plan = make(*arguments, stdout=bytes(file), stderr=bytes(tmp_path / "errors"), **more)
        status = self.end_of(self.run(plan))
        assert status.code == 0, (status, (tmp_path / "errors").read_text())
        return file.read_text()


def proc(started: Started, name: str) -> str:
    """Read a file of the process's own directory in procfs."""
    return Path(f"/proc/{started.pidfd.id.pid}/{name}").read_text()


def field(started: Started, name: str) -> str:
    """One line of its status file."""
    return next(line.split(":", 1)[1].strip() for line in proc(started, "status").splitlines() if line.startswith(name))


def open_descriptors() -> int:
    """How many descriptors this process has."""
    return len(os.listdir("/proc/self/fd"))


def children() -> set[str]:
    """The children of this process, zombies too, as numbers to compare."""
    return {pid for file in Path("/proc/self/task").glob("*/children") for pid in file.read_text().split()}


def freeze(started: Started) -> None:
    """Stop it with SIGSTOP, and wait until it has."""
    started.pidfd.signal(SIGSTOP)
    while proc(started, "stat").rpartition(")")[2].split()[0] != "T":
        os.sched_yield()
