"""Programs that speak sd_notify by themselves, and daemons, under a real supervisor."""

import os
import pwd
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pidward.kernel.procfs import children
from tests.e2e.rig import Rig, ends, eventually, service

RUNGS = {
    "cgroup2": "",
    "cgroup1": "cgroup2",
    "walk": "cgroup2,cgroup1",
    "python": "native",
    "old": "scm_pidfd,pidfd_info",
    "older": "scm_pidfd,pidfd_info,pidfs",
}
BY_NOTIFY = {"notify": True}


@pytest.fixture(params=list(RUNGS.values()), ids=list(RUNGS))
def mask(request: pytest.FixtureRequest) -> str:
    """What is taken away."""
    return str(request.param)


def need(program: str) -> str:
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"needs {program}")
    return found


def need_names(mask: str) -> None:
    if "pidfs" in mask:
        pytest.skip("needs pidfs, to hold a process by its name")


def wait_status(rig: Rig, worker: str, fits: Callable[[str], bool]) -> None:
    eventually(lambda: fits(rig.status()[worker]["status"]))


# --- clients


def test_systemd_notify(rig: Rig, mask: str) -> None:
    """A shell script says that it is ready, by a process that ends at once."""
    notify = need("systemd-notify")
    script = f"{notify} --ready --status='serving 3 clients'; exec sleep infinity"
    rig.configure(service("web", ["sh", "-c", script], ready=BY_NOTIFY))
    rig.up(mask=mask)
    rig.wait("web/1", "running")
    rig.wait("web/1", "ready", "READY=1")
    wait_status(rig, "web/1", lambda text: text == "serving 3 clients")
    assert "serving 3 clients" in rig.cli("status", "--json").out


def test_python_sdnotify(rig: Rig) -> None:
    pytest.importorskip("sdnotify")
    script = (
        "import sdnotify, time; n = sdnotify.SystemdNotifier(debug=True)\n"
        "n.notify('STATUS=soon'); n.notify('READY=1')\n"
        "while True: n.notify('WATCHDOG=1'); time.sleep(0.1)"
    )
    rig.configure(service("web", [sys.executable, "-c", script], ready=BY_NOTIFY, watchdog="5s"))
    rig.up()
    rig.wait("web/1", "ready", "READY=1")
    wait_status(rig, "web/1", lambda text: text == "soon")


def test_gunicorn(rig: Rig) -> None:
    pytest.importorskip("gunicorn")
    app = "def app(environ, start): start('200 OK', []); return [b'hello']"
    (rig.base / "app.py").write_text(app)
    command = [sys.executable, "-m", "gunicorn", "--bind", f"unix:{rig.base}/http.sock", "app:app"]
    rig.configure(service("web", command, working_dir=str(rig.base), ready=BY_NOTIFY))
    rig.up()
    rig.wait("web/1", "ready", "READY=1")
    wait_status(rig, "web/1", lambda text: "booted" in text)
    assert (rig.base / "http.sock").exists(), "it listens when it says so"


def test_redis(rig: Rig) -> None:
    redis = need("redis-server")
    command = [redis, "--port", "0", "--unixsocket", f"{rig.base}/redis.sock", "--save", "", "--supervised", "systemd"]
    rig.configure(service("db", command, working_dir=str(rig.base), ready=BY_NOTIFY))
    rig.up()
    rig.wait("db/1", "ready", "READY=1")
    wait_status(rig, "db/1", lambda text: "Ready to accept connections" in text)


