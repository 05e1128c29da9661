"""Nothing runs twice: what an earlier supervisor left, and its successor cannot go on with, ends before others start.

Happens after the supervisor was killed with SIGKILL or lost its power over its workers in some other way: to those
that were on their way up or down, or are not configured any more. The others are adopted: see ``runtime.survivors``.
Only processes that are proved to be the recorded ones, or that live in this instance's cgroups, are touched.
"""

from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress

from pidward.core.adoption import Recorded
from pidward.core.lean import NamedTuple, Protocol
from pidward.core.model import ProcessId, WorkerName
from pidward.core.signals import SIGKILL, signal_name
from pidward.core.spec import Configuration, StopPolicy
from pidward.core.spec import Tree as TreePolicy
from pidward.core.units import Instant, Seconds
from pidward.kernel.clock import boottime
from pidward.kernel.errors import KernelError
from pidward.kernel.pidfd import Pidfd
from pidward.kernel.procfs import numbers, read
from pidward.kernel.tree import WalkedTree
from pidward.kernel.wait import wait_exit, wait_reaped
from pidward.runtime.trees import Trees, mark_in

PATIENCE = 10.0
"""Seconds for killed processes to be gone."""
REAP_PATIENCE = Seconds(3.0)
"""Seconds for the init process to reap an orphan; some take their time."""
GLANCE = 0.1
"""Seconds to wait for one of many; a number may be somebody else's by now, and he need not end."""
_INVOCATION = b"INVOCATION_ID="


class Leftover(NamedTuple):
    """What was done about somebody; ``worker`` is None when it is not one worker's affair."""

    worker: WorkerName | None
    sentence: str


class _Tree(Protocol):
    def processes(self) -> list[int]: ...
    def is_populated(self) -> bool: ...
    def kill(self) -> None: ...


def clear_leftovers(
    living: Sequence[Recorded], adopted: Container[WorkerName], trees: Trees, configuration: Configuration
) -> Iterator[Leftover]:
    """End the recorded that still live, and whatever else lives in this instance's cgroups; tell of each.

    Args:
        living: who is not adopted.
        adopted: whose cgroups are left alone.
        trees: of this supervisor.
        configuration: the present one.

    Main processes are asked first, with the stop signal of their service and for its grace: a database wants to be
    stopped, whoever is its supervisor. What is left then is killed.
    What workers of a service with ``tree = "leave"`` left behind is left; their main processes end like all others.
    """
    yield from _ask(living, {service.name: service.stop for service in configuration.services})
    deadline = Instant(boottime() + PATIENCE)
    spared = {service.name for service in configuration.services if service.stop.tree is TreePolicy.LEAVE}
    marks: set[bytes] = set()
    for recorded in living:
        mark = None if recorded.name.service in spared else mark_in(recorded.tree)
        if mark is not None:
            marks.add(mark.encode())
        if recorded.process is not None:
            yield from _end_recorded(recorded, recorded.process, mark, deadline)
    if marks:
        yield from _end_marked(marks, deadline)
    for name, group in trees.earlier():
        if name in adopted:
            continue
        if _holds_strangers(group):
            why = "holds processes of another pid namespace, which are nobody's of ours; it is left alone"
            yield Leftover(None, f"{group.path} {why}")
            continue
        if name.service not in spared and group.is_populated():
            who = f"{group.path}: processes that an earlier supervisor left there"
            worker = WorkerName(name.service.rpartition(":")[2], name.number)  # a command's tree: whose it was
            yield Leftover(worker, _ended(_end(group, deadline), who))
        group.remove()  # one that is empty too: it may have been killed, and would kill who is born into it


def _ask(living: Sequence[Recorded], stops: Mapping[str, StopPolicy]) -> Iterator[Leftover]:
    """Send the stop signals, and wait until all have ended or had their grace."""
    with ExitStack() as held:
        asked: list[tuple[Recorded, Pidfd, StopPolicy]] = []
        for recorded in living:
            stop = stops.get(recorded.name.service, StopPolicy())
            with suppress(KernelError):  # gone, somebody else's number, or not ours to signal: no leftover to ask
                if recorded.process is not None and recorded.process.inode:
                    main = held.enter_context(Pidfd.open(*recorded.process))
                    if main.signal(stop.signal):
                        asked.append((recorded, main, stop))
        if asked:
            yield Leftover(None, f"{len(asked)} workers of an earlier supervisor live: stopping them")
        began = boottime()
        for recorded, main, stop in asked:
            if wait_exit(main, Seconds(max(0.0, began + stop.grace - boottime()))):
                wait_reaped(main, REAP_PATIENCE)  # many programs take a zombie in their pidfile for a living one
                how = signal_name(stop.signal)
                ended = f"{recorded.name}: {recorded.process} of an earlier supervisor: ended by {how}"
                yield Leftover(recorded.name, ended)


def _end_recorded(recorded: Recorded, process: ProcessId, mark: str | None, deadline: Instant) -> Iterator[Leftover]:
    try:
        main = Pidfd.open(process.pid, process.inode)
    except KernelError:
        return  # gone, or the number belongs to somebody else: not ours to touch
    with main:
        if process.inode == 0:
            why = f"pid {process.pid} may be a left over worker, but this kernel cannot prove it; it is left alone"
            yield Leftover(recorded.name, f"{recorded.name}: {why}")
            return
        try:
            if mark is not None:
                _end(WalkedTree(mark, main), deadline)  # before the main process, through which it is found
            main.signal(SIGKILL)
        except KernelError as error:
            yield Leftover(recorded.name, f"{recorded.name}: {error}")
            return
        ended = wait_exit(main, Seconds(max(0.0, deadline - boottime())))
        yield Leftover(recorded.name, _ended(ended, f"{recorded.name}: {process} of an earlier supervisor"))


def _end_marked(marks: Container[bytes], deadline: Instant) -> Iterator[Leftover]:
    """Kill whoever was started with one of these invocations, wherever it hangs now; look until nobody is found."""
    count = 0
    while boottime() < deadline:
        found = [process for pid in numbers() if (process := _marked(pid, marks)) is not None]
        if not found:
            break
        count += len(found)
        for process in found:
            with process:
                process.signal(SIGKILL)
                wait_exit(process, Seconds(GLANCE))
    if count:
        who = f"{count} descendants of workers of an earlier supervisor"
        yield Leftover(None, _ended(boottime() < deadline, who))


def _marked(pid: int, marks: Container[bytes]) -> Pidfd | None:
    try:
        process = Pidfd.open(pid)
    except KernelError:
        return None
    try:
        entries = read(process, "environ").split(b"\0")
        if any(entry.startswith(_INVOCATION) and entry[len(_INVOCATION) :] in marks for entry in entries):
            return process
    except KernelError:
        pass  # gone, or another user's
    process.close()
    return None


def _end(tree: _Tree, deadline: Instant) -> bool:
    """Kill until nobody is left; False when the time is over before."""
    while tree.is_populated():
        if boottime() >= deadline:
            return False
        tree.kill()
        for pid in tree.processes():
            try:
                with Pidfd.open(pid) as process:
                    wait_exit(process, Seconds(GLANCE))
            except KernelError:
                continue
    return True


def _holds_strangers(group: _Tree) -> bool:
    """The kernel writes 0 for a process that has no number here."""
    return 0 in group.processes()


def _ended(ended: bool, who: str) -> str:
    return f"{who}: {'killed' if ended else 'killed, but they hang in the kernel and live on for now'}"
