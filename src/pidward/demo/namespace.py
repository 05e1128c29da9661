"""The scene of the reused number, played by the first process of a pid namespace.

usage: python -m pidward.demo.namespace DIRECTORY INSTANCE

In a namespace of its own the next number can be chosen without waiting for four million processes to come and go, and
no process outside is in danger. What happens is told on stdout, a JSON document a line, to ``scenes.reuse``.
"""

import os
import sys
from contextlib import closing

from pidward.control.jsontext import encode
from pidward.core.signals import SIGKILL
from pidward.core.units import Seconds
from pidward.demo.program import Program, plan_of
from pidward.demo.reports import Reports
from pidward.demo.stage import Stage, service
from pidward.demo.story import Line, Story, Unmet
from pidward.demo.workers import program
from pidward.kernel import procfs
from pidward.kernel.errors import KernelError
from pidward.kernel.pidfd import Pidfd
from pidward.kernel.spawn import Spawner
from pidward.kernel.wait import reap, wait_exit

_LAST_PID = "/proc/sys/kernel/ns_last_pid"
_TRIES = 100
_NOT_RUNNING = 3
"""What the command line answers when the process that was meant is gone."""


def play(stage: Stage, story: Story) -> None:
    """Let a worker die unseen, give its number away, and send pidward after it. Raises Unmet."""
    orders = stage.reports["orders"] = Reports(stage.path("orders"))
    job = service("job", stage.stopwatch.on(*program("buggy")), f'stdin = "{orders.path}"')
    stage.configure({"job": job})
    stage.start()
    stage.call("Start", targets=["job"], wait=True, timeout=10.0)  # on disk when this returns, as a wish is
    old, since = stage.process("job"), stage.now()
    _kill_unseen(stage, old, story)
    stranger = _give_away(stage, old.id.pid)
    story.broke(
        f"the number {old.id.pid} is given to a stranger, {stranger.handle.id}: by its number, the worker lives"
    )
    with stranger:
        story.broke("pidward is started again, with its record of the worker")
        stage.start()
        event = stage.wait_phase("job", "ready", since)
        stage.record.tell(story, "job/1", since)
        new = event["data"]["process"]
        story.check(new != str(old.id), f"the new supervisor started job/1 anew: {new}")
        story.check(is_untouched(stranger.handle), f"it left {stranger.handle.id} alone: it lives, and got no signal")
        _send_after(stage, story, old)
        story.check(is_untouched(stranger.handle), f"{stranger.handle.id} lives, and got no signal from that either")


def _kill_unseen(stage: Stage, worker: Pidfd, story: Story) -> None:
    """The supervisor is killed, then its worker, whose number is free when we, its new parent, have reaped it."""
    story.broke(
        f"in a new pid namespace: SIGKILL to pidward itself, {stage.supervisor.id}, and to its worker, {worker.id}"
    )
    stage.leave()
    worker.signal(SIGKILL)
    if not wait_exit(worker) or reap(worker) is None:
        raise Unmet(f"{worker.id} could not be reaped")


def _give_away(stage: Stage, number: int) -> Program:
    """A stranger with this very number."""
    reports = stage.reports["stranger"] = Reports(stage.path("stranger"))
    spawner = Spawner()
    with closing(spawner):
        prepared = spawner.prepare(plan_of(program("stranger", reports.path), "/dev/null"))
        for _ in range(_TRIES):
            with open(_LAST_PID, "w", encoding="ascii") as file:
                file.write(str(number - 1))
            (result,) = spawner.spawn([prepared])
            stranger = Program(result, "stranger")
            if stranger.handle.id.pid == number:
                reports.wait("that the stranger is there")
                return stranger
            stranger.close()  # somebody else was faster
    raise Unmet(f"number {number} could not be had in {_TRIES} tries")


def is_untouched(stranger: Pidfd) -> bool:
    """It lives, no signal waits for it, which blocks all, and it got none of the two that nobody can block."""
    status = dict(
        line.split(":\t", 1) for line in procfs.read(stranger, "status").decode().splitlines() if ":\t" in line
    )
    pending = int(status["SigPnd"], 16) | int(status["ShdPnd"], 16)
    return not pending and status["State"][0] not in "Tt" and not wait_exit(stranger, Seconds(0))


def _send_after(stage: Stage, story: Story, worker: Pidfd) -> None:
    """An operator who noted PID:INODE wants the worker dead."""
    output = stage.path("kill.out")
    story.broke(f"an operator runs `pidward kill {worker.id}`")
    with stage.run(stage.command("kill", str(worker.id)), output) as command:
        status = command.wait(10)
    with open(output, encoding="utf-8") as file:
        answer = file.read().strip()
    story.saw(answer)
    refused = status is not None and status.code == _NOT_RUNNING
    story.check(refused, f"it refuses, with exit status {_NOT_RUNNING}")


def _say(**what: object) -> None:
    os.write(1, f"{encode(what)}\n".encode())


def _tell(line: Line) -> None:
    _say(line=[line.kind.value, line.text, line.at])


def main() -> None:
    """Play, and say how it ended."""
    directory, instance = sys.argv[1:]
    story = Story(_tell)
    try:
        with closing(Stage(directory, instance)) as stage:
            play(stage, story)
    except (Unmet, KernelError, OSError) as failure:
        _say(failed=str(failure))
    else:
        _say(ended=story.timings)


if __name__ == "__main__":
    main()
