"""What the foreground shows of the workers' output: ``pidward logs`` in a process of its own.

So a terminal that stands still, or a slow pipe, holds up neither the supervisor nor a worker.
"""

import sys
from time import CLOCK_REALTIME, clock_gettime_ns

from pidward.cli.here import Here
from pidward.runtime.detach import Background
from pidward.runtime.foreign import own_identity

PATIENCE = 2.0
"""Seconds that the viewer gets at the end to show the rest."""


class Viewer:
    """Shows output on our stdout until it is closed; then what is left of it."""

    def __init__(self, configuration: str, instance: str, here: Here) -> None:
        own = [sys.executable, "-P", "-m", "pidward", "logs", "--attached", own_identity()]
        own += ["--since-ns", str(clock_gettime_ns(CLOCK_REALTIME)), "-c", configuration, "--instance", instance]
        flags = [flag for flag, said in (("--json", here.json), ("--no-color", here.no_color)) if said]
        self._process: Background | None = None
        try:
            self._process = Background.beside_us([*own, *flags])
        except OSError as error:
            here.say(f"pidward: the workers' output is not shown here ({error.strerror}); see `pidward logs -f`")

    def close(self) -> None:
        """Let it show the rest, and end it; harmless when done already."""
        if self._process is not None:
            self._process.ask_to_end(PATIENCE)
            self._process.close()
            self._process = None
