"""A worker that has started daemons which do all they can to get away; and the rungs that must hold them."""

import os
import select
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from pidward.kernel.cgroup import Group, GroupV1, look_for
from pidward.kernel.pidfd import Pidfd
from tests.isolation import end

_WORKER = """
import os, sys
alive, ready, count = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
for _ in range(count):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.setpgid(0, 0)
            os.write(ready, b".")
            os._exit(len(os.read(alive, 1)))  # ends with the test at the latest
        os._exit(0)
    os.wait()
os.write(ready, b"!")
os.read(alive, 1)
"""


RABBIT = """
import os, sys
os.close(int(sys.argv[1]))
os.write(int(sys.argv[2]), b".")
os.close(int(sys.argv[2]))
while True:
    if os.fork():
        os._exit(0)
    os.setsid()
"""
"""Each generation forks the next one and exits at once."""


class Worker:
    """The main process of a tree, and the proof that somebody of it lives: an end of a pipe that all of them hold."""

    def __init__(self, main: Pidfd, mark: str, proof: int) -> None:
        self.main, self.mark, self._proof = main, mark, proof

    def is_extinct(self, seconds: float) -> bool:
        """Nobody of the tree holds the pipe any more."""
        return bool(select.select([self._proof], [], [], seconds)[0]) and os.read(self._proof, 1) == b""


@contextmanager
def worker_with_daemons(daemons: int, enter: str | None = None, script: str = _WORKER) -> Iterator[Worker]:
    """A worker whose daemons have double-forked and left its session; all are there when this begins.

    enter: the cgroup.procs file by which it enters its cgroup.
    """
    mark = uuid.uuid4().hex
    proof, held = os.pipe()  # nothing is ever written: those who live hold it open
    ready, signal_ready = os.pipe()
    alive, keep = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setsid()
            if enter:
                with open(enter, "w") as file:
                    file.write("0")
            for fd in (held, signal_ready, alive):
                os.set_inheritable(fd, True)
            words = [sys.executable, "-S", "-E", "-c", script, str(alive), str(signal_ready), str(daemons)]
            os.execve(sys.executable, words, {"INVOCATION_ID": mark})
        finally:
            os._exit(120)
    main = Pidfd.open(pid)
    for fd in (held, signal_ready, alive):
        os.close(fd)
    try:
        with open(ready, "rb", buffering=0) as file:
            for _ in range(daemons + 1):
                assert file.read(1), "the worker did not start"
        yield Worker(main, mark, proof)
    finally:
        os.close(keep)
        os.close(proof)
        end(main)


@contextmanager
def group(kind: str) -> Iterator[Group | GroupV1]:
    """A cgroup of our own; killed and removed in the end."""
    located = look_for(kind)
    if located.kind is None:
        pytest.skip(f"needs {kind}: {located.why}")
    ours = located.group(f"pidward-test-{uuid.uuid4().hex[:12]}")
    ours.create()
    try:
        yield ours
    finally:
        ours.thaw()
        ours.kill()
        eventually(ours.remove)


def eventually(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Look until it holds; for what the kernel finishes on its own time after an event that was waited for."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came to hold"
        os.sched_yield()
