"""Starting programs: in their cgroup, held by pidfd from the first moment, exec errors exact.

Two rungs with the same behaviour. The native one uses clone3 (see native/birth.h): neither memory nor the descriptor
table of this process is copied, about 50 us a process whatever our size. The pure-Python one (``spawn_python``) runs
a Python program that does all steps, about 10 ms, and needs no compiler.
"""

import fcntl
import os
from collections.abc import Sequence

from pidward.core.lean import Protocol, cast
from pidward.kernel.mask import taken_away
from pidward.kernel.pidfd import Pidfd
from pidward.kernel.plan import Failure, Gate, Ids, Plan, Started

try:
    from pidward.kernel import _spawn
except ImportError:
    _IS_BUILT = False
else:
    _IS_BUILT = True

__all__ = ["Failure", "Gate", "Ids", "Plan", "Prepared", "Spawner", "Started", "native_is_built"]

ALL_CAPABILITIES = 2**64 - 1
SHIM = os.fsencode(os.path.join(os.path.dirname(os.path.dirname(__file__)), "native", "shim"))
_REFUSABLE = ("limits", "nice", "oom_score_adj")  # what the native part sets itself, as numbered in birth.h
_NO_GATE, _OPEN_GATE, _CLOSED_GATE = range(3)


class Prepared(Protocol):
    """A plan made ready by ``Spawner.prepare``, for that spawner only; serves any number of spawns."""


class _Rung(Protocol):
    def prepare(self, plan: Plan) -> Prepared: ...
    def spawn(self, batch: Sequence[Prepared], threads: int) -> list[Started | Failure]: ...
    def close(self) -> None: ...


def native_is_built() -> bool:
    """The extension and the shim are both there."""
    return _IS_BUILT and os.access(SHIM, os.X_OK)


def _granted() -> tuple[bool, bool]:
    """Whether clone3 can be used here, and whether it can place a child into a cgroup."""
    masked = taken_away()
    if not native_is_built() or not masked.isdisjoint({"native", "clone3"}):
        return False, False
    can_spawn, can_place = _spawn.granted()
    return can_spawn, can_place and "clone_into_cgroup" not in masked


class Spawner:
    """Starts processes. One call at a time; owns two descriptors on the native rung.

    Takes the native rung where it is built and the kernel grants clone3 and close_range (Linux 5.9), which it finds
    out by trying. Where clone3 cannot place a child into its cgroup (before 5.7), the shim enters it before exec.

    Make it early, while descriptor numbers are low, and after the last signal was set to be ignored: what is ignored
    now is set back to its default in the children.

    Args:
        native: False takes the pure-Python rung in any case.
        into_cgroup: False lets the shim enter the cgroup in any case.
    """

    def __init__(self, *, native: bool = True, into_cgroup: bool = True) -> None:
        can_spawn, can_place = _granted()
        self._rung: _Rung
        if native and can_spawn:
            self._rung = _Native(into_cgroup and can_place)
        else:
            from pidward.kernel.spawn_python import PythonRung  # noqa: PLC0415 - most never need it

            self._rung = PythonRung()

    def prepare(self, plan: Plan) -> Prepared:
        """Make a plan ready, once for all its spawns. ValueError when a string has a NUL byte."""
        return self._rung.prepare(plan)

    def spawn(self, batch: Sequence[Prepared], threads: int = 1) -> list[Started | Failure]:
        """Start one process for each of the batch.

        Blocks until each is in execve, past what can fail, or at its gate, but lets other threads run; for some
        microseconds more /proc/PID/cmdline and environ may read empty. On the pure-Python rung it does not wait for
        anything, and every ``Started`` has a gate, opened at once if the plan was not gated; so have plans with
        join, ids, or attributes named after them on the native rung.

        Args:
            batch: each at most once.
            threads: to share a large batch among, up to 9; the pure-Python rung uses one.

        Returns:
            In the order of the batch. A Failure left nothing behind, neither process nor descriptor.

        Raises:
            ValueError: one was named twice.

        Kernel: clone3 5.3, CLONE_INTO_CGROUP 5.7, close_range 5.9; posix_spawn and pidfd_open 5.3 otherwise.
        """
        return self._rung.spawn(batch, threads)

    def close(self) -> None:
        """Close what this owns; the processes are not touched."""
        self._rung.close()


