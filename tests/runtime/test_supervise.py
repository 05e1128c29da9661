"""What cannot be had from the outside: failures on demand, and what happens between a birth and its gate."""

import errno
import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from pidward.core import events as on
from pidward.core.model import Phase, Source, Wanted, WorkerName
from pidward.core.spec import RestartPolicy
from pidward.core.transitions import KILL_AGAIN
from pidward.core.units import Seconds
from pidward.kernel import ending
from pidward.kernel.cgroup import Located, look_for
from pidward.kernel.errors import Exhausted
from pidward.kernel.pidfd import Pidfd
from pidward.kernel.spawn import Failure
from pidward.kernel.wait import wait_exit
from pidward.runtime import supervise
from tests.runtime.bench import PATIENCE, WEB, Bench, descriptors, web


def located(kind: str) -> Located:
    place = look_for(kind)
    if place.kind is None:
        pytest.skip(f"needs {kind}: {place.why}")
    return place


@pytest.fixture(params=["native", "python"])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """Workers are born into their cgroups."""
    with Bench(located("cgroup2"), request.param == "native") as bench:
        yield bench


@pytest.fixture(params=["native", "python"])
def gated(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """Workers enter their cgroups at the gate, when they have been recorded."""
    with Bench(located("cgroup1"), request.param == "native") as bench:
        yield bench


# --- spawning


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE])
def test_a_shortage_is_waited_out(bench: Bench, number: int) -> None:
    before = descriptors()
    bench.spawner.failures.extend([Failure("clone", number)] * 3)
    bench.load(web())
    bench.turn_until_phase(Phase.READY)
    assert bench.phases[:7] == ["starting", "backing-off"] * 3 + ["starting"]
    assert errno.errorcode[number] in bench.reasons[1]
    assert "the system is short of processes, descriptors or memory; it is tried again" in bench.reasons[1]
    bench.supervision.feed(on.StopAsked(WEB, "test"))
    bench.turn_until_phase(Phase.STOPPED)
    assert descriptors() == before


def test_failures_without_a_delay_let_the_loop_go_on(bench: Bench) -> None:
    bench.spawner.failures.extend([Failure("clone", errno.EAGAIN)] * 50)
    bench.load(web(restart=RestartPolicy(delay=Seconds(0.0), burst=0)))
    bench.loop.call_at(bench.loop.now(), lambda: bench.supervision.feed(on.StopAsked(WEB, "test")))
    bench.turn_until_phase(Phase.STOPPED)
    assert bench.spawner.calls < 50, "one batch a turn"


def test_a_cgroup_that_cannot_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    place = located("cgroup2")
    with Bench(place._replace(path="/proc/nowhere")) as bench:
        bench.load(web())
        bench.turn_until_phase(Phase.BACKING_OFF)
        assert "its cgroup cannot be made" in bench.reasons[-1]
        monkeypatch.setattr(bench.trees, "_place", place)
        bench.turn_until_phase(Phase.READY)


def test_a_plan_that_cannot_be_made(bench: Bench) -> None:
    """A NUL in the environment is refused by config; from elsewhere it is a failed start, and no end."""
    bench.load(web(command=("/bin/sleep", "in\0finity")))
    bench.turn_until_phase(Phase.BACKING_OFF)
    assert "null byte" in bench.reasons[-1]


# --- the gate


def test_nobody_passes_the_gate_before_the_record(gated: Bench) -> None:
    seen = []

    def on_hurry() -> None:
        (record,) = [record for record in gated.store.records if record.process is not None]
        assert record.process is not None
        with Pidfd.open(record.process.pid, record.process.inode):
            seen.append(Path(f"/proc/{record.process.pid}/cmdline").read_bytes().split(b"\0")[0])

    gated.store.on_hurry = on_hurry
    gated.load(web())
    gated.turn_until_phase(Phase.READY)
    assert len(seen) == 1
    assert seen[0] != b"/bin/sleep"


def test_the_loop_turns_while_the_record_is_written(gated: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervise, "GATE_PATIENCE", PATIENCE)
    gated.store.settled = 0
    gated.load(web())
    process, turned = at_gate(gated).id, []
    gated.loop.call_soon(lambda: turned.append(True))
    gated.turn_until(lambda: bool(turned))
    gated.supervision.open_gates()  # something else was written
    gated.loop.turn(0.05)
    assert Path(f"/proc/{process.pid}/cmdline").read_bytes().split(b"\0")[0] != b"/bin/sleep"
    gated.store.settled = 1
    gated.supervision.open_gates()
    gated.turn_until_phase(Phase.READY)
    assert at_gate(gated).id == process


