"""Servers of all kinds, good and bad, and what a knock at their door says. All of it against real sockets."""

import errno
import http.server
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pidward.core.probing import Place, parse_http, parse_tcp, request
from pidward.core.units import Seconds
from pidward.runtime.knock import MAX_LINE, Knock
from pidward.runtime.loop import Loop
from tests.runtime.bench import PATIENCE, descriptors

GET = request("x", "/", (), "test")
SHORT = Seconds(0.15)
LONG = Seconds(PATIENCE)

Serve = Callable[[socket.socket], object]


@pytest.fixture
def loop() -> Iterator[Loop]:
    """One whose descriptors are all given back."""
    before = descriptors()
    loop = Loop()
    own = descriptors()
    yield loop
    assert descriptors() == own, "a knock left descriptors behind"
    loop.close()
    assert descriptors() == before


def listening(family: socket.AddressFamily, address: Any, backlog: int) -> socket.socket:
    listener = socket.socket(family)
    listener.bind(address)
    listener.listen(backlog)
    return listener


@contextmanager
def server(
    serve: Serve, family: socket.AddressFamily = socket.AF_INET, address: Any = ("127.0.0.1", 0)
) -> Iterator[Place]:
    """A thread that serves each connection, one after the other; what breaks because the other hung up is fine."""
    listener = listening(family, address, 16)
    found = listener.getsockname()

    def work() -> None:
        with ExitStack() as held:
            while True:
                try:
                    connection = held.enter_context(listener.accept()[0])
                    serve(connection)
                except OSError as error:
                    if error.errno in (errno.EINVAL, errno.EBADF):
                        return

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield Place(found) if isinstance(found, str) else Place("", (found[0],), found[1])
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(PATIENCE)
        listener.close()


def knock(loop: Loop, place: Place, sent: bytes = GET, timeout: Seconds = LONG) -> tuple[bool | None, str]:
    told: list[tuple[bool | None, str]] = []
    Knock(loop, place, sent, timeout, lambda answer, what: told.append((answer, what)))
    assert told == [], "never from within the constructor"
    begun = loop.now()
    while not told:
        assert loop.now() < begun + PATIENCE
        loop.turn(1.0)
    (said,) = told
    return said


def answers(data: bytes) -> Serve:
    """Reads the request, then answers and closes."""

    def serve(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)

    return serve


@pytest.mark.parametrize("status, answer", [(200, True), (204, True), (302, True), (399, True), (400, False),
                                            (404, False), (500, False), (100, False)])  # fmt: skip
def test_the_status_is_the_answer(loop: Loop, status: int, answer: bool) -> None:
    with server(answers(b"HTTP/1.1 %d Some Words\r\nContent-Length: 0\r\n\r\n" % status)) as place:
        assert knock(loop, place) == (answer, f"answered {status}")


