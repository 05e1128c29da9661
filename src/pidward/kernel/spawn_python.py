"""The rung without a compiler: posix_spawn of a Python program that does every step and answers like the shim.

Our memory is not copied (posix_spawn is vfork-like), but the descriptor table is, and a Python interpreter starts for
each process. All failures but "clone" come through the gate.

One difference remains: glibc's posix_spawn leaves signals 32 and 33, which it keeps for its own threads, ignored. A
program that uses threads sets them anew.
"""

import marshal
import os
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import ExitStack

from pidward.core.lean import TYPE_CHECKING, Any, cast
from pidward.kernel.errors import KernelError
from pidward.kernel.pidfd import Pidfd
from pidward.kernel.plan import Failure, Gate, Plan, Started

if TYPE_CHECKING:
    from pidward.kernel.spawn import Prepared

PYSHIM = os.path.join(os.path.dirname(__file__), "pyshim.py")
_INVOCATION = b"INVOCATION_ID="


class PythonRung:
    """Starts processes without the native part; see ``spawn.Spawner`` for the contract."""

    def prepare(self, plan: Plan) -> "Prepared":
        """A copy of the plan, as it is as ready as it can be; only what exec would refuse is refused now."""
        if any(b"\0" in text for text in (plan.path, *plan.argv, *plan.env)):
            raise ValueError("embedded null byte")
        return plan.with_known_names()._replace()

    def spawn(self, batch: Sequence["Prepared"], threads: int) -> list[Started | Failure]:
        """Start one after the other."""
        if len({id(prepared) for prepared in batch}) < len(batch):
            raise ValueError("a Prepared may be in one batch at a time, and once")
        return [_spawn(cast("Plan", prepared)) for prepared in batch]

    def close(self) -> None:
        """Owns nothing."""


def _spawn(plan: Plan) -> Started | Failure:
    plan, invocation = _with_new_invocation(plan)
    for _, fd in plan.descriptors:
        try:
            os.fstat(fd)
        except OSError as error:
            return Failure("descriptors", error.errno or 0)
    try:
        pid, gate = _start(plan)
        pidfd = Pidfd.open(pid)  # not reaped, so the number is its own
    except (OSError, KernelError) as error:
        return Failure("clone", error.errno or 0)
    if not plan.gated:
        gate.open()
    return Started(pidfd, invocation, gate)


def _start(plan: Plan) -> tuple[int, Gate]:
    """Start the shim; its end of the gate and its plan travel as descriptors.

    Both are closed before this returns, so that a pidfd can be opened even where descriptors have run out.
    """
    with ExitStack() as stack, ExitStack() as undo:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        undo.enter_context(ours)
        gate_fd = stack.enter_context(theirs).fileno()
        plan_fd = os.memfd_create("pidward-plan")
        stack.callback(os.close, plan_fd)
        _write_all(plan_fd, marshal.dumps(_plain(plan)))
        command = [sys.executable, "-I", "-S", PYSHIM, str(gate_fd), str(plan_fd)]
        passed = (fd for _, fd in plan.descriptors)
        inherited = [(os.POSIX_SPAWN_DUP2, fd, fd) for fd in (gate_fd, plan_fd, *passed)]
        pid = os.posix_spawn(  # noqa: TID251 - this is the place
            command[0], command, os.environ, file_actions=inherited, setsigmask=(), setsigdef=signal.valid_signals()
        )
        undo.pop_all()
        ours.setblocking(False)
        return pid, Gate(ours.detach())


def _plain(plan: Plan) -> tuple[Any, ...]:
    """The plan as marshal takes it: tuples without names."""
    return tuple(tuple(field) if isinstance(field, tuple) else field for field in plan)


def _write_all(fd: int, data: bytes) -> None:
    """A memfd takes all at once but for more than 2 GiB."""
    assert os.write(fd, data) == len(data)
    os.lseek(fd, 0, os.SEEK_SET)


def _with_new_invocation(plan: Plan) -> tuple[Plan, str]:
    if not any(entry.startswith(_INVOCATION) for entry in plan.env):
        return plan, ""
    invocation = os.urandom(16).hex()
    own = _INVOCATION + invocation.encode()
    env = tuple(own if entry.startswith(_INVOCATION) else entry for entry in plan.env)
    return plan._replace(env=env), invocation