def test_a_disk_that_hangs_stops_no_worker_for_long(gated: Bench) -> None:
    gated.store.settled = 0
    gated.load(web())
    gated.turn_until_phase(Phase.READY)


def test_who_is_stopped_while_the_record_is_written_never_runs(gated: Bench) -> None:
    gated.store.settled = 0
    gated.load(web())
    gated.supervision.feed(on.StopAsked(WEB, "test"))
    gated.turn_until_phase(Phase.STOPPED)
    gated.store.settled = 1
    gated.supervision.open_gates()
    assert "ready" not in gated.phases
    assert "running" not in gated.phases


def at_gate(bench: Bench) -> Pidfd:
    """The process that waits at its gate; borrowed."""
    seat = bench.supervision.seat(WEB)
    assert seat is not None
    assert seat.pidfd is not None
    return seat.pidfd


def test_who_dies_at_its_gate_is_started_again(gated: Bench) -> None:
    dead: list[Pidfd] = []

    def on_hurry() -> None:
        if not dead:
            process = at_gate(gated)
            dead.append(Pidfd.copy_of(process.fileno(), process.id.pid))
            process.signal(signal.SIGKILL)
            assert wait_exit(process, Seconds(10))

    gated.store.on_hurry = on_hurry
    gated.load(web())
    gated.turn_until_phase(Phase.READY)
    assert gated.phases == ["starting", "starting", "backing-off", "starting", "starting", "ready"]
    assert "cannot pass its gate" in gated.reasons[2]
    assert "stage gate, ESRCH" in gated.reasons[2]
    with dead[0] as process:
        assert not process.exists(), "it was reaped"


@pytest.mark.parametrize("at_once", [False, True])
def test_who_is_stopped_at_its_gate_is_stopped(gated: Bench, at_once: bool) -> None:
    """Its end comes with a failure at the gate, and is an end all the same."""
    before = descriptors()

    def on_hurry() -> None:
        gated.store.on_hurry = lambda: None
        gated.supervision.feed(on.StopAsked(WEB, "test", at_once))

    gated.store.on_hurry = on_hurry
    gated.load(web())
    gated.turn_until_phase(Phase.STOPPED)
    assert gated.worker.wanted is Wanted.DOWN
    assert "ready" not in gated.phases
    assert descriptors() == before


def test_who_is_restarted_at_its_gate_comes_again(gated: Bench) -> None:
    def on_hurry() -> None:
        gated.store.on_hurry = lambda: None
        gated.supervision.feed(on.RestartAsked(WEB, "test"))

    gated.store.on_hurry = on_hurry
    gated.load(web())
    gated.turn_until_phase(Phase.READY)
    assert gated.worker.restarts == 0


def zombies() -> set[str]:
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return {child for child in children if ") Z " in Path(f"/proc/{child}/stat").read_text()}


def test_a_program_that_is_missing_is_told_at_the_gate(gated: Bench) -> None:
    before = zombies()
    gated.load(web(command=("/nowhere",)))
    gated.turn_until_phase(Phase.BACKING_OFF)
    assert "stage exec, ENOENT" in gated.reasons[-1]
    assert zombies() <= before


