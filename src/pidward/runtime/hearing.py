"""What signals to the supervisor mean, and the deaths of those whom nobody else waits for."""

from collections.abc import Callable
from contextlib import suppress

from pidward.core.events import ShutdownAsked
from pidward.core.signals import SIGCHLD, SIGHUP, SIGINT, SIGRTMAX, SIGTERM, parse_signal, signal_name
from pidward.kernel.errors import Unsupported
from pidward.kernel.signals import SignalFd
from pidward.kernel.tree import become_subreaper
from pidward.runtime.answers import Answers
from pidward.runtime.loop import READ, Loop, Watch
from pidward.runtime.supervise import Supervision

HALT = parse_signal("SIGRTMIN+3")
"""What container managers send to an init to have it end, beside SIGTERM."""
_END = frozenset({SIGTERM, SIGINT, HALT})
_ABOUT_OURSELVES = ("KILL", "STOP", "CHLD", "SEGV", "BUS", "FPE", "ILL", "TRAP", "SYS", "ABRT", "PIPE")
_KEPT = frozenset(map(parse_signal, _ABOUT_OURSELVES)) | {32, 33}
"""Cannot be had, or are about this process itself, or belong to the C library."""
FORWARDED = frozenset(range(1, SIGRTMAX + 1)) - _KEPT
"""What is heard when signals are forwarded."""


class Ears:
    """Blocks the signals that are meant for the supervisor, and hears them once ``listen`` was called.

    Make it before any thread exists. Owns two descriptors.

    Args:
        forwards: signals that do not end the supervisor go to the workers' main processes.
    """

    def __init__(self, forwards: bool) -> None:
        self._forwards = forwards
        self._signals = SignalFd(FORWARDED if forwards else _END | {SIGHUP})
        self._deaths = SignalFd([SIGCHLD])
        self._orphans_watch: Watch | None = None
        self._interrupted = False

    def listen(self, loop: Loop, supervision: Supervision, answers: Answers, announce: Callable[[str], None]) -> None:
        """Hear signals from now on."""
        self._loop, self._supervision, self._answers, self._announce = loop, supervision, answers, announce
        loop.watch(self._signals, READ, self._heard)

    def inherit_orphans(self) -> None:
        """Descendants of workers that lose their parent become our children, and are reaped; harmless when they are."""
        if self._orphans_watch is None:
            with suppress(Unsupported):  # as process 1 we are their parent all the same
                become_subreaper()
            self._orphans_watch = self._loop.watch(self._deaths, READ, self._somebody_died)

    def close(self) -> None:
        """Let signals do again what they did."""
        self._deaths.close()
        self._signals.close()

    def _heard(self, _events: int) -> None:
        """TERM, INT and HALT end in order, a second INT at once; HUP reads the configuration again, or is forwarded."""
        for number, pid, uid in self._signals.read():
            by = signal_name(number) + (f" from pid {pid}, uid {uid}" if pid else "")
            if number in _END:
                self._end(number, by)
            elif self._forwards:
                self._supervision.signal_all(number)
            else:
                self._reload(by)

    def _end(self, number: int, by: str) -> None:
        at_once = self._interrupted and number == SIGINT
        self._interrupted = self._interrupted or number == SIGINT
        hint = "; ^C once more stops at once" if number == SIGINT else ""
        self._announce(f"{by}: stopping everything" + (" at once" if at_once else f", in order{hint}"))
        self._supervision.feed(ShutdownAsked(f"the end of pidward ({by})", at_once))

    def _reload(self, by: str) -> None:
        try:
            self._announce(self._answers.reload(by))
        except Exception as error:  # noqa: BLE001 - whatever is wrong with a file must not end the supervisor
            for line in str(error).splitlines()[1:]:  # the first one is an event, and was told as such
                self._announce(line)

    def _somebody_died(self, _events: int) -> None:
        self._deaths.read()
        self._supervision.reap_orphans()
