"""Finding the workers of a supervisor that was killed: each is held by a verified pidfd before anything is decided.

See ``core.adoption`` for what follows from what is found here.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack

from pidward.core.adoption import Adopted, Decision, Legacy, Recorded, Sight, born_unrecorded, decide
from pidward.core.lean import NamedTuple
from pidward.core.model import UNKNOWN_EXIT, ExitStatus, ProcessId, WorkerName
from pidward.core.restart import describe
from pidward.core.spec import Configuration
from pidward.core.units import Seconds, format_duration
from pidward.kernel.errors import Gone, KernelError, NotLeader, Recycled, Unsupported
from pidward.kernel.pidfd import Pidfd, State
from pidward.kernel.wait import exit_status_of
from pidward.runtime.seat import Tree
from pidward.runtime.trees import Trees

TAG = "worker"
"""Name of the note on main processes that were born into their cgroups; see ``core.adoption.tag_of``."""


class Survivor(NamedTuple):
    """A worker to be seated as it is. ``main``: None when its process has ended; else the owner's to close."""

    recorded: Recorded
    main: Pidfd | None
    tree: Tree | None


class Found(NamedTuple):
    """All that is left of an earlier supervisor.

    survivors: by name, whom the core is told of by ``legacy``.
    rest: those that are stopped before anything starts.
    sentences: what is to be said, and about whom.
    """

    survivors: Mapping[WorkerName, Survivor]
    legacy: Legacy
    rest: Sequence[Recorded]
    sentences: Sequence[tuple[WorkerName | None, str]]


def find_survivors(living: Sequence[Recorded], trees: Trees, configuration: Configuration, away: Seconds) -> Found:
    """Look for all that were recorded; nobody is touched.

    Args:
        living: who had a process, as recorded in this boot.
        trees: of this supervisor.
        configuration: the present one.
        away: since when nobody has watched, at most.

    Raises:
        KernelError: it cannot be told who lives, for want of descriptors or rights.
    """
    living = [*_look_into_groups(living, trees)]
    specs = {service.name: service for service in configuration.services}
    survivors: dict[WorkerName, Survivor] = {}
    adopted: list[Adopted] = []
    rest: list[Recorded] = []
    sentences: list[tuple[WorkerName | None, str]] = []
    with ExitStack() as held:
        for recorded in living:
            name, process = recorded.name, recorded.process
            sight, main, status = _look(process)
            if main is not None:
                held.callback(main.close)
            decision, why = decide(recorded, sight, specs.get(name.service))
            if process is None or decision in (Decision.END, Decision.LEAVE):
                rest.append(recorded)
                continue
            tree = trees.found(recorded.tree, main)
            survivors[name] = Survivor(recorded, main, tree)
            if decision is Decision.GONE:
                how = f"{name}: {process} of the supervisor before this one is gone: {describe(status)}"
                sentences.append((name, how))
                adopted.append(Adopted(recorded, process, status, tree is not None and tree.is_populated()))
            else:
                adopted.append(Adopted(recorded, process, replace=why))
        held.pop_all()
    alive = sum(one.exit is None for one in adopted)
    if living:
        count = f"{alive} worker{'s' * (alive != 1)} of the supervisor before this one adopted"
        ended = f"; {len(adopted) - alive} ended meanwhile" if len(adopted) > alive else ""
        text = f"pidward was away for at most {format_duration(away)}: {count}{ended}"
        sentences.insert(0, (None, text))
    return Found(survivors, Legacy(tuple(adopted), away), rest, sentences)


def _look_into_groups(living: Sequence[Recorded], trees: Trees) -> Iterator[Recorded]:
    """The recorded; but where nobody of them lives, the processes that were born after the last record."""
    known = {recorded.name: recorded for recorded in living}
    for name, group in trees.earlier():
        last = known.get(name)
        if last is None or not _lives(last.process):
            for pid in group.processes():
                born = _born_unrecorded(name, pid, group.path, last)
                if born is not None:
                    known[name] = born
                    break
    yield from known.values()


def _lives(process: ProcessId | None) -> bool:
    sight, main, _ = _look(process)
    if main is not None:
        main.close()
    return sight is not Sight.ENDED


def _born_unrecorded(name: WorkerName, pid: int, tree: str, last: Recorded | None) -> Recorded | None:
    try:
        with Pidfd.open(pid) as process:
            tag = process.get_tag(TAG)  # empty for a process that never had one (Linux 6.18)
            return born_unrecorded(name, process.id, tree, tag.decode(), last) if tag else None
    except (Gone, Recycled, NotLeader, ValueError):  # ValueError: root wrote something else there
        return None


def _look(process: ProcessId | None) -> tuple[Sight, Pidfd | None, ExitStatus]:
    """Who is it now? A handle is given only on one that lives; the status counts only for one that does not."""
    if process is None:
        return Sight.ENDED, None, UNKNOWN_EXIT
    if process.inode == 0:
        return Sight.UNPROVABLE, None, UNKNOWN_EXIT
    try:
        main = Pidfd.open(process.pid, process.inode)
    except (Gone, Recycled, NotLeader):
        return Sight.ENDED, None, UNKNOWN_EXIT
    except Unsupported:
        return Sight.UNPROVABLE, None, UNKNOWN_EXIT
    try:
        if main.state() is State.RUNNING:
            return Sight.ALIVE, main, UNKNOWN_EXIT
        with main:
            return Sight.ENDED, None, exit_status_of(main)
    except KernelError:
        main.close()
        raise
