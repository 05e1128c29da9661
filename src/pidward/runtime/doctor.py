"""What this machine grants pidward: kernel features, where trees are kept, limits and what they allow."""

import os

from pidward.core.lean import NamedTuple
from pidward.kernel.cgroup import locate
from pidward.kernel.features import Finding, probe
from pidward.kernel.limits import UNLIMITED, read_limit
from pidward.kernel.procfs import read_file

DESCRIPTORS_PER_WORKER = 2
"""A pidfd, and the events file of its cgroup."""
DESCRIPTORS_OWN = 64
ENOUGH_WORKERS = 1000
"""Fewer than this many workers is worth a warning."""


class Limit(NamedTuple):
    """A limit and what it means. enough: it does not stand in anybody's way."""

    name: str
    value: str
    enough: bool
    meaning: str


class Diagnosis(NamedTuple):
    """Everything that ``pidward doctor`` knows.

    kernel: the release, for people; decisions are made from the features alone.
    trees: "cgroup2", "cgroup1", or None when trees are walked.
    place: our own cgroup directory, or "".
    why: why not a better kind; may be empty.
    """

    kernel: str
    features: tuple[Finding, ...]
    trees: str | None
    place: str
    why: str
    limits: tuple[Limit, ...]

    @property
    def can_run(self) -> bool:
        """Nothing that pidward cannot do without is missing."""
        return all(f.granted for f in self.features if f.feature.without == "pidward cannot run")


def diagnose() -> Diagnosis:
    """Look at everything; takes about 20 ms and leaves nothing behind."""
    located = locate()
    limits = (_descriptors(), _processes(), _pid_max(), _cgroup_pids(), _inotify())
    return Diagnosis(
        f"{os.uname().sysname} {os.uname().release}", probe().findings, located.kind, located.path, located.why,
        tuple(limit for limit in limits if limit is not None),
    )  # fmt: skip


def _descriptors() -> Limit:
    limit = read_limit("nofile")
    workers = (limit.hard - DESCRIPTORS_OWN) // DESCRIPTORS_PER_WORKER
    unlimited = limit.hard == UNLIMITED
    meaning = f"enough for about {'any number of' if unlimited else max(0, workers)} workers"
    return Limit("open files (nofile)", _shown(limit.hard), unlimited or workers >= ENOUGH_WORKERS, meaning)


def _processes() -> Limit:
    limit = read_limit("nproc")
    enough = limit.soft == UNLIMITED or limit.soft >= ENOUGH_WORKERS or os.geteuid() == 0
    meaning = "does not bind root" if os.geteuid() == 0 else "processes and threads of this user, all together"
    return Limit("processes (nproc)", _shown(limit.soft), enough, meaning)


def _pid_max() -> Limit | None:
    value = _number("/proc/sys/kernel/pid_max")
    if value is None:
        return None
    return Limit("highest pid (kernel.pid_max)", str(value), value >= ENOUGH_WORKERS, "processes and threads at a time")


def _cgroup_pids() -> Limit | None:
    """The pids controller of our own cgroup, in whichever hierarchy it is."""
    for line in _text("/proc/self/cgroup").splitlines():
        hierarchy, controllers, path = line.split(":", 2)
        if hierarchy != "0" and "pids" not in controllers.split(","):
            continue
        root = "/sys/fs/cgroup" if hierarchy == "0" else "/sys/fs/cgroup/pids"
        text = _text(f"{root}{path}/pids.max").strip()
        if text:
            enough = text == "max" or int(text) >= ENOUGH_WORKERS
            return Limit("processes of this cgroup (pids.max)", text, enough, "workers and their trees together")
    return None


def _inotify() -> Limit | None:
    value = _number("/proc/sys/fs/inotify/max_user_watches")
    if value is None:
        return None
    name = "watched files (fs.inotify.max_user_watches)"
    return Limit(name, str(value), value >= 2 * ENOUGH_WORKERS, "two for each worker whose output is kept")


def _shown(value: int) -> str:
    return "unlimited" if value == UNLIMITED else str(value)


def _number(path: str) -> int | None:
    text = _text(path).strip()
    return int(text) if text.isdigit() else None


def _text(path: str) -> str:
    try:
        return read_file(path).decode()
    except OSError:
        return ""
