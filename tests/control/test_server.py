"""The server at its limits: slow, rude, many and foreign clients; nothing of it holds up the loop."""

import os
import socket
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pidward.control import server as module
from pidward.control.client import Client, NotAllowed, Unreachable
from pidward.control.listen import AlreadyRunning, ControlSocket
from pidward.control.protocol import MAX_CALL, MAX_REPLY, Call, Inbox, Reply
from pidward.control.server import Server
from pidward.core.model import Phase, WorkerName
from pidward.runtime.loop import Loop
from pidward.runtime.peer import Peer
from tests.control.fake import FakeDesk, own_process, serving

S = "io.pidward.Supervisor."
WEB1, WEB2 = WorkerName("web", 1), WorkerName("web", 2)


class Bench:
    """Loop, desk and server, turned by the test's own hand."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.loop = Loop()
        self.desk = FakeDesk(self.loop)
        self.reports: list[str] = []
        self.server = Server(self.loop, self.desk, ControlSocket(path), self.reports.append)
        self.clients: list[RawClient] = []

    def client(self) -> "RawClient":
        client = RawClient(self)
        self.clients.append(client)
        return client

    def until(self, done: Callable[[], object]) -> None:
        """Turn the loop until something is true."""
        deadline = time.monotonic() + 10
        while not done():
            assert time.monotonic() < deadline, "did not happen"
            self.loop.turn(0.05)

    def close(self) -> None:
        for client in self.clients:
            client.socket.close()
        self.server.close()
        self.loop.close()


class RawClient:
    """A socket that does not block, and what came out of it."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(bench.path)
        self.socket.setblocking(False)
        self._inbox = Inbox(MAX_REPLY)
        self.replies: list[Reply] = []
        self.closed = False

    def send(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            try:
                view = view[self.socket.send(view) :]
            except BlockingIOError:
                self._bench.loop.turn(0.05)

    def call(self, method: str, more: bool = False, oneway: bool = False, **parameters: object) -> None:
        self.send(Call(S + method, parameters, more, oneway).to_bytes())

    def read(self) -> list[Reply]:
        """Take what has come."""
        try:
            while data := self.socket.recv(2**16):
                self._inbox.receive(data)
            self.closed = True
        except BlockingIOError:
            pass
        except ConnectionResetError:
            self.closed = True
        while (reply := self._inbox.next_reply()) is not None:
            self.replies.append(reply)
        return self.replies

    def await_reply(self, count: int = 1) -> list[Reply]:
        self._bench.until(lambda: len(self.read()) >= count)
        return self.replies

    def await_close(self) -> None:
        self._bench.until(lambda: self.read() is not None and self.closed)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(str(tmp_path / "run" / "control.sock"))
    yield bench
    bench.close()


# --- the socket


def test_the_socket_is_private_and_goes_away(bench: Bench) -> None:
    assert stat.S_IMODE(os.lstat(bench.path).st_mode) == 0o600
    assert stat.S_IMODE(os.lstat(os.path.dirname(bench.path)).st_mode) == 0o700
    bench.server.close()
    assert not os.path.lexists(bench.path)
    bench.server = Server(bench.loop, bench.desk, ControlSocket(bench.path), print)


def test_the_umask_is_given_back(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        ControlSocket(str(tmp_path / "s" / "control.sock")).close()
        assert os.umask(0o022) == 0o022
    finally:
        os.umask(before)


def test_a_dead_socket_is_replaced_and_a_living_one_is_not(tmp_path: Path) -> None:
    path = str(tmp_path / "control.sock")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)
    living = ControlSocket(path)
    with pytest.raises(AlreadyRunning, match=r"control\.sock"):
        ControlSocket(path)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
    living.close()


def test_closing_leaves_a_successors_socket_alone(tmp_path: Path) -> None:
    path = str(tmp_path / "control.sock")
    first = ControlSocket(path)
    os.unlink(path)
    second = ControlSocket(path)
    first.close()
    assert os.path.exists(path)
    second.close()


def test_files_and_links_in_the_way_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    path.write_text("precious")
    with pytest.raises(FileExistsError, match="no socket"):
        ControlSocket(str(path))
    assert path.read_text() == "precious"
    path.unlink()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "other.sock"))
    path.symlink_to(tmp_path / "other.sock")
    with pytest.raises(FileExistsError, match="no socket"):
        ControlSocket(str(path))
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(NotADirectoryError, match="link is refused"):
        ControlSocket(str(tmp_path / "link" / "control.sock"))


