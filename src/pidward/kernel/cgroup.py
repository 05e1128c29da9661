"""Control groups: the tree of a worker as the kernel itself keeps it, version 2, and the freezer of version 1.

Nothing leaves a cgroup by forking, double forking or setsid. Who may write to the directories may move itself out.
The names of directories are the caller's.
"""

import errno
import os
from collections.abc import Callable

from pidward.core.lean import NamedTuple, Self
from pidward.kernel import mask
from pidward.kernel.errors import translated
from pidward.kernel.members import kill_members, signal_members
from pidward.kernel.procfs import read_file

try:
    from pidward.kernel._spawn import read_start as _read_start
except ImportError:
    _read_start = read_file


class _Directory:
    """What both versions do alike."""

    __slots__ = ("_was_killed", "path")

    def __init__(self, path: str) -> None:
        self.path = path
        self._was_killed = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.path}>"

    def create(self) -> None:
        """Make the directory and those above it; harmless when it exists. Raises Denied, Exhausted."""
        try:
            os.makedirs(self.path, exist_ok=True)
        except OSError as error:
            raise translated(error, "mkdir", f"make cgroup {self.path}") from error

    def open_directory(self) -> int:
        """Open the directory for clone3(CLONE_INTO_CGROUP); the descriptor is the caller's."""
        try:
            return os.open(self.path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise translated(error, "open", f"open cgroup {self.path}") from error

    @property
    def procs_path(self) -> str:
        """The file into which a process writes "0" to enter."""
        return self.path + "/cgroup.procs"

    def processes(self) -> list[int]:
        """Numbers of the living processes in it and below it, unverified."""
        text = _read(self.procs_path)
        found = [int(number) for number in text.split()]
        for below in self._below():
            found += below.processes()
        return found

    def renew(self) -> None:
        """Make the directory anew after ``kill``, before the next process is born into it.

        cgroup.kill marks the cgroup for ever: a child that clone3(CLONE_INTO_CGROUP) puts there from a parent in
        another cgroup is then killed at birth (kill_seq in kernel/cgroup/cgroup.c, seen on Linux 6.18). A new
        directory has no mark. Raises Denied, Exhausted.
        """
        if self._was_killed and self.remove():
            self.create()
            self._was_killed = False

    def distrust(self) -> None:
        """Take it for one that was killed: others had it before, and it does not show."""
        self._was_killed = True

    def signal_all(self, number: int) -> set[int]:
        """Signal each process through its verified pidfd; returns their numbers. Raises Denied, Exhausted."""
        return signal_members(self.processes, number)

    def remove(self) -> bool:
        """Remove the directory and those below it; False while processes live in it."""
        try:
            for below in self._below():
                below.remove()
            os.rmdir(self.path)
        except FileNotFoundError:
            return True
        except OSError as error:
            if error.errno == errno.EBUSY:
                return False
            raise translated(error, "rmdir", f"remove cgroup {self.path}") from error
        return True

    def _below(self) -> list[Self]:
        try:
            if os.stat(self.path).st_nlink == 2:  # "." and the entry above: no directory below
                return []
            with os.scandir(self.path) as entries:
                return [type(self)(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False)]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise translated(error, "scandir", f"list cgroups in {self.path}") from error


class Group(_Directory):
    """A cgroup v2 directory, which need not exist yet. One that does not exist holds no processes."""

    __slots__ = ()

    def is_populated(self) -> bool:
        """Somebody lives in it or below it; zombies do not count. One open, read and close."""
        return b"populated 1" in _read(self.path + "/cgroup.events", _read_start)

    def open_events(self) -> int:
        """A descriptor on which EPOLLPRI tells that ``is_populated`` may have changed; the caller's."""
        try:
            return os.open(self.path + "/cgroup.events", os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise translated(error, "open", f"watch cgroup {self.path}") from error

    def freeze(self) -> bool:
        """Begin to stop all processes in it and below, and those they fork from now on. False: it cannot (5.2)."""
        return _write(self.path + "/cgroup.freeze", "1")

    def thaw(self) -> None:
        """Let them go on."""
        _write(self.path + "/cgroup.freeze", "0")

    def kill(self) -> None:
        """SIGKILL all in it and below it, forks in flight included; ``is_populated`` tells when they are gone.

        By cgroup.kill (Linux 5.14); else frozen, opened and verified one by one, killed and thawed.

        Raises:
            Denied: some are not ours to kill; the others got it.
            Exhausted: not one descriptor is to be had. Try again.
        """
        if "cgroup_kill" not in mask.taken_away() and _write(self.path + "/cgroup.kill", "1"):
            self._was_killed = True
            return
        _kill_one_by_one(self)


class GroupV1(_Directory):
    """A directory of the version 1 freezer hierarchy, else as Group. What is frozen there dies only when thawed."""

    __slots__ = ()

    def is_populated(self) -> bool:
        """Somebody lives in it or below it; zombies do not count."""
        return bool(self.processes())

    def open_events(self) -> None:
        """Version 1 tells nobody; look again when a child of ours ended."""
        return

    def freeze(self) -> bool:
        """Begin to stop all processes in it and below, and those they fork from now on."""
        return _write(self.path + "/freezer.state", "FROZEN")

    def thaw(self) -> None:
        """Let them go on, also where a process froze a group below by itself."""
        _write(self.path + "/freezer.state", "THAWED")
        for below in self._below():
            below.thaw()

    def kill(self) -> None:
        """SIGKILL all in it and below it: frozen, opened and verified one by one, killed, thawed. Raises as Group's."""
        _kill_one_by_one(self)


def _kill_one_by_one(group: Group | GroupV1) -> None:
    group.freeze()
    try:
        kill_members(group.processes)
    finally:
        group.thaw()


class Located(NamedTuple):
    """Where we may make cgroups.

    kind: "cgroup2", "cgroup1" (the freezer), or None for nowhere.
    path: our own directory there; "" for nowhere.
    why: why it is not a better kind, in a sentence; "" for the best.
    """

    kind: str | None
    path: str
    why: str

    def group(self, name: str) -> Group | GroupV1:
        """The group of this name at the place, with "/" for groups in groups. ValueError for nowhere."""
        if self.kind is None:
            raise ValueError(f"there is no place for cgroups: {self.why}")
        return (Group if self.kind == "cgroup2" else GroupV1)(f"{self.path}/{name}")


def locate() -> Located:
    """Find our own cgroup where we may make others in it: version 2, else the version 1 freezer, else none."""
    refusals: list[str] = []
    for kind in ("cgroup2", "cgroup1"):
        located = look_for(kind)
        if located.kind:
            return located._replace(why="; ".join(refusals))
        refusals.append(f"{kind}: {located.why}")
    return Located(None, "", "; ".join(refusals))


def look_for(kind: str, controller: str = "freezer") -> Located:
    """The place of one kind, "cgroup2" or "cgroup1"; nowhere when no group can be made there.

    Version 1 has a hierarchy for each controller; by default it is that of the freezer, where trees are kept.
    """
    if kind in mask.taken_away():
        return Located(None, "", f"taken away by {mask.VARIABLE}")
    path = own_directory(kind, _read("/proc/self/mountinfo").decode(), _read("/proc/self/cgroup").decode(), controller)
    if path is None:
        return Located(None, "", "not mounted, or not where this process is in it")
    for needed in (path, path + "/cgroup.procs"):
        if not os.access(needed, os.W_OK):
            return Located(None, "", f"{needed} is not writable")
    return Located(kind, path, "")


def own_directory(kind: str, mountinfo: str, own: str, controller: str = "freezer") -> str | None:
    """The directory of our own cgroup; None when the hierarchy is not mounted, or not where we are in it.

    Args:
        kind: "cgroup2", or "cgroup1" for the hierarchy of its ``controller``.
        mountinfo: /proc/self/mountinfo.
        own: /proc/self/cgroup.
        controller: as version 1 names it.
    """
    ours = None
    for line in own.splitlines():
        hierarchy, controllers, path = line.split(":", 2)
        if (hierarchy == "0") if kind == "cgroup2" else (controller in controllers.split(",")):
            ours = path
    if ours is None:
        return None
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        root, mount_point = (_unescaped(field) for field in before.split()[3:5])
        filesystem, _, options = after.split(" ", 2)
        is_its_v1 = filesystem == "cgroup" and controller in options.split(",")
        if filesystem == "cgroup2" if kind == "cgroup2" else is_its_v1:
            inside = root.rstrip("/") + "/"
            if (ours + "/").startswith(inside):
                return os.path.join(mount_point, ours[len(inside) :]).rstrip("/")
    return None


def _unescaped(field: str) -> str:
    """Spaces and the like are written in octal in mountinfo."""
    return field.encode().decode("unicode_escape") if "\\" in field else field


def _read(path: str, reader: Callable[[str], bytes] = read_file) -> bytes:
    """The file's text; empty when the group does not exist (any more)."""
    try:
        return reader(path)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENODEV):
            return b""
        raise translated(error, "read", f"read {path}") from error


def _write(path: str, text: str) -> bool:
    """Write to a control file; False when there is no such file, or it does not do this (EOPNOTSUPP)."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, text.encode())
        finally:
            os.close(fd)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENODEV, errno.EOPNOTSUPP):
            return False
        raise translated(error, "write", f"write {path}") from error
    return True
