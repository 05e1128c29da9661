"""No descriptors, no processes: a Failure at "clone" that passes with its cause, and nothing left behind."""

import errno
import json
import os
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pidward.kernel.spawn import Ids
from tests.kernel.spawning import Launcher, open_descriptors, pause, python

# Each script is a supervisor of its own. It prints what its spawns gave while something was short, and after.
COMMON = """
import json, os, resource, sys
from pidward.kernel.spawn import Failure, Plan, Spawner, Started
from pidward.kernel.wait import reap, wait_exit
spawner = Spawner(native=sys.argv[1] == "native")
plan = Plan(b"/bin/sleep", (b"sleep", b"0"), (), gated="gated" in sys.argv)
prepared = [spawner.prepare(plan) for _ in range(3)]

def round():
    results = spawner.spawn(prepared)
    for one in results:
        if isinstance(one, Started):
            if one.gate is not None:
                one.gate.open()
            wait_exit(one.pidfd)
            assert reap(one.pidfd) is not None
            one.pidfd.close()
            if one.gate is not None:
                one.gate.close()
    return [[*one] if isinstance(one, Failure) else "ok" for one in results]

def descriptors():
    return len(os.listdir("/proc/self/fd"))

def children():
    return open("/proc/self/task/%d/children" % os.getpid()).read().split()
"""

DESCRIPTORS = (
    COMMON
    + """
before = descriptors()
fillers, least = [], {}
while True:
    try:
        fillers.append(os.dup(0))
    except OSError:
        break
short = [round()]
while fillers:                       # one descriptor more each time, until there are enough
    os.close(fillers.pop())
    short.append(round())
    if short[-1] == ["ok"] * 3:
        break
for fd in fillers:
    os.close(fd)
print(json.dumps({"short": short, "after": round(), "leak": descriptors() - before, "children": children()}))
"""
)

PROCESSES = (
    COMMON
    + """
before = descriptors()
limit = sys.argv[2]
short = round()
open(limit, "w").write("max")
print(json.dumps({"short": [short], "after": round(), "leak": descriptors() - before, "children": children()}))
"""
)


def _report(launcher: Launcher, tmp_path: Path, script: str, *arguments: str, **more: Any) -> dict[str, Any]:
    rung = "native" if launcher.native else "python"
    report: dict[str, Any] = json.loads(launcher.output(python, script, rung, *arguments, tmp_path=tmp_path, **more))
    return report


@pytest.mark.parametrize("gated", ["direct", "gated"])
def test_no_descriptors(launcher: Launcher, tmp_path: Path, gated: str) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    limits = ((resource.RLIMIT_NOFILE, 40, hard),)
    report = _report(launcher, tmp_path, DESCRIPTORS, gated, limits=limits)
    assert len(report["short"]) > 1
    failures = [one for spawns in report["short"] for one in spawns if one != "ok"]
    assert all(one == ["clone", errno.EMFILE] for one in failures)
    assert report["short"][0] == [["clone", errno.EMFILE]] * 3
    assert report["after"] == ["ok"] * 3
    assert (report["leak"], report["children"]) == (0, [])


@pytest.fixture
def few_processes(launcher: Launcher) -> Iterator[Path]:
    """A pids cgroup in which only one process may live."""
    own = next((line for line in Path("/proc/self/cgroup").read_text().splitlines() if ":pids:" in line), None)
    root = Path("/sys/fs/cgroup/pids")
    if own is None or not os.access(root / "cgroup.procs", os.W_OK):
        pytest.skip("needs the version 1 pids controller, writable")
    directory = root / own.split(":")[2].lstrip("/") / f"pidward-test-few-{os.getpid()}"
    directory.mkdir()
    (directory / "pids.max").write_text("1")
    yield directory
    launcher.finish()
    directory.rmdir()


def test_no_processes(launcher: Launcher, tmp_path: Path, few_processes: Path) -> None:
    limit = str(few_processes / "pids.max")
    report = _report(launcher, tmp_path, PROCESSES, limit, join=(bytes(few_processes),))
    assert report["short"] == [[["clone", errno.EAGAIN]] * 3]
    assert report["after"] == ["ok"] * 3
    assert (report["leak"], report["children"]) == (0, [])


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_a_process_limit_of_the_user_refuses_the_exec(launcher: Launcher) -> None:
    """The kernel notes at setresuid(2) that the user has too many, and lets execve(2) say so."""
    before = open_descriptors()
    ids = Ids(61077, 61077, ())
    first = launcher.run(pause(ids=ids))
    failure = launcher.failure(pause(ids=ids, limits=((resource.RLIMIT_NPROC, 0, 0),)))
    assert failure == ("exec", errno.EAGAIN)
    first.pidfd.signal(9)
    launcher.end_of(first)
    assert open_descriptors() == before
