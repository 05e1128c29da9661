"""What a scene is, and what most scenes have in common: break it, see it recover, look at the new one."""

import shutil
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from pidward.core.model import ProcessId
from pidward.core.units import Instant
from pidward.demo.stage import Stage
from pidward.demo.stopwatch import wait_death
from pidward.demo.story import Story
from pidward.kernel.clock import boottime
from pidward.kernel.pidfd import Pidfd


@dataclass(frozen=True, slots=True)
class Scene:
    """Something that breaks, and what is expected of pidward then.

    broken: what is broken, in up to 32 letters.
    expected: what is to be seen then, to go on after "expected that".
    play: breaks it and checks the facts; raises Unmet when what it waits for does not happen.
    service: its part of the configuration, if it has one before it begins.
    missing: why it cannot be played on this machine, and what to do about that; "" when it can.
    """

    name: str
    title: str
    broken: str
    expected: str
    play: Callable[[Stage, Story], None]
    service: Callable[[Stage], str] | None = None
    missing: Callable[[], str] = lambda: ""


class Recovery(NamedTuple):
    """A worker's process died, and there is a new one."""

    death: Instant
    new: Pidfd


def recover(stage: Stage, story: Story, name: str, old: Pidfd, kill: Callable[[], object]) -> Recovery:
    """Let a worker's process die, and wait for the next one and its first instruction. Raises Unmet."""
    worker, since = f"{name}/1", stage.now()
    kill()
    seen = wait_death(old)
    event = stage.wait_phase(name, "ready", since)
    death = min(seen, stage.record.when(worker, since) or seen)  # both woke up after it; the earlier is closer to it
    new = stage.hold(*ProcessId.parse(event["data"]["process"]))
    first = stage.stopwatch.first_instruction(new.id.pid, death)
    stage.record.tell(story, worker, since, death)
    story.timings["death_to_first_instruction"] = first - death
    story.summary = story.summary or f"new process in {milliseconds(first - death)}"
    story.took(f"{milliseconds(first - death)} from its death to the first instruction of {new.id}")
    emptied = stage.record.when(worker, since, "starting")
    if emptied and stage.record.when(worker, since, "killing"):
        story.took(f"{milliseconds(emptied - death)} of it until nothing was left of the old one's tree")
    return Recovery(death, new)


def serves(story: Story, death: Instant) -> None:
    """The new one has just answered for the first time."""
    story.timings["death_to_service"] = boottime() - death
    story.took(f"{milliseconds(story.timings['death_to_service'])} from its death to the first answer")


def milliseconds(seconds: float) -> str:
    """A short time, with the precision that it deserves."""
    ms = seconds * 1000
    return f"{ms:.2f} ms" if ms < 10 else f"{ms:.1f} ms" if ms < 100 else f"{ms:.0f} ms"


def find(program: str) -> str:
    """A program's absolute path; also in the directories of the system's own programs. "" when it is not there."""
    return shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin:/usr/local/sbin") or ""


def no_loopback() -> str:
    """A ``missing`` for servers on 127.0.0.1: without a network at all, as in `unshare -n`, that cannot be reached."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("127.0.0.1", 9))  # sends nothing
        except OSError as error:
            return f"127.0.0.1 cannot be reached ({error.strerror}); as root: ip link set lo up"
    return ""


def needs(program: str, package: str) -> Callable[[], str]:
    """A ``missing`` for a program of a Debian package."""
    return lambda: "" if find(program) else (
        f"{program} is not installed; as root on Debian: `make deps-apt`, or apt-get install {package}"
    )  # fmt: skip
