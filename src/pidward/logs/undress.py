"""Lines as the program wrote them, out of what is in the log file: text as it is, JSON Lines undone."""

from collections.abc import Iterator

from pidward.core.lean import NamedTuple
from pidward.core.model import WorkerName

_BEGIN = b'{"time":"'
_TIME_LENGTH = len('{"time":"2026-11-22T10:00:00.123456Z"')


class Source(NamedTuple):
    """One stream of one worker."""

    worker: WorkerName
    stream: str  # "out" or "err"
    log_path: str
    index_path: str


class Line(NamedTuple):
    """A line, without its line end; or what there is of one when the file ends before it does."""

    wall_ns: int  # when its first byte came to the log, since 1970
    source: Source
    data: bytes


class Undress:
    """Undoes what ``Dress`` does to one stream, whatever format each line is in.

    A program that writes lines like ours by itself can only be taken at its word about the text: the time comes from
    the index.
    """

    def __init__(self, source: Source) -> None:
        worker = source.worker
        self._head = b',"service":"%s","worker":%d,"stream":"std%s","message":' % (
            worker.service.encode(), worker.number, source.stream.encode()
        )  # fmt: skip
        self._pieces: list[bytes] = []
        self._wall_ns = 0

    def take_off(self, data: bytes) -> tuple[bytes, bool]:
        """What the program wrote, and whether the rest of this line follows."""
        if not data.startswith(_BEGIN) or data[_TIME_LENGTH : _TIME_LENGTH + len(self._head)] != self._head:
            return data, False
        import json  # noqa: PLC0415
        from binascii import a2b_base64  # noqa: PLC0415

        try:
            fields = json.loads(data)
            exact = fields.get("base64")
            raw = fields["message"].encode() if exact is None else a2b_base64(exact, strict_mode=True)
        except (ValueError, KeyError, AttributeError, TypeError):
            return data, False
        return raw, fields.get("partial") is True

    def next(self, line: Line) -> Line | None:
        """A line in the order of time; None while its pieces are being collected."""
        data, more = self.take_off(line.data)
        if not self._pieces:
            if not more:
                return line if data is line.data else line._replace(data=data)
            self._wall_ns = line.wall_ns
        self._pieces.append(data)
        return None if more else self.rest(line.source)

    def rest(self, source: Source) -> Line | None:
        """The line that was collected; None when there is none."""
        pieces, self._pieces = self._pieces, []
        return Line(self._wall_ns, source, b"".join(pieces)) if pieces else None

    def forward(self, lines: Iterator[Line]) -> Iterator[Line]:
        """Lines from the oldest to the newest."""
        source = None
        for line in lines:
            source = line.source
            if (whole := self.next(line)) is not None:
                yield whole
        if source is not None and (whole := self.rest(source)) is not None:
            yield whole

    def backward(self, lines: Iterator[Line]) -> Iterator[Line]:
        """Lines from the newest to the oldest."""
        later: list[bytes] = []  # pieces of one line, the last first
        newer: Line | None = None
        for line in lines:
            data, more = self.take_off(line.data)
            if newer is not None and not more:
                yield newer._replace(data=b"".join(reversed(later)))
                later = []
            later.append(data)
            newer = line
        if newer is not None:
            yield newer._replace(data=b"".join(reversed(later)))
