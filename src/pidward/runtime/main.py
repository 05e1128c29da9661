"""A supervisor from its first to its last breath: what is opened, in which order, and given back at the end."""

import fcntl
import os
from collections.abc import Callable
from contextlib import ExitStack, closing

from pidward import __version__
from pidward.core import actions as do
from pidward.core.lean import NamedTuple, Protocol
from pidward.core.model import EventRow
from pidward.core.spec import Configuration, Settings
from pidward.core.units import Instant, Seconds
from pidward.kernel.cgroup import locate
from pidward.kernel.clock import boot_id, wall
from pidward.kernel.errors import KernelError
from pidward.kernel.limits import raise_nofile, read_limit
from pidward.kernel.spawn import Spawner
from pidward.logs.client import Pump
from pidward.runtime.answers import Answers
from pidward.runtime.attendants import Attendants
from pidward.runtime.desk import Desk
from pidward.runtime.faults import Faults
from pidward.runtime.health import Doctor
from pidward.runtime.hearing import Ears
from pidward.runtime.leftovers import clear_leftovers
from pidward.runtime.loop import Loop
from pidward.runtime.mailbox import Mailbox
from pidward.runtime.supervise import Supervision
from pidward.runtime.survivors import Found, find_survivors
from pidward.runtime.trees import Trees
from pidward.store.store import NewerSchema, Store

DRAIN_TIME = 5.0
"""Seconds that the pump gets at the end to move what was written; the rest stays in the spools for the next start."""


class CannotStart(Exception):
    """The supervisor cannot begin; the message says what, why and what to do."""


class Occupied(CannotStart):
    """Its directories belong to another supervisor, which runs."""


class Closable(Protocol):
    """Something that is opened for the supervisor's lifetime."""

    def close(self) -> None:
        """Give it back."""
        ...


class Options(NamedTuple):
    """How to run; decided by the command line."""

    config_path: str
    state_dir: str
    runtime_dir: str
    instance: str
    read_configuration: Callable[[], Configuration]  # raises on an invalid file; called again at each reload
    serve: Callable[[Loop, Desk], Closable]  # opens the control socket
    services: tuple[str, ...] = ()  # start only these; empty: all
    announce: Callable[[str], None] = lambda _text: None  # what happens, a line each, for a person who watches
    viewer: Callable[[], Closable] | None = None  # shows the workers' output; closing it lets it show the rest
    forwards: bool = False  # other signals than those that end it go to the workers' main processes
    embedded: bool = False  # in a thread of another program, whose signals, limits and children are left alone


def run(options: Options) -> do.Finish:
    """Supervise until told to end.

    As process 1 of a container, and wherever signals are forwarded, orphans of workers are inherited and reaped.

    Returns:
        Why it ended, whether because a worker gave up, and how the essential worker ended if that was the reason.

    Raises:
        CannotStart: another supervisor of this instance runs, or a directory cannot be used.
        What ``read_configuration`` raises.
    """
    configuration = options.read_configuration()
    with ExitStack() as stack:
        for directory in (options.runtime_dir, options.state_dir):
            _make_private(directory)
        _lock(options, stack)
        trees = stack.enter_context(closing(Trees(
            options.instance, options.runtime_dir, locate(), subreaper=not options.embedded
        )))  # fmt: skip
        # Before any thread exists, so that the descriptors alone receive the signals.
        ears = None if options.embedded else stack.enter_context(closing(Ears(options.forwards)))
        nofile = read_limit("nofile") if options.embedded else raise_nofile()
        spawner = stack.enter_context(closing(_make_spawner(trees)))
        loop = stack.enter_context(closing(Loop()))
        mailbox = stack.enter_context(closing(Mailbox(loop)))
        troubles = Troubles(options.announce)
        settings = configuration.settings
        store = stack.enter_context(closing(_open_store(
            options.state_dir, settings, lambda text: mailbox.post(lambda: troubles.report("store", text))
        )))  # fmt: skip
        found = _look_for_survivors(store, trees, configuration)
        leftovers = []
        for leftover in clear_leftovers(found.rest, found.survivors, trees, configuration):
            options.announce(leftover.sentence)
            leftovers.append(leftover)
        for recorded in found.rest:
            store.forget_process(recorded.name)
        pump = stack.enter_context(closing(Pump(loop, options.state_dir, lambda text: troubles.report("logs", text))))
        if options.embedded:
            stack.callback(pump.end, Seconds(DRAIN_TIME))
        supervision = Supervision(loop, spawner, trees, store, pump, instance=options.instance, nofile=nofile)
        pump.note = supervision.note
        store.on_settled = lambda: mailbox.post(supervision.open_gates)
        answers = Answers(
            loop, supervision, store, instance=options.instance, version=__version__, config=options.config_path,
            read_configuration=options.read_configuration, trouble=troubles.sentences, state_dir=options.state_dir,
        )  # fmt: skip
        stack.enter_context(closing(options.serve(loop, answers)))
        supervision.note("supervisor", None, f"pidward {__version__} started with {options.config_path}")
        for worker, sentence in leftovers:
            supervision.note("supervisor", worker, sentence)
        loop.on_error = Faults(lambda text: supervision.note("supervisor", None, text)).tell
        supervision.subscribe(lambda row: _announce(row, options.announce))
        for worker, sentence in found.sentences:
            supervision.note("supervisor", worker, sentence)
        doctor = Doctor(supervision)
        answers.health = doctor.health
        if settings.health:
            stack.enter_context(closing(_serve_health(loop, settings.health, doctor)))
        ending = Ending(loop, pump)
        supervision.stop_timeout = settings.stop_timeout
        supervision.on_finish = ending.begin
        if ears is not None:
            ears.listen(loop, supervision, answers, options.announce)
            supervision.inherit_orphans = ears.inherit_orphans
            if trees.is_walking or options.forwards or os.getpid() == 1:
                ears.inherit_orphans()
        viewer = stack.enter_context(closing(options.viewer())) if options.viewer else None
        attendants = Attendants(supervision.surroundings(options.runtime_dir, options.state_dir))
        stack.callback(attendants.close)
        supervision.attended_by(attendants)
        supervision.load(configuration, options.services, found)
        doctor.begin()
        if not options.embedded:
            trim_memory()
        loop.run()
        if viewer is not None:
            viewer.close()
        supervision.note("supervisor", None, f"pidward ended: {ending.finish.reason}")
        return _with_status(ending.finish, supervision) if options.forwards else ending.finish


