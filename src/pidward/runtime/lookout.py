"""Has a program of our own look at the processes of workers, and takes its answer in the loop."""

import os
import sys
from collections.abc import Callable, Sequence

from pidward.core.model import WorkerName
from pidward.core.signals import SIGKILL
from pidward.core.units import Instant, Seconds
from pidward.kernel.helper import start_helper
from pidward.kernel.wait import reap, wait_exit
from pidward.runtime.attendant import Surroundings
from pidward.runtime.desk import Member
from pidward.runtime.lineage import Asked, pack, read_members
from pidward.runtime.loop import READ
from pidward.runtime.trees import mark_in

PATIENCE = Seconds(10.0)
"""For one look; a machine with ten thousand processes takes about a second."""
MOST_AT_ONCE = 4
_PROGRAM = "import sys; sys.path.insert(0, sys.argv[1]); from pidward.runtime.lineage import main; main()"
_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

Done = Callable[[list[Member] | None], None]


def asked_of(surroundings: Surroundings, name: WorkerName) -> Asked:
    """What the supervisor knows about a worker's processes."""
    seat = surroundings.seat(name)
    if seat is None:
        return Asked(str(name), "", "", "")
    label = surroundings.trees.label(seat.tree) or ""
    mark = mark_in(label)
    main = "" if seat.pidfd is None else str(seat.pidfd.id)
    return Asked(str(name), main, label if mark is None else "", mark or "")


class Look:
    """One look.

    Args:
        surroundings: of the supervisor.
        question: the workers.
        done: called once, never from within the constructor; with None when there was no answer in time.

    Raises:
        KernelError, OSError: the program could not be started.
        ValueError: too many look already.
    """

    def __init__(self, surroundings: Surroundings, question: Sequence[Asked], done: Done) -> None:
        self._surroundings, self._done = surroundings, done
        if sum(isinstance(one, Look) for one in surroundings.commands) >= MOST_AT_ONCE:
            raise ValueError(f"{MOST_AT_ONCE} looks at processes are under way already; try again")
        self._file = open(os.memfd_create("lineage"), "r+b", buffering=0)  # noqa: SIM115 - until the answer is in it
        try:
            self._file.write(pack(question))
            self._process = start_helper((sys.executable, "-I", "-S", "-c", _PROGRAM, _ROOT), self._file.fileno())
        except BaseException:
            self._file.close()
            raise
        surroundings.trees.unreaped.add(self._process.id.pid)
        surroundings.commands.add(self)
        loop = surroundings.loop
        self._watch = loop.watch(self._process, READ, lambda _events: self._ended())
        self._timer = loop.call_at(Instant(loop.now() + PATIENCE), self._time_over)

    def cancel(self) -> None:
        """Nobody wants to know any more; harmless when it is over."""
        self._done = _nobody
        if not self._process.is_closed:
            self._process.signal(SIGKILL)

    def close(self) -> None:
        """The supervisor ends."""
        if not self._process.is_closed:
            self.cancel()
            wait_exit(self._process, PATIENCE)
            self._ended()

    def _time_over(self) -> None:
        self._process.signal(SIGKILL)

    def _ended(self) -> None:
        self._watch.close()
        self._timer.cancel()
        with self._process as process, self._file as file:
            status = reap(process)
            self._surroundings.trees.reaped(process.id)
            file.seek(0)
            text = file.read() if status is not None and status.code == 0 else None
        self._surroundings.commands.discard(self)
        self._done(None if text is None else read_members(text))


def _nobody(_members: list[Member] | None) -> None:
    """Hears nothing."""
