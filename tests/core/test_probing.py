"""What answers amount to, against a plain reading of Kubernetes' rules; and how targets are read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pidward.core.probing import (
    LIVENESS,
    READINESS,
    Place,
    Standing,
    count,
    first_look,
    next_look,
    parse_http,
    parse_tcp,
    request,
    status_of,
)
from pidward.core.spec import Probe, ProbeKind
from pidward.core.units import Instant, Seconds

NOW = Instant(1000.0)


def probe(successes: int = 1, failures: int = 3, period: float = 10.0) -> Probe:
    return Probe(ProbeKind.TCP, successes=successes, failures=failures, period=Seconds(period))


@given(st.lists(st.booleans()), st.integers(1, 4), st.integers(1, 4), st.sampled_from([READINESS, LIVENESS]))
def test_says_what_the_last_run_of_answers_says(
    answers: list[bool], successes: int, failures: int, standing: Standing
) -> None:
    says = standing.says
    for at, answer in enumerate(answers, 1):
        standing = count(standing, probe(successes, failures), answer)
        if at >= successes and all(answers[at - successes : at]):
            says = True
        elif at >= failures and not any(answers[at - failures : at]):
            says = False
        assert standing.says is says


def test_until_it_was_ready_looks_are_quick_and_grow_to_the_period() -> None:
    standing, waits = READINESS, []
    for _ in range(80):
        standing = count(standing, probe(), answer=False)
        waits.append(next_look(standing, probe(), NOW, NOW, 0.5) - NOW)
    assert waits[:3] == pytest.approx([0.1, 0.15, 0.225])
    assert waits == sorted(waits)
    assert waits[-1] == 10.0
    assert next_look(standing, probe(period=0.05), NOW, NOW, 1.0) - NOW == pytest.approx(0.05)


def test_the_first_look_is_at_once_or_after_its_delay() -> None:
    assert first_look(probe(), NOW) == NOW
    assert first_look(probe()._replace(initial_delay=Seconds(3.0)), NOW) == NOW + 3


def test_when_ready_a_period_is_from_start_to_start() -> None:
    ready = count(READINESS, probe(), answer=True)
    assert ready.was_ready
    assert next_look(ready, probe(), NOW, NOW, 0.0) == NOW + 5, "spread: from half a period on"
    assert next_look(ready, probe(), NOW, NOW, 1.0) == NOW + 10
    ready = count(ready, probe(), answer=True)
    assert next_look(ready, probe(), NOW, Instant(NOW + 1), 0.0) == NOW + 10
    assert next_look(ready, probe(), NOW, Instant(NOW + 12), 0.0) == NOW + 12, "a look that took longer than a period"


def test_a_worker_that_was_ready_and_is_not_is_asked_by_its_period() -> None:
    standing = count(READINESS, probe(failures=1), answer=True)
    standing = count(standing, probe(failures=1), answer=False)
    assert (standing.says, standing.was_ready) == (False, True)
    assert next_look(standing, probe(), NOW, NOW, 0.5) == NOW + 10


@pytest.mark.parametrize("target, place", [
    ("127.0.0.1:80", Place("", ("127.0.0.1",), 80)),
    ("[::1]:65535", Place("", ("::1",), 65535)),
    ("[fe80::1%eth0]:1", Place("", ("fe80::1%eth0",), 1)),
    ("localhost:5432", Place("", ("127.0.0.1", "::1"), 5432)),
    ("unix:/run/a b.sock", Place("/run/a b.sock")),
    ("unix:@name", Place("\0name")),
])  # fmt: skip
def test_tcp_targets(target: str, place: Place) -> None:
    assert parse_tcp(target) == place


@pytest.mark.parametrize("target", [
    "", "80", ":80", "127.0.0.1", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:٣", "256.0.0.1:1",
    "1.2.3:1", "1.2.3.4.5:1", "1.2.3.4.:1", "::1:80", "[127.0.0.1]:80", "[]:80", "example.org:80", "unix:", "unix:run",
    "unix:/", "unix:@", "unix:/" + "x" * 107, "127.0.0.1:80/",
])  # fmt: skip
def test_what_is_no_tcp_target(target: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        parse_tcp(target)


@pytest.mark.parametrize("target, place, host, uri", [
    ("http://127.0.0.1:8000/healthz?a=1", Place("", ("127.0.0.1",), 8000), "127.0.0.1:8000", "/healthz?a=1"),
    ("http://127.0.0.1", Place("", ("127.0.0.1",), 80), "127.0.0.1", "/"),
    ("http://127.0.0.1?a:1", Place("", ("127.0.0.1",), 80), "127.0.0.1", "/?a:1"),
    ("HTTP://[::1]/x#y", Place("", ("::1",), 80), "[::1]", "/x"),
    ("http://[::1]:81/x", Place("", ("::1",), 81), "[::1]:81", "/x"),
    ("http://localhost:8000/a:b", Place("", ("127.0.0.1", "::1"), 8000), "localhost:8000", "/a:b"),
    ("http://unix:/run/w.sock:/h", Place("/run/w.sock"), "localhost", "/h"),
    ("http://unix:/run/w.sock", Place("/run/w.sock"), "localhost", "/"),
])  # fmt: skip
def test_http_targets(target: str, place: Place, host: str, uri: str) -> None:
    assert parse_http(target) == (place, host, uri)


@pytest.mark.parametrize("target, said", [
    ("https://127.0.0.1/", "https is not asked"),
    ("127.0.0.1:80", "expected \"http:"),
    ("ftp://127.0.0.1", "expected \"http:"),
    ("http:/127.0.0.1", "expected \"http:"),
    ("http://", "expected an address"),
    ("http://example.org/", "names are not looked up"),
    ("http://user@127.0.0.1/", "expected an address"),
    ("http://127.0.0.1:x/", "expected a port"),
    ("http://127.0.0.1/a b", "written as %XX"),
    ("http://127.0.0.1/a\r\nX: y", "written as %XX"),
    ("http://127.0.0.1/ü", "written as %XX"),
    ("http://unix:run/w.sock:/h", "absolute path"),
])  # fmt: skip
def test_what_is_no_http_target(target: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_http(target)


@given(st.text(max_size=60) | st.text("htp:/[]unix.0123456789@%#?", max_size=60).map("http://".__add__))
def test_any_target_is_read_or_refused(text: str) -> None:
    for parse in (parse_tcp, parse_http):
        try:
            parse(text)
        except ValueError:
            pass


def test_a_request() -> None:
    head = request("a:1", "/x", (("X-Check", "1"), ("host", "b")), "9")
    assert head == (
        b"GET /x HTTP/1.1\r\nhost: b\r\nUser-Agent: pidward/9\r\nAccept: */*\r\nX-Check: 1\r\nConnection: close\r\n\r\n"
    )


@pytest.mark.parametrize("header", [("X", "a\r\nY: b"), ("X Y", "a"), ("", "a"), ("X", "a" * 9000), ("X\n", "a")])
def test_headers_that_cannot_be_sent(header: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match=r"no header|at most"):
        request("a", "/", (header,), "9")


@pytest.mark.parametrize("line, status", [
    (b"HTTP/1.1 200 OK\r\n", 200), (b"HTTP/1.0 404\r\n", 404), (b"HTTP/1.1 302 \n", 302), (b"HTTP/1.1 599 x", 599),
    (b"HTTP/2 200\r\n", None), (b"HTTP/1.1 2000\r\n", None), (b"HTTP/1.1  200\r\n", None), (b"", None),
    (b"SSH-2.0-OpenSSH\r\n", None), (b"HTTP/1.1 099 x\r\n", None), (b"\xff\0\n", None),
])  # fmt: skip
def test_status_lines(line: bytes, status: int | None) -> None:
    assert status_of(line) == status
