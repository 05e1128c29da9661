"""Without being root: everything but what needs root, and clear words for that."""

import os
import resource
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import pytest

from pidward.kernel.cgroup import Group, look_for
from pidward.kernel.pidfd import Pidfd
from pidward.testing.programs import Barrier, daemons
from tests.e2e.rig import SRC, Rig, ends, eventually, groups_of, is_alive, service

NOBODY = 65534
AS_NOBODY = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--no-new-privs", "--inh-caps=-all"]


def as_nobody(*argv: str) -> int:
    """Run a program as nobody; its exit code."""
    shell = ["/bin/sh", "-c", 'exec "$@"', "sh"]  # for a first exec setpriv still has root's rights
    null = [(os.POSIX_SPAWN_OPEN, fd, "/dev/null", os.O_RDWR, 0) for fd in (0, 1, 2)]
    pid = os.posix_spawnp("setpriv", [*AS_NOBODY, *shell, *argv], {"PYTHONPATH": SRC}, file_actions=null)
    with Pidfd.open(pid) as process:
        result = os.waitid(os.P_PIDFD, process.fileno(), os.WEXITED)
    assert result is not None
    return result.si_status


@cache
def python_for_everybody() -> str | None:
    """An interpreter that nobody can run, and pidward with it; ours may be in a directory of root's."""
    check = "import sys, sqlite3, pidward.cli; sys.exit(sys.version_info < (3, 11))"
    pythons = (sys.executable, "/usr/bin/python3")
    return next((python for python in pythons if as_nobody(python, "-c", check) == 0), None)


def python_of_nobody() -> str:
    if os.geteuid() or shutil.which("setpriv") is None:
        pytest.skip("needs root and setpriv, to become somebody else")
    python = python_for_everybody()
    if python is None:
        pytest.skip("needs a Python 3.11 and a copy of pidward that other users can read")
    return python


@pytest.fixture
def rig(rig: Rig) -> Rig:
    """An instance of the user nobody."""
    rig.python = python_of_nobody()
    shutil.chown(rig.base, NOBODY, NOBODY)
    for directory in (rig.state, rig.run):
        directory.mkdir(0o700)
        shutil.chown(directory, NOBODY, NOBODY)
    return rig


@pytest.fixture
def barrier(rig: Rig) -> Iterator[Barrier]:
    with Barrier(rig.base / "barrier") as barrier:
        yield barrier


def forks(rig: Rig, count: int, barrier: Barrier) -> list[str]:
    return [rig.python, *daemons(count, barrier)[1:]]


def test_it_works(rig: Rig) -> None:
    rig.configure(service("web", workers=3, logs={"mode": "file"}))
    rig.up(prefix=AS_NOBODY)
    ready = rig.wait_all("web", 3)
    for event in ready.values():
        pid = event["data"]["process"].split(":")[0]
        assert os.stat(f"/proc/{pid}").st_uid == NOBODY
    with rig.hold("web/2") as worker:
        worker.signal(signal.SIGKILL)
        assert ends(worker)
    rig.wait("web/2", "ready")
    assert rig.cli("stop", "web/1").status == 0
    assert rig.cli("status").status == 0
    assert rig.cli("down").status == 0
    assert rig.wait_end().code == 0


@pytest.mark.parametrize("mask", ["", "native"], ids=["native", "python"])
def test_a_tree_ends_by_walking(rig: Rig, barrier: Barrier, mask: str) -> None:
    rig.configure(service("web", forks(rig, 10, barrier)))
    rig.up(prefix=AS_NOBODY, mask=mask)
    with ExitStack() as stack:
        tree = [stack.enter_context(Pidfd.open(report.pid)) for report in barrier.wait(11)]
        assert rig.cli("stop", "web").status == 0
        assert [process for process in tree if is_alive(process)] == []


