"""Sockets of services: bound once, given to every worker, kept over restarts and reloads.

A client that connects while a worker is being replaced waits in the socket's queue and is refused by nobody.
"""

import os
from collections.abc import Callable
from functools import partial

from pidward.core.actions import Record
from pidward.core.events import Demanded
from pidward.core.model import Phase, WorkerName
from pidward.core.spec import Configuration, ServiceSpec, SocketKind, SocketSpec
from pidward.core.units import Instant
from pidward.kernel.sockets import Listener, Owner
from pidward.runtime.attendant import Equipment, Surroundings
from pidward.runtime.loop import READ, Timer, Watch
from pidward.runtime.plan import PlanError, ids_of
from pidward.runtime.seat import Seat

PAUSE = 0.1
"""Seconds between two starts on demand. Who ends without taking the connection would be started without end; the client
waits in the queue."""

_Key = tuple[SocketKind, str, int]


class Sockets:
    """An Attendant. Owns the sockets."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._surroundings = surroundings
        self._bound: dict[_Key, tuple[Listener, SocketSpec]] = {}
        self._on_demand: dict[str, _Doorkeeper] = {}

    def configured(self, configuration: Configuration) -> None:
        """Bind what is new, close what is gone, and leave the rest as it is.

        What cannot be bound now is tried again at each start of its service, which fails with the reason until then.
        """
        waiting = self._leave_doors()  # before what they watch is closed
        specs = {_key(s): (s, service) for service in configuration.services for s in service.execution.sockets}
        for key in [key for key in self._bound if key not in specs]:
            self._bound.pop(key)[0].close()
        for socket, service in specs.values():
            try:
                self._bind(socket, service)
            except PlanError as error:
                self._surroundings.note("sockets", None, f"{service.name}: {error}")
        for service in configuration.services:
            if service.on_demand:
                doors = partial(self._doors, service)
                known = waiting.get(service.name, set())
                self._on_demand[service.name] = _Doorkeeper(self._surroundings, service.name, doors, known)

    def equip(self, name: WorkerName, spec: ServiceSpec) -> Equipment:
        """The sockets of its service, in the order of the configuration."""
        sockets = spec.execution.sockets
        return Equipment(listen=tuple((s.name or name.service, self._bind(s, spec).fileno()) for s in sockets))

    def followed(self, record: Record, seat: Seat) -> None:
        """A service that starts on demand is waiting again, or is up."""
        doorkeeper = self._on_demand.get(record.worker.service)
        if doorkeeper is not None:
            doorkeeper.followed(record)

    def close(self) -> None:
        """Close all of them. Workers that live keep theirs."""
        self._leave_doors()
        while self._bound:
            self._bound.popitem()[1][0].close()

    def _bind(self, spec: SocketSpec, service: ServiceSpec) -> Listener:
        """The bound socket of a spec, bound now if need be. Raises PlanError."""
        held = self._bound.get(_key(spec))
        spec = _owned(spec, service)
        if held is not None and held[1] == spec:
            return held[0]
        try:
            owner = _owner(spec, service)
            if held is not None:
                listener = held[0]
                listener.adjust(spec, Owner(os.geteuid(), os.getegid()) if owner == Owner() else owner)
            else:
                listener = self._taken_back(spec, service, owner) or Listener(spec, owner)
        except OSError as error:
            raise PlanError(_why_not(spec, service, error)) from None
        self._bound[_key(spec)] = listener, spec
        return listener

    def _taken_back(self, spec: SocketSpec, service: ServiceSpec, owner: Owner) -> Listener | None:
        """The socket that workers of an earlier supervisor hold: nobody who waits in its queue is refused."""
        for process in self._surroundings.survivors(service.name):
            listener = Listener.held_by(process, spec)
            if listener is not None:
                self._surroundings.note("sockets", None, f"{show(spec)}: taken back from {process.id}")
                listener.adjust(spec, owner)
                return listener
        return None

    def _doors(self, service: ServiceSpec) -> list[tuple[Listener, SocketSpec]]:
        """Those of its sockets that are bound by now."""
        return [self._bound[_key(s)] for s in service.execution.sockets if _key(s) in self._bound]

    def _leave_doors(self) -> dict[str, set[WorkerName]]:
        """Dismiss the doorkeepers; who of each service waits for a connection."""
        waiting = {}
        while self._on_demand:
            name, doorkeeper = self._on_demand.popitem()
            doorkeeper.close()
            waiting[name] = doorkeeper.waiting
        return waiting


class _Doorkeeper:
    """Waits for the first connection while nobody of the service is up."""

    def __init__(
        self,
        surroundings: Surroundings,
        service: str,
        doors: Callable[[], list[tuple[Listener, SocketSpec]]],
        waiting: set[WorkerName],
    ) -> None:
        self._surroundings, self._service, self._doors, self.waiting = surroundings, service, doors, waiting
        self._watches: list[Watch] = []
        self._knocked = Instant(0.0)
        self._timer: Timer | None = None
        self._look()

    def followed(self, record: Record) -> None:
        if record.after is Phase.WAITING:
            self.waiting.add(record.worker)
        else:
            self.waiting.discard(record.worker)
        self._look()

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._watches:
            self._watches.pop().close()

    def _look(self) -> None:
        loop, soonest = self._surroundings.loop, Instant(self._knocked + PAUSE)
        if not self.waiting:
            self.close()
        elif self._watches or self._timer is not None:
            pass
        elif loop.now() < soonest:
            self._timer = loop.call_at(soonest, self._look_again)
        else:
            for listener, spec in self._doors():
                self._watches.append(loop.watch(listener, READ, self._knocker(spec)))

    def _look_again(self) -> None:
        self._timer = None
        self._look()

    def _knocker(self, spec: SocketSpec) -> Callable[[int], None]:
        def knocked(_events: int) -> None:
            self._knocked = self._surroundings.loop.now()
            self.close()  # readable until somebody accepts: once is enough
            self._surroundings.feed(Demanded(self._service, f"a connection to {show(spec)}"))

        return knocked


def show(spec: SocketSpec) -> str:
    """Print a socket as the configuration writes it."""
    if spec.kind in (SocketKind.UNIX, SocketKind.UNIX_DGRAM):
        return f"{spec.kind.value}://{spec.address}"
    host = f"[{spec.address}]" if ":" in spec.address else spec.address
    return f"{spec.kind.value}://{host}:{spec.port}"


def _key(spec: SocketSpec) -> _Key:
    return spec.kind, spec.address, spec.port


def _owned(spec: SocketSpec, service: ServiceSpec) -> SocketSpec:
    """Say whom the path belongs to: as the socket says, else to the service's own user and group."""
    execution = service.execution
    return spec._replace(user=spec.user or execution.user, group=spec.group or (None if spec.user else execution.group))


