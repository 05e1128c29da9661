"""``pidward run``: supervise one command without a file. As process 1 of a container it is the init.

Every key of a service is an option of the same name, as in ``--restart on-failure --limits.nofile 4096``. What they say
is written down as a configuration and read as one, by a child of its own, as ``pidward up`` does with its file.
"""

import os

from pidward.cli.failure import FAILED, USAGE, Failure
from pidward.cli.paths import DEFAULT_INSTANCE, runtime_dir_of
from pidward.config.apart import NotValid, read_options, taken
from pidward.runtime.aside import Aside

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser
    from typing import Any

    from pidward.cli.here import Here

DEFAULTS = {
    "restart": "never",  # the container manager, or who called us, decides about another try
    "essential": "always",
    "logs.mode": "inherit",
    "stdin": "inherit",
}
CANNOT_EXECUTE, NOT_FOUND = 126, 127


def options(parser: "ArgumentParser") -> None:
    """Add the arguments; for the help only, because the words are read here."""
    from pidward.config.options import option_help

    parser.usage = "pidward run [--name NAME] [--verbose] [--KEY VALUE...] [--] COMMAND [ARGUMENT...]"
    parser.add_argument("--name", metavar="NAME", help="name of the service (default: that of the program)")
    parser.add_argument("--verbose", action="store_true", help="tell on stderr what happens")
    for key, about in option_help():
        parser.add_argument(f"--{key}", metavar="VALUE", help=about.replace("%", "%%"))
    parser.epilog = (
        "exit status: that of the command, 128 + N when signal N ended it; 127 there is no such program,\n"
        "126 it could not be started, 2 wrong usage"
    )


def run(here: "Here", given: "Any") -> int:
    """Supervise until the command has ended for good, and give its exit status."""
    name, verbose, keys, command = _understood(given.words)
    is_init = os.getpid() == 1
    if here.instance is None:
        here.instance = DEFAULT_INSTANCE if is_init else f"run-{os.getpid()}"
    reading = Aside(lambda: read_options(name, {**DEFAULTS, **keys}, command))
    from pidward.cli.supervising import exit_status, one_command

    try:
        configuration = taken(reading.answer(), "the command line")
    except NotValid as error:
        raise Failure(USAGE, f"run: {error}") from None
    (service,) = configuration.services
    if service.workers == 0 or not service.autostart:
        raise Failure(USAGE, "run: nothing would run: leave --workers 0 and --autostart false away")
    finish = one_command(here, configuration, _place(here), verbose)
    if finish.failed and finish.status is None:
        here.say(f"pidward: {finish.reason}")
        return CANNOT_EXECUTE if _exists(command[0]) else NOT_FOUND
    if finish.failed and finish.status is not None and finish.status.code == 0:
        here.say(f"pidward: {finish.reason}")  # the status of the command does not tell
    return exit_status(finish)


def _understood(words: list[str]) -> tuple[str, bool, dict[str, str], list[str]]:
    """Take the words apart: name, verbose, keys and their values, the command behind ``--``."""
    keys: dict[str, str] = {}
    verbose = False
    rest = iter(words)
    command: list[str] = []
    for word in rest:
        if word == "--":
            command = list(rest)
        elif word == "--verbose":
            verbose = True
        elif not word.startswith("--"):
            raise Failure(USAGE, f"run: there is no option {word}; see `pidward run --help`")
        else:
            key, equals, value = word[2:].partition("=")
            if not equals:
                value = next(rest, "")
                if not value:
                    raise Failure(USAGE, f"run: --{key} needs a value; see `pidward run --help`")
            keys[key.replace("-", "_")] = value
    variable, equals, _ = keys.get("env", "{").partition("=")
    if equals and not variable.startswith("{"):
        raise Failure(USAGE, f"run: --env takes a table; write --env.{variable} VALUE")
    if not command:
        raise Failure(USAGE, "run: no command; write it last, as in `pidward run -- nginx -g 'daemon off;'`")
    return keys.pop("name", "") or _name_of(command[0]), verbose, keys, command


def _name_of(program: str) -> str:
    """A name for the service, made of what the program is called."""
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "_.-") else "-" for c in os.path.basename(program))
    return kept.lstrip("_.-")[:63] or "command"


def _exists(program: str) -> bool:
    """There is such a file, whether it can be executed or not: shells tell these apart."""
    places = [""] if "/" in program else os.environ.get("PATH", os.defpath).split(":")
    return any(os.path.exists(os.path.join(place, program)) for place in places)


def _place(here: "Here") -> str:
    """A directory of our own for the socket and the record; a container may leave few places to write to."""
    first = runtime_dir_of(here)
    for place in (first, f"/dev/shm/pidward-{os.geteuid()}-{here.instance}"):  # noqa: S108 - checked when it is used
        try:
            os.makedirs(place, mode=0o700, exist_ok=True)
        except OSError:
            continue
        if os.access(place, os.W_OK):
            return place
    raise Failure(FAILED, f"run: neither {first} nor /dev/shm can be written to; mount a small tmpfs at /run")
