"""``pidward __complete targets|services|scales``: names for the completion scripts, one a line; silent without any.

Targets are asked from the supervisor; services, which are for those who start one, are read from the file.
"""

from pidward.cli.ask import Asking
from pidward.cli.failure import OK, Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser
    from typing import Any

    from pidward.cli.here import Here


def options(parser: "ArgumentParser") -> None:
    """Add nothing: whatever else the shell has on its line does not matter here."""
    parser.add_argument("targets", nargs="*")


def run(here: "Here", given: "Any") -> int:
    """Print all services, with ``targets`` or nothing all workers, too; with ``scales`` as ``SERVICE=``."""
    if "services" in given.targets:
        print("\n".join(_services(here)))
        return OK
    try:
        with Asking(here) as client:
            answer = client.call("Table", {}, patience=1.0)
    except Failure:
        return OK
    workers = [line.partition("\t")[0] for line in str(answer["table"]).splitlines()]
    empty = answer["without_workers"]
    assert isinstance(empty, list)
    services = dict.fromkeys(name.rpartition("/")[0] for name in workers)
    if "scales" in given.targets:
        print("\n".join([f"{service}=" for service in [*services, *empty]]))
    else:
        print("\n".join([*services, *empty, *workers]))
    return OK


def _services(here: "Here") -> list[str]:
    from pidward.cli.paths import configuration_of
    from pidward.config.errors import ConfigError
    from pidward.config.load import load

    path = configuration_of(here)
    try:
        return [] if path is None else [service.name for service in load(path).services]
    except ConfigError:
        return []
