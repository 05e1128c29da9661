"""``pidward plan``: what `pidward reload` would change. Nothing is changed."""

from argparse import ArgumentParser
from typing import Any

from pidward.cli.ask import Asking
from pidward.cli.failure import OK
from pidward.cli.here import Here
from pidward.cli.screen import columns, printable
from pidward.control.jsontext import encode


def options(parser: ArgumentParser) -> None:
    """Add nothing: the file is the one the supervisor was started with."""
    parser.epilog = "exit status: 0 the file is valid, 2 it is not, 7 no supervisor runs"


def run(here: Here, _given: Any) -> int:
    """Ask and show."""
    with Asking(here) as client:
        answer = client.call("Plan", {})
    changes, notes = answer["changes"], answer["notes"]
    assert isinstance(changes, list)
    assert isinstance(notes, list)
    if here.json:
        print(encode({"schema_version": 1, **answer}))
        return OK
    rows = [[printable(str(c[key]) or "-") for key in ("service", "consequence", "detail")] for c in changes]
    lines = ["  ".join(row) for row in columns(rows)] if rows else ["nothing would change"]
    print("\n".join([*lines, *(printable(str(note)) for note in notes)]))
    return OK