def test_an_act_that_fails_does_not_take_the_others_with_it(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The core counts on all of them; one that is lost is a worker that hangs for ever."""
    bench.load(web(workers=3))
    bench.turn_until(lambda: all(w.phase is Phase.READY for w in bench.supervision.core.workers.values()))
    real, calls = Pidfd.signal, []

    def signal_once(self: Pidfd, number: int) -> bool:
        calls.append(number)
        if len(calls) == 1:
            raise RuntimeError("a bug")
        return real(self, number)

    monkeypatch.setattr(Pidfd, "signal", signal_once)
    for worker in list(bench.supervision.core.workers):
        bench.supervision.feed(on.StopAsked(worker, "test"))
    down = [WorkerName("web", 2), WorkerName("web", 3)]
    bench.turn_until(lambda: all(bench.supervision.core.workers[name].phase is Phase.STOPPED for name in down))
    (said,) = [row.text for row in bench.store.rows if "internal error" in row.text]
    assert "RuntimeError: a bug" in said
    assert "please report this" in said


def test_notes_and_transitions_are_told_in_the_order_in_which_they_happened(bench: Bench) -> None:
    bench.load(web())
    bench.turn_until_phase(Phase.READY)
    told: list[str] = []
    bench.supervision.subscribe(lambda row: told.append(row.text))
    bench.supervision.note("supervisor", None, "before")
    bench.supervision.feed(on.StopAsked(WEB, "test"))
    bench.supervision.note("supervisor", None, "after")
    assert told == ["before"], "what happened is told at the end of the turn"
    bench.turn_until_phase(Phase.STOPPED)
    assert told[:3] == ["before", "stopped by test", "after"]
    rows = [row for row in bench.store.rows if row.text in told]
    assert [row.wall for row in rows] == sorted(row.wall for row in rows)


# --- ends


def test_orphans_are_reaped_later_when_they_cannot_be_now(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervise, "REAP_AGAIN", 0.01)
    calls: list[object] = []

    def reap(known: object) -> None:
        calls.append(known)
        if len(calls) < 3:
            raise Exhausted("look")

    monkeypatch.setattr(supervise, "reap_orphans", reap)
    bench.load(web())
    bench.supervision.reap_orphans()
    bench.turn_until(lambda: len(calls) == 3)
    assert {at_gate(bench).id.pid} <= calls[0]  # type: ignore[operator]


def test_a_tree_that_cannot_be_looked_at_is_looked_at_later(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """While descriptors are short, nobody knows whether something was left behind; then it is killed as if it were."""
    bench.load(web())
    bench.turn_until_phase(Phase.READY)
    seat = bench.supervision.seat(WEB)
    assert seat is not None
    kind = type(seat.tree)
    answers = [Exhausted("look")] * 5

    def is_populated(_self: object) -> bool:
        if answers:
            raise answers.pop()
        return False

    monkeypatch.setattr(ending, "_ended", None)
    monkeypatch.setattr(kind, "is_populated", is_populated)
    begun = bench.loop.now()
    at_gate(bench).signal(signal.SIGKILL)
    bench.turn_until(lambda: bench.worker.restarts == 1)
    bench.turn_until_phase(Phase.READY)
    assert "killing" in bench.phases
    assert bench.loop.now() - begun < KILL_AGAIN, "it does not wait for the next kill"
    assert answers == []


def test_a_status_that_somebody_else_took_is_still_true(bench: Bench) -> None:
    bench.load(web(command=("/bin/sh", "-c", "exit 3"), restart=RestartPolicy(delay=Seconds(60.0))))
    process = at_gate(bench)
    assert wait_exit(process, Seconds(10))
    os.waitid(os.P_PIDFD, process.fileno(), os.WEXITED)
    bench.turn_until(lambda: bench.worker.last_exit is not None)
    status = bench.worker.last_exit
    assert status is not None
    if status.source is Source.UNKNOWN:
        pytest.skip("needs pidfd_info_exit")
    assert (status.code, status.source) == (3, Source.PIDFD_INFO)


def test_the_wall_clock_may_jump(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Back by hours and forth by years: delays, grace and order are those of the boot clock."""
    source = random.Random(1)
    monkeypatch.setattr(supervise, "wall", lambda: source.uniform(-1e9, 4e9))
    bench.load(web(command=("/bin/sh", "-c", "trap '' TERM; kill -9 $$"), restart=RestartPolicy(
        delay=Seconds(0.02), max_delay=Seconds(0.02), jitter=0.0, burst=4, window=Seconds(3600.0))))  # fmt: skip
    begun = bench.loop.now()
    bench.turn_until_phase(Phase.SLOW_LANE)
    took = bench.loop.now() - begun
    assert 0.06 <= took < 10, "the first restart is immediate, three wait for 20 ms each"
    assert bench.phases.count("starting") in (5, 10)
    assert [row.seq for row in bench.store.rows] == sorted(row.seq for row in bench.store.rows)


def test_a_kill_is_repeated_while_somebody_lives(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that hangs in the kernel dies late; it is looked for until then, and nothing else waits for it."""
    bench.load(web())
    bench.turn_until_phase(Phase.READY)
    seat = bench.supervision.seat(WEB)
    assert seat is not None
    assert seat.tree is not None
    kind = type(seat.tree)
    hangs = [True]
    monkeypatch.setattr(ending, "_ended", None)  # look by is_populated
    monkeypatch.setattr(kind, "is_populated", lambda _self: hangs[0])
    monkeypatch.setattr("pidward.core.transitions.KILL_AGAIN", Seconds(0.05))
    kills: list[int] = []
    monkeypatch.setattr(kind, "kill", lambda _self: kills.append(1))
    at_gate(bench).signal(signal.SIGKILL)
    bench.turn_until(lambda: len(kills) >= 3)
    assert bench.worker.phase is Phase.KILLING
    hangs[0] = False
    bench.turn_until_phase(Phase.READY)
