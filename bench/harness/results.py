"""Rows of results: one JSON document a line in results/<experiment>.jsonl."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

from bench.harness.paths import RESULTS

Row = dict[str, object]

_QUIET = frozenset({"experiment", "run", "when", "samples_us"})


class Results:
    """Where an experiment puts what it measured."""

    def __init__(self, experiment: str, scheduler: str, folder: Path = RESULTS) -> None:
        """All rows of one object carry the same ``run``, so that peers can be compared within one run only."""
        self._experiment = experiment
        self._scheduler = scheduler
        self._folder = folder
        self._run = time.strftime("%Y%m%dT%H%M%S")
        folder.mkdir(exist_ok=True)

    def add(self, experiment: str | None = None, /, **values: object) -> None:
        """Append a row, with the load of the machine at this moment, and show it.

        Args:
            experiment: for experiments that measure what belongs to another one's table.
            values: what was measured, JSON values.
        """
        name = experiment or self._experiment
        row: Row = {
            "experiment": name,
            "run": self._run,
            "when": time.strftime("%Y-%m-%dT%H:%M:%S"),
            "load1": round(os.getloadavg()[0], 2),
            "scheduler": self._scheduler,
            **values,
        }
        with open(self._folder / f"{name}.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        shown = " ".join(f"{key}={_brief(value)}" for key, value in row.items() if key not in _QUIET)
        print(name, shown, flush=True)


def _brief(value: object) -> object:
    return round(value, 3) if isinstance(value, float) else value


def rows(experiment: str, folder: Path = RESULTS) -> Iterator[Row]:
    """All rows of an experiment, oldest first; none when it never ran."""
    try:
        text = (folder / f"{experiment}.jsonl").read_text(encoding="utf-8")
    except FileNotFoundError:
        return
    for line in text.splitlines():
        yield json.loads(line)