def test_postgres_as_its_own_user(rig: Rig) -> None:
    """Another user's worker gets to the notify socket."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if not found or os.geteuid() != 0:
        pytest.skip("needs postgresql and root")
    entry = pwd.getpwnam("postgres")
    rig.base.chmod(0o711)
    data = rig.base / "data"
    data.mkdir()
    os.chown(data, entry.pw_uid, entry.pw_gid)
    subprocess.run(
        [found[-1].parent / "initdb", "-D", data, "-A", "trust", "--no-sync"],
        user=entry.pw_uid, group=entry.pw_gid, extra_groups=[], check=True, capture_output=True, cwd="/",
    )  # fmt: skip
    command = [str(found[-1]), "-D", str(data), "-k", str(data), "-c", "listen_addresses="]
    rig.configure(service("db", command, user="postgres", ready=BY_NOTIFY, stop={"signal": "SIGINT"}))
    rig.up()
    rig.wait("db/1", "ready", "READY=1")
    assert not [event for event in rig.events.seen if "closed to others" in event["text"]]
    assert os.stat(rig.run).st_mode & 0o777 == 0o711
    rig.cli("stop", "db")
    rig.wait("db/1", "stopped")


def test_a_way_that_is_closed_is_told(rig: Rig) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    rig.configure(service("web", user="nobody", ready=BY_NOTIFY))
    rig.up()
    event = rig.events.find("", lambda e: e["kind"] == "notify", "a closed way")
    assert f"{rig.base} is closed to others; choose another runtime_dir" in event["text"]


def test_a_newline_on_a_descriptor(rig: Rig, mask: str) -> None:
    rig.configure(service("web", ["sh", "-c", "echo >&5; exec 5>&-; exec sleep infinity"], ready={"fd": 5}))
    rig.up(mask=mask)
    rig.wait("web/1", "running")
    rig.wait("web/1", "ready", "a newline on descriptor 5")
    assert rig.cli("restart", "web").status == 0
    rig.wait("web/1", "ready", "a newline on descriptor 5")


def test_a_flood_of_one_holds_up_nobody(rig: Rig) -> None:
    """Others become ready, and commands are answered, while one worker says what it can."""
    flood = (
        "import os, socket; s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n"
        "s.connect(os.environ['NOTIFY_SOCKET'])\n"
        "while True: s.send(b'STATUS=flood\\nERRNO=1\\nMAINPID=1')"
    )
    notify = need("systemd-notify")
    quiet = service("web", ["sh", "-c", f"{notify} --ready; exec sleep infinity"], ready=BY_NOTIFY)
    rig.configure(service("loud", [sys.executable, "-I", "-S", "-c", flood], notify=True), quiet)
    rig.up()
    wait_status(rig, "loud/1", lambda text: text == "flood")
    for _ in range(3):
        assert rig.cli("restart", "web", "--no-wait").status == 0
        rig.wait("web/1", "ready", "READY=1")
    assert rig.cli("stop", "loud").status == 0


# --- daemons


def nginx(rig: Rig) -> list[str]:
    """Its command; it makes itself a daemon, with one worker process."""
    program = need("nginx")
    base = rig.base
    temporary = "".join(
        f"{kind}_temp_path {base}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    config = f"""
        daemon on; worker_processes 1; pid {base}/nginx.pid; error_log {base}/error.log;
        {"user root;" * (not os.geteuid())}
        events {{ worker_connections 64; }}
        http {{ access_log off; {temporary} server {{ listen unix:{base}/http.sock; return 200 "hello"; }} }}
    """
    (base / "nginx.conf").write_text(config)
    return ["sh", "-c", f"rm -f {base}/http.sock; exec {program} -c {base}/nginx.conf"]  # SIGKILL leaves the socket


def number(path: Path) -> str:
    return path.read_text().strip() if path.exists() else ""


def main_of(rig: Rig, worker: str) -> str:
    return str(rig.status()[worker]["process"]).partition(":")[0]


def test_nginx_as_a_daemon(rig: Rig, mask: str) -> None:
    if mask == RUNGS["walk"]:
        pytest.skip("needs a cgroup: nginx writes its title over the mark in its environment")
    need_names(mask)
    rig.configure(service("web", nginx(rig), type="forking", pid_file=f"{rig.base}/nginx.pid"))
    rig.up(mask=mask)
    with rig.hold_when_ready("web/1") as main:
        assert number(rig.base / "nginx.pid") == str(main.id.pid)
        main.signal(signal.SIGKILL)
        rig.events.find("web/1", lambda event: "killed by SIGKILL" in event["text"], "its end")
    with rig.hold_when_ready("web/1") as main:
        assert rig.cli("stop", "web").status == 0
        assert ends(main)
    assert rig.status()["web/1"]["restarts"] == 1


def test_nginx_changes_its_binary(rig: Rig) -> None:
    """SIGUSR2 makes a second master; when the first is told to quit, the second is the main process."""
    rig.configure(service("web", nginx(rig), type="forking", pid_file=f"{rig.base}/nginx.pid"))
    rig.up()
    with rig.hold_when_ready("web/1") as old:
        eventually(lambda: bool(children(old)))  # from then on it minds signals; an earlier one waits for another
        old.signal(signal.SIGUSR2)
        eventually(lambda: number(rig.base / "nginx.pid") not in ("", str(old.id.pid)))
        assert main_of(rig, "web/1") == str(old.id.pid)
        old.signal(signal.SIGQUIT)
        rig.wait("web/1", "ready", "its main process is")
        assert main_of(rig, "web/1") == number(rig.base / "nginx.pid")
        eventually(lambda: not old.exists())
    assert rig.status()["web/1"]["restarts"] == 0


def test_a_daemon_without_a_file(rig: Rig, mask: str) -> None:
    """It forks twice and is found as the only one that stays; how it ends is known, though it is nobody's child."""
    need_names(mask)
    script = (
        "import os, sys, signal\n"
        "if os.fork(): os._exit(0)\n"
        "os.setsid()\n"
        "if os.fork(): os._exit(0)\n"
        "signal.signal(signal.SIGUSR1, lambda *_: os._exit(3))\n"
        "while True: signal.pause()"
    )
    rig.configure(service("web", [sys.executable, "-I", "-S", "-c", script], type="forking"))
    rig.up(mask=mask)
    rig.wait("web/1", "ready", "its main process is")
    with rig.hold("web/1") as main:
        main.signal(signal.SIGUSR1)
        rig.wait("web/1", "starting", "exited with code 3")
        eventually(lambda: not main.exists())
    rig.wait("web/1", "ready")