class _Native:
    """clone3, with the shim behind it for plans that change rights, enter v1 cgroups or wait."""

    def __init__(self, into_cgroup: bool) -> None:
        self._into_cgroup = into_cgroup
        self._ignored = _spawn.ignored()
        # A gate reaches the child on a low descriptor, because the child copies the table up to it.
        self._placeholder = os.open("/dev/null", os.O_PATH | os.O_CLOEXEC)
        self._reserved = fcntl.fcntl(self._placeholder, fcntl.F_DUPFD_CLOEXEC, 3)

    def prepare(self, plan: Plan) -> Prepared:
        plan = plan.with_known_names()
        path, argv, gate = plan.path, plan.argv, _NO_GATE
        gate_number = 1 + max((number for number, _ in plan.descriptors), default=2)
        born_in, join = plan.cgroup or b"", plan.join
        if born_in and not self._into_cgroup:
            born_in, join = b"", (born_in, *join)
        attributes = _attributes(plan)
        if plan.gated or attributes or join:
            argv = (b"pidward-shim", b"%d" % gate_number, *join, b"", *attributes, b"", path, *argv)
            path, gate = SHIM, _CLOSED_GATE if plan.gated else _OPEN_GATE
        optional = sum(1 << i for i, stage in enumerate(_REFUSABLE) if stage in plan.optional)
        score = b"" if plan.oom_score_adj is None else b"%d" % plan.oom_score_adj
        return _spawn.Prepared(
            path, argv, plan.env, plan.cwd or b"", plan.umask, plan.stdin, plan.stdout, plan.stderr,
            plan.limits, plan.nice, score, born_in, plan.descriptors, gate, gate_number,
            optional,
        )  # fmt: skip

    def spawn(self, batch: Sequence[Prepared], threads: int) -> list[Started | Failure]:
        ours = cast("Sequence[_spawn.Prepared]", batch)
        return [_outcome(raw) for raw in _spawn.spawn(ours, threads, self._reserved, self._placeholder, self._ignored)]

    def close(self) -> None:
        os.close(self._reserved)
        os.close(self._placeholder)


def _attributes(plan: Plan) -> list[bytes]:
    """What the shim has to set, spelled as it reads it."""
    words: list[bytes] = []

    def add(name: str, *numbers: int, stage: str = "") -> None:
        mark = "?" if (stage or name) in plan.optional else ""
        words.append(" ".join((name + mark, *map(str, numbers))).encode())

    if plan.scheduler is not None:
        add("scheduler", *plan.scheduler)
    if plan.cpu_affinity:
        add("cpu_affinity", *plan.cpu_affinity)
    if plan.io_priority is not None:
        add("io_priority", plan.io_priority)
    if plan.capabilities is not None or plan.ambient:
        add("capabilities", ALL_CAPABILITIES if plan.capabilities is None else plan.capabilities, plan.ambient)
    if plan.ids is not None:
        add("ids", plan.ids.uid, plan.ids.gid, *plan.ids.groups)
    if plan.ambient:
        add("ambient", plan.ambient, stage="capabilities")
    if plan.no_new_privileges:
        add("no_new_privileges")
    return words


def _outcome(
    raw: tuple[str, int] | tuple[int, int, str, int] | tuple[int, int, str, int, int, int, int],
) -> Started | Failure:
    if len(raw) == 2:
        return Failure(*raw)
    pid, pidfd, invocation, gate = raw[:4]
    refused: tuple[Failure, ...] = ()
    if len(raw) == 7:
        refused = tuple(Failure(stage, error) for stage, error in zip(_REFUSABLE, raw[4:], strict=True) if error)
    return Started(Pidfd.take(pidfd, pid), invocation, Gate(gate) if gate >= 0 else None, refused)
