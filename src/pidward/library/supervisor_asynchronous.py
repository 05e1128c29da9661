"""The embedded supervisor for asyncio. It still runs in its thread; only who waits for it waits in the event loop."""

import asyncio  # noqa: TID251 - for programs that run on it; the supervisor never imports this
import os
from collections.abc import AsyncIterator
from contextlib import suppress
from types import TracebackType
from typing import Self

from pidward.control.goals import Goal
from pidward.core.model import EventRow, ProcessId, Worker
from pidward.core.signals import parse_signal
from pidward.core.spec import ServiceSpec
from pidward.library import supervisor as plain
from pidward.library.engine import BY
from pidward.library.supervisor import MOST_EVENTS, configuration_of


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

    async def events(self) -> AsyncIterator[EventRow]:
        """What happens from the first ``anext`` on; ends with the supervisor. A slow reader loses the oldest."""
        loop, queue = asyncio.get_running_loop(), asyncio.Queue[EventRow | None](MOST_EVENTS)

        def put(event: EventRow | None) -> None:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(event)

        def take(event: EventRow | None) -> None:
            with suppress(RuntimeError):  # the event loop was closed: nobody reads any more
                loop.call_soon_threadsafe(put, event)

        unsubscribe = await asyncio.to_thread(self._engine.subscribe, take, lambda: take(None))
        try:
            while (event := await queue.get()) is not None:
                yield event
        finally:
            unsubscribe()
