"""Resource limits of all that a worker starts: written to cgroup v2, or to version 1 hierarchies where those are there.

A controller is in one hierarchy at a time: what a version 1 hierarchy has, version 2 lacks. On version 2 the limits are
files of the worker's own group, once its parents pass the controller on. On version 1 the worker gets a directory in
each hierarchy that it needs, and enters them before exec. Imported when a service asks for resources.
"""

import errno
import os
from collections.abc import Callable
from contextlib import suppress

from pidward.core.lean import NamedTuple
from pidward.core.spec import Resources
from pidward.kernel.cgroup import GroupV1, look_for
from pidward.kernel.errors import KernelError
from pidward.kernel.procfs import own_children

_PERIOD = 100_000  # microseconds; cpu_max is a share of it
_MEMORY_AND_SWAP = "memory.memsw.limit_in_bytes"


class Refusal(NamedTuple):
    """One limit that cannot be granted: its key in Resources, and why and what to do, to follow a colon."""

    key: str
    why: str


class _Knob(NamedTuple):
    """One limit: where it is written, how, and what stands there when nobody asked for it."""

    key: str
    controller: str
    file: str
    text: Callable[[Resources], str]
    default: str


def _number(value: float | None, infinite: str) -> str:
    return infinite if value is None or value < 0 else str(int(value))


def _quota(cpu_max: float | None, infinite: str) -> str:
    return infinite if cpu_max is None or cpu_max < 0 else str(max(1000, round(cpu_max * _PERIOD)))


def _with_swap(wanted: Resources) -> str:
    """Version 1 limits the sum."""
    memory, swap = wanted.memory_max or 0, wanted.memory_swap_max or 0
    return "-1" if memory < 0 or swap < 0 else str(memory + swap)


