"""Where each key and each value stands in a TOML document.

tomllib gives values without places. This scanner gives places without values: it follows the tokens of a document
that tomllib has already accepted, so that it has nothing to refuse, and it is run only when a place is asked for.
"""

import re
import tomllib
from bisect import bisect_left
from functools import cached_property

Path = tuple[str | int, ...]
"""Keys, and from 0 the indices of array elements: ``("service", "web", "command", 0)``."""

# No possessive group, `(...)*+`: before 3.11.5 it may match less than it should, and Debian 12 has 3.11.2.
_TOKEN = re.compile(
    r'''
      """ [^"\\]*+ (?: (?: \\. | "{1,2}(?!") ) [^"\\]*+ )* """ "{0,2}   # the two are the last of the text
    | \'\'\' .*? \'\'\' '{0,2}
    | " [^"\\\n]*+ (?: \\. [^"\\\n]*+ )* "
    | ' [^'\n]* '
    | \# [^\n]*
    | [\[\]{},=.\n]
    | [^\s\[\]{},=.\#"']+
    ''',
    re.VERBOSE | re.DOTALL,
)


class Positions:
    """The places of one document, found when first asked for. ``text`` must be valid TOML."""

    def __init__(self, text: str) -> None:
        self._text = text

    def key(self, path: Path) -> tuple[int, int]:
        """Line and column, from 1, of a key; of what encloses it when it is not in the document."""
        return self._place(self._nearest(path, self._scanned.keys, self._scanned.values))

    def value(self, path: Path) -> tuple[int, int]:
        """Line and column, from 1, of a value; for a ``[table]``, of the last key in its header."""
        return self._place(self._nearest(path, self._scanned.values, self._scanned.keys))

    def written(self, path: Path, length: int) -> str:
        """Return the first characters of a value as they stand in the document."""
        at = self._nearest(path, self._scanned.values, self._scanned.keys)
        return self._text[at : at + length]

    @property
    def paths(self) -> set[Path]:
        """All that the document contains: every key, and every element of every array."""
        return self._scanned.keys.keys() | self._scanned.values.keys()

    @cached_property
    def _scanned(self) -> "_Scanner":
        return scan(self._text, {})

    @cached_property
    def _newlines(self) -> list[int]:
        return [found.start() for found in re.finditer("\n", self._text)]

    def _nearest(self, path: Path, first: dict[Path, int], second: dict[Path, int]) -> int:
        while path:
            at = first.get(path, second.get(path))
            if at is not None:
                return at
            path = path[:-1]
        return 0

    def _place(self, at: int) -> tuple[int, int]:
        line = bisect_left(self._newlines, at)
        return line + 1, at - (self._newlines[line - 1] if line else -1)


def scan(text: str, keys: dict[Path, int]) -> "_Scanner":
    """Find the places in a text; those of keys are put into ``keys``. It may end early, as where a mistake begins."""
    scanner = _Scanner(keys)
    for token in _TOKEN.finditer(text):
        scanner.take(token[0], token.start())
    return scanner


class _Scanner:
    """Three states: in a key or header, before a value, after a value. Keeps its own stack: depth is no danger."""

    def __init__(self, keys: dict[Path, int]) -> None:
        self.keys = keys
        self.values: dict[Path, int] = {}
        self._lengths: dict[Path, int] = {}  # of arrays of tables
        self._table: Path = ()  # what keys belong to: the present [table] or inline table
        self._open: list[tuple[Path, int | None, Path]] = []  # array with index or inline table; _table around it
        self._parts: list[tuple[str, int]] = []  # of the key that is being read
        self._brackets = 0  # opened by the header that is being read
        self._path: Path = ()  # of the value that comes
        self._state = self._in_key

    def take(self, word: str, at: int) -> None:
        """Go on by one token."""
        if word[0] != "#":
            self._state(word, at)

    def _in_key(self, word: str, at: int) -> None:
        if word == "=":
            self._path = self._named(self._table)
            self._state = self._before_value
        elif word == "[":
            self._brackets += 1
        elif word == "]":
            self._end_header()
        elif word == "\n":
            self._brackets = 0
        elif word == "}":
            self._close()
        elif word not in (".", ","):
            self._parts.append((_unquoted(word), at))

    def _before_value(self, word: str, at: int) -> None:
        if word == "\n":
            return
        if word == "]":  # an empty array, or one that ends in a comma
            self._close()
            return
        self.values[self._path] = at
        if word == "[":
            self._open.append((self._path, 0, self._table))
            self._path += (0,)
        elif word == "{":
            self._open.append((self._path, None, self._table))
            self._table = self._path
            self._state = self._in_key
        else:
            self._state = self._after_value

    def _after_value(self, word: str, at: int) -> None:
        if word == "\n" and not self._open:
            self._state = self._in_key
        elif word in ("]", "}"):
            self._close()
        elif word == ",":
            path, index, table = self._open[-1]
            if index is None:
                self._state = self._in_key
            else:
                self._open[-1] = (path, index + 1, table)
                self._path = (*path, index + 1)
                self._state = self._before_value

    def _close(self) -> None:
        self._table = self._open.pop()[2]
        self._state = self._after_value

    def _named(self, path: Path, new_element: bool = False) -> Path:
        """Take the parts of a key; the path they lead to, through the last elements of arrays of tables."""
        last = len(self._parts) - 1
        for index, (part, at) in enumerate(self._parts):
            path += (part,)
            if index == last:
                self.keys[path] = at
            else:
                self.keys.setdefault(path, at)
            if path in self._lengths and not (new_element and index == last):
                path += (self._lengths[path] - 1,)
        self._parts.clear()
        return path

    def _end_header(self) -> None:
        if not self._parts:  # the second bracket of [[a]]
            return
        at, is_element = self._parts[-1][1], self._brackets == 2
        path = self._named((), is_element)
        if is_element:
            length = self._lengths.get(path, 0)
            self._lengths[path] = length + 1
            path += (length,)
            self.values[path] = at
        self._table = path


def _unquoted(word: str) -> str:
    if word[0] == '"' and "\\" in word:
        text: str = tomllib.loads("key = " + word)["key"]
        return text
    return word[1:-1] if word[0] in "\"'" else word
