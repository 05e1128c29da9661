"""``pidward demo``: real programs, broken one after the other, and what pidward does about it."""

import os
import sys
from argparse import ArgumentParser
from typing import Any

from pidward.cli.failure import FAILED, OK, USAGE, Failure
from pidward.cli.here import Here
from pidward.cli.screen import columns
from pidward.control.jsontext import encode
from pidward.demo.narrator import Narrator
from pidward.demo.scenes import SCENES
from pidward.demo.show import is_proved, report, show
from pidward.demo.story import Unmet


def options(parser: ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("scenes", nargs="*", metavar="SCENE", help="only these scenes (default: all)")
    parser.add_argument("--list", action="store_true", help="name the scenes and end")
    parser.add_argument("--keep", action="store_true", help="keep configuration, state and logs, and say where")
    parser.epilog = (
        "It runs a supervisor of its own in a directory of its own, and touches no other.\n\n"
        "exit status: 0 every recovery really happened (scenes that cannot be played here are skipped and\n"
        "counted), 1 not so"
    )


def run(here: Here, given: Any) -> int:
    """Show it."""
    if given.list:
        return _list(here)
    known = {scene.name: scene for scene in SCENES}
    for name in given.scenes:
        if name not in known:
            raise Failure(USAGE, f"demo: no scene is named {name!r}; there are {', '.join(known)}")
    chosen = [scene for scene in SCENES if not given.scenes or scene.name in given.scenes]
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        narrator = Narrator(nowhere if here.json else sys.stdout, here.paints(sys.stdout))
        try:
            played = show(chosen, narrator, keep=given.keep)
        except Unmet as error:
            raise Failure(FAILED, f"demo: {error}") from None
    if here.json:
        print(encode(report(played)))
    return OK if is_proved(played) else FAILED


def _list(here: Here) -> int:
    scenes = [{"name": s.name, "title": s.title, "missing": s.missing() or None} for s in SCENES]
    if here.json:
        print(encode({"schema_version": 1, "scenes": scenes}))
        return OK
    rows = [[str(s["name"]), str(s["title"])] for s in scenes]
    for cells, scene in zip(columns(rows), scenes, strict=True):
        print("  ".join(cells) + (f"\n{'':{len(cells[0])}}  - {scene['missing']}" if scene["missing"] else ""))
    return OK
