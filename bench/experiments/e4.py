"""E4, footprint at rest: memory of all of the peer's own processes (not the workers), CPU and wake-ups when idle."""

import argparse
import contextlib
import time
from collections.abc import Sequence
from typing import NamedTuple

from bench.harness import procfs
from bench.harness.campaign import PeerClass, counts_of, take_turn, turns
from bench.harness.peer import Peer
from bench.harness.results import Results
from bench.harness.sets import SUPERVISORS

DEFAULT = SUPERVISORS

_SETTLE_S = 6.0


class Reading(NamedTuple):
    """The counters of a peer at one moment."""

    pids: list[int]
    cpu_by_pid: dict[int, float]
    switches: procfs.Switches
    at: float


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of this experiment."""
    parser.add_argument("--n", default="0,1,100,1000")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--parallel", action="store_true", help="all peers up at once, over the same seconds")


def run(peers: Sequence[PeerClass], options: argparse.Namespace, results: Results) -> None:
    """One row a peer and N."""
    for n in counts_of(options.n):
        if options.parallel:
            run_parallel(peers, n, options.seconds, results)
            continue
        for turn in turns(peers, [n], rounds=1):

            def measure_turn(peer: Peer, count: int = n) -> None:
                peer.prepare(count)
                peer.start_and_wait()
                measure(peer, results, options.seconds)

            take_turn(turn, results, measure_turn)


def run_parallel(peers: Sequence[PeerClass], n: int, seconds: float, results: Results) -> None:
    """All peers at rest together."""
    with contextlib.ExitStack() as stack:
        resident = [stack.enter_context(peer("rest")) for peer in peers if n <= peer.max_workers]
        for peer in resident:
            peer.prepare(n)
            peer.start_and_wait()
        time.sleep(_SETTLE_S)
        before = [read(peer) for peer in resident]
        time.sleep(seconds)
        for peer, reading in zip(resident, before, strict=True):
            add_row(peer, reading, results)


def measure(peer: Peer, results: Results, seconds: float) -> None:
    """Measure a started peer at rest."""
    time.sleep(_SETTLE_S)
    before = read(peer)
    time.sleep(seconds)
    add_row(peer, before, results)


def read(peer: Peer) -> Reading:
    """Read the counters now."""
    pids = peer.supervisor_pids()
    return Reading(pids, procfs.cpu_by_pid(pids), procfs.switches(pids), time.monotonic())


def add_row(peer: Peer, before: Reading, results: Results) -> None:
    """What the same processes used since ``before``, and what they hold now."""
    pids = before.pids
    elapsed_s = time.monotonic() - before.at
    used_ms = procfs.cpu_ms(pids, before.cpu_by_pid)
    switches = procfs.switches(pids)
    memory = procfs.memory(pids)
    results.add(
        "e4", peer=peer.name, n=peer.n, processes=len(pids),
        threads=procfs.count_entries(pids, "task"), fds=procfs.count_entries(pids, "fd"),
        pss_kib=memory.proportional_kib, rss_kib=memory.resident_kib,
        cpu_percent=used_ms / 10 / elapsed_s,
        wakeups_per_s=(switches.voluntary - before.switches.voluntary) / elapsed_s,
    )  # fmt: skip
