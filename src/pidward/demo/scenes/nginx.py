"""nginx's master dies and leaves its workers behind, which go on serving: nobody else can have their port."""

from pidward.core.signals import SIGKILL
from pidward.demo.ask import http_get
from pidward.demo.scenes.scene import Scene, find, needs, no_loopback, recover, serves
from pidward.demo.stage import Stage, living, service
from pidward.demo.story import Story
from pidward.kernel import procfs

_WORKERS = 2
_CONFIGURATION = """\
daemon off;
worker_processes {workers};
pid {directory}/nginx.pid;
error_log stderr;
events {{ }}
http {{
  access_log off;
  client_body_temp_path {directory}/nginx-body;
  proxy_temp_path {directory}/nginx-proxy;
  fastcgi_temp_path {directory}/nginx-fastcgi;
  uwsgi_temp_path {directory}/nginx-uwsgi;
  scgi_temp_path {directory}/nginx-scgi;
  server {{
    listen 127.0.0.1:{port};
    location / {{ return 200 "$pid\\n"; }}
  }}
}}
"""


def _service(stage: Stage) -> str:
    port = stage.ports["nginx"] = stage.free_port()
    with open(stage.path("nginx.conf"), "w", encoding="utf-8") as file:
        file.write(_CONFIGURATION.format(workers=_WORKERS, directory=stage.directory, port=port))
    command = stage.stopwatch.on(find("nginx"), "-e", "stderr", "-c", file.name, "-p", stage.directory)
    return service("nginx", command)


def _play(stage: Stage, story: Story) -> None:
    port, old = stage.ports["nginx"], stage.process("nginx")
    http_get(port, old)
    children = stage.children(old, _WORKERS)
    story.broke(f"SIGKILL to nginx's master, {old.id}; its {len(children)} workers keep port {port}")
    death, new = recover(stage, story, "nginx", old, lambda: old.signal(SIGKILL))
    answer = http_get(port, new)
    serves(story, death)
    worker = stage.hold(int(answer))
    parent = procfs.read_stat(worker).ppid
    story.check(parent == new.id.pid, f"HTTP 200 from {worker.id}, a worker of the new master")
    story.check(not living(children), f"the {len(children)} orphans are gone")
    restarts = stage.status("nginx")["restarts"]
    story.check(restarts == 1, f"it took {restarts} restart: the port was free when the new one wanted it")


SCENE = Scene(
    name="nginx",
    title="A server dies and its orphans keep the port",
    broken="master killed, orphans keep port",
    expected="its orphaned workers are ended first, so that the new nginx can have the port",
    play=_play,
    service=_service,
    missing=lambda: needs("nginx", "nginx-light")() or no_loopback(),
)
