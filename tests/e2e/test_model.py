"""Random requests, and a model beside the supervisor: they agree after each, nothing is left behind, memory is flat.

``PIDWARD_MODEL_STEPS`` and ``PIDWARD_MODEL_SEED`` make it longer, or another one. What fails says its seed and the
last requests.
"""

import os
import random
import signal
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from statistics import median

import pytest

from pidward.control.client import CallFailed, Client, Unreachable
from pidward.kernel.pidfd import Pidfd
from tests.e2e.census import Possessions, difference, memory, people, possessions
from tests.e2e.model import COMPLETED, READY, Model, Name
from tests.e2e.rig import PATIENCE, Rig, groups_of
from tests.e2e.wishes import FIRST, PROCESSES, Ask, apply, area, can_follow, choose, targeted, will_end, written
from tests.isolation import end, fork

STEPS = int(os.environ.get("PIDWARD_MODEL_STEPS", "300"))
SEED = int(os.environ.get("PIDWARD_MODEL_SEED", "3"))
COUNT_EVERY = 10
GROWTH = 1536 * 1024
"""Bytes that memory may grow by after the first third: queues and caches fill up to their limits first."""
SPOILT = (
    ("command", "comand"),
    ('depends_on = { "db" = ', 'depends_on = { "nobody" = '),
    ("workers = ", "workers = -1"),
    ("[service.", "[service"),
)


class Session:
    """A supervisor, the model beside it, and the file that both follow."""

    def __init__(self, rig: Rig, seed: int, mask: str) -> None:
        self.rig, self.source = rig, random.Random(seed)
        self.seed, self.step = seed, 0
        self.file, self.model = FIRST, Model(FIRST)
        self.latest: deque[str] = deque(maxlen=12)
        self.write()
        rig.up(mask=mask)
        self._follower = Client(rig.socket)
        self._news = self._follower.stream("Events", {"since": -1, "follow": True}, patience=PATIENCE)
        self.settle()

    def close(self) -> None:
        self._follower.close()

    def write(self) -> None:
        """Have the file say what the model follows."""
        group = '[group.pair]\nstrategy = "one_for_all"\n'
        self.rig.configure(group, *(written(one, str(self.rig.base)) for one in self.file))

    # --- one step

    def go_on(self) -> None:
        """Ask for something, or for several things at once, and wait until the supervisor is as the model says."""
        self.step += 1
        wishes = self.source.choice((1, 1, 1, 1, 2, 3, 5))
        asks: list[Ask] = []
        for _ in range(wishes):
            ask = choose(self.source, self.model, self.file)
            if all(can_follow(earlier, ask) for earlier in asks):
                asks.append(ask)
                self.latest.append(f"{self.step}: {ask}")
                self._ask(ask, alone=wishes == 1)
        if wishes > 1:
            stopped = any(ask.verb == "stop" for ask in asks)
            self.model.forgive_order(area(name for ask in asks for name in ask.touched), stopped=stopped)
        self.settle()

    def _ask(self, ask: Ask, *, alone: bool) -> None:
        """Have it done in the model and by the supervisor. Alone, it is waited for, and the answer is looked at."""
        runs = any(self.model.workers[name].phase == READY for name in ask.names)
        changes = apply(self.model, ask)
        match ask.verb:
            case "spoil":
                self._spoil(*SPOILT[ask.number])
            case "reload":
                self.file = ask.file
                self.write()
                plan = [(one["service"], one["consequence"]) for one in self.rig.call("Plan")["changes"]]
                assert plan == changes, self.story()
                told = self.rig.call("Reload")["changes"]
                assert bool(changes) == (told != ["nothing changed"]), self.story()
            case "kill":
                self._kill(ask, runs if alone else None)
            case _:
                self._wish(ask, waits=alone and will_end(self.model, ask))

    def _spoil(self, good: str, bad: str) -> None:
        text = self.rig.config.read_text()
        assert good in text
        self.rig.config.write_text(text.replace(good, bad, 1))
        with pytest.raises(CallFailed, match="InvalidConfiguration"):
            self.rig.call("Reload")
        self.rig.config.write_text(text)

    def _kill(self, ask: Ask, runs: bool | None) -> None:
        """runs: there is somebody to be hit; None: nobody knows."""
        number, tree = ask.how
        try:
            told = self.rig.call("Signal", target=ask.targets[0], signal=number, tree=tree)["signalled"]
        except CallFailed as error:
            if error.error != "NoProcess":
                raise AssertionError(self.story(str(error))) from None
            told = []
        assert runs in (None, bool(told)), self.story()
        for one in told:
            self.model.doom(one["process"])

    def _wish(self, ask: Ask, *, waits: bool) -> None:
        method = ask.verb.capitalize()
        parameters: dict[str, object] = {"targets": list(ask.targets)}
        match ask.verb:
            case "scale":
                parameters = {"service": ask.targets[0], "workers": ask.number}
            case "roll":
                method, parameters["rolling"] = "Restart", ask.number
        results = self.rig.call(method, wait=waits, **parameters)["results"]
        if not waits:
            return
        about = targeted(self.model, ask)
        reached = {f"{service}/{number}" for service, number in about if self._is_reached(ask, (service, number))}
        if ask.verb == "scale":  # it tells of those that came or went
            assert all(one["reached"] for one in results), self.story(str(results))
        else:
            assert {one["worker"] for one in results if one["reached"]} == reached, self.story(str(results))
            assert len(results) == len(about), self.story(str(results))

    def _is_reached(self, ask: Ask, name: Name) -> bool:
        return ask.verb == "stop" or self.model.workers[name].phase in (READY, COMPLETED)

    # --- agreement

    def settle(self) -> None:
        """Wait until the supervisor is as the model says, in everything that ``status`` shows."""
        deadline = time.monotonic() + PATIENCE
        while self._follower.has_news():
            next(self._news)
        while problems := self.model.problems(status := self.rig.status()):
            with suppress(Unreachable):  # nothing happens any more
                next(self._news)
                if time.monotonic() < deadline:
                    continue
            raise AssertionError(self.story("\n".join(problems)))
        self.model.learn(status)

    def count(self, before: Possessions | None) -> Possessions:
        """Wait until nobody and nothing is there that should not be. Returns what there is; before: what there was."""
        deadline = time.monotonic() + PATIENCE
        while True:
            status = self.rig.status()
            now = possessions(self.rig, sum(one["process"] is not None for one in status.values()))
            problems = people(self.rig, status, PROCESSES) + (difference(before, now) if before else [])
            if not problems:
                return now
            assert time.monotonic() < deadline, self.story("\n".join(problems))
            os.sched_yield()

    def story(self, what: str = "") -> str:
        """For whoever has to find out."""
        events = self.rig.call("Events", since=-40)["events"]
        said = "\n".join(event["text"] for event in events)
        return f"seed {self.seed}, step {self.step}\n{what}\nasked: {', '.join(self.latest)}\nevents:\n{said}"


