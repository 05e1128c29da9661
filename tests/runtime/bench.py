"""A supervision with real processes, whose store and spawner are in the test's hand."""

import os
import tempfile
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Self, cast

from pidward.core import events as on
from pidward.core.actions import Record
from pidward.core.adoption import Life
from pidward.core.model import EventRow, Phase, Wanted, Worker, WorkerName
from pidward.core.spec import Configuration, Execution, LogMode, LogPolicy, RestartPolicy, ServiceSpec, StopPolicy
from pidward.core.units import Instant, Seconds
from pidward.kernel.cgroup import Located
from pidward.kernel.limits import read_limit
from pidward.kernel.pidfd import Pidfd
from pidward.kernel.spawn import Failure, Prepared, Spawner, Started
from pidward.kernel.wait import reap, wait_exit
from pidward.logs.client import Pump
from pidward.runtime.loop import Loop
from pidward.runtime.supervise import Supervision
from pidward.runtime.trees import Trees
from pidward.store.rows import Scale
from pidward.store.store import Store

PATIENCE = 20.0
WEB = WorkerName("web", 1)
QUICK = RestartPolicy(delay=Seconds(0.01), max_delay=Seconds(0.01), burst=0)
QUIET = LogPolicy(mode=LogMode.NONE)


def web(command: Sequence[str] = ("/bin/sleep", "infinity"), **keys: object) -> ServiceSpec:
    """A service of one worker."""
    chosen: dict[str, object] = {"restart": QUICK, "stop": StopPolicy(grace=Seconds(5.0)), "logs": QUIET, **keys}
    return ServiceSpec("web", Execution(tuple(command)), **chosen)  # type: ignore[arg-type]


class MemoryStore:
    """Remembers in memory what it is told. ``on_hurry`` is called when something has to be on the disk."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.rows: list[EventRow] = []
        self.on_hurry: Callable[[], None] = lambda: None
        self.hurried, self.settled = 0, float("inf")

    def record(self, record: Record, wall: float, at: Instant, tree: str | None, life: Life | None = None) -> EventRow:
        del at, tree, life
        self.records.append(record)
        after = None if record.after is None else record.after.value
        return self._row(wall, "transition", str(record.worker), record.reason, {"after": after})

    def note(self, kind: str, worker: str, text: str, data: dict[str, object], wall: float) -> EventRow:
        return self._row(wall, kind, worker, text, data)

    def _row(self, wall: float, kind: str, worker: str, text: str, data: dict[str, object]) -> EventRow:
        self.rows.append(EventRow(len(self.rows) + 1, wall, kind, worker, text, data))
        return self.rows[-1]

    def hurry(self) -> int:
        self.on_hurry()
        self.hurried += 1
        return self.hurried

    def is_settled(self, ticket: int) -> bool:
        return ticket <= self.settled

    def forget(self, worker: WorkerName) -> None: ...

    def scales(self) -> Mapping[str, Scale]:
        return {}

    def scale(self, service: str, workers: int, of: int) -> None: ...

    def wanted(self) -> Mapping[WorkerName, Wanted]:
        return {}


class MoodySpawner:
    """The real spawner, which first answers with the failures that it is given."""

    def __init__(self, native: bool = True) -> None:
        self._real = Spawner(native=native)
        self.failures: deque[Failure] = deque()
        self.calls = 0

    def prepare(self, plan: object) -> Prepared:
        return self._real.prepare(plan)  # type: ignore[arg-type]

    def spawn(self, batch: Sequence[Prepared], threads: int = 1) -> list[Started | Failure]:
        self.calls += 1
        results: list[Started | Failure] = []
        for prepared in batch:
            results += [self.failures.popleft()] if self.failures else self._real.spawn([prepared], threads)
        return results

    def close(self) -> None:
        self._real.close()


class Bench:
    """Loop, trees and supervision of one instance; nothing of it outlives the test."""

    def __init__(self, place: Located, native: bool = True) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="pw-")
        directory = self._directory.name
        self.loop = Loop()
        self.store, self.spawner = MemoryStore(), MoodySpawner(native)
        self.trees = Trees("runtime-test", directory, place)
        self._pump = Pump(self.loop, directory, lambda _text: None)
        self.supervision = Supervision(
            self.loop, cast("Spawner", self.spawner), self.trees, cast("Store", self.store), self._pump,
            instance="runtime-test", nofile=read_limit("nofile"),
        )  # fmt: skip
        self.is_finished = False
        self.supervision.on_finish = lambda _finish: setattr(self, "is_finished", True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.store.on_hurry, self.store.settled = lambda: None, float("inf")
        self.supervision.feed(on.ShutdownAsked("the end of the test", at_once=True))
        self.turn_until(lambda: self.is_finished)
        pump = Pidfd.open(self._pump.pid) if self._pump.pid else None
        self._pump.close()
        if pump is not None:
            with pump:
                assert wait_exit(pump, Seconds(PATIENCE))
                reap(pump)
        self.trees.close()
        self.spawner.close()
        self.loop.close()
        self._directory.cleanup()

    def load(self, *services: ServiceSpec) -> None:
        self.supervision.load(Configuration(services))

    @property
    def worker(self) -> Worker:
        """web/1."""
        return self.supervision.core.workers[WEB]

    @property
    def phases(self) -> list[str]:
        """Through which web/1 went."""
        return [record.after.value for record in self.store.records if record.worker == WEB and record.after]

    @property
    def reasons(self) -> list[str]:
        return [record.reason for record in self.store.records if record.worker == WEB]

    def turn_until(self, condition: Callable[[], bool]) -> None:
        """Turn the loop until it holds."""
        deadline = self.loop.now() + PATIENCE
        while not condition():
            assert self.loop.now() < deadline, self.reasons
            self.loop.turn(1.0)

    def turn_until_phase(self, phase: Phase) -> None:
        self.turn_until(lambda: self.worker.phase is phase)


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))
