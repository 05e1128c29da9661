"""The floors in Python: not peers, but what each way to spawn costs. bench/src/floor*.py."""

import os
import sys
from pathlib import Path
from typing import ClassVar

from bench.harness.cgroups import cgroup2_mount, remove_cgroup
from bench.harness.paths import ROOT
from bench.harness.peer import Peer


class _Floor(Peer):
    floor = "none (a bare loop in Python)"
    max_workers = 5000
    script: ClassVar[str] = "floor.py"
    variant: ClassVar[tuple[str, ...]] = ()
    extra: ClassVar[dict[str, str]] = {}
    in_cgroups: ClassVar[bool] = False
    cgroup: Path | None = None

    def version(self) -> str:
        return f"src/{self.script}, Python {sys.version.split()[0]}"

    def configure(self) -> None:
        self.environment = dict(self.extra)
        if self.logging:
            self.environment |= {
                "FLOOR_LOG": str(self.logging.folder),
                "FLOOR_ROTATE": str(self.logging.max_bytes),
            }
        if self.in_cgroups:
            self.cgroup = cgroup2_mount() / f"bench_{os.getpid()}_{self.dir.name}"
            self.cgroup.mkdir()
            self.environment["FLOOR_CGROUP"] = str(self.cgroup)

    def command(self) -> list[str]:
        script = str(ROOT / "src" / self.script)
        return [sys.executable, "-S", "-E", script, *self.variant, str(self.n), *self.worker("%i")]

    def close(self) -> None:
        super().close()
        if self.cgroup:
            remove_cgroup(self.cgroup)


class FloorPySpawn(_Floor):
    """os.posix_spawn."""

    name = "floor_py_spawn"
    variant = ("posix_spawn",)


class FloorPySplice(FloorPySpawn):
    """The same; logs go by splice(2)."""

    name = "floor_py_splice"
    extra: ClassVar[dict[str, str]] = {"FLOOR_SPLICE": "1"}


class FloorPyForkExec(_Floor):
    """The vfork below subprocess."""

    name = "floor_py_forkexec"
    variant = ("fork_exec",)


class FloorPyPopen(_Floor):
    """subprocess.Popen."""

    name = "floor_py_popen"
    variant = ("popen",)


class FloorPyClone3Cgroup(_Floor):
    """clone3 by ctypes, fork-like, born in its cgroup."""

    name = "floor_py_clone3_cgroup"
    variant = ("clone3_cgroup",)
    in_cgroups = True


class FloorPyProcsCgroup(_Floor):
    """The same, but the child writes itself into cgroup.procs."""

    name = "floor_py_procs_cgroup"
    variant = ("procs_cgroup",)
    in_cgroups = True


class FloorPyAsyncio(_Floor):
    """asyncio.create_subprocess_exec with the PidfdChildWatcher."""

    name = "floor_py_asyncio"
    script = "floor_asyncio.py"


class FloorPyHelper(_Floor):
    """A C helper for the spawn."""

    name = "floor_py_helper"
    script = "floor_helper.py"
    variant = ("plain",)


class FloorPyHelperThreads(FloorPyHelper):
    """The same, from two threads."""

    name = "floor_py_helper_threads"
    variant = ("threads",)


class FloorPyHelperFast(FloorPyHelper):
    """The same; the supervisor's descriptor table is never copied."""

    name = "floor_py_helper_fast"
    variant = ("fast",)


class FloorPyHelperFastCgroup(FloorPyHelperFast):
    """The same, each worker born in its cgroup: the floor of pidward."""

    name = "floor_py_helper_fast_cgroup"
    in_cgroups = True
