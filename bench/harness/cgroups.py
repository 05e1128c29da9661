"""Cgroups for the peers that want one."""

import contextlib
import os
import time
from pathlib import Path

from bench.harness import procfs
from bench.harness.peer import NotSupported


def cgroup2_mount() -> Path:
    """Where the cgroup v2 hierarchy is mounted; NotSupported without one."""
    for line in procfs.read("/proc/self/mountinfo").splitlines():
        before, _, after = line.partition(" - ")
        if after.startswith("cgroup2 "):
            return Path(before.split()[4])
    raise NotSupported("no cgroup v2 hierarchy is mounted")


def remove_cgroup(top: Path) -> None:
    """Remove a cgroup and all below it. Its processes are dead; the kernel may need a moment to agree."""
    for _ in range(20):
        for folder, _below, _files in os.walk(top, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(folder)
        if not top.exists():
            return
        time.sleep(0.05)
