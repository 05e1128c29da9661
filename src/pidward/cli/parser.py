"""argparse, for the one command that was called."""

from argparse import SUPPRESS, ArgumentParser, RawDescriptionHelpFormatter
from types import ModuleType
from typing import NoReturn

from pidward.cli.examples import shown
from pidward.cli.failure import USAGE, Failure
from pidward.cli.here import GLOBAL_HELP
from pidward.cli.table import COMMANDS


class Parser(ArgumentParser):
    """Errors become Failures, which say where the help is."""

    def error(self, message: str) -> NoReturn:
        """Refuse the arguments."""
        raise Failure(USAGE, f"{self.prog.removeprefix('pidward ')}: {message}; see `{self.prog} --help`")


def parser_of(name: str, module: ModuleType) -> Parser:
    """Build the parser of one command."""
    summary = COMMANDS[name][1] if name in COMMANDS else ""
    parser = Parser(
        prog=f"pidward {name}",
        description=summary[:1].upper() + summary[1:] + ".",
        formatter_class=RawDescriptionHelpFormatter,
        allow_abbrev=False,
        add_help=False,
    )
    parser._positionals.title = "arguments"
    parser.add_argument("-h", "--help", action="help", help=SUPPRESS)  # it is among those of all commands
    parser.set_defaults(command=name)
    module.options(parser)
    examples = shown(name)
    parts = [f"examples:\n{examples.rstrip()}" if examples else "", parser.epilog or "", GLOBAL_HELP]
    parser.epilog = "\n\n".join(filter(None, parts))
    return parser
