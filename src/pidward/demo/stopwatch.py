"""When a process died, and when the next one ran its first instruction: both are seen, neither is assumed."""

import os

from pidward import __file__ as package
from pidward.core.units import Instant, Seconds
from pidward.demo.reports import Reports
from pidward.demo.story import Unmet
from pidward.kernel.clock import boottime
from pidward.kernel.pidfd import Pidfd
from pidward.kernel.wait import wait_exit

FIRST = os.path.join(os.path.dirname(package), "native", "first")
"""Says when its first instruction ran, and becomes the program. Built where there is a C compiler."""
_SHELL = ("/bin/sh", "-c", 'echo "$$" >"$0"; exec "$@"')
"""Does the same without; its own start, some 0.5 ms, is part of what is measured then."""
_PATIENCE = Seconds(15.0)


class Stopwatch:
    """Sits at the other end of the FIFO into which starting workers write."""

    def __init__(self, path: str) -> None:
        self._reports = Reports(path)
        self.is_exact = os.access(FIRST, os.X_OK)

    def on(self, program: str, *arguments: str) -> list[str]:
        """The command that starts a program under the watch.

        Args:
            program: its absolute path.
            arguments: its own, from the first after its name.
        """
        if self.is_exact:
            return [FIRST, self._reports.path, program, program, *arguments]
        return [*_SHELL, self._reports.path, program, *arguments]

    def first_instruction(self, pid: int, after: Instant) -> Instant:
        """When the process of this number, which started after an instant, ran its first instruction. Raises Unmet."""
        while True:
            report = self._reports.wait(f"the first instruction of {pid}")
            when = Instant(int(report.words[1]) / 1e9) if self.is_exact else report.read
            if report.words[0] == str(pid) and when > after:
                return when

    def close(self) -> None:
        """Stop listening."""
        self._reports.close()


def wait_death(process: Pidfd) -> Instant:
    """Wait until the kernel reports a process dead; when we had woken up to that. Raises Unmet."""
    if not wait_exit(process, _PATIENCE):
        raise Unmet(f"{process.id} did not die within {_PATIENCE:.0f} s")
    return boottime()
