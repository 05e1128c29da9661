"""A program that cannot be started: the exact stage and errno, and nothing left behind."""

import errno
import os
import resource
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pidward.kernel.spawn import Failure, Ids
from tests.kernel.spawning import Launcher, children, open_descriptors, pause, shell

ELF_OF_NO_MACHINE = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00\xfe\xfe" + bytes(100)


def _file(directory: Path, name: str, content: bytes, mode: int = 0o755) -> bytes:
    file = directory / name
    file.write_bytes(content)
    file.chmod(mode)
    return bytes(file)


def _fifo(directory: Path) -> bytes:
    os.mkfifo(directory / "fifo")
    return bytes(directory / "fifo")


HUGE = 2**32 - 1
CASES: dict[str, tuple[Callable[[Path], dict[str, Any]], str, int]] = {
    "missing": (lambda d: {"path": bytes(d / "none")}, "exec", errno.ENOENT),
    "not executable": (lambda d: {"path": _file(d, "plain", b"#!/bin/sh\n", 0o644)}, "exec", errno.EACCES),
    "directory": (lambda d: {"path": bytes(d)}, "exec", errno.EACCES),
    "path through a file": (lambda d: {"path": _file(d, "plain", b"") + b"/x"}, "exec", errno.ENOTDIR),
    "wrong machine": (lambda d: {"path": _file(d, "alien", ELF_OF_NO_MACHINE)}, "exec", errno.ENOEXEC),
    "no format": (lambda d: {"path": _file(d, "text", b"no #! line\n")}, "exec", errno.ENOEXEC),
    "missing interpreter": (lambda d: {"path": _file(d, "script", b"#!/nonexistent\n")}, "exec", errno.ENOENT),
    "argument too long": (lambda d: {"argv": (b"sleep", b"x" * 2**18)}, "exec", errno.E2BIG),
    "missing cwd": (lambda d: {"cwd": bytes(d / "none")}, "cwd", errno.ENOENT),
    "cwd is a file": (lambda d: {"cwd": _file(d, "plain", b"")}, "cwd", errno.ENOTDIR),
    "missing stdin": (lambda d: {"stdin": bytes(d / "none")}, "stdin", errno.ENOENT),
    "stdout nowhere": (lambda d: {"stdout": bytes(d / "none" / "log")}, "stdout", errno.ENOENT),
    "stdout without reader": (lambda d: {"stdout": _fifo(d)}, "stdout", errno.ENXIO),
    "stderr is a directory": (lambda d: {"stderr": bytes(d)}, "stderr", errno.EISDIR),
    "soft above hard": (lambda d: {"limits": ((resource.RLIMIT_CPU, 20, 10),)}, "limits", errno.EINVAL),
    "no such limit": (lambda d: {"limits": ((99, 1, 1),)}, "limits", errno.EINVAL),
    "oom score too high": (lambda d: {"oom_score_adj": 5000}, "oom_score_adj", errno.EINVAL),
    "missing cgroup": (lambda d: {"cgroup": bytes(d / "none")}, "cgroup", errno.ENOENT),
    "missing v1 cgroup": (lambda d: {"join": (bytes(d / "none"),)}, "cgroup", errno.ENOENT),
    "impossible uid": (lambda d: {"ids": Ids(HUGE, 1, ())}, "ids", errno.EINVAL),
    "impossible gid": (lambda d: {"ids": Ids(1, HUGE, ())}, "ids", errno.EINVAL),
}
NEED_ROOT = {"impossible uid", "impossible gid"}


@pytest.mark.parametrize("gated", [False, True], ids=["at once", "gated"])
@pytest.mark.parametrize("case", CASES)
def test_stage_and_errno(launcher: Launcher, tmp_path: Path, case: str, gated: bool) -> None:
    if case in NEED_ROOT and os.geteuid() != 0:
        pytest.skip("needs root")
    make, stage, number = CASES[case]
    before = open_descriptors(), children()
    answer = launcher.failure(pause(gated=gated, **make(tmp_path)))
    assert answer == Failure(stage, number), f"{answer.stage} {errno.errorcode.get(answer.errno)}"
    assert (open_descriptors(), children()) == before


def test_the_first_failing_stage_counts(launcher: Launcher, tmp_path: Path) -> None:
    missing = bytes(tmp_path / "none")
    plan = pause(path=missing, cwd=missing, stderr=missing + b"/x", limits=((99, 1, 1),))
    assert launcher.failure(plan) == Failure("stderr", errno.ENOENT)


def test_a_failure_passes_with_its_cause(launcher: Launcher, tmp_path: Path) -> None:
    program = tmp_path / "program"
    plan = pause(path=bytes(program), argv=(b"program",))
    assert launcher.failure(plan) == Failure("exec", errno.ENOENT)
    program.write_text("#!/bin/sh\nexit 7\n")
    program.chmod(0o755)
    assert launcher.end_of(launcher.run(plan)).code == 7


def test_stdin_from_a_fifo_does_not_stop_anybody(launcher: Launcher, tmp_path: Path) -> None:
    fifo = _fifo(tmp_path)
    assert stat.S_ISFIFO(os.stat(fifo).st_mode)
    started = launcher.run(shell("read line; exit $?", stdin=fifo))
    assert launcher.end_of(started).code == 1  # nobody writes: the end of the file


def test_a_writer_outlives_all_other_readers_of_its_fifo(launcher: Launcher, tmp_path: Path) -> None:
    """Held by us at its start, as by a supervisor that is then killed: it is not ended by SIGPIPE."""
    fifo, into, ours = _fifo(tmp_path), *os.pipe()
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    plan = shell("read line; echo more; echo more >&2; exit 3", stdout=fifo, stderr=fifo, descriptors=((4, into),))
    started = launcher.run(plan._replace(argv=(*plan.argv[:2], b"exec <&4; " + plan.argv[2])))
    for fd in (reader, into, ours):
        os.close(fd)
    assert launcher.end_of(started).code == 3


def test_streams_block_as_programs_expect(launcher: Launcher, tmp_path: Path) -> None:
    (tmp_path / "in").touch()
    streams = {"stdin": bytes(tmp_path / "in"), "stdout": bytes(tmp_path / "out"), "stderr": bytes(tmp_path / "err")}
    started = launcher.run(pause(**streams))
    flags = {}
    for number in range(3):
        text = Path(f"/proc/{started.pidfd.id.pid}/fdinfo/{number}").read_text()
        flags[number] = int(next(line for line in text.splitlines() if line.startswith("flags:")).split()[1], 8)
    assert [bits & os.O_ACCMODE for bits in flags.values()] == [os.O_RDONLY, os.O_WRONLY, os.O_WRONLY]
    assert [bool(bits & os.O_APPEND) for bits in flags.values()] == [False, True, True]
    assert not any(bits & os.O_NONBLOCK for bits in flags.values())