@contextmanager
def load(socket: str) -> Iterator[None]:
    """Two programs that only burn, as far as others let them, and one that asks for the status all the time."""

    def burn() -> None:
        os.nice(19)
        while True:
            pass

    def ask() -> None:
        while True:
            with suppress(Unreachable), Client(socket) as client:
                while True:
                    client.call("Table", {})
                    signal.sigtimedwait([], 0.01)
            signal.sigtimedwait([], 0.01)

    busy: list[Pidfd] = []
    try:
        busy += [fork(act) for act in (burn, burn, ask)]
        yield
    finally:
        for process in busy:
            end(process)


@pytest.mark.timeout(60 + STEPS)
@pytest.mark.parametrize("mask, share", [("", 1.0), ("cgroup2,cgroup1", 0.3)], ids=["cgroup", "walk"])
def test_the_model_and_the_supervisor_agree(rig: Rig, mask: str, share: float) -> None:
    steps = max(1, int(STEPS * share))
    begun = time.monotonic()
    with ExitStack() as stack:
        stack.enter_context(load(rig.socket))
        session = stack.enter_context(closing(Session(rig, SEED, mask)))
        before, memories = None, []
        for step in range(1, steps + 1):
            session.go_on()
            if step % COUNT_EVERY == 0:
                now = session.count(before)
                before = before or now
                memories.append(memory(rig.process))
        took = time.monotonic() - begun
    warm, last = memories[len(memories) // 3], median(memories[-3:])
    figures = [size // 1024 for size in memories[:: 1 + len(memories) // 20]]
    total = before.total if before else None
    sys.stderr.write(
        f"seed {SEED}: {steps} steps in {took:.1f} s; {total} descriptors beside workers' before and after; "
    )
    sys.stderr.write(f"anonymous memory from {warm // 1024} to {last // 1024} KiB: {figures}\n")
    assert last - warm < GROWTH, memories
    rig.call("Down")
    assert rig.wait_end().code == 0
    assert rig.members() == []
    assert list(groups_of(rig.instance)) == []
    assert "pidward ended" in rig.text
