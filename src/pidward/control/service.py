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
from pidward.control.views import show_about, show_event, show_failures, show_row, show_told, show_trees, show_worker
from pidward.control.waiting import Waiting, result_of
from pidward.core.model import Worker, WorkerName
from pidward.core.signals import SIGKILL, parse_signal
from pidward.core.units import Instant
from pidward.runtime.desk import Desk, EventRow, Member, NoProcess, Told, UnknownTarget
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
        text = self._desk.status_text
        workers = [show_worker(worker, now, text(worker.name)) for worker in self._workers(targets or ())]
        without = self._desk.without_workers(targets or ())
        return {"workers": workers, "without_workers": without, "supervisor": show_about(self._desk.about())}

    def Table(self, _talk: Conversation, targets: list[str] | None = None) -> Parameters:  # noqa: N802
        """The same for a screen."""
        now = self._desk.now()
        text = self._desk.status_text
        table = "".join([show_row(worker, now, text(worker.name)) for worker in self._workers(targets or ())])
        without = self._desk.without_workers(targets or ())
        return {"table": table, "without_workers": without, "trouble": list(self._desk.about().trouble)}

    def Tree(self, talk: Conversation, targets: list[str] | None = None) -> Parameters | None:  # noqa: N802
        """The processes of workers, as soon as somebody has looked."""
        names = self._desk.resolve(targets or ())

        def done(members: list[Member] | None) -> None:
            if members is None:
                talk.fail(refused("Refused", reason="nobody could tell the processes in time"))
            else:
                talk.answer({"trees": show_trees(names, members)})

        talk.on_gone = self._desk.look(names, done)
        return None

    def About(self, _talk: Conversation) -> Parameters:  # noqa: N802
        """The supervisor alone."""
        return {"supervisor": show_about(self._desk.about())}

    def Health(self, _talk: Conversation) -> Parameters:  # noqa: N802
        """How well all of it is."""
        health = self._desk.health()
        return {**health._asdict(), "reasons": list(health.reasons)}

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
        self,
        talk: Conversation,
        targets: list[str],
        wait: bool | None = None,
        timeout: float | None = None,
        rolling: int | None = None,
    ) -> Parameters | None:
        """Replace processes, all at once or some at a time."""
        if rolling is None:
            return self._change(talk, Goal.REPLACED, self._desk.restart, targets, wait, timeout)
        step = rolling
        if step < 1:
            raise invalid("rolling")

        def roll(names: list[WorkerName], by: str) -> None:
            self._desk.roll(names, by, step)

        return self._change(talk, Goal.REPLACED, roll, targets, wait, timeout, together=True)

    def Scale(  # noqa: N802
        self,
        talk: Conversation,
        service: str,
        workers: int,
        wait: bool | None = None,
        timeout: float | None = None,
    ) -> Parameters | None:
        """Have more or fewer workers; the answer is about those that come or go."""
        _check_timeout(timeout)
        before = set(self._desk.resolve([service]))
        self._desk.scale(service, workers, talk.by)
        come = [name for name in self._desk.resolve([service]) if name not in before]
        names = come or sorted(name for name in before if name.number > workers)
        if not wait:
            return {"results": [result_of(name, self._desk.worker(name), reached=True) for name in names]}
        goal = Goal.UP if come else Goal.DOWN
        removed = f"no longer wanted: scaled to {workers}"
        Waiting(self._desk, self._loop, talk, goal, names, removed=removed).begin(lambda: None, timeout)
        return None

    def Wait(  # noqa: N802
        self, talk: Conversation, targets: list[str], goal: str, timeout: float | None = None
    ) -> Parameters | None:
        """Wait for what somebody else asks for, or for an end."""
        goals = {"up": Goal.AWAITED, "down": Goal.DOWN, "exit": Goal.EXIT}
        if goal not in goals:
            raise invalid("goal")
        _check_timeout(timeout)
        asked = None if goal == "exit" else Instant(0.0)  # who has failed already need not be waited for
        names = self._desk.resolve(targets)
        Waiting(self._desk, self._loop, talk, goals[goal], names, asked=asked).begin(lambda: None, timeout)
        return None

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

    def Plan(self, _talk: Conversation) -> Parameters:  # noqa: N802
        """What reading the configuration again would change."""
        plan = self._desk.plan()
        changes = [
            {"service": change.service, "consequence": change.consequence.value, "detail": change.detail}
            for change in plan.changes
        ]
        return {"changes": changes, "notes": plan.notes}

    def ReloadWorkers(self, talk: Conversation, targets: list[str]) -> None:  # noqa: N802
        """Have programs read their own configuration again."""

        def done(told: list[Told]) -> None:
            if told:
                talk.answer({"signalled": show_told(told), "failures": show_failures(told)})
            else:
                talk.fail(refused("NoProcess", target=" ".join(targets)))

        self._desk.reload_workers(self._desk.resolve(targets), talk.by, done)

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
        together: bool = False,
    ) -> Parameters | None:
        _check_timeout(timeout)
        names = self._desk.resolve(targets)
        if not wait:
            ask(names, talk.by)
            return {"results": [result_of(name, self._desk.worker(name), reached=True) for name in names]}
        waiting = Waiting(self._desk, self._loop, talk, goal, names, together)
        waiting.begin(lambda: ask(names, talk.by), timeout)
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


def _check_timeout(timeout: float | None) -> None:
    if timeout is not None and not 0 <= timeout <= MAX_TIMEOUT:
        raise invalid("timeout")


def _sender(talk: Conversation) -> Callable[[list[EventRow]], None]:
    return lambda rows: talk.answer({"events": [show_event(row) for row in rows]}, continues=True)
