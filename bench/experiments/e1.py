"""E1, death to respawn: kill -9 one worker of N; time until the new worker's first instruction.

The clock starts just before the kill. ``--mode resident`` has all peers up at once and kills one worker of each per
round, so that noise falls on all alike (small N). ``--mode block`` measures one peer after the other. ``--loop`` kills
as soon as the worker is up, a crash loop, where the default waits until the peer takes a death for the first.
``--overlap`` kills another worker every 20-40 ms without waiting, with the harness idle between: caches stay warm, and
the figures are 0.2-0.4 ms lower; never compare the two.
"""

import argparse
import contextlib
import random
import time
from collections.abc import Sequence

from bench.harness import procfs, signals
from bench.harness.campaign import PeerClass, counts_of, take_turn, turns
from bench.harness.clock import now_ns
from bench.harness.peer import Peer
from bench.harness.records import Record
from bench.harness.results import Results
from bench.harness.sets import FLOORS, RESTARTING
from bench.harness.statistics import summary_ms

DEFAULT = (*RESTARTING, *FLOORS)

_SETTLED_AFTER_START_S = 1.2
_LONGEST_RANDOM_PHASE_S = 1.0
_PATIENCE_S = 30.0
_LEAST_N_TO_OVERLAP = 50


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of this experiment."""
    parser.add_argument("--mode", default="block", choices=("block", "resident"))
    parser.add_argument("--n", default="1")
    parser.add_argument("--kills", type=int, default=200, help="of each peer, or of each per round in block mode")
    parser.add_argument("--rounds", type=int, default=1, help="blocks of each peer")
    parser.add_argument("--loop", action="store_true")
    parser.add_argument("--overlap", action="store_true")
    parser.add_argument("--budget", type=float, default=400, help="seconds of a block at most")


def run(peers: Sequence[PeerClass], options: argparse.Namespace, results: Results) -> None:
    """One row a peer and block."""
    if options.mode == "resident":
        for n in counts_of(options.n):
            run_resident(peers, n, options, results)
        return
    for turn in turns(peers, counts_of(options.n), options.rounds):

        def measure_turn(peer: Peer, n: int = turn.n, number: int = turn.round) -> None:
            peer.prepare(n)
            peer.start_and_wait()
            measure(peer, results, options.kills, options.loop, options.overlap, options.budget, number)

        take_turn(turn, results, measure_turn)


def run_resident(peers: Sequence[PeerClass], n: int, options: argparse.Namespace, results: Results) -> None:
    """All peers up; one kill of each per round, in a new order every round."""
    with contextlib.ExitStack() as stack:
        resident = [stack.enter_context(peer("resident")) for peer in peers]
        samples: dict[str, list[int]] = {peer.name: [] for peer in resident}
        for peer in resident:
            peer.prepare(n)
            peer.start_and_wait()
        time.sleep(3)
        for _ in range(options.kills):
            time.sleep(random.uniform(0, 0.6))
            for peer in random.sample(resident, len(resident)):
                latency = kill_one(peer, options.loop)
                if latency is not None:
                    samples[peer.name].append(latency)
        for peer in resident:
            found = samples[peer.name]
            results.add(
                "e1", peer=peer.name, n=n, mode="resident", loop=options.loop, lost=options.kills - len(found),
                **summary_ms(found),
            )  # fmt: skip


def measure(
    peer: Peer, results: Results, kills: int, loop: bool = False, overlap: bool = False, budget: float = 400,
    number: int = 0,
) -> None:  # fmt: skip
    """Measure a started peer. Peers with a slow supervisor for each worker always overlap, or it would take hours."""
    time.sleep(_SETTLED_AFTER_START_S)
    deadline = time.monotonic() + budget
    overlap = (overlap or peer.one_supervisor_each) and peer.n >= _LEAST_N_TO_OVERLAP
    if overlap:
        asked, found = kill_overlapping(peer, kills, deadline)
    else:
        asked, found = kill_in_turn(peer, kills, loop, deadline)
    results.add(
        "e1", peer=peer.name, n=peer.n, mode="overlap" if overlap else "block", loop=loop, round=number,
        lost=asked - len(found), **summary_ms(found),
    )  # fmt: skip


def kill_in_turn(peer: Peer, kills: int, loop: bool, deadline: float) -> tuple[int, list[int]]:
    """Kill, wait for the respawn, kill the next. Returns how many kills, and the latencies in nanoseconds."""
    asked, found = 0, []
    while asked < kills and time.monotonic() < deadline:
        asked += 1
        latency = kill_one(peer, loop)
        if latency is not None:
            found.append(latency)
    return asked, found


def kill_one(peer: Peer, loop: bool) -> int | None:
    """Kill one worker; nanoseconds until the next start, or None when none came."""
    victim = choose_victim(peer, loop)
    if not loop:
        wait_settled(peer, victim)
        polls = random.uniform(0, min(peer.tick_s, _LONGEST_RANDOM_PHASE_S))
        time.sleep(polls or random.uniform(0.004, 0.024))
    peer.note(peer.fifo.read(0))
    killed_ns = signals.kill_timed(victim.pid)
    peer.running.pop(victim.pid)
    started = peer.wait_started(1, _PATIENCE_S)
    return started[0].time_ns - killed_ns if started else None


def choose_victim(peer: Peer, loop: bool) -> Record:
    """In a loop the youngest; else one of the older half, which has settled."""
    by_age = sorted(peer.running.values(), key=lambda record: record.time_ns)
    return by_age[-1] if loop else random.choice(by_age[: max(1, len(by_age) // 2)])


def wait_settled(peer: Peer, worker: Record) -> None:
    """Wait until the worker has been up long enough for its death not to count as a crash loop."""
    left_s = peer.settle_s - (now_ns() - worker.time_ns) / 1e9
    if left_s > 0:
        time.sleep(left_s)


def kill_overlapping(peer: Peer, kills: int, deadline: float) -> tuple[int, list[int]]:
    """Kill another worker every 20-40 ms; each is at most once in flight."""
    killed_ns: dict[int, int] = {}  # by number of the worker
    asked, found = 0, []
    order: list[Record] = []
    while (asked < kills or killed_ns) and time.monotonic() < deadline:
        if asked < kills:
            order = order or random.sample(list(peer.running.values()), len(peer.running))
            victim = order.pop()
            if victim.id not in killed_ns and procfs.is_alive(victim.pid):
                killed_ns[victim.id] = signals.kill_timed(victim.pid)
                peer.running.pop(victim.pid)
                asked += 1
        started = peer.note(peer.fifo.read(random.uniform(0.02, 0.04)))
        found += [record.time_ns - killed_ns.pop(record.id) for record in started if record.id in killed_ns]
    return asked, found
