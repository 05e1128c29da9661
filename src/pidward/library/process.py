"""A process, whoever started it: signalled, waited for and ended by its pidfd, never by its number."""

import os
import select
import threading
import warnings
from contextlib import suppress
from types import TracebackType
from typing import IO, Self

from pidward.core.model import UNKNOWN_EXIT, ExitStatus, ProcessId
from pidward.core.signals import SIGKILL, SIGTERM, parse_signal
from pidward.core.units import Seconds
from pidward.kernel.cgroup import Group, GroupV1
from pidward.kernel.clock import boottime
from pidward.kernel.errors import Denied, NotChild
from pidward.kernel.pidfd import Pidfd, State
from pidward.kernel.wait import exit_status_of, reap, wait_exit
from pidward.library.home import home
from pidward.library.trees import DescendantTree, Tree, wait_empty
from pidward.runtime.foreign import open_process as open_spelled

GRACE = 10.0
"""Seconds between the polite and the firm signal, unless another time is given."""
PATIENCE = 10.0
"""Seconds in which what got SIGKILL must be gone; only a process stuck in the kernel takes longer."""
_KILL_AGAIN = 0.5
CHUNK = 65536
"""Bytes of output that are taken at a time."""

Pipes = tuple[IO[bytes] | None, IO[bytes] | None, IO[bytes] | None]


