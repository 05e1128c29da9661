"""Tells the stories to a person: plain text in the width of the terminal, coloured where colours are welcome."""

import os
import re
import textwrap
from collections.abc import Sequence
from typing import NamedTuple, TextIO

from pidward.cli.screen import BLUE, BOLD, GREEN, GREY, RED, YELLOW, columns, paint, printable
from pidward.demo.scenes.scene import Scene, milliseconds
from pidward.demo.story import Kind, Line, Outcome, Story

_WIDEST, _NARROWEST = 110, 60
_LABELS = {Kind.BROKE: "broke", Kind.SAW: "pidward", Kind.TOOK: "took", Kind.HELD: "checked", Kind.NOT_HELD: "checked"}
_MARGIN = 2
_LABEL_WIDTH = _MARGIN + max(map(len, _LABELS.values())) + 2
_IDENTITY = re.compile(r"(?<![\w:.])\d+:\d{2,}\b")
_OUTCOMES = {Outcome.PASSED: GREEN, Outcome.FAILED: RED, Outcome.SKIPPED: YELLOW}
_HEADER = ["SCENE", "WHAT WAS BROKEN", "OUTCOME", "IN SHORT"]


class Played(NamedTuple):
    """A scene and what happened in it."""

    scene: Scene
    story: Story


class Narrator:
    """Writes to a stream as things happen."""

    def __init__(self, stream: TextIO, colours: bool) -> None:
        self._stream, self._colours = stream, colours
        self._width = max(_NARROWEST, min(_WIDEST, _columns_of(stream)))
        unicode = (stream.encoding or "").lower().replace("-", "") == "utf8"
        self._yes, self._no = ("✓ ", "✗ ") if unicode else ("", "NOT SO: ")
        self._last = ""  # label

    def introduce(self, sentences: Sequence[str]) -> None:
        """What this is, before the first scene."""
        for sentence in sentences:
            self._write(textwrap.fill(sentence, self._width))
        self._write("")

    def begin(self, number: int, of: int, scene: Scene) -> None:
        """A scene begins."""
        self._last = ""
        self._write(self._painted(f"{number}/{of}  {scene.title}", BOLD))

    def tell(self, line: Line) -> None:
        """One line of the story."""
        label = "" if _LABELS[line.kind] == self._last else _LABELS[line.kind]
        self._last = _LABELS[line.kind]
        mark, colour = {Kind.HELD: (self._yes, GREEN), Kind.NOT_HELD: (self._no, RED)}.get(line.kind, ("", ""))
        at = "" if line.at is None else f"{_offset(line.at):>9}  "
        head = f"{'':{_MARGIN}}{label:{_LABEL_WIDTH - _MARGIN}}"
        indent = len(head) + len(at) + len(mark)
        text = textwrap.fill(
            printable(line.text), self._width, initial_indent=" " * indent, subsequent_indent=" " * indent,
            break_long_words=True, break_on_hyphens=False,
        )[indent:]  # fmt: skip
        if self._colours:
            text = _IDENTITY.sub(lambda found: paint(found[0], BLUE), text)
        self._write(self._painted(head, GREY) + self._painted(at, GREY) + self._painted(mark, colour) + text)

    def end(self, scene: Scene, story: Story) -> None:
        """A scene is over."""
        if story.skipped:
            label = f"{'':{_MARGIN}}{'skipped':{_LABEL_WIDTH - _MARGIN}}"
            text = textwrap.fill(story.skipped, self._width - _LABEL_WIDTH, break_on_hyphens=False)
            self._write(self._painted(label, YELLOW) + textwrap.indent(text, " " * _LABEL_WIDTH)[_LABEL_WIDTH:])
        elif story.outcome is Outcome.FAILED:
            self._write(self._painted(textwrap.fill(f"FAILED: expected that {scene.expected}", self._width), RED))
        self._write("")

    def conclude(self, played: Sequence[Played], sentences: Sequence[str]) -> None:
        """The table of all scenes, and what comes of it."""
        rows = [_HEADER, *(_row(scene, story) for scene, story in played)]
        filled = columns(rows)
        for cells, (_, story) in zip(filled[1:], played, strict=True):
            cells[2] = self._painted(cells[2], _OUTCOMES[story.outcome])
        filled[0] = [self._painted(cell, BOLD) for cell in filled[0]]
        self._write("\n".join("  ".join(cells).rstrip() for cells in filled))
        self._write("")
        for sentence in sentences:
            self._write(textwrap.fill(sentence, self._width))

    def _painted(self, text: str, colour: str) -> str:
        return paint(text, colour) if self._colours and colour and text.strip() else text

    def _write(self, text: str) -> None:
        self._stream.write(text + "\n")
        self._stream.flush()


def _row(scene: Scene, story: Story) -> list[str]:
    summary = story.summary if story.outcome is Outcome.PASSED else ""
    return [scene.name, scene.broken, story.outcome.value, summary]


def _offset(seconds: float) -> str:
    return f"+{milliseconds(max(0.0, seconds))}"


def _columns_of(stream: TextIO) -> int:
    """How wide the terminal is; 80 when it is none."""
    try:
        return os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError):
        return 80
