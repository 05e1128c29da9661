"""Limits and rights of real workers: at birth, changed in place, and what is said when they cannot be had."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pidward.core.model import Phase
from pidward.core.spec import Configuration, IoPriority, Resources, Scheduler, ServiceSpec
from pidward.core.units import Bytes
from pidward.kernel.cgroup import Located, look_for
from pidward.kernel.spawn import native_is_built
from tests.runtime.bench import Bench, web

MIB = 2**20
NOWHERE = Located(None, "", "not asked for")


@pytest.fixture(params=["native", "python", "no cgroups for trees"])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """Workers in the best cgroup that there is, by either spawner; and walked trees."""
    place = NOWHERE if request.param == "no cgroups for trees" else look_for("cgroup2")
    if request.param != "no cgroups for trees" and place.kind is None:
        pytest.skip(f"needs cgroup2: {place.why}")
    if request.param == "native" and not native_is_built():
        pytest.skip("needs native: it was not built")
    with Bench(place, native=request.param != "python") as bench:
        yield bench


def cgroup_of(bench: Bench, controller: str) -> Path:
    """The directory that the worker lives in, as the controller's hierarchy has it."""
    seat = bench.supervision.seat(bench.worker.name)
    assert seat is not None
    assert seat.pidfd is not None
    lines = Path(f"/proc/{seat.pidfd.id.pid}/cgroup").read_text().splitlines()
    paths = {names: path for line in lines for names, path in [line.split(":", 2)[1:]]}
    if controller not in paths:
        pytest.skip(f"needs {controller} on version 1")
    place = look_for("cgroup1", controller)
    ours = next(line for line in Path("/proc/self/cgroup").read_text().splitlines() if f":{controller}:" in line)
    return Path(place.path, paths[controller].removeprefix(ours.split(":", 2)[2]).lstrip("/"))


def warnings(bench: Bench) -> list[str]:
    return [row.text for row in bench.store.rows if row.kind == "warning"]


def load(bench: Bench, resources: Resources, *optional: str) -> ServiceSpec:
    spec = web(resources=resources)
    spec = spec._replace(execution=spec.execution._replace(optional=optional))
    bench.load(spec)
    return spec


def test_a_worker_is_born_within_its_limits(bench: Bench) -> None:
    load(bench, Resources(memory_max=Bytes(64 * MIB), pids_max=50))
    bench.turn_until_phase(Phase.READY)
    assert (cgroup_of(bench, "memory") / "memory.limit_in_bytes").read_text() == f"{64 * MIB}\n"
    assert (cgroup_of(bench, "pids") / "pids.max").read_text() == "50\n"
    assert warnings(bench) == []


def test_limits_change_in_place(bench: Bench) -> None:
    spec = load(bench, Resources(pids_max=50))
    bench.turn_until_phase(Phase.READY)
    process = bench.worker.process
    changed = spec._replace(resources=Resources(pids_max=60))
    bench.supervision.reconfigure(Configuration((changed,)), "test")
    assert (cgroup_of(bench, "pids") / "pids.max").read_text() == "60\n"
    assert bench.worker.process == process
    assert warnings(bench) == []


def test_the_next_one_is_within_them_too(bench: Bench) -> None:
    load(bench, Resources(pids_max=50))
    bench.turn_until_phase(Phase.READY)
    first = bench.worker.process
    seat = bench.supervision.seat(bench.worker.name)
    assert seat is not None
    assert seat.pidfd is not None
    seat.pidfd.signal(9)
    bench.turn_until(lambda: bench.worker.process not in (None, first) and bench.worker.phase is Phase.READY)
    assert (cgroup_of(bench, "pids") / "pids.max").read_text() == "50\n"


def test_what_needs_a_restart_is_said(bench: Bench) -> None:
    spec = load(bench, Resources(pids_max=50))
    bench.turn_until_phase(Phase.READY)
    cgroup_of(bench, "cpu")  # or skip
    changed = spec._replace(resources=Resources(pids_max=50, cpu_weight=50))
    bench.supervision.reconfigure(Configuration((changed,)), "test")
    (text,) = warnings(bench)
    assert text.startswith("web/1: resources.cpu_weight cannot be granted: cgroup version 1 takes in no running")


IMPOSSIBLE = Resources(pids_max=2**40)


def test_a_limit_that_cannot_be_had_is_a_failed_start(bench: Bench) -> None:
    load(bench, IMPOSSIBLE)
    bench.turn_until(lambda: bool(bench.store.records) and "cannot be granted" in bench.reasons[-1])
    assert "; check service.web.resources, or name resources in service.web.optional;" in bench.reasons[-1]
    assert bench.worker.process is None


def test_an_optional_one_is_a_warning(bench: Bench) -> None:
    load(bench, IMPOSSIBLE, "resources")
    bench.turn_until_phase(Phase.READY)
    (text,) = warnings(bench)
    assert text.startswith("web/1: resources.pids_max cannot be granted:")


def test_rights_that_are_refused_and_optional(bench: Bench) -> None:
    spec = web()
    execution = spec.execution._replace(io_priority=IoPriority("idle"), cpu_affinity=(8191,))
    bench.load(spec._replace(execution=execution._replace(optional=("cpu_affinity", "io_priority"))))
    bench.turn_until_phase(Phase.READY)
    (text,) = warnings(bench)
    assert text.startswith("web/1 runs, but pidward cannot be bound to its processors: Invalid argument (stage cpu_aff")


def test_rights_that_are_refused_and_needed(bench: Bench) -> None:
    spec = web()
    bench.load(spec._replace(execution=spec.execution._replace(cpu_affinity=(8191,))))
    bench.turn_until(lambda: "cannot be bound to its processors" in bench.reasons[-1])
    assert "check service.web.cpu_affinity" in bench.reasons[-1]


def test_real_time_in_a_version_1_group_without_a_budget(bench: Bench) -> None:
    if not Path(look_for("cgroup1", "cpu").path, "cpu.rt_runtime_us").exists():
        pytest.skip("needs a version 1 cpu hierarchy with real-time budgets")
    spec = web(resources=Resources(cpu_weight=50))
    bench.load(spec._replace(execution=spec.execution._replace(scheduler=Scheduler("fifo", 1))))
    bench.turn_until(lambda: "(stage scheduler, EPERM)" in bench.reasons[-1])
