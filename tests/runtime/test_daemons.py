"""Programs that go into the background: their main process is found, and no other is taken for it."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pidward.core import events as on
from pidward.core.model import Phase
from pidward.core.spec import Execution, ServiceSpec, ServiceType
from pidward.core.units import Seconds
from pidward.kernel.cgroup import Located
from pidward.runtime import daemons
from pidward.testing.programs import Gate
from tests.isolation import end, fork, sleep_forever
from tests.runtime.bench import QUICK, QUIET, WEB, descriptors
from tests.runtime.stage import Stage
from tests.runtime.test_notify import located

# The first process ends when the daemon has been made; what the daemon does, it reads from a FIFO.
_DAEMON = """
import os, signal, socket, sys
def say(text):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as speech:
        speech.sendto(text.encode(), os.environ["NOTIFY_SOCKET"])
def fork(act):
    if (pid := os.fork()) == 0:
        act()
        os._exit(0)
    return pid
def pause():
    while True: signal.pause()
def write(text, path=sys.argv[2]):
    with open(path + '.new', 'w') as file: file.write(str(text))
    os.rename(path + '.new', path)
def obey():
    os.setsid()
    with open(sys.argv[1]) as lines:
        for line in lines: exec(line)
exec(sys.argv[3])
"""
ONCE = "fork(obey)"
TWICE = "fork(lambda: (os.setsid(), fork(obey)))"


class Background(Stage):
    """A stage for one daemon."""

    def __init__(self, place: Located) -> None:
        super().__init__(place)
        self.file = self.where / "web.pid"
        self.string = self._strings["web"] = Gate(self.where / "web")

    def daemon(self, how: str, pid_file: bool = True, **keys: object) -> ServiceSpec:
        command = (sys.executable, "-I", "-S", "-c", _DAEMON, self.string.path, str(self.file), how)
        chosen: dict[str, object] = {"restart": QUICK, "logs": QUIET, "type": ServiceType.FORKING, **keys}
        if pid_file:
            chosen["pid_file"] = str(self.file)
        return ServiceSpec("web", Execution(command), **chosen)  # type: ignore[arg-type]


@pytest.fixture
def stage() -> Iterator[Background]:
    with Background(located("cgroup2")) as stage:
        yield stage


@pytest.fixture(params=["cgroup2", "cgroup1"])
def anywhere(request: pytest.FixtureRequest) -> Iterator[Background]:
    """Where trees are walked this needs a subreaper, which a test process is not: see tests/e2e/test_notify.py."""
    with Background(located(request.param)) as stage:
        yield stage


def is_daemon(stage: Background) -> bool:
    return stage.worker.daemon and stage.worker.phase is Phase.READY


@pytest.mark.parametrize("how", [ONCE, TWICE])
def test_the_one_that_stays(anywhere: Background, how: str) -> None:
    before = descriptors()
    anywhere.load(anywhere.daemon(how, pid_file=False))
    anywhere.turn_until(lambda: is_daemon(anywhere))
    anywhere.tell("write(os.getpid())")
    anywhere.turn_until(lambda: anywhere.file.exists() and anywhere.file.read_text() == str(anywhere.main.id.pid))
    anywhere.tell("os._exit(3)")
    anywhere.turn_until(lambda: anywhere.worker.restarts == 1)
    assert anywhere.worker.last_exit is not None
    if anywhere.worker.last_exit.code is not None:  # it is another's child: without a subreaper we may come too late
        assert anywhere.worker.last_exit.code == 3
    anywhere.turn_until(lambda: is_daemon(anywhere))
    anywhere.supervision.feed(on.StopAsked(WEB, "test"))
    anywhere.turn_until_phase(Phase.STOPPED)
    assert descriptors() <= before + 3, "the notify socket, inotify, the string"


def test_the_one_in_the_file(anywhere: Background) -> None:
    """Others may stay as well, and the file may be written late."""
    anywhere.load(anywhere.daemon("fork(pause); " + ONCE))
    anywhere.turn_until(lambda: "not known yet" in anywhere.worker.reason)
    anywhere.tell("write(os.getpid())")
    anywhere.turn_until(lambda: is_daemon(anywhere))
    assert anywhere.file.read_text() == str(anywhere.main.id.pid)


def test_several_that_stay_are_not_guessed_among(stage: Background) -> None:
    stage.load(stage.daemon("fork(pause); " + ONCE, pid_file=False))
    stage.turn_until_note("2 processes stay")
    assert stage.worker.process is None
    stage.tell("os._exit(0)")
    stage.turn_until(lambda: is_daemon(stage))


@pytest.mark.parametrize(
    "lie", ["{test}", "1", "0", "-1", "4194304", "", "no number", "{test}\n{test}", "9" * 60, "{parent}"]
)
def test_a_file_that_lies_is_not_believed(stage: Background, lie: str) -> None:
    """It names somebody else's process: left over from another run, written by another, or its number reused."""
    lie = lie.format(test=os.getpid(), parent=os.getppid())
    stage.file.write_text(lie)
    stage.load(stage.daemon(f"write({lie!r}); " + ONCE))
    stage.turn_until(lambda: "not known yet" in stage.worker.reason)
    stage.tell("write(os.getpid())")
    stage.turn_until(lambda: is_daemon(stage))
    assert stage.file.read_text() == str(stage.main.id.pid)
    assert stage.main.id.pid not in (os.getpid(), os.getppid())


