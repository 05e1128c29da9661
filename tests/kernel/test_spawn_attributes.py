"""Scheduling and rights of a started program, read back from the kernel: the same on both rungs."""

import errno
import os
import resource
import struct
from pathlib import Path
from typing import Any

import pytest

from pidward.kernel import abi
from pidward.kernel.spawn import Failure, Ids, Started
from tests.isolation import run_apart
from tests.kernel.spawning import Launcher, field, pause, proc

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
NOBODY = Ids(61001, 61002, ())
CHOWN, SETPCAP, NET_BIND_SERVICE, SYS_ADMIN, SYS_NICE = (1 << number for number in (0, 8, 10, 21, 23))
X86_64 = os.uname().machine == "x86_64"
CAPABILITY_SETS = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
BEST_EFFORT, IDLE = 2 << 13, 3 << 13


def capabilities(started: Started) -> dict[str, int]:
    return {name: int(field(started, name), 16) for name in CAPABILITY_SETS}


OURS = int(next(s for s in Path("/proc/self/status").read_text().splitlines() if s.startswith("CapBnd")).split()[1], 16)


def io_priority(started: Started) -> int:
    """As ioprio_get(2) tells."""
    return abi.through_ctypes(252 if X86_64 else 31, 1, started.pidfd.id.pid)


# --- scheduling


@pytest.mark.parametrize("policy", [os.SCHED_BATCH, os.SCHED_IDLE, os.SCHED_OTHER])
def test_scheduler(launcher: Launcher, policy: int) -> None:
    started = launcher.run(pause(scheduler=(policy, 0), nice=7))
    pid = started.pidfd.id.pid
    assert (os.sched_getscheduler(pid), os.getpriority(os.PRIO_PROCESS, pid)) == (policy, 7)
    assert os.sched_getscheduler(0) == os.SCHED_OTHER


@as_root
def test_real_time(launcher: Launcher) -> None:
    started = launcher.run(pause(scheduler=(os.SCHED_RR, 3), ids=NOBODY))
    pid = started.pidfd.id.pid
    assert os.sched_getscheduler(pid) == os.SCHED_RR
    assert os.sched_getparam(pid).sched_priority == 3


def test_processors(launcher: Launcher) -> None:
    ours = os.sched_getaffinity(0)
    one = max(ours)
    assert field(launcher.run(pause(cpu_affinity=(one,))), "Cpus_allowed_list") == str(one)
    assert os.sched_getaffinity(0) == ours


@pytest.mark.parametrize("value", [BEST_EFFORT | 6, IDLE])
def test_io_priority(launcher: Launcher, value: int) -> None:
    assert io_priority(launcher.run(pause(io_priority=value))) == value


@as_root
def test_real_time_io_of_somebody_without_rights(launcher: Launcher) -> None:
    assert io_priority(launcher.run(pause(io_priority=1 << 13, ids=NOBODY))) == 1 << 13


# --- rights


def test_no_new_privileges(launcher: Launcher) -> None:
    assert field(launcher.run(pause(no_new_privileges=True)), "NoNewPrivs") == "1"
    assert field(launcher.run(pause(cpu_affinity=(min(os.sched_getaffinity(0)),))), "NoNewPrivs") == "0"


@as_root
@pytest.mark.parametrize("ids", [None, NOBODY], ids=["root", "nobody"])
@pytest.mark.parametrize("no_new", [False, True])
def test_no_capabilities_whoever_it_is(launcher: Launcher, ids: Ids | None, no_new: bool) -> None:
    started = launcher.run(pause(capabilities=0, ids=ids, no_new_privileges=no_new))
    assert capabilities(started) == dict.fromkeys(CAPABILITY_SETS, 0)


@as_root
def test_root_has_those_that_are_left(launcher: Launcher) -> None:
    kept = CHOWN | NET_BIND_SERVICE
    found = capabilities(launcher.run(pause(capabilities=kept)))
    assert found == {"CapInh": 0, "CapPrm": kept, "CapEff": kept, "CapBnd": kept, "CapAmb": 0}


@as_root
def test_another_user_may_only_gain_those_that_are_left(launcher: Launcher) -> None:
    found = capabilities(launcher.run(pause(capabilities=CHOWN, ids=NOBODY)))
    assert found == {"CapInh": 0, "CapPrm": 0, "CapEff": 0, "CapBnd": CHOWN, "CapAmb": 0}


@as_root
@pytest.mark.parametrize("no_new", [False, True])
def test_ambient_ones_are_kept_by_another_user(launcher: Launcher, no_new: bool) -> None:
    plan = pause(capabilities=CHOWN | NET_BIND_SERVICE, ambient=CHOWN, ids=NOBODY, no_new_privileges=no_new)
    found = capabilities(launcher.run(plan))
    assert found == {**dict.fromkeys(CAPABILITY_SETS, CHOWN), "CapBnd": CHOWN | NET_BIND_SERVICE}


@as_root
def test_ambient_ones_alone_leave_the_rest(launcher: Launcher) -> None:
    found = capabilities(launcher.run(pause(ambient=NET_BIND_SERVICE, ids=NOBODY)))
    assert found == {**dict.fromkeys(CAPABILITY_SETS, NET_BIND_SERVICE), "CapBnd": OURS}


