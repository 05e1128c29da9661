"""Workers that mean harm, and operators who are in a hurry: what they do to a supervisor, and what they do not."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from pidward.core import events as on
from pidward.core.model import Phase
from pidward.core.spec import Configuration, Execution, ServiceSpec, SocketKind, SocketSpec, StopPolicy
from pidward.core.units import Seconds
from pidward.runtime import daemons
from tests.runtime.bench import QUICK, QUIET, WEB, descriptors
from tests.runtime.stage import Stage
from tests.runtime.test_daemons import ONCE, Background, is_daemon
from tests.runtime.test_notify import located, stored


@pytest.fixture
def stage() -> Iterator[Stage]:
    with Stage(located("cgroup2")) as stage:
        yield stage


@pytest.fixture
def background() -> Iterator[Background]:
    with Background(located("cgroup2")) as stage:
        yield stage


def no_internal_errors(stage: Stage) -> bool:
    return not [row.text for row in stage.store.rows if "internal error" in row.text]


# --- the main process


def test_who_is_being_stopped_cannot_hide_behind_another_main_process(stage: Stage) -> None:
    """Else nobody would wait for the end of the one, nor count that of the other."""
    stage.load(stage.puppet(stop=StopPolicy(grace=Seconds(0.3))))
    stage.tell("signal.signal(signal.SIGTERM, signal.SIG_IGN); child = in_child(pause)")
    stage.settle()
    first = stage.main.id
    stage.supervision.feed(on.StopAsked(WEB, "test"))
    assert stage.worker.phase is Phase.STOPPING
    stage.tell("say(f'MAINPID={child}')")
    stage.turn_until_note("names")
    assert stage.main.id == first
    stage.turn_until_phase(Phase.STOPPED)
    assert no_internal_errors(stage)


def test_two_that_take_turns_cost_no_more_than_two(stage: Stage) -> None:
    stage.load(stage.puppet())
    stage.tell("a = in_child(pause); b = in_child(pause)")
    counts = []
    for turn in range(6):
        before = stage.main.id
        stage.tell(f"say(f'MAINPID={{(a, b)[{turn} % 2]}}')")
        stage.turn_until(lambda before=before: stage.main.id != before)  # type: ignore[misc]
        counts.append(descriptors())
    assert counts[2:] == counts[2:3] * 4
    assert no_internal_errors(stage)


@pytest.mark.parametrize("number", [2**31, 2**32 + 1, 9999999999])
def test_a_number_that_is_none(background: Background, number: int) -> None:
    stage = background
    stage.load(stage.daemon(f"write({number}); " + ONCE))
    stage.turn_until(lambda: "not known yet" in stage.worker.reason)
    stage.tell(f"say('MAINPID={number}')")
    stage.turn_until_note("not to be had")
    stage.tell("write(os.getpid())")
    stage.turn_until(lambda: is_daemon(stage))
    assert no_internal_errors(stage)


def test_a_directory_that_is_missing_is_looked_for_by_one_timer(
    background: Background, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemons, "_SOONEST", 0.001)
    monkeypatch.setattr(daemons, "_LATEST", 0.001)
    stage = background
    looks: list[int] = []
    number_in = daemons._number_in

    def number_in_counted(path: str) -> int | None:
        looks.append(len(stage.loop._timers))
        return number_in(path)

    monkeypatch.setattr(daemons, "_number_in", number_in_counted)
    stage.file = stage.where / "missing" / "web.pid"
    stage.load(stage.daemon(ONCE))
    stage.turn_until(lambda: len(looks) > 12)
    assert max(looks) < 12
    stage.file.parent.mkdir()
    stage.tell("write(os.getpid())")
    stage.turn_until(lambda: is_daemon(stage))


# --- descriptors


_NEST = """
import select
nest = [select.epoll()]
try:
    while True:
        nest.append(select.epoll())
        nest[-1].register(nest[-2])
except OSError:
    nest.pop()
