"""Lines of output as JSON Lines: one object a line, all of it ASCII, whatever the program wrote.

    {"time":"2026-11-22T10:00:00.123456Z","service":"web","worker":1,"stream":"stdout","message":"GET /"}

A line that is no UTF-8 has its exact bytes in ``base64``, too. One that is longer than the pump's buffer, or whose end
does not come, is written in pieces; all but the last have ``"partial":true``.
"""

import binascii
from _json import encode_basestring_ascii as quoted  # json itself costs 1.2 MiB
from time import gmtime, strftime

from pidward.logs.layout import split_stream


class Dress:
    """Makes JSON of the lines of one stream."""

    __slots__ = ("_head",)

    def __init__(self, stream: str) -> None:
        service, number, end = split_stream(stream)
        self._head = head_of(service, number, end)

    def put_on(self, data: bytes, wall_ns: int, room: int, *, to_the_end: bool) -> tuple[int, bytes]:
        """Make JSON of the lines of some bytes.

        Args:
            data: what the program wrote.
            wall_ns: when.
            room: stop after the line that makes the result this long; 0: do not stop.
            to_the_end: of a last line without its end, too.

        Returns:
            (how many bytes of data it is made of, the result).
        """
        head = f'{{"time":"{timestamp(wall_ns)}",{self._head},"message":'
        parts: list[str] = []
        at = size = 0
        while at < len(data) and (not room or size < room):
            end = data.find(b"\n", at)
            if end < 0 and not to_the_end:
                break
            raw, tail = (data[at:end], "}\n") if end >= 0 else (data[at:], ',"partial":true}\n')
            parts.append(f"{head}{_message(raw)}{tail}")
            size += len(parts[-1])
            at = end + 1 if end >= 0 else len(data)
        return at, "".join(parts).encode()


def head_of(service: str, worker: int, end: str) -> str:
    """What all lines of a stream have after their time."""
    return f'"service":{quoted(service)},"worker":{worker},"stream":"{end}"'


def timestamp(wall_ns: int) -> str:
    """RFC 3339, UTC, to the microsecond."""
    return f"{strftime('%Y-%m-%dT%H:%M:%S', gmtime(wall_ns // 10**9))}.{wall_ns // 1000 % 10**6:06d}Z"


def _message(raw: bytes) -> str:
    try:
        text: str = quoted(raw.decode())
    except UnicodeDecodeError:
        exact = binascii.b2a_base64(raw, newline=False).decode()
        text = f'{quoted(raw.decode("utf-8", "backslashreplace"))},"base64":"{exact}"'
    return text
