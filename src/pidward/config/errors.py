"""What is wrong with a configuration, and where."""

from collections.abc import Iterable

from pidward.core.lean import NamedTuple

MAX_MESSAGE = 300
"""Characters of one message; a value pasted into the wrong place must not fill the screen."""


class Problem(NamedTuple):
    """One mistake. Ordered by place.

    line, column: counted from 1, in characters; 0 when the mistake is about the file as a whole.
    key: the dotted path, as in ``service.web.command``; empty when no key is concerned.
    """

    file: str
    line: int
    column: int
    key: str
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return ": ".join(part for part in (place, self.key, self.message) if part)

    def as_dict(self) -> dict[str, str | int]:
        """Give the problem as ``check --json`` prints it."""
        return self._asdict()


class ConfigError(Exception):
    """The configuration cannot be used. Prints as one line for each problem.

    problems: all that were found, in the order of the file, each once.
    omitted: how many more there were beyond the limit of a report.
    """

    def __init__(self, problems: Iterable[Problem], omitted: int = 0) -> None:
        self.problems = tuple(sorted(set(problems)))
        self.omitted = omitted
        lines = [str(problem) for problem in self.problems]
        super().__init__("\n".join([*lines, f"and {omitted} more problems"] if omitted else lines))
