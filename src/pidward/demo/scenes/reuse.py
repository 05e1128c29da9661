"""A worker's number is given to a stranger, on purpose, and pidward is sent after the worker."""

import os
import sys
from typing import Any

from pidward.control.jsontext import decode
from pidward.demo import groups
from pidward.demo.program import Program
from pidward.demo.reports import Reports
from pidward.demo.scenes.scene import Scene, find
from pidward.demo.stage import Stage
from pidward.demo.story import Kind, Line, Story, Unmet
from pidward.kernel.pidfd import Pidfd

_APART = ("--pid", "--fork", "--mount-proc", "--kill-child")
_TRIAL = ("/bin/sh", "-c", "echo 100 >/proc/sys/kernel/ns_last_pid")
_COST = "the kernel lets only root make a pid namespace and choose its next number"


def _play(stage: Stage, story: Story) -> None:
    """``namespace`` plays it, the first process of a pid namespace of its own; it tells the story through a FIFO."""
    place, instance = stage.path("reuse"), f"{stage.instance}.reuse"
    os.mkdir(place, 0o700)
    program = [sys.executable, "-P", "-m", "pidward.demo.namespace", place, instance]
    reports = stage.reports["reuse"] = Reports(stage.path("reuse.story"))
    try:
        with stage.run([find("unshare"), *_APART, *program], reports.path):
            _listen(reports, story)
    finally:
        groups.clear(instance)


def _listen(reports: Reports, story: Story) -> None:
    """Pass the story on until its end."""
    while True:
        said = _decoded(reports.wait("the story of the namespace").line)
        match said:
            case {"line": [kind, text, at]}:
                story.add(Line(Kind(kind), text, at))
            case {"failed": str(why)}:
                raise Unmet(why)
            case {"ended": dict(timings)}:
                story.timings |= timings
                story.summary = "the stranger is untouched"
                return
            case _:
                raise Unmet(f"the namespace said {said!r}")


def _decoded(line: str) -> Any:
    try:
        return decode(line)
    except ValueError:
        return line  # a traceback


def _missing() -> str:
    if os.geteuid() != 0:
        return f"needs root: {_COST}; `sudo pidward demo reuse`"
    with Pidfd.own() as own:
        if own.id.inode == 0:
            return "needs Linux 6.9: before it the kernel gives processes no identity beside their number"
    if not find("unshare"):
        return "unshare is not installed; it is in util-linux"
    with Program.start([find("unshare"), *_APART, *_TRIAL], "/dev/null") as trial:
        status = trial.wait(10)
    if status is None or status.code != 0:
        return f"needs CAP_SYS_ADMIN, which this root has not: {_COST}"
    return ""


SCENE = Scene(
    name="reuse",
    title="A dead worker's number is given to a stranger",
    broken="number given to a stranger",
    expected="nobody takes the stranger for the worker, and the worker is started anew",
    play=_play,
    missing=_missing,
)
