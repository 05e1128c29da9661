"""Who comes before whom: cycles, the order of stopping, and stopping in that order."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from pidward.core.model import WorkerName
from pidward.core.spec import ServiceSpec


def find_cycle(services: Iterable[ServiceSpec]) -> tuple[str, ...]:
    """Find services that wait for each other: ``("a", "b", "a")``; empty when there are none."""
    return cycle_in({s.name: [d.service for d in s.depends_on] for s in services})


def cycle_in(edges: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Find one cycle of a graph, its first node repeated at the end; empty when there is none.

    Edges to nodes that are not in the graph lead nowhere.
    """
    done: set[str] = set()
    for root in edges:
        path: dict[str, Iterable[str]] = {} if root in done else {root: iter(edges[root])}
        while path:
            node = next(reversed(path))
            following = next(iter(path[node]), None)
            if following is None:
                done.add(node)
                del path[node]
            elif following in path:
                names = list(path)
                return (*names[names.index(following) :], following)
            elif following in edges and following not in done:
                path[following] = iter(edges[following])
    return ()


def stop_order(services: Sequence[ServiceSpec]) -> list[tuple[str, ...]]:
    """Say which services stop together, and in which order.

    With no dependency among them: one after the other, in reverse order of the file. Else by levels: first all that
    nobody needs, then those that only these needed, and so on. Those on a cycle, which no valid file has, come last.
    """
    needs = {s.name: {d.service for d in s.depends_on} for s in services}
    names = [s.name for s in reversed(services)]
    if not any(needed & needs.keys() for needed in needs.values()):
        return [(name,) for name in names]
    place = {name: i for i, name in enumerate(names)}
    users = dict.fromkeys(names, 0)
    for needed in needs.values():
        for name in needed & users.keys():
            users[name] += 1
    levels = []
    level = [name for name in names if not users[name]]
    while level:
        levels.append(tuple(level))
        freed = set()
        for name in level:
            del users[name]
            for needed_one in needs[name] & users.keys():
                users[needed_one] -= 1
                freed.add(needed_one)
        level = sorted((name for name in freed if not users[name]), key=place.__getitem__)
    return [*levels, *([tuple(users)] if users else [])]


class Descent:
    """Workers that go down in batches: the next batch is asked when the one before is down."""

    def __init__(
        self,
        batches: Sequence[Sequence[WorkerName]],
        ask: Callable[[WorkerName], None],
        then: Callable[[], None],
        *,
        revocable: bool = False,
    ) -> None:
        """Plan; nobody is asked yet.

        Args:
            batches: the first is asked first.
            ask: asks one worker.
            then: called when all are down.
            revocable: who is wanted up again before its turn comes is left alone.
        """
        self.batches = [list(batch) for batch in reversed(batches)]  # the next one last
        self.pending: dict[WorkerName, None] = {}  # asked, and not down yet
        self.ask, self.then, self.revocable = ask, then, revocable

    def spare(self, name: WorkerName) -> None:
        """Somebody wants this worker up; if that counts here, do not ask it any more."""
        if self.revocable:
            for batch in self.batches:
                if name in batch:
                    batch.remove(name)

    def rest(self) -> list[WorkerName]:
        """Take all who were not asked yet, in order; nobody is left."""
        names = [name for batch in reversed(self.batches) for name in batch]
        self.batches.clear()
        return names
