"""``pidward up``: be the supervisor, here or in the background."""

import os
import sys
from argparse import SUPPRESS, ArgumentParser
from time import CLOCK_REALTIME, clock_gettime_ns
from typing import Any

from pidward.cli.check import NO_FILE
from pidward.cli.failure import DENIED, FAILED, USAGE, Failure
from pidward.cli.here import Here
from pidward.cli.paths import SOCKET_NAME, configuration_of, instance_of, runtime_dir_of, state_dir_of
from pidward.cli.screen import GREY, clock, paint, printable
from pidward.cli.viewer import Viewer
from pidward.config.errors import ConfigError
from pidward.config.load import load
from pidward.control.listen import AlreadyRunning, ControlSocket
from pidward.control.server import Server
from pidward.core.spec import Configuration
from pidward.runtime.desk import Desk
from pidward.runtime.loop import Loop
from pidward.runtime.main import CannotStart, Options
from pidward.runtime.main import run as supervise


def options(parser: ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("targets", nargs="*", metavar="SERVICE", help="start only these (default: all with autostart)")
    parser.add_argument("--detach", action="store_true", help="run in the background; return when it answers")
    parser.add_argument("--background", action="store_true", help=SUPPRESS)
    parser.epilog = (
        "In the foreground ^C (or SIGTERM) stops all in order, a second ^C at once; SIGHUP reads the file again.\n\n"
        "exit status: 0 ended in order, 1 could not start or a worker gave up for all, 2 the file is not valid"
    )


class Reader:
    """Reads the configuration; the first time it gives what was read already, to find the directories."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.first: Configuration | None = load(path)

    def read(self) -> Configuration:
        """Give the configuration as the file says now. Raises ConfigError."""
        first, self.first = self.first, None
        return load(self.path) if first is None else first


def run(here: Here, given: Any) -> int:
    """Supervise until the end."""
    chosen = _options(here, given)
    if given.detach:
        from pidward.cli.detached import start_detached

        return start_detached(here, chosen)
    try:
        return supervise(chosen)
    except (CannotStart, AlreadyRunning) as error:
        raise Failure(FAILED, str(error)) from None
    except ConfigError as error:
        raise Failure(USAGE, str(error)) from None


def _options(here: Here, given: Any) -> Options:
    if here.socket is not None:
        raise Failure(USAGE, "up: the socket is in the runtime directory; use --instance NAME, or set runtime_dir")
    path = configuration_of(here)
    if path is None:
        raise Failure(USAGE, NO_FILE)
    path = os.path.abspath(path)
    try:
        reader = Reader(path)
    except ConfigError as error:
        raise Failure(USAGE, f"{error}\n{path} is not valid; nothing was started") from None
    assert reader.first is not None
    known = [service.name for service in reader.first.services]
    for name in given.targets:
        if name not in known:
            raise Failure(USAGE, f"no service is named {name!r} in {path}; it has {', '.join(known) or 'none'}")
    settings = reader.first.settings
    runtime_dir = settings.runtime_dir or runtime_dir_of(here)
    return Options(
        config_path=path,
        state_dir=settings.state_dir or state_dir_of(here),
        runtime_dir=runtime_dir,
        instance=instance_of(here),
        read_configuration=reader.read,
        serve=lambda loop, desk: _serve(loop, desk, os.path.join(runtime_dir, SOCKET_NAME), here),
        services=tuple(given.targets),
        announce=_silent if given.background else Announcer(here).say,
        viewer=None if given.background else lambda: Viewer(path, instance_of(here), here),
    )


class Announcer:
    """Tells on stderr what happens, each with its time."""

    def __init__(self, here: Here) -> None:
        self._say, self._colours = here.say, here.paints(sys.stderr)

    def say(self, text: str) -> None:
        """Write one line."""
        line = f"{clock(clock_gettime_ns(CLOCK_REALTIME))} * {printable(text)}"
        self._say(paint(line, GREY) if self._colours else line)


def _silent(_text: str) -> None:
    """In the background nobody watches; `pidward events` has it all."""


def _serve(loop: Loop, desk: Desk, path: str, here: Here) -> Server:
    try:
        return Server(loop, desk, ControlSocket(path), here.say)
    except PermissionError as error:
        raise Failure(DENIED, f"{error.filename or path} {error.strerror}") from None
    except OSError as error:
        raise Failure(FAILED, f"{error.filename or path} {error.strerror}") from None
