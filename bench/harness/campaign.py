"""The order in which peers are measured, and what becomes of their failures."""

import random
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from bench.harness.peer import NotStarted, NotSupported, Peer
from bench.harness.results import Results

PeerClass = type[Peer]


class Turn(NamedTuple):
    """One peer's turn at one number of workers."""

    peer: PeerClass
    n: int
    round: int


def turns(peers: Sequence[PeerClass], counts: Sequence[int], rounds: int) -> Iterator[Turn]:
    """Every peer at every N in every round, in a new order each round, so that drift falls on all alike."""
    for n in counts:
        for number in range(rounds):
            for peer in random.sample(peers, len(peers)):
                if n <= peer.max_workers:
                    yield Turn(peer, n, number)


def take_turn(turn: Turn, results: Results, measure: Callable[[Peer], None]) -> None:
    """Measure one peer in a directory of its own; a failure becomes a row and ends only this turn."""
    try:
        with turn.peer("run") as peer:
            measure(peer)
    except NotSupported as reason:
        results.add(peer=turn.peer.name, n=turn.n, round=turn.round, note=str(reason))
    except NotStarted as reason:
        results.add(peer=turn.peer.name, n=turn.n, round=turn.round, error=str(reason))
    except Exception as error:  # the other peers shall still have their turn
        traceback.print_exc()
        results.add(peer=turn.peer.name, n=turn.n, round=turn.round, error=repr(error)[:300])


def counts_of(text: str) -> list[int]:
    """Read ``"1,100,1000"``."""
    return [int(part) for part in text.split(",")]
