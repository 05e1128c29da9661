"""``pidward reload``: have the configuration read again, and show what that changed; or have programs read theirs."""

import sys
from argparse import ArgumentParser
from typing import Any

from pidward.cli.ask import Asking
from pidward.cli.failure import FAILED, OK
from pidward.cli.here import Here
from pidward.cli.screen import printable
from pidward.control.jsontext import encode

PATIENCE = 90.0
"""Seconds; a reload command is killed after a minute."""


def options(parser: ArgumentParser) -> None:
    """Add the arguments. The file is the one that the supervisor was started with."""
    parser.add_argument(
        "targets", nargs="*", metavar="SERVICE",
        help="have the programs of these read their own configuration again, by service.NAME.reload, instead",
    )  # fmt: skip
    parser.epilog = (
        "exit status: 0 done, 1 a program could not be told or its reload command failed, 2 the file is not valid and\n"
        "nothing was changed, 7 no supervisor runs"
    )


def run(here: Here, given: Any) -> int:
    """Ask and show."""
    if given.targets:
        return _reload_workers(here, given.targets)
    with Asking(here) as client:
        changes = client.call("Reload", {})["changes"]
    assert isinstance(changes, list)
    if here.json:
        print(encode({"schema_version": 1, "changes": changes}))
    else:
        print("\n".join(printable(str(change)) for change in changes))
    return OK


def _reload_workers(here: Here, targets: list[str]) -> int:
    with Asking(here) as client:
        answer = client.call("ReloadWorkers", {"targets": targets}, patience=PATIENCE)
    told, failures = answer["signalled"], answer["failures"]
    assert isinstance(told, list)
    assert isinstance(failures, list)
    if here.json:
        print(encode({"schema_version": 1, **answer}))
    else:
        sys.stdout.write("".join(f"{one['worker']}  {one['process']}  told to reload\n" for one in told))
        for failure in failures:
            here.say(f"pidward: {printable(str(failure))}")
    return FAILED if failures else OK
