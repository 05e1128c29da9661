"""One event, and all that follows from it.

A transition of one worker may mean something for others: dependents, a group, a rolling restart. Whoever finds that
out puts events in a queue, which is empty again before ``settle`` returns. Workers that have to go down one after
the other are asked by a descent, which goes on whenever a batch is down.
"""

from collections import deque
from collections.abc import Callable, Iterable

from pidward.core import events as on
from pidward.core.actions import Action, Note, Record, StopAll
from pidward.core.model import Wanted, Worker, WorkerName
from pidward.core.order import Descent, stop_order
from pidward.core.roster import Roster
from pidward.core.spec import ServiceSpec
from pidward.core.units import Instant
from pidward.core.worker import new_worker, step

_STARTS = (on.StartAsked, on.RestartAsked)


class Engine:
    """Steps workers. Who decides about them sets the hooks."""

    def __init__(self, roster: Roster) -> None:
        self.roster = roster
        self.now = Instant(0.0)
        self.ending = False  # nobody is started any more who was down
        self.descents: list[Descent] = []
        self._actions: list[Action] = []
        self._following: deque[on.WorkerEvent] = deque()
        self.obstacle: Callable[[Worker, ServiceSpec, on.WorkerEvent], str] = lambda _worker, _spec, _event: ""
        self.moved: Callable[[Worker, Worker, ServiceSpec], None] = lambda _before, _after, _spec: None
        self.gave_up: Callable[[str], None] = lambda _reason: None
        self.at_rest: Callable[[], None] = lambda: None  # nothing follows; may make something follow

    # --- events in

    def tell(self, event: on.WorkerEvent) -> None:
        """Take one event in now. Events about unknown workers are late, and ignored; so are starts at the end."""
        name = event.worker
        worker = self.roster.workers.get(name)
        if worker is None or (isinstance(event, _STARTS) and (self.ending or name in self.roster.leaving)):
            return
        if self.ending and isinstance(event, on.Reconsidered):
            return
        spec = self.roster.specs[name.service]
        obstacle = self.obstacle(worker, spec, event) if spec.depends_on or spec.group else ""
        after, actions = step(worker, spec, event, self.now, obstacle)
        self.roster.workers[name] = after
        if not actions:
            return
        stop_all = actions.pop() if isinstance(actions[-1], StopAll) else None
        self._actions += actions
        if isinstance(actions[0], Record):
            self.moved(worker, after, spec)
        if isinstance(stop_all, StopAll):
            self.gave_up(stop_all.reason)

    def follow(self, events: Iterable[on.WorkerEvent]) -> None:
        """Take these in when what happens now is over."""
        self._following.extend(events)

    def begin(self, name: WorkerName, by: str) -> None:
        """Add a worker that is wanted up: its first record says that it was not there before."""
        self.roster.add(new_worker(name, Wanted.DOWN, self.now))
        first = len(self._actions)
        self.tell(on.StartAsked(name, by))
        record = self._actions[first]
        assert isinstance(record, Record)
        self._actions[first] = record._replace(before=None)

    # --- actions out

    def act(self, action: Action) -> None:
        """Ask the runtime for something."""
        self._actions.append(action)

    def note(self, text: str, worker: WorkerName | None = None) -> None:
        """Have something remembered that is no transition."""
        self._actions.append(Note(worker, text))

    def settle(self) -> list[Action]:
        """Let everything that follows happen; all actions since the last time."""
        while True:
            while self._following:
                self.tell(self._following.popleft())
            self.at_rest()
            if not self._following and not (self.descents and self._any_goes_down()):
                break
        actions, self._actions = self._actions, []
        return actions

    # --- going down in order

    def batches(self, names: Iterable[WorkerName]) -> list[list[WorkerName]]:
        """Put workers in the order of stopping."""
        crews: dict[str, list[WorkerName]] = {}
        for name in names:
            crews.setdefault(name.service, []).append(name)
        order = stop_order([self.roster.specs[service] for service in crews])
        return [[name for service in level for name in crews[service]] for level in order]

    def ask(self, descent: Descent, name: WorkerName) -> None:
        """Ask one worker to go down; until it is, the descent waits for it."""
        workers = self.roster.workers
        if name in workers:
            descent.ask(name)
            if name in workers and workers[name].phase.has_process:
                descent.pending[name] = None

    def _any_goes_down(self) -> bool:
        """Let the first that can take its next step."""
        return any(self._go_down(descent) for descent in list(self.descents))

    def _go_down(self, descent: Descent) -> bool:
        """Take the next step of a descent; False when it waits for somebody."""
        if descent.pending:
            return False
        if descent.batches:
            for name in descent.batches.pop():
                self.ask(descent, name)
        elif descent in self.descents:
            self.descents.remove(descent)
            descent.then()
        return True

    def end_all(self, descent: Descent) -> None:
        """From now on there is but this one descent, and nothing else follows."""
        self.ending = True
        self._following.clear()
        self.descents = [descent]
