"""A configuration with a typing error is loaded, and corrected, while everything else runs."""

import sys

from pidward.core.model import ProcessId
from pidward.demo.scenes.scene import Scene
from pidward.demo.stage import Stage, living, service
from pidward.demo.story import Story

_WRONG, _RIGHT = "pyhton3", sys.executable


def _service(program: str) -> dict[str, str]:
    return {"typo": service("typo", [program, "-c", "import signal; signal.pause()"])}


def _play(stage: Stage, story: Story) -> None:
    before = stage.processes()
    since = stage.now()
    story.broke(f'a service with command "{_WRONG}" is added to the file, and pidward reloads it')
    stage.configure(_service(_WRONG))
    stage.call("Reload")
    event = stage.wait_phase("typo", "backing-off", since)
    story.saw(event["text"])
    reason = event["data"]["reason"]
    story.summary = "told where, and corrected"
    story.check(
        "ENOENT" in reason and stage.configuration in reason, "it says what is wrong, and at which line of the file"
    )
    since = stage.now()
    story.broke("the file is corrected, and reloaded")
    stage.configure(_service(_RIGHT))
    stage.call("Reload")
    event = stage.wait_phase("typo", "ready", since)
    new = stage.hold(*ProcessId.parse(event["data"]["process"]))
    story.saw(event["text"])
    story.check(living([new]), f"it runs: {new.id}")
    story.check(
        stage.processes() == before | {"typo/1": str(new.id)}, f"the {len(before)} other workers were not touched"
    )


SCENE = Scene(
    name="typo",
    title="A command is misspelt",
    broken="program does not exist",
    expected="it says what is wrong and where, and takes the correction; nothing else is touched",
    play=_play,
)
