"""Which attendants a configuration needs. Each is imported and made when the first service needs it, and then stays."""

from collections.abc import Callable

from pidward.core.actions import Record
from pidward.core.model import WorkerName
from pidward.core.spec import Configuration, ProbeKind, ServiceSpec, ServiceType
from pidward.runtime.attendant import Attendant, Equipment, Surroundings
from pidward.runtime.seat import Seat


class Attendants:
    """All attendants of a supervisor, as one."""

    def __init__(self, surroundings: Surroundings) -> None:
        self.surroundings = surroundings
        self._here: dict[str, Attendant] = {}

    def configured(self, configuration: Configuration) -> None:
        """Make those that are needed now, and tell all of the configuration. What making one raises goes on."""
        for name, (is_needed, make) in _KINDS.items():
            if name not in self._here and any(map(is_needed, configuration.services)):
                self._here[name] = make(self.surroundings)
        for attendant in self._here.values():
            attendant.configured(configuration)

    def equip(self, name: WorkerName, spec: ServiceSpec) -> Equipment:
        """What all of them give a worker's processes."""
        given = [attendant.equip(name, spec) for attendant in self._here.values()]
        env, descriptors, listen = (sum(parts, ()) for parts in zip(*given, strict=True)) if given else ((), (), ())
        return Equipment(env, descriptors, listen)

    def followed(self, record: Record, seat: Seat) -> None:
        """A worker's transition, to each of them."""
        for attendant in self._here.values():
            attendant.followed(record, seat)

    def status_of(self, name: WorkerName) -> str:
        """What a worker's program says of itself; empty when nothing."""
        notify = self._here.get("notify")
        if notify is None:
            return ""
        from pidward.runtime.notify import Notify  # noqa: PLC0415 - it is there already

        assert isinstance(notify, Notify)
        return notify.status_of(name)

    def close(self) -> None:
        """The supervisor ends."""
        while self._here:
            self._here.popitem()[1].close()
        while self.surroundings.commands:
            self.surroundings.commands.pop().close()


def _sockets(surroundings: Surroundings) -> Attendant:
    from pidward.runtime.sockets import Sockets  # noqa: PLC0415 - and so below: only when a service needs it

    return Sockets(surroundings)


def _notify(surroundings: Surroundings) -> Attendant:
    from pidward.runtime.notify import Notify  # noqa: PLC0415

    return Notify(surroundings)


def _probes(surroundings: Surroundings) -> Attendant:
    from pidward.runtime.probes import Probes  # noqa: PLC0415

    return Probes(surroundings)


def _schedules(surroundings: Surroundings) -> Attendant:
    from pidward.runtime.schedules import Schedules  # noqa: PLC0415

    return Schedules(surroundings)


def _has_sockets(spec: ServiceSpec) -> bool:
    return bool(spec.execution.sockets)


def _is_heard(spec: ServiceSpec) -> bool:
    by_fd = spec.ready is not None and spec.ready.kind is ProbeKind.FD
    return spec.notifies or by_fd or spec.type is ServiceType.FORKING


def _is_probed(spec: ServiceSpec) -> bool:
    return spec.alive is not None or (
        spec.ready is not None and (spec.ready.repeats or spec.ready.kind is ProbeKind.LOG)
    )


def _is_scheduled(spec: ServiceSpec) -> bool:
    return spec.schedule is not None


_KINDS: dict[str, tuple[Callable[[ServiceSpec], bool], Callable[[Surroundings], Attendant]]] = {
    "sockets": (_has_sockets, _sockets),  # first: its descriptors are the first from 3 on
    "notify": (_is_heard, _notify),
    "probes": (_is_probed, _probes),
    "schedules": (_is_scheduled, _schedules),
}
