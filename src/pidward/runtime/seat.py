"""What the kernel holds for one worker: its pidfd, its gate, its tree. Owned here, closed here."""

from pidward.core.lean import Protocol
from pidward.core.model import WorkerName
from pidward.core.spec import LogMode
from pidward.kernel.pidfd import Pidfd
from pidward.kernel.spawn import Failure, Gate, Prepared
from pidward.runtime.loop import Timer, Watch


class Tree(Protocol):
    """All processes of one worker: a cgroup, or what a walk finds."""

    def processes(self) -> list[int]:
        """Numbers of its living processes, for display."""
        ...

    def is_populated(self) -> bool:
        """Somebody lives; zombies do not count."""
        ...

    def kill(self) -> None:
        """SIGKILL all of them."""
        ...

    def renew(self) -> None:
        """Be ready for the next birth, whatever was done to the last ones."""
        ...

    def signal_all(self, number: int) -> set[int]:
        """Signal each of them; returns their numbers."""
        ...

    def open_events(self) -> int | None:
        """A descriptor that tells by EPOLLPRI that ``is_populated`` may have changed, the caller's; or None."""
        ...


class Seat:
    """The place of one worker at the kernel's table; it outlives the processes that sit in it."""

    __slots__ = (
        "emptied_events", "emptied_timer", "emptied_watch", "failure", "gate", "gate_watch", "log_mode", "made", "name",
        "pidfd", "prepared", "timer", "tree", "watch",
    )  # fmt: skip

    def __init__(self, name: WorkerName) -> None:
        self.name = name
        self.prepared: Prepared | None = None  # None: the plan must be made (again) before the next start
        self.log_mode: LogMode | None = None  # the way of its output, which a process cannot change
        self.made = ""  # core.adoption.fingerprint of what the process was started with
        self.tree: Tree | None = None
        self.pidfd: Pidfd | None = None
        self.watch: Watch | None = None
        self.gate: Gate | None = None
        self.gate_watch: Watch | None = None
        self.failure: Failure | None = None  # why the process, which has not ended yet, will not become its program
        self.timer: Timer | None = None  # for Worker.until
        self.emptied_events: int | None = None  # cgroup.events, held only while somebody waits for the end
        self.emptied_watch: Watch | None = None
        self.emptied_timer: Timer | None = None

    def leave(self) -> tuple[Watch, Pidfd]:
        """The process has ended: the seat is free for the next one. The tree stays until it is known to be empty.

        Returns:
            What was held for the process, now the caller's: to be closed in this order after the reap.
        """
        assert self.watch is not None
        assert self.pidfd is not None
        self.close_gate()
        held, self.watch, self.pidfd, self.failure = (self.watch, self.pidfd), None, None, None
        return held

    def close_gate(self) -> None:
        """Nothing more will come through the gate."""
        if self.gate_watch is not None:
            self.gate_watch.close()
            self.gate_watch = None
        if self.gate is not None:
            self.gate.close()
            self.gate = None
