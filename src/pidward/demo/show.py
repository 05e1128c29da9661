"""The whole demo: the stage is set, scenes are played on it, everything is taken down, and the outcomes are counted."""

import shutil
import signal
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from pidward import __version__
from pidward.demo.narrator import Narrator, Played
from pidward.demo.program import ENDING_SIGNALS
from pidward.demo.scenes import down
from pidward.demo.scenes.scene import Scene
from pidward.demo.stage import Stage
from pidward.demo.story import Outcome, Story, Unmet
from pidward.kernel.cgroup import locate
from pidward.kernel.clock import boottime
from pidward.kernel.errors import KernelError

_TREES = {"cgroup2": "each worker in a cgroup of its own", "cgroup1": "each worker in a v1 cgroup of its own"}


def show(scenes: Sequence[Scene], narrator: Narrator, *, keep: bool = False, defaults: str = "") -> list[Played]:
    """Play scenes, and at last the end of everything.

    Args:
        scenes: in this order.
        narrator: who tells it.
        keep: leave configuration, state and logs for a look at them.
        defaults: lines for ``[defaults]`` of the configuration.

    Raises:
        Unmet: there is no supervisor to play with.
        KeyboardInterrupt: a signal asked to end; nothing is left behind then either.
    """
    began = boottime()
    with _stage(keep, defaults) as stage:
        missing = {scene.name: scene.missing() for scene in scenes}
        stage.configure({s.name: s.service(stage) for s in scenes if s.service and not missing[s.name]})
        stage.start()
        narrator.introduce(_introduction(stage, keep))
        stage.call("Start", targets=[], wait=True, timeout=10.0)
        played = []
        programme = [*scenes, down.SCENE]
        for number, scene in enumerate(programme, 1):
            narrator.begin(number, len(programme), scene)
            story = Story(narrator.tell, skipped=missing.get(scene.name, ""))
            if not story.skipped:
                _play(scene, stage, story)
            narrator.end(scene, story)
            played.append(Played(scene, story))
    narrator.conclude(played, [_conclusion(played, boottime() - began)])
    return played


def is_proved(played: Sequence[Played]) -> bool:
    """Every recovery that could be shown really happened, and there was one besides the end."""
    outcomes = [story.outcome for _, story in played]
    return Outcome.FAILED not in outcomes and outcomes.count(Outcome.PASSED) > 1


def report(played: Sequence[Played]) -> dict[str, object]:
    """The same for machines."""
    return {
        "schema_version": 1,
        "version": __version__,
        "proved": is_proved(played),
        **{outcome.value: count for outcome, count in _counts(played).items()},
        "scenes": [
            {
                "name": scene.name,
                "title": scene.title,
                "outcome": story.outcome.value,
                "skipped_because": story.skipped or None,
                "timings": story.timings,
                "story": [{"kind": line.kind.value, "text": line.text, "at": line.at} for line in story.lines],
            }
            for scene, story in played
        ],
    }


def _play(scene: Scene, stage: Stage, story: Story) -> None:
    """Whatever goes wrong in a scene is a fact that does not hold."""
    try:
        scene.play(stage, story)
    except (Unmet, KernelError, OSError) as error:
        story.check(False, str(error))


def _introduction(stage: Stage, keep: bool) -> list[str]:
    trees = _TREES.get(locate().kind or "", "trees found by walking, for want of cgroups")
    files = f"; its files are in {stage.directory}" if keep else ""
    watch = (
        [] if stage.stopwatch.is_exact else ["A shell tells of the first instructions: its own start counts as well."]
    )
    return [
        f"pidward {__version__} starts real programs, breaks them, and looks whether they recover.",
        "Processes are written PID:INODE: the kernel reuses the first, never the second.",
        f"The supervisor is {stage.supervisor.id}, with {trees}{files}.",
        *watch,
    ]


def _conclusion(played: Sequence[Played], seconds: float) -> str:
    counts = {outcome: count for outcome, count in _counts(played).items() if count}
    words = ", ".join(f"{count} {outcome.value}" for outcome, count in counts.items())
    verdict = "Every recovery really happened" if is_proved(played) else "NOT EVERY RECOVERY HAPPENED"
    return f"{verdict}: {words}, in {seconds:.1f} s."


def _counts(played: Sequence[Played]) -> dict[Outcome, int]:
    outcomes = [story.outcome for _, story in played]
    return {outcome: outcomes.count(outcome) for outcome in Outcome}


@contextmanager
def _stage(keep: bool, defaults: str) -> Iterator[Stage]:
    """A stage in a directory of its own; both are gone afterwards, also when a signal asked to end."""
    before = [signal.signal(number, _interrupt) for number in ENDING_SIGNALS]
    directory = tempfile.mkdtemp(prefix="pidward-demo-")
    stage = Stage(directory, f"demo-{directory.rpartition('-')[2]}", defaults)
    try:
        yield stage
    finally:
        for number in ENDING_SIGNALS:
            signal.signal(number, signal.SIG_IGN)  # what follows takes no second, and must be done
        stage.close()
        if not keep:
            shutil.rmtree(directory, ignore_errors=True)
        for number, handler in zip(ENDING_SIGNALS, before, strict=True):
            signal.signal(number, handler)


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt
