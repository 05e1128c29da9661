"""Sockets that outlive their workers: nobody is refused while programs come and go."""

import os
import socket
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.rig import SRC, Rig, service

PYTHON = sys.executable
ASGI = """\
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while (message := await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})
"""
TELLS = """\
import os, socket, stat
assert os.environ["LISTEN_PID"] == str(os.getpid())
count = int(os.environ["LISTEN_FDS"])
kinds = [socket.socket(fileno=os.dup(3 + i)) for i in range(count)]
text = " ".join([os.environ["LISTEN_FDNAMES"], *(f"{s.family.name}/{s.type.name}" for s in kinds)])
inode = os.environ.get("LISTEN_PIDFDID")
if inode is not None:
    assert inode == str(os.fstat(os.pidfd_open(os.getpid())).st_ino)
while True:
    connection, _ = kinds[0].accept()
    connection.sendall(f"{text} {os.getpid()}".encode())
    connection.close()
"""
ONCE = """\
import socket
s = socket.socket(fileno=3)
connection, _ = s.accept()
connection.sendall(b"served")
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def ask(port: int) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        return b"".join(iter(lambda: client.recv(4096), b""))


def told(port: int) -> str:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        return client.recv(4096).decode()


@contextmanager
def load(port: int, clients: int) -> Iterator[Counter[str]]:
    """Connect, ask, connect again, from several threads, until the block ends; gives what came of it."""
    outcomes: Counter[str] = Counter()
    enough = threading.Event()

    def client() -> None:
        while not enough.is_set():
            try:
                outcomes["200" if b" 200 " in ask(port).split(b"\r\n")[0] else "no answer"] += 1
            except OSError as error:
                outcomes[type(error).__name__] += 1

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield outcomes
    finally:
        enough.set()
        for thread in threads:
            thread.join()


def test_descriptors_and_variables_are_those_of_the_protocol(rig: Rig) -> None:
    port = free_port()
    path = str(rig.base / "s.sock")
    named = {"listen": f"unix://{path}", "name": "local"}
    sockets = [f"tcp://127.0.0.1:{port}", named, f"udp://127.0.0.1:{free_port()}"]
    rig.configure(service("tells", [PYTHON, "-c", TELLS], workers=2, sockets=sockets))
    rig.up()
    rig.wait_all("tells", 2)
    names, *kinds = told(port).split()
    assert names == "tells:local:tells"
    assert kinds[:3] == ["AF_INET/SOCK_STREAM", "AF_UNIX/SOCK_STREAM", "AF_INET/SOCK_DGRAM"]
    rig.cli("down")
    rig.wait_end()
    assert not os.path.exists(path)


def test_the_socket_stays_while_the_worker_is_away_and_over_reloads(rig: Rig) -> None:
    port = free_port()

    def configure(**keys: object) -> None:
        rig.configure(service("tells", [PYTHON, "-c", TELLS], sockets=[f"tcp://127.0.0.1:{port}"], **keys))

    configure()
    rig.up()
    rig.wait("tells/1", "ready")
    rig.cli("stop", "tells")
    with socket.create_connection(("127.0.0.1", port), timeout=20) as waits:  # refused by nobody, answered by nobody
        configure(env={"A": "1"})
        assert rig.cli("reload").status == 0
        assert rig.cli("start", "tells").status == 0
        assert waits.recv(4096).startswith(b"tells ")
    configure(env={"A": "2"})
    before = told(port).split()[-1]
    assert rig.cli("reload").status == 0
    rig.wait("tells/1", "ready")
    assert told(port).split()[-1] != before


def test_mode_and_owner_of_a_path_change_under_the_worker(rig: Rig, tmp_path: Path) -> None:
    path = str(tmp_path / "tells.sock")

    def configure(**keys: object) -> None:
        rig.configure(service("tells", [PYTHON, "-c", TELLS], sockets=[{"listen": f"unix://{path}", **keys}]))

    configure()
    rig.up()
    rig.wait("tells/1", "ready")
    before = rig.status()["tells/1"]["process"]
    group = 4711 if os.geteuid() == 0 else os.getegid()
    configure(mode="660", backlog=7, group=group)
    assert "tells: changed in place (sockets)" in rig.cli("reload").out
    status = os.stat(path)
    assert (status.st_mode & 0o777, status.st_gid) == (0o660, group)
    configure()
    assert rig.cli("reload").status == 0
    status = os.stat(path)
    assert (status.st_mode & 0o777, status.st_gid) == (0o600, os.getegid())
    assert rig.status()["tells/1"]["process"] == before


def test_an_address_that_is_taken_is_said_and_tried_again(rig: Rig) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        quick = {"policy": "always", "delay": "20ms", "max_delay": "20ms", "burst": 0}
        command = [PYTHON, "-c", TELLS]
        rig.configure(service("tells", command, sockets=[f"tcp://127.0.0.1:{port}"], restart=quick))
        rig.up()
        event = rig.wait("tells/1", "backing-off")
        assert f"cannot bind tcp://127.0.0.1:{port}: address already in use (EADDRINUSE)" in event["data"]["reason"]
        assert "service.tells.sockets at " in event["data"]["reason"]
    rig.wait("tells/1", "ready")
    assert told(port).startswith("tells ")


def test_started_by_the_first_connection_and_again_by_the_next(rig: Rig) -> None:
    path = str(rig.base / "s.sock")
    rig.configure(service("lazy", [PYTHON, "-c", ONCE], sockets=[f"unix://{path}"], on_demand=True))
    rig.up()
    rig.wait("lazy/1", "waiting", "waits for a connection")
    assert rig.status()["lazy/1"]["as_wanted"]
    for _ in range(3):
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(path)
            assert client.recv(100) == b"served"
        event = rig.wait("lazy/1", "starting")
        assert f"a connection to unix://{path}" in event["data"]["reason"]
    rig.wait("lazy/1", "waiting")
    assert rig.cli("stop", "lazy").status == 0
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
        client.settimeout(0.2)
        with pytest.raises(TimeoutError):  # an operator wants it down: the connection waits in the queue
            client.recv(1)
        assert rig.cli("start", "lazy", "--no-wait").status == 0
        client.settimeout(20)
        assert client.recv(100) == b"served"


RESTARTS = 100
"""Of each of the two, and so 200 in all."""


@pytest.mark.timeout(300)
def test_two_hundred_restarts_under_load_refuse_nobody(rig: Rig, tmp_path: Path) -> None:
    pytest.importorskip("uvicorn")
    pytest.importorskip("gunicorn")
    (tmp_path / "asgi.py").write_text(ASGI)
    ports = {"gun": free_port(), "uv": free_port()}
    gunicorn = [PYTHON, "-m", "gunicorn", "--no-control-socket", "--chdir", SRC, "pidward.demo.app:app"]
    uvicorn = [PYTHON, "-m", "uvicorn", "--fd", "3", "--log-level", "warning", "asgi:app"]
    rig.configure(
        service("gun", gunicorn, sockets=[f"tcp://127.0.0.1:{ports['gun']}"], ready={"notify": True}),
        service("uv", uvicorn, sockets=[f"tcp://127.0.0.1:{ports['uv']}"], working_dir=str(tmp_path)),
    )
    rig.up()
    rig.wait("gun/1", "ready")
    assert b"200" in ask(ports["uv"])
    with load(ports["gun"], 1) as gun, load(ports["uv"], 1) as uv:
        for _ in range(RESTARTS):
            for worker in ("gun/1", "uv/1"):
                assert rig.call("Restart", targets=[worker])["results"]
            for worker in ("gun/1", "uv/1"):
                rig.wait(worker, "ready")
    for outcomes in (gun, uv):
        assert outcomes["ConnectionRefusedError"] == 0, outcomes
        assert outcomes["200"] > RESTARTS / 4, outcomes
    starts = [event for event in rig.events.seen if event["data"].get("after") == "starting"]
    assert len(starts) >= 2 * RESTARTS + 2
