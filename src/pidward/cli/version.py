"""``pidward version``."""

import sys
from argparse import ArgumentParser
from typing import Any

from pidward import __version__
from pidward.cli.failure import OK
from pidward.cli.here import Here
from pidward.control.jsontext import encode


def options(parser: ArgumentParser) -> None:
    """Add nothing."""


def run(here: Here, _given: Any) -> int:
    """Print it."""
    python = ".".join(map(str, sys.version_info[:3]))
    if here.json:
        print(encode({"schema_version": 1, "version": __version__, "python": python}))
    else:
        print(f"pidward {__version__} (Python {python})")
    return OK
