"""``pidward signal``: to workers through the supervisor, to any other process through a pidfd of our own."""

from argparse import ArgumentParser
from typing import Any

from pidward.cli.ask import Asking
from pidward.cli.failure import OK, USAGE, Failure
from pidward.cli.here import Here
from pidward.cli.stranger import act_on_stranger
from pidward.control.jsontext import encode
from pidward.core.signals import parse_signal, signal_name
from pidward.runtime.foreign import is_process


def options(parser: ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("signal", metavar="SIGNAL", help="SIGHUP, HUP, hup or 1; also SIGRTMIN+3")
    parser.add_argument("target", metavar="TARGET", help="a service, a worker like web/2, a PID:INODE or a PID")
    parser.add_argument("--tree", action="store_true", help="to all descendants of the workers too")
    parser.epilog = "exit status: 0 sent, 1 not sent, 2 no such signal or name, 3 no process, 7 no supervisor runs"


def run(here: Here, given: Any) -> int:
    """Send it."""
    try:
        number = parse_signal(given.signal)
    except ValueError as error:
        raise Failure(USAGE, str(error)) from None
    if is_process(given.target):
        if given.tree:
            raise Failure(USAGE, "--tree is for services and workers, and for `pidward kill`")
        return act_on_stranger(here, given.target, number)
    with Asking(here) as client:
        asked = {"target": given.target, "signal": str(number), "tree": given.tree}
        signalled = client.call("Signal", asked)["signalled"]
    show_signalled(here, signalled, signal_name(number), given.tree)
    return OK


def show_signalled(here: Here, signalled: object, name: str, tree: bool) -> None:
    """Say who got it."""
    assert isinstance(signalled, list)
    if here.json:
        print(encode({"schema_version": 1, "signal": name, "tree": tree, "signalled": signalled}))
        return
    for one in signalled:
        print(f"{name} sent to {one['worker']} ({one['process']}){' and its whole tree' if tree else ''}")
