"""A worker's whole tree ends with it, on every rung: twenty daemons that have double-forked into sessions of their own.

The rungs are forced by taking features away; each is tried with the native spawner and with the one in Python.
"""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from pidward.kernel.pidfd import Pidfd
from pidward.testing.programs import Barrier, daemons, family
from tests.e2e.rig import Rig, ends, held, is_alive, service

RUNGS = {
    "cgroup2": "",
    "cgroup2-without-kill": "cgroup_kill",
    "shim-enters-cgroup2": "clone_into_cgroup",
    "cgroup1": "cgroup2",
    "walk": "cgroup2,cgroup1",
}
MASKS = {
    **RUNGS,
    **{f"{name}-python": ",".join(filter(None, (mask, "native"))) for name, mask in RUNGS.items()
       if name != "shim-enters-cgroup2"},
}  # fmt: skip
MANY = 20


@pytest.fixture(params=list(MASKS.values()), ids=list(MASKS))
def mask(request: pytest.FixtureRequest) -> str:
    """What is taken away."""
    return str(request.param)


@pytest.fixture
def barrier(tmp_path: Path) -> Iterator[Barrier]:
    with Barrier(tmp_path / "barrier") as barrier:
        yield barrier


@contextmanager
def tree(barrier: Barrier, count: int, word: str = "daemon") -> Iterator[tuple[Pidfd, list[Pidfd]]]:
    """Handles on a main process and on its descendants, when all of them are there."""
    with ExitStack() as stack:
        reports = barrier.wait(count + 1)
        handles = [(report.word, stack.enter_context(Pidfd.open(report.pid))) for report in reports]
        ((_, main),) = [pair for pair in handles if pair[0] == "started"]
        yield main, [handle for said, handle in handles if said == word]


def test_stop_leaves_nobody(rig: Rig, barrier: Barrier, mask: str) -> None:
    rig.configure(service("web", daemons(MANY, barrier)))
    rig.up(mask=mask)
    with tree(barrier, MANY) as (main, below):
        assert all(map(is_alive, below))
        assert len(below) == MANY
        rig.call("Stop", targets=["web"], wait=True)
        assert not is_alive(main)
        assert [process for process in below if is_alive(process)] == []
    phases = [event["data"]["after"] for event in rig.events.of("web/1")] or rig.wait("web/1", "stopped")
    assert phases
    assert rig.call("Start", targets=["web"], wait=True)["results"][0]["reached"], "and it can start again"
    with tree(barrier, MANY) as (main, _):
        assert is_alive(main)


def test_after_a_crash_nobody_is_left_when_the_next_one_starts(rig: Rig, barrier: Barrier, mask: str) -> None:
    rig.configure(service("web", daemons(MANY, barrier)))
    rig.up(mask=mask)
    with tree(barrier, MANY) as (main, below):
        main.signal(signal.SIGKILL)
        rig.wait("web/1", "killing", "killed by SIGKILL; killing what it left behind")
        with tree(barrier, MANY) as (other, others):
            assert main.id != other.id
            assert [process for process in below if is_alive(process)] == []
            assert all(map(is_alive, [other, *others])), "the cgroup that was killed does not kill them"
    assert rig.status()["web/1"]["restarts"] == 1


def test_what_is_to_be_left_is_left(rig: Rig, barrier: Barrier, mask: str) -> None:
    rig.leaves = True
    rig.configure(service("web", daemons(MANY, barrier), stop={"tree": "leave"}))
    rig.up(mask=mask)
    with ExitStack() as stack:
        main, left = stack.enter_context(tree(barrier, MANY))
        rig.call("Stop", targets=["web"], wait=True)
        assert not is_alive(main)
        rig.call("Start", targets=["web"], wait=True)
        main, more = stack.enter_context(tree(barrier, MANY))
        left += more
        main.signal(signal.SIGKILL)
        main, more = stack.enter_context(tree(barrier, MANY))
        left += more
        assert all(map(is_alive, left)), "a crash does not end them either"
        rig.signal(signal.SIGTERM)
        assert rig.wait_end().code == 0
        assert not is_alive(main)
        rig.up(mask=mask)
        _, more = stack.enter_context(tree(barrier, MANY))
        left += more
        assert len(left) == 4 * MANY
        assert all(map(is_alive, left)), "nor does the next supervisor"
        rig.cli("down")
        for process in left:
            process.signal(signal.SIGKILL)
            assert ends(process)


def test_the_signal_reaches_the_whole_tree(rig: Rig, barrier: Barrier, mask: str) -> None:
    """With ``tree = "signal"`` the descendants hear the stop signal too, and have the grace to end."""
    rig.configure(service("web", family(MANY, barrier), stop={"tree": "signal", "grace": "1h"}))
    rig.up(mask=mask)
    with tree(barrier, MANY, "child") as (main, below):
        rig.call("Stop", targets=["web"], wait=True)
        assert [process for process in [main, *below] if is_alive(process)] == []
    rig.wait("web/1", "stopped")
    assert not [e for e in rig.events.of("web/1") if e["data"].get("after") == "killing"]


def test_who_does_not_hear_the_signal_is_killed_after_the_grace(rig: Rig, barrier: Barrier, mask: str) -> None:
    rig.configure(service("web", daemons(MANY, barrier), stop={"tree": "signal", "grace": "50ms"}))
    rig.up(mask=mask)
    with tree(barrier, MANY) as (main, below):
        rig.call("Stop", targets=["web"], wait=True)
        assert [process for process in [main, *below] if is_alive(process)] == []
    rig.wait("web/1", "killing", "its tree did not end within the grace of 50ms after SIGTERM")


