"""Processes for asyncio: the same ones, waited for by their pidfd in the event loop's own selector.

No thread, no SIGCHLD, no child watcher. Each wait holds a duplicate of the pidfd of its own, so that any number of
them can wait for one process and each can be cancelled alone.
"""

import asyncio  # noqa: TID251 - for programs that run on it; the supervisor never imports this
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import IO, Self

from pidward.core.model import ExitStatus, ProcessId
from pidward.core.signals import SIGTERM
from pidward.kernel.pidfd import Pidfd
from pidward.library import process as plain
from pidward.library import spawning
from pidward.library.process import GRACE, PATIENCE
from pidward.library.streams import HasFileno, Stream
from pidward.library.trees import Tree, TreeWatch
from pidward.runtime.trees import LOOK_AGAIN


async def wait_ended(process: Pidfd) -> None:
    """Wait until a process has ended. Reaps nothing; the handle is borrowed, and may be closed meanwhile."""
    with Pidfd.copy_of(process.fileno(), process.id.pid) as copy:
        async with _readable(copy.fileno()) as ended:
            await ended.wait()


async def wait_empty(tree: Tree) -> None:
    """Wait until nobody of a tree lives."""
    with TreeWatch(tree) as watch:
        fd = watch.fileno()
        if fd is None:
            while tree.is_populated():
                await asyncio.sleep(LOOK_AGAIN)
            return
        async with _readable(fd) as changed:
            while tree.is_populated():
                await changed.wait()
                changed.clear()
                watch.drain()


@asynccontextmanager
async def _readable(fd: int) -> AsyncIterator[asyncio.Event]:
    """An event that is set while a descriptor is readable."""
    loop, event = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(fd, event.set)
    try:
        yield event
    finally:
        loop.remove_reader(fd)


