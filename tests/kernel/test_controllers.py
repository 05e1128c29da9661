"""Limits of whole trees: what is written, where, and what is said when it cannot be."""

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pidward.core.spec import Resources
from pidward.core.units import Bytes
from pidward.kernel import controllers
from pidward.kernel.cgroup import Group, Located, look_for
from pidward.kernel.controllers import Controllers, Refusal
from tests.isolation import run_apart

MIB = 2**20
BASE = f"pidward-test-{os.getpid()}"
WEB = "web.1"
LIMITED = Resources(Bytes(64 * MIB), pids_max=77, cpu_weight=200, cpu_max=0.5)


# --- version 2, on a directory of plain files: kernels have most controllers on one version only

V2_FILES = ("memory.max", "memory.high", "memory.swap.max", "pids.max", "cpu.weight", "cpu.max", "io.weight")


class Plain:
    """What looks like a cgroup v2 directory whose parents pass everything on."""

    def __init__(self, path: Path, *missing: str) -> None:
        self.path, self.worker = path, path / BASE / WEB
        self.worker.mkdir(parents=True)
        (path / "cgroup.controllers").write_text("cpu io memory pids\n")
        for directory in (path, path / BASE):
            (directory / "cgroup.subtree_control").write_text("cpu io memory pids\n")
        for name in {*V2_FILES} - {*missing}:
            (self.worker / name).touch()

    def read(self) -> dict[str, str]:
        return {file.name: text for file in self.worker.iterdir() if (text := file.read_text())}


def test_version_2_files(tmp_path: Path) -> None:
    there = Plain(tmp_path)
    wanted = Resources(Bytes(MIB), Bytes(2 * MIB), Bytes(0), 5, 50, 1.5, 300)
    assert Controllers(str(tmp_path), BASE).limit(WEB, wanted) == []
    assert there.read() == {
        "memory.max": "1048576", "memory.high": "2097152", "memory.swap.max": "0", "pids.max": "5", "cpu.weight": "50",
        "cpu.max": "150000 100000", "io.weight": "default 300",
    }  # fmt: skip


def test_version_2_infinity(tmp_path: Path) -> None:
    there = Plain(tmp_path)
    infinite = Resources(memory_max=Bytes(-1), pids_max=-1, cpu_max=-1)
    assert Controllers(str(tmp_path), BASE).limit(WEB, infinite) == []
    assert there.read() == {"memory.max": "max", "pids.max": "max", "cpu.max": "max 100000"}


def test_what_is_no_longer_asked_for_is_the_default_again(tmp_path: Path) -> None:
    there = Plain(tmp_path)
    all_of_it = Controllers(str(tmp_path), BASE)
    all_of_it.limit(WEB, Resources(memory_max=Bytes(MIB), cpu_weight=7))
    for name in there.read():
        (there.worker / name).write_text("")  # plain files keep what is longer
    assert all_of_it.limit(WEB, Resources(cpu_weight=8)) == []
    assert there.read() == {"memory.max": "max", "cpu.weight": "8"}


@pytest.mark.parametrize("weight, text", [(1, "1"), (100, "100"), (10_000, "1000")])
def test_the_weight_where_it_is_bfq_that_counts(tmp_path: Path, weight: int, text: str) -> None:
    there = Plain(tmp_path, "io.weight")
    (there.worker / "io.bfq.weight").touch()
    assert Controllers(str(tmp_path), BASE).limit(WEB, Resources(io_weight=weight)) == []
    assert there.read() == {"io.bfq.weight": text}


def test_a_file_that_this_kernel_lacks(tmp_path: Path) -> None:
    there = Plain(tmp_path, "io.weight", "memory.swap.max")
    wanted = Resources(memory_swap_max=Bytes(0), pids_max=9, io_weight=5)
    assert Controllers(str(tmp_path), BASE).limit(WEB, wanted) == [
        Refusal("memory_swap_max", "this kernel has no memory.swap.max"),
        Refusal("io_weight", "this kernel has no io.weight and no io.bfq.weight"),
    ]
    assert there.read() == {"pids.max": "9"}


def test_no_controller_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(controllers, "look_for", lambda *_: Located(None, "", "not mounted"))
    refusals = Controllers(None, BASE).limit(WEB, Resources(memory_high=Bytes(MIB), pids_max=1))
    assert refusals == [
        Refusal("memory_high", "there is no memory controller here, and cgroup version 1 has no such limit"),
        Refusal(
            "pids_max",
            "there is no pids controller here (version 1: not mounted); give pidward a cgroup of its own that has it, "
            "as with systemd's Delegate=yes",
        ),
    ]


# --- version 2, the kernel's own


@pytest.fixture
def own_group() -> Iterator[Group]:
    """A cgroup v2 directory of this test's own."""
    place = look_for("cgroup2")
    if place.kind is None:
        pytest.skip(f"needs cgroup2: {place.why}")
    group = Group(f"{place.path}/{BASE}")
    group.create()
    yield group
    group.remove()


def _controller(group: Group) -> str:
    """One that version 2 has here."""
    parent = Path(group.path).parent
    there = (parent / "cgroup.controllers").read_text().split()
    if not there:
        pytest.skip("needs a controller on cgroup2")
    if there[0] not in (parent / "cgroup.subtree_control").read_text().split():
        (parent / "cgroup.subtree_control").write_text(f"+{there[0]}")
    return there[0]


@pytest.fixture
def passed_on(own_group: Group) -> Iterator[str]:
    """A controller that ``own_group`` has."""
    control = Path(own_group.path).parent / "cgroup.subtree_control"
    before = control.read_text().split()
    controller = _controller(own_group)
    yield controller
    for below in sorted(Path(own_group.path).rglob("cgroup.subtree_control"), reverse=True):
        below.write_text(f"-{controller}") if controller in below.read_text().split() else None
    if controller not in before:
        control.write_text(f"-{controller}")