@as_root
def test_everything_at_once(launcher: Launcher) -> None:
    started = launcher.run(
        pause(
            scheduler=(os.SCHED_FIFO, 1), cpu_affinity=(0,), io_priority=1 << 13 | 2, capabilities=CHOWN, ambient=CHOWN,
            ids=NOBODY, no_new_privileges=True, gated=True, oom_score_adj=5,
        )
    )  # fmt: skip
    assert os.sched_getscheduler(started.pidfd.id.pid) == os.SCHED_FIFO
    assert io_priority(started) == 1 << 13 | 2
    assert capabilities(started) == dict.fromkeys(CAPABILITY_SETS, CHOWN)
    assert (field(started, "Cpus_allowed_list"), field(started, "NoNewPrivs")) == ("0", "1")
    assert field(started, "Uid").split()[0] == str(NOBODY.uid)
    assert proc(started, "oom_score_adj") == "5\n"


# --- refusals

FAR = 8191
REFUSED: dict[str, tuple[dict[str, Any], int]] = {
    "scheduler": ({"scheduler": (os.SCHED_FIFO, 100)}, errno.EINVAL),
    "cpu_affinity": ({"cpu_affinity": (min(os.sched_getaffinity(0)), FAR)}, errno.EINVAL),
    "io_priority": ({"io_priority": 7 << 13}, errno.EINVAL),
    "capabilities": ({"ambient": 1 << 62}, errno.EINVAL),
    "limits": ({"limits": ((resource.RLIMIT_CPU, 2, 1),)}, errno.EINVAL),
    "oom_score_adj": ({"oom_score_adj": 5000}, errno.EINVAL),
}


@pytest.mark.parametrize("stage", REFUSED)
def test_a_refusal_is_a_failed_start(launcher: Launcher, stage: str) -> None:
    keys, number = REFUSED[stage]
    if stage == "capabilities" and os.geteuid() != 0:
        pytest.skip("needs root")
    assert launcher.failure(pause(**keys)) == Failure(stage, number)


@pytest.mark.parametrize("stage", REFUSED)
@pytest.mark.parametrize("gated", [False, True])
def test_an_optional_one_is_told_and_done_without(launcher: Launcher, stage: str, gated: bool) -> None:
    keys, number = REFUSED[stage]
    started = launcher.run(pause(**keys, optional=frozenset({stage, "nice"}), gated=gated))
    refused = [*started.refused, *(started.gate.refused if started.gate else ())]
    assert refused == [Failure(stage, number)]
    assert proc(started, "comm") == "sleep\n"


def test_what_is_granted_is_not_told(launcher: Launcher) -> None:
    started = launcher.run(pause(no_new_privileges=True, nice=3, optional=frozenset({"nice", "no_new_privileges"})))
    assert (*started.refused, *(started.gate.refused if started.gate else ())) == ()


def test_one_refused_limit_leaves_the_others(launcher: Launcher) -> None:
    limits = ((resource.RLIMIT_CPU, 2, 1), (resource.RLIMIT_CORE, 0, 0))
    started = launcher.run(pause(limits=limits, optional=frozenset({"limits"})))
    core = next(line for line in proc(started, "limits").splitlines() if line.startswith("Max core"))
    assert core.split()[4:6] == ["0", "0"]


def test_an_optional_refusal_and_a_failure(launcher: Launcher) -> None:
    plan = pause(path=b"/none", io_priority=7 << 13, optional=frozenset({"io_priority"}))
    assert launcher.failure(plan) == Failure("exec", errno.ENOENT)


def _give_up(bits: int) -> None:
    """Take capabilities from this process, and from all that it starts."""
    numbers = {"capget": 125, "capset": 126} if X86_64 else {"capget": 90, "capset": 91}
    for number in range(64):
        if bits >> number & 1:
            abi.call("prctl", 24, number, 0, 0, 0)  # PR_CAPBSET_DROP
    version, sets = bytearray(struct.pack("=Ii", 0x20080522, 0)), bytearray(24)
    abi.through_ctypes(numbers["capget"], version, sets)
    low = [word & ~bits for word in struct.unpack("=3I", sets[:12])]
    abi.through_ctypes(numbers["capset"], version, bytearray(struct.pack("=3I", *low)) + sets[12:])


def _without_rights(native: bool) -> None:
    """What a supervisor can give that has few rights, and what it cannot."""
    _give_up(SYS_NICE | SYS_ADMIN | SETPCAP)
    with Launcher(native) as launcher:
        for stage, number, keys in (
            ("scheduler", errno.EPERM, {"scheduler": (os.SCHED_FIFO, 1)}),
            ("io_priority", errno.EPERM, {"io_priority": 1 << 13}),
            ("capabilities", errno.EPERM, {"capabilities": CHOWN}),
            ("capabilities", errno.EPERM, {"ambient": SYS_NICE}),
            ("nice", errno.EACCES, {"nice": -5}),
        ):
            assert launcher.failure(pause(**keys)) == Failure(stage, number), stage
        started = launcher.run(pause(scheduler=(os.SCHED_BATCH, 0), io_priority=IDLE, no_new_privileges=True, nice=9))
        assert os.sched_getscheduler(started.pidfd.id.pid) == os.SCHED_BATCH
        assert field(started, "NoNewPrivs") == "1"
        started = launcher.run(pause(capabilities=CHOWN, ambient=SYS_NICE, optional=frozenset({"capabilities"})))
        assert started.gate is not None
        assert started.gate.refused == [Failure("capabilities", errno.EPERM)]


@as_root
def test_a_supervisor_without_rights(launcher: Launcher) -> None:
    run_apart(lambda: _without_rights(launcher.native))
