"""gunicorn with a small application; its main process is killed."""

import sys
from importlib.util import find_spec

from pidward.control.jsontext import encode
from pidward.core.signals import SIGKILL
from pidward.demo.ask import http_get
from pidward.demo.scenes.scene import Scene, no_loopback, recover, serves
from pidward.demo.stage import Stage, living, service
from pidward.demo.story import Story

_WORKERS = 2


def _service(stage: Stage) -> str:
    stage.ports["gunicorn"] = stage.free_port()
    command = stage.stopwatch.on(
        sys.executable, "-P", "-m", "gunicorn", "--workers", str(_WORKERS),
        "--bind", f"127.0.0.1:{stage.ports['gunicorn']}", "pidward.demo.app:app",
    )  # fmt: skip
    return service("gunicorn", command, f"env = {{ XDG_RUNTIME_DIR = {encode(stage.directory)} }}")  # for its socket


def _play(stage: Stage, story: Story) -> None:
    port, old = stage.ports["gunicorn"], stage.process("gunicorn")
    http_get(port, old)
    children = stage.children(old, _WORKERS)
    story.broke(f"SIGKILL to gunicorn, {old.id}, as when memory runs out")
    death, new = recover(stage, story, "gunicorn", old, lambda: old.signal(SIGKILL))
    worker, parent = http_get(port, new).split()
    serves(story, death)
    server = stage.hold(int(worker)).id
    story.check(parent == str(new.id.pid), f"HTTP 200 from {server}, a child of the new gunicorn")
    story.check(not living(children), f"the {len(children)} children of the old one are gone")


SCENE = Scene(
    name="gunicorn",
    title="A web server is killed",
    broken="killed with SIGKILL",
    expected="a new gunicorn serves on the same port, and nothing is left of the old one",
    play=_play,
    service=_service,
    missing=lambda: no_loopback() if find_spec("gunicorn") else (
        f"gunicorn is not installed beside pidward; {sys.executable} -m pip install gunicorn, or `make demo`"
    ),
)  # fmt: skip
