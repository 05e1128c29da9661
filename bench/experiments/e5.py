"""E5, logs. ``--part flood``: one worker writes as fast as it can. ``--part many``: N workers at an even pace.

Both count the lines that arrive. Lines are 100 bytes and numbered, files rotate at 50 MB.
"""

import argparse
import os
import re
import time
from collections.abc import Iterable, Sequence

from bench.harness import procfs
from bench.harness.campaign import PeerClass, take_turn, turns
from bench.harness.clock import now_ns
from bench.harness.peer import Peer
from bench.harness.records import Kind
from bench.harness.results import Results
from bench.harness.sets import SUPERVISORS

DEFAULT = (*SUPERVISORS, "floor_c", "floor_c_splice", "floor_py_spawn", "floor_py_splice")

LINE_BYTES = 100
_LINE = re.compile(rb"L (\d{6}) (\d{7}) (\d{10}) ")
_PATIENCE_AFTER_WORKER_S = 20.0


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of this experiment."""
    parser.add_argument("--part", default="flood", choices=("flood", "many"))
    parser.add_argument("--bytes", type=int, default=1_073_741_800, help="flood: what the worker writes")
    parser.add_argument("--chunk", type=int, default=4000, help="flood: bytes a write(2)")
    parser.add_argument("--n", type=int, default=100, help="many: workers")
    parser.add_argument("--hertz", type=int, default=100, help="many: lines a second")
    parser.add_argument("--seconds", type=int, default=10, help="many: for so long")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--patience", type=float, default=120, help="seconds at most")


def run(peers: Sequence[PeerClass], options: argparse.Namespace, results: Results) -> None:
    """One row a peer and round."""
    measure = measure_flood if options.part == "flood" else measure_many
    n = 1 if options.part == "flood" else options.n
    for turn in turns(peers, [n], options.rounds):
        take_turn(turn, results, lambda peer: measure(peer, options, results))


def measure_flood(peer: Peer, options: argparse.Namespace, results: Results) -> None:
    """Time until all is on disk, CPU of the supervisor for it, and its memory on the way."""
    peer.prepare(1, ["-l", str(options.bytes), str(options.chunk)], logged=True)
    worker = peer.ids[0]
    started_ns = peer.start_and_wait()[0].time_ns
    cpu_before = procfs.cpu_by_pid(peer.supervisor_pids())
    deadline = time.monotonic() + options.patience
    finished_ns, peak_kib, turn = 0, 0, 0
    while time.monotonic() < deadline:
        finished = [record for record in peer.fifo.read(0.004 if finished_ns else 0.05) if record.kind is Kind.FINISHED]
        if finished:
            finished_ns = finished[0].time_ns
            deadline = min(deadline, time.monotonic() + _PATIENCE_AFTER_WORKER_S)
        if finished_ns and _size_of(peer.log_files(worker)) >= options.bytes:
            break
        turn += 1
        if turn % 20 == 0:
            peak_kib = max(peak_kib, procfs.memory(peer.supervisor_pids()).resident_kib)
    elapsed_s = (now_ns() - started_ns) / 1e9
    cpu_s = procfs.cpu_ms(peer.supervisor_pids(), cpu_before) / 1e3
    files = peer.log_files(worker)
    size = _size_of(files)
    results.add(
        part="flood", peer=peer.name, n=1, chunk=options.chunk, bytes=options.bytes,
        worker_s=(finished_ns - started_ns) / 1e9 if finished_ns else None, disk_s=elapsed_s,
        mb_per_s=size / 1e6 / elapsed_s, supervisor_cpu_s=cpu_s, cpu_s_per_gb=cpu_s / (size / 1e9) if size else None,
        files=len(files), lines_lost=options.bytes // LINE_BYTES - _count_lines(files), peak_rss_kib=peak_kib,
        note=peer.log_note,
    )  # fmt: skip


def measure_many(peer: Peer, options: argparse.Namespace, results: Results) -> None:
    """Lines of many writers that arrive, and the CPU that takes."""
    lines_each = options.hertz * options.seconds
    peer.prepare(options.n, ["-r", str(options.hertz), str(lines_each)], logged=True)
    before_ns = now_ns()
    peer.start()
    finished = 0
    for record in peer.fifo.read_until(time.monotonic() + options.patience):
        finished += record.kind is Kind.FINISHED
        if finished == options.n:
            break
    wall_s = (now_ns() - before_ns) / 1e9
    time.sleep(2.5)  # loggers may be behind
    cpu_s = procfs.cpu_ms(peer.supervisor_pids()) / 1e3
    found = lines_in({file for worker in peer.ids for file in peer.log_files(worker)})
    expected = options.n * lines_each
    results.add(
        part="many", peer=peer.name, n=options.n, hertz=options.hertz, finished=finished, wall_s=wall_s,
        expected=expected, lines_lost=expected - sum(map(len, found.values())), supervisor_cpu_s=cpu_s,
    )  # fmt: skip


def lines_in(files: Iterable[str]) -> dict[tuple[int, int], set[int]]:
    """The numbers of the lines that each worker process, known by worker and pid, has in these files."""
    found: dict[tuple[int, int], set[int]] = {}
    for path in files:
        try:
            with open(path, "rb") as file:
                data = file.read()
        except OSError:
            continue
        for match in _LINE.finditer(data):
            found.setdefault((int(match[1]), int(match[2])), set()).add(int(match[3]))
    return found


def _count_lines(files: Iterable[str]) -> int:
    count = 0
    for path in files:
        with open(path, "rb") as file:
            while block := file.read(1 << 20):
                count += block.count(b"\n")
    return count


def _size_of(files: Iterable[str]) -> int:
    total = 0
    for path in files:
        try:
            total += os.stat(path).st_size
        except FileNotFoundError:  # rotated away between listing and asking
            continue
    return total
