"""Commands that belong to a worker: health checks, what comes before a stop, what makes it read its configuration.

A command runs as the worker's user with its environment, directory and limits, in a tree of its own beside the
worker's: the worker may end meanwhile without having "left something behind". Whatever it started ends with it: when
its first process has ended or its time is over, its whole tree is killed, daemons in sessions of their own included.
"""

import os
import select
from collections.abc import Callable, Sequence
from contextlib import suppress
from errno import errorcode
from itertools import count

from pidward.core.actions import PreStop
from pidward.core.events import PreStopEnded
from pidward.core.lean import NamedTuple
from pidward.core.model import ExitStatus, Phase, WorkerName
from pidward.core.restart import describe
from pidward.core.signals import SIGKILL
from pidward.core.spec import ServiceSpec
from pidward.core.units import Instant, Seconds, format_duration
from pidward.kernel.errors import KernelError, NotChild
from pidward.kernel.pidfd import Pidfd
from pidward.kernel.spawn import Failure, Started
from pidward.kernel.wait import exit_status_of, reap, wait_exit
from pidward.runtime.attendant import Surroundings
from pidward.runtime.loop import READ, Loop, Timer, Watch
from pidward.runtime.plan import Places, PlanError, make_plan
from pidward.runtime.seat import Seat
from pidward.runtime.trees import LOOK_AGAIN

KEPT_OUTPUT = 2048
"""Bytes of a command's output that are kept: the last ones, for the reason."""
CLIPPED = 160
"""Characters of its last line that are shown."""
LAST_WAIT = Seconds(2.0)
"""For killed commands to be gone, when the supervisor ends."""


class _Short(Exception):
    """The system is short of something."""


class Outcome(NamedTuple):
    """How a command ended.

    is_success: its first process exited with 0 in time; None: it could not be started for want of something of ours,
        which says nothing of the worker.
    text: for people: "exited with code 3: no such table".
    """

    is_success: bool | None
    text: str


Done = Callable[[Outcome], None]
_serial = count(1)


def run_command(
    surroundings: Surroundings, name: WorkerName, spec: ServiceSpec, command: Sequence[str], timeout: Seconds,
    done: Done, *, purpose: str, env: tuple[tuple[str, str], ...] = (),
) -> "Command":  # fmt: skip
    """Run a command for a worker.

    Args:
        surroundings: of the attendant that runs it.
        name: the worker; ``%i`` in the command is its number.
        spec: its service.
        command: program and arguments; the program is searched for as the worker's own is.
        timeout: after this its whole tree is killed, and that is the outcome.
        done: called once, and never from within this call; not after ``cancel``.
        purpose: names its tree and its files, for people.
        env: more environment.

    Returns:
        The running command. Whatever is wrong with it is its outcome.
    """
    execution = spec.execution._replace(
        command=tuple(command), env=spec.execution.env + env + _whom(surroundings, name), stdin="null", sockets=()
    )
    return Command(surroundings, name, spec._replace(execution=execution), timeout, done, purpose)


def pre_stop(surroundings: Surroundings, action: PreStop) -> None:
    """Run ``stop.pre`` of a worker for as long as its grace lasts, and tell the core how it ended."""
    name, spec = action.worker, surroundings.spec(action.worker)

    def ended(outcome: Outcome) -> None:
        worker = surroundings.worker(name)
        if worker is not None and worker.process == action.process:  # else it was about a process that is gone
            surroundings.feed(PreStopEnded(name, "" if outcome.is_success else f"stop.pre {outcome.text}"))

    timeout = Seconds(max(0.0, action.until - surroundings.loop.now()))
    run_command(surroundings, name, spec, spec.stop.pre, timeout, ended, purpose="pre-stop")


