"""As process 1 of a container, and beside another: reaping, signals, an ordered end, the right exit status."""

import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.e2e.rig import SRC, eventually, service

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: a pid namespace and a mount namespace are made"),
    pytest.mark.skipif(not shutil.which("unshare") or not shutil.which("nsenter"), reason="needs util-linux"),
]
PIDWARD = [sys.executable, "-P", "-m", "pidward"]
PATIENCE = 20.0
ORPHANS = """\
i=0; while [ $i -lt 30 ]; do sh -c '(exec sleep 0.01) & exit 0'; i=$((i + 1)); done; echo orphaned; exec sleep infinity
"""


class Ended(NamedTuple):
    status: int
    out: str
    err: str


class Container:
    """A pid and a mount namespace with a /run of its own, and a program in it."""

    def __init__(self, program: list[str], directory: Path, beside: bool = False) -> None:
        """Start it: as process 1, or beside a process 1 that does nothing, as where a pod shares its processes."""
        quoted = shlex.join(program)
        inside = "mount -t tmpfs none /run && mkdir -p /run/t && " + (
            f"sleep infinity & {quoted}; echo $? >{directory}/status; kill -9 $!" if beside else f"exec {quoted}"
        )
        env = {k: v for k, v in os.environ.items() if not k.startswith("PIDWARD_")} | {"PYTHONPATH": SRC}
        self.directory = directory
        self._unshare = subprocess.Popen(
            ["unshare", "--pid", "--fork", "--mount", "--mount-proc", "--kill-child=KILL", "sh", "-c", inside],
            env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    @property
    def init(self) -> int:
        """Process 1, by the number it has outside. Its parent holds it, so the number is its own."""
        found: list[str] = []

        def look() -> bool:
            children = Path(f"/proc/{self._unshare.pid}/task/{self._unshare.pid}/children").read_text().split()
            found.extend(children)
            return bool(children)

        eventually(look)
        return int(found[0])

    def processes(self) -> dict[int, tuple[str, str, int]]:
        """Number outside -> name, state, parent; of all that live in the namespace."""
        mine = os.stat(f"/proc/{self.init}/ns/pid").st_ino
        found = {}
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                if os.stat(f"/proc/{pid}/ns/pid").st_ino != mine:
                    continue
                before, _, after = Path(f"/proc/{pid}/stat").read_text().rpartition(")")
                found[int(pid)] = (before.partition("(")[2], after.split()[0], int(after.split()[1]))
            except OSError:
                state = _state_of_zombie(pid)  # a zombie has no namespaces any more
                if state is not None:
                    found[int(pid)] = state
        return found

    def zombies(self) -> int:
        """Dead processes whose parent is in the namespace."""
        living = {pid for pid, (_, state, _) in self.processes().items() if state != "Z"}
        return sum(state == "Z" and parent in living for _, state, parent in self.processes().values())

    def execute(self, *words: str) -> Ended:
        """What `docker exec` does."""
        done = subprocess.run(
            ["nsenter", "-t", str(self.init), "--pid", "--mount", *PIDWARD, *words],
            env={**os.environ, "PYTHONPATH": SRC}, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        return Ended(done.returncode, done.stdout, done.stderr)

    def signal(self, number: int) -> None:
        """To process 1, from outside, as container managers do."""
        with_handle(self.init, lambda fd: signal.pidfd_send_signal(fd, number))

    def line(self) -> str:
        """The next line of its output."""
        assert self._unshare.stdout is not None
        return self._unshare.stdout.readline().rstrip("\n")

    def end(self) -> Ended:
        """How it ended by itself."""
        out, err = self._unshare.communicate(timeout=60)
        status = self._unshare.returncode
        marker = self.directory / "status"
        return Ended(int(marker.read_text()) if marker.exists() else status, out, err)

    def close(self) -> None:
        """Nothing of it is left, whatever it does."""
        if self._unshare.poll() is None:
            with_handle(self.init, lambda fd: signal.pidfd_send_signal(fd, signal.SIGKILL))
            self._unshare.communicate(timeout=60)


def with_handle(pid: int, act: Callable[[int], None]) -> None:
    fd = os.pidfd_open(pid)
    try:
        act(fd)
    finally:
        os.close(fd)


def _state_of_zombie(pid: str) -> tuple[str, str, int] | None:
    try:
        before, _, after = Path(f"/proc/{pid}/stat").read_text().rpartition(")")
    except OSError:
        return None
    return (before.partition("(")[2], "Z", int(after.split()[1])) if after.split()[0] == "Z" else None


@contextmanager
def container(*words: str, beside: bool = False) -> Iterator[Container]:
    with tempfile.TemporaryDirectory(prefix="pw-") as directory:
        it = Container([*PIDWARD, *words], Path(directory), beside)
        try:
            yield it
        finally:
            it.close()


@pytest.mark.parametrize("beside", [False, True], ids=["as process 1", "beside process 1"])
@pytest.mark.parametrize(
    "script, status",
    [("exit 0", 0), ("exit 7", 7), ("kill -TERM $$", 143), ("kill -SEGV $$; sleep 1", 139)],
    ids=["0", "7", "SIGTERM", "SIGSEGV"],
)
def test_the_exit_status_is_that_of_the_command(script: str, status: int, beside: bool) -> None:
    with container("run", "--", "sh", "-c", script, beside=beside) as it:
        assert it.end().status == status


def test_what_cannot_be_started_is_127_and_said() -> None:
    with container("run", "--", "no-such-program") as it:
        ended = it.end()
    assert ended.status == 127
    assert 'cannot execute "no-such-program": not found on PATH' in ended.err


@pytest.mark.parametrize("beside", [False, True], ids=["as process 1", "beside process 1"])
def test_orphans_are_reaped(beside: bool) -> None:
    with container("run", "--", "sh", "-c", ORPHANS, beside=beside) as it:
        assert it.line() == "orphaned"
        eventually(lambda: sum(name == "sleep" for name, _, _ in it.processes().values()) == 1 + beside)
        eventually(lambda: it.zombies() == 0)


@pytest.mark.parametrize("name", ["HUP", "USR1", "USR2", "WINCH", "QUIT", "ALRM"])
def test_signals_are_forwarded(name: str) -> None:
    script = f"trap 'echo heard; exit 5' {name}; echo set; while :; do sleep 0.05; done"
    with container("run", "--", "sh", "-c", script) as it:
        assert it.line() == "set"
        it.signal(getattr(signal, f"SIG{name}"))
        assert it.line() == "heard"
        assert it.end().status == 5


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGRTMIN + 3])
def test_the_end_is_polite_and_the_status_the_commands(number: int) -> None:
    script = "trap 'echo bye; exit 9' TERM; echo set; while :; do sleep 0.05; done"
    with container("run", "--", "sh", "-c", script) as it:
        assert it.line() == "set"
        it.signal(number)
        assert it.line() == "bye"
        assert it.end().status == 9


