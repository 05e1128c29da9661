"""The tables of docs/benchmarks.md from the rows in bench/results: ``python -m bench.report [--write FILE]``.

Latencies of several runs are put together sample by sample; of other figures the median is shown, with the least, the
most and the number of rows behind it. Rows with an error are left out.
"""

import argparse
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from bench.harness.markdown import replace_block, table
from bench.harness.paths import PROJECT, RESULTS
from bench.harness.results import rows
from bench.harness.statistics import quantile

PAGE = PROJECT / "docs/benchmarks.md"
NOTHING = "Not measured yet."
_NONE = "-"

Row = dict[str, Any]


def experiment_rows(experiment: str, runs: Sequence[str], folder: Path) -> list[Row]:
    """The good rows of the wanted runs; of all runs when none is named."""
    good = (row for row in rows(experiment, folder) if "error" not in row)
    return [row for row in good if not runs or row["run"] in runs]


def figure(value: object) -> str:
    """A number with as many digits as mean something; anything else as it is."""
    if value is None:
        return _NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, float):
        return str(value)
    if abs(value) < 10:
        return f"{value:.2f}"
    return f"{value:.1f}" if abs(value) < 100 else f"{value:.0f}"


def median_and_range(values: Sequence[float]) -> str:
    """``12.3 (11.0-15.1, 5)``."""
    middle = figure(float(statistics.median(values)))
    if len(values) == 1:
        return middle
    return f"{middle} ({figure(float(min(values)))}-{figure(float(max(values)))}, {len(values)})"


def pivot(
    found: Iterable[Row], across: Callable[[Row], str], cell: Callable[[list[Row]], str], rank: Callable[[Row], float]
) -> str:
    """Peers down, ``across`` across; the best peer at the most crowded column is on top."""
    cells: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in found:
        cells[row["peer"], across(row)].append(row)
    if not cells:
        return NOTHING
    columns = sorted({column for _, column in cells}, key=lambda column: (int(column.split()[0]), column))

    def order(peer: str) -> tuple[float, ...]:
        filled = (cells.get((peer, column)) for column in reversed(columns))
        return tuple(statistics.median(map(rank, group)) if group else float("inf") for group in filled)

    peers = sorted({peer for peer, _ in cells}, key=order)
    body = [
        [peer, *(cell(cells[peer, column]) if (peer, column) in cells else _NONE for column in columns)]
        for peer in peers
    ]
    return table(["", *(f"N={column}" for column in columns)], body)


def simple(found: Iterable[Row], column: str) -> str:
    """One figure of each peer at each N."""
    return pivot(
        [row for row in found if row.get(column) is not None],
        lambda row: str(row["n"]),
        lambda group: median_and_range([row[column] for row in group]),
        lambda row: float(row[column]),
    )


def latencies(found: Iterable[Row]) -> str:
    """p50 / p95 / p99 of E1."""

    def cell(group: list[Row]) -> str:
        samples = [sample / 1e3 for row in group for sample in row["samples_us"]]
        parts = " / ".join(figure(quantile(samples, part)) for part in (0.50, 0.95, 0.99))
        medians = [row["p50_ms"] for row in group]
        spread = f"; {figure(min(medians))}-{figure(max(medians))}" if len(group) > 1 else ""
        return f"{parts} ({len(samples)}{spread})"

    return pivot([row for row in found if row["samples_us"]], _n_and_mode, cell, lambda row: float(row["p50_ms"]))


def _n_and_mode(row: Row) -> str:
    """Overlapping kills find warm caches. s6 always overlaps, and a second is a second, warm or not."""
    is_warm = row["mode"] == "overlap" and row["peer"] != "s6"
    return f"{row['n']} warm" if is_warm else str(row["n"])


def lines(found: Iterable[Row], columns: Sequence[str], sort: Callable[[Row], Any] | None = None) -> str:
    """One line a row; columns that are empty throughout are left out."""
    kept = sorted(found, key=sort) if sort else list(found)
    used = [column for column in columns if any(row.get(column) is not None for row in kept)]
    if not kept:
        return NOTHING
    return table([column.replace("_", " ") for column in used], [[figure(row.get(c)) for c in used] for row in kept])


