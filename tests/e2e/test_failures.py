"""Programs that cannot be started: one clear line each, with the stage, the errno and the place in the file."""

import fcntl
import os
import resource
import shutil
import signal
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.rig import SLEEP, Rig, eventually, service

OK, FAILED, USAGE = 0, 1, 2


def missing(base: Path) -> dict[str, object]:
    return {"command": [f"{base}/nowhere"]}


def not_on_path(_base: Path) -> dict[str, object]:
    return {"command": ["no-such-program-anywhere"]}


def not_executable(base: Path) -> dict[str, object]:
    (base / "text").write_text("hello\n")
    return {"command": [f"{base}/text"]}


def a_directory(base: Path) -> dict[str, object]:
    return {"command": [str(base)]}


def of_another_machine(base: Path) -> dict[str, object]:
    program = bytearray(Path("/bin/true").read_bytes())
    program[18:20] = (0x2A, 0x00)  # e_machine: a SuperH
    (base / "foreign").write_bytes(program)
    (base / "foreign").chmod(0o755)
    return {"command": [f"{base}/foreign"]}


def without_interpreter(base: Path) -> dict[str, object]:
    (base / "script").write_text("#!/nowhere/python\n")
    (base / "script").chmod(0o755)
    return {"command": [f"{base}/script"]}


def without_shebang(base: Path) -> dict[str, object]:
    (base / "plain").write_text("echo hello\n")
    (base / "plain").chmod(0o755)
    return {"command": [f"{base}/plain"]}


def without_directory(base: Path) -> dict[str, object]:
    return {"command": SLEEP, "working_dir": f"{base}/nowhere"}


def without_input(base: Path) -> dict[str, object]:
    return {"command": SLEEP, "stdin": f"{base}/nowhere"}


def of_nobody_known(_base: Path) -> dict[str, object]:
    return {"command": SLEEP, "user": "no-such-user"}


def of_no_group_known(_base: Path) -> dict[str, object]:
    return {"command": SLEEP, "group": "no-such-group"}


def too_long(_base: Path) -> dict[str, object]:
    return {"command": ["/bin/true", "x" * 140_000]}


CASES: list[tuple[Callable[[Path], dict[str, object]], tuple[str, ...]]] = [
    (missing, ("cannot execute", "nowhere", "no such file", "stage exec, ENOENT", "service.web.command at")),
    (not_on_path, ('"no-such-program-anywhere": not found on PATH', "ENOENT", "service.web.command at")),
    (not_executable, ("cannot execute", "not executable", "stage exec, EACCES", "service.web.command at")),
    (a_directory, ("cannot execute", "stage exec, EACCES", "service.web.command at")),
    (of_another_machine, ("not a program for this machine", "stage exec, ENOEXEC", "service.web.command at")),
    (without_interpreter, ("its interpreter is missing", "stage exec, ENOENT", "service.web.command at")),
    (without_shebang, ("a script without #!", "stage exec, ENOEXEC", "service.web.command at")),
    (without_directory, ("cannot enter its working directory", "stage cwd, ENOENT", "service.web.working_dir")),
    (without_input, ("cannot open its stdin", "stage stdin, ENOENT", "service.web.stdin")),
    (of_nobody_known, ("user 'no-such-user' does not exist", "service.web.user")),
    (of_no_group_known, ("group 'no-such-group' does not exist", "service.web.group")),
    (too_long, ("cannot execute", "stage exec, E2BIG", "service.web.command at")),
]


@pytest.mark.parametrize("mask", ["", "native", "cgroup2"], ids=["native", "python", "gated"])
@pytest.mark.parametrize("keys, said", CASES, ids=[case.__name__ for case, _ in CASES])
def test_why_it_cannot_be_started(
    rig: Rig, keys: Callable[[Path], dict[str, object]], said: tuple[str, ...], mask: str
) -> None:
    rig.configure(service("web", restart="never", **keys(rig.base)))  # type: ignore[arg-type]
    rig.up(mask=mask)
    reason = rig.wait("web/1", "failed")["data"]["reason"]
    assert "\n" not in reason
    for words in said:
        assert words in reason
    if "command at" in said[-1]:
        assert f"{rig.config}:6:" in reason, "file and line"
    assert zombies_of(rig.process.id.pid) == []


