"""The options that all commands share, taken out of the command line before anything heavy is imported. Lean."""

import os
import sys

from pidward.cli.failure import USAGE, Failure
from pidward.cli.table import RAW

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TextIO

GLOBAL_HELP = """\
options of all commands:
  -c, --config FILE  the configuration (default: pidward.toml here, then /etc/pidward/pidward.toml)
  --instance NAME    which of several supervisors side by side (default: PIDWARD_INSTANCE, or "default")
  --socket PATH      the control socket (default: PIDWARD_SOCKET, or control.sock in the runtime directory)
  --json             print data as JSON: one document, or a line for each item of a stream
  --no-color         no colours (as NO_COLOR, TERM=dumb and pipes do)
  -h, --help         this help; --version prints the version"""

WITH_VALUE = {"-c": "config", "--config": "config", "--instance": "instance", "--socket": "socket"}
SWITCHES = {"--json": "json", "--no-color": "no_color"}


class Here:
    """What was said about where and how, for any command.

    config, instance, socket: as given, or None.
    json: print data as JSON.
    """

    def __init__(self) -> None:
        self.config: str | None = None
        self.instance: str | None = None
        self.socket: str | None = None
        self.json = False
        self.no_color = False

    def paints(self, stream: "TextIO") -> bool:
        """Colours are welcome on this stream."""
        if self.no_color or self.json or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
            return False
        return stream.isatty()

    def say(self, text: str) -> None:
        """A message for people: on stderr, so that stdout holds data only."""
        print(text, file=sys.stderr, flush=True)


def take_shared(words: "Sequence[str]") -> "tuple[Here, list[str]]":
    """Take the shared options out of the words, wherever they are. Raises Failure.

    Returns:
        What they say, and the other words in their order. What follows ``--`` is left alone; so is the command that
        ``run`` is given, and a ``--`` is put before it.
    """
    here = Here()
    rest: list[str] = []
    remaining = iter(words)
    for word in remaining:
        if word == "--":
            return here, [*rest, word, *remaining]
        name, equals, value = word.partition("=") if word.startswith("--") else (word, "", "")
        without_value = RAW.get(rest[0]) if rest else None
        if without_value is not None and not word.startswith("-"):
            return here, [*rest, "--", word, *remaining]
        if word in SWITCHES:
            setattr(here, SWITCHES[word], True)
        elif name in WITH_VALUE:
            given = value if equals else next(remaining, None)
            if not given:
                raise Failure(USAGE, f"{name} needs a value; see `pidward --help`")
            setattr(here, WITH_VALUE[name], given)
        elif word.startswith("-c") and not word.startswith("--"):
            here.config = word[2:]
        else:
            rest.append(word)
            if without_value is not None and word.startswith("--") and not equals and word not in without_value:
                its_value = next(remaining, None)
                rest += [] if its_value is None else [its_value]
    return here, rest