class Command:
    """A command that runs, or is being cleared away. See ``run_command``."""

    def __init__(
        self,
        surroundings: Surroundings,
        name: WorkerName,
        spec: ServiceSpec,
        timeout: Seconds,
        done: Done,
        purpose: str,
    ) -> None:
        self._loop, self._trees = surroundings.loop, surroundings.trees
        self._done: Done | None = done
        # No service has a colon in its name, so what is left there of a killed supervisor is never taken for a service.
        self._seat = Seat(WorkerName(f"{purpose}.{next(_serial)}:{name.service}", name.number))
        self._running = surroundings.commands
        self._running.add(self)
        self._output: _Output | None = None
        self._timer: Timer | None = None
        self._timeout = timeout
        self.is_gone = False
        try:
            self._start(surroundings, name, spec)
        except (PlanError, ValueError, OverflowError) as error:
            self._fail(False, error)
        except (KernelError, OSError, _Short) as error:
            self._fail(None, error)

    def cancel(self) -> None:
        """Kill it; nobody wants to know how it ends. Harmless when it has."""
        self._done = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self.is_gone and self._seat.pidfd is not None:
            self._kill()

    def close(self) -> None:
        """The supervisor ends: kill it, and wait a moment until nothing of it is left."""
        self.cancel()
        deadline = self._loop.now() + LAST_WAIT
        if self._seat.pidfd is not None and wait_exit(self._seat.pidfd, LAST_WAIT):
            self._ended()
        while not self.is_gone and self._loop.now() < deadline:
            select.poll().poll(LOOK_AGAIN * 1000)  # nobody tells of the end of a walked tree
            self._await_empty()
        self._let_go()

    # --- its life

    def _start(self, surroundings: Surroundings, name: WorkerName, spec: ServiceSpec) -> None:
        seat = self._seat
        seat.tree = self._trees.make(seat.name)
        self._output = _Output(self._loop, f"{surroundings.runtime_dir}/{seat.name.service}.{seat.name.number}.out")
        birth = self._trees.birth(seat.tree)
        out = self._output.path
        places = Places(surroundings.instance, out, out, birth.cgroup, birth.join, False, surroundings.nofile)
        plan = make_plan(spec, name, places, os.environ)
        (result,) = surroundings.spawner.spawn([surroundings.spawner.prepare(plan)])
        if isinstance(result, Failure):
            raise (_Short if result.stage in ("clone", "cgroup") else ValueError)(_explained(spec, result))
        self._started(spec, result)

    def _started(self, spec: ServiceSpec, started: Started) -> None:
        seat = self._seat
        seat.pidfd, seat.gate = started.pidfd, started.gate
        self._trees.born(seat, started.invocation)
        seat.watch = self._loop.watch(started.pidfd, READ, lambda _events: self._ended(spec))
        self._timer = self._loop.call_at(Instant(self._loop.now() + self._timeout), self._late)

    def _late(self) -> None:
        self._timer = None
        self._say(Outcome(False, f"did not end within {format_duration(self._timeout)}"))
        self._kill()

    def _ended(self, spec: ServiceSpec | None = None) -> None:
        """Its first process has ended. On the walking rung what it left is found only before the reap."""
        seat = self._seat
        assert seat.pidfd is not None
        status = _status_of(seat.pidfd)
        if status is None:
            return
        failure = seat.gate.result() if seat.gate is not None else None
        self._kill_rest()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        watch, pidfd = seat.leave()
        watch.close()
        with pidfd, suppress(NotChild):
            reap(pidfd)
        self._trees.reaped(pidfd.id)
        if isinstance(failure, Failure) and spec is not None:
            self._say(Outcome(False, f"cannot be run: {_explained(spec, failure)}"))
        else:
            last = self._output.last_line() if self._output is not None else ""
            self._say(Outcome(status.code == 0, describe(status) + (f": {last}" if last else "")))
        self._await_empty()

    def _fail(self, is_success: bool | None, error: Exception) -> None:
        outcome = Outcome(is_success, f"cannot be run: {error}")
        self._loop.call_soon(lambda: self._failed(outcome))

    def _failed(self, outcome: Outcome) -> None:
        self._say(outcome)
        self._gone()

    def _say(self, outcome: Outcome) -> None:
        done, self._done = self._done, None
        if done is not None:
            done(outcome)

    # --- its end

    def _kill(self) -> None:
        """The tree before its first process: a walk finds it through that."""
        self._kill_rest()
        if self._seat.pidfd is not None:
            with suppress(KernelError):
                self._seat.pidfd.signal(SIGKILL)

    def _kill_rest(self) -> None:
        tree = self._seat.tree
        with suppress(KernelError):  # a shortage; it is looked at again until it is empty
            if tree is not None and (self._seat.pidfd is None or tree.is_populated()):
                tree.kill()

    def _await_empty(self) -> None:
        """When nothing of the tree is left, give back what was held for it."""
        seat = self._seat
        if self.is_gone or seat.pidfd is not None:
            return
        try:
            populated = seat.tree is not None and seat.tree.is_populated()
        except KernelError:
            self._loop.call_at(Instant(self._loop.now() + LOOK_AGAIN), self._await_empty)
            return
        if not populated:
            self._gone()
        elif seat.emptied_watch is None and seat.emptied_timer is None:
            self._kill_rest()
            self._trees.watch(seat, self._loop, self._await_empty)

    def _gone(self) -> None:
        self.is_gone = True
        self._running.discard(self)
        self._let_go()

    def _let_go(self) -> None:
        self._trees.unwatch(self._seat)
        self._trees.remove(self._seat.tree)
        if self._output is not None:
            self._output.close()
            self._output = None


