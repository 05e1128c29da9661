"""The examples of docs/howto/programs.md: each is started as it stands there, used, killed, used again, and stopped.

Paths, ports and interpreters are replaced by those of the test, and nothing else.
"""

import http.client
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.rig import Rig, ends

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "programs.md"
SECTIONS = dict(re.findall(r"^## (\S+)\n(.*?)(?=^## |\Z)", PAGE.read_text(), re.MULTILINE | re.DOTALL))
FILE = re.compile(r"^`(/\S+)`:\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TOML = re.compile(r"^```toml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
USER = re.compile(r'^user = "([\w-]+)"\n', re.MULTILINE)
PORT = re.compile(r"(?:127\.0\.0\.1:|port\", \"|-p\", \")(\d{4})\b")
POSTGRES = "/usr/lib/postgresql/15/bin"


class Example:
    """One section of the page, moved into the directory of a rig."""

    def __init__(self, rig: Rig, name: str) -> None:
        self.rig, self.section = rig, SECTIONS[name]
        self.ports: dict[str, int] = {}
        rig.base.chmod(0o755)  # other users go through
        for path, content in FILE.findall(self.section):
            target = Path(self.moved(path))
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(self.moved(content))

    def moved(self, text: str) -> str:
        """The text with the test's own places."""
        for port in set(PORT.findall(self.section)):
            text = re.sub(rf"\b{port}\b", str(self.ports.setdefault(port, free_port())), text)
        text = re.sub(r"/srv/\w+/venv/bin/", f"{Path(sys.executable).parent}/", text)
        text = text.replace(POSTGRES, str(postgres_bin() or POSTGRES))
        return re.sub(r"(?<![\w/])(?=/(?:srv|etc|run|var)/)", str(self.rig.base), text)

    def directory(self, path: str, user: str) -> Path:
        """Make a directory of the example, for the user that it runs as."""
        place = Path(self.moved(path))
        place.mkdir(parents=True)
        if os.geteuid() == 0:
            os.chown(place, pwd.getpwnam(user).pw_uid, -1)
        return place

    def up(self, *own: str) -> None:
        """Start it, and wait until all of it is ready.

        own: users that can run their programs here; the interpreters of the test are perhaps closed to others.
        """
        toml = "\n".join(self.moved(text) for text in TOML.findall(self.section))
        keep = own if os.geteuid() == 0 else ()
        toml = USER.sub(lambda found: found[0] if found[1] in keep else "", toml)
        self.rig.configure(toml)
        assert (told := self.rig.cli("check")).status == 0, told.err
        self.rig.up()
        services = {worker["service"] for worker in self.rig.status().values()}
        told = self.rig.cli("wait", "--timeout", "30s", *services)
        assert told.status == 0, told.err + self.rig.cli("events").out + self.rig.cli("logs").out

    def breaks_and_comes_back(self, worker: str, use: Callable[[], None]) -> None:
        """Use it, kill the main process, see another one, use that, stop all of it."""
        use()
        self.rig.wait(worker, "ready")
        with self.rig.hold(worker) as first:
            first.signal(signal.SIGKILL)
            self.rig.wait(worker, "starting", "killed by SIGKILL")
            assert ends(first)
        self.rig.wait(worker, "ready")
        use()
        status = self.rig.status()
        assert status[worker]["restarts"] == 1
        assert all(one["phase"] == "ready" for one in status.values()), status
        assert self.rig.cli("stop", *{one["service"] for one in status.values()}).status == 0
        for name, one in self.rig.status().items():
            assert one["phase"] == "stopped"
            assert one["last_exit"]["signal"] != "SIGKILL", f"{name} did not stop by itself"


def need(*programs: str) -> None:
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"needs {program}")


def postgres_bin() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    return found[-1].parent if found else None


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def says_hello(port: int) -> Callable[[], None]:
    def get() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        connection.request("GET", "/")
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (200, b"hello\n")
        connection.close()

    return get


def pings(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        client.sendall(b"PING\r\n")
        assert client.recv(100) == b"+PONG\r\n"


def test_gunicorn(rig: Rig) -> None:
    pytest.importorskip("gunicorn")
    example = Example(rig, "gunicorn")
    example.up()
    use = says_hello(example.ports["8000"])
    use()
    assert rig.cli("reload", "web").status == 0
    example.breaks_and_comes_back("web/1", use)


def test_uvicorn(rig: Rig) -> None:
    pytest.importorskip("uvicorn")
    example = Example(rig, "uvicorn")
    example.up()
    example.breaks_and_comes_back("api/2", says_hello(example.ports["8001"]))


def test_node(rig: Rig) -> None:
    need("node")
    example = Example(rig, "node")
    example.up()
    example.breaks_and_comes_back("node/1", says_hello(example.ports["8002"]))


def test_nginx(rig: Rig) -> None:
    need("nginx")
    if os.geteuid() != 0:
        pytest.skip("needs root: Debian's nginx keeps its files in /var/lib/nginx")
    example = Example(rig, "nginx")
    (rig.base / "run").mkdir(exist_ok=True)
    example.up()
    example.breaks_and_comes_back("nginx/1", says_hello(example.ports["8080"]))
    assert '"GET / HTTP/1.1" 200' in rig.cli("logs").out


def test_redis(rig: Rig) -> None:
    need("redis-server", "redis-cli")
    example = Example(rig, "redis")
    example.directory("/var/lib/redis", "redis")
    example.up("redis")
    example.breaks_and_comes_back("redis/1", lambda: pings(example.ports["6379"]))


def test_postgresql(rig: Rig) -> None:
    programs = postgres_bin()
    if programs is None:
        pytest.skip("needs postgresql")
    example = Example(rig, "postgresql")
    data = example.directory("/var/lib/postgresql/main", "postgres")
    sockets = example.directory("/run/postgresql", "postgres")
    rights = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
    initdb: list[str | Path] = [programs / "initdb", "-D", data, "-A", "trust", "-U", "postgres", "--no-sync"]
    subprocess.run(initdb, check=True, capture_output=True, cwd="/", **rights)  # type: ignore[call-overload]
    example.up("postgres")

    def query() -> None:
        argv: list[str | Path] = [
            programs / "psql",
            "-h",
            sockets,
            "-p",
            str(example.ports["5432"]),
            "-U",
            "postgres",
            "-Atc",
        ]
        done = subprocess.run([*argv, "select 6 * 7"], capture_output=True, text=True, cwd="/", check=False)
        assert (done.stdout, done.stderr) == ("42\n", "")

    example.breaks_and_comes_back("postgres/1", query)


def test_celery(rig: Rig) -> None:
    pytest.importorskip("celery")
    need("redis-server")
    example = Example(rig, "celery")
    example.directory("/var/lib/queue", "redis")
    example.up("redis")

    def work() -> None:
        code = "from jobs import add; print(add.delay(40, 2).get(timeout=30))"
        place = example.moved("/srv/jobs")
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=place, check=False)
        assert done.stdout == "42\n", done.stderr

    example.breaks_and_comes_back("jobs/1", work)


def test_every_example_is_tested() -> None:
    assert {f"test_{name}" for name in SECTIONS} == {
        name for name in globals() if name.startswith("test_") and name != "test_every_example_is_tested"
    }
