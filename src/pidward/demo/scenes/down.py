"""The end of every demo: pidward stops everything, and nothing is left."""

from pidward.demo import groups
from pidward.demo.scenes.scene import Scene, milliseconds
from pidward.demo.stage import Stage
from pidward.demo.story import Story
from pidward.kernel.clock import boottime


def _play(stage: Stage, story: Story) -> None:
    supervisor, start = str(stage.supervisor.id), boottime()
    running = list(filter(None, stage.processes().values()))
    has_groups = bool(groups.left_of(stage.instance))
    story.broke(
        f"pidward {supervisor} is asked to stop its {len(running)} worker{'s' * (len(running) != 1)}, and to end"
    )
    code = stage.down()
    took = boottime() - start
    story.timings["down"] = took
    story.took(f"{milliseconds(took)} until it had ended")
    story.summary = "nothing is left"
    story.check(code == 0, f"its exit status is {code}")
    story.check(not stage.survivors(), f"of the {stage.held} processes that were seen none is alive")
    if has_groups:
        story.check(not groups.left_of(stage.instance), "its cgroups are removed")


SCENE = Scene(
    name="down",
    title="The end",
    broken="everything is stopped",
    expected="nothing is left behind",
    play=_play,
)
