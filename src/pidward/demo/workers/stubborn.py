"""Ignores SIGTERM.

usage: stubborn.py FIFO    writes "stubborn PID" into the FIFO when it does
"""

import os
import signal
import sys

signal.signal(signal.SIGTERM, signal.SIG_IGN)
with open(sys.argv[1], "wb", buffering=0) as fifo:
    fifo.write(f"stubborn {os.getpid()}\n".encode())
while True:
    signal.pause()
