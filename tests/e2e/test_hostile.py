"""Whatever comes in by the control socket, from workers and from their neighbours, supervision goes on."""

import json
import os
import random
import select
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pidward.control.protocol import Call
from pidward.testing.programs import writes_binary, writes_lines, writes_long_line
from tests.e2e.rig import PATIENCE, Rig, ends, eventually, held, service

OK = 0
FAST = {"delay": "1ms", "max_delay": "1ms", "burst": 0}
METHODS = ("Status", "Table", "Events", "Start", "Stop", "Restart", "Signal", "Kill", "Reload", "About", "Nothing")


@contextmanager
def connected(rig: Rig) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(10)
        client.connect(rig.socket)
        yield client


def kill_and_wait(rig: Rig, worker: str) -> None:
    """Kill a worker, and see it replaced."""
    with held(rig.events.of(worker)[-1]["data"]["process"]) as process:
        process.signal(signal.SIGKILL)
        assert ends(process)
    rig.wait(worker, "ready")


# --- the control socket


def scrap(source: random.Random) -> bytes:
    """Bytes that are no call, or nearly one."""
    whole = Call(f"io.pidward.Supervisor.{source.choice(METHODS)}", {"targets": ["web"]}).to_bytes()
    match source.randrange(6):
        case 0:
            return source.randbytes(source.randrange(2000))
        case 1:
            return whole[: source.randrange(len(whole))]
        case 2:
            at = source.randrange(len(whole))
            return whole[:at] + source.randbytes(1) + whole[at + 1 :]
        case 3:
            return b"[" * source.randrange(5000) + b"\0"
        case 4:
            junk: object = source.choice(
                [None, True, -1, 1e999, float("nan"), 10**400, "\x1b[2J", ["web"] * 9, {"a": {}}]
            )
            key = source.choice(["targets", "target", "signal", "since", "limit", "wait", "timeout", "nothing"])
            method = source.choice([m for m in METHODS if m not in ("Stop", "Reload")])
            call = {"method": f"io.pidward.Supervisor.{method}", "parameters": {key: junk}}
            return json.dumps(call | ({"more": True} if source.random() < 0.3 else {})).encode() + b"\0"
        case _:
            return b"\0" * source.randrange(100) + whole


def test_noise_on_the_control_socket(rig: Rig) -> None:
    rig.configure(service("web", workers=2, restart=FAST), service("db", restart=FAST))
    rig.up()
    rig.wait_all("web", 2)
    rig.wait("db/1", "ready")
    source = random.Random(4711)
    for number in range(300):
        with connected(rig) as client:
            try:
                for _ in range(source.randrange(1, 4)):
                    client.sendall(scrap(source))
                if source.random() < 0.5:
                    client.shutdown(socket.SHUT_WR)
                    while client.recv(65536):
                        pass
            except (BrokenPipeError, ConnectionResetError, TimeoutError):
                pass
        if number % 50 == 0:
            kill_and_wait(rig, "db/1")
    assert rig.cli("status").status in (0, 3)
    assert rig.cli("start", "--all").status == OK


def test_a_hundred_clients_who_do_not_read(rig: Rig) -> None:
    """Each has asked for much and takes nothing; and others stop in the middle of a word."""
    rig.configure(service("web", workers=100), service("db", restart=FAST))
    rig.up()
    rig.wait_all("web", 100)
    rig.wait("db/1", "ready")
    clients = []
    try:
        for number in range(100):
            client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            client.setblocking(False)
            client.connect(rig.socket)
            clients.append(client)
            call = Call("io.pidward.Supervisor.Events", {"since": 0, "follow": True}, more=True).to_bytes()
            client.send(call if number % 2 else call[:30])
            if number % 10 == 0:
                kill_and_wait(rig, "db/1")
        for _ in range(20):
            kill_and_wait(rig, "db/1")
        assert len(rig.status()) == 101
        assert rig.cli("status").status == OK
    finally:
        for client in clients:
            client.close()


def test_a_client_that_leaves_while_it_waits(rig: Rig) -> None:
    slow = ["/bin/sh", "-c", "trap '' TERM; echo; exec sleep infinity"]
    rig.configure(service("web", slow, stop={"grace": "200ms"}, ready={"after": "50ms"}))
    rig.up()
    rig.wait("web/1", "ready")
    with connected(rig) as client:
        client.sendall(Call("io.pidward.Supervisor.Stop", {"targets": ["web"], "wait": True}).to_bytes())
        rig.wait("web/1", "stopping")
    rig.wait("web/1", "stopped")
    assert rig.status()["web/1"]["wanted"] == "down"


def test_more_clients_than_are_served(rig: Rig) -> None:
    rig.configure(service("web", restart=FAST))
    rig.up()
    rig.wait("web/1", "ready")
    clients = []
    try:
        for _ in range(200):
            client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            clients.append(client)
            client.connect(rig.socket)
        refused, _, _ = select.select(clients, [], [], PATIENCE)
        assert b"clients are connected already" in refused[0].recv(4096)
        kill_and_wait(rig, "web/1")
    finally:
        for client in clients:
            client.close()
    eventually(lambda: rig.cli("status").status == OK)


