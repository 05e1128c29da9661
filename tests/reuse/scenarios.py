"""What others, and pidward, do when the number of a dead process was handed out again. Runs inside a namespace.

Every scenario is one try: a process that somebody looks after dies, an innocent one gets its number, and the tool is
used as its documentation says. Was the innocent one signalled? Did the tool notice that its process is dead?
"""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from pidward.core.model import ProcessId
from pidward.kernel.errors import Recycled
from pidward.kernel.pidfd import Pidfd, State
from pidward.kernel.wait import wait_exit
from tests.reuse.namespace import PATIENCE_S, Process, spawn_child, spawn_stranger
from tests.reuse.supervised import NOT_RUNNING, WORKER, commands_against, kill_worker, supervisor

EXIT_CODE = 3
_EXITS = ["/bin/sh", "-c", f"exit {EXIT_CODE}"]
_SLEEPS = ["/bin/sleep", "1000"]
_TICK_S = 0.02  # two clock ticks: what tells start times apart that are printed in ticks
_BIN = Path(sys.executable).parent


class Outcome(NamedTuple):
    """What one try came to."""

    touched: str | None  # what the innocent process felt
    noticed: str  # "yes", "no", or yes with a reservation


YES, NO, INVENTED = "yes", "no", "yes, with an invented exit status"


@dataclass(frozen=True)
class Scenario:
    """One row of the table."""

    who: str
    what: str
    play: Callable[[], Outcome]
    missing: Callable[[], str | None] = lambda: None


Successor = Callable[[int], Process]


def _another_child(pid: int) -> Process:
    return spawn_child(pid)


# Python's standard library


def _killpg_after_wait() -> Outcome:
    worker = subprocess.Popen(_EXITS, start_new_session=True)
    worker.wait()
    with spawn_stranger(worker.pid) as stranger:
        os.killpg(worker.pid, signal.SIGTERM)
        return Outcome(stranger.touched(), _truth(worker.poll()))


def _kill_after_wait() -> Outcome:
    worker = subprocess.Popen(_EXITS)
    worker.wait()
    with spawn_stranger(worker.pid) as stranger:
        worker.kill()
        return Outcome(stranger.touched(), _truth(worker.poll()))


def _kill_after_foreign_wait(successor: Successor) -> Outcome:
    worker = subprocess.Popen(_EXITS)
    os.waitpid(-1, 0)  # as a SIGCHLD handler does
    with successor(worker.pid) as innocent:
        noticed = _truth(worker.poll())
        worker.kill()
        outcome = Outcome(innocent.touched(), noticed)
        worker.returncode = EXIT_CODE  # it shall not wait for the innocent one when it is collected
        return outcome


def _asyncio_while_busy(successor: Successor) -> Outcome:
    async def supervise() -> Outcome:
        worker = await asyncio.create_subprocess_exec(*_EXITS)
        _wait_free(worker.pid)  # the loop is busy; a thread reaps
        with successor(worker.pid) as innocent:
            try:
                worker.kill()
            except ProcessLookupError:
                pass
            return Outcome(innocent.touched(), _truth(await worker.wait()))

    return asyncio.run(supervise())


def _asyncio_watches_by_thread() -> str | None:
    return None if sys.version_info < (3, 12) else "Python 3.11, later ones watch by pidfd"


def _truth(status: int | None) -> str:
    if status is None:
        return NO
    return YES if status == EXIT_CODE else INVENTED


# psutil


def _psutil(gap_s: float) -> Outcome:
    import psutil

    worker = spawn_child(program=_SLEEPS)
    known = psutil.Process(worker.pid)
    worker.die()
    time.sleep(gap_s)
    with worker, spawn_stranger(worker.pid, program=_SLEEPS) as stranger:
        noticed = NO if known.is_running() else YES
        try:
            known.terminate()
        except psutil.NoSuchProcess:
            noticed = YES
        return Outcome(stranger.touched(), noticed)


def _no_psutil() -> str | None:
    try:
        import psutil
    except ImportError:
        return "psutil"
    del psutil
    return None


# start-stop-daemon and pidproxy: pidfiles


def _start_stop_daemon(options: Sequence[str], program: Sequence[str]) -> Outcome:
    with _stale_pidfile(program) as (pidfile, stranger):
        command = ["start-stop-daemon", "--pidfile", str(pidfile), *options]
        status = subprocess.run([*command, "--status"], check=False)
        subprocess.run([*command, "--stop", "--oknodo", "--quiet"], check=False)
        return Outcome(stranger.touched(), NO if status.returncode == 0 else YES)


def _pidproxy() -> Outcome:
    with _stale_pidfile(()) as (pidfile, stranger):
        proxy = subprocess.Popen([_find("pidproxy"), str(pidfile), *_SLEEPS])
        with Pidfd.open(proxy.pid) as handle:
            _wait(lambda: bool(_children(proxy.pid)))  # its handlers are set before
            noticed = YES if handle.state() is not State.RUNNING else NO
            handle.signal(signal.SIGTERM)
            assert wait_exit(handle)
            proxy.wait()
        return Outcome(stranger.touched(), noticed)


class _stale_pidfile:  # noqa: N801 - used as a function
    """A pidfile that names a process which died, and a stranger that has its number."""

    def __init__(self, program: Sequence[str]) -> None:
        self._program = program

    def __enter__(self) -> tuple[Path, Process]:
        self._folder = tempfile.TemporaryDirectory()
        self._worker = spawn_child(program=_SLEEPS)
        pidfile = Path(self._folder.name, "pidfile")
        pidfile.write_text(f"{self._worker.pid}\n")
        self._worker.die()
        self._stranger = spawn_stranger(self._worker.pid, program=self._program)
        return pidfile, self._stranger

    def __exit__(self, *_: object) -> None:
        self._stranger.end()
        self._worker.end()
        self._folder.cleanup()


