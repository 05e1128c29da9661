"""What a supervisor's workers are to be like when nothing is on its way any more. Pure: no process, no clock.

Only docs/order.md, docs/groups.md and docs/worker-life.md are in here, and none of the ways to get there: whatever
was asked for, in the end each worker is ready, stopped, completed, failed, or waits for somebody who is not there.
Of processes it knows which ones must be those of before, and which ones must never have been seen.
"""

import enum
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

READY, STOPPED, COMPLETED, FAILED, WAITING = "ready", "stopped", "completed", "failed", "waiting"
_DOWN = (STOPPED, COMPLETED, FAILED)


class Nature(enum.Enum):
    """How the program of a service behaves."""

    SERVICE = "service"  # runs until somebody ends it
    JOB = "job"  # completes
    BROKEN = "broken"  # fails as often as it may


class Service(NamedTuple):
    """What the file says."""

    name: str
    workers: int = 1
    nature: Nature = Nature.SERVICE
    needs: tuple[tuple[str, str], ...] = ()  # (service, condition)
    group: str | None = None  # all groups are one_for_all
    version: int = 0  # of what is fixed when a process starts
    note: int = 0  # of what is not
    rolling: int = 0


File = tuple[Service, ...]
Name = tuple[str, int]


@dataclass
class Worker:
    """One of them. None for is_new, restarts and exit: nobody can tell which of two events came first."""

    phase: str
    wanted: str = "up"
    process: str | None = None  # as it was seen last
    is_new: bool | None = False  # its process must be one that was never seen
    restarts: int | None = 0
    exit: str | None = None  # a signal's name, or a code

    def wait(self, how: str = "SIGTERM") -> None:
        """It is to start as soon as it may; a process that it has goes first."""
        self._end(WAITING, "up", how)

    def stop(self) -> None:
        """It is down."""
        self._end(STOPPED, "down", "SIGTERM")

    def _end(self, phase: str, wanted: str, how: str) -> None:
        if self.phase == READY:
            self.exit = how
        self.phase, self.wanted, self.process, self.is_new = phase, wanted, None, False


