"""E3, mass death: kill -9 all N at once; time until N new workers have run their first instruction."""

import argparse
import os
import signal
import time
from collections.abc import Sequence

from bench.harness import procfs
from bench.harness.campaign import PeerClass, counts_of, take_turn, turns
from bench.harness.clock import now_ns
from bench.harness.peer import Peer
from bench.harness.results import Results
from bench.harness.sets import FLOORS, RESTARTING

DEFAULT = (*RESTARTING, *FLOORS, "floor_py_helper_threads")

_SETTLED_S = 1.3


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of this experiment."""
    parser.add_argument("--n", default="1000")
    parser.add_argument("--rounds", type=int, default=3, help="starts of each peer")
    parser.add_argument("--repeats", type=int, default=3, help="mass deaths of each start")


def run(peers: Sequence[PeerClass], options: argparse.Namespace, results: Results) -> None:
    """One row a mass death."""
    for turn in turns(peers, counts_of(options.n), options.rounds):

        def measure_turn(peer: Peer, n: int = turn.n, number: int = turn.round) -> None:
            peer.prepare(n)
            peer.start_and_wait()
            for _ in range(options.repeats):
                measure(peer, results, number)

        take_turn(turn, results, measure_turn)


def measure(peer: Peer, results: Results, number: int = 0) -> None:
    """Kill all workers of a started peer."""
    time.sleep(_SETTLED_S)
    peer.note(peer.fifo.read(0))
    pidfds = [os.pidfd_open(pid) for pid in peer.worker_pids()]
    cpu_before = procfs.cpu_by_pid(peer.supervisor_pids())
    before_ns = now_ns()
    for pidfd in pidfds:
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    killing_ms = (now_ns() - before_ns) / 1e6
    for pidfd in pidfds:
        os.close(pidfd)
    back = sorted(record.time_ns - before_ns for record in peer.wait_started(len(pidfds)))
    time.sleep(0.2)
    results.add(
        "e3", peer=peer.name, n=peer.n, round=number, killed=len(pidfds), back=len(back), killing_ms=killing_ms,
        first_ms=back[0] / 1e6 if back else None,
        all_ms=back[-1] / 1e6 if len(back) == len(pidfds) else None,
        supervisor_cpu_ms=procfs.cpu_ms(peer.supervisor_pids(), cpu_before),
    )  # fmt: skip
