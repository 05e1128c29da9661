"""E7, tree kill: the worker makes K daemons by double fork and setsid. After the stop of that worker, who lives?"""

import argparse
import subprocess
import time
from collections.abc import Sequence

from bench.harness import procfs
from bench.harness.campaign import PeerClass, Turn, take_turn
from bench.harness.peer import NotSupported, Peer
from bench.harness.records import Kind
from bench.harness.results import Results
from bench.harness.sets import SUPERVISORS

DEFAULT = (*SUPERVISORS, "monit")

_PATIENCE_S = 60.0


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of this experiment."""
    parser.add_argument("--k", type=int, default=50, help="daemons")


def run(peers: Sequence[PeerClass], options: argparse.Namespace, results: Results) -> None:
    """One row a peer."""
    for peer in peers:
        take_turn(Turn(peer, 1, 0), results, lambda fresh: measure(fresh, options.k, results))


def measure(peer: Peer, daemons: int, results: Results) -> None:
    """Stop the worker, count; shut the supervisor down, count again."""
    peer.prepare(1, ["-D", str(daemons)])
    peer.start()
    worker, family = wait_family(peer, daemons)
    time.sleep(1.5)
    stopped_s, note = stop_one(peer)
    time.sleep(3)
    after_stop, worker_after_stop = sum(map(procfs.is_alive, family)), procfs.is_alive(worker)
    peer.ask_to_stop(patience=4)
    results.add(
        peer=peer.name, n=1, daemons=len(family), stop_s=stopped_s, note=note,
        after_stop=after_stop if stopped_s is not None else None,
        worker_after_stop=worker_after_stop if stopped_s is not None else None,
        after_shutdown=sum(map(procfs.is_alive, family)), worker_after_shutdown=procfs.is_alive(worker),
    )  # fmt: skip


def wait_family(peer: Peer, daemons: int) -> tuple[int, list[int]]:
    """The pids of the worker and of its daemons, once all run."""
    worker, family = 0, []
    for record in peer.fifo.read_until(time.monotonic() + _PATIENCE_S):
        if record.kind is Kind.STARTED:
            worker = record.pid
        elif record.kind is Kind.DAEMON:
            family.append(record.pid)
        if worker and len(family) == daemons:
            break
    return worker, family


def stop_one(peer: Peer) -> tuple[float | None, str | None]:
    """Stop the worker by the peer's own command: how long that took, or why it could not be done."""
    try:
        return peer.run(peer.stop_one_command(peer.ids[0]), timeout=30).wall_s, None
    except NotSupported as reason:
        return None, str(reason)
    except subprocess.TimeoutExpired:
        return None, "the stop command hung for 30 s"
