"""The methods of the interface, carried out at the desk.

No socket here: a Conversation brings the call and takes the answer, now or later.
"""

from collections.abc import Callable, Sequence

from pidward import __version__
from pidward.config.errors import ConfigError
from pidward.control.conversation import Conversation, Parameters
from pidward.control.following import Follower
from pidward.control.goals import Goal
from pidward.control.interface import DESCRIPTIONS, VARLINK_NAME, Refusal, check_call, invalid, refused
from pidward.control.protocol import Call
from pidward.control.views import show_about, show_event, show_row, show_worker
from pidward.control.waiting import Waiting, result_of
from pidward.core.model import Worker, WorkerName
from pidward.core.signals import SIGKILL, parse_signal
from pidward.runtime.desk import Desk, EventRow, NoProcess, UnknownTarget
from pidward.runtime.loop import Loop

MAX_EVENTS = 1000
MAX_TIMEOUT = 1e7
"""About four months; a longer wait is meant to be endless and needs no number."""


class Service:
    """Answers calls. ``report`` hears, in one line, of errors that are pidward's own fault."""

    def __init__(self, desk: Desk, loop: Loop, report: Callable[[str], None]) -> None:
        self._desk, self._loop, self._report = desk, loop, report

    def serve(self, call: Call, talk: Conversation) -> None:
        """Carry out one call. Whatever goes wrong becomes an error reply."""
        try:
            if call.upgrade:
                raise Refusal(f"{VARLINK_NAME}.MethodNotImplemented", method=call.method)
            check_call(call.method, call.parameters)
            method = getattr(self, call.method.rpartition(".")[2])
            result: Parameters | None = method(talk, **call.parameters)
        except Exception as error:  # noqa: BLE001 - whatever a request meets must not end the supervisor
            talk.fail(self._refusal(error))
        else:
            if result is not None:
                talk.answer(result)

    def _refusal(self, error: Exception) -> Refusal:
        match error:
            case Refusal():
                return error
            case UnknownTarget():
                return refused("UnknownTarget", target=error.target, close=list(error.close))
            case ConfigError():
                return refused("InvalidConfiguration", problems=str(error).splitlines())
            case TypeError() | AttributeError() | LookupError() | AssertionError():
                self._report(f"control: {type(error).__name__}: {error}; please report this")
                return refused("Refused", reason=f"internal error: {type(error).__name__}: {error}")
            case _:
                return refused("Refused", reason=str(error) or type(error).__name__)

    # --- org.varlink.service

    def GetInfo(self, _talk: Conversation) -> Parameters:  # noqa: N802 - named as in the interface, like all below
        """Tell what this is."""
        return {
            "vendor": "pidward", "product": "pidward", "version": __version__, "url": "",
            "interfaces": list(DESCRIPTIONS),
        }  # fmt: skip

    def GetInterfaceDescription(self, _talk: Conversation, interface: str) -> Parameters:  # noqa: N802
        """Give the text of an interface."""
        if interface not in DESCRIPTIONS:
            raise Refusal(f"{VARLINK_NAME}.InterfaceNotFound", interface=interface)
        return {"description": DESCRIPTIONS[interface]}

    # --- io.pidward.Supervisor: questions

    def Status(self, _talk: Conversation, targets: list[str] | None = None) -> Parameters:  # noqa: N802
        """All about workers."""
        now = self._desk.now()
        workers = [show_worker(worker, now) for worker in self._workers(targets or ())]
        without = self._desk.without_workers(targets or ())
        return {"workers": workers, "without_workers": without, "supervisor": show_about(self._desk.about())}

    def Table(self, _talk: Conversation, targets: list[str] | None = None) -> Parameters:  # noqa: N802
        """The same for a screen."""
        now = self._desk.now()
        table = "".join([show_row(worker, now) for worker in self._workers(targets or ())])
        without = self._desk.without_workers(targets or ())
        return {"table": table, "without_workers": without, "trouble": list(self._desk.about().trouble)}

    def About(self, _talk: Conversation) -> Parameters:  # noqa: N802
        """The supervisor alone."""
        return {"supervisor": show_about(self._desk.about())}

    def Events(  # noqa: N802
        self, talk: Conversation, since: int | None = None, follow: bool | None = None, limit: int | None = None
    ) -> Parameters | None:
        """What happened, and with follow what happens."""
        since = 0 if since is None else since
        limit = MAX_EVENTS if limit is None else limit
        if not -MAX_EVENTS <= since < 2**63:
            raise invalid("since")
        if not 1 <= limit <= MAX_EVENTS:
            raise invalid("limit")
        if not follow:
            return {"events": [show_event(row) for row in self._desk.events(since, limit)]}
        if not talk.more:
            raise Refusal(f"{VARLINK_NAME}.ExpectedMore")
        follower = Follower(lambda after: self._desk.events(after, limit), since, _sender(talk), self._later)
        talk.on_gone = self._desk.subscribe(follower.happened)
        talk.on_drained = lambda: self._guarded(follower.catch_up, talk)
        follower.catch_up()
        return None

    # --- io.pidward.Supervisor: requests

    def Start(  # noqa: N802
        self, talk: Conversation, targets: list[str], wait: bool | None = None, timeout: float | None = None
    ) -> Parameters | None:
        """Want workers up."""
        return self._change(talk, Goal.UP, self._desk.start, targets, wait, timeout)

    def Stop(  # noqa: N802
        self, talk: Conversation, targets: list[str], wait: bool | None = None, timeout: float | None = None
    ) -> Parameters | None:
        """Want workers down."""
        return self._change(talk, Goal.DOWN, self._desk.stop, targets, wait, timeout)

    def Restart(  # noqa: N802
        self, talk: Conversation, targets: list[str], wait: bool | None = None, timeout: float | None = None
    ) -> Parameters | None:
        """Replace processes."""
        return self._change(talk, Goal.REPLACED, self._desk.restart, targets, wait, timeout)

    def Signal(  # noqa: N802
        self, talk: Conversation, target: str, signal: str, tree: bool | None = None
    ) -> Parameters:
        """Send any signal."""
        try:
            number = parse_signal(signal)
        except ValueError:
            raise invalid("signal") from None
        return self._send(talk, target, number, bool(tree))

    def Kill(self, talk: Conversation, target: str, tree: bool | None = None) -> Parameters:  # noqa: N802
        """Send SIGKILL."""
        return self._send(talk, target, SIGKILL, bool(tree))

    def Reload(self, talk: Conversation) -> Parameters:  # noqa: N802
        """Read the configuration again."""
        return {"changes": self._desk.reload(talk.by).splitlines()}

    def Down(self, talk: Conversation, at_once: bool | None = None) -> Parameters:  # noqa: N802
        """End everything."""
        self._desk.shutdown(talk.by, bool(at_once))
        return {}

    # --- what they share

    def _guarded(self, step: Callable[[], None], talk: Conversation) -> None:
        """What is done later must not hurt the loop either."""
        try:
            step()
        except Exception as error:  # noqa: BLE001 - as in serve
            talk.fail(self._refusal(error))

    def _later(self, callback: Callable[[], None]) -> None:
        """In the next turn of the loop: nothing that is for people's eyes stands before a restart."""
        self._loop.call_at(self._loop.now(), callback)

    def _workers(self, targets: Sequence[str]) -> list[Worker]:
        known = (self._desk.worker(name) for name in self._desk.resolve(targets))
        return [worker for worker in known if worker is not None]

    def _change(
        self,
        talk: Conversation,
        goal: Goal,
        ask: Callable[[list[WorkerName], str], None],
        targets: list[str],
        wait: bool | None,
        timeout: float | None,
    ) -> Parameters | None:
        if timeout is not None and not 0 <= timeout <= MAX_TIMEOUT:
            raise invalid("timeout")
        names = self._desk.resolve(targets)
        if not wait:
            ask(names, talk.by)
            return {"results": [result_of(name, self._desk.worker(name), reached=True) for name in names]}
        Waiting(self._desk, self._loop, talk, goal, names).begin(lambda: ask(names, talk.by), timeout)
        return None

    def _send(self, talk: Conversation, target: str, number: int, tree: bool) -> Parameters:
        signalled = []
        for name in self._desk.resolve([target]):
            try:
                process = self._desk.signal(name, number, talk.by, tree)
            except NoProcess:
                continue
            signalled.append({"worker": str(name), "process": str(process)})
        if not signalled:
            raise refused("NoProcess", target=target)
        return {"signalled": signalled}


def _sender(talk: Conversation) -> Callable[[list[EventRow]], None]:
    return lambda rows: talk.answer({"events": [show_event(row) for row in rows]}, continues=True)
