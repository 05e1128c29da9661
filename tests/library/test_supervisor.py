"""The embedded supervisor: real workers, asked from other threads and from an event loop."""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import pidward
from pidward import Ended, Failed, Phase, Supervisor, UnknownTarget, aio, open_process, service
from pidward.core.spec import LogPolicy, RestartPolicy
from pidward.core.units import Seconds
from pidward.kernel.cgroup import locate
from pidward.kernel.procfs import own_children
from tests.isolation import run_apart
from tests.library.conftest import open_files

WEB = service("web", "sleep 1000", workers=2)
PATIENCE = 30.0

pytestmark = pytest.mark.usefixtures("nothing_left")


@pytest.mark.usefixtures("rung")
def test_start_stop_restart_status() -> None:
    with Supervisor(WEB, service("idle", "sleep 1000", autostart=False)) as supervisor:
        before = supervisor.wait_ready("web", timeout=PATIENCE)
        assert [str(worker.name) for worker in before] == ["web/1", "web/2"]
        (after,) = supervisor.restart("web/1", timeout=PATIENCE)
        assert after.process != before[0].process
        (down,) = supervisor.stop("web/2", timeout=PATIENCE)
        assert down.last_exit is not None
        assert down.last_exit.signal == signal.SIGTERM
        (idle,) = supervisor.start("idle", timeout=PATIENCE)
        assert idle.phase is Phase.READY
        phases = {str(worker.name): worker.phase for worker in supervisor.status()}
        assert phases == {"web/1": Phase.READY, "web/2": Phase.STOPPED, "idle/1": Phase.READY}


def test_who_dies_is_started_again() -> None:
    with Supervisor(WEB) as supervisor, supervisor.events() as events:
        (worker,) = supervisor.wait_ready("web/1", timeout=PATIENCE)
        assert worker.process is not None
        with open_process(worker.process) as process:
            process.signal("KILL")
        said = next(event.text for event in events if "SIGKILL" in event.text)
        assert said.startswith("web/1 starting")
        assert supervisor.signal("web/2", "USR1")


def test_events_end_with_the_supervisor() -> None:
    with Supervisor(WEB) as supervisor:
        events = supervisor.events()
    assert [event.text for event in events][-1].startswith("pidward ended")


def test_a_program_that_cannot_run() -> None:
    hopeless = service("bad", ["no-such-program"], autostart=False, restart=RestartPolicy(delay=Seconds(0.001)))
    with Supervisor(hopeless, service("job", ["sh", "-c", "exit 0"], oneshot=True)) as supervisor:
        assert supervisor.wait_ready("job", timeout=PATIENCE)[0].phase is Phase.COMPLETED
        with pytest.raises(Failed, match="not found on PATH") as caught:
            supervisor.start("bad", timeout=PATIENCE)
        assert [str(name) for name in caught.value.workers] == ["bad/1"]


def test_mistakes_are_raised_where_they_are_made() -> None:
    stubborn = service("stubborn", "sleep 1000", stop_signal="CONT", grace="200ms")
    with Supervisor(WEB, stubborn) as supervisor:
        with pytest.raises(UnknownTarget, match="did you mean 'web'"):
            supervisor.stop("wep")
        with pytest.raises(TimeoutError, match="stubborn: not down"):
            supervisor.stop("stubborn", timeout=0.01)
        supervisor.stop("web/1")
        with pytest.raises(Failed, match="stopped by the program"):
            supervisor.wait_ready("web")
        with pytest.raises(pidward.NoProcess):
            supervisor.signal("web/1", "USR1")
    with pytest.raises(Ended):
        supervisor.status()
    with pytest.raises(ValueError, match="two services"):
        Supervisor(WEB, WEB)
    for wrong in ("", "a/b", "ä", "-x"):
        with pytest.raises(ValueError, match="service"):
            service(wrong, "true")


def test_other_services_can_be_put_in_force() -> None:
    with Supervisor(WEB) as supervisor:
        (first, _) = supervisor.wait_ready(timeout=PATIENCE)
        supervisor.change(service("web", "sleep 1000", workers=1), service("new", "sleep 1000"))
        workers = supervisor.wait_ready("web/1", "new", timeout=PATIENCE)
        assert workers[0].process == first.process


@pytest.mark.usefixtures("rung")
def test_an_exception_in_the_block_stops_everything() -> None:
    with pytest.raises(ZeroDivisionError), Supervisor(WEB) as supervisor:  # noqa: PT012
        (worker, _) = supervisor.wait_ready(timeout=PATIENCE)
        raise ZeroDivisionError
    assert worker.process is not None
    with pytest.raises((pidward.Gone, pidward.Recycled)):
        open_process(worker.process)


