"""Scheduling, rights and resources as people write them, read back from what runs."""

import os
from pathlib import Path

import pytest

from pidward.kernel.cgroup import look_for
from tests.e2e.rig import SLEEP, Rig, eventually, service

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
BIND = f"{1 << 10:016x}"


def status_of(rig: Rig, worker: str) -> dict[str, str]:
    with rig.hold_when_ready(worker) as process:
        lines = Path(f"/proc/{process.id.pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def test_from_the_file_to_the_process(rig: Rig) -> None:
    security = {"no_new_privileges": True, "capabilities": ["net_bind_service"], "ambient": ["net_bind_service"]}
    rig.configure(service("web", SLEEP, user="nobody", cpu_affinity="0", security=security))
    rig.up()
    status = status_of(rig, "web/1")
    assert {status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {BIND}
    assert (status["NoNewPrivs"], status["Cpus_allowed_list"]) == ("1", "0")


def test_a_refusal_is_shown_and_an_optional_one_is_a_warning(rig: Rig) -> None:
    rig.configure(
        service("needs", SLEEP, cpu_affinity="8191"),
        service("likes", SLEEP, cpu_affinity="8191", optional=["cpu_affinity"]),
    )
    rig.up()
    rig.wait("likes/1", "ready")
    eventually(lambda: "cannot be bound to its processors" in rig.cli("status").out)
    assert "likes/1 runs, but pidward cannot be bound to its processors" in rig.cli("events").out


def test_resources_of_the_file(rig: Rig) -> None:
    place = look_for("cgroup1", "pids")
    if place.kind is None:
        pytest.skip(f"needs a version 1 pids hierarchy: {place.why}")
    rig.configure(service("web", SLEEP, resources={"pids_max": 40}))
    rig.up()
    with rig.hold_when_ready("web/1") as process:
        lines = Path(f"/proc/{process.id.pid}/cgroup").read_text().splitlines()
    own = next(line.split(":", 2)[2] for line in lines if ":pids:" in line)
    ours = next(line for line in Path("/proc/self/cgroup").read_text().splitlines() if ":pids:" in line).split(":", 2)[
        2
    ]
    directory = Path(place.path, own.removeprefix(ours).lstrip("/"))
    assert (directory / "pids.max").read_text() == "40\n"
    assert rig.cli("down").status == 0
    rig.wait_end()
    assert not directory.parent.exists()
