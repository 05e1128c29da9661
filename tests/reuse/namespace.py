"""A pid namespace of one's own, and in it innocent strangers with the number of one's choice.

``run_in_namespace("module:function", ...)`` runs a function in a new Python in a new pid namespace and returns what it
returned. Below that function, ``spawn_stranger(pid)`` makes a process that has exactly that number, leads a session of
its own and is no relation of the caller. All its signals are blocked, so that one sent to it stays pending and
``touched()`` tells which; SIGKILL and SIGSTOP, which nobody can block, it tells from the process's state.

When a number is handed out again is the kernel's business; these are the ways to make it do so:

- clone3(2) with set_tid asks for it (Linux 5.5). The fast one: some 50 us.
- /proc/sys/kernel/ns_last_pid sets the last number given; the next process gets the next one (Linux 3.3).
- /proc/sys/kernel/pid_max is the namespace's own since Linux 6.14; a small one lets numbers come back by themselves.

All need root, or a user namespace where that is allowed.
"""

import atexit
import contextlib
import ctypes
import errno
import functools
import importlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

PROJECT = Path(__file__).resolve().parents[2]
PATIENCE_S = 10.0

_SOURCE = Path(__file__).with_name("forced.c")
_NEVER = -1
_HELPER_VARIABLE = "PIDWARD_TEST_FORCED"
_TRIES = 1000

_FIRST_TO_COME_BACK, _SMALL_PID_MAX = 300, 400  # after the last number come those from 300
COMES_BACK = 350
"""A number that every way of forcing can bring back."""


class NoNumber(Exception):
    """The number could not be had: somebody lives with it, or others were faster too often."""


class Process:
    """A process made here, and held by its pidfd."""

    def __init__(self, pid: int, pidfd: int) -> None:
        """Own ``pidfd``."""
        self.pid = pid
        self.pidfd = pidfd

    def has_ended(self, within_s: float = 0.0) -> bool:
        """Tell whether it is dead, waiting for that for a while."""
        poll = select.poll()
        poll.register(self.pidfd, select.POLLIN)
        return bool(poll.poll(within_s * 1000))

    def touched(self) -> str | None:
        """The names of the signals that it got, or None when it got none.

        For a process that waits, as all made here do: one that is asleep with nothing pending got nothing, also not
        a SIGKILL that it is just dying of.
        """
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            status = self._status()
            if self.has_ended():
                return "SIGKILL"
            if status["State"].startswith("T"):
                return "SIGSTOP"
            pending = int(status["SigPnd"], 16) | int(status["ShdPnd"], 16)
            if pending:
                return " ".join(_signal_name(number) for number in range(1, 65) if pending >> (number - 1) & 1)
            if status["State"].startswith("S"):
                return None
            time.sleep(1e-4)
        raise AssertionError(f"process {self.pid} neither sleeps nor ends")

    def _status(self) -> dict[str, str]:
        try:
            text = Path(f"/proc/{self.pid}/status").read_text()
        except OSError:  # it is gone, which the pidfd says as well
            return {"State": "", "SigPnd": "0", "ShdPnd": "0"}
        return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)

    def end(self) -> None:
        """Kill it, whatever it is doing, and give its number free. Harmless when that is done."""
        if self.pidfd >= 0:
            self._kill()
            assert self.has_ended(PATIENCE_S)
            with contextlib.suppress(ChildProcessError):  # a stranger, or reaped already
                os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED)
            os.close(self.pidfd)
            self.pidfd = -1

    def reap(self) -> int:
        """Wait for a child of ours to end; its exit code, or minus its signal. Its number is free then."""
        result = os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED)
        assert result is not None
        return result.si_status if result.si_code == os.CLD_EXITED else -result.si_status

    def die(self) -> int:
        """Kill and reap a child of ours, and keep the pidfd. Its number is free then."""
        self._kill()
        return self.reap()

    def _kill(self) -> None:
        try:
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"SIG{number}"


# Making processes


def spawn_child(pid: int = 0, exits: int = _NEVER, program: Sequence[str] = ()) -> Process:
    """Make a child of ours: it pauses, exits with a code, or runs a program."""
    return _spawn(pid, sibling=False, exits=exits, program=program)


def spawn_stranger(pid: int, by: str = "set_tid", program: Sequence[str] = ()) -> Process:
    """Make an innocent stranger with exactly this number; NoNumber when it cannot be had.

    Args:
        pid: a free number.
        by: which of FORCINGS.
        program: what it runs; by default it has the program of the caller, and pauses.
    """
    return FORCINGS[by](pid, program)


def _by_set_tid(pid: int, program: Sequence[str]) -> Process:
    return _spawn(pid, sibling=True, program=program)


