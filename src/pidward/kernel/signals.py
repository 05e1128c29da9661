"""Signals to ourselves, told by a descriptor instead of a handler."""

import os
import signal
import struct
from collections.abc import Iterable

from pidward.core.lean import NamedTuple
from pidward.kernel import abi
from pidward.kernel.errors import translated

_SIGINFO = struct.Struct("=IiiII108x")  # signo errno code pid uid
_AT_ONCE = 64


class Received(NamedTuple):
    """A signal that came. sender: a number for display only; 0 when the kernel sent it."""

    number: int
    sender: int
    uid: int


class SignalFd:
    """Blocks signals in this thread and reads them from a descriptor (Linux 2.6.27).

    Make it before any other thread, which inherits the blocking. One kind of signal that comes twice before it is
    read is told once.
    """

    def __init__(self, numbers: Iterable[int]) -> None:
        self._numbers = frozenset(numbers)
        bits = sum(1 << (number - 1) for number in self._numbers)
        self._before = signal.pthread_sigmask(signal.SIG_BLOCK, self._numbers)
        try:
            self._fd = abi.call("signalfd4", -1, bits.to_bytes(8, "little"), 8, os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            signal.pthread_sigmask(signal.SIG_SETMASK, self._before)
            raise translated(error, "signalfd", "receive signals") from error

    def fileno(self) -> int:
        """The descriptor, readable when a signal has come; it stays ours."""
        return self._fd

    def read(self) -> list[Received]:
        """Take the signals that have come, without waiting."""
        try:
            data = os.read(self._fd, _AT_ONCE * _SIGINFO.size)
        except BlockingIOError:
            return []
        return [Received(number, pid, uid) for number, _, _, pid, uid in _SIGINFO.iter_unpack(data)]

    def close(self) -> None:
        """Close the descriptor and unblock what was not blocked before; harmless when done already."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
            signal.pthread_sigmask(signal.SIG_SETMASK, self._before)