def zombies_of(pid: int) -> list[str]:
    """Children of a process that nobody has reaped."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [child for child in children if ") Z " in Path(f"/proc/{child}/stat").read_text()]


@pytest.mark.parametrize("mask", ["", "native", "cgroup2"], ids=["native", "python", "gated"])
def test_it_starts_when_the_program_is_there(rig: Rig, mask: str) -> None:
    """It is tried again as after a crash; what is mended meanwhile is found."""
    program = rig.base / "program"
    rig.configure(service("web", [str(program)], restart={"delay": "10ms", "max_delay": "10ms", "burst": 0}))
    rig.up(mask=mask)
    rig.wait("web/1", "backing-off", "cannot execute")
    script = rig.base / "new"
    script.write_text("#!/bin/sh\nexec sleep infinity\n")
    script.chmod(0o755)
    script.rename(program)
    rig.wait("web/1", "ready")
    told = rig.cli("status")
    assert (told.status, "ready" in told.out) == (OK, True)


def test_what_cannot_start_does_not_hold_up_the_others(rig: Rig) -> None:
    """Not even without a delay and without a limit."""
    rig.configure(
        service("bad", ["/nowhere"], workers=3, restart={"delay": "0s", "burst": 0}),
        service("good", workers=2),
    )
    rig.up()
    rig.wait_all("good", 2)
    assert rig.cli("kill", "good/1").status == OK
    rig.wait("good/1", "ready")
    assert rig.cli("stop", "bad").status == OK
    assert rig.status()["bad/1"]["phase"] == "stopped"


def test_a_limit_that_may_not_be_raised(rig: Rig) -> None:
    """Even root needs CAP_SYS_RESOURCE for it; nofile above fs.nr_open is refused to everybody."""
    most = int(Path("/proc/sys/fs/nr_open").read_text())
    rig.configure(service("web", limits={"nofile": most + 1}, restart="never"))
    rig.up()
    reason = rig.wait("web/1", "failed")["data"]["reason"]
    assert "cannot set its limits" in reason
    assert "service.web.limits" in reason


def test_the_worker_has_what_was_asked_for(rig: Rig) -> None:
    where = rig.base / "there"
    where.mkdir()
    script = (
        "umask; pwd; ulimit -n; ulimit -c; nice; cat /proc/$$/oom_score_adj; cat; echo $COLOUR $PIDWARD_WORKER; id -u"
    )
    (rig.base / "input").write_text("from stdin\n")
    where.chmod(0o777)
    rig.base.chmod(0o755)
    rig.configure(service(
        "web", ["/bin/sh", "-c", f"({script}) >{where}/said; exec sleep infinity"], ready={"after": "1ms"},
        working_dir=str(where), umask="027", limits={"nofile": [100, 200], "core": 0}, nice=5, oom_score_adj=300,
        stdin=str(rig.base / "input"), env={"COLOUR": "no%i"}, user="nobody", workers=1,
    ))  # fmt: skip
    rig.up()
    rig.wait("web/1", "ready")
    said = where / "said"
    text = _text_when_complete(rig, said, 9)
    assert text.split("\n")[:8] == ["0027", str(where), "100", "0", "5", "300", "from stdin", "no1 1"]
    assert int(text.split("\n")[8]) == said.stat().st_uid == 65534
    assert stat.S_IMODE(said.stat().st_mode) == 0o640


def _text_when_complete(rig: Rig, path: Path, lines: int) -> str:
    eventually(lambda: path.exists() and path.read_text().count("\n") >= lines)
    return path.read_text()


def test_workers_start_with_the_limits_that_pidward_was_started_with(rig: Rig) -> None:
    """It raises its own limit of open files; programs that use select would not bear that."""
    rig.configure(service("web"))
    rig.up(prefix=["/bin/sh", "-c", 'ulimit -Sn 123; exec "$@"', "sh"])
    with rig.hold_when_ready("web/1") as worker:
        theirs = Path(f"/proc/{worker.id.pid}/limits").read_text()
        ours = Path(f"/proc/{rig.process.id.pid}/limits").read_text()
    assert _open_files(theirs) == ["123", str(resource.getrlimit(resource.RLIMIT_NOFILE)[1])]
    assert _open_files(ours)[0] == _open_files(ours)[1]


def _open_files(limits: str) -> list[str]:
    (line,) = (line for line in limits.splitlines() if line.startswith("Max open files"))
    return line.split()[3:5]


# --- the supervisor itself


def test_a_file_that_is_not_valid_starts_nothing(rig: Rig) -> None:
    rig.configure(service("web", workers=-1), service("db", comand="x"))
    rig.begin()
    assert rig.wait_end().code == USAGE
    assert "workers" in rig.text
    assert "comand" in rig.text
    assert "nothing was started" in rig.text
    assert not rig.state.exists()


def test_there_is_no_file(rig: Rig) -> None:
    rig.begin()
    assert rig.wait_end().code == USAGE


def test_a_directory_that_others_may_write_is_not_used(rig: Rig) -> None:
    rig.configure(service("web"))
    rig.run.mkdir()
    (rig.run / "somebody").touch()  # an empty one of ours is made private instead
    rig.run.chmod(0o777)
    rig.begin()
    assert rig.wait_end().code == FAILED
    assert "writable by nobody else" in rig.text


def test_a_directory_of_somebody_else_is_not_used(rig: Rig) -> None:
    rig.configure(service("web"))
    rig.state.mkdir()
    shutil.chown(rig.state, 65534)
    rig.begin()
    assert rig.wait_end().code == FAILED
    assert "belongs to uid 65534" in rig.text


def test_a_link_instead_of_a_directory_is_not_used(rig: Rig) -> None:
    rig.configure(service("web"))
    (rig.base / "real").mkdir()
    os.symlink(rig.base / "real", rig.run)
    rig.begin()
    assert rig.wait_end().code == FAILED


def test_a_place_that_cannot_be_made(rig: Rig) -> None:
    rig.configure(service("web"), state_dir="/proc/nowhere")
    rig.begin()
    assert rig.wait_end().code == FAILED
    assert "cannot make /proc/nowhere" in rig.text


def test_a_stderr_that_nobody_reads_any_more(rig: Rig) -> None:
    """``pidward up 2>&1 | head -1``: what it says is lost, and nothing else."""
    ours, theirs = os.pipe()
    rig.configure(service("web"))
    rig.begin(stderr=theirs)
    os.close(theirs)
    assert os.read(ours, 1)
    os.close(ours)
    rig.await_answer()
    rig.wait("web/1", "ready")
    assert rig.cli("kill", "web").status == OK
    rig.wait("web/1", "ready")
    assert rig.cli("stop", "web").status == OK
    rig.signal(signal.SIGTERM)
    assert rig.wait_end().code == OK


def test_a_stderr_that_nobody_reads_now(rig: Rig) -> None:
    """A pipe that is full, a terminal that was stopped with ^S: supervision goes on."""
    ours, theirs = os.pipe()
    fcntl.fcntl(theirs, fcntl.F_SETPIPE_SZ, 4096)
    try:
        rig.configure(service("web", workers=5))
        rig.begin(stderr=theirs)
        os.close(theirs)
        rig.await_answer()
        rig.wait_all("web", 5)
        for _ in range(20):
            rig.call("Restart", targets=["web"], wait=True)
        assert {worker["phase"] for worker in rig.status().values()} == {"ready"}
        rig.signal(signal.SIGTERM)
        assert rig.wait_end().code == OK
    finally:
        os.close(ours)
