"""The process below which all of a peer is kept: see src/nest.c."""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.harness.paths import NEST


class Nest:
    """One running nest, with one command in it."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], folder: Path, stdout: int) -> None:
        """Start it; stderr of the command goes to ``folder``/stderr.txt."""
        with open(folder / "stderr.txt", "ab") as errors:
            self._process = subprocess.Popen(
                [NEST, *command], stdin=subprocess.DEVNULL, stdout=stdout, stderr=errors, env=environment, cwd=folder
            )
        self.pid = self._process.pid

    def close(self) -> None:
        """Let it reap what is left and leave; what is below it must have been ended before."""
        pidfd = os.pidfd_open(self.pid)  # our own child, not reaped yet
        try:
            signal.pidfd_send_signal(pidfd, signal.SIGTERM)
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            self._process.wait()
        finally:
            os.close(pidfd)
