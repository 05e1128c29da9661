"""Born in a cgroup, or entering it before exec."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pidward.core.signals import SIGKILL
from pidward.kernel import cgroup
from pidward.kernel.spawn import Spawner, Started, native_is_built
from tests.kernel.spawning import Launcher, pause, proc, shell


@pytest.fixture
def group(request: pytest.FixtureRequest, launcher: Launcher) -> Iterator[Path]:
    """A directory of the hierarchy in the parameter; the launcher must be empty before it goes."""
    located = cgroup.look_for(request.param)
    if located.kind is None:
        pytest.skip(f"needs {request.param}: {located.why}")
    directory = Path(located.path) / f"pidward-test-spawn-{os.getpid()}"
    directory.mkdir()
    yield directory
    launcher.finish()
    directory.rmdir()


def _is_in(started: Started, directory: Path) -> bool:
    return any(line.endswith(f"/{directory.name}") for line in proc(started, "cgroup").splitlines())


@pytest.mark.parametrize("group", ["cgroup2"], indirect=True)
def test_born_in_its_cgroup(launcher: Launcher, group: Path) -> None:
    started = launcher.run(pause(cgroup=bytes(group)))
    assert _is_in(started, group)
    assert (group / "cgroup.procs").read_text() == f"{started.pidfd.id.pid}\n"


@pytest.mark.parametrize("group", ["cgroup2"], indirect=True)
def test_in_its_cgroup_while_it_waits(launcher: Launcher, group: Path) -> None:
    started = launcher.start(pause(cgroup=bytes(group), gated=True))
    if launcher.native:  # the other rung gets there on its own time
        assert _is_in(started, group)
    assert started.gate is not None
    started.gate.open()
    assert launcher.answer(started) is True
    assert _is_in(started, group)


@pytest.mark.parametrize("group", ["cgroup2"], indirect=True)
@pytest.mark.skipif(not native_is_built(), reason="needs the native part")
def test_the_shim_enters_where_clone3_cannot(launcher: Launcher, group: Path) -> None:
    launcher.spawner.close()
    launcher.spawner = Spawner(native=launcher.native, into_cgroup=False)
    started = launcher.run(pause(cgroup=bytes(group)))
    assert started.gate is not None
    assert _is_in(started, group)


@pytest.mark.parametrize("group", ["cgroup1"], indirect=True)
def test_joins_a_version_1_cgroup_before_exec(launcher: Launcher, group: Path) -> None:
    text = launcher.output(shell, "cat /proc/self/cgroup", tmp_path=Path("/tmp"), join=(bytes(group),))
    assert f"/{group.name}\n" in text
    assert f"/{group.name}\n" not in Path("/proc/self/cgroup").read_text()


@pytest.mark.parametrize("group", ["cgroup2"], indirect=True)
def test_a_failure_leaves_the_cgroup_empty(launcher: Launcher, group: Path) -> None:
    assert launcher.failure(pause(path=b"/nonexistent", cgroup=bytes(group))).stage == "exec"
    assert (group / "cgroup.procs").read_text() == ""


@pytest.mark.parametrize("group", ["cgroup2"], indirect=True)
def test_a_killed_cgroup_ends_it(launcher: Launcher, group: Path) -> None:
    started = launcher.run(pause(cgroup=bytes(group)))
    (group / "cgroup.kill").write_text("1")
    assert launcher.end_of(started).signal == SIGKILL
