"""``pidward reload``: have the configuration read again, and show what that changed."""

from argparse import ArgumentParser
from typing import Any

from pidward.cli.ask import Asking
from pidward.cli.failure import OK
from pidward.cli.here import Here
from pidward.cli.screen import printable
from pidward.control.jsontext import encode


def options(parser: ArgumentParser) -> None:
    """Add nothing: the file is the one the supervisor was started with."""
    parser.epilog = "exit status: 0 done, 2 the file is not valid and nothing was changed, 7 no supervisor runs"


def run(here: Here, _given: Any) -> int:
    """Ask and show."""
    with Asking(here) as client:
        changes = client.call("Reload", {})["changes"]
    assert isinstance(changes, list)
    if here.json:
        print(encode({"schema_version": 1, "changes": changes}))
    else:
        print("\n".join(printable(str(change)) for change in changes))
    return OK