def test_a_directory_open_to_others_is_refused(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    with pytest.raises(PermissionError, match="chmod go-w"):
        ControlSocket(str(shared / "control.sock"))


def test_a_path_too_long_is_said(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="set runtime_dir"):
        ControlSocket(str(tmp_path / ("x" * 120) / "control.sock"))


# --- who may


def test_the_asker_is_named_by_its_proved_process(bench: Bench) -> None:
    client = bench.client()
    client.call("Reload")
    client.await_reply()
    user = "root" if os.getuid() == 0 else f"uid {os.getuid()}"
    name = Path("/proc/self/comm").read_text().strip()
    assert bench.desk.asked == [("reload", f"{user} (pid {own_process()} {name})")]


def test_others_are_told_no_and_left(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "peer_of", lambda _connection: Peer(os.geteuid() + 4711, None, ""))
    client = bench.client()
    client.call("Stop", targets=[])
    client.await_close()
    assert [reply.error for reply in client.replies] == [S + "Denied"]
    assert "neither root nor the owner" in str(client.replies[0].parameters)
    assert bench.desk.asked == []


def test_the_client_hears_a_refusal_that_came_before_its_question(tmp_path: Path) -> None:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "s"))
    listener.listen()
    with Client(str(tmp_path / "s")) as client:
        connection, _ = listener.accept()
        connection.send(Reply({"reason": "you may not"}, error=S + "Denied").to_bytes())
        connection.close()
        listener.close()
        with pytest.raises(NotAllowed, match="you may not"):
            client.call("Status", {})


