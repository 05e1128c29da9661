"""Signals by pidfd: between finding a process and signalling it nobody else can get its number."""

import os
import signal

from bench.harness.clock import now_ns


def send(pid: int, number: int) -> bool:
    """Signal a process; False when it is gone."""
    try:
        pidfd = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        signal.pidfd_send_signal(pidfd, number)
        return True
    except OSError:
        return False
    finally:
        os.close(pidfd)


def kill_timed(pid: int) -> int:
    """Kill a process; returns the instant just before the kill, in nanoseconds. Raises when it is gone."""
    pidfd = os.pidfd_open(pid)
    try:
        before = now_ns()
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        return before
    finally:
        os.close(pidfd)
