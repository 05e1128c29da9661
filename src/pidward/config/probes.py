"""``ready`` and ``alive``: their keys, also by the names that Kubernetes gives them, and the Probe they become."""

from typing import Any

from pidward.config.names import split_command
from pidward.config.network import HEADER, HOST, TCP, URL, check_header_name
from pidward.config.nodes import Array, Key, Named, table
from pidward.config.values import BOOLEAN, TEMPLATE, TEXT, duration, one_of, whole
from pidward.core.spec import Probe, ProbeKind

REPEATED_KINDS = ("http", "httpGet", "tcp", "tcpSocket", "exec")
KINDS = (*REPEATED_KINDS, "notify", "fd", "log", "after")
ASKED = ("initial_delay", "period", "timeout", "successes", "failures", "headers")
"""What only those kinds have that are asked again and again."""

MAX_FD = 1023

_PROBE = Probe(ProbeKind.HTTP)
_PORT = whole(1, 65535, "a port")
_HEADERS = Named(check_header_name, HEADER, words="a table of strings")

_EXEC = table(
    Key("command", Array("an array of strings, or one string", TEMPLATE, split=split_command, at_least=1),
        "the program and its arguments", '["pg_isready", "-q"]'),
    shorthand="command", needs=("command",), words="an array of strings, or one string",
)  # fmt: skip
_HTTP_GET = table(
    Key("path", TEXT, "what is asked for", '"/healthz"', unset="`/`"),
    Key("port", _PORT, "where it listens", "8080", unset="must be given"),
    Key("host", HOST, "where it listens", '"127.0.0.1"', unset="this machine"),
    Key("scheme", one_of(["HTTP"]), "how it is asked", '"HTTP"', unset='`"HTTP"`'),
    Key("httpHeaders", Array("an array of tables", table(
        Key("name", TEXT, "name of the header", '"X-Probe"', unset="must be given"),
        Key("value", HEADER, "its value", '"1"', unset="must be given"),
        needs=("name", "value"),
    )), "sent with it", '[{ name = "X-Probe", value = "1" }]'),
    needs=("port",),
)  # fmt: skip
_TCP_SOCKET = table(
    Key("port", _PORT, "where it listens", "5432", unset="must be given"),
    Key("host", HOST, "where it listens", '"127.0.0.1"', unset="this machine"),
    needs=("port",),
)

_REPEATED = (
    Key("http", URL, "a GET of this URL answers with 200 to 399; names of hosts are not looked up",
        '"http://127.0.0.1:800%i/healthz"'),
    Key("httpGet", _HTTP_GET, "the same, as Kubernetes writes it", "{ path = \"/healthz\", port = 8080 }"),
    Key("tcp", TCP, "a connection is accepted there", '"127.0.0.1:5432"'),
    Key("tcpSocket", _TCP_SOCKET, "the same, as Kubernetes writes it", "{ port = 5432 }"),
    Key("exec", _EXEC, "this command exits with 0; as a string it is split as a shell would, and no shell is run",
        '["pg_isready", "-q"]'),
)  # fmt: skip
_HOW_OFTEN = (
    Key("headers", _HEADERS, "sent with the GET", '{ Host = "example.org" }'),
    Key("initial_delay", duration(), "wait before it is asked for the first time", '"2s"',
        aliases=("initialDelaySeconds",)),
    Key("period", duration(0.01), "from one look to the next", '"5s"', aliases=("periodSeconds",)),
    Key("timeout", duration(0.001), "no answer after this long is a failure; a command is killed with all it started",
        '"2s"', aliases=("timeoutSeconds",)),
    Key("failures", whole(1, 10_000), "so many in a row count", "5", aliases=("failureThreshold",)),
)  # fmt: skip

READY = table(
    Key("notify", BOOLEAN, "ready when it says `READY=1`, as in sd_notify(3)", "true", unset="`false`"),
    Key("fd", whole(3, MAX_FD), "ready when it writes a line to this descriptor, as under s6", "4"),
    *_REPEATED,
    Key("log", TEMPLATE, "ready when a line of its output contains this", '"listening on"'),
    Key("after", duration(), "ready when it has run this long", '"2s"'),
    Key("deadline", duration(0.001), "not ready after this long is a failed start", '"1min"', field="ready_timeout",
        unset="waits for ever"),
    *_HOW_OFTEN,
    Key("successes", whole(1, 10_000), "so many in a row make it ready", "2", aliases=("successThreshold",)),
    defaults=[_PROBE], one_of=KINDS,
)  # fmt: skip

ALIVE = table(
    *_REPEATED,
    *_HOW_OFTEN,
    Key("successes", whole(1, 1), "as in Kubernetes, one is enough", "1", aliases=("successThreshold",)),
    defaults=[_PROBE], one_of=REPEATED_KINDS,
)  # fmt: skip


def kind_in(values: dict[str, Any]) -> str | None:
    """Name the key that says how to find out; None without one, also for ``notify = false`` and ``after = 0``."""
    return next((key for key in KINDS if key in values and values[key] not in (False, 0.0)), None)


def make_probe(values: dict[str, Any]) -> Probe | None:
    """Make the probe of checked keys; None when nothing is asked."""
    key = kind_in(values)
    if key is None:
        return None
    value = values[key]
    how_often: dict[str, Any] = {name: values[name] for name in ASKED if name in values and name != "headers"}
    headers = tuple(values.get("headers", {}).items())
    match key:
        case "notify":
            return Probe(ProbeKind.NOTIFY)
        case "after":
            return Probe(ProbeKind.AFTER, after=value)
        case "log" | "fd":
            return Probe(ProbeKind(key), target=str(value))
        case "exec":
            return Probe(ProbeKind.EXEC, command=value["command"], **how_often)
        case "tcp":
            return Probe(ProbeKind.TCP, target=value, **how_often)
        case "tcpSocket":
            return Probe(ProbeKind.TCP, target=_host_port(value), **how_often)
        case "http":
            return Probe(ProbeKind.HTTP, target=value, headers=headers, **how_often)
    path = "/" + value.get("path", "").removeprefix("/").replace("%", "%%")  # no template, as over there
    headers = (*headers, *((header["name"], header["value"]) for header in value.get("httpHeaders", ())))
    return Probe(ProbeKind.HTTP, target=f"http://{_host_port(value)}{path}", headers=headers, **how_often)


def _host_port(value: dict[str, Any]) -> str:
    host = value.get("host", "127.0.0.1")
    return f"[{host}]:{value['port']}" if ":" in host else f"{host}:{value['port']}"