class Process:
    """One process, and the tree of those that it started. Made by ``spawn`` and ``open_process``.

    As a context manager it leaves nothing behind: at the end of the block a spawned process and its whole tree are
    dead and reaped. A process that others started is only let go of.

    Methods may be called from any thread; several may wait at a time.

    id: who it is; printed PID:INODE, which ``open_process`` of any program on this boot accepts.
    stdin, stdout, stderr: our ends of the pipes that were asked for, unbuffered; else None.
    """

    def __init__(
        self, handle: Pidfd, tree: Tree, *, group: Group | GroupV1 | None, spawned: bool, pipes: Pipes = (None,) * 3
    ) -> None:
        """Use spawn or open_process. Owns the handle, the group and the pipes."""
        self.id: ProcessId = handle.id
        self.stdin, self.stdout, self.stderr = pipes
        self._handle, self._tree, self._group = handle, tree, group
        self._parent = os.getpid() if spawned else 0  # a fork of ours must leave the process alone
        self._status: ExitStatus | None = None
        self._lock = threading.Lock()
        self._settled = not spawned  # the home has been told that the tree is done with
        self._output: dict[int, bytearray] = {}

    @property
    def _is_ours(self) -> bool:
        """We spawned it, and are not a fork of the program that did."""
        return self._parent == os.getpid()

    def __repr__(self) -> str:
        if self._status is not None:
            return f"<Process {self.id} {self._status}>"
        return f"<Process {self.id}{' closed' if self._handle.is_closed else ''}>"

    # --- questions

    def fileno(self) -> int:
        """The pidfd, readable when the process has ended: for select, poll and event loops. It stays ours."""
        return self._handle.fileno()

    def is_alive(self) -> bool:
        """It has not ended. A zombie has."""
        return self._status is None and self._handle.state() is State.RUNNING

    def poll(self) -> ExitStatus | None:
        """How it ended; None while it runs. Waits for nothing; reaps a process that we spawned."""
        if self._status is not None:
            return self._status
        if self._handle.state() is State.RUNNING:
            return None
        return self._settle()

    @property
    def returncode(self) -> int | None:
        """The exit code, or minus the signal that ended it, as subprocess says it.

        None while it runs, and where nobody can tell how it ended: ``poll`` tells these apart.
        """
        status = self.poll()
        return None if status is None else status.cause

    def processes(self) -> list[int]:
        """Numbers of the living processes of its tree, for display: a number is nobody's name."""
        return self._tree.processes()

    # --- waiting

    def wait(self, timeout: float | None = None) -> ExitStatus:
        """Block until it has ended, and tell how.

        Args:
            timeout: seconds; None waits for ever.

        Returns:
            The true status with its source, also of processes that are not our children (Linux 6.15, or while they are
            zombies), and of ours when somebody else reaped them. Where nobody can tell, code and signal are None;
            never an invented number.

        Raises:
            TimeoutError: it still runs.
        """
        if self._status is not None:
            return self._status
        if not wait_exit(self._handle, None if timeout is None else Seconds(timeout)):
            raise TimeoutError(f"process {self.id} still runs after {timeout:g} s")
        return self._settle()

    async def wait_async(self) -> ExitStatus:
        """As ``wait``, for asyncio: the event loop runs on. Cancelling it leaves the process alone."""
        from pidward.library.asynchronous import wait_ended  # noqa: PLC0415 - asyncio is for those who use it

        if self._status is None:
            await wait_ended(self._handle)
        return self._settle()

    def communicate(self, data: bytes | None = None, timeout: float | None = None) -> tuple[bytes, bytes]:
        """Write to its stdin, read all of its stdout and stderr, wait for its end.

        Args:
            data: for stdin, which is closed then; needs ``stdin=PIPE``.
            timeout: seconds for all of it.

        Returns:
            What was read from stdout and stderr; empty where there is no pipe.

        Raises:
            TimeoutError: call again to go on; nothing that was read is lost. Data that was not written is.
        """
        deadline = None if timeout is None else boottime() + timeout
        self._exchange(memoryview(data or b""), deadline)
        self.wait(None if deadline is None else max(0.0, deadline - boottime()))
        return bytes(self._output.pop(1, b"")), bytes(self._output.pop(2, b""))

    def _exchange(self, data: memoryview, deadline: float | None) -> None:
        poll = select.poll()
        streams = {}
        for number, file in enumerate((self.stdin, self.stdout, self.stderr)):
            if file is not None and not file.closed:
                streams[file.fileno()] = number, file
                poll.register(file, select.POLLIN if number else select.POLLOUT)
        while streams:
            left = None if deadline is None else deadline - boottime()
            if left is not None and left <= 0:
                raise TimeoutError(f"process {self.id} has not closed its pipes in time")
            for fd, _ in poll.poll(None if left is None else left * 1000):
                number, file = streams[fd]
                if number:
                    part = os.read(fd, CHUNK)
                    self._output.setdefault(number, bytearray()).extend(part)
                    done = not part
                else:
                    data, done = _written(fd, data)
                if done:
                    poll.unregister(fd)
                    del streams[fd]
                    file.close()

    # --- acts

    def signal(self, number: int | str, *, tree: bool = False) -> bool:
        """Send a signal: 15, signal.SIGTERM, "TERM" or "SIGTERM".

        Args:
            number: the signal.
            tree: to every process of the tree.

        Returns:
            False when it has ended already and nobody got it. It never reaches another process.

        Raises:
            Denied: not ours to signal; with ``tree`` all others got it.
        """
        sent = parse_signal(number)
        if tree:
            return bool(self._tree.signal_all(sent))
        return self._status is None and self._handle.signal(sent)

    def stop(self, signal: int | str = SIGTERM, grace: float = GRACE) -> ExitStatus:
        """Ask it to end, wait for the grace, then kill what is left of its whole tree.

        Args:
            signal: the polite one; only the process itself gets it.
            grace: seconds.

        Returns:
            How the process ended; by then nobody of its tree lives.

        Raises:
            Denied, TimeoutError: as ``kill_tree``.
        """
        self._begin_stop(signal)
        wait_exit(self._handle, Seconds(grace))
        return self.kill_tree()

    def _begin_stop(self, signal: int | str) -> None:
        if isinstance(self._tree, DescendantTree):
            self._tree.hold()  # who descends from it is not to be found any more when it has ended
        self.signal(signal)

    def kill_tree(self, timeout: float = PATIENCE) -> ExitStatus:
        """SIGKILL the process and all that descends from it, and wait until nobody is left.

        With a cgroup nobody gets away. Without one, descendants are found by walking: those of a spawned process also
        by their INVOCATION_ID, wherever they have gone; those of a foreign one while they descend from it.

        Args:
            timeout: seconds to wait for their end.

        Returns:
            How the process ended.

        Raises:
            Denied: some are not ours to kill; the others are killed.
            TimeoutError: somebody still lives, stuck in the kernel.
            ValueError: the process was not spawned by this program, which descends from it.
        """
        deadline = boottime() + timeout
        self._kill()
        if self._status is None and not wait_exit(self._handle, Seconds(timeout)):
            raise TimeoutError(f"process {self.id} was killed and has not ended after {timeout:g} s")
        status = self._settle()
        while not wait_empty(self._tree, Seconds(_KILL_AGAIN)):
            if boottime() > deadline:
                raise TimeoutError(f"processes that {self.id} started were killed and have not ended: "
                                   f"{self._tree.processes()}")  # fmt: skip
            self._tree.kill()
        self._give_back()
        return status

    def _kill(self) -> None:
        """The tree before its main process: a walk finds it through that."""
        denied: Denied | None = None
        try:
            self._tree.kill()
        except Denied as error:
            denied = error
        if self._status is None:
            self._handle.signal(SIGKILL)
        if denied is not None:
            raise denied

    # --- the end

    def close(self) -> None:
        """Let go, and touch nobody: a spawned process goes on, and is reaped when it ends. Closes the pipes."""
        for file in (self.stdin, self.stdout, self.stderr):
            if file is not None:
                file.close()
        with self._lock:
            handle, self._handle = self._handle, _nobody(self._handle)
        if handle.is_closed:
            return
        if isinstance(self._tree, DescendantTree):
            self._tree.close()
        if self._is_ours and self._status is None:
            home().abandon(handle)
        else:
            handle.close()
        if self._is_ours:
            self._leave_home()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._is_ours and not self._handle.is_closed:
                self.kill_tree()
        finally:
            self.close()

    def __del__(self) -> None:
        if not hasattr(self, "_output") or self._handle.is_closed:
            return
        if self._is_ours and self._status is None:
            warnings.warn(f"nobody waited for {self!r}", ResourceWarning, source=self, stacklevel=2)
        self.close()

    def _settle(self) -> ExitStatus:
        """It has ended: read how, and reap it if it is ours; once."""
        with self._lock:
            if self._status is not None:
                return self._status
            status = self._read_end()
            if status != UNKNOWN_EXIT or self._handle.state() is State.REAPED:
                self._status = status
        self._give_back()
        return status

    def _read_end(self) -> ExitStatus:
        if self._is_ours:
            with suppress(NotChild):  # somebody is tracing it, perhaps
                status = reap(self._handle)
                if status is not None:
                    return status
        return exit_status_of(self._handle)

    def _give_back(self) -> None:
        """Remove the group once nobody lives in it."""
        if not self._is_ours or self._settled or (self._group is not None and self._group.is_populated()):
            return
        self._leave_home()

    def _leave_home(self) -> None:
        with self._lock:
            was_settled, self._settled = self._settled, True
        if not was_settled:
            home().remove(self._group)


