"""Playing scenes, and looking for what they leave."""

import io
import os
from pathlib import Path

from pidward.demo.narrator import Narrator
from pidward.demo.scenes import SCENES
from pidward.demo.scenes.scene import Scene
from pidward.demo.show import show
from pidward.demo.story import Kind, Outcome, Story
from pidward.kernel import procfs
from pidward.kernel.cgroup import look_for
from pidward.kernel.errors import KernelError
from pidward.kernel.pidfd import Pidfd

BY_NAME = {scene.name: scene for scene in SCENES}
MOUNTS = Path("/proc/self/mountinfo")


def play(scene: Scene, defaults: str = "", end: Outcome = Outcome.PASSED) -> Story:
    """Play one scene on a stage of its own, with defaults for its service; and how the end of it all must be."""
    (_, story), (_, last) = show([scene], Narrator(io.StringIO(), colours=False), defaults=defaults)
    assert last.outcome is end, last.lines
    return story


def not_held(story: Story) -> list[str]:
    """What was not so."""
    return [line.text for line in story.lines if line.kind is Kind.NOT_HELD]


class Traces:
    """What demos leave that had their directories below this one: files, processes, cgroups, mounts. None is good."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.instances: set[str] = set()  # what is behind "pidward-demo-" in the names of their directories

    def note_instances(self) -> None:
        """Remember the demos that are under way."""
        self.instances |= {path.name.removeprefix("pidward-demo-") for path in self.directory.glob("pidward-demo-*")}

    def found(self) -> list[str]:
        """All of them."""
        files = [str(path) for path in self.directory.iterdir()]
        mounts = [line for line in MOUNTS.read_text().splitlines() if str(self.directory) in line]
        return [*files, *mounts, *_processes(str(self.directory)), *_groups(self.instances)]


def _processes(named: str) -> list[str]:
    def is_named(pid: int) -> bool:
        try:
            with Pidfd.open(pid) as process:
                return named in " ".join(procfs.command_line(process))
        except KernelError:
            return False

    return [f"process {pid}" for pid in procfs.numbers() if is_named(pid)]


def _groups(instances: set[str]) -> list[str]:
    places = [place.path for place in map(look_for, ("cgroup2", "cgroup1")) if place.kind]
    heads = tuple(f"pidward-demo-{instance}" for instance in instances)
    return [f"{place}/{name}" for place in places for name in os.listdir(place) if heads and name.startswith(heads)]