def test_whoever_ignores_it_is_killed_after_the_grace() -> None:
    script = "trap '' TERM; echo set; while :; do sleep 0.05; done"
    with container("run", "--stop.grace", "200ms", "--", "sh", "-c", script) as it:
        assert it.line() == "set"
        it.signal(signal.SIGTERM)
        assert it.end().status == 137


def write(it: Path, *services: str, **settings: object) -> str:
    path = it / "pidward.toml"
    settings = {"state_dir": "/run/t/state", "runtime_dir": "/run/t/run", **settings}
    head = "[pidward]\n" + "".join(f"{key} = {value!r}\n" for key, value in settings.items())
    path.write_text(head + "\n".join(services))
    return str(path)


def say_end(name: str, seconds: float = 0.0) -> list[str]:
    script = f"trap 'sleep {seconds}; echo {name} ends; exit 0' TERM; echo {name}; while :; do sleep 0.02; done"
    return ["sh", "-c", script]


def test_up_as_process_1_ends_in_reverse_order_of_need(tmp_path: Path) -> None:
    shown = {"logs": {"mode": "inherit"}}
    config = write(
        tmp_path,
        service("web", say_end("web"), depends_on={"db": "ready"}, **shown),
        service("db", say_end("db"), **shown),
    )
    with container("up", "-c", config) as it:
        assert [it.line(), it.line()] == ["db", "web"]
        assert it.execute("-c", config, "wait", "web", "db").status == 0
        it.signal(signal.SIGTERM)
        assert [it.line(), it.line()] == ["web ends", "db ends"]
        assert it.end().status == 0


def test_the_end_of_the_essential_service_is_the_containers(tmp_path: Path) -> None:
    shown = {"logs": {"mode": "inherit"}}
    main = service("main", ["sh", "-c", "echo main; exit 6"], essential="on-failure", restart="never", **shown)
    config = write(tmp_path, service("side", say_end("side"), **shown), main)
    with container("up", "-c", config) as it:
        ended = it.end()
    assert ended.status == 6
    assert "main" in ended.out


def test_stop_timeout_bounds_the_whole_end(tmp_path: Path) -> None:
    slow = {"logs": {"mode": "inherit"}, "stop": {"grace": "1min"}}
    config = write(tmp_path, service("slow", say_end("slow", 60), **slow), stop_timeout="300ms")
    with container("up", "-c", config) as it:
        assert it.line() == "slow"
        began = time.monotonic()
        it.signal(signal.SIGTERM)
        ended = it.end()
    assert time.monotonic() - began < 15
    assert "stop_timeout: not everything was down after 300ms" in ended.err


def http(path: str, where: str) -> tuple[int, str]:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(where)
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        answer = b"".join(iter(lambda: client.recv(4096), b"")).decode()
    head, _, body = answer.partition("\r\n\r\n")
    return int(head.split()[1]), body