class Troubles:
    """What is degraded now: one sentence for each part that has trouble."""

    def __init__(self, announce: Callable[[str], None]) -> None:
        self._announce = announce
        self._now: dict[str, str] = {}

    def report(self, part: str, sentence: str | None) -> None:
        """Trouble, or with None the end of it."""
        before = self._now.pop(part, None)
        if sentence is not None:
            self._now[part] = sentence
        if sentence != before:
            self._announce(sentence or f"{part}: well again")

    def sentences(self) -> list[str]:
        """All present trouble."""
        return list(self._now.values())


class Ending:
    """The last steps: everything is down; let the pump move the rest, then leave the loop."""

    def __init__(self, loop: Loop, pump: Pump) -> None:
        self._loop, self._pump = loop, pump
        self.finish = do.Finish("")

    def begin(self, finish: do.Finish) -> None:
        """Called by the core's Finish."""
        self.finish = finish
        self._loop.call_at(Instant(self._loop.now() + DRAIN_TIME), self._loop.stop)
        self._pump.drain(self._loop.stop)


def _with_status(finish: do.Finish, supervision: Supervision) -> do.Finish:
    """Of the one command there is, also when it was us who were told to end: who runs it wants to know how it ended."""
    ends = [worker.last_exit for worker in supervision.core.workers.values()]
    return finish._replace(status=ends[0]) if finish.status is None and len(ends) == 1 else finish


def _look_for_survivors(store: Store, trees: Trees, configuration: Configuration) -> Found:
    last = store.events(-1, 1)
    away = Seconds(max(0.0, wall() - last[-1].wall)) if last else Seconds(0.0)
    try:
        return find_survivors(store.living(), trees, configuration, away)
    except KernelError as error:
        why = f"it cannot be told which workers of an earlier supervisor live: {error}"
        raise CannotStart(f"{why}; nothing was touched, try again") from None


def _make_spawner(trees: Trees) -> Spawner:
    spawner = Spawner()
    if trees.kills_at_birth(spawner):
        spawner.close()
        spawner = Spawner(into_cgroup=False)
    return spawner


def _open_store(state_dir: str, settings: Settings, on_trouble: Callable[[str | None], None]) -> Store:
    try:
        return Store.open(
            os.path.join(state_dir, "state.db"), boot_id=boot_id(),
            history=settings.history, history_max=settings.history_max, on_trouble=on_trouble,
        )  # fmt: skip
    except NewerSchema as error:
        raise CannotStart(str(error)) from None


def _serve_health(loop: Loop, where: str, doctor: Doctor) -> Closable:
    from pidward.runtime.health_http import HealthServer, address_of  # noqa: PLC0415 - where it is wanted

    try:
        return HealthServer(loop, address_of(where), doctor.health)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise CannotStart(f"cannot answer about health at {where}: {why}; choose another for `health`") from None


def _announce(row: EventRow, announce: Callable[[str], None]) -> None:
    """Tell people; not of a worker at its gate, which is a step for the record and takes milliseconds."""
    if row.kind != "transition" or row.data.get("before") != row.data.get("after"):
        announce(row.text)


def _make_private(directory: str) -> None:
    """Make a directory that only we may enter, or check that it is one.

    Whoever can write here could put a socket or a database in our place.
    """
    try:
        os.makedirs(directory, mode=0o700, exist_ok=True)
        found = os.lstat(directory)
        if found.st_uid == os.geteuid() and found.st_mode & 0o022 and not os.listdir(directory):
            # An empty directory of ours that is open to all, as a fresh tmpfs of a container is. Not through a link.
            fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            os.fchmod(fd, 0o700)
            os.close(fd)
            found = os.lstat(directory)
    except OSError as error:
        raise CannotStart(
            f"cannot make {directory}: {error.strerror}; set runtime_dir and state_dir in [pidward], "
            f"or XDG_RUNTIME_DIR and XDG_STATE_HOME"
        ) from None
    if found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise CannotStart(f"{directory} belongs to uid {found.st_uid} with mode {found.st_mode & 0o7777:o}; it must be "
                          f"yours and writable by nobody else")  # fmt: skip


def _lock(options: Options, stack: ExitStack) -> None:
    """One supervisor for one runtime directory, and for one state directory."""
    for directory in dict.fromkeys((options.state_dir, options.runtime_dir)):
        path = os.path.join(directory, "lock")
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        stack.callback(os.close, fd)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            said = f"-c {options.config_path} " if options.config_path else ""  # it may name directories of its own
            raise Occupied(
                f"a supervisor of instance {options.instance!r} is running already ({path} is locked); "
                f"speak to it with `pidward {said}status`, or start another with --instance NAME"
            ) from None


def trim_memory() -> None:
    """Everything that lives now lives long: do not look through it at each collection."""
    import gc  # noqa: PLC0415

    gc.collect()
    gc.freeze()