class Process:
    """As ``pidward.Process``, with what waits made awaitable. Made by ``spawn`` and ``open_process`` of pidward.aio.

    As an asynchronous context manager it leaves nothing behind, also when the block is cancelled.

    stdin: a StreamWriter; stdout, stderr: StreamReaders; None where no pipe was asked for.
    """

    def __init__(self, process: plain.Process) -> None:
        """Use spawn or open_process. Owns the process."""
        self._process = process
        self._connected: list[tuple[asyncio.BaseTransport, IO[bytes]]] = []
        self.stdin: asyncio.StreamWriter | None = None
        self.stdout: asyncio.StreamReader | None = None
        self.stderr: asyncio.StreamReader | None = None

    def __repr__(self) -> str:
        return repr(self._process)

    @property
    def id(self) -> ProcessId:
        """Who it is."""
        return self._process.id

    @property
    def returncode(self) -> int | None:
        """As ``pidward.Process.returncode``."""
        return self._process.returncode

    def fileno(self) -> int:
        """The pidfd; it stays ours."""
        return self._process.fileno()

    def is_alive(self) -> bool:
        """It has not ended."""
        return self._process.is_alive()

    def poll(self) -> ExitStatus | None:
        """How it ended; None while it runs."""
        return self._process.poll()

    def processes(self) -> list[int]:
        """Numbers of the living processes of its tree, for display."""
        return self._process.processes()

    def signal(self, number: int | str, *, tree: bool = False) -> bool:
        """As ``pidward.Process.signal``."""
        return self._process.signal(number, tree=tree)

    async def wait(self, timeout: float | None = None) -> ExitStatus:
        """As ``pidward.Process.wait``. Cancelling it, or its timeout, leaves the process alone."""
        async with asyncio.timeout(timeout):
            return await self._process.wait_async()

    async def stop(self, signal: int | str = SIGTERM, grace: float = GRACE) -> ExitStatus:
        """As ``pidward.Process.stop``. Cancelled within the grace it kills the whole tree at once."""
        self._process._begin_stop(signal)
        try:
            await self.wait(grace)
        except TimeoutError:
            pass
        except asyncio.CancelledError:
            self._process._kill()
            raise
        return await self.kill_tree()

    async def kill_tree(self, timeout: float = PATIENCE) -> ExitStatus:
        """As ``pidward.Process.kill_tree``. The kill is done before it first waits, so cancelling it saves nobody."""
        process = self._process
        process._kill()
        async with asyncio.timeout(timeout):
            await process.wait_async()
            await wait_empty(process._tree)
        return process.kill_tree()

    async def communicate(self, data: bytes | None = None, timeout: float | None = None) -> tuple[bytes, bytes]:
        """As ``pidward.Process.communicate``. After a timeout, or cancelled, call it again: nothing read is lost."""
        async with asyncio.timeout(timeout), asyncio.TaskGroup() as tasks:
            tasks.create_task(self._write(data))
            tasks.create_task(self._collect(1, self.stdout))
            tasks.create_task(self._collect(2, self.stderr))
            tasks.create_task(self.wait())
        output = self._process._output
        return bytes(output.pop(1, b"")), bytes(output.pop(2, b""))

    async def _collect(self, number: int, stream: asyncio.StreamReader | None) -> None:
        """Keep each part at once, so that a cancelled read loses none."""
        while stream is not None and (part := await stream.read(plain.CHUNK)):
            self._process._output.setdefault(number, bytearray()).extend(part)

    async def _write(self, data: bytes | None) -> None:
        if self.stdin is None or self.stdin.is_closing():
            return
        try:
            self.stdin.write(data or b"")
            await self.stdin.drain()
        except ConnectionError:  # it has stopped reading
            pass
        finally:
            self.stdin.close()

    async def close(self) -> None:
        """As ``pidward.Process.close``."""
        for transport, _ in self._connected:
            if not isinstance(transport, asyncio.WriteTransport):
                transport.close()
            elif not transport.is_closing() or transport.get_write_buffer_size():
                transport.abort()  # what was not written will not be
        while any(not pipe.closed for _, pipe in self._connected):
            await asyncio.sleep(0)  # the transports close them, in one of the next turns
        self._process.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        end = asyncio.ensure_future(self._end())
        try:
            await asyncio.shield(end)
        except asyncio.CancelledError:
            await asyncio.wait([end])  # they have been killed: milliseconds until they are reaped
            raise

    async def _end(self) -> None:
        try:
            if self._process._is_ours and not self._process._handle.is_closed:
                await self.kill_tree()
        finally:
            await self.close()

    async def _connect(self) -> Self:
        loop, process = asyncio.get_running_loop(), self._process
        if process.stdin is not None:
            protocol = asyncio.StreamReaderProtocol(asyncio.StreamReader())
            writing, _ = await loop.connect_write_pipe(lambda: protocol, process.stdin)
            self._connected.append((writing, process.stdin))
            self.stdin = asyncio.StreamWriter(writing, protocol, None, loop)
        if process.stdout is not None:
            self.stdout = await self._reader(process.stdout)
        if process.stderr is not None:
            self.stderr = await self._reader(process.stderr)
        return self

    async def _reader(self, pipe: IO[bytes]) -> asyncio.StreamReader:
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        reading, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, pipe)
        self._connected.append((reading, pipe))
        return reader


async def spawn(
    command: spawning.Command,
    *,
    cwd: str | os.PathLike[str] | None = None,
    env: Mapping[str, str] | None = None,
    stdin: Stream = None,
    stdout: Stream = None,
    stderr: Stream = None,
    descriptors: Mapping[int, int | HasFileno] | None = None,
    user: str | int | None = None,
    group: str | int | None = None,
    groups: Sequence[str | int] | None = None,
    umask: int | None = None,
    limits: Mapping[str, spawning.Limit] | None = None,
    nice: int | None = None,
    oom_score_adj: int | None = None,
) -> Process:
    """As ``pidward.spawn``, which see for the arguments. Cancelled, it leaves nothing behind.

    The start itself takes the loop's time: some 100 us, and about 10 ms where the native part is missing.
    """
    process = Process(spawning.spawn(
        command, cwd=cwd, env=env, stdin=stdin, stdout=stdout, stderr=stderr, descriptors=descriptors, user=user,
        group=group, groups=groups, umask=umask, limits=limits, nice=nice, oom_score_adj=oom_score_adj,
    ))  # fmt: skip
    try:
        return await process._connect()
    except BaseException:
        await process.__aexit__(None, None, None)
        raise


def open_process(target: int | str | ProcessId | plain.Process | Process) -> Process:
    """As ``pidward.open_process``."""
    return Process(plain.open_process(target._process if isinstance(target, Process) else target))
