"""Forks daemons away, by the book: fork, setsid, fork again. They ignore every polite signal.

usage: daemons.py COUNT FIFO    each daemon, and at last the program itself, writes "WORD PID" into the FIFO
"""

import os
import signal
import sys

POLITE = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)


def report(word: str) -> None:
    """One write of one line: nothing gets between."""
    with open(sys.argv[2], "wb", buffering=0) as fifo:
        fifo.write(f"{word} {os.getpid()}\n".encode())


def wait_for_ever() -> None:
    """Until SIGKILL."""
    while True:
        signal.pause()


def fork_away() -> None:
    """A daemon is nobody's child, in nobody's session and group."""
    if child := os.fork():  # noqa: TID251 - a program to be supervised, as is
        os.waitpid(child, 0)  # noqa: TID251
        return
    os.setsid()
    if os.fork():  # noqa: TID251
        os._exit(0)
    for number in POLITE:
        signal.signal(number, signal.SIG_IGN)
    report("daemon")
    wait_for_ever()


for _ in range(int(sys.argv[1])):
    fork_away()
report("started")
wait_for_ever()