def test_a_real_http_server_understands_the_request(loop: Loop) -> None:
    seen = []

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            seen.append((self.path, self.headers["Host"], self.headers["X-Check"], self.headers["Connection"]))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as real:
        thread = threading.Thread(target=real.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        url = f"http://localhost:{real.server_port}/healthz?a=%20"
        place, host, uri = parse_http(url)
        assert knock(loop, place, request(host, uri, (("X-Check", "yes"),), "1")) == (True, "answered 200")
        real.shutdown()
        thread.join()
    assert seen == [("/healthz?a=%20", f"localhost:{real.server_port}", "yes", "close")]


@pytest.mark.parametrize("data, what", [
    (b"", "closed the connection without an answer"),
    (b"HTTP/1.1 2", "closed the connection without an answer"),
    (b"SSH-2.0-OpenSSH_9\r\n", "the answer is no HTTP: 'SSH-2.0-OpenSSH_9\\r'"),
    (b"HTTP/2 200\r\n", "the answer is no HTTP: 'HTTP/2 200\\r'"),
    (b"x" * (10 << 20), f"the answer is no HTTP: {'x' * 40!r}"),
    (b"\x1b[31mred\n", "the answer is no HTTP: '\\x1b[31mred'"),
])  # fmt: skip
def test_what_is_no_answer(loop: Loop, data: bytes, what: str) -> None:
    with server(answers(data)) as place:
        assert knock(loop, place) == (False, what)


def test_of_an_answer_only_the_first_line_is_read(loop: Loop) -> None:
    """10 MB of headers, sent by somebody who notices that nobody reads on."""
    with server(answers(b"HTTP/1.1 200 OK\r\n" + b"X-Filler: 1\r\n" * 800_000)) as place:
        assert knock(loop, place) == (True, "answered 200")


@pytest.mark.parametrize("length, answer", [(MAX_LINE, True), (MAX_LINE + 1, False)])
def test_the_first_line_has_a_limit(loop: Loop, length: int, answer: bool) -> None:
    line = b"HTTP/1.1 200 ".ljust(length - 1, b"x") + b"\n"
    with server(answers(line)) as place:
        assert knock(loop, place)[0] is answer


def test_a_line_may_come_in_pieces(loop: Loop) -> None:
    def serve(connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.recv(65536)
        for byte in b"HTTP/1.0 200\r\n":
            connection.sendall(bytes([byte]))

    with server(serve) as place:
        assert knock(loop, place) == (True, "answered 200")


@pytest.mark.parametrize("begin", [b"", b"HTTP/1.1 20"])
def test_who_does_not_answer_is_not_waited_for(loop: Loop, begin: bytes) -> None:
    with server(lambda connection: connection.sendall(begin)) as place:
        assert knock(loop, place, timeout=SHORT) == (False, "no answer within 150ms")


def test_slow_bytes_do_not_move_the_deadline(loop: Loop) -> None:
    stop = threading.Event()

    def serve(connection: socket.socket) -> None:
        while not stop.wait(0.02):
            connection.sendall(b"H")

    with server(serve) as place:
        assert knock(loop, place, timeout=SHORT) == (False, "no answer within 150ms")
        stop.set()


def test_nobody_listens(loop: Loop) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        place = parse_tcp(f"127.0.0.1:{bound.getsockname()[1]}")
        assert knock(loop, place) == (False, "connection refused")
        assert knock(loop, place, b"") == (False, "connection refused")


def test_localhost_is_both_addresses(loop: Loop) -> None:
    if not socket.has_ipv6:
        pytest.skip("needs IPv6")
    try:
        probe = listening(socket.AF_INET6, ("::1", 0), 1)
    except OSError:
        pytest.skip("needs IPv6 on loopback")
    probe.close()
    with server(answers(b"HTTP/1.1 200\r\n"), socket.AF_INET6, ("::1", 0)) as place:
        assert knock(loop, place) == (True, "answered 200")
        assert knock(loop, parse_tcp(f"[::1]:{place.port}"), b"") == (True, "accepts connections")
        assert knock(loop, parse_tcp(f"localhost:{place.port}"), b"") == (True, "accepts connections")


def test_an_address_that_is_none_asks_no_name_server(loop: Loop) -> None:
    assert knock(loop, Place("", (":::",), 80), b"")[0] is False
    assert knock(loop, Place("", ("::1%nowhere",), 80), b"") == (False, "no interface with this name")


def test_a_connection_is_enough_for_tcp(loop: Loop) -> None:
    with listening(socket.AF_INET, ("127.0.0.1", 0), 8) as listener:  # never accepts: the kernel does
        assert knock(loop, Place("", ("127.0.0.1",), listener.getsockname()[1]), b"") == (True, "accepts connections")
        assert knock(loop, Place("", ("127.0.0.1",), listener.getsockname()[1]), GET, SHORT) == (
            False, "no answer within 150ms")  # fmt: skip


def test_a_full_queue_of_a_tcp_socket(loop: Loop) -> None:
    with ExitStack() as stack:
        listener = stack.enter_context(listening(socket.AF_INET, ("127.0.0.1", 0), 0))
        for _ in range(4):
            other = stack.enter_context(socket.socket())
            other.setblocking(False)
            other.connect_ex(listener.getsockname())
        place = Place("", ("127.0.0.1",), listener.getsockname()[1])
        assert knock(loop, place, b"", SHORT) == (False, "no connection within 150ms")


def test_unix_sockets(loop: Loop, tmp_path: Path) -> None:
    path = os.path.relpath(tmp_path / "w.sock")
    assert knock(loop, Place(path), b"") == (False, "no such file or directory")
    with server(answers(b"HTTP/1.1 200\r\n"), socket.AF_UNIX, path) as place:
        assert knock(loop, place) == (True, "answered 200")
        assert knock(loop, place, b"") == (True, "accepts connections")
    assert knock(loop, Place(path), b"") == (False, "connection refused")


def test_an_abstract_unix_socket(loop: Loop) -> None:
    name = f"pidward-test-{os.getpid()}"
    with listening(socket.AF_UNIX, "\0" + name, 8):
        assert knock(loop, parse_tcp(f"unix:@{name}"), b"") == (True, "accepts connections")
    assert knock(loop, parse_tcp(f"unix:@{name}"), b"") == (False, "connection refused")


def test_a_full_queue_of_a_unix_socket(loop: Loop, tmp_path: Path) -> None:
    path = os.path.relpath(tmp_path / "w.sock")
    with listening(socket.AF_UNIX, path, 0), socket.socket(socket.AF_UNIX) as first:
        first.connect(path)
        assert knock(loop, Place(path), b"") == (False, "its queue of connections is full")


def test_a_connection_to_oneself_is_none(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    """One call in 28,000 to a port that nobody has gets the same port as its own, and is connected: here, each."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    class Unlucky(socket.socket):
        def connect_ex(self, address: Any) -> int:
            self.bind(("127.0.0.1", port))
            return super().connect_ex(address)

    monkeypatch.setattr(socket, "socket", Unlucky)
    assert knock(loop, Place("", ("127.0.0.1",), port), b"") == (False, "connection refused")


def test_cancelled_is_never_told(loop: Loop) -> None:
    told: list[bool | None] = []
    with server(lambda _connection: None) as place:
        for turns in range(4):
            one = Knock(loop, place, GET, Seconds(0.05), lambda answer, _what: told.append(answer))
            for _ in range(turns):
                loop.turn(0.01)
            one.cancel()
            one.cancel()
        end = loop.now() + 0.1
        while loop.now() < end:
            loop.turn(0.02)
    assert told == []


def test_no_descriptor_for_a_socket(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(socket, "socket", none)
    assert knock(loop, Place("", ("127.0.0.1",), 1)) == (None, "too many open files")


PIECES = st.binary(max_size=40) | st.sampled_from(
    [b"HTTP/1.1 ", b"200", b" OK", b"\r\n", b"\n", b"HTTP/1.1 200 OK\r\n", b"\0", b" " * 2000]
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(PIECES, max_size=5), st.booleans())
def test_any_answer_is_judged(loop: Loop, pieces: list[bytes], reset: bool) -> None:
    """No traceback, no hang; what is said has a limit and is printable."""

    def serve(connection: socket.socket) -> None:
        if reset:  # close with data unread: the other end sees a reset
            connection.recv(1)
        else:
            connection.recv(65536)
        for piece in pieces:
            connection.sendall(piece)
        connection.shutdown(socket.SHUT_RDWR)
        connection.close()

    with server(serve) as place:
        answer, what = knock(loop, place)
    assert what.isprintable()
    assert len(what) < 250
    assert answer is (what.startswith("answered ") and 200 <= int(what.split()[1]) < 400)
