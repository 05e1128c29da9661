"""``python -m pidward.cli.manpage > docs/pidward.1``: the man page, made of what the commands say of themselves."""

import sys
from argparse import SUPPRESS, Action
from collections.abc import Iterator

from pidward import __version__
from pidward.cli import load_command
from pidward.cli.examples import EXAMPLES
from pidward.cli.help import GROUPS
from pidward.cli.here import GLOBAL_HELP
from pidward.cli.parser import parser_of
from pidward.cli.table import COMMANDS

_HEAD = """\
.\\" made by: python -m pidward.cli.manpage > docs/pidward.1
.TH PIDWARD 1 "" "pidward {version}" "User Commands"
.nh
.ad l
.SH NAME
pidward \\- a process supervisor that knows every process by its pidfd, never by a number
.SH SYNOPSIS
.B pidward
.I COMMAND
.RI [ OPTIONS ]
.RI [ SERVICE ...]
.SH DESCRIPTION
.B pidward
runs the programs of a configuration file, starts them again when they end, stops them in order with everything they
started, and keeps what they write. A
.I service
is a name in the file; its
.I workers
are the processes that run it: web/1, web/2 and so on. Commands take a service for all its workers, or one worker.
A process is written
.IR PID : INODE .
The inode is the kernel's own number of its pidfd and is used once while the machine is up, so that this names the same
process for ever, while a PID alone may be another's tomorrow.
"""
_TAIL = """\
.SH EXIT STATUS
.TP
.B 0
It is as asked for.
.TP
.B 1
It failed, or not in time.
.TP
.B 2
Wrong usage, or the configuration is not valid.
.TP
.B 3
Something is not as wanted (status), or has no process (signal, kill).
.TP
.B 4
The supervisor does not let you in.
.TP
.B 7
No supervisor runs.
.PP
Commands that give a worker's own exit status (run, wait \\-\\-exit) say 128 + N when signal N ended it.
.SH ENVIRONMENT
.TP
.B PIDWARD_INSTANCE
The default of \\-\\-instance.
.TP
.B PIDWARD_SOCKET
The default of \\-\\-socket.
.TP
.B NO_COLOR
No colours, when it is set and not empty.
.SH FILES
.TP
.I pidward.toml\\fR, \\fI/etc/pidward/pidward.toml
The configuration, where \\-\\-config names no other.
.TP
.I $XDG_RUNTIME_DIR/pidward/control.sock\\fR, \\fI/run/pidward/control.sock
The control socket; the second is root's.
"""


def page() -> str:
    """The whole page, in the man macros."""
    parts = [_HEAD.format(version=__version__), ".SH COMMANDS\n"]
    for purpose, names in GROUPS:
        parts.append(f".SS {_text(purpose[:1].upper() + purpose[1:])}\n")
        for name in names:
            parts += _command(name)
    parts.append(".SH OPTIONS OF ALL COMMANDS\n.nf\n")
    parts.append("".join(f"{_text(line.strip())}\n" for line in GLOBAL_HELP.splitlines()[1:]) + ".fi\n")
    parts.append(_TAIL)
    return "".join(parts)


def _command(name: str) -> Iterator[str]:
    parser = parser_of(name, load_command(name))
    usage = " ".join((parser.usage or parser.format_usage().removeprefix("usage: ")).split())
    summary = COMMANDS[name][1]
    yield f".TP\n.B {_text(usage)}\n{_text(summary[:1].upper() + summary[1:])}.\n.RS\n"
    for action in parser._actions:
        if action.help not in (SUPPRESS, None) and (name != "run" or not _is_key(action)):
            yield f".TP\n.B {_text(_invocation(action))}\n{_text(_about(action))}\n"
    if name == "run":
        yield ".TP\n.B \\-\\-KEY VALUE\nAny key of a service, as in the configuration.\n"
    yield ".RE\n"
    if EXAMPLES.get(name):
        yield ".RS\n.PP\n"
        for typed, meaning in EXAMPLES[name]:
            yield f".B {_text(typed)}\n.br\n\\ \\ {_text(meaning)}\n.br\n"
        yield ".RE\n"


def _is_key(action: Action) -> bool:
    return bool(action.option_strings) and action.dest not in ("name", "verbose")


def _invocation(action: Action) -> str:
    value = str(action.metavar or "|".join(action.choices or ()))
    if not action.option_strings:
        return value
    shown = f"[{value}]" if action.nargs == "?" else value
    return ", ".join(action.option_strings) + (f" {shown}" if value and action.nargs != 0 else "")


def _about(action: Action) -> str:
    text = str(action.help).replace("%(default)s", str(action.default)).replace("%%", "%")
    return text[:1].upper() + text[1:] + "."


def _text(text: str) -> str:
    """Text as it is, whatever troff thinks of it."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return "\\&" + escaped if escaped.startswith((".", "'")) else escaped


if __name__ == "__main__":
    sys.stdout.write(page())
