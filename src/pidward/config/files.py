"""Reads files that decide what runs, and TOML, with every failure as a ConfigError that has a place."""

import os
import re
import stat
import tomllib
from typing import Any

from pidward.config.errors import ConfigError, Problem

MAX_FILE = 4 * 2**20


def read_file(path: str) -> str:
    """Read a text file. As root a file that everybody may write is refused: it decides what runs as root.

    Raises:
        ConfigError: it cannot be read, or is no regular file, or too large, or not UTF-8.
    """
    try:
        data = _bytes_of(path)
    except OSError as error:
        raise refused(path, f"cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise refused(path, str(error)) from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise refused(path, "is not UTF-8", *_place_of_byte(data, error.start)) from None


def parse_toml(text: str, path: str) -> dict[str, Any]:
    """Read TOML; ``path`` is what problems name as the file.

    Raises:
        ConfigError: it is not valid.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _syntax_error(path, text, str(error)) from None
    except RecursionError:
        raise refused(path, "arrays or tables are nested too deeply") from None
    except ValueError as error:  # beyond tomllib's own: a decimal number of thousands of digits
        raise refused(path, f"is not valid TOML: {error}") from None


def refused(path: str, message: str, line: int = 0, column: int = 0) -> ConfigError:
    """Make the error of a file that is no good as a whole."""
    return ConfigError([Problem(path, line, column, "", message)])


def _bytes_of(path: str) -> bytes:
    with open(path, "rb", opener=_open_without_waiting) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("is not a regular file")
        if os.geteuid() == 0 and status.st_mode & stat.S_IWOTH:
            raise ValueError(f"decides what runs as root, and everybody may write it; run chmod o-w {path}")
        data = file.read(MAX_FILE + 1)
    if len(data) > MAX_FILE:
        raise ValueError(f"is larger than {MAX_FILE >> 20} MiB")
    return data


def _open_without_waiting(path: str, flags: int) -> int:
    """A FIFO without a writer must not hang us before we see what it is."""
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)


def _syntax_error(path: str, text: str, message: str) -> ConfigError:
    """Move the place out of tomllib's message, which ends in ``(at line 3, column 7)`` or ``(at end of document)``."""
    found = re.fullmatch(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)", message, re.DOTALL)
    if found is None:
        return refused(path, message, 1, 1)
    from pidward.config.syntax import explain  # noqa: PLC0415 - only for a mistake

    text = text.replace("\r\n", "\n")  # as tomllib does
    at = len(text)
    if found[2]:
        lines = text.split("\n")
        at = sum(len(line) + 1 for line in lines[: int(found[2]) - 1]) + int(found[3]) - 1
    at, words = explain(text, at, found[1])
    return refused(path, words, text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at))


def _place_of_byte(data: bytes, at: int) -> tuple[int, int]:
    before = data[:at].decode(errors="replace")
    return before.count("\n") + 1, len(before) - before.rfind("\n")
