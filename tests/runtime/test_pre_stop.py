"""What is run before the stop signal, with real workers."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pidward.core import events as on
from pidward.core.model import Phase
from pidward.core.spec import ServiceSpec, StopPolicy
from pidward.core.units import Seconds
from tests.runtime.attended import Attended, attended
from tests.runtime.bench import WEB, descriptors, web
from tests.runtime.test_commands import groups


@pytest.fixture(params=["native", "python", "v1"])
def bench(request: pytest.FixtureRequest) -> Iterator[Attended]:
    with attended(request.param) as bench:
        yield bench


def stopped_after(script: str, command: str = "exec sleep 1000", grace: float = 20.0) -> ServiceSpec:
    stop = StopPolicy(grace=Seconds(grace), pre=("/bin/sh", "-c", script))
    return web(("/bin/sh", "-c", command), stop=stop)


def stop(bench: Attended, spec: ServiceSpec) -> float:
    """Start, stop, and wait until nothing is left; how long the stop took."""
    bench.load(spec)
    bench.turn_until_phase(Phase.READY)
    before = descriptors()
    begun = bench.loop.now()
    bench.supervision.feed(on.StopAsked(WEB, "test"))
    bench.turn_until_phase(Phase.STOPPED)
    took = bench.loop.now() - begun
    bench.turn_until(lambda: groups(bench) == ["web.1"])
    bench.turn_until(lambda: descriptors() < before)
    return took


def test_it_comes_before_the_signal_and_knows_whom(bench: Attended, tmp_path: Path) -> None:
    told = tmp_path / "told"
    command = f"trap 'echo signal >>{told}; exit' TERM; while :; do sleep 0.01; done"
    bench.load(stopped_after(f'echo "pre $PIDWARD_MAINPID:$PIDWARD_MAINPIDFDID" >>{told}', command))
    bench.turn_until_phase(Phase.READY)
    process = bench.worker.process
    bench.supervision.feed(on.StopAsked(WEB, "test"))
    bench.turn_until_phase(Phase.STOPPED)
    assert told.read_text().splitlines() == [f"pre {process}", "signal"]
    assert bench.phases[-2:] == ["stopping", "stopped"]


def test_when_it_fails_the_worker_is_stopped_all_the_same(bench: Attended) -> None:
    stop(bench, stopped_after("echo no database; exit 2"))
    assert any("stop.pre exited with code 2: no database" in text for text in bench.reasons)
    assert "SIGTERM" in bench.reasons[-1]


def test_it_may_stop_the_worker_itself(bench: Attended) -> None:
    waits = "while [ -e /proc/$PIDWARD_MAINPID ]; do sleep 0.01; done"
    stop(
        bench, stopped_after(f"kill -INT $PIDWARD_MAINPID; {waits}", "trap 'exit 7' INT; while :; do sleep 0.01; done")
    )
    assert "exited with code 7" in bench.reasons[-1]


def test_it_has_the_grace_and_no_more(bench: Attended) -> None:
    took = stop(bench, stopped_after("setsid sleep 1000 & exec sleep 1000", grace=0.4))
    assert 0.4 <= took < 10
    assert "SIGKILL" in bench.reasons[-1]


def test_a_supervisor_that_ends_at_once_leaves_none(bench: Attended, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    bench.load(stopped_after(f"touch {runs}; exec sleep 1000"))
    bench.turn_until_phase(Phase.READY)
    bench.supervision.feed(on.StopAsked(WEB, "test"))
    bench.turn_until(runs.exists)
    bench.supervision.feed(on.StopAsked(WEB, "test", at_once=True))
    bench.turn_until_phase(Phase.STOPPED)
    bench.attendants.close()
    assert groups(bench) == ["web.1"]