def test_logs_and_wishes_stay_in_a_named_directory(tmp_path: Path) -> None:
    talker = service("talker", ["sh", "-c", "echo hello; sleep 1000"], logs=LogPolicy())
    with Supervisor(talker, state_dir=tmp_path / "state") as supervisor:
        supervisor.wait_ready(timeout=PATIENCE)
        with pytest.raises(pidward.CannotStart, match="locked"), Supervisor(talker, state_dir=tmp_path / "state"):
            pass
        supervisor.stop("talker", timeout=PATIENCE)
    logs = {file.name: file.read_bytes() for file in (tmp_path / "state" / "logs").rglob("*") if file.is_file()}
    assert any(b"hello" in text for text in logs.values()), logs
    with Supervisor(talker, state_dir=tmp_path / "state") as supervisor:
        assert supervisor.status()[0].phase is Phase.STOPPED


def test_the_services_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "pidward.toml"
    file.write_text('[service.web]\ncommand = ["sleep", "1000"]\nworkers = 2\nlogs = { mode = "none" }\n')
    with Supervisor.from_file(file) as supervisor:
        assert len(supervisor.wait_ready(timeout=PATIENCE)) == 2


@pytest.mark.usefixtures("rung")
def test_what_the_program_is_stays_as_it_was() -> None:
    """Signal mask and dispositions, limits, other children: all are the host's own."""

    def scenario() -> None:
        with pidward.spawn(["sh", "-c", "read x; exit 5"], stdin=pidward.PIPE) as other:
            mask = signal.pthread_sigmask(signal.SIG_BLOCK, [])
            limits = Path("/proc/self/limits").read_text()
            with Supervisor(WEB) as supervisor:
                supervisor.wait_ready(timeout=PATIENCE)
                assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == mask
                assert Path("/proc/self/limits").read_text() == limits
                other.communicate()
                supervisor.restart(timeout=PATIENCE)
            assert other.wait(PATIENCE).source is pidward.Source.WAITID

    run_apart(scenario)


def test_a_program_that_forgets_to_leave_the_block_still_leaves_nothing() -> None:
    code = (
        "import os, pidward, sys\n"
        "s = pidward.Supervisor(pidward.service('web', 'sleep 1000')).__enter__()\n"
        "print(s.wait_ready(timeout=30)[0].process)\n"
    )
    with pidward.spawn([sys.executable, "-c", code], stdout=pidward.PIPE) as program:
        said, _ = program.communicate(timeout=60)
        assert program.returncode == 0
    with pytest.raises((pidward.Gone, pidward.Recycled)):
        open_process(said.decode().strip())


def test_again_and_again_leaves_nothing() -> None:
    before, threads, children = len(open_files()), threading.active_count(), set(own_children())
    for _ in range(10):
        with Supervisor(service("web", "sleep 1000", logs=LogPolicy())) as supervisor:
            supervisor.wait_ready(timeout=PATIENCE)
    assert len(open_files()) == before
    assert threading.active_count() == threads
    assert set(own_children()) == children


def test_many_threads_ask_at_a_time() -> None:
    with Supervisor(service("web", "sleep 1000", workers=8)) as supervisor:
        failed: list[Exception] = []

        def work(number: int) -> None:
            try:
                for _ in range(3):
                    supervisor.restart(f"web/{number}", timeout=PATIENCE)
                    supervisor.status()
            except Exception as error:  # noqa: BLE001
                failed.append(error)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(1, 9)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failed == []


# --- asyncio


def test_in_an_event_loop() -> None:
    async def main() -> None:
        async with aio.Supervisor(WEB) as supervisor:
            events = supervisor.events()
            waiting = asyncio.ensure_future(anext(events))
            before = await supervisor.wait_ready(timeout=PATIENCE)
            while not waiting.done():
                await supervisor.restart("web/1", timeout=PATIENCE)
            assert waiting.result().worker.startswith("web/")
            assert [worker.name for worker in before] == [worker.name for worker in await supervisor.status()]
            cancelled = asyncio.ensure_future(supervisor.wait_ready("web", timeout=None))
            await supervisor.stop("web", timeout=PATIENCE)
            cancelled.cancel()
            rest = asyncio.ensure_future(_texts(events))
            await supervisor.start("web/2", timeout=PATIENCE)
        assert any(text.startswith("web/2 ready") for text in await rest)

    asyncio.run(main())


async def _texts(events: AsyncIterator[pidward.Event]) -> list[str]:
    return [event.text async for event in events]


