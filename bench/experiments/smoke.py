"""Does an adapter work? Start N, kill one, see it come back, ask for the status, stop it as its users would.

No measurement: a few seconds a peer. What a peer leaves behind when it is asked to leave is counted, then removed.
"""

import argparse
import time
from collections.abc import Sequence

from bench.harness import procfs, signals
from bench.harness.campaign import PeerClass, Turn, take_turn
from bench.harness.clock import now_ns
from bench.harness.peer import NotSupported, Peer
from bench.harness.results import Results
from bench.harness.sets import FLOORS, SUPERVISORS

DEFAULT = (*SUPERVISORS, "monit", *FLOORS)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of this experiment."""
    parser.add_argument("--n", type=int, default=3)


def run(peers: Sequence[PeerClass], options: argparse.Namespace, results: Results) -> None:
    """One row a peer."""
    for peer in peers:
        take_turn(Turn(peer, options.n, 0), results, lambda fresh: check(fresh, options.n, results))


def check(peer: Peer, n: int, results: Results) -> None:
    """See the module."""
    peer.prepare(n)
    before = now_ns()
    started = peer.start_and_wait()
    cold_ms = (max(record.time_ns for record in started) - before) / 1e6
    time.sleep(1.2)
    respawn_ms = _respawn_ms(peer, started[0].pid) if peer.respawns else None
    status = _status(peer)
    supervisors, workers = len(peer.supervisor_pids()), len(peer.worker_pids())
    peer.ask_to_stop(patience=6)
    results.add(
        peer=peer.name, n=n, version=peer.version(), cold_ms=cold_ms, respawn_ms=respawn_ms, status=status,
        supervisors=supervisors, workers=workers, left=sum(map(procfs.is_alive, peer.all_pids())),
    )  # fmt: skip


def _respawn_ms(peer: Peer, pid: int) -> float | None:
    before = signals.kill_timed(pid)
    found = peer.wait_started(1, timeout=15)
    return (found[0].time_ns - before) / 1e6 if found else None


def _status(peer: Peer) -> str:
    try:
        answer = peer.run(peer.status_command())
    except NotSupported as reason:
        return str(reason)
    return f"exit {answer.status} in {answer.wall_s:.3f} s: {answer.output[:60]!r}"
