r"""``env_file``: lines of ``NAME=VALUE``, as Docker Compose and systemd read them.

No shell is run, and nothing is expanded. ``#`` begins a comment, ``export`` before a name is skipped. A value may be in
single quotes, where everything stands for itself, or in double quotes, where ``\n``, ``\r``, ``\t``, ``\"``, ``\\`` and
``\$`` are known; in quotes it may go over several lines. A bare value ends with its line, or before a ``#`` that
follows a blank.
"""

import re

from pidward.config.errors import Problem

_BLANK = re.compile(r"[ \t]*(?:#[^\n]*)?(?:\n|\Z)")
_NAME = re.compile(r"[ \t]*(?:export[ \t]+)?([^\s=#'\"]+)[ \t]*=[ \t]*")
_QUOTED = re.compile(r"""'([^']*)'|"((?:[^"\\]|\\.)*)\"""", re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "\n": ""}


def parse(text: str, file: str) -> tuple[dict[str, str], list[Problem]]:
    """Read the text of a file; of lines with the same name the last holds. The problems name lines of ``file``."""
    variables: dict[str, str] = {}
    problems: list[Problem] = []
    text = text.replace("\r\n", "\n")
    at = 0
    while at < len(text):
        if blank := _BLANK.match(text, at):
            at = blank.end()
            continue
        try:
            name, value, at = _assignment(text, at)
            variables[name] = value
        except ValueError as error:
            problems.append(Problem(file, text.count("\n", 0, at) + 1, 1, "", str(error)))
            at = text.find("\n", at) + 1 or len(text)
    return variables, problems


def _assignment(text: str, at: int) -> tuple[str, str, int]:
    """The name and the value that begin at a place, and where they end; ValueError says what is wrong."""
    name = _NAME.match(text, at)
    if name is None:
        raise ValueError("expected NAME=VALUE")
    if text.startswith(("'", '"'), name.end()):
        quoted = _QUOTED.match(text, name.end())
        if quoted is None:
            raise ValueError("a quote is not closed")
        end = _BLANK.match(text, quoted.end())
        if end is None:
            raise ValueError("there is something after the closing quote")
        single, double = quoted.groups()
        value = single if double is None else _ESCAPE.sub(lambda found: _ESCAPES.get(found[1], found[1]), double)
        after = end.end()
    else:
        newline = text.find("\n", name.end())
        after = len(text) if newline < 0 else newline + 1
        line = text[name.end() : after]
        comment = re.search(r"(?:^|[ \t])#", line) if text[name.end() - 1] in " \t" else re.search(r"[ \t]#", line)
        value = (line[: comment.start()] if comment else line).strip(" \t\n")
    if "\0" in name[1] + value:
        raise ValueError("there is a NUL byte")
    return name[1], value, after
