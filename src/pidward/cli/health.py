"""``pidward health``: one word for container managers; exit status 0 or 1."""

from argparse import ArgumentParser
from typing import Any

from pidward.cli.ask import Asking
from pidward.cli.failure import FAILED, OK
from pidward.cli.here import Here
from pidward.cli.screen import printable
from pidward.control.jsontext import encode


def options(parser: ArgumentParser) -> None:
    """Add the arguments."""
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--live", action="store_const", dest="what", const="live", help="nothing has given up")
    what.add_argument(
        "--ready", action="store_const", dest="what", const="ready",
        help="everything that is wanted may serve; the default",
    )  # fmt: skip
    what.add_argument(
        "--startup", action="store_const", dest="what", const="started",
        help="everything that was wanted at the beginning has been ready once",
    )  # fmt: skip
    parser.set_defaults(what="ready")
    parser.epilog = "exit status: 0 yes, 1 no, 7 no supervisor runs, 4 it does not let you in"


def run(here: Here, given: Any) -> int:
    """Ask and tell; who stands in the way is said on stderr."""
    with Asking(here) as client:
        health = client.call("Health", {})
    is_well = bool(health[given.what])
    reasons = health["reasons"]
    assert isinstance(reasons, list)
    if here.json:
        print(encode({"schema_version": 1, **health}))
        return OK if is_well else FAILED
    print("ok" if is_well else f"not {given.what}")
    if not is_well:
        for reason in reasons:
            here.say(printable(str(reason)))
    return OK if is_well else FAILED