def test_health_by_command_and_by_http(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    where = str(tmp_path / "health.sock")
    web = service(
        "web", ["sh", "-c", f"read line <{gate}; echo ready; exec sleep infinity"], ready={"log": "ready"},
        logs={"mode": "file"},
    )  # fmt: skip
    job = service("job", ["sh", "-c", "exit 1"], type="oneshot", autostart=False)
    config = write(tmp_path, web, job, health=f"unix:{where}")
    with container("up", "-c", config) as it:
        eventually(lambda: os.path.exists(where))
        assert (http("/livez", where), http("/readyz", where)[0], http("/startupz", where)[0]) == (
            (200, "ok\n"),
            503,
            503,
        )
        assert "web/1 is running" in http("/readyz", where)[1]
        assert http("/metrics", where)[0] == 404
        assert it.execute("-c", config, "health", "--live").status == 0
        unready = it.execute("-c", config, "health")
        assert (unready.status, unready.out) == (1, "not ready\n")
        assert "web/1 is running" in unready.err
        gate.write_text("go\n")
        assert it.execute("-c", config, "wait", "web", "--timeout", "20s").status == 0
        assert [http(path, where)[0] for path in ("/livez", "/readyz", "/startupz")] == [200, 200, 200]
        assert it.execute("-c", config, "start", "job").status == 1  # it gives up
        assert [http(path, where)[0] for path in ("/livez", "/readyz", "/startupz")] == [503, 503, 200]
        assert it.execute("-c", config, "health", "--startup").status == 0
        assert it.execute("-c", config, "health", "--live").status == 1


def test_who_sees_the_same_cgroups_leaves_the_others_workers_alone(tmp_path: Path) -> None:
    """Two containers with the same paths inside; their locks do not reach each other, their cgroups may."""
    shown = {"logs": {"mode": "inherit"}}
    script = ["sh", "-c", "echo up; trap 'echo asked; exit 0' TERM; while :; do sleep 0.02; done"]
    config = write(tmp_path, service("db", script, restart="never", essential="always", **shown))
    with container("up", "-c", config) as first:
        assert first.line() == "up"
        for _ in range(3):
            with container("run", "--", "sh", "-c", "exit 5") as second:
                assert second.end().status == 5
            with container("up", "-c", config) as twin:
                assert twin.line() == "up"
                twin.signal(signal.SIGTERM)
                assert twin.end().status == 0
        assert first.execute("-c", config, "status").status == 0
        first.signal(signal.SIGTERM)
        assert first.line() == "asked"
        assert first.end().status == 0


UNREADY = [
    ["--ready.tcp", "127.0.0.1:9", "--ready.deadline", "300ms"],
    ["--ready.log", "never", "--ready.deadline", "200ms", "--logs.mode", "file"],
]


@pytest.mark.parametrize("why", UNREADY)
def test_a_failure_is_none_the_less_one_when_the_command_says_0(why: list[str]) -> None:
    polite = "trap 'exit 0' TERM; while :; do sleep 0.02; done"
    with container("run", *why, "--", "sh", "-c", polite) as it:
        ended = it.end()
    assert ended.status == 1
    assert "was not ready" in ended.err


def test_nobody_is_ready_while_everything_goes_down(tmp_path: Path) -> None:
    where = str(tmp_path / "health.sock")
    slow = service("slow", say_end("slow", 60), logs={"mode": "inherit"}, stop={"grace": "1min"})
    config = write(tmp_path, slow, health=f"unix:{where}")
    with container("up", "-c", config) as it:
        assert it.line() == "slow"
        eventually(lambda: http("/readyz", where)[0] == 200)
        it.signal(signal.SIGTERM)
        eventually(lambda: http("/readyz", where)[0] == 503)
        assert http("/readyz", where)[1].startswith("pidward is stopping everything")
        assert http("/livez", where)[0] == 200
        it.signal(signal.SIGINT)
        it.signal(signal.SIGINT)


@pytest.mark.parametrize("words", [["--workers", "0"], ["--autostart", "false"]])
def test_what_would_not_run_is_refused(words: list[str]) -> None:
    with container("run", *words, "--", "true") as it:
        ended = it.end()
    assert (ended.status, "nothing would run" in ended.err) == (2, True)


def test_a_fresh_tmpfs_that_is_open_to_all_is_made_private() -> None:
    inside = 'mkdir -p /run/pidward && mount -t tmpfs none /run/pidward && stat -c %a /run/pidward && exec "$@"'
    program = ["sh", "-c", inside, "sh", *PIDWARD, "run", "--", "stat", "-c", "%a", "/run/pidward"]
    with tempfile.TemporaryDirectory(prefix="pw-") as directory:
        it = Container(program, Path(directory))
        ended = it.end()
    assert (ended.status, ended.out.split()) == (0, ["1777", "700"])


def test_without_a_reaper_the_command_runs_all_the_same() -> None:
    program = ["env", "PIDWARD_FEATURES_MASK=subreaper,cgroup2,cgroup1", *PIDWARD, "run", "--", "sh", "-c", "exit 4"]
    with tempfile.TemporaryDirectory(prefix="pw-") as directory:
        assert Container(program, Path(directory)).end().status == 4
