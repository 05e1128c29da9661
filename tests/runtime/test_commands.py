"""Commands beside a worker, with real processes: how they end, and that nothing of them is left."""

import os
import select
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest

from pidward.core.model import WorkerName
from pidward.core.spec import Execution, ServiceSpec
from pidward.core.units import Seconds
from pidward.kernel import abi
from pidward.kernel.pidfd import Pidfd
from pidward.kernel.spawn import Failure
from pidward.kernel.tree import reap_orphans
from pidward.runtime.commands import Outcome, run_command
from pidward.testing.programs import Barrier, Report, daemons, stubborn
from tests.runtime.attended import SHORT, Attended, attended
from tests.runtime.bench import WEB, descriptors

LONG = Seconds(30.0)


@pytest.fixture(params=["native", "python", "v1"])
def bench(request: pytest.FixtureRequest) -> Iterator[Attended]:
    with attended(request.param) as bench:
        yield bench


@pytest.fixture
def barrier(tmp_path: Path) -> Iterator[Barrier]:
    with Barrier(tmp_path / "reports") as barrier:
        yield barrier


class Running:
    """A command and what it told."""

    def __init__(self, bench: Attended, words: Sequence[str], timeout: Seconds = LONG, spec: ServiceSpec | None = None):
        self.bench, self.told = bench, list[Outcome]()
        spec = spec or ServiceSpec("web", Execution(("x",)))
        self.command = run_command(
            bench.surroundings, WEB, spec, words, timeout, self.told.append, purpose="ready", env=(("MORE", "100%%"),)
        )  # fmt: skip
        assert self.told == []

    def end(self) -> Outcome:
        """Wait until it has told, and nothing of it is left."""
        self.bench.turn_until(lambda: bool(self.told) and self.command.is_gone)
        (told,) = self.told
        return told


def sh(script: str) -> tuple[str, ...]:
    return ("/bin/sh", "-c", script)


