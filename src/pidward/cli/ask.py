"""Speaking to the supervisor: a connection whose errors are the command's. Lean."""

import os

from pidward.cli.failure import DENIED, FAILED, NOT_RUNNING, UNREACHABLE, USAGE, Failure
from pidward.cli.paths import socket_of
from pidward.control.client import CallFailed, Client, NotAllowed, Unreachable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pidward.cli.here import Here


class Asking:
    """``with Asking(here) as client``: what goes wrong inside becomes a Failure with its exit status.

    A file that was named on the command line must be the one that the supervisor runs: the socket of an instance
    says nothing about that, and another supervisor's workers are not what was meant.
    """

    def __init__(self, here: "Here") -> None:
        self._path, self._config = socket_of(here), here.config
        self._client: Client | None = None

    def __enter__(self) -> Client:
        try:
            self._client = Client(self._path)
            if self._config is not None:
                self._check_file(self._client, self._config)
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise
        return self._client

    def _check_file(self, client: Client, config: str) -> None:
        running = str(supervisor_of(client)["config"])
        if os.path.realpath(running) != os.path.realpath(config):
            raise Failure(
                FAILED,
                f"the supervisor at {self._path} runs {running}, not {config}; use --instance NAME, or leave -c away",
            )

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if self._client is not None:
            self._client.close()
        if isinstance(error, Unreachable | NotAllowed | CallFailed):
            raise explained(error) from None


def supervisor_of(client: Client) -> dict[str, object]:
    """What the supervisor says about itself."""
    about = client.call("About", {})["supervisor"]
    assert isinstance(about, dict)
    return about


def who_answers(socket: str) -> dict[str, object] | None:
    """What the supervisor at a socket says about itself; None when nobody answers there."""
    try:
        with Client(socket) as client:
            return supervisor_of(client)
    except (Unreachable, NotAllowed, CallFailed):
        return None


def why_unreachable(here: "Here") -> str | None:
    """Why nobody listens at the socket; None when somebody does."""
    try:
        Client(socket_of(here)).close()
    except Unreachable as error:
        return str(error)
    except NotAllowed:
        pass  # somebody who does not want us
    return None


def explained(error: Exception) -> Failure:
    """The Failure that an error of the client is."""
    if isinstance(error, Unreachable):
        return Failure(UNREACHABLE, str(error))
    if isinstance(error, NotAllowed):
        return Failure(DENIED, str(error))
    assert isinstance(error, CallFailed)
    about = error.parameters
    match error.error:
        case "UnknownTarget":
            close = about.get("close")
            names = [str(name) for name in close] if isinstance(close, list) else []
            hint = f"did you mean {' or '.join(names)}?" if names else "`pidward status` shows all names"
            return Failure(USAGE, f"no service or worker is named {about.get('target')!r}; {hint}")
        case "NoProcess":
            return Failure(NOT_RUNNING, f"{about.get('target')} has no process now; see `pidward status`")
        case "InvalidConfiguration":
            problems = about.get("problems")
            lines = [str(line) for line in problems] if isinstance(problems, list) else []
            return Failure(USAGE, "\n".join([*lines, "nothing was changed: the configuration is not valid"]))
        case "org.varlink.service.InvalidParameter":
            return Failure(USAGE, f"the supervisor does not accept this {about.get('parameter')}")
        case "org.varlink.service.MethodNotFound":
            return Failure(FAILED, "the supervisor that runs is of another version and cannot do this")
        case _:
            return Failure(FAILED, str(about.get("reason") or error.error))
