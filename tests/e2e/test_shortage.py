"""When descriptors, processes or disk space run out: clear words, nothing leaks, and all is well again after it."""

import os
import resource
import signal
import socket
import sys
from pathlib import Path

import pytest

from pidward.control.protocol import Call
from pidward.kernel import abi
from tests.e2e.rig import SLEEP, Rig, ends, eventually, held, is_alive, service

OK, NOT_RUNNING = 0, 3
FAST = {"delay": "20ms", "max_delay": "20ms", "burst": 0}


def limited(limit: str) -> list[str]:
    """A prefix that sets a limit of the shell's."""
    return ["/bin/sh", "-c", f'ulimit {limit}; exec "$@"', "sh"]


def descriptors(rig: Rig) -> int:
    return len(os.listdir(f"/proc/{rig.process.id.pid}/fd"))


def raise_limit(rig: Rig, soft: int) -> None:
    resource.prlimit(rig.process.id.pid, resource.RLIMIT_NOFILE, (soft, 20_000))


def ready_ones(rig: Rig) -> list[str]:
    return [name for name, worker in rig.status().items() if worker["phase"] == "ready"]


# --- descriptors


@pytest.mark.parametrize(
    "mask", ["", "cgroup2", "cgroup2,cgroup1", "native"], ids=["native", "cgroup1", "walk", "python"]
)
def test_more_workers_than_descriptors(rig: Rig, mask: str) -> None:
    rig.configure(service("web", workers=100, restart=FAST))
    rig.up(mask=mask, prefix=limited("-n 100"))
    reason = rig.wait("web/100", "backing-off")["data"]["reason"]
    assert "limit of open files (nofile) is reached" in reason
    assert "EMFILE" in reason
    eventually(lambda: len(ready_ones(rig)) >= 20)
    running = ready_ones(rig)
    assert 20 <= len(running) < 100
    assert rig.cli("status").status == NOT_RUNNING
    eventually(lambda: "open files" in rig.cli("status").out)  # not while all that wait are just being tried again
    assert rig.cli("kill", running[0]).status == OK, "restarts go on"
    rig.wait(running[0], "starting", "killed by SIGKILL")
    assert rig.cli("stop", "web").status == OK, "stops too"
    assert {worker["phase"] for worker in rig.status().values()} == {"stopped"}


def test_workers_come_when_descriptors_do(rig: Rig) -> None:
    rig.configure(service("web", workers=80, restart=FAST))
    rig.up(prefix=limited("-S -n 1000"))
    # The limit is read when it counts, so that it can be raised while we run.
    rig.wait_all("web", 80)
    rig.status()  # we are connected from now on
    before = descriptors(rig)
    assert rig.cli("stop", "web").status == OK
    raise_limit(rig, 60)
    rig.cli("start", "web", "--no-wait")
    rig.wait("web/80", "backing-off", "open files")
    raise_limit(rig, 20_000)
    rig.wait("web/80", "ready")
    eventually(lambda: {worker["phase"] for worker in rig.status().values()} == {"ready"})
    eventually(lambda: descriptors(rig) == before)


@pytest.mark.parametrize(
    "mask", ["", "cgroup2", "cgroup2,cgroup1", "native"], ids=["native", "cgroup1", "walk", "python"]
)
def test_clients_take_all_descriptors(rig: Rig, mask: str) -> None:
    """An exhausted table ends nothing: deaths are noticed, and all is well again when the clients have left."""
    rig.configure(service("web", workers=3, restart=FAST), service("db", logs={"mode": "file"}))
    rig.up(prefix=limited("-n 64"), mask=mask)
    ready = rig.wait_all("web", 3)
    rig.wait("db/1", "ready")
    clients = [socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) for _ in range(60)]
    try:
        for client in clients:
            client.connect(rig.socket)
        eventually(lambda: descriptors(rig) >= 62)
        for event in ready.values():
            with held(event["data"]["process"]) as worker:
                worker.signal(signal.SIGKILL)
                assert ends(worker)
        for name in ready:
            rig.events.find(name, lambda e: "killed by SIGKILL" in e["text"], f"{name} killed")
        clients[0].sendall(Call("io.pidward.Supervisor.Stop", {"targets": ["web"]}).to_bytes())
        assert clients[0].recv(65536)
    finally:
        for client in clients:
            client.close()
    rig.await_answer()
    eventually(lambda: [w["phase"] for w in rig.status().values()] == ["stopped"] * 3 + ["ready"])
    assert rig.cli("start", "web").status == OK
    eventually(lambda: {worker["phase"] for worker in rig.status().values()} == {"ready"})


# --- processes


def test_no_process_can_be_made(rig: Rig) -> None:
    """By the pids controller, as in a container: EAGAIN from clone."""
    place = Path("/sys/fs/cgroup/pids") / f"pidward-test-{rig.instance}"
    if not os.access(place.parent / "cgroup.procs", os.W_OK):
        pytest.skip("needs the pids controller of cgroup v1")
    place.mkdir()
    try:
        rig.configure(service("web", workers=10, restart=FAST))
        rig.up(prefix=["/bin/sh", "-c", f'echo $$ >{place}/cgroup.procs; exec "$@"', "sh"])
        rig.wait_all("web", 10)
        present = int((place / "pids.current").read_text())
        (place / "pids.max").write_text(str(present))
        rig.configure(service("web", workers=12, restart=FAST))
        assert rig.cli("reload").status == OK
        reason = rig.wait("web/11", "backing-off")["data"]["reason"]
        assert "EAGAIN" in reason
        assert "stage clone" in reason
        assert "short of processes" in reason
        assert rig.cli("kill", "web/1").status == OK
        rig.wait("web/1", "starting", "killed by SIGKILL")
        (place / "pids.max").write_text("max")
        rig.wait("web/11", "ready")
        rig.wait("web/12", "ready")
        rig.cli("down")
        rig.wait_end()
        eventually(lambda: not (place / "cgroup.procs").read_text())
    finally:
        place.rmdir()