@pytest.fixture(autouse=True)
def orphans_are_not_ours() -> None:
    """An earlier test of this process may have made it the parent of all orphans, which stay zombies here."""
    abi.call("prctl", 36, 0, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
    reap_orphans(())


def groups(bench: Attended) -> list[str]:
    group = bench.trees.make(WorkerName("x", 1))
    base = os.path.dirname(group.path)  # type: ignore[union-attr]
    bench.trees.remove(group)
    return [entry.name for entry in os.scandir(base) if entry.is_dir()]


def assert_nothing_left(bench: Attended, before: int) -> None:
    assert groups(bench) == []
    assert [name for name in os.listdir(bench.directory) if name.endswith(".out")] == []
    assert descriptors() == before
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    zombies = [child for child in children if ") Z " in Path(f"/proc/{child}/stat").read_text()]
    assert zombies == []


@pytest.mark.parametrize("words, outcome", [
    (sh("exit 0"), (True, "exited with code 0")),
    (sh("echo fine"), (True, "exited with code 0: fine")),
    (sh("echo a; echo 'no \x1b[31mtable' >&2; echo; exit 3"), (False, "exited with code 3: no ?[31mtable")),
    (sh("kill -9 $$"), (False, "killed by SIGKILL")),
    (sh("printf '%0200d' 0; exit 1"), (False, "exited with code 1: " + "0" * 157 + "...")),
    (("nowhere",), (False, 'cannot be run: "nowhere": No such file or directory (stage exec, ENOENT)')),
])  # fmt: skip
def test_how_it_ends(bench: Attended, words: Sequence[str], outcome: tuple[bool, str]) -> None:
    before = descriptors()
    assert Running(bench, words).end() == outcome
    assert_nothing_left(bench, before)


def test_it_runs_as_the_worker_does(bench: Attended, tmp_path: Path) -> None:
    if os.geteuid():
        pytest.skip("needs root")
    tmp_path.chmod(0o755)
    execution = Execution(("x",), working_dir=str(tmp_path), user="nobody", env=(("A", "%i"),), umask=0o077, stdin="/x")
    spec = ServiceSpec("web", execution)
    script = 'echo "$(id -un) $(pwd) $A $MORE $(umask) $PIDWARD_WORKER ${NOTIFY_SOCKET}%i"'
    assert Running(bench, sh(script), spec=spec).end().text.endswith(f": nobody {tmp_path} 1 100% 0077 1 1")


def test_a_user_that_does_not_exist_is_its_outcome(bench: Attended) -> None:
    before = descriptors()
    spec = ServiceSpec("web", Execution(("x",), user="nobody-of-this-name"))
    end = Running(bench, sh("exit 0"), spec=spec).end()
    assert end == (False, "cannot be run: user 'nobody-of-this-name' does not exist; check service.web.user")
    assert_nothing_left(bench, before)


def test_a_shortage_is_its_outcome(bench: Attended) -> None:
    before = descriptors()
    bench.spawner.failures.append(Failure("clone", 11))
    end = Running(bench, sh("exit 0")).end()
    assert end.is_success is None
    assert end.text.endswith("Resource temporarily unavailable (stage clone, EAGAIN)")
    assert_nothing_left(bench, before)


def ended(process: Pidfd) -> bool:
    poll = select.poll()
    poll.register(process.fileno(), select.POLLIN)
    return bool(poll.poll(10_000))


@pytest.mark.parametrize("daemon", [False, True])
def test_who_does_not_end_is_killed_with_all_that_it_started(bench: Attended, barrier: Barrier, daemon: bool) -> None:
    before = descriptors()
    words = daemons(2, barrier) if daemon else stubborn(barrier)
    running = Running(bench, words, Seconds(1.0))
    reports: list[Report] = []
    begun = bench.loop.now()
    while len(reports) < (3 if daemon else 1):
        bench.loop.turn(0.01)
        reports += barrier.pending()
    processes = [Pidfd.open(report.pid) for report in reports]
    assert running.end() == (False, "did not end within 1s")
    assert bench.loop.now() - begun < 15
    for process in processes:
        with process:
            assert ended(process)
    bench.turn_until(lambda: True)
    assert_nothing_left(bench, before)


def test_a_daemon_that_it_leaves_ends_with_it(bench: Attended, barrier: Barrier) -> None:
    """It exited with 0, and that is what counts; what it left would be there once more with each look."""
    before = descriptors()
    daemon = f"trap '' TERM HUP; echo daemon $$ >{barrier.path}; exec sleep 1000"
    words = (*sh(f'setsid sh -c "$0" & read x <{barrier.path}.go'), daemon)
    os.mkfifo(f"{barrier.path}.go")
    running = Running(bench, words)
    reports: list[Report] = []
    while not reports:
        bench.loop.turn(0.01)
        reports = barrier.pending()
    with Pidfd.open(reports[0].pid) as left:
        go = os.open(f"{barrier.path}.go", os.O_WRONLY)
        os.write(go, b"\n")
        os.close(go)
        assert running.end().is_success
        assert ended(left)
    assert_nothing_left(bench, before)


def test_much_output_is_taken_and_not_kept(bench: Attended) -> None:
    end = Running(bench, sh("head -c 3000000 /dev/zero | tr '\\0' 'x'; echo; echo last")).end()
    assert end == (True, "exited with code 0: last")


def test_output_without_an_end_ends_with_the_time(bench: Attended) -> None:
    before = descriptors()
    assert Running(bench, ("yes",), SHORT).end() == (False, "did not end within 300ms")
    assert_nothing_left(bench, before)


def test_cancelled_is_never_told(bench: Attended, barrier: Barrier) -> None:
    before = descriptors()
    for words in (("nowhere",), sh("exit 0"), stubborn()):
        running = Running(bench, words)
        running.command.cancel()
        running.command.cancel()
        bench.turn_until(partial(getattr, running.command, "is_gone"))
        assert running.told == []
    assert_nothing_left(bench, before)


def test_the_end_of_the_supervisor_waits_until_it_is_gone(bench: Attended, barrier: Barrier) -> None:
    before = descriptors()
    running = Running(bench, daemons(2, barrier))
    reports: list[Report] = []
    while len(reports) < 3:
        bench.loop.turn(0.01)
        reports += barrier.pending()
    processes = [Pidfd.open(report.pid) for report in reports]
    running.command.close()
    assert running.command.is_gone
    for process in processes:
        with process:
            assert ended(process)
    assert running.told == []
    assert_nothing_left(bench, before)
