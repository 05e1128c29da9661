"""docs/worker-life.md shows the phases as the code has them: drawn from the code, compared here.

To draw it again: PIDWARD_DRAW=1 pytest tests/core/test_diagram.py
"""

import itertools
import os
from pathlib import Path

from pidward.core import events as on
from pidward.core.actions import Record
from pidward.core.model import ExitStatus, Phase, ProcessId, Wanted, Worker, WorkerName
from pidward.core.spec import (
    Execution,
    Exhausted,
    Probe,
    ProbeKind,
    RestartPolicy,
    RestartWhen,
    ServiceSpec,
    ServiceType,
    StopPolicy,
    Tree,
)
from pidward.core.units import Instant, Seconds
from pidward.core.worker import step

PAGE = Path(__file__).parents[2] / "docs" / "worker-life.md"
BEGIN, END = "<!-- drawn by tests/core/test_diagram.py -->\n```mermaid\n", "```\n<!-- end -->"
NAME, ONE, TWO = WorkerName("web", 1), ProcessId(7, 70), ProcessId(8, 80)
NOW = Instant(100.0)

BASE = ServiceSpec("web", Execution(("web",)))
SPECS = [
    BASE._replace(ready=ready, restart=restart, stop=stop)
    for ready in (None, Probe(ProbeKind.AFTER, after=Seconds(1.0)))
    for restart in (
        RestartPolicy(policy=RestartWhen.NEVER),
        RestartPolicy(policy=RestartWhen.ALWAYS, burst=0),
        RestartPolicy(policy=RestartWhen.ALWAYS, burst=1),
        RestartPolicy(policy=RestartWhen.ALWAYS, burst=1, then=Exhausted.FAIL),
    )
    for stop in (StopPolicy(), StopPolicy(grace=Seconds(0.0)), StopPolicy(tree=Tree.SIGNAL))
]
NEVER = RestartPolicy(policy=RestartWhen.NEVER)
NOTIFY = Probe(ProbeKind.NOTIFY)
SPECS += [
    BASE._replace(type=kind, ready=ready, ready_timeout=Seconds(5.0), restart=restart, on_demand=on_demand)
    for kind in ServiceType
    for ready in (None, NOTIFY)
    for restart in (NEVER, RestartPolicy(burst=0))
    for on_demand in (False, True)
]
EVENTS: dict[str, list[on.WorkerEvent]] = {
    "spawned": [on.Spawned(NAME, ONE, running) for running in (True, False)],
    "executed": [on.Executed(NAME, ONE)],
    "cannot start": [on.SpawnFailed(NAME, "no such file")],
    "exit": [on.Exited(NAME, ONE, ExitStatus(code, None), left) for code in (0, 1) for left in (False, True)],
    "tree empty": [on.TreeEmptied(NAME)],
    "time": [on.Elapsed(NAME)],
    "start": [on.StartAsked(NAME, "anna")],
    "stop": [on.StopAsked(NAME, "anna", at_once) for at_once in (False, True)],
    "restart": [on.RestartAsked(NAME, "anna")],
    "ready": [on.Ready(NAME, ONE, "it answered")],
    "not ready": [on.Unready(NAME, ONE, "it did not answer"), on.Announced(NAME, ONE)],
    "hangs": [on.Unhealthy(NAME, ONE, "it did not answer")],
    "main process known": [on.MainChanged(NAME, TWO)],
    "reconsidered": [on.Reconsidered(NAME, "db is ready")],
    "its group gave up": [on.Abandoned(NAME, "group app gave up")],
}
OBSTACLES = ("", "waits for db to be ready")


PROCESSES: dict[Phase, tuple[ProcessId | None, ...]] = {
    Phase.STARTING: (ONE, None),
    Phase.RUNNING: (ONE, None),
    Phase.READY: (ONE,),
    Phase.STOPPING: (ONE, None),
    Phase.KILLING: (ONE, None),
}


WISHES: dict[Phase, tuple[tuple[Wanted, bool], ...]] = {
    Phase.STOPPED: ((Wanted.DOWN, False),),
    Phase.STOPPING: ((Wanted.DOWN, False), (Wanted.UP, True)),
    Phase.KILLING: ((Wanted.DOWN, False), (Wanted.UP, True), (Wanted.UP, False)),
}
"""(wanted, again) that occur in a phase; elsewhere the worker is wanted up."""


def workers() -> list[Worker]:
    """Every kind of worker that can be in each phase."""
    return [
        Worker(
            NAME, wanted, phase, "why", Instant(90.0), until=Instant(99.0), process=process, again=again,
            spawning=phase is Phase.STARTING and process is None, started=Instant(90.0),
            starts=(Instant(91.0),) * (failures // 2), failures=failures, last_exit=ExitStatus(code, None), held=held,
        )
        for phase in Phase
        for held in ((False, True) if phase is Phase.WAITING else (False,))
        for wanted, again in WISHES.get(phase, ((Wanted.UP, False),))
        for process in PROCESSES.get(phase, (None,))
        for failures in (0, 2)
        for code in (0, 1)
    ]  # fmt: skip


def draw() -> str:
    """All transitions that some event can cause, with the events on the arrows."""
    arrows: dict[tuple[Phase, Phase], dict[str, None]] = {}
    for worker in workers():
        for spec in SPECS:
            if worker.phase is Phase.RUNNING and worker.process is None and spec.type is not ServiceType.FORKING:
                continue
            for label, events in EVENTS.items():
                for event, obstacle in itertools.product(events, OBSTACLES):
                    for action in step(worker, spec, event, NOW, obstacle)[1]:
                        if isinstance(action, Record) and action.before is not action.after:
                            assert action.before is not None
                            assert action.after is not None
                            arrows.setdefault((action.before, action.after), {})[label] = None
    order = list(Phase)
    lines = [
        "stateDiagram-v2",
        f"    [*] --> {_id(Phase.STOPPED)}",
        f"    [*] --> {_id(Phase.WAITING)}: schedule, on demand",
    ]
    for (before, after), labels in sorted(arrows.items(), key=lambda a: (order.index(a[0][0]), order.index(a[0][1]))):
        lines.append(f"    {_id(before)} --> {_id(after)}: {', '.join(labels)}")
    return "\n".join(lines) + "\n"


def _id(phase: Phase) -> str:
    return phase.value.replace("-", "_")


def test_the_drawn_diagram_is_the_code():
    page = PAGE.read_text()
    head, _, rest = page.partition(BEGIN)
    drawn, _, tail = rest.partition(END)
    if os.environ.get("PIDWARD_DRAW"):
        PAGE.write_text(head + BEGIN + draw() + END + tail)
        return
    assert drawn == draw(), "the phases changed: draw docs/worker-life.md again (see this file)"