def test_a_cgroup_that_was_given_to_the_user_is_used(rig: Rig, barrier: Barrier) -> None:
    place = look_for("cgroup2")
    if place.kind is None:
        pytest.skip(f"needs cgroup2: {place.why}")
    ours = Path(place.path) / f"pidward-test-{rig.instance}"
    ours.mkdir()
    try:
        for path in (ours, ours / "cgroup.procs", ours / "cgroup.subtree_control", ours / "cgroup.threads"):
            shutil.chown(path, NOBODY, NOBODY)
        rig.configure(service("web", forks(rig, 5, barrier)))
        rig.up(prefix=["/bin/sh", "-c", f'echo $$ >{ours}/cgroup.procs; exec "$@"', "sh", *AS_NOBODY])
        with ExitStack() as stack:
            tree = [stack.enter_context(Pidfd.open(report.pid)) for report in barrier.wait(6)]
            groups = {line for p in tree for line in _cgroup2_of(p.id.pid)}
            (group,) = groups
            assert f"{ours.name}/pidward-{rig.instance}" in group
            assert rig.cli("stop", "web").status == 0
            assert [process for process in tree if is_alive(process)] == []
        assert rig.cli("down").status == 0
        assert rig.wait_end().code == 0
        eventually(lambda: not (ours / "cgroup.procs").read_text())
    finally:
        Group(str(ours)).kill()
        eventually(Group(str(ours)).remove)


def _cgroup2_of(pid: int) -> list[str]:
    return [line for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines() if line.startswith("0::")]


def test_becoming_another_user_is_refused_in_clear_words(rig: Rig) -> None:
    rig.configure(service("web", user="root", restart="never"), service("good"))
    rig.up(prefix=AS_NOBODY)
    reason = rig.wait("web/1", "failed")["data"]["reason"]
    assert "cannot become its user and groups" in reason
    assert "EPERM" in reason
    assert "service.web.user; changing user needs root" in reason
    rig.wait("good/1", "ready")


def test_a_lower_nice_value_is_refused_in_clear_words(rig: Rig) -> None:
    rig.configure(service("web", nice=-5, restart="never"))
    rig.up(prefix=AS_NOBODY)
    reason = rig.wait("web/1", "failed")["data"]["reason"]
    assert "going below 0 needs CAP_SYS_NICE" in reason


def test_too_few_processes_for_the_user(rig: Rig) -> None:
    """RLIMIT_NPROC counts all of the user's processes; root is not bound by it."""
    restart = {"delay": "20ms", "max_delay": "20ms", "burst": 0}
    rig.configure(service("web", workers=3, restart=restart))
    rig.up(prefix=AS_NOBODY)
    rig.wait_all("web", 3)
    pid = str(rig.process.id.pid)
    assert as_nobody("/usr/bin/prlimit", "--pid", pid, "--nproc=1:") == 0
    rig.configure(service("web", workers=5, restart=restart))
    assert rig.cli("reload").status == 0
    reason = rig.wait("web/5", "backing-off")["data"]["reason"]
    assert "EAGAIN" in reason
    assert "short of processes" in reason
    assert rig.cli("stop", "web/1").status == 0
    before = resource.getrlimit(resource.RLIMIT_NPROC)[0]
    assert as_nobody("/usr/bin/prlimit", "--pid", pid, f"--nproc={before if before >= 0 else 'unlimited'}:") == 0
    rig.wait("web/5", "ready")


def test_nothing_runs_twice(rig: Rig, barrier: Barrier) -> None:
    """Adopted as they are; and what they have forked is theirs still."""
    rig.configure(service("web", forks(rig, 3, barrier)))
    rig.up(prefix=AS_NOBODY)
    with ExitStack() as stack:
        tree = [stack.enter_context(Pidfd.open(report.pid)) for report in barrier.wait(4)]
        rig.settle()
        main = rig.status()["web/1"]["process"]
        rig.kill()
        assert all(map(is_alive, tree))
        rig.up(prefix=AS_NOBODY)
        assert rig.status()["web/1"]["process"] == main
        assert all(map(is_alive, tree))
        assert rig.cli("restart", "web").status == 0
        barrier.wait(4)
        assert [process for process in tree if is_alive(process)] == []
    assert not list(groups_of(rig.instance))


def test_a_stranger_may_not_ask(roots: Rig) -> None:
    """The directory lets nobody in; and who reaches the socket all the same is told that he may not."""
    python = python_of_nobody()
    roots.configure(service("web"))
    roots.up()
    process = roots.wait("web/1", "ready")["data"]["process"]
    stop = [python, "-P", "-m", "pidward", "stop", "web", "--socket", roots.socket]
    roots.base.chmod(0o755)
    denied = 4
    assert as_nobody(*stop) == denied
    roots.run.chmod(0o711)
    assert as_nobody(*stop) == denied
    Path(roots.socket).chmod(0o666)
    assert as_nobody(*stop) == denied
    assert roots.status()["web/1"]["process"] == process