# --- disk


def in_small_tmpfs(rig: Rig) -> list[str]:
    """A prefix that runs the rest in a mount namespace with a tmpfs of 1 MiB as its state directory."""
    rig.state.mkdir(mode=0o700)
    script = (
        "import os, sys; sys.path.insert(0, sys.argv[1])\n"
        "from pidward.kernel import abi\n"
        "libc = abi.libc()\n"
        "state = os.fsencode(sys.argv[2])\n"
        "ok = not libc.unshare(0x20000) and not libc.mount(None, b'/', None, 0x44000, None)\n"
        "ok = ok and not libc.mount(b'tmpfs', state, b'tmpfs', 0, b'size=1m,mode=700')\n"
        "os.execvp(sys.argv[3], sys.argv[3:]) if ok else os._exit(77)\n"
    )
    src = str(Path(abi.__file__).parents[2])
    return [sys.executable, "-Sc", script, src, str(rig.state)]


def inside(rig: Rig, path: str) -> Path:
    """A path as the supervisor sees it."""
    return Path(f"/proc/{rig.process.id.pid}/root{rig.state}/{path}")


def test_a_full_disk_stops_no_worker(rig: Rig) -> None:
    rig.configure(service("web", workers=2, restart=FAST), service("db", logs={"mode": "file"}, restart=FAST))
    rig.up(prefix=in_small_tmpfs(rig))
    rig.wait_all("web", 2)
    rig.wait("db/1", "ready")
    ballast = inside(rig, "ballast")
    fill(ballast)
    for _ in range(3):
        for name in ("web/1", "db/1"):
            assert rig.cli("kill", name).status == OK
            rig.wait(name, "ready")
    eventually(rig.trouble)
    assert any("state.db" in sentence for sentence in rig.trouble())
    told = rig.cli("status")
    assert "state.db" in told.out
    assert rig.cli("stop", "web/2").status == OK, "it cannot be remembered, but it is done"
    ballast.unlink()
    eventually(lambda: not rig.trouble())
    last = rig.cli("events", "web/2").out.splitlines()[-1]
    assert "web/2 stopped" in last
    rig.signal(signal.SIGTERM)
    assert rig.wait_end().code == OK


def fill(path: Path) -> None:
    """Take all the room there is on a file system."""
    with path.open("wb", buffering=0) as file:
        for size in (65536, 4096, 512, 1):
            try:
                while file.write(bytes(size)):
                    pass
            except OSError:
                continue


def test_it_can_start_on_a_full_disk(rig: Rig) -> None:
    filler = 'head -c 2000000 /dev/zero >$1/ballast 2>/dev/null; shift; exec "$@"'
    rig.configure(service("web"))
    rig.up(prefix=[*in_small_tmpfs(rig), "/bin/sh", "-c", filler, "sh", str(rig.state)])
    rig.wait("web/1", "ready")
    eventually(rig.trouble)
    assert rig.cli("status").status == OK
    inside(rig, "ballast").unlink()
    eventually(lambda: not rig.trouble())


def test_a_state_directory_that_vanishes(rig: Rig) -> None:
    rig.configure(service("web", restart=FAST), service("db", logs={"mode": "file"}, restart=FAST))
    rig.up()
    rig.wait("web/1", "ready")
    rig.wait("db/1", "ready")
    rig.state.rename(rig.base / "moved")
    for _ in range(3):
        assert rig.cli("kill", "web").status == OK
        rig.wait("web/1", "ready")
    with rig.hold("db/1") as db:
        db.signal(signal.SIGKILL)
    reason = rig.wait("db/1", "backing-off", "spool")["data"]["reason"]
    assert "check that the state directory is there" in reason
    eventually(rig.trouble)
    (rig.base / "moved").rename(rig.state)
    rig.wait("db/1", "ready")
    eventually(lambda: not rig.trouble())


def test_a_worker_whose_cgroup_vanishes(rig: Rig) -> None:
    rig.configure(service("web", SLEEP, restart={**FAST, "policy": "always"}))
    rig.up()
    first = rig.hold_when_ready("web/1")
    with first:
        group = Path(f"/proc/{first.id.pid}/cgroup").read_text().splitlines()
        (line,) = (line for line in group if line.startswith("0::"))
        place = Path("/sys/fs/cgroup/unified" + line[3:])
        if "pidward-" not in line:
            pytest.skip("needs cgroup2")
        first.signal(signal.SIGSTOP)
        (place.parent.parent / "cgroup.procs").write_text(str(first.id.pid))
        place.rmdir()
        first.signal(signal.SIGKILL)
    second = rig.hold_when_ready("web/1")
    with second:
        assert is_alive(second)
        assert place.exists()
