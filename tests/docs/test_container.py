"""The example of docs/howto/container.md: it serves, tells its health, mends a crash, and ends when that fails."""

import http.client
import re
import shutil
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import new_rig
from tests.e2e.rig import Rig, ends

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "container.md"
APP = """\
def app(environ, start_response):
    start_response("200 OK", [])
    return [b"hello"]
"""
BURST = 5


@pytest.fixture
def rig() -> Iterator[Rig]:
    with new_rig() as rig:
        yield rig


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def get(port: int, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", path)
    status = connection.getresponse().status
    connection.close()
    return status


def test_the_example(rig: Rig) -> None:
    pytest.importorskip("gunicorn")
    if shutil.which("redis-server") is None:
        pytest.skip("needs redis-server")
    found = re.search(r"```toml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert found is not None
    web, health, cache = free_port(), free_port(), free_port()
    own = {
        "[pidward]": f'[pidward]\nstate_dir = "{rig.state}"\nruntime_dir = "{rig.run}"',
        "0.0.0.0:9000": f"127.0.0.1:{health}",
        "0.0.0.0:8000": f"127.0.0.1:{web}",
        '"redis-server"': f'"redis-server", "--port", "{cache}"',
        '"gunicorn"': f'"{Path(sys.executable).parent}/gunicorn"',
        "/srv/web": str(rig.base),
        'user = "www-data"\n': "",
    }
    text = found[1]
    for old, new in own.items():
        assert old in text
        text = text.replace(old, new)
    rig.config.write_text(text)
    (rig.base / "app.py").write_text(APP)
    rig.up()
    for count in range(BURST + 1):
        with rig.hold_when_ready("web/1") as main:
            if count < BURST:
                assert [get(web, "/"), get(health, "/livez"), get(health, "/startupz")] == [200, 200, 200]
            main.signal(signal.SIGKILL)
            assert ends(main)
    assert rig.wait_end().code == 128 + signal.SIGKILL
