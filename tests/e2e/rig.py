"""A real supervisor in a process of its own, asked through its socket and its command line, and never left behind.

Nothing here sleeps: a test waits for an event of the supervisor, for a line on its stderr, for a report of a worker
(``pidward.testing.programs``) or for the end of a process that it holds by pidfd.
"""

import fcntl
import io
import json
import os
import shutil
import signal
import sqlite3
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

from pidward.cli import main
from pidward.control.client import Client, NotAllowed, Unreachable
from pidward.core.model import ExitStatus, ProcessId
from pidward.core.units import Seconds
from pidward.kernel.cgroup import Group, GroupV1, look_for
from pidward.kernel.errors import Gone, KernelError
from pidward.kernel.pidfd import Pidfd
from pidward.kernel.procfs import children, command_line
from pidward.kernel.wait import reap, wait_exit

SRC = str(Path(__file__).parents[2] / "src")
PATIENCE = Seconds(20.0)
"""Only a hang takes this long."""
GLANCE = Seconds(0.002)
"""Between two tries to connect, while the supervisor's end is waited for."""
SLEEP = ["sleep", "infinity"]

Event = dict[str, Any]


class Told(NamedTuple):
    """What a command answered."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def written(value: object) -> str:
    """A value as TOML."""
    match value:
        case bool():
            return "true" if value else "false"
        case dict():
            return "{ " + ", ".join(f"{json.dumps(key)} = {written(item)}" for key, item in value.items()) + " }"
        case list() | tuple():
            return "[" + ", ".join(map(written, value)) + "]"
        case str():
            return json.dumps(value)
        case _:
            return str(value)


def service(name: str, command: Sequence[str] = SLEEP, **keys: object) -> str:
    """A ``[service.NAME]``; the command is taken as it is. It keeps no output unless it says so."""
    keys = {"command": [word.replace("%", "%%") for word in command], "logs": {"mode": "none"}, **keys}
    return f"[service.{name}]\n" + "".join(f"{key} = {written(value)}\n" for key, value in keys.items())


class Rig:
    """One instance: its directories, its configuration, its supervisor.

    python: the interpreter of the supervisor.
    leaves: the test leaves processes on purpose, and they are killed in the end; else that is a failure.
    """

    def __init__(self) -> None:
        self.base = Path(tempfile.mkdtemp(prefix="pw-"))  # short: the path of a socket has at most 107 bytes
        self.instance = "t" + uuid.uuid4().hex[:12]
        self.config, self.state, self.run = self.base / "pidward.toml", self.base / "state", self.base / "run"
        self.socket = str(self.run / "control.sock")
        self.leaves = False
        self.python = sys.executable
        self.said: list[str] = []
        self._heard = threading.Condition()
        self._ear: threading.Thread | None = None
        self._process: Pidfd | None = None
        self._client: Client | None = None
        self._events: Events | None = None

    # --- its life

    def configure(self, *services: str, **settings: object) -> None:
        """Write the file."""
        settings = {"state_dir": str(self.state), "runtime_dir": str(self.run), **settings}
        head = "[pidward]\n" + "".join(f"{key} = {written(value)}\n" for key, value in settings.items())
        self.config.write_text("\n".join([head, *services]))

    def begin(
        self, *words: str, mask: str = "", prefix: Sequence[str] = (), stderr: int | None = None, **env: str
    ) -> Pidfd:
        """Start ``pidward up`` and do not wait for anything.

        Args:
            words: more arguments.
            mask: features to take away.
            prefix: a program that runs the rest of its arguments.
            stderr: where it speaks to, if not to us; borrowed.
            env: more environment.
        """
        assert self._process is None, "it runs already"
        argv = [*prefix, self.python, "-P", "-m", "pidward", "up", "-c", str(self.config), *self._own, *words]
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("PIDWARD_")}
        inherited |= {"PYTHONPATH": SRC, "PIDWARD_FEATURES_MASK": mask, **env}
        ours, theirs = os.pipe()
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0),  # nobody watches the workers' output
            (os.POSIX_SPAWN_DUP2, theirs if stderr is None else stderr, 2),
        ]
        program = shutil.which(argv[0])
        assert program, argv[0]
        pid = os.posix_spawn(program, argv, inherited, file_actions=actions, setsid=True, setsigmask=())
        self._process = Pidfd.open(pid)
        os.close(theirs)
        self._ear = threading.Thread(target=self._listen, args=(ours,), daemon=True)
        self._ear.start()
        return self._process

    def up(self, *words: str, **more: Any) -> None:
        """Start ``pidward up`` and wait until it answers."""
        self.begin(*words, **more)
        self.await_answer()

    def await_answer(self) -> None:
        """Wait until it answers, whatever it says."""

        deadline = time.monotonic() + PATIENCE
        while not self._answers():
            assert not wait_exit(self.process, GLANCE), f"it has ended\n{self.text}"
            assert time.monotonic() < deadline, f"it does not answer\n{self.text}"

    def _answers(self) -> bool:
        try:
            self.call("About")
        except Unreachable:
            return False
        return True

    def wait_end(self) -> ExitStatus:
        """How the supervisor ended."""
        assert self._process is not None
        assert wait_exit(self._process, PATIENCE), f"the supervisor did not end\n{self.text}"
        status = reap(self._process)
        assert status is not None
        self._disconnect()
        self._process.close()
        self._process = None
        assert self._ear is not None
        self._ear.join(PATIENCE)
        assert not self._ear.is_alive(), "somebody whom the supervisor started holds its stderr still"
        return status

    def signal(self, number: int) -> None:
        """Signal the supervisor."""
        assert self._process is not None
        assert self._process.signal(number)

    def kill(self) -> None:
        """SIGKILL the supervisor and wait for its end."""
        self.signal(signal.SIGKILL)
        assert self.wait_end().signal == signal.SIGKILL

    def settle(self) -> None:
        """Wait until all that has happened is in the record."""
        newest = self.call("Events", since=-1)["events"][-1]["seq"]

        def is_recorded() -> bool:
            with closing(sqlite3.connect(f"file:{self.state / 'state.db'}?mode=ro", uri=True)) as database:
                (recorded,) = database.execute("SELECT coalesce(max(seq), 0) FROM event").fetchone()
            return bool(recorded >= newest)

        eventually(is_recorded)

    @property
    def process(self) -> Pidfd:
        """The supervisor's handle; borrowed."""
        assert self._process is not None
        return self._process

    # --- what it says

    @property
    def text(self) -> str:
        """All that it said on stderr."""
        with self._heard:
            return "\n".join(self.said)

    def wait_said(self, what: str, after: int = 0) -> str:
        """Wait for a line that contains something; gives the line."""

        def found() -> str | None:
            return next((line for line in self.said[after:] if what in line), None)

        with self._heard:
            self._heard.wait_for(lambda: found() or self._has_left(), PATIENCE)
            line = found()
        assert line is not None, f"it did not say {what!r}, but\n{self.text}"
        return line

    def _listen(self, fd: int) -> None:
        with open(fd, errors="backslashreplace") as lines:
            for line in lines:
                with self._heard:
                    self.said.append(line.rstrip("\n"))
                    self._heard.notify_all()
        with self._heard:
            self._heard.notify_all()

    def _has_left(self) -> bool:
        return self._process is None or wait_exit(self._process, Seconds(0.0))

    # --- asking

    @property
    def _own(self) -> list[str]:
        return ["--instance", self.instance]

    def cli(self, *words: str) -> Told:
        """Run a command of pidward's in this process."""
        out, err = (io.TextIOWrapper(io.BytesIO(), write_through=True) for _ in range(2))
        with redirect_stdout(out), redirect_stderr(err):
            try:
                status = main([*words, "-c", str(self.config), *self._own])
            except SystemExit as error:
                status = int(error.code or 0)
        told = Told(status, *(stream.buffer.getvalue().decode() for stream in (out, err)))
        assert "Traceback" not in told.err, told.err
        return told

    def call(self, method: str, **parameters: object) -> Any:
        """Ask the supervisor."""
        if self._client is None:
            self._client = Client(self.socket)
        return self._client.call(method, parameters, PATIENCE)

    def status(self) -> dict[str, dict[str, Any]]:
        """All workers by name, as they are now."""
        return {worker["name"]: worker for worker in self.call("Status")["workers"]}

    def trouble(self) -> list[str]:
        """What is degraded now."""
        sentences: list[str] = self.call("About")["supervisor"]["trouble"]
        return sentences

    @property
    def events(self) -> "Events":
        """Everything since this supervisor started."""
        if self._events is None:
            self._events = Events(self.socket)
        return self._events

    def wait(self, worker: str, phase: str, reason: str = "") -> Event:
        """The next transition of a worker into a phase."""
        return self.events.wait(worker, phase, reason)

    def wait_all(self, service: str, count: int, phase: str = "ready") -> dict[str, Event]:
        """The next transition of each worker of a service into a phase."""
        return {name: self.wait(name, phase) for name in (f"{service}/{i + 1}" for i in range(count))}

    def hold_when_ready(self, worker: str) -> Pidfd:
        """A handle on a worker's process as soon as it is ready; the caller's."""
        return held(self.wait(worker, "ready")["data"]["process"])

    def hold(self, worker: str) -> Pidfd:
        """A handle on a worker's living process; the caller's."""
        return held(self.status()[worker]["process"])

    def pump(self) -> Pidfd:
        """A handle on the supervisor's log pump; the caller's."""
        found: list[Pidfd] = []

        def look() -> bool:
            for pid in children(self.process):
                try:
                    process = Pidfd.open(pid)
                    if any(word.endswith("pidward/logs") for word in command_line(process)):
                        found.append(process)
                        return True
                    process.close()
                except Gone:
                    continue
            return False

        eventually(look)
        return found[0]

    # --- the end

    def _disconnect(self) -> None:
        for one in (self._client, self._events):
            if one is not None:
                one.close()
        self._client = self._events = None

    def close(self) -> None:
        """End what is there; fails when there is more than there should be."""
        problems = []
        self._disconnect()
        if self._process is not None:
            self._dismiss()
            if not wait_exit(self._process, PATIENCE):
                problems.append("the supervisor did not end")
                self.signal(signal.SIGKILL)
            self.wait_end()
            if not self.leaves and (groups := [group.path for group in groups_of(self.instance)]):
                problems.append(f"cgroups were left: {groups}")
        left = self._clear()
        if left and not self.leaves:
            problems.append(f"left behind: {left}")
        if "Traceback" in self.text or "internal error" in self.text:
            problems.append("something broke inside")
        self.await_pump()
        shutil.rmtree(self.base)
        assert not problems, f"{'; '.join(problems)}\n{self.text}"

    def _dismiss(self) -> None:
        """Have the supervisor end, in a hurry if it can hear us."""
        try:
            with Client(self.socket) as client:
                client.call("Down", {"at_once": True}, PATIENCE)
        except (Unreachable, NotAllowed):
            if not self._has_left():
                self.signal(signal.SIGTERM)

    def _clear(self) -> list[str]:
        """Kill and remove what is left of this instance; says what that was."""
        left = []
        for group in groups_of(self.instance):
            if group.is_populated():
                left.append(f"{group.path}: {[said_by(pid) for pid in group.processes()]}")
                group.kill()
            eventually(group.remove)
        for process in self.members():
            with process:
                left.append(said_by(process.id.pid))
                process.signal(signal.SIGKILL)
                wait_exit(process, PATIENCE)
        return left

    def members(self, count: int = 0) -> list[Pidfd]:
        """Handles on all living processes that have this instance's name in their environment; the caller's.

        count: look until there are so many; in the middle of execve the environment reads empty.
        """
        mark = f"PIDWARD_INSTANCE={self.instance}".encode()
        deadline = time.monotonic() + PATIENCE
        while True:
            found = [process for pid in os.listdir("/proc") if pid.isdigit() and (process := _marked(pid, mark))]
            if len(found) == count or not count:
                return found
            assert time.monotonic() < deadline, f"not {count} processes, but {[said_by(p.id.pid) for p in found]}"
            for process in found:
                process.close()

    def await_pump(self) -> None:
        """Wait for the pump, which outlives the supervisor for as long as it has something to move."""
        lock = self.state / "spool" / ".pump.lock"
        if lock.exists():
            with lock.open() as file:
                fcntl.flock(file, fcntl.LOCK_EX)


