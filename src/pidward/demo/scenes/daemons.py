"""A worker forks daemons away that want to be nobody's; it is stopped."""

from pidward.core.model import ProcessId
from pidward.demo.groups import group_of
from pidward.demo.reports import Reports
from pidward.demo.scenes.scene import Scene, milliseconds
from pidward.demo.stage import Stage, living, service
from pidward.demo.stopwatch import wait_death
from pidward.demo.story import Story
from pidward.demo.workers import program
from pidward.kernel import procfs
from pidward.kernel.clock import boottime
from pidward.kernel.pidfd import Pidfd

_COUNT = 3


def _service(stage: Stage) -> str:
    reports = stage.reports["daemons"] = Reports(stage.path("daemons"))
    return service("daemons", stage.stopwatch.on(*program("daemons", str(_COUNT), reports.path)))


def _meet(stage: Stage) -> list[Pidfd]:
    """The daemons, when the program has made them all."""
    heard = [stage.reports["daemons"].wait("a daemon") for _ in range(_COUNT + 1)]
    return [stage.hold(int(report.words[1])) for report in heard if report.words[0] == "daemon"]


def _play(stage: Stage, story: Story) -> None:
    main, daemons = stage.process("daemons"), _meet(stage)
    group = group_of(main)
    stats = [procfs.read_stat(daemon) for daemon in daemons]
    away = [stat for stat in stats if stat.ppid != main.id.pid and stat.session != procfs.read_stat(main).session]
    numbers = ", ".join(str(daemon.id) for daemon in daemons)
    story.broke(f"{main.id} forked {len(away)} daemons away: {numbers}; pidward is told to stop it")
    since, start = stage.now(), boottime()
    stage.call("Stop", targets=["daemons"], wait=True, timeout=10.0)
    last = max(map(wait_death, daemons))
    stage.wait_phase("daemons", "stopped", since)
    stage.record.tell(story, "daemons/1", since, start)
    story.timings["stop_to_last_death"] = last - start
    story.summary = f"all dead in {milliseconds(last - start)}"
    story.took(f"{milliseconds(last - start)} from the request until main process and daemons were seen dead")
    story.check(len(away) == _COUNT, f"{_COUNT} daemons were in sessions of their own, children of somebody else")
    story.check(not living([main, *daemons]), "all of them are dead: their pidfds say so")
    if group is not None:
        story.check(not group.is_populated(), f"the cgroup is empty: {group.path.rpartition('/')[2]}")
    since = stage.now()
    stage.call("Start", targets=["daemons"], wait=True, timeout=10.0)
    event = stage.wait_phase("daemons", "ready", since)
    again = stage.hold(*ProcessId.parse(event["data"]["process"]))
    story.check(len(_meet(stage)) == _COUNT, f"it can be started again: {again.id}, with {_COUNT} new daemons")


SCENE = Scene(
    name="daemons",
    title="Daemons fork themselves away",
    broken="3 setsid daemons forked away",
    expected="the whole tree ends with it",
    play=_play,
    service=_service,
)
