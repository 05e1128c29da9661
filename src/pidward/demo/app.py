"""A small WSGI application, for gunicorn: it tells which process answers."""

import os
from collections.abc import Callable, Iterable

Respond = Callable[[str, list[tuple[str, str]]], object]


def app(_request: dict[str, object], respond: Respond) -> Iterable[bytes]:
    """Answer with the number of this process and of its parent, which is the one that pidward started."""
    body = f"{os.getpid()} {os.getppid()}\n".encode()
    respond("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