def _by_last_pid(pid: int, program: Sequence[str]) -> Process:
    for _ in range(_TRIES):
        Path("/proc/sys/kernel/ns_last_pid").write_text(str(pid - 1))
        process = _spawn(0, sibling=True, program=program)
        if process.pid == pid:
            return process
        process.end()
    raise NoNumber(f"{pid} always went to somebody else")


def _by_small_pid_max(pid: int, program: Sequence[str]) -> Process:
    pid_max = Path("/proc/sys/kernel/pid_max")
    before = pid_max.read_text()
    if not _FIRST_TO_COME_BACK <= pid < _SMALL_PID_MAX:
        raise NoNumber(f"{pid} is not between {_FIRST_TO_COME_BACK} and {_SMALL_PID_MAX}")
    pid_max.write_text(str(_SMALL_PID_MAX))
    try:
        for _ in range(_SMALL_PID_MAX):
            process = _spawn(0, sibling=True, program=program)
            if process.pid == pid:
                return process
            process.end()
    finally:
        pid_max.write_text(before)
    raise NoNumber(f"{pid} did not come back")


FORCINGS: dict[str, Callable[[int, Sequence[str]], Process]] = {
    "set_tid": _by_set_tid,
    "ns_last_pid": _by_last_pid,
    "pid_max": _by_small_pid_max,
}


def _spawn(pid: int, sibling: bool, exits: int = _NEVER, program: Sequence[str] = ()) -> Process:
    pidfd = ctypes.c_int(-1)
    words = _strings(program) if program else None
    for _ in range(_TRIES):
        result = _helper().forced_spawn(pid, int(sibling), exits, words, _environment(), ctypes.byref(pidfd))
        if result > 0:
            return Process(result, pidfd.value)
        if result != -errno.EEXIST:
            raise OSError(-result, f"clone3: {os.strerror(-result)}")
        time.sleep(1e-4)  # the last owner is dead and about to leave
    raise NoNumber(f"{pid} is taken")


def _strings(words: Sequence[str]) -> "ctypes.Array[ctypes.c_char_p]":
    return (ctypes.c_char_p * (len(words) + 1))(*map(os.fsencode, words), None)


@functools.cache
def _environment() -> "ctypes.Array[ctypes.c_char_p]":
    return _strings([f"{key}={value}" for key, value in os.environ.items()])


@functools.cache
def _helper() -> ctypes.CDLL:
    return ctypes.CDLL(os.environ[_HELPER_VARIABLE])


# Running a function in a namespace


@functools.cache
def missing() -> str | None:
    """Why no namespace can be made and no number be forced here; None when all is well."""
    if not shutil.which("cc"):
        return "no C compiler"
    try:
        run_in_namespace(f"{__name__}:_probe")
    except (OSError, RuntimeError, subprocess.SubprocessError) as error:
        return f"no pid namespace with forced numbers: {error}"
    return None


def _probe() -> None:
    spawn_stranger(300).end()


def run_in_namespace(target: str, *arguments: object, timeout_s: float = 60.0) -> Any:
    """Run a function as a child of the init of a fresh pid namespace, and return its result.

    Args:
        target: "module:function", importable from the root of the project.
        arguments: JSON values, as the result is.
        timeout_s: after so long the namespace is killed with all in it.

    Raises:
        RuntimeError: the function raised; with its traceback.
        TimeoutExpired: it took too long.
    """
    with tempfile.TemporaryDirectory() as folder:
        as_root = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
        command = ["unshare", *as_root, "--pid", "--fork", "--mount-proc", "--kill-child"]
        python = [sys.executable, "-m", __name__, target, json.dumps(arguments), folder]
        path = os.pathsep.join([str(PROJECT), str(PROJECT / "src")])
        environment = os.environ | {_HELPER_VARIABLE: _built_helper(), "PYTHONPATH": path}
        done = subprocess.run(
            [*command, *python], cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=timeout_s,
            stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip
        result = Path(folder, "result")
        if not result.exists():
            raise RuntimeError(f"{target} gave no result (exit {done.returncode}):\n{done.stdout}{done.stderr}")
        return json.loads(result.read_text())


@functools.cache
def _built_helper() -> str:
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder)
    helper = f"{folder}/forced.so"
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", helper, str(_SOURCE)], check=True, capture_output=True)
    return helper


def _main(target: str, arguments: str, folder: str) -> None:
    """Be the init: ignoring SIGCHLD, so that orphans and strangers leave no zombie behind."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        module, _, function = target.partition(":")
        result = getattr(importlib.import_module(module), function)(*json.loads(arguments))
        unfinished = Path(folder, "unfinished")
        unfinished.write_text(json.dumps(result))
        unfinished.rename(Path(folder, "result"))
        return
    try:
        Process(pid, os.pidfd_open(pid)).has_ended(within_s=3600)
    except ProcessLookupError:  # it was fast
        return


if __name__ == "__main__":
    _main(*sys.argv[1:])
