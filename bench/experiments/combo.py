"""E2, E4, E9, E1 and E3 on one start of each peer: saves the slow starts at large N."""

import argparse
from collections.abc import Sequence

from bench.experiments import e1, e2, e3, e4, e9
from bench.harness.campaign import PeerClass, counts_of, take_turn, turns
from bench.harness.peer import NotSupported, Peer
from bench.harness.results import Results
from bench.harness.sets import FLOORS, SUPERVISORS

DEFAULT = (*SUPERVISORS, *FLOORS)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of this experiment."""
    parser.add_argument("--n", default="100")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=20, help="at rest")
    parser.add_argument("--repeats", type=int, default=3, help="mass deaths")
    parser.add_argument("--budget", type=float, default=400, help="seconds of single kills at most")
    parser.add_argument("--skip", default="", help="e4,e9 ...")


def run(peers: Sequence[PeerClass], options: argparse.Namespace, results: Results) -> None:
    """Rows of all five."""
    for turn in turns(peers, counts_of(options.n), options.rounds):

        def measure_turn(peer: Peer, n: int = turn.n, number: int = turn.round) -> None:
            peer.prepare(n)
            measure(peer, options, number, results)

        take_turn(turn, results, measure_turn)


def measure(peer: Peer, options: argparse.Namespace, number: int, results: Results) -> None:
    """Start a prepared peer and measure all that is not skipped."""
    skipped = options.skip.split(",")
    e2.measure(peer, results, number)
    if "e4" not in skipped:
        e4.measure(peer, results, options.seconds)
    if "e9" not in skipped:
        try:
            e9.measure(peer, results)
        except NotSupported as reason:
            results.add("e9", peer=peer.name, n=peer.n, note=str(reason))
    if peer.respawns and "e1" not in skipped:
        e1.measure(peer, results, options.kills, budget=options.budget, number=number)
    if peer.respawns and "e3" not in skipped:
        for _ in range(options.repeats):
            e3.measure(peer, results, number)
