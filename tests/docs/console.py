"""Pages that are read as a session at a terminal: what they write into files is written, what they type is typed.

A paragraph that ends in a file's name before a block says what the block is::

    `app.py`:            the whole file
    Add to `app.py`:     more of it
    In `app.py`:         a diff block: lines without "-" take the place of lines without "+"

A ```console block holds commands after ``$`` and what they answer. A line ``...`` stands for any number of lines.
"""

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from pidward.kernel.pidfd import Pidfd
from pidward.kernel.wait import reap, wait_exit

BLOCK = re.compile(r"^(?P<before>[^\n]*)\n\n```(?P<kind>\w+)\n(?P<text>.*?)(?=^```$)", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"(?P<how>Add to |In |)`(?P<name>[\w./-]+)`:$")
VOLATILE = (
    (re.compile(r"[\d.]+ ?(?:ms|us|min|[smhMG])\b"), "AMOUNT"),
    (re.compile(r"(?<=\s)-(?=\s)"), "AMOUNT"),  # memory is not told where a process cannot be proved to be the one
    (re.compile(r"\d+(?:[.:]\d+)*"), "#"),
    (re.compile(r"\s+"), " "),
)


class Step(NamedTuple):
    """Something that a page has its reader do: a file to write, or a command with the answer that it shows."""

    kind: str  # "write", "add", "change", or "type"
    name: str  # the file or the command
    text: str  # what is written, or answered
    at: slice  # where in the page the answer is


def steps_of(page: str) -> Iterator[Step]:
    """What a page has its reader do, in order."""
    for block in BLOCK.finditer(page):
        file = FILE.search(block["before"])
        if block["kind"] == "console":
            start = block.start("text")
            for one in re.finditer(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block["text"], re.MULTILINE):
                yield Step("type", one[1], one[2], slice(start + one.start(2), start + one.end(2)))
        elif file is not None:
            kind = {"": "write", "Add to ": "add", "In ": "change"}[file["how"]]
            yield Step(kind, file["name"], block["text"], slice(0))


def shape(text: str) -> list[str]:
    """Lines without what differs from one time to the next: numbers, times, sizes, widths of columns."""
    for pattern, stands in VOLATILE:
        text = "\n".join(pattern.sub(stands, line).strip() for line in text.splitlines())
    return text.splitlines()


def fits(shown: str, got: str) -> bool:
    """An answer is what the page shows of it."""
    pattern = "".join(r"(?:.*\n)*" if line == "..." else re.escape(line) + r"\n" for line in shape(shown))
    return re.fullmatch(pattern, "".join(line + "\n" for line in shape(got))) is not None


class Terminal:
    """A shell in a directory of its own, and an instance of pidward of its own."""

    MARK = "--- done ---"

    def __init__(self, place: Path, settings: str, environment: Mapping[str, str]) -> None:
        """Open it.

        Args:
            place: the directory.
            settings: added to each pidward.toml; the reader of the page has none of it.
            environment: more of it.
        """
        self.place, self.settings = place, settings
        self.files: dict[str, str] = {}
        ours_in, theirs_in = os.pipe()
        theirs_out, ours_out = os.pipe()
        actions = [
            (os.POSIX_SPAWN_DUP2, ours_in, 0),
            (os.POSIX_SPAWN_DUP2, ours_out, 1),
            (os.POSIX_SPAWN_DUP2, ours_out, 2),
        ]
        bash = shutil.which("bash") or "/bin/bash"
        pid = os.posix_spawn(bash, [bash, "--norc"], {**os.environ, **environment}, file_actions=actions, setsid=True)
        self.shell = Pidfd.open(pid)
        os.close(ours_in)
        os.close(ours_out)
        self._in, self._out = os.fdopen(theirs_in, "w"), os.fdopen(theirs_out)
        self.type(f"cd {place}")

    def close(self) -> None:
        """End the shell."""
        self._in.close()
        wait_exit(self.shell)
        reap(self.shell)
        self.shell.close()
        self._out.close()

    def do(self, step: Step) -> str:
        """Take a step; gives the answer to a command."""
        if step.kind == "type":
            return self.type(step.name)
        before = self.files.get(step.name, "")
        match step.kind:
            case "write":
                text = step.text
            case "add":
                text = f"{before}\n{step.text}"
            case _:
                lines = step.text.splitlines(keepends=True)
                old, new = ("".join(line[1:] for line in lines if line[0] != sign) for sign in "+-")
                assert before.count(old) == 1, f"{step.name} has not once\n{old}but is\n{before}"
                text = before.replace(old, new)
        self.files[step.name] = text
        (self.place / step.name).write_text(text + (self.settings if step.name == "pidward.toml" else ""))
        return ""

    def type(self, command: str) -> str:
        """Give a command to the shell; gives what it answers."""
        self._in.write(f"{command}\necho '{self.MARK}'\n")
        self._in.flush()
        lines: list[str] = []
        for line in self._out:
            if line.endswith(f"{self.MARK}\n"):
                return "".join([*lines, line.removesuffix(f"{self.MARK}\n")])
            lines.append(line)
        raise AssertionError(f"the shell ended in {command!r}")
