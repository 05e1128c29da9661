"""What ``pidward up`` puts together: the runtime, the control socket, and what a person in the foreground sees."""

import os
from collections.abc import Callable
from contextlib import suppress

from pidward.cli.announcer import Announcer
from pidward.cli.failure import DENIED, FAILED, OK, Failure
from pidward.cli.here import Here
from pidward.cli.paths import SOCKET_NAME, instance_of, runtime_dir_of, state_dir_of
from pidward.control.listen import AlreadyRunning, ControlSocket
from pidward.control.server import Server
from pidward.core.actions import Finish
from pidward.core.lean import Any
from pidward.core.spec import Configuration
from pidward.runtime.desk import Desk
from pidward.runtime.loop import Loop
from pidward.runtime.main import CannotStart, Closable, Occupied, Options, run

NULL_DEVICE = os.makedev(1, 3)


def options_of(here: Here, given: Any, path: str, configuration: Configuration) -> Options:
    """How to run what was read from the file at ``path``."""
    settings = configuration.settings
    runtime_dir = settings.runtime_dir or runtime_dir_of(here)
    is_watched = not given.background and os.fstat(1).st_rdev != NULL_DEVICE
    return Options(
        config_path=path,
        state_dir=settings.state_dir or state_dir_of(here),
        runtime_dir=runtime_dir,
        instance=instance_of(here),
        read_configuration=_reader(path, configuration),
        serve=lambda loop, desk: _serve(loop, desk, os.path.join(runtime_dir, SOCKET_NAME), here),
        services=tuple(given.targets),
        announce=_silent if given.background else Announcer(here).say,
        viewer=(lambda: _viewer(path, here)) if is_watched else None,
    )


def supervise(chosen: Options) -> int:
    """Run the supervisor; Failure when it cannot begin. Gives the exit status of the command."""
    try:
        return exit_status(run(chosen))
    except (CannotStart, AlreadyRunning) as error:
        raise Failure(FAILED, f"{error}{_running_at(os.path.join(chosen.runtime_dir, SOCKET_NAME))}") from None


def one_command(here: Here, configuration: Configuration, place: str, verbose: bool) -> Finish:
    """Supervise what the command line says, with everything in one directory, until it has ended for good.

    What is remembered is of no use to a later run, so it goes at the end.
    """
    state_dir = os.path.join(place, "state")
    chosen = Options(
        config_path="",
        state_dir=state_dir,
        runtime_dir=place,
        instance=instance_of(here),
        read_configuration=lambda: configuration,
        serve=lambda loop, desk: _serve(loop, desk, os.path.join(place, SOCKET_NAME), here),
        announce=Announcer(here).say if verbose else _silent,
        forwards=True,
    )
    try:
        finish = run(chosen)
    except (Occupied, AlreadyRunning) as error:
        raise Failure(FAILED, f"{error}{_running_at(os.path.join(place, SOCKET_NAME))}") from None
    except CannotStart as error:
        _remove(state_dir, place)
        raise Failure(FAILED, str(error)) from None
    _remove(state_dir, place)
    return finish


def _remove(*directories: str) -> None:
    """Remove our own files; what cannot be removed stays."""
    for directory in directories:
        with suppress(OSError):
            with os.scandir(directory) as entries:
                for entry in entries:
                    if not entry.is_dir(follow_symlinks=False):
                        os.unlink(entry.path)
            os.rmdir(directory)


def exit_status(finish: Finish) -> int:
    """The essential worker's, as a shell gives it, when its end was the reason; else whether anything failed."""
    cause = None if finish.status is None else finish.status.cause
    if not cause:  # it may have said 0 and failed all the same, by a deadline or a probe
        return FAILED if finish.failed else OK
    return cause if cause >= 0 else 128 - cause


def _running_at(socket: str) -> str:
    """Which supervisor is in the way, when one is and answers."""
    from pidward.cli.ask import who_answers  # for those who are refused, and not before

    running = who_answers(socket)
    return "" if running is None else f"; supervisor {running['process']} at {socket} runs {running['config']}"


def _reader(path: str, configuration: Configuration) -> Callable[[], Configuration]:
    """Gives what was read already, and from then on what the file says. Raises ConfigError."""
    first = [configuration]

    def read() -> Configuration:
        if first:
            return first.pop()
        from pidward.config.load import load  # for those who reload, and not before

        return load(path)

    return read


def _silent(_text: str) -> None:
    """In the background nobody watches; `pidward events` has it all."""


def _viewer(path: str, here: Here) -> Closable:
    from pidward.cli.viewer import Viewer  # for those who watch

    return Viewer(path, instance_of(here), here)


def _serve(loop: Loop, desk: Desk, path: str, here: Here) -> Server:
    try:
        return Server(loop, desk, ControlSocket(path), Announcer(here).say)
    except PermissionError as error:
        raise Failure(DENIED, f"{error.filename or path} {error.strerror}") from None
    except OSError as error:
        raise Failure(FAILED, f"{error.filename or path} {error.strerror}") from None