class _Output:
    """The last of what a command says, through a FIFO that it opens by name with our rights, before it has its own."""

    def __init__(self, loop: Loop, path: str) -> None:
        self.path, self._tail = path, b""
        with suppress(FileNotFoundError):
            os.unlink(path)  # of a supervisor that was killed
        os.mkfifo(path, 0o600)
        self._fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        self._watch: Watch | None = loop.watch(self._fd, READ, self._readable)

    def _readable(self, _events: int) -> None:
        try:
            data = os.read(self._fd, 65536)
        except BlockingIOError:
            return
        if data:
            self._tail = (self._tail + data)[-KEPT_OUTPUT:]
        elif self._watch is not None:  # nobody writes any more; that would be told again and again
            self._watch.close()
            self._watch = None

    def last_line(self) -> str:
        """The last line that is not empty, in printable characters."""
        self._readable(READ)
        lines = self._tail.decode("utf-8", "replace").strip().splitlines()
        text = "".join(character if character.isprintable() else "?" for character in lines[-1]) if lines else ""
        return text if len(text) <= CLIPPED else text[: CLIPPED - 3] + "..."

    def close(self) -> None:
        if self._watch is not None:
            self._watch.close()
            self._watch = None
        os.close(self._fd)
        with suppress(FileNotFoundError):
            os.unlink(self.path)


def _whom(surroundings: Surroundings, name: WorkerName) -> tuple[tuple[str, str], ...]:
    """How a command finds the worker's main process: a number for people, and the inode that proves it."""
    worker = surroundings.worker(name)
    if worker is None or worker.process is None or not worker.phase.has_process or worker.phase is Phase.STARTING:
        return ()
    process = worker.process
    return (("PIDWARD_MAINPID", str(process.pid)), ("PIDWARD_MAINPIDFDID", str(process.inode)))


def _status_of(process: Pidfd) -> ExitStatus | None:
    try:
        return reap(process, keep_zombie=True)
    except NotChild:
        return exit_status_of(process)


def _explained(spec: ServiceSpec, failure: Failure) -> str:
    code = errorcode.get(failure.errno, str(failure.errno))
    return f'"{spec.execution.command[0]}": {os.strerror(failure.errno)} (stage {failure.stage}, {code})'
