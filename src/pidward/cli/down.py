"""``pidward down``: end the supervisor, and see it end."""

from argparse import ArgumentParser
from typing import Any

from pidward.cli.ask import Asking, supervisor_of
from pidward.cli.failure import FAILED, OK, USAGE, Failure
from pidward.cli.here import Here
from pidward.control.jsontext import encode
from pidward.core.units import parse_duration

DEFAULT_TIMEOUT = "5min"


def options(parser: ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("--now", action="store_true", help="kill everything at once, without the grace of each service")
    parser.add_argument("--no-wait", action="store_true", help="return as soon as the supervisor has taken the request")
    parser.add_argument(
        "--timeout", default=DEFAULT_TIMEOUT, metavar="TIME", help="wait no longer than this (default: %(default)s)"
    )
    parser.epilog = "exit status: 0 it has ended, 1 not in time, 7 no supervisor runs"


def run(here: Here, given: Any) -> int:
    """Ask, and wait until the supervisor has left."""
    try:
        timeout = parse_duration(given.timeout)
    except ValueError as error:
        raise Failure(USAGE, f"--timeout: {error}") from None
    with Asking(here) as client:
        about = supervisor_of(client)
        client.call("Down", {"at_once": given.now})
        ended = given.no_wait or client.wait_closed(timeout)
    if not ended:
        raise Failure(FAILED, f"supervisor {about['process']} still stops its workers; see `pidward status`")
    if here.json:
        print(encode({"schema_version": 1, "supervisor": about["process"], "ended": not given.no_wait}))
    else:
        print(f"supervisor {about['process']} {'was asked to end' if given.no_wait else 'has ended'}")
    return OK