def test_a_cancelled_event_loop_stops_everything() -> None:
    found: list[pidward.Worker] = []

    async def work() -> None:
        async with aio.Supervisor(WEB) as supervisor:
            found.extend(await supervisor.wait_ready(timeout=PATIENCE))
            await asyncio.Event().wait()

    async def main() -> None:
        task = asyncio.ensure_future(work())
        while not found:
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert found[0].process is not None
    with pytest.raises((pidward.Gone, pidward.Recycled)):
        open_process(found[0].process)


def test_events_in_an_event_loop_end_with_their_block() -> None:
    async def main() -> None:
        async with aio.Supervisor(WEB) as supervisor:
            async with supervisor.events() as events:
                await supervisor.restart("web/1", timeout=PATIENCE)
                assert (await anext(events)).worker == "web/1"  # also what happened before it was asked for
            assert events.dropped == 0
            assert all([event.worker == "web/1" async for event in events])

    asyncio.run(main())


# --- what services need, and how they are described


def test_dependencies_are_kept() -> None:
    late = service("late", "sleep 1000", depends_on=["job", "web"])
    job = service("job", ["sh", "-c", "exit 0"], oneshot=True)
    with Supervisor(late, job, WEB) as supervisor:
        supervisor.wait_ready(timeout=PATIENCE)
        order = {worker.name.service: worker.started or 0.0 for worker in supervisor.status("late", "job", "web/1")}
    assert order["late"] > max(order["job"], order["web"])


@pytest.mark.parametrize(
    "services, says",
    [
        ([service("a", "true", depends_on=["b"])], "'a' depends on 'b', which is not among a"),
        ([service("a", "true", depends_on=["a"])], "a -> a"),
        ([service("a", "true", depends_on=["b"]), service("b", "true", depends_on={"a": "started"})], "a -> b -> a"),
        ([service("a", "true", depends_on={"web": "completed"}), WEB], "which is no oneshot"),
    ],
)
def test_impossible_dependencies_are_refused(services: list[pidward.ServiceSpec], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Supervisor(*services)
    with Supervisor(WEB) as supervisor:
        with pytest.raises(ValueError, match=says):
            supervisor.change(*services)
        supervisor.wait_ready(timeout=PATIENCE)


def test_readiness_and_logs_are_said_as_in_a_file() -> None:
    probe = {"http": "http://127.0.0.1:800%i/", "deadline": "30s", "period": "2s"}
    web = service("web", "true", ready=probe, logs={"max_size": "10MiB", "keep": 2}, depends_on={"db": "started"})
    assert web.ready == pidward.Probe(pidward.ProbeKind.HTTP, "http://127.0.0.1:800%i/", period=Seconds(2.0))
    assert web.ready_timeout == Seconds(30.0)
    assert (web.logs.max_size, web.logs.keep) == (10 * 2**20, 2)
    assert web.depends_on == (pidward.Dependency("db", pidward.Condition.STARTED),)
    for wrong in ({"htp": "x"}, {"http": 3}, {"http": "http://h/", "tcp": "h:1"}):
        with pytest.raises(ValueError, match=r"service\.web\.ready"):
            service("web", "true", ready=wrong)
    with pytest.raises(ValueError, match=r"service\.web\.logs\.mode"):
        service("web", "true", logs={"mode": "nowhere"})
    with pytest.raises(ValueError, match="not a valid Condition"):
        service("web", "true", depends_on={"db": "there"})
    with pytest.raises(ValueError, match="not the string"):
        service("web", "true", depends_on="db")


# --- programs that are ended from outside

_ENDED = """
import os, pidward, sys
with pidward.Supervisor(pidward.service("web", "sleep 1000")) as supervisor:
    print(supervisor.wait_ready(timeout=30)[0].process, flush=True)
    os._exit(7)
"""


def test_what_a_dead_embedded_supervisor_left_is_removed_when_its_workers_are_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    env = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    ran = subprocess.run([sys.executable, "-c", _ENDED], env=env, stdout=subprocess.PIPE, check=False, timeout=60)
    worker = ran.stdout.decode().strip()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (left,) = os.listdir(tmp_path)
    identity = (tmp_path / left / "run" / "identity").read_text()
    place = locate()

    def groups() -> list[str]:
        return [name for name in (os.listdir(place.path) if place.kind else ()) if identity in name]

    with open_process(worker) as process:
        if place.kind:
            with Supervisor():
                assert left in os.listdir(tmp_path)  # its worker lives
            assert groups()
        process.kill_tree()
    with Supervisor():
        assert left not in os.listdir(tmp_path)
        with Supervisor():  # the one around it lives
            assert len(os.listdir(tmp_path)) == 2
    assert os.listdir(tmp_path) == []
    assert groups() == []
