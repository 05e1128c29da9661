"""E9, control latency: the peer's own command asks for the state of all N workers."""

import argparse
import subprocess
import time
from collections.abc import Sequence

from bench.harness import procfs
from bench.harness.campaign import PeerClass, counts_of, take_turn, turns
from bench.harness.peer import Command, Peer
from bench.harness.results import Results
from bench.harness.sets import RESTARTING
from bench.harness.statistics import quantile

DEFAULT = tuple(name for name in RESTARTING if name != "otp")

_PATIENCE_S = 60.0
_TOO_SLOW_TO_REPEAT_S = 20.0


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of this experiment."""
    parser.add_argument("--n", default="1000")
    parser.add_argument("--repeats", type=int, default=10)


def run(peers: Sequence[PeerClass], options: argparse.Namespace, results: Results) -> None:
    """One row a peer and N."""
    for turn in turns(peers, counts_of(options.n), rounds=1):

        def measure_turn(peer: Peer, n: int = turn.n) -> None:
            peer.prepare(n)
            peer.start_and_wait()
            time.sleep(1)
            measure(peer, results, options.repeats)

        take_turn(turn, results, measure_turn)


def measure(peer: Peer, results: Results, repeats: int = 10) -> None:
    """Ask a started peer again and again; NotSupported where it has no such command."""
    command = peer.status_command()
    answers: list[Command] = []
    supervisor_ms: list[float] = []
    while len(answers) < repeats:
        pids = peer.supervisor_pids()
        before = procfs.cpu_by_pid(pids)
        try:
            answers.append(peer.run(command, _PATIENCE_S))
        except subprocess.TimeoutExpired:
            results.add("e9", peer=peer.name, n=peer.n, error=f"no answer in {_PATIENCE_S:.0f} s")
            return
        supervisor_ms.append(procfs.cpu_ms(pids, before))
        if answers[-1].wall_s > _TOO_SLOW_TO_REPEAT_S:
            break
    walls_ms = [answer.wall_s * 1e3 for answer in answers]
    results.add(
        "e9", peer=peer.name, n=peer.n, asked=len(answers), status=answers[-1].status, bytes=len(answers[-1].output),
        wall_p50_ms=quantile(walls_ms, 0.5), wall_min_ms=min(walls_ms), wall_max_ms=max(walls_ms),
        command_cpu_ms=quantile([answer.cpu_s * 1e3 for answer in answers], 0.5),
        supervisor_cpu_ms=quantile(supervisor_ms, 0.5),
    )  # fmt: skip
