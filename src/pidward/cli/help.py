"""``pidward --help``, ``pidward help COMMAND``, and what is said about a command that does not exist."""

import sys
from collections.abc import Sequence

from pidward.cli.failure import OK, USAGE, Failure
from pidward.cli.here import GLOBAL_HELP
from pidward.cli.table import COMMANDS

INTRODUCTION = """\
usage: pidward COMMAND [OPTIONS] [SERVICE...]

pidward runs the programs of a configuration file, starts them again when they end,
and never takes one process for another: it holds each by a handle of the kernel's,
its pidfd, not by a number. A service is a name in that file; its workers, the
processes that run it, are SERVICE/1, SERVICE/2 and so on. Commands take either.
"""
FIRST_STEPS = """\
first steps:
  pidward check              is pidward.toml right?
  pidward up                 run it here, with its output; ^C stops everything in order
  pidward up --detach        run it in the background
  pidward status             look at it
  pidward logs -f            what they write
  pidward demo               see what it is for, without a file of your own"""
GROUPS = (
    ("run it", ("up", "down", "run")),
    ("look at it", ("status", "top", "tree", "logs", "events", "health", "wait")),
    ("change it", ("start", "stop", "restart", "scale", "reload", "signal", "kill")),
    ("its configuration", ("check", "plan", "schema")),
    ("pidward itself", ("demo", "doctor", "completion", "version")),
)
"""All commands by purpose."""
SHORT = """\
usage: pidward COMMAND [OPTIONS] [SERVICE...]

Most used: up, status, start, stop, restart, logs, down. All of them: pidward --help"""


def show_help(words: Sequence[str], asked: bool) -> int:
    """Print the help of one command or of all.

    Args:
        words: the command, or nothing.
        asked: somebody wanted it; else it is a reminder on stderr and wrong usage.
    """
    if not asked:
        print(SHORT, file=sys.stderr)
        return USAGE
    names = [word for word in words if not word.startswith("-")]
    if names:
        from pidward.cli import load_command
        from pidward.cli.parser import parser_of

        print(parser_of(names[0], load_command(names[0])).format_help(), end="")
        return OK
    width = max(map(len, COMMANDS))
    listing = ""
    for purpose, commands in GROUPS:
        listing += f"{purpose}:\n" + "".join(f"  {name:{width}}  {COMMANDS[name][1]}\n" for name in commands)
    listing += f"  {'help':{width}}  explain a command, with examples: pidward help COMMAND\n"
    print(f"{INTRODUCTION}\n{FIRST_STEPS}\n\n{listing}\n{GLOBAL_HELP}")
    return OK


def unknown_command(name: str) -> Failure:
    """What to say about a word that is no command."""
    from difflib import get_close_matches

    close = get_close_matches(name, COMMANDS, n=2)
    hint = f"did you mean {' or '.join(close)}?" if close else "`pidward --help` lists all commands"
    return Failure(USAGE, f"no command is named {name!r}; {hint}")