def _find(program: str) -> str:
    return shutil.which(program, path=f"{_BIN}{os.pathsep}{os.environ.get('PATH', '')}") or ""


def _needs(program: str) -> Callable[[], str | None]:
    return lambda: None if _find(program) else program


# pidward


def _pidward_handle() -> Outcome:
    worker = spawn_child(program=_SLEEPS)
    with worker, Pidfd.open(worker.pid) as handle:
        worker.die()
        with spawn_stranger(worker.pid) as stranger:
            handle.signal(signal.SIGTERM)
            handle.signal(signal.SIGKILL)
            return Outcome(stranger.touched(), YES if handle.state() is State.REAPED else NO)


def _pidward_identity() -> Outcome:
    written = _identity_of_a_dead_worker()
    with spawn_stranger(written.pid) as stranger:
        try:
            with Pidfd.open(*written) as wrong:
                wrong.signal(signal.SIGTERM)
        except Recycled:
            return Outcome(stranger.touched(), YES)
        return Outcome(stranger.touched(), NO)


def _pidward_kill() -> Outcome:
    written = _identity_of_a_dead_worker()
    with spawn_stranger(written.pid) as stranger:
        command = [sys.executable, "-m", "pidward", "kill", str(written)]
        done = subprocess.run(command, capture_output=True, check=False)
        return Outcome(stranger.touched(), YES if done.returncode == NOT_RUNNING else NO)


def _pidward_supervisor() -> Outcome:
    with supervisor(restart={"policy": "never"}) as rig:
        dead = kill_worker(rig, "failed")
        with spawn_stranger(dead.pid) as stranger:
            answers = {rig.cli(*command).status for command in commands_against(dead)}
            rig.cli("stop", WORKER)
            return Outcome(stranger.touched(), YES if answers == {NOT_RUNNING} else NO)


def _identity_of_a_dead_worker() -> ProcessId:
    with spawn_child(program=_SLEEPS) as worker, Pidfd.open(worker.pid) as handle:
        return handle.id


# What all need


def _wait_free(pid: int) -> None:
    _wait(lambda: not os.path.exists(f"/proc/{pid}"))


def _wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.0005)


def _children(pid: int) -> str:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text()


SCENARIOS = {
    "killpg": Scenario("subprocess", "`os.killpg(p.pid)` after `p.wait()`", _killpg_after_wait),
    "popen": Scenario("subprocess", "`p.kill()` after `p.wait()`", _kill_after_wait),
    "popen_foreign": Scenario(
        "subprocess", "`p.kill()` after a `waitpid(-1)` elsewhere", lambda: _kill_after_foreign_wait(spawn_stranger)
    ),
    "popen_foreign_child": Scenario(
        "subprocess", "the same; the number went to another child of ours",
        lambda: _kill_after_foreign_wait(_another_child),
    ),
    "asyncio": Scenario(
        "asyncio (3.11)", "`kill()` while the loop was busy", lambda: _asyncio_while_busy(spawn_stranger),
        _asyncio_watches_by_thread,
    ),
    "asyncio_child": Scenario(
        "asyncio (3.11)", "the same; the number went to another child of ours",
        lambda: _asyncio_while_busy(_another_child), _asyncio_watches_by_thread,
    ),
    "psutil": Scenario("psutil", "`Process.terminate()`, reuse 20 ms later", lambda: _psutil(_TICK_S), _no_psutil),
    "psutil_at_once": Scenario("psutil", "the same, reuse at once", lambda: _psutil(0), _no_psutil),
    "ssd": Scenario(
        "start-stop-daemon", "`--stop --pidfile`", lambda: _start_stop_daemon([], ()), _needs("start-stop-daemon")
    ),
    "ssd_exec": Scenario(
        "start-stop-daemon", "`--stop --pidfile --exec`, the stranger runs another program",
        lambda: _start_stop_daemon(["--exec", _SLEEPS[0]], ()), _needs("start-stop-daemon"),
    ),
    "ssd_exec_same": Scenario(
        "start-stop-daemon", "`--stop --pidfile --exec`, the stranger runs the same program",
        lambda: _start_stop_daemon(["--exec", _SLEEPS[0]], _SLEEPS), _needs("start-stop-daemon"),
    ),
    "pidproxy": Scenario("supervisord", "`pidproxy` gets SIGTERM", _pidproxy, _needs("pidproxy")),
    "pidward_handle": Scenario("pidward", "signals through the handle it holds", _pidward_handle),
    "pidward_identity": Scenario("pidward", "opens a PID:INODE that was written down", _pidward_identity),
    "pidward_kill": Scenario("pidward", "`pidward kill PID:INODE`", _pidward_kill),
    "pidward_supervisor": Scenario(
        "pidward", "`signal`, `kill`, `kill --tree`, `stop` of a supervised worker that died", _pidward_supervisor
    ),
}  # fmt: skip


def play(name: str, tries: int) -> list[Outcome] | str:
    """Play a scenario so many times; or say what is missing for it."""
    scenario = SCENARIOS[name]
    missing = scenario.missing()
    return missing if missing is not None else [scenario.play() for _ in range(tries)]