class Events:
    """The events of a supervisor, in order, from its start. Each is given once to those who wait for it."""

    def __init__(self, path: str) -> None:
        self._client = Client(path)
        recent = self._client.call("Events", {"since": -500})["events"]
        assert isinstance(recent, list)
        since = max(
            (e["seq"] for e in recent if e["kind"] == "supervisor" and " started with " in e["text"]), default=0
        )
        parameters: dict[str, object] = {"since": since, "follow": True, "limit": 1000}
        self._stream = self._client.stream("Events", parameters, patience=PATIENCE)
        self.seen: list[Event] = []
        self._taken: dict[str, int] = {}

    def close(self) -> None:
        self._client.close()

    def wait(self, worker: str, phase: str, reason: str = "") -> Event:
        """The next transition of the worker into the phase."""
        return self.find(
            worker,
            lambda e: e["kind"] == "transition" and e["data"]["after"] == phase and reason in e["data"]["reason"],
            f"{worker} {phase} {reason}",
        )

    def find(self, worker: str, fits: Callable[[Event], bool], what: str) -> Event:
        """The next event about the worker that fits; those between are skipped."""
        index = self._taken.get(worker, 0)
        while True:
            for index in range(index, len(self.seen)):  # noqa: B020 - goes on where it was
                event = self.seen[index]
                if event["worker"] == worker and fits(event):
                    self._taken[worker] = index + 1
                    return event
            index = len(self.seen)
            self._more(what)

    def _more(self, what: str) -> None:
        try:
            events = next(self._stream)["events"]
        except (Unreachable, StopIteration) as error:
            story = "\n".join(event["text"] for event in self.seen[-30:])
            raise AssertionError(f"no {what!r}: {error}; the last events:\n{story}") from None
        assert isinstance(events, list)
        self.seen += events

    def of(self, worker: str) -> list[Event]:
        """Those seen until now about one worker."""
        return [event for event in self.seen if event["worker"] == worker]


