"""Making the machine, and this process, fit for measuring."""

import os
import resource
import signal
import subprocess
import sys

from bench.harness.paths import ROOT

SCHEDULERS = ("none", "rr")


def prepare(scheduler: str) -> None:
    """Set up this process; all peers and workers inherit it. Builds ``bin/`` where it is missing or old.

    Args:
        scheduler: ``rr`` puts the whole tree into SCHED_RR 1, above the other load of a shared machine. (nice does
            not help there: with sched_autogroup every setsid() makes a new group.) ``none`` leaves it alone; use
            that for a peer that may spin.
    """
    subprocess.run(["make", "--silent", "-C", str(ROOT)], check=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the peers are closed
    if scheduler == "rr":
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
