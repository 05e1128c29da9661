"""Speaking to the supervisor: a connection whose errors are the command's. Lean."""

from pidward.cli.failure import DENIED, FAILED, NOT_RUNNING, UNREACHABLE, USAGE, Failure
from pidward.cli.paths import socket_of
from pidward.control.client import CallFailed, Client, NotAllowed, Unreachable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pidward.cli.here import Here


class Asking:
    """``with Asking(here) as client``: what goes wrong inside becomes a Failure with its exit status."""

    def __init__(self, here: "Here") -> None:
        self._path = socket_of(here)
        self._client: Client | None = None

    def __enter__(self) -> Client:
        try:
            self._client = Client(self._path)
        except (Unreachable, NotAllowed) as error:
            raise explained(error) from None
        return self._client

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if self._client is not None:
            self._client.close()
        if isinstance(error, Unreachable | NotAllowed | CallFailed):
            raise explained(error) from None


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