def test_a_younger_stranger_is_not_believed(stage: Background) -> None:
    """The number was given to somebody else after the worker began: only its tree tells."""
    stage.load(stage.daemon(ONCE))
    stage.turn_until(lambda: "not known yet" in stage.worker.reason)
    stranger = fork(sleep_forever)
    try:
        stage.tell(f"write({stranger.id.pid})")
        stage.tell("say('STATUS=wrote')")
        stage.turn_until_status("wrote")
        assert stage.worker.process is None
        stage.tell("write(os.getpid())")
        stage.turn_until(lambda: is_daemon(stage))
        assert stage.main.id.pid != stranger.id.pid
    finally:
        end(stranger)


def test_a_guess_may_be_a_step_on_the_way(stage: Background) -> None:
    """It ends well soon after, and one process stays: that is the daemon then. Later that would be an end."""
    stage.load(stage.daemon(ONCE, pid_file=False))
    stage.turn_until(lambda: is_daemon(stage))
    seat = stage.supervision.seat(WEB)
    assert seat is not None
    assert seat.emptied_events is None, "nobody waits for its end any more"
    first = stage.main.id
    stage.tell("fork(obey)\nos._exit(0)")
    stage.turn_until(lambda: stage.main.id != first)
    assert stage.worker.restarts == 0
    daemon = stage.notify._daemons._daemons[WEB]
    daemon.guessed_until = stage.loop.now()
    stage.tell("fork(obey)\nos._exit(0)")
    stage.turn_until(lambda: stage.worker.restarts == 1)


def test_a_process_of_an_earlier_run_is_not_believed(stage: Background, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is in the tree, because ``stop.tree`` is leave, but older than the first process of this run."""
    stage.load(stage.daemon("write(fork(pause))"))
    stage.turn_until(lambda: is_daemon(stage))
    seat = stage.supervision.seat(WEB)
    assert seat is not None
    daemon = stage.notify._daemons._daemons[WEB]
    assert daemon.first is not None
    with stage.main_copy() as main:
        assert stage.notify._daemons._is_ours(seat, daemon, main)
        daemon.first = daemon.first._replace(ticks=daemon.first.ticks + 1000)
        assert not stage.notify._daemons._is_ours(seat, daemon, main)


@pytest.mark.parametrize("kind", ["fifo", "directory", "missing directory"])
def test_strange_files(stage: Background, kind: str) -> None:
    where = stage.where / "new"
    if kind == "fifo":
        os.mkfifo(stage.file)
        stage.load(stage.daemon("os.open(sys.argv[2], os.O_RDWR); " + ONCE))
    elif kind == "directory":
        stage.file.mkdir()
        stage.load(stage.daemon("os.rmdir(sys.argv[2]); " + ONCE))
    else:
        stage.file = where / "web.pid"
        stage.load(stage.daemon(ONCE))
    stage.turn_until(lambda: "not known yet" in stage.worker.reason)
    stage.tell("os.makedirs(os.path.dirname(sys.argv[2]), exist_ok=True)")
    stage.tell("write(os.getpid())")
    stage.turn_until(lambda: is_daemon(stage))


def test_a_failed_start(stage: Background) -> None:
    """The first process says by its status that there is no daemon, whatever it left."""
    stage.load(stage.daemon("write(fork(pause)); os._exit(4)", ready_timeout=Seconds(20.0)))
    stage.turn_until(lambda: stage.worker.restarts == 1)
    assert stage.worker.last_exit is not None
    assert stage.worker.last_exit.code == 4


def test_all_end_before_anybody_is_known(stage: Background) -> None:
    stage.load(stage.daemon(ONCE))
    stage.turn_until(lambda: "not known yet" in stage.worker.reason)
    stage.tell("os._exit(0)")
    stage.turn_until(lambda: stage.worker.restarts == 1)


def test_a_successor_is_no_failure(stage: Background) -> None:
    """As nginx does for a new binary: another process, a new number in the file, and then the old one ends."""
    stage.load(stage.daemon("write(fork(obey))"))
    stage.turn_until(lambda: is_daemon(stage))
    with stage.main_copy() as old:
        stage.tell("write(fork(pause))")
        stage.tell("open(sys.argv[1] + '.done', 'w').close()")
        stage.turn_until((stage.where / "web.done").exists)
        assert stage.main.id == old.id, "as long as it lives"
        stage.tell("os._exit(0)")
        stage.turn_until(lambda: stage.main.id != old.id)
    assert stage.worker.phase is Phase.READY
    assert stage.worker.restarts == 0
    assert stage.file.read_text() == str(stage.main.id.pid)


def test_the_end_after_a_stop_is_the_end(stage: Background) -> None:
    stage.load(stage.daemon("write(fork(obey))"))
    stage.turn_until(lambda: is_daemon(stage))
    stage.tell("write(fork(pause))")
    stage.tell("signal.signal(signal.SIGTERM, lambda *_: os._exit(0)); open(sys.argv[1] + '.done', 'w').close()")
    while not (stage.where / "web.done").exists():
        os.sched_yield()
    stage.supervision.feed(on.StopAsked(WEB, "test"))
    stage.turn_until_phase(Phase.STOPPED)


def test_numbers_in_files(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    for text, number in (("12\n", 12), (" 7", 7), ("1 2", None), ("٣", None), ("", None), ("\n5", None), ("0", None)):
        path.write_text(text)
        assert daemons._number_in(str(path)) == number
    assert daemons._number_in(str(tmp_path / "nowhere")) is None
    assert daemons._number_in(str(tmp_path)) is None
