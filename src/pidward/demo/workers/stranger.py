"""Somebody else's process. It blocks all signals: whatever is sent to it stays pending, for everybody to see.

usage: stranger.py FIFO    writes "stranger PID" into the FIFO when it does
"""

import os
import signal
import sys

signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
with open(sys.argv[1], "wb", buffering=0) as fifo:
    fifo.write(f"stranger {os.getpid()}\n".encode())
while True:
    signal.pause()