def _bfq(weight: int | None) -> str:
    """From 1 to 10000 to its 1 to 1000, 100 being usual in both."""
    weight = 100 if weight is None else weight
    return str(weight if weight <= 100 else 100 + (weight - 100) * 900 // 9900)


_V2 = (
    _Knob("memory_max", "memory", "memory.max", lambda r: _number(r.memory_max, "max"), "max"),
    _Knob("memory_high", "memory", "memory.high", lambda r: _number(r.memory_high, "max"), "max"),
    _Knob("memory_swap_max", "memory", "memory.swap.max", lambda r: _number(r.memory_swap_max, "max"), "max"),
    _Knob("pids_max", "pids", "pids.max", lambda r: _number(r.pids_max, "max"), "max"),
    _Knob("cpu_weight", "cpu", "cpu.weight", lambda r: str(r.cpu_weight), "100"),
    _Knob("cpu_max", "cpu", "cpu.max", lambda r: f"{_quota(r.cpu_max, 'max')} {_PERIOD}", f"max {_PERIOD}"),
    _Knob("io_weight", "io", "io.weight", lambda r: f"default {r.io_weight}", "default 100"),
    _Knob("io_weight", "io", "io.bfq.weight", lambda r: _bfq(r.io_weight), "100"),
)
_V1 = (
    _Knob("memory_max", "memory", "memory.limit_in_bytes", lambda r: _number(r.memory_max, "-1"), "-1"),
    _Knob("memory_swap_max", "memory", _MEMORY_AND_SWAP, _with_swap, "-1"),
    _Knob("pids_max", "pids", "pids.max", lambda r: _number(r.pids_max, "max"), "max"),
    _Knob("cpu_weight", "cpu", "cpu.shares", lambda r: str(max(2, (r.cpu_weight or 100) * 1024 // 100)), "1024"),
    _Knob("cpu_max", "cpu", "cpu.cfs_quota_us", lambda r: _quota(r.cpu_max, "-1"), "-1"),
    _Knob("io_weight", "blkio", "blkio.bfq.weight", lambda r: _bfq(r.io_weight), "100"),
    _Knob("io_weight", "blkio", "blkio.weight", lambda r: str(min(1000, max(10, (r.io_weight or 100) * 5))), "500"),
)
"""In the order of Resources, in which they are written. Two of one key: whichever file this kernel has."""


class _Unavailable(Exception):
    """This limit cannot be had; the message says why and what to do."""


class Controllers:
    """The limits of one supervisor's workers, each named by its directory, "web.1". Owns directories on version 1."""

    def __init__(self, path: str | None, base: str) -> None:
        """Nothing is touched before the first limit.

        Args:
            path: our own cgroup v2 directory, or None where we can make no groups there.
            base: the directory in it, and in version 1 hierarchies, that the workers' are in.
        """
        self._path, self._base = path, base
        self._there = frozenset(_read(f"{path}/cgroup.controllers").split()) if path else frozenset()
        self._enabled: list[str] = []  # by us, in our own cgroup
        self._left_it = False
        self._limited: dict[str, frozenset[str]] = {}  # which keys
        self._entered: dict[str, dict[str, str]] = {}  # the version 1 directories of a worker by controller
        self._made: set[str] = set()  # all of these that we know to be new

    def limit(self, name: str, wanted: Resources, is_running: bool = False) -> list[Refusal]:
        """Write all limits of one worker whose group exists; those that are no longer asked for become the default.

        Args:
            name: of its directory.
            wanted: the limits.
            is_running: it has processes, so what needs another hierarchy comes with its next start.

        Returns:
            What is refused; all else is granted.
        """
        asked = frozenset(key for key in Resources._fields if getattr(wanted, key) is not None)
        had = self._limited.get(name, frozenset())
        entered = self._entered.get(name, {})
        self._limited[name], self._entered[name] = asked, {}
        refusals = []
        for key in Resources._fields:
            if key in asked or key in had:
                try:
                    self._set(name, key, wanted, key in asked)
                    if is_running and not self._entered[name].keys() <= entered.keys():
                        entered = self._entered[name] | entered
                        raise _Unavailable("cgroup version 1 takes in no running processes: it comes with a restart")
                except (_Unavailable, KernelError) as error:
                    if key in asked:
                        refusals.append(Refusal(key, str(error)))
        return refusals

    def joins(self, name: str) -> tuple[str, ...]:
        """The version 1 directories that processes of this worker have to enter."""
        return tuple(self._entered.get(name, {}).values())

    def forget(self, name: str) -> None:
        """The worker is gone: its directories go, too."""
        self._limited.pop(name, None)
        for directory in self._entered.pop(name, {}).values():
            self._made.discard(directory)
            with suppress(KernelError):  # what still lives there keeps it; ``close`` tries again
                GroupV1(directory).remove()

    def close(self) -> None:
        """The end: give back all that was made. The groups on version 2 must be gone already."""
        for controller in sorted({knob.controller for knob in _V1}):
            there = look_for("cgroup1", controller)
            with suppress(KernelError):
                if there.kind:
                    GroupV1(f"{there.path}/{self._base}").remove()
        with suppress(OSError):
            for controller in self._enabled:
                _write(f"{self._path}/cgroup.subtree_control", f"-{controller}")
            if self._left_it:
                self._move(f"{self._path}/{self._base}.supervisor", f"{self._path}")
                os.rmdir(f"{self._path}/{self._base}.supervisor")

    # --- one limit

    def _set(self, name: str, key: str, wanted: Resources, is_asked: bool) -> None:
        directory, knobs = self._where(name, key, wanted)
        if key == "memory_max":
            with suppress(OSError):  # which may never be below it; memory_swap_max comes next
                _write(f"{directory}/{_MEMORY_AND_SWAP}", "-1")
        for knob in knobs:
            text = knob.text(wanted) if is_asked else knob.default
            try:
                _write(f"{directory}/{knob.file}", text)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise _Unavailable(f"{text!r} in {directory}/{knob.file}: {error.strerror}") from error
            return
        raise _Unavailable(f"this kernel has no {' and no '.join(knob.file for knob in knobs)}")

    def _where(self, name: str, key: str, wanted: Resources) -> tuple[str, list[_Knob]]:
        """The directory of the limit, ready to be written to, and the files that may hold it."""
        knobs = [knob for knob in _V2 if knob.key == key]
        if knobs[0].controller in self._there:
            self._enable(knobs[0].controller)
            return f"{self._path}/{self._base}/{name}", knobs
        missing = f"there is no {knobs[0].controller} controller here"
        knobs = [knob for knob in _V1 if knob.key == key]
        if not knobs:
            raise _Unavailable(f"{missing}, and cgroup version 1 has no such limit")
        if key == "memory_swap_max" and wanted.memory_max is None:
            raise _Unavailable("cgroup version 1 limits memory and swap as a sum: set memory_max, too")
        place = look_for("cgroup1", knobs[0].controller)
        if not place.kind:
            what = "give pidward a cgroup of its own that has it, as with systemd's Delegate=yes"
            raise _Unavailable(f"{missing} (version 1: {place.why}); {what}")
        group = GroupV1(f"{place.path}/{self._base}/{name}")
        if group.path not in self._made:
            with suppress(KernelError):  # a supervisor that died here may have left it, with limits of its own
                group.remove()
            self._made.add(group.path)
        group.create()
        self._entered[name][knobs[0].controller] = group.path
        return group.path, knobs

    # --- version 2: controllers are passed on from parent to child

    def _enable(self, controller: str) -> None:
        assert self._path is not None
        for directory in (self._path, f"{self._path}/{self._base}"):
            if controller in _read(f"{directory}/cgroup.subtree_control").split():
                continue
            try:
                self._pass_on(directory, controller)
            except OSError as error:
                raise _Unavailable(f"{directory} does not pass on {controller}: {error.strerror}") from error
            if directory == self._path:
                self._enabled.append(controller)

    def _pass_on(self, directory: str, controller: str) -> None:
        """A group that passes controllers on may hold no processes itself, unless it is the root."""
        try:
            _write(f"{directory}/cgroup.subtree_control", f"+{controller}")
        except OSError as error:
            if error.errno != errno.EBUSY or directory != self._path or self._left_it:
                raise
            self._leave_own_group(self._path)
            _write(f"{directory}/cgroup.subtree_control", f"+{controller}")

    def _leave_own_group(self, path: str) -> None:
        """Go into a group beside the workers', with those of our children that are in ours."""
        strangers = set(_read(f"{path}/cgroup.procs").split()) - {str(os.getpid()), *map(str, own_children())}
        if strangers:
            raise _Unavailable(
                f"other processes than pidward's live in {path} (such as {min(strangers)}), which may have none when "
                "its children are limited; give pidward a cgroup of its own, as with systemd's Delegate=yes"
            )
        aside = f"{path}/{self._base}.supervisor"
        os.makedirs(aside, exist_ok=True)
        self._move(path, aside)
        self._left_it = True

    def _move(self, source: str, target: str) -> None:
        """Children first; a child's number is its own until we reap it, and nobody reaps meanwhile."""
        ours = frozenset(map(str, own_children()))
        for number in (*(n for n in _read(f"{source}/cgroup.procs").split() if n in ours), "0"):
            with suppress(ProcessLookupError):
                _write(f"{target}/cgroup.procs", number)


def _read(path: str) -> str:
    with open(path, encoding="ascii") as file:
        return file.read()


def _write(path: str, text: str) -> None:
    """Raises OSError; the file must be there."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)
