"""A configuration as bytes, to be read in one process and used in another.

The supervisor lives for months and reads its file once: what reading takes (tomllib and the schema, with argparse 1.5
MB) would stay in its memory for good, because Python's allocator seldom gives pages back. So a child reads, which
also works while the parent imports the rest. Lean: who takes the bytes imports nothing of config but this file.
"""

import marshal
from enum import Enum

from pidward.core import spec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pidward.core.spec import Configuration


class NotValid(Exception):
    """The configuration cannot be used; the message has a line for each mistake."""


def read(path: str) -> bytes:
    """Read the file, for ``taken`` in another process; mistakes become part of the answer."""
    from pidward.config.errors import ConfigError  # noqa: PLC0415 - only who reads needs these
    from pidward.config.load import load  # noqa: PLC0415

    try:
        return marshal.dumps((True, pack(load(path))))
    except ConfigError as error:
        return marshal.dumps((False, str(error)))


def read_options(name: str, keys: "dict[str, str]", command: "list[str]") -> bytes:
    """Read a service from options of the command line, for ``taken`` in another process."""
    from pidward.config.options import OptionError, parse_options  # noqa: PLC0415

    try:
        return marshal.dumps((True, pack(parse_options(name, keys, command))))
    except OptionError as error:
        return marshal.dumps((False, str(error)))


def taken(answer: bytes | None, path: str) -> "Configuration":
    """The configuration that ``read`` gave. Raises NotValid, also when there is no answer."""
    if answer is None:
        raise NotValid(f"{path}: the process that read the configuration died; there may be too little memory")
    is_valid, content = marshal.loads(answer)  # noqa: S302 - written by ourselves, a fork ago
    if not is_valid:
        raise NotValid(content)
    configuration: Configuration = unpack(content, {})
    return configuration


def pack(value: "Any") -> "Any":
    """Make of specs what marshal takes: (name of the type, fields or value)."""
    if isinstance(value, Enum):
        return type(value).__name__, value.value
    if isinstance(value, tuple):
        return type(value).__name__, [pack(field) for field in value]
    return value


def unpack(value: "Any", shared: "dict[tuple[Any, ...], Any]") -> "Any":
    """The inverse of ``pack``. What is the same in many services becomes one object, which ``shared`` remembers."""
    if not isinstance(value, tuple):
        return shared.setdefault((type(value), value), value)
    name, content = value
    kind = tuple if name == "tuple" else getattr(spec, name)
    if not isinstance(content, list):
        return kind(content)
    fields = [unpack(field, shared) for field in content]
    key = (kind, *map(id, fields))  # they are shared themselves
    if key not in shared:
        shared[key] = tuple(fields) if kind is tuple else kind(*fields)
    return shared[key]
