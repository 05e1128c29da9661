"""``pidward wait``: block until workers are ready, or until they end."""

from argparse import ArgumentParser
from typing import Any

from pidward.cli.ask import Asking
from pidward.cli.change import ask, show, timeout_of
from pidward.cli.failure import FAILED, OK
from pidward.cli.here import Here
from pidward.core.signals import parse_signal


def options(parser: ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("targets", nargs="+", metavar="SERVICE", help="services or workers, like web or web/2")
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--ready", action="store_const", dest="goal", const="up", help="until all are ready (the default)"
    )
    what.add_argument(
        "--exit", action="store_const", dest="goal", const="exit",
        help="until the process that each has now has ended; the exit status is the worst of theirs",
    )  # fmt: skip
    what.add_argument(
        "--stopped", action="store_const", dest="goal", const="down", help="until all are down and wanted down"
    )
    parser.add_argument("--timeout", metavar="TIME", help="wait no longer than this (default: for ever)")
    parser.set_defaults(goal="up")
    parser.epilog = (
        "exit status: 0 they got there, 1 one did not or not in time, 7 no supervisor runs; with --exit that of the\n"
        "worker, 128 + N for signal N as in a shell; of several the highest"
    )


def run(here: Here, given: Any) -> int:
    """Wait and tell."""
    timeout = None if given.timeout is None else timeout_of(given.timeout)
    asked: dict[str, object] = {"targets": given.targets, "goal": given.goal, "timeout": timeout}
    with Asking(here) as client:
        results = ask(here, client, "Wait", asked, timeout)
    show(here, results, waited=True)
    if not all(result["reached"] for result in results):
        return FAILED
    return max((_status(result["exit"]) for result in results), default=OK) if given.goal == "exit" else OK


def _status(ended: object) -> int:
    """An exit as a shell would give it; what nobody knows is a failure."""
    if not isinstance(ended, dict):
        return FAILED
    if ended["signal"] is not None:
        return 128 + parse_signal(str(ended["signal"]))
    return FAILED if ended["code"] is None else int(ended["code"])