def test_clients_have_a_limit(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_CLIENTS", 2)
    first, second, third = (bench.client() for _ in range(3))
    third.await_close()
    assert third.replies[0].error == S + "Refused"
    first.socket.close()
    second.call("About")
    second.await_reply()
    fourth = bench.client()
    fourth.call("About")
    assert fourth.await_reply()[0].error is None


def test_running_out_of_descriptors_pauses_and_recovers(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    client = bench.client()
    client.call("About")
    client.await_reply()
    with monkeypatch.context() as patch:

        def refuse() -> None:
            refused.append(None)
            raise OSError(24, "Too many open files")

        refused: list[None] = []
        patch.setattr(bench.server._listener, "accept", refuse)
        waiting = bench.client()
        waiting.call("About")
        bench.until(lambda: refused)
        for _ in range(20):
            bench.loop.turn(0)
        assert len(refused) == 1  # once a pause, not once a turn
        client.call("About")
        client.await_reply(2)
    assert bench.server._resume is not None
    assert bench.server._resume.callback is not None
    bench.server._resume.callback()  # the pause is over
    assert waiting.await_reply()[0].error is None


# --- rude clients


@pytest.mark.parametrize("garbage", [b"GET / HTTP/1.1\r\n\r\n\0", b"\0", b"[]\0", b"\xff\xfe\0", b"x" * (MAX_CALL + 1)])
def test_garbage_is_answered_once_and_the_client_left(bench: Bench, garbage: bytes) -> None:
    client = bench.client()
    client.send(garbage)
    client.await_close()
    assert [reply.error for reply in client.replies] == [S + "Refused"]


def test_upgrade_is_not_offered(bench: Bench) -> None:
    client = bench.client()
    client.send(Call(S + "About", {}, upgrade=True).to_bytes())
    assert client.await_reply()[0].error == "org.varlink.service.MethodNotImplemented"


def test_calls_in_one_piece_are_answered_in_order(bench: Bench) -> None:
    client = bench.client()
    whole = b"".join(
        Call(S + method, parameters).to_bytes()
        for method, parameters in [
            ("Stop", {"targets": ["db"], "wait": True}), ("About", {}), ("Nothing", {}), ("Table", {}),
        ]
    )  # fmt: skip
    client.send(whole)
    replies = client.await_reply(4)
    assert [next(iter(reply.parameters)) for reply in replies] == ["results", "supervisor", "method", "table"]


def test_oneway_calls_are_carried_out_though_the_client_has_left(bench: Bench) -> None:
    client = bench.client()
    for name in ("web/1", "web/2", "db"):
        client.call("Signal", oneway=True, target=name, signal="HUP")
    client.socket.close()
    bench.until(lambda: len(bench.desk.asked) == 3)
    bench.until(lambda: not bench.server._connections)


def test_half_closed_clients_get_their_answers(bench: Bench) -> None:
    client = bench.client()
    client.call("About")
    client.call("Stop", targets=["db"], wait=True)
    client.socket.shutdown(socket.SHUT_WR)
    client.await_close()
    assert [reply.error for reply in client.replies] == [None, None]


def test_a_client_that_does_not_read_stops_being_read(bench: Bench) -> None:
    """Its calls stay in the kernel's buffer; ours holds one answer."""
    bench.desk.trouble = ("x" * 400_000,)
    client = bench.client()
    questions = Call(S + "About", {}).to_bytes() * 1000
    refusals = 0
    while refusals < 5:
        try:
            client.socket.send(questions)
        except BlockingIOError:
            refusals += 1
        bench.loop.turn(0.01)
    (connection,) = bench.server._connections
    assert len(connection._unsent) < 500_000
    assert len(connection._inbox._buffer) <= module.READ_SIZE * 2


# --- waiting


def test_results_come_when_all_is_reached(bench: Bench) -> None:
    client = bench.client()
    client.call("Restart", targets=["web", "bad"], wait=True)
    (reply,) = client.await_reply()
    results = {r["worker"]: (r["reached"], r["phase"]) for r in reply.parameters["results"]}  # type: ignore[attr-defined]
    assert results == {"web/1": (True, "ready"), "web/2": (True, "ready"), "bad/1": (False, "failed")}
    assert bench.desk.subscribers == []


def test_with_more_results_come_as_they_are_known(bench: Bench) -> None:
    client = bench.client()
    client.call("Start", more=True, targets=["web", "slow"], wait=True, timeout=30.0)
    first = client.await_reply()[0]
    assert first.continues
    assert [r["worker"] for r in first.parameters["results"]] == ["web/1", "web/2"]  # type: ignore[attr-defined]
    bench.desk.change(WorkerName("slow", 1), Phase.READY, "at last")
    last = client.await_reply(2)[1]
    assert not last.continues
    assert [r["worker"] for r in last.parameters["results"]] == ["slow/1"]  # type: ignore[attr-defined]


def test_the_time_is_bounded(bench: Bench) -> None:
    client = bench.client()
    client.call("Start", targets=["web", "slow"], wait=True, timeout=0.01)
    (reply,) = client.await_reply()
    assert reply.error == S + "TimedOut"
    reached = {r["worker"]: r["reached"] for r in reply.parameters["results"]}  # type: ignore[attr-defined]
    assert reached == {"web/1": True, "web/2": True, "slow/1": False}
    assert bench.desk.subscribers == []


def test_a_client_that_leaves_takes_its_waiting_along(bench: Bench) -> None:
    client = bench.client()
    client.call("Start", targets=["slow"], wait=True, timeout=1000)
    bench.until(lambda: bench.desk.subscribers)
    client.socket.close()
    bench.until(lambda: not bench.desk.subscribers)
    assert not bench.server._connections


def test_one_waits_and_others_are_served(bench: Bench) -> None:
    waiting, other = bench.client(), bench.client()
    waiting.call("Start", targets=["slow"], wait=True)
    bench.until(lambda: bench.desk.subscribers)
    other.call("About")
    assert other.await_reply()[0].error is None
    assert waiting.read() == []


# --- events


def seqs(replies: list[Reply]) -> list[int]:
    return [event["seq"] for reply in replies for event in reply.parameters.get("events", [])]  # type: ignore[attr-defined]


def test_following_begins_in_the_past_and_misses_nothing(bench: Bench) -> None:
    for number in range(25):
        bench.desk.happen("supervisor", "", f"old {number}")
    client = bench.client()
    client.call("Events", more=True, follow=True, since=5, limit=4)
    client.await_reply()
    bench.desk.happen("supervisor", "", "while it still reads the past")
    bench.until(lambda: seqs(client.read())[-1] == 26)
    bench.desk.happen("supervisor", "", "live")
    bench.desk.happen("supervisor", "", "live too")
    bench.until(lambda: seqs(client.read())[-1] == 28)
    assert seqs(client.replies) == list(range(6, 29))
    assert all(reply.continues for reply in client.replies)


def test_following_with_nothing_to_tell_answers_at_once(bench: Bench) -> None:
    client = bench.client()
    client.call("Events", more=True, follow=True)
    (reply,) = client.await_reply()
    assert (reply.continues, reply.parameters) == (True, {"events": []})


def test_events_of_one_turn_come_together(bench: Bench) -> None:
    client = bench.client()
    client.call("Events", more=True, follow=True)
    client.await_reply()
    bench.loop.turn(0.01)
    for _ in range(100):
        bench.desk.happen("supervisor", "", "one of many")
    bench.until(lambda: len(seqs(client.read())) == 100)
    assert len(client.replies) == 2


def test_a_slow_reader_of_events_is_cut_off_with_a_word(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_UNREAD", 100_000)
    client = bench.client()
    client.call("Events", more=True, follow=True)
    client.await_reply()
    for _ in range(100):
        bench.desk.happen("supervisor", "", "x" * 10_000)
        bench.loop.turn(0.01)
    assert bench.desk.subscribers == []
    client.await_close()
    assert client.replies[-1].error == S + "Refused"
    assert "too slow" in str(client.replies[-1].parameters)
    assert seqs(client.replies) == list(range(1, len(client.replies) - 1))  # up to there nothing is missing


def test_a_dropped_client_that_never_reads_is_left(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_UNREAD", 100_000)
    monkeypatch.setattr(module, "FAREWELL", 0.05)
    client = bench.client()
    client.call("Events", more=True, follow=True)
    client.await_reply()
    for _ in range(100):
        bench.desk.happen("supervisor", "", "x" * 10_000)
        bench.loop.turn(0.01)
    bench.until(lambda: not bench.server._connections)


def test_events_that_cannot_be_read_end_the_stream_and_not_the_loop(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = bench.client()
    bench.desk.happen("supervisor", "", "one")
    client.call("Events", more=True, follow=True, limit=1)
    client.await_reply()

    def broken(_since: int, _limit: int) -> None:
        raise OSError(5, "the disk is gone")

    monkeypatch.setattr(bench.desk, "events", broken)
    assert client.await_reply(2)[-1].error == S + "Refused"


def test_what_json_cannot_say_is_an_error_answer(bench: Bench) -> None:
    bench.desk.happen("supervisor", "", "odd", value=float("nan"))
    client = bench.client()
    client.call("Events")
    assert "internal error" in str(client.await_reply()[0].parameters)


# --- the client


def test_the_client_says_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match="no such socket; start it with `pidward up`"):
        Client(str(tmp_path / "nothing" / "control.sock"))
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "dead"))
    with pytest.raises(Unreachable, match="nobody listens there any more"):
        Client(str(tmp_path / "dead"))


def test_the_client_notices_when_the_supervisor_ends(tmp_path: Path) -> None:
    with serving(tmp_path) as (path, _desk), Client(path) as client, Client(path) as waiting:
        client.call("Down", {})
        assert waiting.wait_closed(10)
        with pytest.raises(Unreachable, match="has ended"):
            client.call("About", {})


def test_the_client_does_not_wait_for_ever(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as mute:
        mute.bind(str(tmp_path / "mute"))
        mute.listen()
        with Client(str(tmp_path / "mute")) as client, pytest.raises(Unreachable, match="does not answer"):
            client.call("About", {}, patience=0.01)


def test_what_answers_nonsense_is_no_supervisor(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as odd:
        odd.bind(str(tmp_path / "odd"))
        odd.listen()
        with Client(str(tmp_path / "odd")) as client:
            connection, _ = odd.accept()
            connection.send(b"220 mail.example ESMTP\r\n\0")
            with connection, pytest.raises(Unreachable, match="no pidward supervisor"):
                client.call("About", {})
