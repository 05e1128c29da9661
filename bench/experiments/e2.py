"""E2, cold start: from just before the supervisor's exec to the first instruction of the last of N workers."""

import argparse
import time
from collections.abc import Sequence

from bench.harness import procfs
from bench.harness.campaign import PeerClass, counts_of, take_turn, turns
from bench.harness.clock import now_ns
from bench.harness.peer import Peer
from bench.harness.results import Results
from bench.harness.sets import FLOORS, SUPERVISORS

DEFAULT = (*SUPERVISORS, *FLOORS)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of this experiment."""
    parser.add_argument("--n", default="1,100,1000")
    parser.add_argument("--rounds", type=int, default=5)


def run(peers: Sequence[PeerClass], options: argparse.Namespace, results: Results) -> None:
    """One row a start."""
    for turn in turns(peers, counts_of(options.n), options.rounds):

        def measure_turn(peer: Peer, n: int = turn.n, number: int = turn.round) -> None:
            peer.prepare(n)
            measure(peer, results, number)

        take_turn(turn, results, measure_turn)


def measure(peer: Peer, results: Results, number: int = 0) -> None:
    """Start a prepared peer and measure that."""
    before_ns = now_ns()
    started = sorted(record.time_ns for record in peer.start_and_wait())
    time.sleep(0.3)
    results.add(
        "e2", peer=peer.name, n=peer.n, round=number,
        first_ms=(started[0] - before_ns) / 1e6, all_ms=(started[-1] - before_ns) / 1e6,
        supervisor_cpu_ms=procfs.cpu_ms(peer.supervisor_pids()),
    )  # fmt: skip