def open_process(target: int | str | ProcessId | Process) -> Process:
    """Hold a process that others started, or a second time one of ours.

    Args:
        target: its number; "PID:INODE" or a ProcessId, as ``Process.id`` is printed; or a Process. With an inode it is
            the process that once had this identity, or nobody. With a number it is whoever has that now.

    Returns:
        The process; close it, or use it as a context manager, which leaves it alone. It is never reaped.

    Raises:
        Gone: nobody has the number.
        Recycled: somebody else has it now.
        NotLeader: it is a thread's.
        Unsupported: an inode was given, and this kernel cannot compare (before 6.9).
        ValueError: neither PID nor PID:INODE.
    """
    if isinstance(target, Process):
        handle = Pidfd.copy_of(target.fileno(), target.id.pid)
    elif isinstance(target, ProcessId):
        handle = Pidfd.open(target.pid, target.inode)
    elif isinstance(target, str):
        handle = open_spelled(target)
    else:
        handle = Pidfd.open(target)
    return Process(handle, DescendantTree(handle), group=None, spawned=False)


def _nobody(like: Pidfd) -> Pidfd:
    """A closed handle that still knows who it was."""
    return Pidfd(-1, like.id)


def _written(fd: int, data: memoryview) -> tuple[memoryview, bool]:
    """Write some; what is left, and whether there is no more to be written or nobody to read it."""
    try:
        data = data[os.write(fd, data[: select.PIPE_BUF]) :] if data else data
    except BrokenPipeError:
        return data, True
    return data, not data
