"""Questions to the programs that serve: the only proof that they do."""

import socket

from pidward.core.units import Seconds
from pidward.demo.stage import GLANCE, PATIENCE
from pidward.demo.story import Unmet
from pidward.kernel.clock import boottime
from pidward.kernel.pidfd import Pidfd
from pidward.kernel.wait import wait_exit

Address = tuple[str, int] | str
"""Host and port, or the path of a UNIX socket."""


def http_get(port: int, server: Pidfd) -> str:
    """GET / from a server on loopback, as soon as it answers; the body. Raises Unmet."""
    answer = _ask(("127.0.0.1", port), b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n", server)
    head, _, body = answer.partition("\r\n\r\n")
    if " 200 " not in head.partition("\r\n")[0]:
        raise Unmet(f"port {port} answered {answer!r}")
    return body.strip()


def redis(path: str, command: str, server: Pidfd) -> str:
    """Send a redis server a command, as soon as it listens; its answer in one line. Raises Unmet."""
    answer = _ask(path, f"{command}\r\nQUIT\r\n".encode(), server)
    lines = answer.removesuffix("+OK\r\n").splitlines()  # of QUIT
    if not lines or lines[0].startswith("-"):
        raise Unmet(f"redis answered {answer!r}")
    return lines[-1].removeprefix("+")


def redis_process(path: str, server: Pidfd) -> str:
    """The number of the process that answers. Raises Unmet."""
    answer = _ask(path, b"INFO server\r\nQUIT\r\n", server)
    return next((line.partition(":")[2] for line in answer.splitlines() if line.startswith("process_id:")), "")


def _ask(address: Address, request: bytes, server: Pidfd) -> str:
    """All that is answered until the connection ends; asked again until there is an answer or no server."""
    deadline = boottime() + PATIENCE
    while True:
        try:
            return _exchange(address, request).decode(errors="replace")
        except OSError as error:
            if wait_exit(server, Seconds(GLANCE)):
                raise Unmet(f"{server.id} ended before it answered at {address}") from None
            if boottime() > deadline:
                raise Unmet(f"nobody answered at {address} within {PATIENCE:.0f} s: {error}") from None


def _exchange(address: Address, request: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET) as connection:
        connection.settimeout(PATIENCE)
        connection.connect(address)
        connection.sendall(request)
        parts = []
        while part := connection.recv(65536):
            parts.append(part)
    answer = b"".join(parts)
    if not answer:
        raise ConnectionResetError("the connection was closed without an answer")
    if answer.startswith(b"-LOADING"):  # redis listens before it has read its data
        raise ConnectionRefusedError("it still loads its data")
    return answer
