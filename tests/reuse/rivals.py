"""The table: who signals the wrong process when a number is handed out again. ``python -m tests.reuse.rivals``."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from bench.harness.markdown import replace_block, table
from tests.reuse.namespace import missing, run_in_namespace
from tests.reuse.scenarios import NO, SCENARIOS, YES, Outcome

HEAD = ("who", "does", "tries", "wrong process signalled", "death noticed")
BLOCK = "pid reuse"


class Tally(NamedTuple):
    """One scenario, played some times; ``missing`` says what is not installed, and then it was not."""

    name: str
    outcomes: list[Outcome]
    missing: str | None = None

    @property
    def wrong(self) -> int:
        """In how many tries an innocent process was signalled."""
        return sum(outcome.touched is not None for outcome in self.outcomes)

    @property
    def unnoticed(self) -> int:
        """In how many tries the tool took the innocent process for its own."""
        return sum(outcome.noticed == NO for outcome in self.outcomes)


def play(name: str, tries: int) -> Tally:
    """Play one scenario in a namespace of its own."""
    result = run_in_namespace("tests.reuse.scenarios:play", name, tries, timeout_s=30 + 3 * tries)
    if isinstance(result, str):
        return Tally(name, [], result)
    return Tally(name, [Outcome(*outcome) for outcome in result])


def row(tally: Tally) -> Sequence[object]:
    """A line of the table."""
    scenario = SCENARIOS[tally.name]
    if tally.missing is not None:
        return scenario.who, scenario.what, 0, f"skipped: needs {tally.missing}", ""
    tries = len(tally.outcomes)
    felt = sorted({outcome.touched for outcome in tally.outcomes if outcome.touched})
    wrong = f"**{tally.wrong} of {tries}** ({', '.join(felt)})" if tally.wrong else f"0 of {tries}"
    return scenario.who, scenario.what, tries, wrong, _noticed(tally)


def _noticed(tally: Tally) -> str:
    counts = {outcome.noticed: 0 for outcome in tally.outcomes}
    for outcome in tally.outcomes:
        counts[outcome.noticed] += 1
    if len(counts) == 1:
        only = next(iter(counts))
        return f"**{only}**" if only != YES else only
    return ", ".join(f"{count} x {noticed}" for noticed, count in sorted(counts.items()))


def main() -> None:
    """Play all and print the table, or write it into a file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tries", type=int, default=20)
    parser.add_argument("--markdown", action="store_true", help="print for the docs")
    parser.add_argument("--write", type=Path, help=f"write it into this file, between the marks of block {BLOCK!r}")
    options = parser.parse_args()
    reason = missing()
    if reason is not None:
        sys.exit(reason)
    tallies = [play(name, options.tries) for name in SCENARIOS]
    text = table(HEAD, [row(tally) for tally in tallies])
    if options.write:
        replace_block(options.write, BLOCK, text)
    print(text if options.markdown else text.replace("**", "").replace("`", ""))


if __name__ == "__main__":
    main()
