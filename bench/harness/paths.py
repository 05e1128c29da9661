"""Where things of the benchmarks lie."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROJECT = ROOT.parent
BIN = ROOT / "bin"
PEERS_ENV = ROOT / "peers_env"
RESULTS = ROOT / "results"

WORKER = str(BIN / "worker")
NEST = str(BIN / "nest")

CONTROL = Path(f"/dev/shm/pidward-bench.{os.getpid()}")
"""Control files: on tmpfs, as /run is in real life. On a busy disk the peers that write status files before a fork
get slower by milliseconds."""

LOGS = ROOT / "runs" / str(os.getpid())
"""Logs: on a real disk."""
