"""``pidward up``: be the supervisor, here or in the background.

What is imported here stays in the supervisor's memory for as long as it runs, so the file is read by a child of its
own (config.apart) while this process imports the rest.
"""

import os

from pidward.cli.failure import USAGE, Failure
from pidward.cli.paths import NO_FILE, configuration_of
from pidward.config.apart import NotValid, read, taken
from pidward.runtime.aside import Aside

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser
    from typing import Any

    from pidward.cli.here import Here
    from pidward.core.spec import Configuration


def options(parser: "ArgumentParser") -> None:
    """Add the arguments."""
    from argparse import SUPPRESS

    parser.add_argument("targets", nargs="*", metavar="SERVICE", help="start only these (default: all with autostart)")
    parser.add_argument("--detach", action="store_true", help="run in the background; return when it answers")
    parser.add_argument("--background", action="store_true", help=SUPPRESS)
    parser.epilog = (
        "In the foreground ^C (or SIGTERM) stops all in order, a second ^C at once; SIGHUP reads the file again.\n\n"
        "exit status: 0 ended in order, 1 could not start or a worker gave up for all, 2 the file is not valid"
    )


def run(here: "Here", given: "Any") -> int:
    """Supervise until the end."""
    if here.socket is not None:
        raise Failure(USAGE, "up: the socket is in the runtime directory; use --instance NAME, or set runtime_dir")
    path = configuration_of(here)
    if path is None:
        raise Failure(USAGE, NO_FILE)
    path = os.path.abspath(path)
    reading = Aside(lambda: read(path))
    from pidward.cli.supervising import options_of, supervise

    try:
        configuration = taken(reading.answer(), path)
    except NotValid as error:
        raise Failure(USAGE, f"{error}\n{path} is not valid; nothing was started") from None
    _check_names(configuration, given.targets, path)
    chosen = options_of(here, given, path, configuration)
    if given.detach:
        from pidward.cli.detached import start_detached

        return start_detached(here, chosen)
    return supervise(chosen)


def _check_names(configuration: "Configuration", targets: list[str], path: str) -> None:
    known = [service.name for service in configuration.services]
    for name in targets:
        if name not in known:
            raise Failure(USAGE, f"no service is named {name!r} in {path}; it has {', '.join(known) or 'none'}")
