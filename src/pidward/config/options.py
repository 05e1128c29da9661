"""A service from the command line: ``--KEY VALUE`` for every key of ``[service.NAME]``."""

import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence

from pidward.config.errors import ConfigError
from pidward.config.load import parse
from pidward.config.nodes import Table
from pidward.config.schema import SERVICE
from pidward.core.spec import Configuration

SETTINGS = ("stop_timeout", "health")
"""Keys of ``[pidward]`` that make sense for one command, too."""


def option_help() -> Iterator[tuple[str, str]]:
    """Each option without its dashes, and a line about it."""
    for key in SERVICE.keys.values():
        if key.name == "command":
            continue
        if isinstance(key.of, Table) and key.name != "limits":
            yield from ((f"{key.name}.{inner.name}", inner.about) for inner in key.of.keys.values())
        else:
            yield key.name, key.about


def parse_options(name: str, keys: Mapping[str, str], command: Sequence[str]) -> Configuration:
    """Read a service as if it stood in a file.

    Args:
        name: of the service.
        keys: dotted names and values as written; a value that is no TOML is a string.
        command: taken as it is; a ``%`` means nothing.

    Raises:
        ConfigError: problems name the options.
    """
    settings = {key: value for key, value in keys.items() if key in SETTINGS}
    lines = ["[pidward]", *_assignments(settings), f"[service.{_quoted(name)}]"]
    lines.append("command = [" + ", ".join(_quoted(word.replace("%", "%%")) for word in command) + "]")
    lines += _assignments({key: value for key, value in keys.items() if key not in SETTINGS})
    try:
        configuration = parse("\n".join(lines) + "\n", "the command line")
    except ConfigError as error:
        said = [(f"--{_option(p.key, name)}: " if p.key else "") + p.message for p in error.problems]
        raise OptionError("\n".join(said)) from None
    services = tuple(service._replace(origin="", origins=()) for service in configuration.services)
    return configuration._replace(services=services)  # lines of a text that nobody wrote help nobody


def _option(key: str, service: str) -> str:
    """The option that a key of the text came from."""
    if key in (f"service.{service}", f"service.'{service}'"):
        return "name"
    return key.removeprefix("pidward.").removeprefix(f"service.{service}.")


class OptionError(Exception):
    """An option cannot be; a line for each."""


def _assignments(keys: Mapping[str, str]) -> list[str]:
    """Longer names first: ``restart.policy`` may come beside ``restart``, which then is its shorthand."""
    known = {key: value for key, value in keys.items() if not any(other.startswith(f"{key}.") for other in keys)}
    known |= {_full(key): value for key, value in keys.items() if key not in known}
    return [f"{'.'.join(map(_quoted, key.split('.')))} = {_value(value)}" for key, value in known.items()]


def _full(key: str) -> str:
    """The dotted name that a bare string for a table stands for."""
    node = SERVICE.keys[key].of if key in SERVICE.keys else None
    shorthand = node.shorthand if isinstance(node, Table) else ""
    return f"{key}.{shorthand}" if shorthand else key


def _value(text: str) -> str:
    """A value as TOML: as it is when it reads as such, else as a string."""
    try:
        parsed = tomllib.loads(f"value = {text}")
    except ValueError:
        return _quoted(text)
    return text if len(parsed) == 1 else _quoted(text)


def _quoted(text: str) -> str:
    """A TOML string; JSON's escapes are all TOML's, but for DEL, which JSON leaves as it is."""
    return json.dumps(text).replace("\x7f", "\\u007f")
