"""Health of real programs under a whole supervisor, from the file to the record; also where no cgroup is to be had."""

import signal
import socket
from contextlib import ExitStack
from pathlib import Path

import pytest

from pidward.kernel.pidfd import Pidfd
from pidward.testing.programs import Barrier, daemons
from tests.e2e.rig import Rig, ends, held, service

WALKING = "cgroup2,cgroup1"
RUNGS = pytest.mark.parametrize("mask", ["", WALKING], ids=["cgroup", "walk"])


@pytest.fixture
def port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        number: int = found.getsockname()[1]
    return number


def web(port: int, healthy: Path, timeout: str = "5s", **keys: object) -> str:
    """A web server that answers 200 while a file is there, and 503 else; it hangs while another one is."""
    script = f"""
import http.server, os, time
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        while os.path.exists({str(healthy)!r} + ".hang"): time.sleep(0.02)
        self.send_response(200 if os.path.exists({str(healthy)!r}) else 503)
        self.end_headers()
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(("127.0.0.1", {port}), Handler).serve_forever()
"""
    ready = {"http": f"http://127.0.0.1:{port}/healthz", "period": "50ms", "timeout": timeout, "failures": 2}
    healthy.touch()
    return service("web", ["/usr/bin/env", "python3", "-c", script], ready=ready, **keys)


def test_a_web_server_that_is_not_always_ready(rig: Rig, port: int, tmp_path: Path) -> None:
    healthy = tmp_path / "healthy"
    rig.configure(web(port, healthy, alive={"tcp": f"127.0.0.1:{port}", "period": "50ms", "timeout": "5s"}))
    rig.up()
    first = rig.wait("web/1", "ready", f"GET http://127.0.0.1:{port}/healthz answered 200")
    healthy.unlink()
    rig.wait("web/1", "running", f"GET http://127.0.0.1:{port}/healthz failed 2 times: answered 503")
    healthy.touch()
    again = rig.wait("web/1", "ready", "answered 200")
    assert again["data"]["process"] == first["data"]["process"], "who is not ready is not restarted"
    with held(first["data"]["process"]) as process:
        process.signal(signal.SIGKILL)
        assert ends(process)
    rig.wait("web/1", "ready", "answered 200")


def test_who_hangs_is_replaced(rig: Rig, port: int, tmp_path: Path) -> None:
    healthy, hang = tmp_path / "healthy", tmp_path / "healthy.hang"
    url = f"http://127.0.0.1:{port}/healthz"
    alive = {"http": url, "period": "50ms", "timeout": "1s", "failures": 2}
    rig.configure(web(port, healthy, timeout="1min", alive=alive, stop={"grace": "100ms"}))
    rig.up()
    first = rig.wait("web/1", "ready")
    hang.touch()
    rig.wait("web/1", "stopping", f"GET {url} failed 2 times: no answer within 1s")
    hang.unlink()
    assert rig.wait("web/1", "ready")["data"]["process"] != first["data"]["process"]


@RUNGS
def test_a_command_that_hangs_dies_with_its_daemons(rig: Rig, tmp_path: Path, mask: str) -> None:
    with Barrier(tmp_path / "reports") as barrier:
        rig.configure(service("web", alive={"exec": list(daemons(2, barrier)), "timeout": "2s", "failures": 1}))
        rig.up(mask=mask)
        rig.wait("web/1", "ready")
        reports = barrier.wait(3, timeout=20.0)
        with ExitStack() as stack:
            processes = [stack.enter_context(Pidfd.open(report.pid)) for report in reports]
            rig.wait("web/1", "stopping", "did not end within 2s")
            assert all(map(ends, processes))


@RUNGS
def test_a_supervisor_that_ends_leaves_no_command_behind(rig: Rig, tmp_path: Path, mask: str) -> None:
    with Barrier(tmp_path / "reports") as barrier:
        rig.configure(service("web", alive={"exec": list(daemons(2, barrier)), "timeout": "1h"}))
        rig.up(mask=mask)
        reports = barrier.wait(3, timeout=20.0)
        with ExitStack() as stack:
            processes = [stack.enter_context(Pidfd.open(report.pid)) for report in reports]
            assert rig.cli("down").status == 0
            assert all(map(ends, processes))
        assert rig.wait_end().code == 0
    assert [path.name for path in rig.run.iterdir() if path.name.endswith(".out")] == []


@RUNGS
def test_the_status_of_a_command_is_its_own(rig: Rig, tmp_path: Path, mask: str) -> None:
    """Where orphans are reaped, too, nobody takes it away."""
    flag = tmp_path / "flag"
    probe = {"exec": ["/bin/sh", "-c", f"(sleep 0.01 &) ; test -e {flag} || exit 9"], "period": "20ms"}
    rig.configure(service("web", ready={**probe, "failures": 1, "timeout": "20s"}, workers=4))
    flag.touch()
    rig.up(mask=mask)
    rig.wait_all("web", 4)
    flag.unlink()
    for number in range(1, 5):
        rig.wait(f"web/{number}", "running", "exec /bin/sh failed: exited with code 9")


def test_ready_by_a_line_of_its_output(rig: Rig, tmp_path: Path) -> None:
    program = ["sh", "-c", "echo warming up; sleep 0.1; echo Listening on 80; exec sleep infinity"]
    rig.configure(service("web", program, logs={"mode": "file"}, ready={"log": "Listening"}, workers=20))
    rig.up()
    events = rig.wait_all("web", 20)
    assert all('its output said "Listening"' in event["text"] for event in events.values())


def test_scheduled_by_the_clock(rig: Rig, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    rig.configure(service("job", ["sh", "-c", f"echo x >>{ran}"], type="oneshot", schedule={"every": "1s"}))
    rig.up()
    for _ in range(2):
        rig.wait("job/1", "starting", "its schedule (every 1s)")
        rig.wait("job/1", "completed")
    assert len(ran.read_text().split()) >= 2
