"""redis-server crashes with work in it."""

from pidward.demo import ask
from pidward.demo.scenes.scene import Scene, find, needs, recover, serves
from pidward.demo.stage import Stage, service
from pidward.demo.story import Story

_SEGV = 11


def _socket(stage: Stage) -> str:
    return stage.path("redis.sock")


def _service(stage: Stage) -> str:
    command = stage.stopwatch.on(
        find("redis-server"), "--port", "0", "--unixsocket", _socket(stage), "--dir", stage.directory,
        "--appendonly", "yes", "--save", "", "--crash-memcheck-enabled", "no",
    )  # fmt: skip
    return service("redis", command, "limits = { core = 0 }")


def _play(stage: Stage, story: Story) -> None:
    old = stage.process("redis")
    ask.redis(_socket(stage), f"SET witness {old.id}", old)
    story.broke(f"SIGSEGV to redis-server, {old.id}, just after it answered a SET")
    death, new = recover(stage, story, "redis", old, lambda: old.signal(_SEGV))
    answer = ask.redis(_socket(stage), "PING", new)
    serves(story, death)
    server = ask.redis_process(_socket(stage), new)
    story.check(answer == "PONG" and server == str(new.id.pid), f"PING is answered with {answer} by the new one")
    kept = ask.redis(_socket(stage), "GET witness", new)
    story.check(kept == str(old.id), "what the old one acknowledged is there")
    status = stage.status("redis")["last_exit"]
    story.check(status["signal"] == "SIGSEGV", f"its end is recorded as {status['signal']}, read by {status['source']}")


SCENE = Scene(
    name="redis",
    title="A database crashes",
    broken="crashes with SIGSEGV",
    expected="a new redis-server answers, and has what was acknowledged",
    play=_play,
    service=_service,
    missing=needs("redis-server", "redis-server"),
)
