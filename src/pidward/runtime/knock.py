"""Knocking at a server's door: a connection is tried and, for HTTP, the status line of one answer is read.

Nothing here waits, and nothing is believed or kept of what comes: at most ``MAX_LINE`` bytes are read of any answer.
Addresses are numbers, so no name server is ever asked.
"""

import os
import socket
from collections.abc import Callable
from errno import EADDRNOTAVAIL, EAGAIN, ECONNREFUSED, EINPROGRESS, EMFILE, ENFILE, ENOBUFS, ENOMEM

from pidward.core.probing import Place, status_of
from pidward.core.units import Instant, Seconds, format_duration
from pidward.runtime.loop import READ, WRITE, Loop, Timer, Watch

MAX_LINE = 1024
"""Bytes of an answer in which its status line must end."""

Done = Callable[[bool | None, str], None]
"""Told whether the answer is yes, and what happened: "answered 200", "connection refused". None: we could not ask."""

_OURS = (EMFILE, ENFILE, ENOMEM, ENOBUFS, EADDRNOTAVAIL)
"""What we are short of ourselves, descriptors, memory or ports; it says nothing of the worker."""


class Knock:
    """One knock at the door, answered once through ``done``, never from within the constructor.

    Args:
        loop: calls us.
        place: where; several addresses are tried in order until one is connected to.
        request: what is sent; empty: a connection is answer enough.
        timeout: for all of it.
        done: told of the end; not after ``cancel``.
    """

    def __init__(self, loop: Loop, place: Place, request: bytes, timeout: Seconds, done: Done) -> None:
        self._loop, self._place, self._unsent, self._done = loop, place, request, done
        self._asks = bool(request)
        self._hosts = list(place.hosts) or [""]
        self._socket: socket.socket | None = None
        self._watch: Watch | None = None
        self._line = b""
        self._is_over = False
        self._timeout = timeout
        self._timer: Timer = loop.call_at(Instant(loop.now() + timeout), self._late)
        loop.call_soon(self._connect)

    def cancel(self) -> None:
        """Nobody wants to know any more; harmless when it is over."""
        if not self._is_over:
            self._is_over = True
            self._timer.cancel()
            self._hang_up()

    def _end(self, answer: bool | None, what: str) -> None:
        self.cancel()
        self._done(answer, what)

    def _late(self) -> None:
        after = format_duration(self._timeout)
        waited = "no answer" if self._watch is not None and not self._unsent and self._asks else "no connection"
        self._end(answer=False, what=f"{waited} within {after}")

    def _hang_up(self) -> None:
        if self._watch is not None:
            self._watch.close()
            self._watch = None
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    # --- connecting

    def _connect(self) -> None:
        """Try the next address; the last one's failure is the answer."""
        if self._is_over:
            return
        self._hang_up()
        host = self._hosts.pop(0)
        try:
            family, address = _address(host, self._place)
            self._socket = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
            number = self._socket.connect_ex(address)
        except OSError as error:
            self._refused(error)
            return
        if number == EAGAIN:  # what connect(2) says of a unix socket
            self._end(answer=False, what="its queue of connections is full")
        elif number in (0, EINPROGRESS):
            self._watch = self._loop.watch(self._socket, WRITE, self._writable)
        else:
            self._refused(OSError(number, os.strerror(number)))

    def _refused(self, why: OSError) -> None:
        if self._hosts:
            self._connect()
        else:
            self._end(answer=None if why.errno in _OURS else False, what=_reason(why))

    def _writable(self, _events: int) -> None:
        """Connected, or refused; then, there is room for more of the request."""
        assert self._socket is not None
        assert self._watch is not None
        number = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number:
            self._refused(OSError(number, os.strerror(number)))
        elif self._is_connected_to_itself(self._socket):
            self._refused(OSError(ECONNREFUSED, os.strerror(ECONNREFUSED)))
        elif not self._asks:
            self._end(answer=True, what="accepts connections")
        else:
            try:
                self._unsent = self._unsent[self._socket.send(self._unsent) :]
            except BlockingIOError:
                return
            except OSError as error:
                self._end(answer=False, what=_reason(error))
                return
            if not self._unsent:
                self._watch.close()
                self._watch = self._loop.watch(self._socket, READ, self._readable)

    def _is_connected_to_itself(self, connection: socket.socket) -> bool:
        """Nobody listens, and the kernel chose as our own port just the one that we called: that connects (TCP)."""
        try:
            return bool(self._place.port) and connection.getsockname() == connection.getpeername()
        except OSError:  # hung up already; reading will tell
            return False

    # --- the answer

    def _readable(self, _events: int) -> None:
        assert self._socket is not None
        try:
            data = self._socket.recv(MAX_LINE - len(self._line))
        except BlockingIOError:
            return
        except OSError as error:
            self._end(answer=False, what=_reason(error))
            return
        self._line += data
        line, newline, _ = self._line.partition(b"\n")
        if newline or len(self._line) >= MAX_LINE:
            self._judge(line, status_of(line) if newline else None)
        elif not data:
            self._end(answer=False, what="closed the connection without an answer")

    def _judge(self, line: bytes, status: int | None) -> None:
        if status is None:
            self._end(answer=False, what=f"the answer is no HTTP: {line[:40].decode('latin-1')!a}")
        else:
            self._end(answer=200 <= status < 400, what=f"answered {status}")


def _address(host: str, place: Place) -> tuple[int, str | tuple[str, int] | tuple[str, int, int, int]]:
    """What socket(2) and connect(2) are given. OSError when it is no address: nothing here is ever looked up."""
    if not host:
        return socket.AF_UNIX, place.path
    if ":" not in host:
        return socket.AF_INET, (host, place.port)
    bare, _, interface = host.partition("%")
    socket.inet_pton(socket.AF_INET6, bare)
    return socket.AF_INET6, (bare, place.port, 0, socket.if_nametoindex(interface) if interface else 0)


def _reason(why: OSError) -> str:
    """What the kernel said, as part of a sentence."""
    text = why.strerror or str(why)
    return text[:1].lower() + text[1:]
