"""Probes of real workers: what is asked, when, and what the core is told."""

import errno
import os
import socket
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from pidward.core import events as on
from pidward.core.model import Phase, WorkerName
from pidward.core.spec import Configuration, LogFormat, LogMode, LogPolicy, Probe, ProbeKind, ServiceSpec
from pidward.core.units import Seconds
from pidward.kernel.spawn import Failure
from pidward.logs.layout import spool_dir, spool_path, streams
from pidward.runtime import output, probes
from pidward.testing.programs import Barrier, Report, daemons
from tests.runtime.attended import Attended, attended
from tests.runtime.bench import WEB, descriptors, web
from tests.runtime.test_commands import groups

QUICK = Seconds(0.02)


@pytest.fixture
def bench() -> Iterator[Attended]:
    with attended("native") as bench:
        yield bench


@pytest.fixture(params=["native", "python", "v1"])
def rungs(request: pytest.FixtureRequest) -> Iterator[Attended]:
    with attended(request.param) as bench:
        yield bench


@pytest.fixture
def port() -> Iterator[int]:
    """A port of loopback that nobody listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def listening(port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(64)
    return listener


def tcp(port: int, **keys: object) -> Probe:
    chosen: dict[str, object] = {"target": f"127.0.0.1:{port}", "period": QUICK, "timeout": Seconds(2.0), **keys}
    return Probe(ProbeKind.TCP, **chosen)  # type: ignore[arg-type]


def execute(script: str, **keys: object) -> Probe:
    chosen: dict[str, object] = {"period": QUICK, "timeout": Seconds(20.0), **keys}
    return Probe(ProbeKind.EXEC, command=("/bin/sh", "-c", script), **chosen)  # type: ignore[arg-type]


@pytest.fixture
def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
    return port


def test_ready_unready_and_ready_again(bench: Attended, free_port: int) -> None:
    bench.load(web(ready=tcp(free_port, failures=2, successes=2)))
    bench.turn_for(0.3)
    assert bench.worker.phase is Phase.RUNNING
    with listening(free_port):
        bench.turn_until_phase(Phase.READY)
        assert bench.reasons[-1] == f"tcp 127.0.0.1:{free_port} accepts connections"
    bench.turn_until_phase(Phase.RUNNING)
    assert f"tcp 127.0.0.1:{free_port} failed 2 times: connection refused" in bench.reasons[-1]
    with listening(free_port):
        bench.turn_until_phase(Phase.READY)
    assert bench.worker.restarts == 0


def test_a_long_period_delays_no_start(bench: Attended, free_port: int) -> None:
    with listening(free_port):
        begun = bench.loop.now()
        bench.load(web(ready=tcp(free_port, period=Seconds(3600.0))))
        bench.turn_until_phase(Phase.READY)
        assert bench.loop.now() - begun < 5
    begun = bench.loop.now()
    bench.supervision.feed(on.RestartAsked(WEB, "test"))
    bench.turn_until_phase(Phase.RUNNING)
    bench.turn_for(0.2)
    with listening(free_port):
        bench.turn_until_phase(Phase.READY)
    assert bench.loop.now() - begun < 5


def test_the_dead_one_is_replaced(bench: Attended, free_port: int) -> None:
    with listening(free_port):
        bench.load(web(alive=tcp(free_port, failures=3)))
        bench.turn_until_phase(Phase.READY)
        first = bench.worker.process
        bench.turn_for(0.2)
        assert bench.worker.process == first
    bench.turn_until(lambda: bench.worker.process not in (None, first))
    assert any(f"tcp 127.0.0.1:{free_port} failed 3 times: connection refused" in text for text in bench.reasons)


def test_life_is_asked_about_when_it_is_ready(bench: Attended, free_port: int) -> None:
    """As behind Kubernetes' startup probe: who is not ready yet has not hung."""
    bench.load(web(ready=tcp(free_port), alive=tcp(1, failures=1)))
    bench.turn_for(0.3)
    assert bench.phases[-1] == "running"
    first = bench.worker.process
    with listening(free_port):
        bench.turn_until(lambda: bench.worker.process not in (None, first))
    assert any("tcp 127.0.0.1:1 failed: connection refused" in text for text in bench.reasons)