def titled(*parts: tuple[str, str]) -> str:
    """Tables under each other, each with its title; those without rows are left out."""
    shown = [f"{title}\n\n{text}" for title, text in parts if text != NOTHING]
    return "\n\n".join(shown) or NOTHING


def blocks(runs: Sequence[str], folder: Path = RESULTS) -> dict[str, str]:
    """The text of every block of the page."""
    e1, e2, e3, e4, e5, e6, e7, e8, e9 = (experiment_rows(f"e{number}", runs, folder) for number in range(1, 10))
    flood = [row for row in e5 if row.get("part") == "flood"]
    many = [row for row in e5 if row.get("part") == "many"]
    complete = [row for row in e3 if row["killed"] == row["back"]] if e3 else []
    return {
        "e1": latencies(row for row in e1 if not row.get("loop")),
        "e1 loop": latencies(row for row in e1 if row.get("loop")),
        "e2": titled(
            ("Milliseconds until the last of N runs:", simple(e2, "all_ms")),
            ("CPU of the supervisor for it, in milliseconds:", simple(e2, "supervisor_cpu_ms")),
        ),
        "e3": titled(
            ("Milliseconds until N run again:", simple(complete, "all_ms")),
            ("CPU of the supervisor for it, in milliseconds:", simple(complete, "supervisor_cpu_ms")),
        ),
        "e4": titled(
            ("Memory (PSS), KiB:", simple(e4, "pss_kib")),
            ("CPU when idle, percent of one core:", simple(e4, "cpu_percent")),
            ("Wake-ups a second when idle:", simple(e4, "wakeups_per_s")),
            ("Processes:", simple(e4, "processes")),
            ("Open descriptors:", simple(e4, "fds")),
        ),
        "e5": titled(
            ("One worker, as fast as it can:", lines(flood, _FLOOD, lambda row: -(row.get("mb_per_s") or 0))),
            ("Many workers, at an even pace:", lines(many, _MANY, lambda row: row.get("supervisor_cpu_s") or 0)),
        ),
        "e6": lines(e6, _CRASH, lambda row: (row.get("work", ""), row.get("who", ""), row["peer"])),
        "e7": lines(e7, _TREE, lambda row: (row.get("after_shutdown") or 0, row["peer"])),
        "e8": lines(e8, _REUSE),
        "e9": titled(
            ("Wall clock, in milliseconds:", simple(e9, "wall_p50_ms")),
            ("CPU of the command, in milliseconds:", simple(e9, "command_cpu_ms")),
            ("CPU of the supervisor, in milliseconds:", simple(e9, "supervisor_cpu_ms")),
        ),
    }


_FLOOD = ("peer", "chunk", "mb_per_s", "cpu_s_per_gb", "peak_rss_kib", "files", "lines_lost", "note")
_MANY = ("peer", "n", "hertz", "expected", "lines_lost", "supervisor_cpu_s")
_CRASH = (
    "peer", "work", "who", "n", "survived", "still_writing", "new_before_restart", "living", "living_originals",
    "running_twice", "managed", "lines_written", "lines_lost", "failed_writes", "note",
)  # fmt: skip
_TREE = ("peer", "daemons", "stop_s", "after_stop", "worker_after_stop", "after_shutdown", "worker_after_shutdown")
_REUSE = ("peer", "case", "death_noticed", "stranger_with_worker_number", "stranger_with_supervisor_number")


def main() -> None:
    """Print the tables, or write them into the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--write", type=Path, nargs="?", const=PAGE, help="into this page (default: %(const)s)")
    parser.add_argument("--run", action="append", default=[], help="only rows of this run (its start, as in the rows)")
    options = parser.parse_args()
    for name, text in blocks(options.run).items():
        if options.write:
            replace_block(options.write, name, text)
        else:
            print(f"## {name}\n\n{text}\n")


if __name__ == "__main__":
    main()
