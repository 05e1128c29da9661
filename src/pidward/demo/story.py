"""What happened in a scene, line by line as it happens."""

import enum
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple


class Unmet(Exception):
    """Something that had to happen did not. The message says what."""


class Kind(enum.Enum):
    """What a line of the story is about."""

    BROKE = "broke"  # what the demo did
    SAW = "saw"  # what pidward recorded
    TOOK = "took"  # how long
    HELD = "held"  # a fact that was checked, and is so
    NOT_HELD = "not held"


class Line(NamedTuple):
    """One line. at: seconds after what was broken broke; None: it has no time."""

    kind: Kind
    text: str
    at: float | None = None


class Outcome(enum.Enum):
    """How a scene ended."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass
class Story:
    """The lines so far; each is passed on to ``tell`` at once.

    timings: in seconds, by what was measured.
    """

    tell: Callable[[Line], None] = lambda _line: None
    lines: list[Line] = field(default_factory=list)
    timings: dict[str, float] = field(default_factory=dict)
    summary: str = ""  # the result in four words
    skipped: str = ""  # why it could not be played

    def add(self, line: Line) -> None:
        """Take one more line."""
        self.lines.append(line)
        self.tell(line)

    def broke(self, text: str) -> None:
        """Say what was done to whom."""
        self.add(Line(Kind.BROKE, text))

    def saw(self, text: str, at: float | None = None) -> None:
        """Say what pidward recorded."""
        self.add(Line(Kind.SAW, text, at))

    def took(self, text: str) -> None:
        """Say how long it took."""
        self.add(Line(Kind.TOOK, text))

    def check(self, held: object, text: str) -> None:
        """A fact; a scene in which one does not hold has failed."""
        self.add(Line(Kind.HELD if held else Kind.NOT_HELD, text))

    @property
    def outcome(self) -> Outcome:
        """How it ended. A story in which nothing was checked proves nothing."""
        kinds = {line.kind for line in self.lines}
        if self.skipped:
            return Outcome.SKIPPED
        if Kind.NOT_HELD in kinds or Kind.HELD not in kinds:
            return Outcome.FAILED
        return Outcome.PASSED
