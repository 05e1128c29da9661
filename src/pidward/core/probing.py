"""Probes, the part that decides: whom to ask, what the answers amount to, and when to ask next.

The rules are those of Kubernetes' probes, with one difference: until a worker has been ready once it is asked in quick
succession, so that a period of 10 s delays no start.
"""

import re

from pidward.core.lean import NamedTuple
from pidward.core.spec import Probe
from pidward.core.units import Instant, Seconds

QUICK_FIRST, QUICK_FACTOR = Seconds(0.1), 1.5
"""The first wait between two looks at a worker that was never ready, and what each next one is longer by."""

_PORT = re.compile(r"[0-9]{1,5}", re.ASCII)
_IPV4 = re.compile(r"(?:(?:25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])(?:\.(?!$)|$)){4}", re.ASCII)
_IPV6 = re.compile(r"(?=.*:)[0-9A-Fa-f:.]{2,45}(?:%[A-Za-z0-9_.-]+)?", re.ASCII)
_URI = re.compile(r"/[!-~]*", re.ASCII)
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-9][0-9]{2})(?: .*)?\r?\n?", re.DOTALL)
_LOCALHOST = ("127.0.0.1", "::1")

MAX_HEAD = 8192
"""Bytes of a request: what every server takes."""


class Standing(NamedTuple):
    """What the looks at one process so far amount to.

    says: what the probe says now. Readiness begins with no, liveness with yes.
    was_ready: it has said yes once; always so for liveness, which begins when the worker is ready.
    in_a_row: the last answers that contradict ``says``.
    looks: how many there were since the process began, or since it was ready for the first time.
    """

    says: bool
    was_ready: bool
    in_a_row: int = 0
    looks: int = 0


READINESS = Standing(says=False, was_ready=False)
LIVENESS = Standing(says=True, was_ready=True)


def count(before: Standing, probe: Probe, answer: bool) -> Standing:
    """Take an answer in. ``says`` changes after so many to the contrary in a row as the probe asks for."""
    looks = before.looks + 1
    if answer == before.says:
        return before._replace(in_a_row=0, looks=looks)
    in_a_row = before.in_a_row + 1
    if in_a_row < (probe.successes if answer else probe.failures):
        return before._replace(in_a_row=in_a_row, looks=looks)
    if answer and not before.was_ready:
        return Standing(says=True, was_ready=True)
    return Standing(answer, before.was_ready, 0, looks)


def first_look(probe: Probe, now: Instant) -> Instant:
    """When to ask for the first time, from when the program runs or, for liveness, from when it is ready."""
    return Instant(now + probe.initial_delay)


def next_look(standing: Standing, probe: Probe, asked: Instant, now: Instant, spread: float) -> Instant:
    """When to ask again.

    Args:
        standing: after the last answer.
        probe: what is configured.
        asked: when the last look began; periods are from start to start.
        now: when it ended.
        spread: from 0 to 1, another for each worker: a thousand that became ready together are not asked together.
    """
    if not standing.was_ready:
        quick = QUICK_FIRST * QUICK_FACTOR ** min(standing.looks - 1, 50) * (0.75 + spread / 2)
        return Instant(now + min(probe.period, quick))
    wait = probe.period * (0.5 + spread / 2) if standing.looks == 0 else probe.period
    return Instant(max(asked + wait, now))


class Place(NamedTuple):
    """Where a server listens: a path of a unix socket, else addresses to be tried in order, and a port."""

    path: str
    hosts: tuple[str, ...] = ()
    port: int = 0


def parse_tcp(target: str) -> Place:
    """Read ``HOST:PORT`` or ``unix:/path``; a path that begins with ``@`` is an abstract name.

    Raises:
        ValueError: it is none of these, or a host name: nobody waits for a name server here.
    """
    if target.startswith("unix:"):
        return _unix(target.removeprefix("unix:"))
    host, colon, port = target.rpartition(":")
    if not colon:
        raise ValueError(f'expected "HOST:PORT" or "unix:/path", got {target!r}')
    return _inet(host, port)


def parse_http(target: str) -> tuple[Place, str, str]:
    """Read ``http://HOST[:PORT][/uri]`` or ``http://unix:/path[:/uri]``.

    Returns:
        Where to ask, the value for the Host header, and the URI.

    Raises:
        ValueError: it is none of these. ``https`` is refused: with a TLS library loaded the supervisor would be twice
            as large; ``exec`` with curl asks that.
    """
    if target.lower().startswith("https:"):
        raise ValueError('https is not asked; use http on loopback, or exec = ["curl", "-fsk", "https://..."]')
    scheme, slashes, rest = target.partition("://")
    if scheme.lower() != "http" or not slashes:
        raise ValueError(f'expected "http://HOST:PORT/path" or "http://unix:/socket:/path", got {target!r}')
    if rest.startswith("unix:"):
        path, _, uri = rest.removeprefix("unix:").partition(":")
        place, host = _unix(path), "localhost"
    else:
        end = re.search(r"[/?#]|$", rest)
        assert end is not None
        host, uri = rest[: end.start()], rest[end.start() :]
        name, colon, port = host.rpartition(":") if not host.endswith("]") else (host, "", "")
        place = _inet(name, port) if colon else _inet(host, "80")
    uri = uri.partition("#")[0]
    uri = uri if uri.startswith("/") else "/" + uri
    if not _URI.fullmatch(uri):
        raise ValueError(f"{target!r} has a character that must be written as %XX")
    return place, host, uri


def request(host: str, uri: str, headers: tuple[tuple[str, str], ...], version: str) -> bytes:
    """The bytes of a GET. Given headers replace those of the same name.

    Raises:
        ValueError: a header has a character that no header may have, or all of it is too long.
    """
    chosen = {"host": ("Host", host), "user-agent": ("User-Agent", f"pidward/{version}"), "accept": ("Accept", "*/*")}
    for name, value in headers:
        if not _TOKEN.fullmatch(name) or any(character in value for character in "\r\n\0"):
            raise ValueError(f"no header of HTTP: {name!r} = {value!r}")
        chosen[name.lower()] = (name, value)
    chosen["connection"] = ("Connection", "close")
    lines = [f"GET {uri} HTTP/1.1", *(f"{name}: {value}" for name, value in chosen.values()), "", ""]
    head = "\r\n".join(lines).encode("utf-8", "surrogateescape")
    if len(head) > MAX_HEAD:
        raise ValueError(f"the request has {len(head)} bytes; at most {MAX_HEAD} are sent")
    return head


def status_of(line: bytes) -> int | None:
    """The status in the first line of a response; None when it is no HTTP."""
    found = _STATUS.fullmatch(line)
    return int(found[1]) if found else None


def _unix(path: str) -> Place:
    if not path.startswith(("/", "@")) or len(path) < 2 or "\0" in path or len(path.encode()) > 107:
        raise ValueError(f"expected an absolute path of at most 107 bytes after unix:, got {path!r}")
    return Place("\0" + path[1:] if path.startswith("@") else path)


def _inet(host: str, port: str) -> Place:
    if not _PORT.fullmatch(port) or not 1 <= int(port) <= 65535:
        raise ValueError(f"expected a port from 1 to 65535, got {port!r}")
    if host.lower() == "localhost":
        return Place("", _LOCALHOST, int(port))
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else ""
    if bare and _IPV6.fullmatch(bare):
        return Place("", (bare,), int(port))
    if _IPV4.fullmatch(host):
        return Place("", (host,), int(port))
    raise ValueError(
        f"expected an address like 127.0.0.1 or [::1], or localhost, got {host!r}; names are not looked up"
    )
