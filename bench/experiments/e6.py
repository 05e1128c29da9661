"""E6, the supervisor crashes: kill -9 it while N workers run, look, start it again, look again.

How many workers survive? How many run twice after the restart? Is a surviving one managed again? Which log lines of
the original workers are lost?

``--work`` silent: they do nothing; log: they write numbered lines; proof: the same, and they ignore SIGPIPE.
``--who`` main: the main process is killed; each: the supervising processes of single services (the daemontools family).
"""

import argparse
import signal
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from bench.experiments.e5 import lines_in
from bench.harness import procfs, signals, stats_file
from bench.harness.campaign import PeerClass, Turn, take_turn
from bench.harness.peer import NotSupported, Peer, is_worker
from bench.harness.results import Results, Row
from bench.harness.sets import SUPERVISORS
from bench.harness.stats_file import Slot

DEFAULT = (*SUPERVISORS, "monit")

_PER_SERVICE = ("s6-supervise", "runsv", "supervise")
_PATIENCE_FOR_RESPAWN_S = 6.0


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of this experiment."""
    parser.add_argument("--n", type=int, default=100)
    parser.add_argument("--hertz", type=int, default=100)
    parser.add_argument("--work", default="log", choices=("silent", "log", "proof"))
    parser.add_argument("--who", default="main", choices=("main", "each"))
    parser.add_argument("--wait", type=float, default=12, help="seconds after the restart")


def run(peers: Sequence[PeerClass], options: argparse.Namespace, results: Results) -> None:
    """One row a peer."""
    for peer in peers:
        take_turn(Turn(peer, options.n, 0), results, lambda fresh: measure(fresh, options, results))


def measure(peer: Peer, options: argparse.Namespace, results: Results) -> None:
    """See the module."""
    stats = peer.dir / "stats"
    stats_file.create(stats)
    work = {"silent": [], "log": ["-r", str(options.hertz), "0"], "proof": ["-r", str(options.hertz), "0", "-P"]}
    peer.prepare(min(options.n, peer.max_workers), ["-s", str(stats), *work[options.work]], options.work != "silent")
    peer.start_and_wait()
    time.sleep(3)
    originals = {slot.pid for slot in living(stats)}
    killed = kill_supervisors(peer, options.who)
    time.sleep(3)
    row = look_after_crash(stats, originals)
    if options.who == "main":
        peer.start()
    time.sleep(options.wait)
    row |= look_after_restart(peer, stats, originals)
    if peer.logging:
        row |= look_at_logs(peer, stats, originals)
    results.add(peer=peer.name, n=peer.n, work=options.work, who=options.who, killed=killed, **row)


def living(stats: Path) -> list[Slot]:
    """The worker processes that live now."""
    return [slot for slot in stats_file.slots(stats) if slot.pid and is_worker(slot.pid) and procfs.is_alive(slot.pid)]


def kill_supervisors(peer: Peer, who: str) -> int:
    """Kill what ``who`` says, at one go; returns how many."""
    if who == "main":
        main = peer.main_pid()
        assert main is not None
        return int(signals.send(main, signal.SIGKILL))
    supervisors = [pid for pid in peer.supervisor_pids() if procfs.command_name(pid) in _PER_SERVICE]
    if not supervisors:
        raise NotSupported("no supervising process for each service")
    return sum(signals.send(pid, signal.SIGKILL) for pid in supervisors if not _supervises_a_logger(pid))


def _supervises_a_logger(pid: int) -> bool:
    return Path(f"/proc/{pid}/cwd").resolve().name == "log"


def look_after_crash(stats: Path, originals: set[int]) -> Row:
    """Who survived, and who of these still gets lines out."""
    before = {slot.pid: slot.written for slot in living(stats)}
    time.sleep(1)
    now = living(stats)
    survivors = [slot for slot in now if slot.pid in originals]
    return {
        "survived": len(survivors),
        "still_writing": sum(slot.written > before[slot.pid] for slot in survivors),
        "new_before_restart": len(now) - len(survivors),
    }


def look_after_restart(peer: Peer, stats: Path, originals: set[int]) -> Row:
    """Who runs now, who of them twice, and whether the restarted supervisor looks after a survivor."""
    now = living(stats)
    stable = peer.stable_ids or peer.logging is not None
    times = Counter(slot.id if stable else slot.pid for slot in now)
    single = [slot for slot in now if slot.pid in originals and times[slot.id if stable else slot.pid] == 1]
    return {
        "living": len(now),
        "living_originals": sum(slot.pid in originals for slot in now),
        "running_twice": sum(count > 1 for count in times.values()),
        "managed": is_replaced(peer, single[0], stable) if single else None,
    }


def is_replaced(peer: Peer, worker: Slot, stable: bool) -> bool:
    """Kill a surviving worker: is it started again?"""
    peer.fifo.read(0)
    signals.send(worker.pid, signal.SIGKILL)
    records = peer.fifo.read_until(time.monotonic() + _PATIENCE_FOR_RESPAWN_S, step=0.5)
    return any(record.id == worker.id or not stable for record in records)


def look_at_logs(peer: Peer, stats: Path, originals: set[int]) -> Row:
    """Lines that the originals wrote whole and that are in no file."""
    for slot in living(stats):  # held still, so that counts and files agree
        signals.send(slot.pid, signal.SIGSTOP)
    time.sleep(2.5)
    found = lines_in({file for worker in peer.ids for file in peer.log_files(worker)})
    wrote = [slot for slot in stats_file.slots(stats) if slot.pid in originals]
    written = sum(slot.written for slot in wrote)
    return {
        "lines_written": written,
        "lines_lost": written - sum(len(found.get((slot.id, slot.pid), ())) for slot in wrote),
        "failed_writes": sum(slot.failed for slot in wrote),
    }
