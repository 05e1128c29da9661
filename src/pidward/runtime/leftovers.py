"""Nothing runs twice: what an earlier supervisor left alive ends before its successor starts anything.

Happens after the supervisor was killed with SIGKILL or lost its power over its workers in some other way. Only
processes that are proved to be the recorded ones are touched.
"""

from collections.abc import Iterator

from pidward.core.units import Seconds
from pidward.kernel.clock import boottime
from pidward.kernel.errors import KernelError
from pidward.kernel.pidfd import Pidfd
from pidward.kernel.tree import WalkedTree
from pidward.kernel.wait import wait_exit
from pidward.runtime.trees import Trees
from pidward.store.store import Store

PATIENCE = 10.0
"""Seconds for killed processes to be gone."""


def clear_leftovers(store: Store, trees: Trees, boot: str) -> Iterator[str]:
    """Kill the recorded that still live, and whatever lives in this instance's cgroups; a sentence for each."""
    deadline = boottime() + PATIENCE
    for recorded in store.living():
        if recorded.boot_id != boot or recorded.process is None:
            continue
        try:
            main = Pidfd.open(recorded.process.pid, recorded.process.inode)
        except KernelError:
            continue  # gone, or the number belongs to somebody else: not ours to touch
        with main:
            if recorded.process.inode == 0:
                yield f"{recorded.name}: pid {recorded.process.pid} may be a left over worker, but this kernel cannot " \
                      f"prove it; it is left alone"  # fmt: skip
                continue
            tree = WalkedTree(recorded.tree.removeprefix("mark:"), main) if recorded.tree.startswith("mark:") else None
            if tree is not None:
                tree.kill()
            main.signal(9)
            wait_exit(main, Seconds(max(0.0, deadline - boottime())))
            yield f"{recorded.name}: {recorded.process} was left by an earlier supervisor and was killed"
    for group in trees.leftovers():
        group.kill()
        yield f"{group.path}: killed the processes that an earlier supervisor left there"