# --- names and output


ESCAPES = "\x1b[31mred\x1b]0;title\x07\x9b5n\r\b"


def test_control_bytes_in_commands_and_reasons(rig: Rig) -> None:
    """They reach neither the terminal nor the lines of others."""
    rig.configure(service("web", [f"/nowhere/{ESCAPES}", ESCAPES], restart="never", env={"A": ESCAPES}))
    rig.up()
    rig.wait("web/1", "failed")
    for words in (["status"], ["events"], ["status", "--json"], ["events", "--json"]):
        told = rig.cli(*words)
        assert "nowhere" in told.out
        assert not any(c in told.out for c in "\x1b\x07\x9b\r\b"), words
    assert not any(c in rig.text for c in "\x1b\x07\x9b\r\b")


def test_a_process_with_a_name_of_escapes(rig: Rig) -> None:
    """Who asked is said by name, and a process chooses its own."""
    rig.configure(service("web"))
    rig.up()
    rig.wait("web/1", "ready")
    comm = Path("/proc/self/comm")
    before = comm.read_text()
    try:
        comm.write_text("\x1b[2Jevil")
        assert rig.cli("restart", "web").status == OK
    finally:
        comm.write_text(before)
    told = rig.cli("events")
    assert "evil" in told.out
    assert "\x1b" not in told.out
    assert "\x1b" not in rig.text


def test_a_service_whose_name_is_no_name(rig: Rig) -> None:
    rig.configure(f'[service."{"a" * 300}"]\ncommand = "true"\n', '[service."../x"]\ncommand = "true"\n')
    rig.begin()
    assert rig.wait_end().code == 2


@pytest.mark.parametrize("kind", ["long", "binary", "many"])
def test_output_of_any_kind_is_kept_as_it_is(rig: Rig, kind: str) -> None:
    programs = {
        "long": (writes_long_line(10_000_000), b"x" * 10_000_000 + b"\n"),
        "binary": (writes_binary(2000), bytes(range(256)) * 2000),
        "many": (writes_lines(100_000), b"".join(b"line %d\n" % n for n in range(100_000))),
    }
    command, written = programs[kind]
    rig.configure(service("web", command, logs={"mode": "file"}, restart="never"), service("db", restart=FAST))
    rig.up()
    rig.wait("db/1", "ready")
    rig.wait("web/1", "completed")
    kill_and_wait(rig, "db/1")
    assert rig.cli("down").status == OK
    rig.wait_end()
    rig.await_pump()
    assert (rig.state / "logs" / "web-1.out.log").read_bytes() == written


def test_logs_of_a_worker_that_plays_with_the_terminal(rig: Rig) -> None:
    script = f"printf '%s\\n' '{ESCAPES}' plain; exec sleep infinity"
    rig.configure(service("web", ["/bin/sh", "-c", script], logs={"mode": "file"}))
    rig.up()
    rig.wait("web/1", "ready")
    log = rig.state / "logs" / "web-1.out.log"
    eventually(lambda: log.exists() and b"plain" in log.read_bytes())
    assert ESCAPES.encode() in log.read_bytes(), "the file has what was written"
    told = rig.cli("logs", "web")
    assert told.status == OK
    assert "plain" in told.out


# --- neighbours


def test_a_worker_that_was_stopped_from_outside(rig: Rig) -> None:
    """SIGSTOP is no end; and a stopped process, which hears no SIGTERM, ends all the same."""
    rig.configure(service("web", stop={"grace": "50ms"}))
    rig.up()
    with rig.hold_when_ready("web/1") as worker:
        for number in (signal.SIGSTOP, signal.SIGCONT, signal.SIGSTOP):
            worker.signal(number)
        assert rig.status()["web/1"]["process"] == str(worker.id)
        assert rig.cli("stop", "web").status == OK


def test_the_pump_is_killed(rig: Rig) -> None:
    """Its output waits in the spools meanwhile, and nothing is lost."""
    script = 'n=0; while [ $n -lt 2000 ]; do echo "line $n"; n=$((n+1)); done; exec sleep infinity'
    rig.configure(service("web", ["/bin/sh", "-c", script], logs={"mode": "file"}))
    rig.up()
    rig.wait("web/1", "ready")
    for _ in range(3):
        with rig.pump() as process:
            process.signal(signal.SIGKILL)
            assert ends(process)
        eventually(rig.trouble)
        eventually(lambda: not rig.trouble())
    assert rig.cli("down").status == OK
    rig.wait_end()
    rig.await_pump()
    lines = (rig.state / "logs" / "web-1.out.log").read_text().splitlines()
    assert lines == [f"line {n}" for n in range(2000)]


def test_the_socket_is_removed_under_its_feet(rig: Rig) -> None:
    rig.configure(service("web", restart=FAST))
    rig.up()
    rig.wait("web/1", "ready")
    os.unlink(rig.socket)
    kill_and_wait(rig, "web/1")
    assert rig.cli("status").status == 7
    rig.signal(signal.SIGTERM)
    assert rig.wait_end().code == OK