def _enabling(group: Group, controller: str, then: Callable[[Controllers], None]) -> None:
    """As a supervisor that lives in the group."""
    Path(group.procs_path).write_text("0")
    try:
        Group(f"{group.path}/workers").create()
        us = Controllers(group.path, "workers")
        us._enable(controller)
        then(us)
    finally:
        (Path(group.path).parent / "cgroup.procs").write_text("0")


def test_we_make_room_where_a_group_may_hold_no_processes(own_group: Group, passed_on: str) -> None:
    def then(us: Controllers) -> None:
        below = Path(own_group.path)
        assert passed_on in (below / "workers" / "cgroup.subtree_control").read_text().split()
        assert (below / "cgroup.procs").read_text() == ""
        assert (below / "workers.supervisor" / "cgroup.procs").read_text().split() == [str(os.getpid())]
        Group(f"{own_group.path}/workers").remove()
        us.close()
        assert (below / "cgroup.procs").read_text().split() == [str(os.getpid())]
        assert not (below / "workers.supervisor").exists()

    run_apart(lambda: _enabling(own_group, passed_on, then))


def test_others_are_not_moved(own_group: Group, passed_on: str, start: Callable[..., object]) -> None:
    def live_there() -> int:
        Path(own_group.procs_path).write_text("0")
        os.write(tell, b"x")
        os.read(wait, 1)
        return 0

    hear, tell = os.pipe()
    wait, _end = os.pipe()
    start(live_there)
    os.read(hear, 1)

    def scenario() -> None:
        with pytest.raises(Exception, match=r"other processes than pidward's live in .*Delegate=yes"):
            _enabling(own_group, passed_on, lambda _: None)

    run_apart(scenario)
    for fd in (hear, tell, wait, _end):
        os.close(fd)


# --- version 1, the kernel's own


@pytest.fixture
def v1() -> Iterator[Controllers]:
    """Limits on version 1; nothing of them is left."""
    missing = [name for name in ("memory", "pids", "cpu") if look_for("cgroup1", name).kind is None]
    if missing:
        pytest.skip(f"needs version 1 hierarchies of {', '.join(missing)}")
    used = Controllers(None, BASE)
    yield used
    used.close()
    for name in ("memory", "pids", "cpu"):
        assert not Path(look_for("cgroup1", name).path, BASE).exists()


def _v1_value(controller: str, file: str) -> str:
    return Path(look_for("cgroup1", controller).path, BASE, WEB, file).read_text().strip()


def test_version_1_files(v1: Controllers) -> None:
    assert v1.limit(WEB, LIMITED) == []
    assert _v1_value("memory", "memory.limit_in_bytes") == str(64 * MIB)
    assert _v1_value("pids", "pids.max") == "77"
    assert _v1_value("cpu", "cpu.shares") == "2048"
    assert (_v1_value("cpu", "cpu.cfs_quota_us"), _v1_value("cpu", "cpu.cfs_period_us")) == ("50000", "100000")
    assert v1.joins(WEB) == tuple(f"{look_for('cgroup1', c).path}/{BASE}/{WEB}" for c in ("memory", "pids", "cpu"))


def test_version_1_changes(v1: Controllers) -> None:
    v1.limit(WEB, LIMITED)
    assert v1.limit(WEB, Resources(Bytes(128 * MIB), cpu_max=-1), is_running=True) == []
    assert _v1_value("memory", "memory.limit_in_bytes") == str(128 * MIB)
    assert _v1_value("pids", "pids.max") == "max"
    assert (_v1_value("cpu", "cpu.shares"), _v1_value("cpu", "cpu.cfs_quota_us")) == ("1024", "-1")


def test_version_1_takes_in_no_running_process(v1: Controllers) -> None:
    v1.limit(WEB, Resources(pids_max=5))
    (refusal,) = v1.limit(WEB, Resources(pids_max=6, cpu_weight=50), is_running=True)
    assert refusal.key == "cpu_weight"
    assert "it comes with a restart" in refusal.why
    assert _v1_value("pids", "pids.max") == "6"


def test_version_1_memory_and_swap(v1: Controllers) -> None:
    if not Path(look_for("cgroup1", "memory").path, "memory.memsw.limit_in_bytes").exists():
        pytest.skip("needs swap accounting")
    for memory, swap in ((64, 16), (256, 0), (32, 8)):
        assert v1.limit(WEB, Resources(Bytes(memory * MIB), memory_swap_max=Bytes(swap * MIB))) == []
        assert _v1_value("memory", "memory.limit_in_bytes") == str(memory * MIB)
        assert _v1_value("memory", "memory.memsw.limit_in_bytes") == str((memory + swap) * MIB)
    (refusal,) = v1.limit(WEB, Resources(memory_swap_max=Bytes(MIB)))
    assert "set memory_max, too" in refusal.why


def test_what_a_dead_supervisor_left_does_not_count(v1: Controllers) -> None:
    Controllers(None, BASE).limit(WEB, LIMITED)
    assert v1.limit(WEB, Resources(cpu_weight=100)) == []
    assert _v1_value("cpu", "cpu.cfs_quota_us") == "-1"


def test_a_value_that_the_kernel_refuses(v1: Controllers) -> None:
    (refusal,) = v1.limit(WEB, Resources(pids_max=2**40))
    assert refusal.key == "pids_max"
    assert os.strerror(errno.EINVAL) in refusal.why


def test_the_forgotten_leave_nothing(v1: Controllers) -> None:
    v1.limit(WEB, LIMITED)
    directories = v1.joins(WEB)
    v1.forget(WEB)
    assert not any(map(os.path.exists, directories))
    assert v1.joins(WEB) == ()
