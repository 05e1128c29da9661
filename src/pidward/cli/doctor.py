"""``pidward doctor``: what this machine grants, and what is used instead of what it does not."""

import sys
from argparse import ArgumentParser
from typing import Any

from pidward.cli.failure import FAILED, OK
from pidward.cli.here import Here
from pidward.cli.screen import BOLD, GREEN, RED, YELLOW, columns, paint
from pidward.control.jsontext import encode
from pidward.runtime.doctor import Diagnosis, diagnose


def options(parser: ArgumentParser) -> None:
    """Add nothing."""
    parser.epilog = "exit status: 0 pidward can run here, 1 it cannot"


def run(here: Here, _given: Any) -> int:
    """Look and show."""
    found = diagnose()
    if here.json:
        print(encode(_document(found)))
    else:
        print(_page(found, here.paints(sys.stdout)))
    return OK if found.can_run else FAILED


def _page(found: Diagnosis, colours: bool) -> str:
    def mark(good: bool, needed: bool = False) -> str:
        word, colour = ("yes", GREEN) if good else ("NO", RED) if needed else ("no", YELLOW)
        return paint(word.ljust(3), colour) if colours else word.ljust(3)

    def title(text: str) -> str:
        return paint(text, BOLD) if colours else text

    features = []
    for name, granted, how in found.features:
        told = name.purpose if granted else f"{name.purpose}; instead: {name.without} ({how or 'not there'})"
        features.append([name.name, name.since, told])
    marks = [mark(granted, feature.without == "pidward cannot run") for feature, granted, _ in found.features]
    limits = [[limit.name, limit.value, limit.meaning] for limit in found.limits]
    trees = {"cgroup2": "a cgroup version 2 each", "cgroup1": "a version 1 freezer cgroup each"}
    lines = [
        title(f"kernel features ({found.kernel})"),
        *(f"  {m}  {'  '.join(cells)}" for m, cells in zip(marks, columns(features), strict=True)),
        "",
        title("trees of workers"),
        f"  {trees.get(found.trees or '', 'found by walking')}{found.place and f', below {found.place}'}",
        *([f"  ({found.why})"] if found.why else []),
        "",
        title("limits"),
        *(f"  {mark(one.enough)}  {'  '.join(row)}" for one, row in zip(found.limits, columns(limits), strict=True)),
    ]
    if not found.can_run:
        lines += ["", "pidward cannot run here: the features marked NO are needed"]
    return "\n".join(lines)


def _document(found: Diagnosis) -> dict[str, object]:
    return {
        "schema_version": 1,
        "kernel": found.kernel,
        "can_run": found.can_run,
        "features": [
            {
                "name": feature.name, "granted": granted, "how": how, "since": feature.since,
                "purpose": feature.purpose, "without": feature.without,
            }
            for feature, granted, how in found.features
        ],
        "trees": {"kind": found.trees, "place": found.place, "why": found.why},
        "limits": [
            {"name": limit.name, "value": limit.value, "enough": limit.enough, "meaning": limit.meaning}
            for limit in found.limits
        ],
    }  # fmt: skip
