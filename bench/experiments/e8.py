"""E8, pid reuse: the worker, or the supervisor, dies, a stranger gets its number, and the peer is told to stop.

Was the death noticed, and whom does the stop signal? Runs in a pid namespace of its own. The same for single tools and
libraries, and ten thousand times for pidward: tests/reuse.
"""

import argparse
import time
import traceback
from collections.abc import Callable, Sequence

from bench.harness import signals
from bench.harness.campaign import PeerClass
from bench.harness.paths import WORKER
from bench.harness.peer import Peer
from bench.harness.results import Results, Row
from bench.peers.monit import Monit
from bench.peers.pidward import Pidward
from bench.peers.pm2 import Pm2
from bench.peers.supervisord import Supervisord
from tests.reuse.namespace import Process, run_in_namespace, spawn_stranger

DEFAULT = ("pidward", "monit", "supervisord", "pm2")

_SLEEP = ("/bin/sleep", "1000")
_PATIENCE_S = 15.0
_SIGKILL = 9


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of this experiment."""
    parser.add_argument("--timeout", type=float, default=300, help="seconds of one case at most")


def run(peers: Sequence[PeerClass], options: argparse.Namespace, results: Results) -> None:
    """One row a case."""
    chosen = {peer.name for peer in peers}
    for name, case in CASES.items():
        if name.split(":")[0] not in chosen:
            continue
        try:
            row = run_in_namespace(f"{__name__}:play", name, timeout_s=options.timeout)
        except Exception as error:  # the other cases shall still be played
            traceback.print_exc()
            row = {"error": repr(error)[:300]}
        results.add(peer=name.split(":")[0], case=case.__doc__, **row)


def play(name: str) -> Row:
    """Play one case; inside the namespace."""
    return CASES[name]()


def monit_other_program() -> Row:
    """the worker dies, another program gets its number"""
    return _monit(_SLEEP)


def monit_same_program() -> Row:
    """the worker dies, another instance of the same program gets its number"""
    return _monit((WORKER, "/dev/null", "77"))


def _monit(program: Sequence[str]) -> Row:
    with Monit("reuse") as peer:
        pid = _start_one(peer)
        time.sleep(4)  # it has seen the worker alive
        stranger = _replace(pid, program)
        noticed = bool(peer.wait_started(1, _PATIENCE_S))
        peer.run(peer.stop_one_command(peer.ids[0]))
        time.sleep(3)
        return _row(noticed, worker=stranger)


def supervisord_alive() -> Row:
    """the worker dies, is reaped and restarted; its old number goes to a stranger; stop"""
    return _restarting(Supervisord("reuse"))


def pidward_alive() -> Row:
    """the worker dies, is reaped and restarted; its old number goes to a stranger; stop"""
    return _restarting(Pidward("reuse"))


def _restarting(started: Peer) -> Row:
    with started as peer:
        pid = _start_one(peer)
        time.sleep(1.5)
        signals.send(pid, _SIGKILL)
        noticed = bool(peer.wait_started(1, _PATIENCE_S))
        stranger = spawn_stranger(pid, program=_SLEEP)
        peer.run(peer.stop_one_command(peer.ids[0]))
        return _row(noticed, worker=stranger)


def supervisord_crashed() -> Row:
    """it is killed and started again; orphan and old supervisor are replaced by strangers; stop all"""
    with Supervisord("reuse") as peer:
        pid = _start_one(peer)
        main = _replace_main(peer)
        peer.start()
        second = bool(peer.wait_started(1, _PATIENCE_S))
        worker = _replace(pid, _SLEEP)
        peer.run(peer.ctl("stop", "all"))
        return {"second_copy_started": second, **_row(None, worker=worker, supervisor=main)}


def pm2_crashed() -> Row:
    """its daemon is killed; daemon and worker are replaced by strangers; ping, resurrect, kill"""
    with Pm2("reuse") as peer:
        pid = _start_one(peer)
        main = _replace_main(peer)
        worker = _replace(pid, _SLEEP)
        for word in ("ping", "resurrect", "kill"):
            peer.run(peer.ctl(word))
        return _row(None, worker=worker, supervisor=main)


CASES: dict[str, Callable[[], Row]] = {
    "monit:other": monit_other_program,
    "monit:same": monit_same_program,
    "supervisord:alive": supervisord_alive,
    "supervisord:crashed": supervisord_crashed,
    "pm2:crashed": pm2_crashed,
    "pidward:alive": pidward_alive,
}


def _start_one(peer: Peer) -> int:
    peer.prepare(1)
    return peer.start_and_wait()[0].pid


def _replace_main(peer: Peer) -> Process:
    time.sleep(1.5)
    main = peer.main_pid()
    assert main is not None
    return _replace(main, _SLEEP)


def _replace(pid: int, program: Sequence[str]) -> Process:
    """Kill a process that is nobody's zombie for long, and give its number to a stranger."""
    signals.send(pid, _SIGKILL)
    return spawn_stranger(pid, program=program)


def _row(noticed: bool | None, **strangers: Process) -> Row:
    felt = {f"stranger_with_{role}_number": _felt(stranger) for role, stranger in strangers.items()}
    for stranger in strangers.values():
        stranger.end()
    return {"death_noticed": noticed, **felt}


def _felt(stranger: Process) -> str:
    return stranger.touched() or "not signalled"
