"""SHOWS: the command line, one file per command. Each parses, asks, prints and exits; decisions are made elsewhere.

Only what the called command needs is imported: ``pidward status`` is over in the time that argparse needs to load.
"""

import os
import sys

from pidward.cli.failure import DENIED, FAILED, INTERRUPTED, PIPE_CLOSED, Failure
from pidward.cli.here import take_shared
from pidward.cli.table import COMMANDS, HIDDEN, LEAN, RAW

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType


class Raw:
    """All words, as they are."""

    def __init__(self, words: list[str]) -> None:
        self.words = words


class Plain:
    """What argparse would give for a command that is called with names and known switches only."""

    def __init__(self, command: str, words: list[str]) -> None:
        self.targets = [word for word in words if not word.startswith("-")]
        for switch in LEAN[command]:
            setattr(self, switch, f"--{switch}" in words)


def is_plain(command: str, words: list[str]) -> bool:
    """Tell whether argparse can be done without."""
    switches = LEAN.get(command)
    return switches is not None and all(not w.startswith("-") or w.removeprefix("--") in switches for w in words)


def main(argv: "Sequence[str] | None" = None) -> int:
    """Run one command.

    Args:
        argv: the words after the program's name; None takes the process's own.

    Returns:
        The exit status: 0 ok, 1 failed, 2 wrong usage or configuration, 3 not running, 4 denied, 7 unreachable.
    """
    _open_missing_streams()
    try:
        status = _run(sys.argv[1:] if argv is None else argv)
        sys.stdout.flush()
    except Failure as failure:
        return _complain(str(failure), failure.status)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _silence_stdout()  # whoever read us has left
        return PIPE_CLOSED
    except OSError as error:
        _silence_stdout()
        where = f"{error.filename}: " if error.filename else ""
        status = DENIED if isinstance(error, PermissionError) else FAILED
        return _complain(f"{where}{error.strerror or error}", status)
    return status


def _run(words: "Sequence[str]") -> int:
    here, rest = take_shared(words)
    if not rest or rest[0] in ("-h", "--help", "help"):
        from pidward.cli.help import show_help

        return show_help(rest[1:], asked=bool(rest))
    name, arguments = rest[0], rest[1:]
    if name == "--version":
        name = "version"
    module = load_command(name)
    asks_help = any(word in ("-h", "--help") for word in arguments[: _end_of_options(arguments)])
    given: object
    if name in RAW and not asks_help:
        given = Raw(arguments)
    elif is_plain(name, arguments):
        given = Plain(name, arguments)
    else:
        from pidward.cli.parser import parser_of

        given = parser_of(name, module).parse_args(arguments)
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    status: int = module.run(here, given)
    return status


def _end_of_options(words: "Sequence[str]") -> int:
    return words.index("--") if "--" in words else len(words)


def load_command(name: str) -> "ModuleType":
    """Import the module of a command. Raises Failure for a name that is none."""
    found = COMMANDS.get(name) or HIDDEN.get(name)
    if found is None:
        from pidward.cli.help import unknown_command

        raise unknown_command(name)
    import_path = f"pidward.cli.{found[0]}"
    __import__(import_path)
    return sys.modules[import_path]


def _complain(message: str, status: int) -> int:
    """The last words on stderr. A stderr that cannot be written changes nothing about the status."""
    try:
        print(f"pidward: {message}", file=sys.stderr, flush=True)
    except OSError:
        pass
    return status


def _silence_stdout() -> None:
    """Python writes out its buffer once more at the end, and would complain once more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _open_missing_streams() -> None:
    """Started with a closed descriptor, Python has no such stream, and the next file opened would be in its place."""
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w" if name != "stdin" else "r"))  # noqa: SIM115 - open to the end
