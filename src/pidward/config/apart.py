"""Read the configuration in a process of its own, so that ours never holds the parser.

The supervisor lives for months and reads its file once: what reading takes (tomllib, the schema, 1.5 MB of it) would
stay in its memory for good, because Python's allocator seldom gives pages back. The child also works while the
parent imports the rest, which makes the start shorter. Lean: the parent imports nothing of config but this file.
"""

import marshal
import os
from enum import Enum

from pidward.core import spec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pidward.core.spec import Configuration


class NotValid(Exception):
    """The configuration cannot be used; the message has a line for each mistake."""


class Reading:
    """A configuration that is being read. Call ``result`` once.

    Args:
        path: of the file.

    To be made while the process has one thread: the child is a plain fork.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._pipe, theirs = os.pipe2(os.O_CLOEXEC)
        self._pid = os.fork()  # noqa: TID251 - the point is to share what is loaded, and to leave it at once
        if self._pid == 0:
            _be_the_reader(path, theirs)
        os.close(theirs)

    def result(self) -> "Configuration":
        """Wait for it. Raises NotValid."""
        with open(self._pipe, "rb") as pipe:
            answer = pipe.read()
        os.waitpid(self._pid, 0)  # noqa: TID251 - our own child, which nobody else knows of or reaps
        if not answer:
            raise NotValid(f"{self._path}: the reader of the configuration died")
        is_valid, content = marshal.loads(answer)  # noqa: S302 - written by ourselves, a fork ago
        if not is_valid:
            raise NotValid(content)
        configuration: Configuration = unpack(content)
        return configuration


def _be_the_reader(path: str, pipe: int) -> None:
    """The child's whole life. It must end here: what it inherited is the parent's to close and to flush."""
    try:
        from pidward.config.errors import ConfigError  # noqa: PLC0415 - in the child only
        from pidward.config.load import load  # noqa: PLC0415

        try:
            answer = (True, pack(load(path)))
        except ConfigError as error:
            answer = (False, str(error))
        with open(pipe, "wb") as file:
            file.write(marshal.dumps(answer))
    finally:
        os._exit(0)


def pack(value: "Any") -> "Any":
    """Make of specs what marshal takes: (name of the type, fields or value)."""
    if isinstance(value, Enum):
        return type(value).__name__, value.value
    if isinstance(value, tuple):
        return type(value).__name__, [pack(field) for field in value]
    return value


def unpack(value: "Any") -> "Any":
    """The inverse of ``pack``."""
    if not isinstance(value, tuple):
        return value
    name, content = value
    if name == "tuple":
        return tuple(map(unpack, content))
    kind = getattr(spec, name)
    return kind(*map(unpack, content)) if isinstance(content, list) else kind(content)
