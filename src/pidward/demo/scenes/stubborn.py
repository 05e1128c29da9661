"""A worker that ignores SIGTERM is stopped."""

from pidward.demo.reports import Reports
from pidward.demo.scenes.scene import Scene, milliseconds
from pidward.demo.stage import Stage, service
from pidward.demo.stopwatch import wait_death
from pidward.demo.story import Story
from pidward.demo.workers import program
from pidward.kernel.clock import boottime

_GRACE = 0.5


def _service(stage: Stage) -> str:
    reports = stage.reports["stubborn"] = Reports(stage.path("stubborn"))
    command = stage.stopwatch.on(*program("stubborn", reports.path))
    return service("stubborn", command, f"stop = {{ grace = {_GRACE} }}")


def _play(stage: Stage, story: Story) -> None:
    stage.reports["stubborn"].wait("that it ignores SIGTERM")
    process = stage.process("stubborn")
    story.broke(f"{process.id} ignores SIGTERM; pidward is told to stop it, with a grace of {milliseconds(_GRACE)}")
    since, start = stage.now(), boottime()
    stage.call("Stop", targets=["stubborn"])
    death = wait_death(process)
    stage.wait_phase("stubborn", "stopped", since)
    stage.record.tell(story, "stubborn/1", since, start)
    story.timings["stop_to_death"] = death - start
    story.summary = f"dead after {milliseconds(death - start)}"
    story.took(f"{milliseconds(death - start)} from the request to the death of {process.id}")
    status = stage.status("stubborn")["last_exit"]
    story.check(status["signal"] == "SIGKILL", f"it ended by {status['signal']}")
    story.check(death - start >= _GRACE, "it had its grace before")
    since = stage.now()
    stage.call("Start", targets=["stubborn"], wait=True, timeout=10.0)
    stage.wait_phase("stubborn", "ready", since)
    stage.reports["stubborn"].wait("that the new one ignores SIGTERM")
    story.check(True, f"it can be started again: {stage.process('stubborn').id}")


SCENE = Scene(
    name="stubborn",
    title="A program ignores SIGTERM",
    broken="ignores SIGTERM",
    expected="it gets its grace, then SIGKILL",
    play=_play,
    service=_service,
)
