"""The control server: connections on the loop, calls to the service, replies back.

It never blocks, and every buffer has a limit.
"""

import _socket as socket  # the module above it makes enums of all numbers, 0.5 MiB
import os
from collections.abc import Callable
from contextlib import closing

from pidward.control.interface import Refusal, refused
from pidward.control.listen import ControlSocket
from pidward.control.protocol import MAX_CALL, Call, Inbox, ProtocolError, Reply
from pidward.control.service import Service
from pidward.core.units import Instant
from pidward.runtime.desk import Desk
from pidward.runtime.loop import READ, WRITE, Loop, Timer, Watch
from pidward.runtime.peer import Peer, peer_of

MAX_CLIENTS = 128
MAX_UNREAD = 4 * 2**20
"""Bytes of a stream that wait for a slow reader, before it is dropped."""
READ_SIZE = 65536
PAUSE = 1.0
"""Seconds without accepting when descriptors have run out: the waiting client would wake the loop at once again."""
FAREWELL = 10.0
"""Seconds that a dropped client has to read why."""


def _nothing() -> None:
    pass


class Server:
    """Serves one control socket. Owns the socket; close it when the loop has stopped.

    Args:
        loop: where everything happens.
        desk: who carries out the requests.
        listener: the bound socket.
        report: hears in one line of what went wrong on our side.
    """

    def __init__(self, loop: Loop, desk: Desk, listener: ControlSocket, report: Callable[[str], None]) -> None:
        self._loop, self._listener = loop, listener
        self._service = Service(desk, loop, report)
        self._connections: set[Connection] = set()
        self._resume: Timer | None = None
        self._watch: Watch | None = loop.watch(listener, READ, self._accept)

    def close(self) -> None:
        """Leave all clients and remove the socket."""
        if self._watch is not None:
            self._watch.close()
        if self._resume is not None:
            self._resume.cancel()
        for connection in list(self._connections):
            connection.close()
        self._listener.close()

    def _accept(self, _events: int) -> None:
        try:
            connection = self._listener.accept()
        except OSError:  # no descriptor or no memory is left; whatever it is, the workers come first
            self._pause()
            return
        if connection is not None:
            self._admit(connection)

    def _pause(self) -> None:
        assert self._watch is not None
        self._watch.close()
        self._watch = None
        self._resume = self._loop.call_at(Instant(self._loop.now() + PAUSE), self._go_on)

    def _go_on(self) -> None:
        self._resume = None
        self._watch = self._loop.watch(self._listener, READ, self._accept)

    def _admit(self, connection: socket.socket) -> None:
        peer = peer_of(connection)
        if peer.uid not in (0, os.geteuid()):
            _turn_away(connection, refused("Denied", reason=f"{peer} is neither root nor the owner of this supervisor"))
        elif len(self._connections) >= MAX_CLIENTS:
            _turn_away(connection, refused("Refused", reason=f"{MAX_CLIENTS} clients are connected already"))
        else:
            self._connections.add(Connection(self._loop, connection, self._service, peer, self._connections.discard))


def _error(refusal: Refusal) -> bytes:
    return Reply(refusal.parameters, error=refusal.error).to_bytes()


def _turn_away(connection: socket.socket, refusal: Refusal) -> None:
    with closing(connection):
        try:
            connection.send(_error(refusal))
        except OSError:
            pass  # it does not even want to hear it


