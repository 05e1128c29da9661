"""Parts that join a supervisor at work: probes, sd_notify, sockets, schedules.

Each registers with the loop, watches transitions, equips new processes, and tells the core what it finds by feeding
events. None is imported before a configuration needs it.
"""

from collections.abc import Callable

from pidward.core.actions import Record
from pidward.core.events import Event
from pidward.core.lean import NamedTuple, Protocol
from pidward.core.model import EventRow, ExitStatus, Worker, WorkerName
from pidward.core.spec import Configuration, ServiceSpec
from pidward.kernel.pidfd import Pidfd
from pidward.kernel.spawn import Spawner
from pidward.runtime.loop import Loop
from pidward.runtime.seat import Seat
from pidward.runtime.trees import Trees


class Equipment(NamedTuple):
    """What the processes of one worker are given beyond their plan.

    env: variables, over those of the configuration.
    descriptors: (number in the worker, our descriptor), the second borrowed until the next ``equip``.
    listen: (name, our descriptor) of what is passed as LISTEN_FDS; several attendants' are numbered together.
    """

    env: tuple[tuple[str, str], ...] = ()
    descriptors: tuple[tuple[int, int], ...] = ()
    listen: tuple[tuple[str, int], ...] = ()


Successor = Callable[[Seat, ExitStatus], Pidfd | None]
"""Who is the main process now that the one in the seat has ended thus; None: nobody. The handle is the caller's."""


class Closable(Protocol):
    """Something that must not outlive the supervisor."""

    def close(self) -> None:
        """End it, and wait until nothing of it is left."""


class Surroundings(NamedTuple):
    """What an attendant may use; all of it belongs to the supervisor and outlives the attendant."""

    loop: Loop
    spawner: Spawner
    trees: Trees
    nofile: tuple[int, int]  # the limit that workers start with
    feed: Callable[[Event], None]  # not from within ``followed`` or ``equip``: use ``loop.call_soon``
    note: Callable[..., None]  # note(kind, worker or None, sentence, **data): an event that is no transition
    seat: Callable[[WorkerName], Seat | None]
    worker: Callable[[WorkerName], Worker | None]  # None for a worker that is not known
    spec: Callable[[WorkerName], ServiceSpec]  # KeyError for a worker that is not known
    subscribe: Callable[[Callable[[EventRow], None]], Callable[[], None]]
    prepare_again: Callable[[str], None]  # the equipment of this service changed: ask for it before the next start
    change_main: Callable[[WorkerName, Pidfd], bool]  # to a process proved to be of its tree; takes the handle
    succeed_by: Callable[[Successor], None]  # ask this, from now on, before the end of a main process counts
    inherit_orphans: Callable[[], None]  # daemons become our children when their parents end, and are reaped
    survivors: Callable[[str], list[Pidfd]]  # of a service: main processes that an earlier supervisor left; borrowed
    commands: set[Closable]  # that run for workers; closed when the supervisor ends
    instance: str
    runtime_dir: str
    state_dir: str


class Attendant(Protocol):
    """One such part. Its methods are called in the loop's thread and must not wait."""

    def configured(self, configuration: Configuration) -> None:
        """A configuration is in force, the first or a new one; called before anything of it is started."""

    def equip(self, name: WorkerName, spec: ServiceSpec) -> Equipment:
        """Say what a worker's processes are given; asked when its plan is made, not at each start.

        Raises runtime.plan.PlanError when that cannot be had; the start has failed then, and is tried again by policy.
        """

    def followed(self, record: Record, seat: Seat) -> None:
        """A worker's transition; what the core asks for because of it comes after this.

        ``seat.pidfd`` is there while the main process lives, and is borrowed.
        """

    def close(self) -> None:
        """The supervisor ends: give everything back."""