@pytest.mark.parametrize("what", ["ready", "alive"])
def test_the_first_look_waits_for_its_delay(bench: Attended, what: str) -> None:
    probe = execute("exit 1" if what == "alive" else "exit 0", initial_delay=Seconds(0.4), failures=1)
    begun = bench.loop.now()
    bench.load(web(ready=probe if what == "ready" else None, alive=probe if what == "alive" else None))
    if what == "ready":
        bench.turn_until_phase(Phase.READY)
    else:
        bench.turn_until(lambda: bench.phases.count("starting") > 1)
    assert bench.loop.now() - begun >= 0.4


def test_exec_is_asked_by_its_own_means(rungs: Attended, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    script = (
        f'echo "$PIDWARD_MAINPID:$PIDWARD_MAINPIDFDID" >{tmp_path}/whom; test -e {flag} || {{ echo not yet; exit 4; }}'
    )
    before = descriptors()
    rungs.load(web(ready=execute(script, failures=1)))
    rungs.turn_until((tmp_path / "whom").exists)
    rungs.turn_for(0.1)
    assert rungs.worker.phase is Phase.RUNNING
    flag.touch()
    rungs.turn_until_phase(Phase.READY)
    assert (tmp_path / "whom").read_text().strip() == str(rungs.worker.process)
    flag.unlink()
    rungs.turn_until_phase(Phase.RUNNING)
    assert "exec /bin/sh failed: exited with code 4: not yet" in rungs.reasons[-1]
    rungs.supervision.feed(on.StopAsked(WEB, "test"))
    rungs.turn_until_phase(Phase.STOPPED)
    rungs.turn_until(lambda: groups(rungs) == ["web.1"])
    rungs.turn_until(lambda: descriptors() <= before + 1)


def test_a_worker_that_ends_takes_its_look_with_it(rungs: Attended, tmp_path: Path) -> None:
    """The command is not "left behind" of the worker, nor does anything of it stay, its daemons included."""
    with Barrier(tmp_path / "reports") as barrier:
        probe = Probe(ProbeKind.EXEC, command=daemons(2, barrier), timeout=Seconds(60.0))
        rungs.load(web(alive=probe))
        reports: list[Report] = []
        while len(reports) < 3:
            rungs.loop.turn(0.01)
            reports += barrier.pending()
        seat = rungs.supervision.seat(WEB)
        assert seat is not None
        assert seat.pidfd is not None
        seat.pidfd.signal(9)
        rungs.turn_until(lambda: rungs.worker.restarts == 1)
        assert not any("left behind" in text for text in rungs.reasons)
        for report in reports:
            rungs.turn_until(partial(dead, report.pid))


def dead(pid: int) -> bool:
    try:
        return ") Z " in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_a_command_that_is_out_of_time_is_a_no(bench: Attended) -> None:
    bench.load(web(alive=execute("sleep 1000", timeout=Seconds(0.2), failures=2)))
    bench.turn_until(lambda: bench.phases.count("starting") > 1)
    assert any("exec /bin/sh failed 2 times: did not end within 200ms" in text for text in bench.reasons)


def test_commands_take_turns(bench: Attended, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many ask, so many run at a time, and each gets its turn."""
    monkeypatch.setattr(probes, "MAX_COMMANDS", 2)
    script = (
        f"mkdir {tmp_path}/$PIDWARD_WORKER; ls {tmp_path} | wc -l >>{tmp_path}.counts; rmdir {tmp_path}/$PIDWARD_WORKER"
    )
    bench.load(web(ready=execute(script), workers=12))
    workers = bench.supervision.core.workers
    bench.turn_until(lambda: all(worker.phase is Phase.READY for worker in workers.values()))
    counts = [int(line) for line in Path(f"{tmp_path}.counts").read_text().split()]
    assert 1 <= max(counts) <= 2


def test_looks_of_many_are_spread(bench: Attended, free_port: int) -> None:
    """Ready together, they are not asked together for ever."""
    with listening(free_port) as listener:
        listener.setblocking(False)
        bench.load(web(ready=tcp(free_port, period=Seconds(1.0)), workers=60))
        workers = bench.supervision.core.workers
        bench.turn_until(lambda: all(worker.phase is Phase.READY for worker in workers.values()))
        moments: list[float] = []
        end = bench.loop.now() + 1.5
        while len(moments) < 60 and bench.loop.now() < end:
            try:
                listener.accept()[0].close()
                moments.append(bench.loop.now())
            except BlockingIOError:
                bench.loop.turn(0.01)
    assert len(moments) >= 60


def test_a_change_of_the_probe_is_in_force_at_once(bench: Attended, free_port: int) -> None:
    before = web(ready=tcp(free_port))
    with listening(free_port):
        bench.load(before)
        bench.turn_until_phase(Phase.READY)
        process = bench.worker.process
        after = before._replace(ready=None, alive=execute("exit 9", failures=1))
        bench.supervision.reconfigure(Configuration((after,)), "test")
        bench.turn_until(lambda: bench.worker.process not in (None, process))
    assert any("exec /bin/sh failed: exited with code 9" in text for text in bench.reasons)


def test_a_change_of_the_probe_concerns_those_beyond_the_number_of_the_file_too(
    bench: Attended, free_port: int
) -> None:
    before = web(ready=tcp(free_port))
    third = WorkerName("web", 3)
    with listening(free_port):
        bench.load(before)
        bench.supervision.feed(on.ScaleAsked("web", 3, "test"))
        bench.turn_until(lambda: bench.supervision.core.workers[third].phase is Phase.READY)
        process = bench.supervision.core.workers[third].process
        after = before._replace(ready=None, alive=execute("exit 9", failures=1))
        bench.supervision.reconfigure(Configuration((after,)), "test")
        bench.turn_until(lambda: bench.supervision.core.workers[third].process not in (None, process))


def test_nothing_is_asked_after_the_end(bench: Attended, free_port: int) -> None:
    with listening(free_port) as listener:
        bench.load(web(ready=tcp(free_port), alive=tcp(free_port)))
        bench.turn_until_phase(Phase.READY)
        bench.supervision.feed(on.StopAsked(WEB, "test"))
        bench.turn_until_phase(Phase.STOPPED)
        listener.setblocking(False)
        for _ in range(1000):
            try:
                listener.accept()[0].close()
            except BlockingIOError:
                break
        bench.turn_for(0.2)
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_what_we_are_short_of_is_no_failure_of_the_worker(bench: Attended) -> None:
    """It is said once, and asked again."""
    bench.load(web(alive=execute("exit 0", failures=1), ready=execute("exit 0")))
    bench.turn_until_phase(Phase.READY)
    bench.spawner.failures.extend([Failure("clone", errno.EAGAIN)] * 20)
    bench.turn_until(lambda: not bench.spawner.failures)
    bench.turn_for(0.1)
    assert bench.worker.phase is Phase.READY
    assert bench.worker.restarts == 0
    said = [row.text for row in bench.store.rows if row.kind == "probe"]
    assert len(said) == 2, "one for each probe"
    assert "web/1: exec /bin/sh could not be asked, and that does not count: cannot be run" in said[0]


# --- a line of output


def log(text: str) -> Probe:
    return Probe(ProbeKind.LOG, target=text)


FILE = LogPolicy(mode=LogMode.FILE)


def writer(script: str, **keys: object) -> ServiceSpec:
    return web(("/bin/sh", "-c", script), **{"logs": FILE, **keys})


@pytest.mark.parametrize("to", ["1", "2"])
def test_ready_when_it_says_so(bench: Attended, tmp_path: Path, to: str) -> None:
    os.mkfifo(tmp_path / "go")
    bench.load(writer(f"echo starting; read x <{tmp_path}/go; echo now listening on 81 >&{to}; sleep 1000",
                      ready=log("listening on 8%i")))  # fmt: skip
    bench.turn_for(0.2)
    assert bench.worker.phase is Phase.RUNNING
    (tmp_path / "go").write_text("\n")
    bench.turn_until_phase(Phase.READY)
    assert bench.reasons[-1] == 'its output said "listening on 81"'


def test_a_line_that_came_before_anybody_looked(bench: Attended) -> None:
    bench.load(writer("printf 'it is up'; sleep 1000", ready=log("it is up")))
    bench.turn_until_phase(Phase.READY)
    assert bench.reasons[-1] == 'its output said "it is up"'


def test_a_text_may_come_in_pieces(bench: Attended, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "go")
    bench.load(writer(f"printf 'it is'; read x <{tmp_path}/go; printf ' up'; sleep 1000", ready=log("it is up")))
    bench.turn_for(0.1)
    (tmp_path / "go").write_text("\n")
    bench.turn_until_phase(Phase.READY)


def test_what_a_past_life_said_does_not_count(bench: Attended, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    bench.load(writer(f"test -e {flag} || {{ touch {flag}; echo up; }}; exec sleep 1000", ready=log("up")))
    bench.turn_until_phase(Phase.READY)
    bench.supervision.feed(on.RestartAsked(WEB, "test"))
    bench.turn_until(lambda: bench.phases.count("running") == 2)
    bench.turn_for(0.3)
    assert bench.worker.phase is Phase.RUNNING


@pytest.mark.parametrize("form", [LogFormat.TEXT, LogFormat.JSON])
def test_what_the_pump_took_away_is_read_in_the_log(bench: Attended, form: LogFormat, tmp_path: Path) -> None:
    """The supervisor has other things to do while the worker speaks and the pump empties its spool."""
    bench.load(writer("exit 0", logs=FILE._replace(format=form)))  # the pump runs from here on
    bench.turn_until(lambda: bench.worker.restarts > 2)
    bench.supervision.feed(on.StopAsked(WEB, "test"))
    bench.turn_until_phase(Phase.STOPPED)
    script = "echo 'say \"up\" é'; head -c 300000 /dev/zero | tr '\\0' 'x'; echo; exec sleep 1000"
    after = writer(script, logs=FILE._replace(format=form), ready=log('say "up" é'))
    bench.supervision.reconfigure(Configuration((after,)), "test")
    bench.supervision.feed(on.StartAsked(WEB, "test"))
    spool = Path(bench.directory, "spool", "web-1.out")
    bench.supervision._after_turn()  # it is spawned, and nobody looks
    deadline = bench.loop.now() + 20
    while not spool.stat().st_size > 300_000 or spool.stat().st_blocks * 512 > 100_000:
        assert bench.loop.now() < deadline, spool.stat()
        os.sched_yield()
    bench.turn_until_phase(Phase.READY)


def test_two_kinds_of_probes_for_two_services(bench: Attended, free_port: int) -> None:
    other = web(ready=execute("exit 0"))._replace(name="other")
    with listening(free_port):
        bench.load(web(ready=tcp(free_port)), other)
        workers = bench.supervision.core.workers
        bench.turn_until(lambda: all(worker.phase is Phase.READY for worker in workers.values()))
    assert workers[WorkerName("other", 1)].reason.startswith("exec /bin/sh exited with code 0")


def test_who_writes_faster_than_we_read_holds_nobody_up(
    bench: Attended, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "MOST", output.BLOCK)
    name, turns = WorkerName("web", 1), 0
    found: list[bool] = []
    spool = Path(spool_path(spool_dir(str(tmp_path)), streams(name)[0]))
    spool.parent.mkdir()
    spool.write_bytes(bytes(10 * output.BLOCK) + b"it is up")
    reader = output.Reader(bench.loop, str(tmp_path), name, FILE, (0, 0), "it is up", lambda: found.append(True))
    while not found:
        bench.loop.turn(1.0)
        turns += 1
    reader.cancel()
    assert turns >= 10