class Connection:
    """One client. Its calls are carried out one after the other; while one waits for its answer nothing is read."""

    def __init__(
        self,
        loop: Loop,
        connection: socket.socket,
        service: Service,
        peer: Peer,
        on_close: Callable[["Connection"], None],
    ) -> None:
        self._loop, self._socket, self._service, self._peer, self._on_close = loop, connection, service, peer, on_close
        self._inbox = Inbox(MAX_CALL)
        self._unsent = bytearray()
        self._talk: Talk | None = None  # the call under way
        self._dropped: Timer | None = None
        self._open = True
        self._hungry = True  # no whole call is left in the inbox
        self._ended = False  # the client sends nothing more
        self._events = READ
        self._watch = loop.watch(connection, READ, self._ready)

    def close(self) -> None:
        """Leave the client."""
        if not self._open:
            return
        self._open = False
        if self._talk is not None:
            self._talk.end()
        if self._dropped is not None:
            self._dropped.cancel()
        self._watch.close()
        self._socket.close()
        self._on_close(self)

    def send(self, data: bytes, talk: "Talk", continues: bool) -> None:
        """Send a reply of the call under way, or keep it until the client reads."""
        if talk is not self._talk:
            return
        if continues and len(self._unsent) > MAX_UNREAD:
            self._drop(refused("Refused", reason="too slow: the stream was cut off; ask again with the last seq"))
            return
        if not talk.oneway:
            self._unsent += data
        if not continues:
            talk.end()
            self._talk = None
        self._flush()
        if self._open and not self._unsent:
            # Not from within the answer: whoever answers may be in the middle of something.
            if continues:
                self._loop.call_at(self._loop.now(), talk.on_drained)
            elif not self._inbox.is_empty:
                self._loop.call_at(self._loop.now(), self._next_call)

    def _ready(self, events: int) -> None:
        if events & WRITE:
            self._flush()
            if self._open and not self._unsent:
                self._drained()
        elif self._events & READ:
            self._receive()
        elif self._talk is not None or self._unsent:
            self.close()  # hung up instead of waiting for its reply; calls that need none are still carried out

    def _drained(self) -> None:
        if self._dropped is not None:
            self.close()
        elif self._talk is not None:
            self._talk.on_drained()
        else:
            self._next_call()

    def _receive(self) -> None:
        try:
            data = self._socket.recv(READ_SIZE)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        self._ended = not data
        self._inbox.receive(data)
        self._next_call()

    def _next_call(self) -> None:
        if not self._open or self._talk is not None or self._unsent or self._dropped is not None:
            return
        try:
            call = self._inbox.next_call()
        except ProtocolError as error:
            self._drop(refused("Refused", reason=str(error)))
            return
        self._hungry = call is None
        if call is not None:
            self._talk = Talk(self, call, str(self._peer))
            self._service.serve(call, self._talk)
        elif self._ended:
            self.close()
        self._choose_events()

    def _drop(self, refusal: Refusal) -> None:
        """Say why, give the client time to read it, and leave."""
        if self._talk is not None:
            self._talk.end()
            self._talk = None
        self._unsent += _error(refusal)
        self._dropped = self._loop.call_at(Instant(self._loop.now() + FAREWELL), self.close)
        self._flush()
        if self._open and not self._unsent:
            self.close()

    def _flush(self) -> None:
        try:
            while self._unsent:
                sent = self._socket.send(self._unsent)
                del self._unsent[:sent]
        except (BlockingIOError, InterruptedError):
            pass
        except OSError:
            self.close()
            return
        self._choose_events()

    def _choose_events(self) -> None:
        """Read only what can be carried out; hang-ups are told in any case."""
        if not self._open:
            return
        idle = self._talk is None and not self._unsent and self._dropped is None
        reading = idle and not self._ended and (self._hungry or self._inbox.is_empty)
        events = (READ if reading else 0) | (WRITE if self._unsent else 0)
        if events != self._events:
            self._watch.modify(events)
            self._events = events


class Talk:
    """The Conversation of one call on a connection."""

    def __init__(self, connection: Connection, call: Call, by: str) -> None:
        self._connection = connection
        self.by, self.more, self.oneway = by, call.more and not call.oneway, call.oneway
        self.on_gone = self.on_drained = _nothing

    def answer(self, parameters: dict[str, object], continues: bool = False) -> None:
        """Send a reply; the last one unless it continues."""
        try:
            data = Reply(parameters, continues).to_bytes()
        except (TypeError, ValueError) as error:
            self.fail(refused("Refused", reason=f"internal error: the answer cannot be written: {error}"))
        else:
            self._connection.send(data, self, continues)

    def fail(self, refusal: Refusal) -> None:
        """Send an error, which is the last reply."""
        self._connection.send(_error(refusal), self, continues=False)

    def end(self) -> None:
        """Nothing more will be heard of it."""
        gone, self.on_gone, self.on_drained = self.on_gone, _nothing, _nothing
        gone()
