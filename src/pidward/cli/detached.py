"""``pidward up --detach``: start the same command in the background, and wait until it answers or has failed."""

import os
import sys

from pidward.cli.ask import who_answers
from pidward.cli.failure import FAILED, OK, USAGE, Failure
from pidward.cli.here import Here
from pidward.cli.paths import SOCKET_NAME
from pidward.control.jsontext import encode
from pidward.core.model import ExitStatus
from pidward.runtime.detach import Background
from pidward.runtime.main import Options

OUTPUT_NAME = "supervisor.log"
PATIENCE = 60.0
GLANCE = 0.02
"""Seconds between looks at the socket, while we also wait for the process's end."""
MAX_QUOTED = 4000


def start_detached(here: Here, chosen: Options) -> int:
    """Start it, and say how that went."""
    socket = os.path.join(chosen.runtime_dir, SOCKET_NAME)
    running = who_answers(socket)
    if running is not None:
        who = f"supervisor {running['process']} runs already, with {running['config']}, and answers at {socket}"
        raise Failure(
            FAILED, f"{who}; see `pidward -c {running['config']} status`, or start another with --instance NAME"
        )
    try:
        os.makedirs(chosen.state_dir, 0o700, exist_ok=True)
    except OSError as error:
        why = f"cannot make the state directory {chosen.state_dir}: {error.strerror}"
        raise Failure(FAILED, f"{why}; set state_dir in [pidward], or XDG_STATE_HOME") from None
    output = os.path.join(chosen.state_dir, OUTPUT_NAME)
    before = os.path.getsize(output) if os.path.exists(output) else 0
    supervisor = Background(_argv(chosen), output, output)
    try:
        _await(supervisor, socket, output, before)
        process = str(supervisor.process)
    finally:
        supervisor.close()
    if here.json:
        print(encode({"schema_version": 1, "supervisor": process, "socket": socket}))
    else:
        print(f"supervisor {process} runs in the background; socket {socket}")
    return OK


def _argv(chosen: Options) -> list[str]:
    """The same command without --detach. -P: a directory named pidward here must not be taken for the program."""
    own = [sys.executable, "-P", "-m", "pidward", "up", "--background"]
    return [*own, "-c", chosen.config_path, "--instance", chosen.instance, *chosen.services]


def _await(supervisor: Background, socket: str, output: str, before: int) -> None:
    looks = int(PATIENCE / GLANCE)
    for _ in range(looks):
        status = supervisor.wait(GLANCE)
        if status is not None:
            raise _failure(status, output, before)
        running = who_answers(socket)
        if running is not None and running["process"] == str(supervisor.process):
            return
    raise Failure(FAILED, f"supervisor {supervisor.process} runs, but does not answer at {socket}; see {output}")


def _failure(status: ExitStatus, output: str, before: int) -> Failure:
    """What it wrote before it ended is the best explanation."""
    with open(output, "rb") as file:
        file.seek(before)
        said = file.read(MAX_QUOTED).decode(errors="replace").strip().removeprefix("pidward: ")
    how = f"exit {status.code}" if status.signal is None else f"signal {status.signal}"
    said = said or f"the supervisor ended at once ({how}); see {output}"
    return Failure(USAGE if status.code == USAGE else FAILED, said)
