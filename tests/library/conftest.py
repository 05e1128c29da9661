"""Every rung on which a tree can be kept, and the proof that nothing stays behind."""

import os
from collections.abc import Iterator

import pytest

from pidward.kernel import mask, pidfd
from pidward.kernel.cgroup import look_for
from pidward.kernel.procfs import own_children
from pidward.library import home

RUNGS = {
    "cgroup2": "",
    "python, cgroup2": "native",
    "cgroup1": "cgroup2",
    "walking": "cgroup2,cgroup1",
    "python, walking": "native,cgroup2,cgroup1",
}


def _forget() -> None:
    mask.taken_away.cache_clear()
    pidfd._pidfs_devices.clear()
    home._home = None


@pytest.fixture(params=RUNGS)
def rung(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A way of keeping trees; the others are taken away."""
    name: str = request.param
    monkeypatch.setenv(mask.VARIABLE, RUNGS[name])
    _forget()
    kind = name.rpartition(" ")[2]
    if kind != "walking" and (located := look_for(kind)).kind is None:
        monkeypatch.undo()
        _forget()
        pytest.skip(f"needs {kind}: {located.why}")
    yield name
    if home._home is not None:
        home._home.close()
    monkeypatch.undo()
    _forget()


def open_files() -> set[str]:
    """What our descriptors are, less the one that lists them."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            found.add(f"{name} -> {os.readlink(f'/proc/self/fd/{name}')}")
        except FileNotFoundError:
            continue
    return found


def our_cgroups() -> set[str]:
    """The directories of this process's spawned programs."""
    found = set()
    for kind in ("cgroup2", "cgroup1"):
        located = look_for(kind)
        if located.kind is not None:
            names = os.listdir(located.path)
            found |= {name for name in names if name.startswith(f"pidward-lib.{os.getpid()}.")}
    return found


@pytest.fixture
def nothing_left() -> Iterator[None]:
    """Fails the test when children, descriptors or cgroups stay behind."""
    files, children = open_files(), set(own_children())
    yield
    assert open_files() - files == set()
    assert set(own_children()) - children == set()
    assert our_cgroups() == set()
