"""``ready`` and ``alive``: what each way of writing them becomes."""

import pytest

from pidward.config.load import parse
from pidward.core.probing import parse_http
from pidward.core.spec import Probe, ProbeKind, ServiceSpec
from pidward.core.units import Seconds


def service(keys: str, before: str = "") -> ServiceSpec:
    [spec] = parse(f"{before}\n[service.web]\ncommand = 'x'\n{keys}", "f").services
    return spec


@pytest.mark.parametrize(
    "written, probe",
    [
        ("{ notify = true }", Probe(ProbeKind.NOTIFY)),
        ("{ notify = false }", None),
        ("{}", None),
        ("{ after = 0 }", None),
        ("{ after = '2s' }", Probe(ProbeKind.AFTER, after=Seconds(2.0))),
        ("{ fd = 4 }", Probe(ProbeKind.FD, "4")),
        ("{ log = 'listening 100%%' }", Probe(ProbeKind.LOG, "listening 100%%")),
        ("{ tcp = 'localhost:800%i' }", Probe(ProbeKind.TCP, "localhost:800%i")),
        ("{ tcp = 'unix:/run/x.%i' }", Probe(ProbeKind.TCP, "unix:/run/x.%i")),
        ("{ exec = 'pg_isready -q' }", Probe(ProbeKind.EXEC, command=("pg_isready", "-q"))),
        ("{ exec = ['a b'] }", Probe(ProbeKind.EXEC, command=("a b",))),
        ("{ exec = { command = ['a', 'b'] } }", Probe(ProbeKind.EXEC, command=("a", "b"))),
        (
            "{ http = 'http://[::1]:80/x', headers = { A = 'b' } }",
            Probe(ProbeKind.HTTP, "http://[::1]:80/x", headers=(("A", "b"),)),
        ),
        ("{ tcpSocket = { port = 1, host = '::1' } }", Probe(ProbeKind.TCP, "[::1]:1")),
        ("{ httpGet = { port = 1 } }", Probe(ProbeKind.HTTP, "http://127.0.0.1:1/")),
        ("{ httpGet = { port = 1, path = '/a%20b' } }", Probe(ProbeKind.HTTP, "http://127.0.0.1:1/a%%20b")),
        (
            "{ httpGet = { port = 1, path = 'a', scheme = 'HTTP', httpHeaders = [{ name = 'A', value = 'b' }] } }",
            Probe(ProbeKind.HTTP, "http://127.0.0.1:1/a", headers=(("A", "b"),)),
        ),
    ],
)
def test_the_ways_to_be_ready(written: str, probe: Probe | None) -> None:
    assert service(f"ready = {written}").ready == probe


def test_the_words_of_kubernetes() -> None:
    spec = service(
        """
        ready = { tcpSocket = { port = 80 }, initialDelaySeconds = 3, periodSeconds = 4, timeoutSeconds = 5,
                  successThreshold = 6, failureThreshold = 7 }
        alive = { exec = { command = ["true"] }, successThreshold = 1 }
        """.replace("\n                  ", " ")
    )
    assert spec.ready == Probe(
        ProbeKind.TCP,
        "127.0.0.1:80",
        initial_delay=Seconds(3.0),
        period=Seconds(4.0),
        timeout=Seconds(5.0),
        successes=6,
        failures=7,
    )
    assert spec.alive == Probe(ProbeKind.EXEC, command=("true",))


def test_the_deadline_is_the_services() -> None:
    spec = service("ready = { notify = true, deadline = '1min' }")
    assert (spec.ready, spec.ready_timeout) == (Probe(ProbeKind.NOTIFY), 60.0)
    assert service("ready = { deadline = '1min', http = 'http://127.0.0.1/' }").ready_timeout == 60.0


def test_a_service_replaces_the_kind_that_the_defaults_have_and_keeps_the_rest() -> None:
    defaults = "[defaults]\nready = { http = 'http://127.0.0.1/', period = 3 }"
    assert service("ready = { tcp = '127.0.0.1:1' }", defaults).ready == Probe(
        ProbeKind.TCP, "127.0.0.1:1", period=Seconds(3.0)
    )
    assert service("ready = { notify = true }", defaults).ready == Probe(ProbeKind.NOTIFY)
    assert service("ready = { notify = false }", defaults).ready is None


def test_what_config_lets_through_the_probes_can_read() -> None:
    spec = service("ready = { httpGet = { port = 8080, path = '/%41?a=%25', host = '::1' } }")
    assert spec.ready is not None
    place, _, uri = parse_http(spec.ready.target.replace("%%", "%"))
    assert (place.hosts, place.port, uri) == (("::1",), 8080, "/%41?a=%25")
