"""The varlink wire, without a socket: bytes in, messages out, and the other way round.

A message is one JSON object and a NUL byte. A call has ``method``, ``parameters`` and the flags ``more`` (I take any
number of replies), ``oneway`` (I take none) and ``upgrade``. A reply has ``parameters``, and ``continues`` when
another one follows, or ``error``.

Two rules. Whatever bytes come in, nothing but ProtocolError comes out, and after one nothing else. How the bytes are
cut into pieces makes no difference.

Lean: the client of ``pidward status`` imports this.
"""

from pidward.control.jsontext import decode, encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    T = TypeVar("T")

MAX_CALL = 2**20
"""Bytes of one call. A list of ten thousand targets fits well."""
MAX_REPLY = 2**28

_CALL_KEYS = frozenset({"method", "parameters", "more", "oneway", "upgrade"})


class ProtocolError(Exception):
    """The other side does not speak varlink; nothing after this can be understood."""


class Call:
    """What a client asks. ``method`` is the full name, interface and all."""

    __slots__ = ("method", "more", "oneway", "parameters", "upgrade")

    def __init__(
        self,
        method: str,
        parameters: dict[str, object],
        more: bool = False,
        oneway: bool = False,
        upgrade: bool = False,
    ) -> None:
        self.method, self.parameters = method, parameters
        self.more, self.oneway, self.upgrade = more, oneway, upgrade

    def to_bytes(self) -> bytes:
        """The call as it goes over the wire; flags that are off are left out."""
        flags = {name: True for name in ("more", "oneway", "upgrade") if getattr(self, name)}
        return _pack({"method": self.method, "parameters": self.parameters, **flags})


class Reply:
    """What a service answers; an error when ``error`` is its full name, and then ``parameters`` are the error's."""

    __slots__ = ("continues", "error", "parameters")

    def __init__(self, parameters: dict[str, object], continues: bool = False, error: str | None = None) -> None:
        self.parameters, self.continues, self.error = parameters, continues, error

    def to_bytes(self) -> bytes:
        """The reply as it goes over the wire."""
        if self.error is not None:
            return _pack({"error": self.error, "parameters": self.parameters})
        if self.continues:
            return _pack({"parameters": self.parameters, "continues": True})
        return _pack({"parameters": self.parameters})


class Inbox:
    """Cuts received bytes into messages. ``receive`` only stores; ``next_call`` and ``next_reply`` read."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._searched = 0  # no NUL before this
        self._fault: ProtocolError | None = None

    def receive(self, data: bytes) -> None:
        """Store what has come."""
        self._buffer += data

    @property
    def is_empty(self) -> bool:
        """Nothing is stored, not even a part."""
        return not self._buffer and self._fault is None

    def next_call(self) -> Call | None:
        """The next whole call; None: more bytes are needed. Raises ProtocolError, and then always the same."""
        return self._next("call", _to_call)

    def next_reply(self) -> Reply | None:
        """The next whole reply; None: more bytes are needed. Raises ProtocolError, and then always the same."""
        return self._next("reply", _to_reply)

    def _next(self, what: str, read: "Callable[[dict[str, object]], T]") -> "T | None":
        if self._fault is not None:
            raise self._fault
        try:
            message = self._next_object(what)
            return None if message is None else read(message)
        except ProtocolError as fault:
            self._fault = fault
            self._buffer.clear()
            raise

    def _next_object(self, what: str) -> dict[str, object] | None:
        end = self._buffer.find(0, self._searched)
        if (len(self._buffer) if end < 0 else end) > self._limit:
            raise ProtocolError(f"a {what} may have {self._limit} bytes at most")
        if end < 0:
            self._searched = len(self._buffer)
            return None
        text = self._buffer[:end]
        del self._buffer[: end + 1]
        self._searched = 0
        try:
            message = decode(text.decode())
        except ValueError as error:
            raise ProtocolError(f"a {what} must be JSON in UTF-8: {error}") from None
        if not isinstance(message, dict):
            raise ProtocolError(f"a {what} must be a JSON object")
        return message


def _to_call(message: dict[str, object]) -> Call:
    unknown = sorted(set(message) - _CALL_KEYS)
    if unknown:
        raise ProtocolError(f"a call cannot have {unknown[0][:40]!r}")
    method = message.get("method")
    if not isinstance(method, str):
        raise ProtocolError("a call needs a method, and it is a string")
    more, oneway, upgrade = (_flag(message, name) for name in ("more", "oneway", "upgrade"))
    return Call(method, _parameters(message), more, oneway, upgrade)


def _to_reply(message: dict[str, object]) -> Reply:
    error = message.get("error")
    if error is not None and not isinstance(error, str):
        raise ProtocolError("the error of a reply must be a string")
    return Reply(_parameters(message), _flag(message, "continues"), error)


def _pack(message: dict[str, object]) -> bytes:
    return encode(message).encode() + b"\0"


def _flag(message: dict[str, object], name: str) -> bool:
    value = message.get(name, False)
    if value is not None and not isinstance(value, bool):
        raise ProtocolError(f"{name} must be true or false")
    return bool(value)


def _parameters(message: dict[str, object]) -> dict[str, object]:
    value = message.get("parameters")
    if value is not None and not isinstance(value, dict):
        raise ProtocolError("parameters must be a JSON object")
    return value or {}
