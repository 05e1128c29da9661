"""``pidward start``, ``stop`` and ``restart``: ask, wait until it is reached, and say what became of each worker."""

import sys
from argparse import ArgumentParser
from collections.abc import Iterable
from typing import Any

from pidward.cli.ask import Asking
from pidward.cli.failure import FAILED, OK, USAGE, Failure
from pidward.cli.here import Here
from pidward.cli.screen import GREEN, RED, columns, paint, printable
from pidward.control.client import CallFailed, Client
from pidward.control.jsontext import encode
from pidward.core.units import parse_duration

METHODS = {"start": "Start", "stop": "Stop", "restart": "Restart", "scale": "Scale", "wait": "Wait"}
DEFAULT_TIMEOUT = "2min"
GRACE_FOR_THE_ANSWER = 10.0


def options(parser: ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("targets", nargs="*", metavar="SERVICE", help="services or workers, like web or web/2")
    parser.add_argument("--all", action="store_true", help="all services of the configuration")
    if parser.prog.endswith(" restart"):
        parser.add_argument(
            "--rolling", nargs="?", const="1", metavar="N",
            help="replace N workers at a time (default: 1), each ready before the next; stop at the first that fails",
        )  # fmt: skip
    parser.add_argument("--no-wait", action="store_true", help="return as soon as the supervisor has taken the request")
    parser.add_argument(
        "--timeout", default=DEFAULT_TIMEOUT, metavar="TIME", help="wait no longer than this (default: %(default)s)"
    )
    parser.epilog = "exit status: 0 all workers got there, 1 some did not or not in time, 7 no supervisor runs"


def run(here: Here, given: Any) -> int:
    """Ask, wait, tell."""
    rolling = getattr(given, "rolling", None)
    if rolling is not None and not rolling.isdecimal():  # `restart --rolling web`: the word is a name
        given.targets.insert(0, rolling)
        rolling = "1"
    if bool(given.targets) == given.all:
        raise Failure(USAGE, f"{given.command}: name services or workers, or say --all (but not both)")
    timeout = timeout_of(given.timeout)
    asked: dict[str, object] = {"targets": given.targets}
    if not given.no_wait:
        asked |= {"wait": True, "timeout": timeout}
    if rolling is not None:
        if int(rolling) < 1:
            raise Failure(USAGE, f"--rolling: at least 1 worker at a time, not {rolling}")
        asked["rolling"] = int(rolling)
    with Asking(here) as client:
        answer = client.call("Table", {"targets": given.targets})
        results = ask(here, client, METHODS[given.command], asked, timeout)
    order = {line.partition("\t")[0]: place for place, line in enumerate(str(answer["table"]).splitlines())}
    results.sort(key=lambda result: order.get(str(result["worker"]), len(order)))
    show(here, results, waited=not given.no_wait)
    for service in _strings(answer["without_workers"]):
        here.say(f"{service}: no workers (workers = 0)")
    return OK if all(result["reached"] for result in results) else FAILED


def timeout_of(written: str) -> float:
    """Read the value of --timeout. Raises Failure."""
    try:
        return parse_duration(written)
    except ValueError as error:
        raise Failure(USAGE, f"--timeout: {error}") from None


def ask(
    here: Here, client: Client, method: str, asked: dict[str, object], timeout: float | None
) -> list[dict[str, object]]:
    """Ask for results and collect what comes in, and show on a terminal how far it is.

    Args:
        here: what all commands share.
        client: the connection.
        method: one that answers with results.
        asked: its parameters.
        timeout: seconds after which the supervisor answers in any case; None: it may never.
    """
    progress = Progress(sys.stderr.isatty() and not here.json)
    results: list[dict[str, object]] = []
    try:
        patience = None if timeout is None else timeout + GRACE_FOR_THE_ANSWER
        for answer in client.stream(method, asked, patience=patience):
            results += _list(answer)
            progress.show(results)
    except CallFailed as error:
        if error.error != "TimedOut":
            raise
        results += _list(error.parameters)
        here.say("pidward: the time is over; the supervisor goes on trying")
    finally:
        progress.clear()
    return results


def _list(answer: dict[str, object]) -> list[dict[str, object]]:
    results = answer.get("results")
    return results if isinstance(results, list) else []


def _strings(value: object) -> list[str]:
    assert isinstance(value, list)
    return [str(one) for one in value]


def show(here: Here, results: list[dict[str, object]], waited: bool) -> None:
    """Say what became of each worker."""
    if here.json:
        print(encode({"schema_version": 1, "results": results}))
    else:
        _print(here, results, waited)


def _print(here: Here, results: Iterable[dict[str, object]], waited: bool) -> None:
    rows = []
    for result in results:
        word = str(result["phase"]) if waited else "asked"
        rows.append([str(result["worker"]), word, str(result["process"] or "-"), printable(str(result["reason"]))])
    if not rows:
        return
    filled = columns(rows)
    if here.paints(sys.stdout):
        for cells, result in zip(filled, results, strict=True):
            cells[1] = paint(cells[1], GREEN if result["reached"] else RED)
    sys.stdout.write("".join("  ".join(cells) + "\n" for cells in filled))


class Progress:
    """One line on a terminal that tells how many workers are there, and goes away at the end."""

    def __init__(self, shown: bool) -> None:
        self._shown = shown

    def show(self, results: list[dict[str, object]]) -> None:
        """Write it anew."""
        if self._shown and results:
            failed = sum(not result["reached"] for result in results)
            text = f"{len(results) - failed} done" + (f", {failed} failed" if failed else "")
            self._write(f"{text}; last: {printable(str(results[-1]['worker']))}")

    def clear(self) -> None:
        """Take it away."""
        if self._shown:
            self._write("")

    def _write(self, text: str) -> None:
        sys.stderr.write(f"\r\x1b[K{text}")
        sys.stderr.flush()
