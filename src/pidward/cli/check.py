"""``pidward check``: every mistake of a configuration file, and what of it this machine does not have, at once."""

from argparse import ArgumentParser
from typing import Any

from pidward.cli.failure import OK, USAGE, Failure
from pidward.cli.here import Here
from pidward.cli.paths import NO_FILE, configuration_of
from pidward.config.errors import ConfigError, Problem
from pidward.config.load import load
from pidward.control.jsontext import encode
from pidward.runtime.unmet import Unmet, unmet


def options(parser: ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("file", nargs="?", metavar="FILE", help="the file (default: the one that `up` would take)")
    parser.add_argument("--strict", action="store_true", help="take what this machine does not have for a mistake too")
    parser.epilog = (
        "Users, programs, directories and the like that this machine does not have are warnings: the file may be for\n"
        "another one.\n\nexit status: 0 the file is valid, 2 it is not, or with --strict there were warnings"
    )


def run(here: Here, given: Any) -> int:
    """Read it and say what is wrong."""
    path = given.file or configuration_of(here)
    if path is None:
        raise Failure(USAGE, NO_FILE)
    try:
        configuration = load(path)
    except ConfigError as error:
        return _refuse(here, path, error)
    warnings = unmet(configuration.services)
    for warning in warnings:
        here.say(str(warning) if warning.place else f"{path}: {warning}")
    workers = sum(service.workers for service in configuration.services)
    if here.json:
        document = {
            "schema_version": 1, "file": path, "valid": True, "problems": [],
            "warnings": [_as_dict(warning, path) for warning in warnings],
            "services": [service.name for service in configuration.services], "workers": workers,
        }  # fmt: skip
        print(encode(document))
    else:
        print(f"{path}: valid; {_count(len(configuration.services), 'service')}, {_count(workers, 'worker')}")
    if given.strict and warnings:
        raise Failure(USAGE, f"{path}: {_count(len(warnings), 'warning')}, and --strict was given")
    return OK


def _refuse(here: Here, path: str, error: ConfigError) -> int:
    if here.json:
        problems = [problem.as_dict() for problem in error.problems]
        document = {
            "schema_version": 1, "file": path, "valid": False, "problems": problems, "omitted": error.omitted,
        }  # fmt: skip
        print(encode(document))
        return USAGE
    count = _count(len(error.problems) + error.omitted, "mistake")
    here.say(str(error))
    raise Failure(USAGE, f"{path}: {count}; nothing was started or changed")


def _as_dict(warning: Unmet, path: str) -> dict[str, str | int]:
    """Print a warning as mistakes are printed."""
    file, line, column = warning.place.rsplit(":", 2) if warning.place else (path, 0, 0)
    return Problem(file, int(line), int(column), warning.key, warning.message).as_dict()


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"
