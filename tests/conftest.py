"""What all tests share: Hypothesis behaves the same on every machine."""

import os

from hypothesis import settings

# No deadline: the machines are shared, and a slow example is not a wrong one.
settings.register_profile("dev", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "dev")
