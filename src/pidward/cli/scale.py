"""``pidward scale``: have more or fewer workers of a service; those that stay are not touched."""

from argparse import ArgumentParser
from typing import Any

from pidward.cli.ask import Asking
from pidward.cli.change import DEFAULT_TIMEOUT, METHODS, ask, show, timeout_of
from pidward.cli.failure import FAILED, OK, USAGE, Failure
from pidward.cli.here import Here


def options(parser: ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("targets", nargs="+", metavar="SERVICE=N", help="how many workers, like web=4")
    parser.add_argument("--no-wait", action="store_true", help="return as soon as the supervisor has taken the request")
    parser.add_argument(
        "--timeout", default=DEFAULT_TIMEOUT, metavar="TIME", help="wait no longer than this (default: %(default)s)"
    )
    parser.epilog = "exit status: 0 all workers got there, 1 some did not or not in time, 7 no supervisor runs"


def run(here: Here, given: Any) -> int:
    """Ask, wait, tell."""
    wanted = [_read(word) for word in given.targets]
    timeout = timeout_of(given.timeout)
    results: list[dict[str, object]] = []
    with Asking(here) as client:
        for service, workers in wanted:
            asked: dict[str, object] = {"service": service, "workers": workers}
            if not given.no_wait:
                asked |= {"wait": True, "timeout": timeout}
            answer = ask(here, client, METHODS["scale"], asked, timeout)
            if not answer:
                here.say(f"{service}: has {workers} worker{'s' * (workers != 1)} already")
            results += answer
    show(here, results, waited=not given.no_wait)
    return OK if all(result["reached"] for result in results) else FAILED


def _read(word: str) -> tuple[str, int]:
    service, equals, number = word.partition("=")
    if not equals or not service or not number.isascii() or not number.isdecimal():
        raise Failure(USAGE, f"scale: expected SERVICE=N, like web=4, got {word!r}")
    if "/" in service:
        raise Failure(USAGE, f"scale: {service} is one worker; write how many its service is to have, like web=4")
    return service, int(number)
