"""What all tests share: Hypothesis behaves the same on every machine."""

import os
import signal

from hypothesis import settings

# No deadline: the machines are shared, and a slow example is not a wrong one.
settings.register_profile("dev", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "dev")

# A shell without job control starts what runs in the background with SIGINT ignored, and so would be every program
# that a test interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
