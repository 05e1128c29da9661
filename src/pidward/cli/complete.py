"""``pidward __complete targets|services``: names for the completion scripts, one a line; silent when there are none.

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
    """Print all services, and with ``targets`` or nothing all workers."""
    if "services" in given.targets:
        print("\n".join(_services(here)))
        return OK
    try:
        with Asking(here) as client:
            table = str(client.call("Table", {}, patience=1.0)["table"])
    except Failure:
        return OK
    workers = [line.partition("\t")[0] for line in table.splitlines()]
    services = dict.fromkeys(name.rpartition("/")[0] for name in workers)
    print("\n".join([*services, *workers]))
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
