"""Many workers: none is forgotten, nothing is quadratic, and idle they cost no wake-up."""

import atexit
import os
import random
import resource
import shutil
import signal
import subprocess
import time
from functools import cache
from pathlib import Path

import pytest

from pidward.kernel.limits import read_limit
from pidward.kernel.pidfd import Pidfd
from tests.e2e.rig import Rig, eventually, held, service

OK = 0
PAUSE = """
__attribute__((noreturn)) void _start(void) {
    for (;;) {
        long result;
        __asm__ volatile("syscall" : "=a"(result) : "a"(34) : "rcx", "r11", "memory");  /* pause */
    }
}
"""


@cache
def smallest_program() -> str:
    """A static program without a libc that does nothing, compiled once for all tests of this process."""
    gcc = shutil.which("gcc")
    if gcc is None or os.uname().machine != "x86_64":
        pytest.skip("needs gcc on x86_64, for a program small enough")
    base = Path("/tmp") / f"pidward-pause-{os.getpid()}"
    command = [gcc, "-x", "c", "-Os", "-static", "-nostdlib", "-o", str(base), "-"]
    subprocess.run(command, input=PAUSE.encode(), check=True)
    atexit.register(base.unlink)
    return str(base)


def many(count: int) -> str:
    return service("web", [smallest_program()], workers=count, stop={"signal": "SIGKILL"})


def phases(rig: Rig) -> dict[str, int]:
    found: dict[str, int] = {}
    for line in rig.call("Table")["table"].splitlines():
        phase = line.split("\t")[1]
        found[phase] = found.get(phase, 0) + 1
    return found


def processes(rig: Rig) -> dict[str, str]:
    table = rig.call("Table")["table"].splitlines()
    return {line.split("\t")[0]: line.split("\t")[2] for line in table}


def wait_ready(rig: Rig, count: int) -> None:
    """Wait until all are ready; asks, because so many events are more than a test wants to hear."""
    deadline = time.monotonic() + 60
    while phases(rig) != {"ready": count}:
        assert time.monotonic() < deadline, phases(rig)


def test_a_thousand_workers_are_killed_and_all_come_back(rig: Rig) -> None:
    rig.configure(many(1000))
    rig.up()
    wait_ready(rig, 1000)
    before = processes(rig)
    handles = [held(process) for process in before.values()]
    for handle in handles:
        handle.signal(signal.SIGKILL)
    wait_ready(rig, 1000)
    after = processes(rig)
    assert before.keys() == after.keys()
    assert not set(before.values()) & set(after.values())
    for handle in handles:
        handle.close()
    assert {worker["restarts"] for worker in rig.status().values()} == {1}
    assert rig.cli("status").status == OK


@pytest.mark.slow
def test_ten_thousand_workers(rig: Rig) -> None:
    """Started, shown, killed at random, stopped: each in a time that grows with their number, not with its square."""
    if read_limit("nofile").hard < 12_000:
        pytest.skip("needs 12000 descriptors")
    few, lots = 2_500, 10_000
    took: dict[int, dict[str, float]] = {}
    for count in (few, lots):
        rig.configure(many(count))
        took[count] = life_of_many(rig, count)
    for part, seconds in took[lots].items():
        ratio = (seconds / lots) / (took[few][part] / few)
        assert ratio < 2.5, f"{part}: {took}"
    assert took[lots]["start"] < 30
    assert took[lots]["stop"] < 30


def life_of_many(rig: Rig, count: int) -> dict[str, float]:
    """How long each part took, in processor time of the supervisor: the machine is not ours alone."""
    rig.up()
    wait_ready(rig, count)
    took = {"start": processor_time(rig.process)}
    assert len(rig.status()) == count
    source = random.Random(count)
    before = processes(rig)
    chosen = source.sample(list(before), 100)
    for name in chosen:
        with held(before[name]) as process:
            process.signal(signal.SIGKILL)
    wait_ready(rig, count)
    after = processes(rig)
    assert {name for name in before if before[name] != after[name]} == set(chosen)
    begun = processor_time(rig.process)
    rig.signal(signal.SIGTERM)
    rig.wait_said("pidward ended")
    took["stop"] = processor_time(rig.process) - begun
    assert rig.wait_end().code == OK
    return took


def processor_time(process: Pidfd) -> float:
    """Seconds that all threads of a process have run; kept when it has ended, until it is reaped."""
    fields = Path(f"/proc/{process.id.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_more_workers_than_the_limit_of_open_files(rig: Rig) -> None:
    """Twenty thousand do not fit here; with a limit of their own the same happens with three hundred."""
    rig.configure(service("web", [smallest_program()], workers=300, stop={"signal": "SIGKILL"},
                          restart={"delay": "50ms", "max_delay": "50ms", "burst": 0}))  # fmt: skip
    rig.up(prefix=["/bin/sh", "-c", 'ulimit -n 200; exec "$@"', "sh"])
    reason = rig.wait("web/300", "backing-off")["data"]["reason"]
    assert "pidward's limit of open files (nofile) is reached: raise it, or run fewer workers" in reason
    eventually(lambda: "open files" in rig.cli("status").out)


# --- idle


def wake_ups(pid: int) -> int:
    """How often the threads of a process have given up the processor by themselves."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        for line in Path(f"/proc/{pid}/task/{task}/status").read_text().splitlines():
            if line.startswith(("voluntary_ctxt_switches", "nonvoluntary_ctxt_switches")):
                total += int(line.split()[1])
    return total


@pytest.mark.parametrize("mask", ["", "cgroup2,cgroup1"], ids=["cgroup2", "walk"])
def test_idle_nobody_wakes_up(rig: Rig, mask: str) -> None:
    """Neither the supervisor nor its pump, with fifty workers that do nothing."""
    rig.configure(service("web", workers=50, logs={"mode": "file"}))
    rig.up(mask=mask)
    rig.wait_all("web", 50)
    with rig.pump() as pump:
        pids = [rig.process.id.pid, pump.id.pid]
    settled = None
    for _ in range(20):  # the store writes for the last time, the pump starts, spools of nobody are looked for
        before = [wake_ups(pid) for pid in pids]
        signal.sigtimedwait([], 1.0)
        settled = [wake_ups(pid) - count for pid, count in zip(pids, before, strict=True)]
        if settled == [0, 0]:
            break
    assert settled == [0, 0]


def test_memory_of_a_hundred_workers(rig: Rig) -> None:
    """All processes of pidward's together; the bar of 16 MiB is measured in bench/, this is a guard with slack."""
    rig.configure(service("web", workers=100, logs={"mode": "file"}))
    rig.up()
    rig.wait_all("web", 100)
    with rig.pump() as pump:
        total = sum(pss(process.id.pid) for process in (rig.process, pump))
    assert total < 32 * 2**20, total


def pss(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(pid)


def test_the_limit_of_open_files_is_raised(rig: Rig) -> None:
    rig.configure(service("web"))
    rig.up(prefix=["/bin/sh", "-c", 'ulimit -Sn 64; exec "$@"', "sh"])
    rig.wait("web/1", "ready")
    soft, hard = resource.prlimit(rig.process.id.pid, resource.RLIMIT_NOFILE)
    assert soft == hard