def test_waiting_for_a_tree_costs_next_to_nothing(rig: Rig, barrier: Barrier, mask: str) -> None:
    """Who waits for the end of a tree looks now and then at most, and does not turn round all the time."""
    rig.configure(service("web", daemons(1, barrier), stop={"tree": "signal", "grace": "300ms"}))
    rig.up(mask=mask)
    with tree(barrier, 1):
        before = ticks(rig.process)
        rig.call("Stop", targets=["web"], wait=True)
        assert ticks(rig.process) - before <= 8, "of 30 in all"


def ticks(process: Pidfd) -> int:
    """Hundredths of a second of processor time."""
    fields = Path(f"/proc/{process.id.pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def test_the_tree_of_one_worker_is_not_that_of_another(rig: Rig, barrier: Barrier, mask: str) -> None:
    rig.configure(service("web", daemons(2, barrier), workers=2))
    rig.up(mask=mask)
    with ExitStack() as stack:
        everybody = [stack.enter_context(Pidfd.open(report.pid)) for report in barrier.wait(6)]
        rig.call("Stop", targets=["web/1"], wait=True)
        alive = [process for process in everybody if is_alive(process)]
        assert len(alive) == 3
        assert rig.status()["web/2"]["process"] in {str(process.id) for process in alive}


def test_kill_with_the_whole_tree(rig: Rig, barrier: Barrier, mask: str) -> None:
    rig.configure(service("web", daemons(MANY, barrier), restart="never"))
    rig.up(mask=mask)
    with tree(barrier, MANY) as (main, below):
        rig.call("Kill", target="web/1", tree=True)
        for process in [main, *below]:
            assert ends(process)


def test_a_tree_that_stands_still_hears_the_stop_signal(rig: Rig, barrier: Barrier, mask: str) -> None:
    """SIGCONT goes to all of it: the main process waits for its child, which is under SIGSTOP as well."""
    child = """sh -c 'echo child $$ >"$0"; exec sleep infinity' "$0" &"""
    script = f"""{child} trap 'kill $!; wait $!; exit 0' TERM; echo started $$ >"$0"; wait"""
    rig.configure(service("web", ["/bin/sh", "-c", script, str(barrier.path)], stop={"grace": "1h"}))
    rig.up(mask=mask)
    with tree(barrier, 1, "child") as (main, below):
        for process in (main, *below):
            process.signal(signal.SIGSTOP)
        rig.call("Stop", targets=["web"], wait=True)
        assert [process for process in (main, *below) if is_alive(process)] == []
    rig.wait("web/1", "stopped", "exited with code 0")


@pytest.mark.parametrize("where", ["cgroup2,cgroup1", "cgroup2,cgroup1,native"], ids=["native", "python"])
def test_who_hides_its_environment_is_found_by_its_session(rig: Rig, barrier: Barrier, where: str) -> None:
    """Programs that write a title over their environment, as nginx does, are found while the main process is known."""
    child = 'echo "child $$" >"$1"; exec sleep infinity'
    main = f'env -i /bin/sh -c \'{child}\' sh "$1" & echo "started $$" >"$1"; wait'
    rig.configure(service("web", ["/bin/sh", "-c", main, "sh", barrier.path]))
    rig.up(mask=where)
    with tree(barrier, 1, "child") as (first, below):
        first.signal(signal.SIGKILL)
        with tree(barrier, 1, "child") as (_, more):
            assert [process for process in below if is_alive(process)] == []
            rig.call("Stop", targets=["web"], wait=True)
            assert [process for process in more if is_alive(process)] == []


@pytest.mark.parametrize("where", ["cgroup2,cgroup1", "cgroup2,cgroup1,native"], ids=["native", "python"])
def test_orphans_are_reaped(rig: Rig, barrier: Barrier, where: str) -> None:
    """On the walking rung whoever loses its parent becomes the supervisor's child, and no zombie."""
    rig.configure(service("web", daemons(3, barrier)))
    rig.up(mask=where)
    with tree(barrier, 3) as (main, below):
        for process in below:
            process.signal(signal.SIGKILL)
            assert ends(process)
            while process.exists():  # reaped soon after
                os.sched_yield()
        assert is_alive(main)


def test_a_process_in_the_cgroup_that_nobody_knows_is_killed_by_the_next_supervisor(rig: Rig, barrier: Barrier) -> None:
    """It was born while the supervisor was killed, say; the cgroup is the record."""
    rig.configure(service("web", daemons(1, barrier), restart="always"))
    rig.up()
    with tree(barrier, 1) as (main, below):
        rig.kill()
        main.signal(signal.SIGKILL)
        assert ends(main)
        rig.up()
        assert not is_alive(below[0])
        with tree(barrier, 1):
            pass


def test_held_by_nothing_but_numbers(rig: Rig) -> None:
    """The fixture itself: an identity opens the process it names, and no other."""
    rig.configure(service("web", [sys.executable, "-Sc", "import signal; signal.pause()"]))
    rig.up()
    with held(rig.wait("web/1", "ready")["data"]["process"]) as process:
        assert is_alive(process)
