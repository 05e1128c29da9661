"""Words for scripted lives."""

from collections.abc import Callable

from pidward.core import events as on
from pidward.core.model import ProcessId, WorkerName
from pidward.core.spec import (
    Condition,
    Configuration,
    Dependency,
    Execution,
    GroupSpec,
    Probe,
    ProbeKind,
    RestartPolicy,
    RestartWhen,
    ServiceSpec,
    ServiceType,
)
from pidward.testing.simulation import Behaviour, Simulation

NOTIFY = Probe(ProbeKind.NOTIFY)
ONCE = RestartPolicy(policy=RestartWhen.NEVER)


def service(name: str = "web", /, *needs: str, **keys: object) -> ServiceSpec:
    """``needs``: "db", or "migrate:completed"."""
    depends_on = tuple(need(text) for text in needs)
    return ServiceSpec(name, Execution((name,)), **{"depends_on": depends_on, **keys})  # type: ignore[arg-type]


def need(text: str) -> Dependency:
    name, _, condition = text.partition(":")
    return Dependency(name, Condition(condition or "ready"))


def job(name: str = "job", /, *needs: str, **keys: object) -> ServiceSpec:
    return service(name, *needs, **{"type": ServiceType.ONESHOT, "restart": ONCE, **keys})


def policy(**keys: object) -> RestartPolicy:
    return RestartPolicy(**{"jitter": 0.0, **keys})  # type: ignore[arg-type]


def by_name(**behaviours: Behaviour) -> Callable[[WorkerName, int], Behaviour]:
    """Each service behaves as said, the others live for ever."""
    return lambda name, _start: behaviours.get(name.service, Behaviour())


def name(text: str) -> WorkerName:
    return WorkerName.parse(text)


def process(life: Simulation, worker: str) -> ProcessId:
    found = life.worker(worker).process
    assert found is not None
    return found


def order(life: Simulation, phase: str) -> list[str]:
    """Which workers came into a phase, in order of time."""
    return [str(r.worker) for _, r in life.records if r.after is not None and r.after.value == phase]


def start(life: Simulation, worker: str) -> Simulation:
    life.tell(on.StartAsked(name(worker), "anna"))
    return life


def stop(life: Simulation, worker: str, *, at_once: bool = False) -> Simulation:
    life.tell(on.StopAsked(name(worker), "anna", at_once))
    return life


def reload(life: Simulation, *services: ServiceSpec, groups: tuple[GroupSpec, ...] = ()) -> Simulation:
    life.tell(on.Reconfigured(Configuration(services, groups=groups), "anna"))
    return life


def shows(life: Simulation, **phases: str | list[str]) -> None:
    """Compare phases, ``web="ready"`` or ``web=["ready", "failed"]`` for several workers; errors show the reasons."""
    for service_name, expected in phases.items():
        workers = [w for n, w in life.core.workers.items() if n.service == service_name]
        found = [worker.phase.value for worker in workers]
        wanted = [expected] if isinstance(expected, str) else expected
        assert found == wanted, [f"{w.name} {w.phase.value}: {w.reason}" for w in life.core.workers.values()]
