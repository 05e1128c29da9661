"""/livez, /readyz and /startupz: whatever clients send, they get an answer or a closed door, and nothing is left."""

import os
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pidward.core.health import Health
from pidward.core.spec import SocketKind
from pidward.runtime import health_http
from pidward.runtime.health_http import MAX_CLIENTS, MAX_REQUEST, HealthServer, address_of
from pidward.runtime.loop import Loop

WELL = Health(True, True, True)
SICK = Health(False, False, False, ("web/1 is failed: gave up",))


class Stage:
    def __init__(self, path: str) -> None:
        self.loop = Loop()
        self.path = path
        self.health = WELL
        self.server = HealthServer(self.loop, address_of(f"unix:{path}"), lambda: self.health)

    def connect(self) -> socket.socket:
        client = socket.socket(socket.AF_UNIX)
        client.connect(self.path)
        client.setblocking(False)
        return client

    def answer(self, request: bytes) -> bytes | None:
        """What comes back until the door is closed; None: it stays open."""
        with self.connect() as client:
            client.sendall(request)
            answer = b""
            for _ in range(6):
                self.loop.turn(0)
                try:
                    part = client.recv(65536)
                except BlockingIOError:
                    continue
                except ConnectionResetError:  # something unread was thrown away
                    return answer
                if not part:
                    return answer
                answer += part
        self.loop.turn(0)
        return None

    def close(self) -> None:
        self.server.close()
        self.loop.close()


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with closing(Stage(str(tmp_path / "s"))) as stage:
        yield stage


def status(answer: bytes | None) -> int:
    assert answer is not None
    assert answer.startswith(b"HTTP/1.1 ")
    return int(answer.split()[1])


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/startupz"])
def test_yes_and_no(stage: Stage, path: str) -> None:
    request = f"GET {path}?verbose HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    assert status(stage.answer(request)) == 200
    stage.health = SICK
    answer = stage.answer(request)
    assert status(answer) == 503
    assert answer is not None
    assert answer.endswith(b"\r\n\r\nweb/1 is failed: gave up\n")


def test_each_path_asks_its_own_question(stage: Stage) -> None:
    stage.health = Health(live=True, ready=False, started=True)
    asked = [status(stage.answer(f"GET {path} HTTP/1.0\n\n".encode())) for path in ("/livez", "/readyz", "/startupz")]
    assert asked == [200, 503, 200]


def test_head_has_no_body_and_acts_are_refused(stage: Stage) -> None:
    answer = stage.answer(b"HEAD /livez HTTP/1.1\r\n\r\n")
    assert status(answer) == 200
    assert answer is not None
    assert answer.endswith(b"\r\n\r\n")
    assert b"Content-Length: 3" in answer
    for method in ("POST", "DELETE", "get", "BREW"):
        assert status(stage.answer(f"{method} /livez HTTP/1.1\r\n\r\n".encode())) == 405
    assert status(stage.answer(b"GET /metrics HTTP/1.1\r\n\r\n")) == 404


def test_a_request_in_pieces(stage: Stage) -> None:
    with stage.connect() as client:
        for byte in b"GET /livez HTTP/1.1\r\n\r\n":
            client.sendall(bytes([byte]))
            stage.loop.turn(0)
        assert status(client.recv(4096)) == 200


def test_who_asks_too_long_is_left(stage: Stage) -> None:
    assert stage.answer(b"x" * (MAX_REQUEST + 1)) == b""


def test_who_does_not_ask_is_left_in_time(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health_http, "PATIENCE", 0.0)
    with stage.connect() as client:
        stage.loop.turn(0)
        stage.loop.turn(1)
        assert client.recv(10) == b""


def test_a_crowd_waits_outside_and_is_served_later(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health_http, "PAUSE", 0.0)
    crowd = []
    for _ in range(MAX_CLIENTS):
        crowd.append(stage.connect())
        stage.loop.turn(0)
    late = stage.connect()
    late.sendall(b"GET /livez HTTP/1.1\r\n\r\n")
    for _ in range(5):
        stage.loop.turn(0)
    with pytest.raises(BlockingIOError):
        late.recv(10)
    for client in crowd:
        client.close()
    deadline = stage.loop.now() + 10
    while stage.loop.now() < deadline:
        stage.loop.turn(0.1)
        try:
            assert status(late.recv(4096)) == 200
            break
        except BlockingIOError:
            continue
    else:
        pytest.fail("it was never served")
    late.close()


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(request=st.one_of(st.binary(max_size=300), st.binary(max_size=60).map(lambda b: b"GET " + b + b"\r\n\r\n")))
def test_whatever_comes(stage: Stage, request: bytes) -> None:
    answer = stage.answer(request)
    assert answer is None or answer == b"" or status(answer) in (200, 404, 405)
    assert not stage.server._clients


def test_nothing_is_left(stage: Stage) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for request in (b"GET /livez HTTP/1.1\r\n\r\n", b"", b"x" * 9000, b"\xff\n\n"):
        for _ in range(20):
            stage.answer(request)
    assert len(os.listdir("/proc/self/fd")) == before


def test_addresses() -> None:
    assert address_of("127.0.0.1:80")[:3] == (SocketKind.TCP, "127.0.0.1", 80)
    assert address_of("localhost:80")[:3] == (SocketKind.TCP, "127.0.0.1", 80)
    assert address_of("[::1]:8080")[:3] == (SocketKind.TCP, "::1", 8080)
    assert address_of("unix:/run/x")[:2] == (SocketKind.UNIX, "/run/x")
