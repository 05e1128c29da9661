"""What workers say, who is believed, and what follows."""

import os
import random
import signal
import socket
from collections.abc import Callable, Iterator

import pytest

from pidward.core import events as on
from pidward.core.model import Phase, WorkerName
from pidward.core.spec import Configuration, Probe, ProbeKind, RestartPolicy
from pidward.core.units import Instant, Seconds
from pidward.kernel import mask
from pidward.kernel.cgroup import Located, look_for
from pidward.kernel.notify import MAX_DESCRIPTORS
from pidward.kernel.wait import wait_exit
from pidward.runtime import notify, watchdog
from pidward.runtime.loop import READ, Loop
from pidward.runtime.watchdog import Watchdog
from tests.runtime.bench import WEB, descriptors, web
from tests.runtime.stage import Stage

DB = WorkerName("db", 1)


def located(kind: str) -> Located:
    place = look_for(kind)
    if place.kind is None:
        pytest.skip(f"needs {kind}: {place.why}")
    return place


@pytest.fixture
def stage() -> Iterator[Stage]:
    with Stage(located("cgroup2")) as stage:
        yield stage


@pytest.fixture(params=["cgroup2", "path", "cgroup1", "walk"])
def anywhere(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    """Each way to tell whose a process is."""
    if request.param == "path":
        monkeypatch.setenv(mask.VARIABLE, "pidfd_info")
        mask.taken_away.cache_clear()
    place = Located(None, "", "by choice") if request.param == "walk" else None
    kind = "cgroup2" if request.param == "path" else request.param
    with Stage(place or located(kind)) as stage:
        yield stage
    monkeypatch.undo()
    mask.taken_away.cache_clear()


def say_from_outside(stage: Stage, text: bytes) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.connect(str(stage.where / notify.SOCKET_NAME))
        sender.send(text)


# --- who is believed


def test_the_main_process_says_that_it_is_ready(anywhere: Stage) -> None:
    anywhere.load(anywhere.puppet())
    anywhere.tell("say('STATUS=not yet')")
    anywhere.turn_until_status("not yet")
    assert anywhere.worker.phase is Phase.RUNNING
    anywhere.tell("say('READY=1\\nSTATUS=well')")
    anywhere.turn_until_ready()
    assert anywhere.worker.reason == "READY=1"
    assert anywhere.notify.status_of(WEB) == "well"


def test_its_descendants_may_say_it(anywhere: Stage) -> None:
    """Also one that has lost its parent and left the session, and lives."""
    anywhere.load(anywhere.puppet())
    anywhere.tell("in_child(lambda: (os.setsid(), in_child(lambda: (say('READY=1'), pause()))))")
    anywhere.turn_until_ready()


def test_a_sender_that_was_reaped_is_known_by_its_cgroup(stage: Stage) -> None:
    stage.load(stage.puppet(watchdog=Seconds(60.0)))
    stage.turn_until_phase(Phase.RUNNING)
    stage.tell("os.waitpid(in_child(lambda: say('READY=1')), 0); open(sys.argv[1] + '.done', 'w').close()")
    done = stage.where / "web.done"
    while not done.exists():  # the loop stands still meanwhile: the message is read when its sender is gone
        os.sched_yield()
    stage.turn_until(lambda: stage.worker.phase is Phase.READY or bool(stage.notes))
    if stage.notes:
        assert "nobody can tell any more who that was" in stage.notes[0]
        pytest.skip("needs SCM_PIDFD of a reaped sender")


def test_nobody_from_outside_is_believed(anywhere: Stage) -> None:
    """The same user, even the supervisor's own process."""
    anywhere.load(anywhere.puppet())
    anywhere.turn_until_phase(Phase.RUNNING)
    say_from_outside(anywhere, b"READY=1\nSTATUS=forged")
    anywhere.turn_until_note("was not heard: it is no process of a worker")
    anywhere.settle()
    assert anywhere.worker.phase is Phase.RUNNING
    assert f"pid {os.getpid()} (uid {os.getuid()})" in anywhere.notes[0]


def test_each_speaks_for_itself(anywhere: Stage) -> None:
    anywhere.load(anywhere.puppet(), anywhere.puppet("db"))
    anywhere.tell("say('READY=1')", "db")
    anywhere.turn_until_ready("db")
    anywhere.settle()
    assert anywhere.worker.phase is Phase.RUNNING


def test_what_the_process_before_said_is_about_that_one(stage: Stage) -> None:
    """It said that it is ready, and died before it was heard."""
    stage.load(stage.puppet())
    stage.settle()
    assert stage.notify._watch is not None
    stage.notify._watch.modify(0)  # nobody listens
    with stage.main_copy() as main:
        stage.tell("say('READY=1\\nSTATUS=before'); os._exit(1)")
        assert wait_exit(main, Seconds(10))
        stage.turn_until(lambda: stage.worker.restarts == 1 and stage.worker.phase is Phase.RUNNING)
    stage.notify._watch.modify(READ)
    assert stage.notify.status_of(WEB) == ""
    stage.settle()
    assert "ready" not in stage.phases
    stage.tell("say('READY=1')")
    stage.turn_until_ready()


def test_the_status_ends_with_the_process(stage: Stage) -> None:
    stage.load(stage.puppet())
    stage.settle()
    stage.tell("os._exit(1)")
    stage.turn_until(lambda: stage.worker.restarts == 1)
    assert stage.notify.status_of(WEB) == ""


# --- the watchdog


def test_a_missed_ping_ends_it_with_a_core(stage: Stage) -> None:
    stage.load(stage.puppet(watchdog=Seconds(0.05)))
    stage.turn_until_phase(Phase.RUNNING)
    stage.tell("import resource; resource.setrlimit(resource.RLIMIT_CORE, (0, 0)); say('READY=1')")
    stage.turn_until(lambda: stage.worker.restarts == 1)
    assert stage.worker.last_exit is not None
    assert stage.worker.last_exit.signal == signal.SIGABRT
    assert any("no WATCHDOG=1 within 50ms" in reason for reason in stage.reasons)


def test_a_worker_may_ask_for_the_same_and_change_the_time(stage: Stage) -> None:
    stage.load(stage.puppet(watchdog=Seconds(3600.0)))
    stage.tell("import resource; resource.setrlimit(resource.RLIMIT_CORE, (0, 0)); say('READY=1\\nWATCHDOG=trigger')")
    stage.turn_until(lambda: stage.worker.restarts == 1)
    assert any("WATCHDOG=trigger" in reason for reason in stage.reasons)
    stage.tell(
        "import resource; resource.setrlimit(resource.RLIMIT_CORE, (0, 0)); say('READY=1\\nWATCHDOG_USEC=20000')"
    )
    stage.turn_until(lambda: stage.worker.restarts == 2)
    assert any("no WATCHDOG=1 within 20ms" in reason for reason in stage.reasons)


def test_it_knows_how_often_to_ping(stage: Stage) -> None:
    stage.load(stage.puppet(watchdog=Seconds(2.5)))
    stage.tell("mine = os.environ['WATCHDOG_PID'] == str(os.getpid())")
    stage.tell("say(f'STATUS={os.environ[\"WATCHDOG_USEC\"]} {mine}')")
    stage.turn_until_status("2500000 True")


@pytest.fixture
def loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.close()


def run_for(loop: Loop, seconds: float, until: Callable[[], bool] = lambda: False) -> None:
    end = loop.now() + seconds
    loop.call_at(Instant(end), lambda: None)
    while loop.now() < end and not until():
        loop.turn(1.0)


def test_pings_in_time_are_enough(loop: Loop) -> None:
    missed: list[Seconds] = []
    dog = Watchdog(loop, lambda: True, missed.append)
    end = loop.now() + 0.3

    def ping() -> None:
        dog.ping()
        if loop.now() < end:
            loop.call_at(Instant(loop.now() + 0.01), ping)

    dog.start(Seconds(0.1))
    ping()
    run_for(loop, 0.3)
    assert missed == []
    run_for(loop, 10, lambda: bool(missed))
    run_for(loop, 0.2)
    assert missed == [0.1], "once"


def test_the_sleep_of_the_machine_does_not_count(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop's timers are on the clock that goes on while the machine sleeps."""
    awake = [Instant(0.0)]
    monkeypatch.setattr(watchdog, "monotonic", lambda: awake[0])
    missed: list[Seconds] = []
    dog = Watchdog(loop, lambda: True, missed.append)
    dog.start(Seconds(0.02))
    run_for(loop, 0.1)
    assert missed == []
    awake[0] = Instant(1.0)
    run_for(loop, 10, lambda: bool(missed))


def test_a_ping_that_waits_to_be_read_was_in_time(loop: Loop) -> None:
    missed: list[Seconds] = []
    looks: list[bool] = []

    def catch_up() -> bool:
        looks.append(True)
        if len(looks) == 2:
            dog.ping()
        return len(looks) > 1  # the first time there is more to read

    dog = Watchdog(loop, catch_up, missed.append)
    dog.start(Seconds(0.02))
    run_for(loop, 10, lambda: bool(missed))
    assert len(looks) == 3


# --- what else is said


def test_more_time(stage: Stage) -> None:
    stage.load(stage.puppet(ready_timeout=Seconds(10.0)))
    stage.turn_until_phase(Phase.RUNNING)
    before = stage.worker.until
    stage.tell("say('EXTEND_TIMEOUT_USEC=3600000000')")
    stage.turn_until(lambda: stage.worker.until != before)
    assert stage.worker.until is not None
    assert stage.worker.until > stage.loop.now() + 3000
    stage.tell("say('EXTEND_TIMEOUT_USEC=' + '9' * 20)")
    stage.settle()
    assert stage.worker.until > stage.loop.now() + 1e9
    assert stage.worker.phase is Phase.RUNNING


def test_the_end_is_announced(stage: Stage) -> None:
    stage.load(stage.puppet())
    stage.tell("say('READY=1')")
    stage.turn_until_ready()
    stage.tell("say('STOPPING=1')")
    stage.turn_until_phase(Phase.RUNNING)


def test_past_failures_are_forgiven(stage: Stage) -> None:
    stage.load(stage.puppet(restart=RestartPolicy(delay=Seconds(0.01), max_delay=Seconds(0.01))))
    for count in range(1, 4):
        stage.tell("os._exit(1)")
        stage.turn_until(lambda count=count: stage.worker.restarts == count)  # type: ignore[misc]
    assert stage.worker.failures
    stage.tell("say('RESTART_RESET=1')")
    stage.turn_until(lambda: not stage.worker.failures)
    assert any("asks to forget" in note for note in stage.notes)


def test_errors_and_reloads_are_remembered(stage: Stage) -> None:
    stage.load(stage.puppet())
    stage.tell("say('READY=1')")
    stage.turn_until_ready()
    stage.tell(
        "say('RELOADING=1\\nMONOTONIC_USEC=1'); say('ERRNO=2'); say('EXIT_STATUS=7'); say('WATCHDOG=x'); say('READY=1')"
    )
    stage.turn_until_note("has read its configuration again")
    assert [note.removeprefix("web/1: ") for note in stage.notes] == [
        "reads its configuration again",
        "says that it failed: No such file or directory (errno 2)",
        "says that its exit status is 7",
        "cannot read what it says by WATCHDOG",
        "has read its configuration again",
    ]
    assert stage.worker.phase is Phase.READY


def test_ready_by_another_way_is_not_changed_by_ready(stage: Stage) -> None:
    """READY=1 counts where ``ready = { notify = true }``."""
    stage.load(stage.puppet(ready=Probe(ProbeKind.AFTER, after=Seconds(3600.0)), notify=True))
    stage.tell("say('READY=1')")
    stage.settle()
    assert stage.worker.phase is Phase.RUNNING


def test_a_barrier_is_let_go_after_what_came_before(stage: Stage) -> None:
    stage.load(stage.puppet())
    stage.tell(
        "r, w = os.pipe(); say('READY=1'); say('BARRIER=1', w); os.close(w); os.read(r, 1); say('STATUS=passed')"
    )
    stage.turn_until_status("passed")
    assert stage.worker.phase is Phase.READY


def test_notes_are_limited(stage: Stage) -> None:
    stage.load(stage.puppet())
    stage.tell("for i in range(200): say(f'ERRNO={i}')")
    stage.settle()
    assert len(stage.notes) == notify._MAY_SAY
    assert "it says too much" in stage.notes[-1]
    stage.tell("say('READY=1')")
    stage.turn_until_ready()


def test_a_flood_is_taken_in_small_parts(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.load(stage.puppet())
    stage.settle()
    monkeypatch.setattr(notify, "_AT_ONCE", 3)
    assert stage.notify._watch is not None
    stage.notify._watch.modify(0)
    stage.tell("for i in range(8): say(f'STATUS={i}')\nopen(sys.argv[1] + '.done', 'w').close()")
    while not (stage.where / "web.done").exists():
        os.sched_yield()
    stage.notify._watch.modify(READ)
    seen = []
    for _ in range(3):
        stage.loop.turn(1.0)
        seen.append(stage.notify.status_of(WEB))
    assert seen == ["2", "5", "7"]


def test_noise_harms_nobody(stage: Stage) -> None:
    before = descriptors()
    stage.load(stage.puppet(fd_store=2))
    stage.settle()
    here = descriptors()
    source = random.Random(11)
    words = ["READY", "STATUS", "MAINPID", "MAINPIDFD", "FDSTORE", "FDSTOREREMOVE", "BARRIER", "ERRNO",
             "EXTEND_TIMEOUT_USEC", "MAINPIDFDID", "RELOADING", "WATCHDOG"]  # fmt: skip
    for _ in range(100):
        lines = [f"{source.choice(words)}={source.choice(['1', '0', 'x', '-1', '9' * 25])}" for _ in range(3)]
        text = "\n".join(lines).encode() if source.random() < 0.5 else source.randbytes(source.randrange(5000))
        fds = ", 0" * source.choice([0, 0, 1, 3, MAX_DESCRIPTORS])
        stage.tell(f"say({text!r}{fds})")
        stage.settle()
    stage.turn_until(lambda: descriptors() <= here + 2)  # what is stored, and nothing else
    stage.supervision.feed(on.StopAsked(WEB, "test"))
    stage.turn_until_phase(Phase.STOPPED)
    assert not [row for row in stage.store.rows if "internal error" in row.text]
    stage.turn_until(lambda: descriptors() <= before + 2)  # the notify socket, and the string of the puppet


# --- another main process


def test_another_process_of_its_own_is_the_main_one(anywhere: Stage) -> None:
    stage = anywhere
    stage.load(stage.puppet())
    stage.tell("say('READY=1')")
    stage.turn_until_ready()
    first = stage.main.id
    with stage.main_copy() as former:
        stage.tell("child = in_child(lambda: (time.sleep(0), pause())); say(f'MAINPID={child}')")
        stage.turn_until(lambda: stage.main.id != first)
        assert stage.worker.process == stage.main.id
        assert stage.worker.phase is Phase.READY
        stage.tell("os._exit(0)")
        stage.turn_until(lambda: not former.exists())
    stage.loop.turn(0)
    assert stage.worker.restarts == 0, "its end is no end of the worker"
    stage.main.signal(signal.SIGKILL)
    stage.turn_until(lambda: stage.worker.restarts == 1)
    assert stage.worker.last_exit is not None
    assert stage.worker.last_exit.signal == signal.SIGKILL


def test_a_pidfd_says_it_best(stage: Stage) -> None:
    stage.load(stage.puppet())
    stage.settle()
    first = stage.main.id
    stage.tell("child = in_child(pause); say('MAINPIDFD=1', os.pidfd_open(child))")
    stage.turn_until(lambda: stage.main.id != first)
    second = stage.main.id
    stage.tell("child = in_child(pause); fd = os.pidfd_open(child)")
    stage.tell("say(f'MAINPID={child}\\nMAINPIDFDID={os.fstat(fd).st_ino}')")
    stage.turn_until(lambda: stage.main.id != second)


@pytest.mark.parametrize(
    "message, why",
    [
        ("f'MAINPID={os.getppid()}'", "it is no process of this worker"),
        ("'MAINPID=1'", "it is no process of this worker"),
        ("'MAINPID=4194304'", "not to be had"),
        ("f'MAINPID={in_child(pause)}\\nMAINPIDFDID=7'", "not to be had"),
        ("'MAINPIDFD=1', 0", "it is not a pidfd"),
        ("'MAINPIDFD=1', os.pidfd_open(os.getppid())", "it is no process of this worker"),
    ],
)
def test_lies_about_the_main_process(stage: Stage, message: str, why: str) -> None:
    before = descriptors()
    stage.load(stage.puppet())
    stage.settle()
    first, here = stage.main.id, descriptors()
    stage.tell(f"say({message})")
    stage.turn_until_note(why)
    assert stage.main.id == first
    stage.turn_until(lambda: descriptors() == here > before)


def test_a_dead_process_is_no_main_process(stage: Stage) -> None:
    stage.load(stage.puppet())
    stage.tell("child = in_child(lambda: None); os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)")
    stage.tell("say(f'MAINPID={child}')")
    stage.turn_until_note("it has ended")


# --- descriptors kept


def stored(stage: Stage, name: WorkerName = WEB) -> list[str]:
    return [name for name, _ in stage.notify._store.of(name)]


def test_descriptors_come_back_after_a_restart(stage: Stage) -> None:
    stage.load(stage.puppet(fd_store=4))
    stage.tell("r, w = os.pipe(); os.write(w, b'treasure'); say('FDSTORE=1\\nFDNAME=box', r); say('FDSTORE=1', w)")
    stage.turn_until(lambda: stored(stage) == ["box", "stored"])
    stage.tell("os._exit(1)")
    stage.turn_until(lambda: stage.worker.restarts == 1)
    stage.tell("told = ' '.join(os.environ[n] for n in ('LISTEN_FDS', 'LISTEN_FDNAMES', 'FDSTORE'))")
    stage.tell("say(f'STATUS={told} {os.read(3, 99).decode()}')")
    stage.turn_until_status("2 box:stored 4 treasure")


def test_the_store_has_a_limit(stage: Stage) -> None:
    before = descriptors()
    stage.load(stage.puppet(fd_store=2))
    stage.settle()
    here = descriptors()
    stage.tell("f = os.open('/dev/null', 0); g = os.open('/dev/null', 0); h = os.open('/dev/null', 0)")
    stage.tell("say('FDSTORE=1', f); say('FDSTORE=1', f); say('FDSTORE=1', g, h)")
    stage.turn_until_note("1 of the descriptors it sent were not kept: fd_store is 2")
    stage.turn_until(lambda: descriptors() == here + 2 > before)
    stage.tell("say('FDSTOREREMOVE=1\\nFDNAME=stored')")
    stage.turn_until(lambda: stored(stage) == [])
    stage.turn_until(lambda: descriptors() == here)


def test_what_is_closed_at_the_other_end_is_not_kept(stage: Stage) -> None:
    stage.load(stage.puppet(fd_store=4))
    stage.tell("a, b = socket.socketpair(); c, d = socket.socketpair()")
    stage.tell("say('FDSTORE=1\\nFDNAME=a', a.fileno()); say('FDSTORE=1\\nFDNAME=c\\nFDPOLL=0', c.fileno())")
    stage.turn_until(lambda: stored(stage) == ["a", "c"])
    stage.tell("b.close(); d.close(); a.close(); c.close()")
    stage.turn_until(lambda: stored(stage) == ["c"])


def test_an_operators_stop_empties_the_store(stage: Stage) -> None:
    before = descriptors()
    stage.load(stage.puppet(fd_store=4))
    stage.tell("say('FDSTORE=1', 0)")
    stage.turn_until(lambda: stored(stage) == ["stored"])
    stage.supervision.feed(on.RestartAsked(WEB, "test"))
    stage.turn_until(lambda: len([p for p in stage.phases if p == "starting"]) == 2)
    assert stored(stage) == ["stored"]
    stage.supervision.feed(on.StopAsked(WEB, "test"))
    stage.turn_until_phase(Phase.STOPPED)
    assert stored(stage) == []
    stage.turn_until(lambda: descriptors() <= before + 2)  # the notify socket, and the string of the puppet


# --- readiness by descriptor


def test_a_newline_on_a_descriptor(stage: Stage) -> None:
    before = descriptors()
    stage.load(stage.puppet(ready=Probe(ProbeKind.FD, "7")))
    stage.turn_until_phase(Phase.RUNNING)
    stage.tell("os.write(7, b'not yet'); os.write(7, b'now\\n')")
    stage.turn_until_ready()
    assert stage.worker.reason == "a newline on descriptor 7"
    stage.tell("os.write(7, b'again\\n'); os._exit(1)")
    stage.turn_until(lambda: stage.worker.restarts == 1)
    stage.turn_until_phase(Phase.RUNNING)
    for _ in range(3):
        stage.loop.turn(0)
    assert stage.worker.phase is Phase.RUNNING, "what the one before wrote is thrown away"
    stage.tell("os.write(7, b'\\n')")
    stage.turn_until_ready()
    assert descriptors() > before


def test_who_is_forgotten_gives_all_back(stage: Stage) -> None:
    stage.load(web(), stage.puppet("db", fd_store=3, ready=Probe(ProbeKind.FD, "7")))
    stage.turn_until(lambda: stage.of("db").phase is Phase.RUNNING)
    before = descriptors()
    stage.tell("say('FDSTORE=1', 0)", "db")
    stage.turn_until(lambda: stored(stage, DB) == ["stored"])
    stage.supervision.reconfigure(Configuration((web(),)), "test")
    stage.turn_until(lambda: DB not in stage.supervision.core.workers)
    stage.turn_until(lambda: descriptors() < before - 2)
    assert stage.notify._speakers == {}