def _owner(spec: SocketSpec, service: ServiceSpec) -> Owner:
    ids = ids_of(service._replace(execution=service.execution._replace(user=spec.user, group=spec.group)))
    return Owner() if ids is None else Owner(ids.uid, ids.gid)


def _why_not(spec: SocketSpec, service: ServiceSpec, error: OSError) -> str:
    from errno import EACCES, EADDRINUSE, EADDRNOTAVAIL, errorcode  # noqa: PLC0415 - only when something failed

    number = error.errno or 0
    why = (error.strerror or str(error)).lower()
    what_to_do = {
        EADDRINUSE: "another program has it: stop that one, or choose another address",
        EADDRNOTAVAIL: "this machine has no such address",
        EACCES: "ports below 1024 need root or CAP_NET_BIND_SERVICE" if spec.port else "its directory is closed to us",
    }.get(number, "check it")
    place = dict(service.origins).get("sockets")
    where = f"service.{service.name}.sockets" + (f" at {place}" if place else "")
    code = errorcode.get(number, str(number))
    if spec.kind is SocketKind.UNIX and not os.path.isdir(os.path.dirname(spec.address) or "/"):
        what_to_do = f"make the directory {os.path.dirname(spec.address)} first"
    return f"cannot bind {show(spec)}: {why} ({code}); {what_to_do}; see {where}"
