"""What is wrong with a text that is no TOML, in words for people who do not know its grammar.

Nothing of a value is repeated: it may be a password whose quotes were forgotten.
"""

import re
from collections.abc import Callable

from pidward.config.positions import Path, scan
from pidward.config.reading import spelled

_TRUTH = re.compile(r"(?:true|yes|on|false|no|off)\b", re.IGNORECASE)
_NO = ("false", "no", "off")
_TYPOGRAPHIC = "\u2018\u2019\u201a\u201c\u201d\u201e\xab\xbb"  # as word processors make them
_QUOTE_IT = 'put text and all that is no plain number in quotes, as in "10s"'


def explain(text: str, at: int, message: str) -> tuple[int, str]:
    """Say it better than tomllib.

    Args:
        text: the whole document.
        at: where tomllib stopped in it.
        message: what it said, without the place; returned as it is when it is not known here.

    Returns:
        Where to look, and the message.
    """
    for pattern, words in _REPEATED.items():
        if re.match(pattern, message):
            return _repeated(text, at, words)
    words_for = _WORDS.get(message)
    return at, words_for(text[:at].rpartition("\n")[2], text[at:]) if words_for else message


def _repeated(text: str, at: int, words: str) -> tuple[int, str]:
    """All before the place is right: its last key is the second one. The first is that, or what should enclose it."""
    keys = _Keys()
    in_header = text.startswith("]", at) and text[:at].rpartition("\n")[2].lstrip().startswith("[")
    scan(text[: at + in_header], keys)
    path, first, second = keys.last
    while first is None and path:
        path = path[:-1]
        first = keys.get(path)
        words = _REPEATED["Cannot mutate"]
    name = spelled(path)
    if in_header:
        name = f"[{name}]"
    line = text.count("\n", 0, first or 0) + 1
    return second, words.format(name=name, line=line)


class _Keys(dict[Path, int]):
    """The places of keys, and for the last of them the place before, if there was one."""

    last: tuple[Path, int | None, int] = (), None, 0

    def __setitem__(self, path: Path, at: int) -> None:
        self.last = path, self.get(path), at
        super().__setitem__(path, at)


_REPEATED = {
    "Cannot declare|Cannot overwrite|Duplicate inline table key": "{name} stands twice; first at line {line}",
    "Cannot mutate": "{name} stands complete at line {line}; add to it there",
}


def _value(_before: str, after: str) -> str:
    word = _TRUTH.match(after)
    if word is not None:
        return f"write {'false' if word[0].lower() in _NO else 'true'}, not {word[0]}"
    if after[:1] in _TYPOGRAPHIC and after:
        return f"""quotes are " or ', not {after[0]}"""
    if re.match(r"\s|#|\Z", after):
        return "a value is missing after ="
    if re.match(r"[\w.-]+[ \t]*=", after):
        return "a ] is missing before this line"
    return _QUOTE_IT


def _statement_end(before: str, after: str) -> str:
    if after.startswith("\r"):
        return "a carriage return stands in the line"
    if re.search(r"=\s*[+-]?0$", before) and after[:1].isdecimal():
        return 'a number cannot begin with 0; put it in quotes, as in "022"'
    if before[-1:].isalnum() and not after[:1].isspace():
        return _QUOTE_IT
    return "the line should end here; each key has a line of its own, and text is in quotes"


def _key(before: str, after: str) -> str:
    first = after[:1]
    if "{" in before and first in ("\n", "\r", "#", ""):
        return "a table in braces stands on one line; write a [table] with a line for each key instead"
    if "{" in before and first == "}":
        return "there must be no comma before }"
    if first in ("]", "=", "\n", ""):
        return "a name is missing"
    return f"a key cannot begin with {first!r}; put it in quotes"


def _statement(_before: str, after: str) -> str:
    if after.startswith(("//", ";")):
        return "a comment begins with #"
    if after.startswith("="):
        return "a key is missing before ="
    return f"a line begins with a key, a [table] or #, not with {after[:1]!r}"


def _equals(before: str, after: str) -> str:
    if after.startswith(":"):
        return "write = instead of :"
    if before.split() == ["export"]:
        return "leave export out"
    return "expected = after the key; a key with other characters than A-Z, a-z, 0-9, - and _ is in quotes"


def _always(words: str) -> Callable[[str, str], str]:
    return lambda _before, _after: words


_OPEN = "a closing quote is missing"
_HEADER = "expected {} here; a name with other characters than A-Z, a-z, 0-9, - and _ is in quotes"
_WORDS: dict[str, Callable[[str, str], str]] = {
    "Invalid value": _value,
    "Expected newline or end of document after a statement": _statement_end,
    "Invalid initial character for a key part": _key,
    "Invalid statement": _statement,
    "Expected '=' after a key in a key/value pair": _equals,
    "Expected ']' at the end of a table declaration": _always(_HEADER.format("]")),
    "Expected ']]' at the end of an array declaration": _always(_HEADER.format("]]")),
    "Unclosed array": _always("a comma or the closing ] of an array is missing"),
    "Unclosed inline table": _always("a comma or the closing } of a table is missing"),
    "Illegal character '\\n'": _always(_OPEN),
    "Found invalid character '\\n'": _always(_OPEN),
    "Unterminated string": _always(_OPEN),
    'Expected "\'"': _always(_OPEN),
    "Expected \"'''\"": _always(_OPEN),
    "Unescaped '\\' in a string": _always("write \\\\ for a backslash, or put the string in single quotes"),
}
