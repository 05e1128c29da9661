"""``pidward kill``: SIGKILL to workers through the supervisor, to any other process through a pidfd of our own."""

from argparse import ArgumentParser
from typing import Any

from pidward.cli.ask import Asking
from pidward.cli.failure import OK
from pidward.cli.here import Here
from pidward.cli.signal import show_signalled
from pidward.cli.stranger import act_on_stranger
from pidward.core.signals import SIGKILL, signal_name
from pidward.runtime.foreign import is_process


def options(parser: ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("target", metavar="TARGET", help="a service, a worker like web/2, a PID:INODE or a PID")
    parser.add_argument("--tree", action="store_true", help="all descendants too")
    parser.epilog = (
        "A killed worker is started again when its restart policy says so; to have it down, use `pidward stop`.\n\n"
        "exit status: 0 killed, 1 not killed, 2 no such name, 3 no process, 7 no supervisor runs"
    )


def run(here: Here, given: Any) -> int:
    """Kill it."""
    if is_process(given.target):
        return act_on_stranger(here, given.target, SIGKILL, tree=given.tree)
    with Asking(here) as client:
        signalled = client.call("Kill", {"target": given.target, "tree": given.tree})["signalled"]
    show_signalled(here, signalled, signal_name(SIGKILL), given.tree)
    return OK