def held(process: str) -> Pidfd:
    """A handle on a process by PID:INODE; the caller's."""
    wanted = ProcessId.parse(process)
    return Pidfd.open(wanted.pid, wanted.inode)


def is_alive(process: Pidfd) -> bool:
    return not wait_exit(process, Seconds(0.0))


def ends(process: Pidfd) -> bool:
    """It ends within our patience."""
    return wait_exit(process, PATIENCE)


def groups_of(instance: str) -> Iterable[Group | GroupV1]:
    """The top cgroups of an instance, of both kinds."""
    for kind, make in (("cgroup2", Group), ("cgroup1", GroupV1)):
        located = look_for(kind)
        if located.kind is not None:
            for name in os.listdir(located.path):
                if name.startswith(f"pidward-{instance}-"):
                    yield make(f"{located.path}/{name}")


def _marked(pid: str, mark: bytes) -> Pidfd | None:
    try:
        process = Pidfd.open(int(pid))
    except KernelError:
        return None
    if mark in environment_of(pid) and is_alive(process):
        return process
    process.close()
    return None


def environment_of(pid: int | str) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []


def said_by(pid: int) -> str:
    """A process for people."""
    try:
        return f"{pid} {Path(f'/proc/{pid}/cmdline').read_bytes().replace(bytes(1), b' ')!r}"
    except OSError:
        return f"{pid} gone"


def eventually(condition: Callable[[], object]) -> None:
    """Look until it holds; only for what nothing tells of."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it never came to hold"
        os.sched_yield()
