"""/livez, /readyz and /startupz over HTTP, for kubelets and load balancers: 200 or 503, and why.

It answers GET and HEAD of these three paths and nothing else, reads one request of a connection, and closes it. Nobody
is asked who he is, so it says nothing that a stranger may not know but the names, phases and reasons of workers;
`health` in the configuration decides where it listens, and by default that is nowhere.
"""

from collections.abc import Callable

from pidward.core.health import Health
from pidward.core.spec import SocketKind, SocketSpec
from pidward.core.units import Instant
from pidward.kernel.sockets import Connection, Listener, accept
from pidward.runtime.health import ANSWERS
from pidward.runtime.loop import READ, Loop, Timer, Watch

MAX_CLIENTS = 32
MAX_REQUEST = 8192
PATIENCE = 5.0
"""Seconds for a client to ask."""
PAUSE = 1.0
"""Seconds without accepting when there is no descriptor left, or too many clients."""


class HealthServer:
    """Answers as long as it is open. Raises OSError when the address cannot be bound."""

    def __init__(self, loop: Loop, address: SocketSpec, health: Callable[[], Health]) -> None:
        self._loop, self._health = loop, health
        self._listener = Listener(address)
        self._clients: set[_Client] = set()
        self._pause: Timer | None = None
        self._watch: Watch | None = None
        self._listen()

    def close(self) -> None:
        """Leave all clients."""
        if self._watch is not None:
            self._watch.close()
        if self._pause is not None:
            self._pause.cancel()
        for client in list(self._clients):
            client.close()
        self._listener.close()

    def _listen(self) -> None:
        self._pause = None
        self._watch = self._loop.watch(self._listener, READ, self._accept)

    def _accept(self, _events: int) -> None:
        connection = None
        if len(self._clients) < MAX_CLIENTS:
            try:
                connection = accept(self._listener)
            except BlockingIOError:  # it has left already
                return
            except OSError:
                pass
        if connection is None:
            assert self._watch is not None
            self._watch.close()
            self._watch = None
            self._pause = self._loop.call_at(Instant(self._loop.now() + PAUSE), self._listen)
            return
        self._clients.add(_Client(self._loop, connection, self._answer, self._clients.discard))

    def _answer(self, request: bytes) -> bytes:
        method, path = _asked(request)
        is_well = ANSWERS.get(path)
        if method not in ("GET", "HEAD"):
            return _response("405 Method Not Allowed", "only GET and HEAD\n", method)
        if is_well is None:
            return _response("404 Not Found", "only " + ", ".join(ANSWERS) + "\n", method)
        health = self._health()
        if is_well(health):
            return _response("200 OK", "ok\n", method)
        text = "\n".join(health.reasons) or "not everything has been ready yet"
        return _response("503 Service Unavailable", text + "\n", method)


class _Client:
    def __init__(
        self, loop: Loop, connection: Connection, answer: Callable[[bytes], bytes], left: Callable[["_Client"], None]
    ) -> None:
        self._connection, self._answer, self._left = connection, answer, left
        self._request = b""
        self._timer = loop.call_at(Instant(loop.now() + PATIENCE), self.close)
        self._watch = loop.watch(connection.fileno(), READ, self._readable)

    def _readable(self, _events: int) -> None:
        try:
            data = self._connection.recv(MAX_REQUEST)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self._request += data
        is_whole = b"\r\n\r\n" in self._request or b"\n\n" in self._request
        if is_whole:
            try:
                self._connection.send(self._answer(self._request))  # some hundred bytes into an empty buffer
            except OSError:
                pass  # it has left
        if is_whole or not data or len(self._request) > MAX_REQUEST:
            self.close()

    def close(self) -> None:
        self._timer.cancel()
        self._watch.close()
        self._connection.close()
        self._left(self)


def address_of(written: str) -> SocketSpec:
    """Read ``HOST:PORT`` or ``unix:PATH``, which the configuration has checked."""
    if written.startswith("unix:"):
        return SocketSpec(SocketKind.UNIX, written.removeprefix("unix:"), backlog=16)
    host, _, port = written.rpartition(":")
    host = "127.0.0.1" if host == "localhost" else host.strip("[]")
    return SocketSpec(SocketKind.TCP, host, int(port), backlog=16)


def _asked(request: bytes) -> tuple[str, str]:
    """Method and path of a request; empty when it is none."""
    words = request.split(b"\n", 1)[0].decode("latin-1").split()
    if len(words) != 3 or not words[2].startswith("HTTP/"):
        return "", ""
    return words[0], words[1].partition("?")[0]


def _response(status: str, text: str, method: str) -> bytes:
    body = text.encode()
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {len(body)}\r\n"
        "Cache-Control: no-store\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + (b"" if method == "HEAD" else body)
