"""A worker with a bug crashes, and crashes again."""

from pidward.demo.reports import Reports
from pidward.demo.scenes.scene import Scene, milliseconds, recover
from pidward.demo.stage import Stage, service
from pidward.demo.story import Story
from pidward.demo.workers import program

_DELAY = 0.2
_JITTER = 0.1
_LEAST = _DELAY * (1 - _JITTER)


def _orders(stage: Stage) -> str:
    return stage.path("orders")


def _service(stage: Stage) -> str:
    stage.reports["orders"] = Reports(_orders(stage))
    command = stage.stopwatch.on(*program("buggy"))
    restart = f"restart = {{ delay = {_DELAY}, jitter = {_JITTER} }}"
    return service("buggy", command, f'stdin = "{_orders(stage)}"', restart)


def _play(stage: Stage, story: Story) -> None:
    orders = stage.reports["orders"]
    old = stage.process("buggy")
    story.broke(f"{old.id} is made to read from address 0")
    _, new = recover(stage, story, "buggy", old, lambda: orders.write("crash"))
    _check_end(stage, story, "signal", "SIGSEGV")
    immediate = story.timings["death_to_first_instruction"]
    story.broke(f"{new.id} is made to exit with code 3: the second end in a row")
    recover(stage, story, "buggy", new, lambda: orders.write("exit 3"))
    _check_end(stage, story, "code", 3)
    waited = story.timings["second_death_to_first_instruction"] = story.timings["death_to_first_instruction"]
    story.timings["death_to_first_instruction"] = immediate
    story.check(waited >= _LEAST, f"the second restart waited its {milliseconds(_DELAY)}, give or take a tenth")


def _check_end(stage: Stage, story: Story, what: str, expected: object) -> None:
    found = stage.status("buggy")["last_exit"]
    story.check(found[what] == expected, f"its end is recorded as {what} {found[what]}, read by {found['source']}")


SCENE = Scene(
    name="crash",
    title="A program with a bug crashes, and again",
    broken="SIGSEGV, then exit code 3",
    expected="the first restart is immediate, the second waits its turn, and each end is recorded as it was",
    play=_play,
    service=_service,
)
