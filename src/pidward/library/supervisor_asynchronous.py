"""The embedded supervisor for asyncio. It still runs in its thread; only who waits for it waits in the event loop."""

import asyncio  # noqa: TID251 - for programs that run on it; the supervisor never imports this
import os
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

from pidward.control.goals import Goal
from pidward.core.model import EventRow, ProcessId, Worker
from pidward.core.signals import parse_signal
from pidward.core.spec import ServiceSpec
from pidward.library import supervisor as plain
from pidward.library.engine import BY, Engine
from pidward.library.services import configuration_of
from pidward.library.supervisor import MOST_EVENTS


class Supervisor:
    """As ``pidward.Supervisor``, with what waits made awaitable. Cancelling a wait leaves what was asked for asked."""

    def __init__(
        self, *services: ServiceSpec, state_dir: str | os.PathLike[str] | None = None, name: str = "embedded"
    ) -> None:
        self._engine = plain.Supervisor(*services, state_dir=state_dir, name=name)._engine

    @classmethod
    def from_file(
        cls, path: str | os.PathLike[str], *, state_dir: str | os.PathLike[str] | None = None, name: str = "embedded"
    ) -> Self:
        """As ``pidward.Supervisor.from_file``."""
        self = cls.__new__(cls)
        self._engine = plain.Supervisor.from_file(path, state_dir=state_dir, name=name)._engine
        return self

    async def __aenter__(self) -> Self:
        starting = self._engine.begin()
        try:
            await asyncio.shield(asyncio.wrap_future(starting))
        except asyncio.CancelledError:
            await self._end()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        ending = asyncio.ensure_future(self._end())
        try:
            await asyncio.shield(ending)
        except asyncio.CancelledError:
            self._engine.shut_down(at_once=True)
            await asyncio.wait([ending])
            raise
        if error is None:
            self._engine.ended.result()

    async def _end(self) -> None:
        await asyncio.to_thread(self._engine.close)

    async def start(self, *targets: str, timeout: float | None = None) -> list[Worker]:
        """As ``pidward.Supervisor.start``."""
        reached = self._engine.reach(Goal.UP, targets, lambda desk, names: desk.start(names, BY), timeout)
        return await asyncio.wrap_future(reached)

    async def stop(self, *targets: str, timeout: float | None = None) -> list[Worker]:
        """As ``pidward.Supervisor.stop``."""
        reached = self._engine.reach(Goal.DOWN, targets, lambda desk, names: desk.stop(names, BY), timeout)
        return await asyncio.wrap_future(reached)

    async def restart(self, *targets: str, timeout: float | None = None) -> list[Worker]:
        """As ``pidward.Supervisor.restart``."""
        reached = self._engine.reach(Goal.REPLACED, targets, lambda desk, names: desk.restart(names, BY), timeout)
        return await asyncio.wrap_future(reached)

    async def wait_ready(self, *targets: str, timeout: float | None = None) -> list[Worker]:
        """As ``pidward.Supervisor.wait_ready``."""
        return await asyncio.wrap_future(self._engine.reach(Goal.UP, targets, None, timeout))

    async def signal(self, target: str, number: int | str, *, tree: bool = False) -> list[ProcessId]:
        """As ``pidward.Supervisor.signal``."""
        sent = parse_signal(number)
        return await asyncio.wrap_future(self._engine.ask(
            lambda desk: [desk.signal(name, sent, BY, tree) for name in desk.resolve([target])]
        ))  # fmt: skip

    async def status(self, *targets: str) -> list[Worker]:
        """As ``pidward.Supervisor.status``."""
        return await asyncio.wrap_future(self._engine.ask(
            lambda desk: [worker for name in desk.resolve(targets) if (worker := desk.worker(name)) is not None]
        ))  # fmt: skip

    async def change(self, *services: ServiceSpec) -> str:
        """As ``pidward.Supervisor.change``."""
        return await asyncio.wrap_future(self._engine.change(configuration_of(services)))

    def events(self) -> "Events":
        """What happens from now on: an asynchronous iterator that ends with the supervisor."""
        return Events(self._engine)


class Events:
    """As ``pidward.Supervisor.events`` gives them: an asynchronous iterator and context manager. For one event loop.

    dropped: how many were lost because nobody took them in time.
    """

    def __init__(self, engine: Engine) -> None:
        self.dropped = 0
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[EventRow] = deque(maxlen=MOST_EVENTS)
        self._changed = asyncio.Event()
        self._is_over = False
        # Waits for a turn of the supervisor's thread, which is within a millisecond or so.
        self._unsubscribe = engine.subscribe(
            lambda event: self._call(self._take, event), lambda: self._call(self._end)
        )  # fmt: skip

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> EventRow:
        """Wait for the next one."""
        while not self._waiting:
            if self._is_over:
                raise StopAsyncIteration
            self._changed.clear()
            await self._changed.wait()
        return self._waiting.popleft()

    async def close(self) -> None:
        """No more events; who waits for one is told."""
        self._unsubscribe()
        self._end()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def _call(self, call: Callable[..., None], *args: EventRow) -> None:
        with suppress(RuntimeError):  # the event loop was closed: nobody reads any more
            self._loop.call_soon_threadsafe(call, *args)

    def _take(self, event: EventRow) -> None:
        if not self._is_over:
            self.dropped += len(self._waiting) == MOST_EVENTS
            self._waiting.append(event)
            self._changed.set()

    def _end(self) -> None:
        self._is_over = True
        self._changed.set()
