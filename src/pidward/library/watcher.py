"""An asyncio child watcher, and with it a Popen, that cannot take one process for another.

asyncio up to 3.13 lets a child watcher wait for what ``create_subprocess_exec`` starts; everything else (``kill``,
``terminate``, closing the transport) it does through subprocess.Popen, which acts by number. This watcher holds a
pidfd from the moment it is told of the child, waits by it, and turns the Popen into one that signals and polls by it.

From Python 3.14 on there are no child watchers: use ``pidward.aio.spawn``, which holds the process from birth.
"""

import asyncio  # noqa: TID251 - for programs that run on it; the supervisor never imports this
import subprocess  # noqa: TID251 - asyncio's own children are made by it
import threading
import warnings
from asyncio.unix_events import AbstractChildWatcher  # noqa: TID251
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeVarTuple, Unpack, cast

from pidward.core.model import ExitStatus
from pidward.kernel.errors import Gone, NotChild, NotLeader
from pidward.kernel.pidfd import Pidfd, State
from pidward.kernel.wait import exit_status_of, reap, wait_exit

UNKNOWN = 255
"""Reported, with a warning, where nobody can tell how a child ended; asyncio's own watchers do the same."""


_Ts = TypeVarTuple("_Ts")


class _Child(NamedTuple):
    loop: asyncio.AbstractEventLoop
    handle: Pidfd
    callback: Callable[..., object]
    args: tuple[Any, ...]


class PidfdChildWatcher(AbstractChildWatcher):
    """Waits for asyncio's subprocesses by pidfd, in the running loop of whichever thread starts them.

    The exit code is the true one also when somebody else reaped the child (Linux 6.15). Between the fork inside
    subprocess.Popen and this watcher, which asyncio calls next, a child can be reaped by others: then it is reported
    with ``UNKNOWN``, and only if its number went to another child of ours within those microseconds would that one be
    held. ``pidward.aio.spawn`` has no such moment.

    Use: ``asyncio.get_event_loop_policy().set_child_watcher(PidfdChildWatcher())``.
    """

    def __init__(self) -> None:
        self._children: dict[int, _Child] = {}
        self._lock = threading.Lock()

    def add_child_handler(self, pid: int, callback: Callable[[int, int, Unpack[_Ts]], object], *args: *_Ts) -> None:
        """Call ``callback(pid, returncode, *args)`` in the running loop when the child has ended."""
        loop = asyncio.get_running_loop()
        try:
            handle = Pidfd.open(pid)
        except (Gone, NotLeader):
            loop.call_soon(callback, pid, _returncode(pid, None), *args)
            return
        _hold(args, handle)
        with self._lock:
            before = self._children.pop(pid, None)
            self._children[pid] = _Child(loop, handle, callback, args)
        if before is not None:
            _let_go(before)
        loop.add_reader(handle.fileno(), self._ended, pid)

    def remove_child_handler(self, pid: int) -> bool:
        """Call nobody; whether somebody would have been called."""
        with self._lock:
            child = self._children.pop(pid, None)
        if child is None:
            return False
        _let_go(child)
        return True

    def attach_loop(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Nothing to do: each child is waited for in the loop that started it."""

    def is_active(self) -> bool:
        """Always."""
        return True

    def close(self) -> None:
        """Wait for nobody any more."""
        with self._lock:
            children, self._children = self._children, {}
        for child in children.values():
            _let_go(child)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Asyncio enters and leaves the watcher at each start."""

    def _ended(self, pid: int) -> None:
        with self._lock:
            child = self._children.pop(pid)
        child.loop.remove_reader(child.handle.fileno())
        popen = _popen_of(child.args)
        status = popen.poll_held() if isinstance(popen, _HeldPopen) else _how(child.handle)
        child.callback(pid, _returncode(pid, status), *child.args)
        child.handle.close()


class _HeldPopen(subprocess.Popen[Any]):
    """A Popen that acts through the pidfd. What asyncio made is turned into this by changing its class."""

    _held: Pidfd
    _status: ExitStatus | None

    def hold(self, handle: Pidfd) -> None:
        """Act through a handle, which the watcher closes after the end."""
        self._held, self._status = handle, None

    def poll_held(self) -> ExitStatus | None:
        """How it ended, once; None while it runs. Reaps it."""
        if self._status is None and self._held.state() is not State.RUNNING:
            self._status = _how(self._held)
        return self._status

    def poll(self) -> int | None:
        """As subprocess says it."""
        if self.returncode is None:
            status = self.poll_held()
            if status is not None:
                self.returncode = _returncode(self.pid, status)
        return cast("int | None", self.returncode)

    def wait(self, timeout: float | None = None) -> int:
        """As subprocess says it."""
        if self.returncode is None and self._status is None and not wait_exit(self._held, cast("Any", timeout)):
            raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
        code = self.poll()
        assert code is not None
        return code

    def send_signal(self, sig: int) -> None:
        """Only ever to this process."""
        if self.poll() is None:
            self._held.signal(sig)

    def __del__(self) -> None:
        """A Popen would look for its child by number here."""
        if hasattr(self, "_held"):
            if not self._held.is_closed and self._held.state() is not State.RUNNING:
                with suppress(NotChild):
                    reap(self._held)
            self._held.close()


def _hold(args: tuple[Any, ...], handle: Pidfd) -> None:
    popen = _popen_of(args)
    if type(popen) is subprocess.Popen:
        popen.__class__ = _HeldPopen
        cast("_HeldPopen", popen).hold(handle)


def _popen_of(args: tuple[Any, ...]) -> subprocess.Popen[Any] | None:
    """The Popen of the transport that asyncio gives its own callback."""
    if len(args) == 1 and isinstance(args[0], asyncio.SubprocessTransport):
        found = args[0].get_extra_info("subprocess")
        return found if isinstance(found, subprocess.Popen) else None
    return None


def _let_go(child: _Child) -> None:
    if not child.handle.is_closed:
        child.loop.remove_reader(child.handle.fileno())
        if not isinstance(_popen_of(child.args), _HeldPopen):
            child.handle.close()


def _how(handle: Pidfd) -> ExitStatus | None:
    try:
        return reap(handle)
    except NotChild:
        return exit_status_of(handle)


def _returncode(pid: int, status: ExitStatus | None) -> int:
    if status is not None and status.cause is not None:
        return status.cause
    warnings.warn(f"nobody can tell how child process {pid} ended: reporting {UNKNOWN}", RuntimeWarning, stacklevel=2)
    return UNKNOWN