def test_gunicorn_as_a_daemon(rig: Rig) -> None:
    pytest.importorskip("gunicorn")
    (rig.base / "app.py").write_text("def app(environ, start): start('200 OK', []); return [b'hello']")
    file = rig.base / "gunicorn.pid"
    argv = [sys.executable, "-m", "gunicorn", "--daemon", "--pid", str(file), "--bind", f"unix:{rig.base}/h.sock"]
    keys = {"working_dir": str(rig.base), "pid_file": str(file), "ready": BY_NOTIFY}
    rig.configure(service("web", [*argv, "app:app"], type="forking", **keys))
    rig.up()
    rig.wait("web/1", "ready", "READY=1")
    assert main_of(rig, "web/1") == number(file)


def test_daemons_come_with_a_reload(rig: Rig) -> None:
    """Orphans are inherited from then on: their end is told, and no zombie stays."""
    rig.configure(service("db"))
    rig.up()
    rig.wait("db/1", "ready")
    daemon = service("web", ["sh", "-c", "setsid sleep infinity & exit 0"], type="forking")
    rig.configure(service("db"), daemon)
    assert rig.cli("reload").status == 0
    rig.wait("web/1", "ready", "its main process is")
    with rig.hold("web/1") as main:
        main.signal(signal.SIGKILL)
        rig.wait("web/1", "starting", "SIGKILL")
        eventually(lambda: not main.exists())
    rig.wait("web/1", "ready")


# --- the watchdog


def test_who_does_not_ping_is_ended(rig: Rig) -> None:
    notify = need("systemd-notify")
    script = f"ulimit -c 0; {notify} --ready; exec sleep infinity"
    rig.configure(service("web", ["sh", "-c", script], ready=BY_NOTIFY, watchdog="300ms"))
    rig.up()
    rig.wait("web/1", "ready")
    rig.wait("web/1", "stopping", "no WATCHDOG=1 within 300ms")
    event = rig.wait("web/1", "starting", "SIGABRT")
    assert "no WATCHDOG=1" in event["data"]["reason"]
