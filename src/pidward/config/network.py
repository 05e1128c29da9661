"""Kinds of values that name a place on the network: what is listened on, and what probes ask.

No name is looked up: the supervisor never waits, and a resolver may take seconds. So hosts are addresses.
"""

import re
import socket
from typing import NamedTuple

from pidward.config.values import Kind, template_of, text_of, unlike
from pidward.core.probing import parse_http, parse_tcp
from pidward.core.spec import SocketKind

MAX_UNIX_PATH = 107
"""Bytes: sun_path has 108 and ends in a NUL."""

_LISTEN_WORDS = 'a socket like "tcp://127.0.0.1:8000", "udp://[::1]:53" or "unix:///run/web.sock"'
_HOST_PORT = re.compile(r"(?:\[([^]]*)\]|([^:\[\]]*)):([^:\[\]]*)")


class Listen(NamedTuple):
    """An address to bind; the fields of SocketSpec of these names."""

    kind: SocketKind
    address: str
    port: int = 0


def host_of(value: object) -> str:
    """Take an IP address, or localhost, which is 127.0.0.1; IPv6 with or without brackets."""
    host = text_of(value)
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if bare == "localhost":
        return "127.0.0.1"
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            return socket.inet_ntop(family, socket.inet_pton(family, bare))
        except (OSError, UnicodeError):
            continue
    raise ValueError(f"{host!r} is no IP address; write one or localhost, for no names are looked up")


def port_of(text: str) -> int:
    """Take the digits of a port."""
    if not re.fullmatch("[0-9]{1,5}", text) or not 1 <= int(text) <= 65535:
        raise ValueError(f"a port is a number from 1 to 65535, not {text!r}")
    return int(text)


def host_and_port(text: str) -> tuple[str, int]:
    """Split ``127.0.0.1:80`` or ``[::1]:80``."""
    found = _HOST_PORT.fullmatch(text)
    if found is None:
        raise ValueError(f"expected HOST:PORT with IPv6 in brackets, like 127.0.0.1:80 or [::1]:80, got {text!r}")
    return host_of(found[1] if found[1] is not None else found[2]), port_of(found[3])


def _unix_path(path: str) -> str:
    if not path.startswith(("/", "@")) or path in ("/", "@"):
        raise ValueError(f"the path of a socket is absolute, or @name for the abstract namespace; got {path!r}")
    if len(path.encode("utf-8", "surrogateescape")) > MAX_UNIX_PATH:
        raise ValueError(f"the path of a socket has at most {MAX_UNIX_PATH} bytes")
    return path


def _listen(value: object) -> Listen:
    if not isinstance(value, str):
        raise unlike(_LISTEN_WORDS, value)
    scheme, colon, rest = text_of(value).partition(":")
    if not colon or scheme not in [kind.value for kind in SocketKind]:
        raise unlike(_LISTEN_WORDS, value)
    kind = SocketKind(scheme)
    place = rest.removeprefix("//")
    if kind in (SocketKind.UNIX, SocketKind.UNIX_DGRAM):
        return Listen(kind, _unix_path(place))
    return Listen(kind, *host_and_port(place))


def example_of(value: object) -> str:
    """Fill in a template for the first worker, to see what becomes of it."""
    return "%".join(part.replace("%i", "1") for part in template_of(value).split("%%"))


def _url(value: object) -> str:
    parse_http(example_of(value))
    return template_of(value)


def _tcp(value: object) -> str:
    parse_tcp(example_of(value))
    return template_of(value)


def _tcp_place(value: object) -> str:
    text = text_of(value)
    parse_tcp(text)
    return text


def check_header_name(name: str) -> None:
    """Raise ValueError with the reason if an HTTP header cannot have this name."""
    if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):
        raise ValueError(f"{name!r} cannot be the name of an HTTP header")


def _header_value(value: object) -> str:
    text = text_of(value)
    if re.search(r"[^\t\x20-\x7e]", text):
        raise ValueError("the value of an HTTP header is printable ASCII on one line")
    return text


def _descriptor_name(value: object) -> str:
    name = text_of(value)
    if not re.fullmatch(r"[\x21-\x39\x3b-\x7e]{1,255}", name):
        raise ValueError("the name of a socket has 1 to 255 printable ASCII characters without space and colon")
    return name


LISTEN = Kind(
    'like `"tcp://127.0.0.1:8000"`, `"udp://[::1]:53"`, `"unix:///run/web.sock"` or `"unix-dgram:/run/log"`',
    {"type": "string", "pattern": r"^((tcp|udp)://([0-9.]+|localhost|\[[0-9a-fA-F:.]+\]):[1-9][0-9]{0,4}"
     r"|unix(-dgram)?:(//)?[/@].+)$"},
    _listen,
)  # fmt: skip
URL = Kind("an `http://` URL", {"type": "string", "pattern": "^http://"}, _url)
TCP = Kind('`"HOST:PORT"` or `"unix:/path"`', {"type": "string", "pattern": "^(unix:[/@].+|.+:.+)$"}, _tcp)
TCP_PLACE = TCP._replace(parse=_tcp_place)
HOST = Kind("an IP address", {"type": "string"}, host_of)
HEADER = Kind("a string", {"type": "string", "pattern": r"^[\t\x20-\x7e]*$"}, _header_value)
DESCRIPTOR_NAME = Kind("a name", {"type": "string", "pattern": r"^[!-9;-~]{1,255}$"}, _descriptor_name)
