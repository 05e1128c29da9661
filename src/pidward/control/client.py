"""The small blocking client of the control socket, for the command line.

Lean on purpose: ``pidward status`` pays for every import. So no ``socket``, ``json`` or ``typing`` here.
"""

import errno
import os
from _socket import AF_UNIX, SOCK_CLOEXEC, SOCK_STREAM, socket

from pidward.control.protocol import MAX_REPLY, Call, Inbox, ProtocolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

INTERFACE = "io.pidward.Supervisor"
PATIENCE = 30.0
"""Seconds without an answer after which a supervisor that should answer at once is given up."""
_READ_SIZE = 2**18


class Unreachable(Exception):
    """There is no supervisor, or it does not answer. The message says where and what to do."""


class NotAllowed(Exception):
    """The socket, or the supervisor, does not let us in."""


class CallFailed(Exception):
    """The supervisor answered by an error.

    error: its name without the interface's when it is our interface's own, as in ``UnknownTarget``.
    """

    def __init__(self, error: str, parameters: dict[str, object]) -> None:
        super().__init__(error, parameters)
        self.error, self.parameters = error.removeprefix(INTERFACE + "."), parameters


class Client:
    """A connection to the supervisor at a path. Close it, or use it as a context manager."""

    def __init__(self, path: str) -> None:
        """Connect. Raises Unreachable, NotAllowed."""
        self._path = path
        self._inbox = Inbox(MAX_REPLY)
        self._socket = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC)
        try:
            self._socket.settimeout(PATIENCE)
            self._socket.connect(path)
        except OSError as error:
            self._socket.close()
            raise _explained(error, path) from None

    def __enter__(self) -> "Self":
        return self

    def __exit__(self, *_about: object) -> None:
        self.close()

    def close(self) -> None:
        """Disconnect; harmless when done already."""
        self._socket.close()

    def fileno(self) -> int:
        """The descriptor, to wait with others until something comes; it stays the client's."""
        return self._socket.fileno()

    def has_news(self) -> bool:
        """Something has come that ``stream`` has not yielded yet, or the supervisor has left."""
        from select import poll  # noqa: PLC0415 - only for those who follow

        waiting = poll()
        waiting.register(self._socket)
        return not self._inbox.is_empty or any(events & 1 for _, events in waiting.poll(0))  # POLLIN, also at the end

    def call(self, method: str, parameters: dict[str, object], patience: float | None = PATIENCE) -> dict[str, object]:
        """Ask and wait for the one answer.

        Args:
            method: of our interface, by its short name.
            parameters: as the interface says.
            patience: seconds to wait; None waits for ever.

        Raises:
            CallFailed: the answer is an error.
            NotAllowed: the answer is that we may not.
            Unreachable: there is no answer.
        """
        *_, last = self.stream(method, parameters, more=False, patience=patience)
        return last

    def stream(
        self, method: str, parameters: dict[str, object], more: bool = True, patience: float | None = None
    ) -> "Iterator[dict[str, object]]":
        """Ask and yield every answer. Raises as ``call`` does."""
        self._socket.settimeout(patience)
        self._send(Call(f"{INTERFACE}.{method}", parameters, more=more).to_bytes())
        continues = True
        while continues:
            try:
                reply = self._inbox.next_reply()
            except ProtocolError as error:
                raise Unreachable(f"what answers at {self._path} is no pidward supervisor: {error}") from None
            if reply is None:
                self._receive()
                continue
            if reply.error is not None:
                failure = CallFailed(reply.error, reply.parameters)
                raise NotAllowed(str(reply.parameters.get("reason"))) if failure.error == "Denied" else failure
            yield reply.parameters
            continues = reply.continues

    def wait_closed(self, patience: float | None = None) -> bool:
        """Wait until the supervisor leaves, which is when it ends. False when the time is over before."""
        self._socket.settimeout(patience)
        try:
            while self._socket.recv(_READ_SIZE):
                pass
        except TimeoutError:
            return False
        except OSError:
            pass
        return True

    def _send(self, data: bytes) -> None:
        try:
            self._socket.sendall(data)
        except TimeoutError:
            raise self._silence() from None
        except OSError:
            pass  # it has left already; what it said before comes out of the next receive

    def _receive(self) -> None:
        try:
            data = self._socket.recv(_READ_SIZE)
        except TimeoutError:
            raise self._silence() from None
        except OSError:
            data = b""
        if not data:
            raise Unreachable(f"the supervisor at {self._path} has ended or closed the connection")
        self._inbox.receive(data)

    def _silence(self) -> Unreachable:
        return Unreachable(f"the supervisor at {self._path} does not answer")


def _explained(error: OSError, path: str) -> Unreachable | NotAllowed:
    start = "start it with `pidward up`"
    if error.errno in (errno.EACCES, errno.EPERM):
        return NotAllowed(f"the control socket {path} is closed to uid {os.geteuid()}; ask as its owner or as root")
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return Unreachable(f"supervisor not reachable at {path}: no such socket; {start}")
    if error.errno == errno.ECONNREFUSED:
        return Unreachable(f"supervisor not reachable at {path}: nobody listens there any more; {start}")
    if isinstance(error, TimeoutError) or error.errno == errno.EAGAIN:
        return Unreachable(f"supervisor not reachable at {path}: it is too busy to answer; try again")
    return Unreachable(f"supervisor not reachable at {path}: {error.strerror or error}; {start}")