"""


def test_what_cannot_be_watched_is_kept_or_closed_but_not_both(stage: Stage) -> None:
    """Epolls within epolls are refused by the kernel when they are too deep (ELOOP)."""
    before = descriptors()
    stage.load(stage.puppet(fd_store=4))
    stage.tell(f"exec({_NEST!r})")
    stage.settle()
    here = descriptors()
    stage.tell("r, w = os.pipe(); say('FDSTORE=1\\nFDNAME=good', r)")
    stage.tell("say('FDSTORE=1\\nFDNAME=bad', r, nest[-1].fileno())")
    stage.settle()
    for _, fd in stage.notify._store.of(WEB):
        os.fstat(fd)
    stage.turn_until(lambda: descriptors() == here + len(stored(stage)))
    assert "good" in stored(stage)
    stage.supervision.feed(on.StopAsked(WEB, "test"))
    stage.turn_until_phase(Phase.STOPPED)
    stage.turn_until(lambda: descriptors() <= before + 2)
    assert no_internal_errors(stage)


_LINGER = """
import struct
server = socket.create_server(('127.0.0.1', 0))
client = socket.create_connection(server.getsockname())
peer, _ = server.accept()
client.setblocking(False)
try:
    while True: client.send(bytes(65536))
except BlockingIOError:
    pass
client.setblocking(True)
client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 4))
"""


@pytest.mark.parametrize("how", ["FDSTORE=1\\nFDPOLL=0", "X=1"])
def test_a_socket_that_lingers_holds_nobody_up(stage: Stage, how: str) -> None:
    """Its last close may take as long as its owner has set."""
    stage.load(stage.puppet(fd_store=1))
    stage.tell(f"exec({_LINGER!r})")
    stage.settle()
    stage.tell(
        f"say('{how}', client.fileno()); say('FDSTOREREMOVE=1'); client.close(); open('{stage.where}/done', 'w')"
    )
    while not (stage.where / "done").exists():  # ours is the last close
        os.sched_yield()
    began = stage.loop.now()
    stage.settle()
    assert stored(stage) == []
    assert stage.loop.now() - began < 2.0


# --- sockets


def listening(path: Path, **keys: object) -> ServiceSpec:
    sockets = (SocketSpec(SocketKind.UNIX, str(path)),)
    execution = Execution(("/bin/sleep", "infinity"), sockets=sockets)
    return ServiceSpec("web", execution, restart=QUICK, logs=QUIET, on_demand=True, **keys)  # type: ignore[arg-type]


def test_a_reload_takes_away_a_socket_whose_door_is_kept(stage: Stage) -> None:
    before = descriptors()
    path = stage.where / "s"
    stage.load(listening(path))
    assert stage.worker.phase is Phase.WAITING
    stage.supervision.reconfigure(Configuration((listening(stage.where / "other"),)), "test")
    assert not path.exists()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(stage.where / "other"))
        stage.turn_until_ready()
    stage.supervision.reconfigure(Configuration(()), "test")
    stage.turn_until(lambda: not stage.supervision.core.workers)
    assert descriptors() == before
    assert no_internal_errors(stage)


def test_who_never_takes_the_connection_is_not_started_again_and_again_at_once(stage: Stage) -> None:
    spec = listening(stage.where / "s")
    stage.load(spec._replace(execution=spec.execution._replace(command=("/bin/true",))))
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(stage.where / "s"))
        began = stage.loop.now()
        stage.turn_until(lambda: stage.phases.count("starting") >= 6)
    assert stage.loop.now() - began > 0.4


def test_a_door_that_could_not_be_opened_at_first_is_kept_when_it_could(stage: Stage) -> None:
    path = stage.where / "s"
    path.write_text("in the way")
    spec = listening(path)
    stage.load(spec._replace(execution=spec.execution._replace(command=("/bin/true",))))
    assert any("something that is no socket is there" in row.text for row in stage.store.rows)
    path.unlink()
    stage.supervision.feed(on.StartAsked(WEB, "test"))
    stage.turn_until(lambda: stage.phases.count("waiting") == 2)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        stage.turn_until(lambda: stage.phases.count("starting") >= 2)