class Model:
    """The workers of a file."""

    def __init__(self, file: File) -> None:
        self.services: dict[str, Service] = {}
        self.workers: dict[Name, Worker] = {}
        self._seen: set[str] = set()
        self._doomed: set[str] = set()  # were sent a signal that ends them
        self.reload(file)

    # --- what may be asked

    def start(self, names: Sequence[Name]) -> None:
        """Want them up, with all that they need."""
        for name in names:
            self._call(name[0])
            if self.workers[name].phase != READY:
                self.workers[name].wait()
        self._go_on()

    def restart(self, names: Sequence[Name]) -> None:
        """Want them up with other processes."""
        for name in names:
            self._call(name[0])
            self.workers[name].wait()
        self._go_on()

    def stop(self, names: Sequence[Name]) -> None:
        """Want them down."""
        for name in names:
            self.workers[name].stop()

    def scale(self, service: str, workers: int) -> None:
        """Have so many of them."""
        for name in self.crew(service):
            if name[1] > workers:
                del self.workers[name]
        for number in range(1, workers + 1):
            self.workers.setdefault((service, number), Worker(WAITING))
        self._go_on()

    def kill(self, names: Sequence[Name], how: str) -> None:
        """Those that run end by a signal; what follows is up to their policy, which is always, and their groups."""
        fallen = [name for name in names if self.workers[name].phase == READY]
        for name in fallen:
            worker = self.workers[name]
            worker.wait(how)
            worker.restarts = None if worker.restarts is None else worker.restarts + 1
        for group in {group for name in fallen if (group := self.services[name[0]].group)}:
            hit = [name for name in fallen if self.services[name[0]].group == group]
            for name, worker in self.workers.items():
                if self.services[name[0]].group != group or worker.phase not in (READY, WAITING):
                    continue
                if len(hit) > 1:  # whoever was second was being restarted already, or was not
                    worker.restarts, worker.exit = None, None
                worker.wait()
        self._go_on()

    def reload(self, file: File) -> list[tuple[str, str]]:
        """Take another file. Returns the changes, each with its service."""
        before, self.services = self.services, {service.name: service for service in file}
        changes = []
        veterans = list(self.workers)
        for service in file:
            old = before.get(service.name)
            if old is None:
                changes.append((service.name, "added"))
                self.scale(service.name, service.workers)
                continue
            if old.workers != service.workers:
                changes.append((service.name, "scaled"))
                self.scale(service.name, service.workers)
            if old.version != service.version:
                changes.append((service.name, "restarting"))
                for name in veterans:
                    worker = self.workers.get(name)
                    if name[0] == service.name and worker and worker.wanted == "up" and worker.phase != COMPLETED:
                        worker.wait()
            if old._replace(workers=0, version=0) != service._replace(workers=0, version=0):
                changes.append((service.name, "changed in place"))
        for name in list(self.workers):
            if name[0] not in self.services:
                del self.workers[name]
        self._go_on()
        return changes + [(name, "removed") for name in before if name not in self.services]

    # --- what follows

    def crew(self, service: str) -> list[Name]:
        """The workers of a service, in order."""
        return sorted(name for name in self.workers if name[0] == service)

    def names(self) -> list[Name]:
        """All workers, in order of the file."""
        return [name for service in self.services for name in self.crew(service)]

    def missing(self, service: str) -> list[Name]:
        """The workers for which this service's have to wait."""
        needs = self.services[service].needs
        return [name for needed, condition in needs for name in self.crew(needed) if not self._is_met(name, condition)]

    def _is_met(self, name: Name, condition: str) -> bool:
        phase = self.workers[name].phase
        if phase == COMPLETED:
            return condition == "completed" or self.services[name[0]].nature is Nature.JOB
        return phase == READY and condition != "completed"

    def _call(self, service: str) -> None:
        """Whatever this service needs and is down is to start, too."""
        for name in self.missing(service):
            if self.workers[name].phase in _DOWN:
                self.workers[name].wait()
            self._call(name[0])

    def _go_on(self) -> None:
        """Whoever waits and need not wait starts, until nobody does."""
        while able := [name for name, w in self.workers.items() if w.phase == WAITING and not self.missing(name[0])]:
            for name in able:
                self._run(self.workers[name], self.services[name[0]].nature)

    def _run(self, worker: Worker, nature: Nature) -> None:
        match nature:
            case Nature.SERVICE:
                worker.phase, worker.is_new = READY, True
            case Nature.JOB:
                worker.phase, worker.is_new, worker.exit = COMPLETED, False, "0"
            case Nature.BROKEN:
                worker.phase, worker.is_new, worker.exit, worker.restarts = FAILED, False, "3", None

    # --- what is seen

    def doom(self, process: str) -> None:
        """This process was told to end."""
        self._doomed.add(process)

    def forgive_order(self, services: Iterable[str], *, stopped: bool) -> None:
        """Several things were asked of these at once: what each worker went through is not known.

        stopped: some were to stop, and perhaps were left alone because they were wanted again before their turn.
        """
        for name, worker in self.workers.items():
            if name[0] in services:
                worker.restarts, worker.exit = None, None
                if stopped and worker.is_new:
                    worker.is_new = None

    def problems(self, status: Mapping[str, Mapping[str, Any]]) -> list[str]:
        """How what is seen differs from what is to be."""
        names = [f"{service}/{number}" for service, number in self.names()]
        if names != list(status):
            return [f"there are {list(status)}, and not {names}"]
        found = []
        for name, text in zip(self.names(), names, strict=True):
            for key, (expected, seen) in self._compare(self.workers[name], status[text]).items():
                if expected != seen:
                    found.append(f"{text}: {key} is {seen!r} and not {expected!r} ({status[text]['reason']})")
            if self.workers[name].phase == WAITING:
                needed = {other[0] for other in self.missing(name[0])}
                if not any(f"waits for {service} to be " in status[text]["reason"] for service in needed):
                    found.append(f"{text}: does not say that it waits for one of {needed}: {status[text]['reason']}")
        return found

    def _compare(self, worker: Worker, seen: Mapping[str, Any]) -> dict[str, tuple[object, object]]:
        process = seen["process"]
        pairs: dict[str, tuple[object, object]] = {
            "phase": (worker.phase, seen["phase"]),
            "wanted": (worker.wanted, seen["wanted"]),
            "as_wanted": (worker.phase not in (FAILED, WAITING), seen["as_wanted"]),
            "ends_in": (None, seen["ends_in"]),
            "has uptime": (worker.phase == READY, seen["uptime"] is not None),
        }
        if worker.is_new is False:
            pairs["process"] = (worker.process, process)
        elif worker.is_new and (process is None or process in self._seen):
            pairs["process"] = ("another one", process)
        if process in self._doomed:
            pairs["doomed"] = (None, process)
        if worker.restarts is not None:
            pairs["restarts"] = (worker.restarts, seen["restarts"])
        if worker.exit is not None and seen["last_exit"] is not None:
            pairs["last exit"] = (worker.exit, said(seen["last_exit"]))
        return pairs

    def learn(self, status: Mapping[str, Mapping[str, Any]]) -> None:
        """What was seen agrees; from now on these are the processes."""
        for name, worker in self.workers.items():
            seen = status[f"{name[0]}/{name[1]}"]
            worker.process, worker.is_new, worker.restarts = seen["process"], False, seen["restarts"]
            worker.exit = said(seen["last_exit"]) if seen["last_exit"] else None
            if worker.process:
                self._seen.add(worker.process)


def said(status: Mapping[str, Any]) -> str:
    """An exit of the interface, in one word."""
    return str(status["code"]) if status["signal"] is None else str(status["signal"])
