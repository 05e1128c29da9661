"""The supervisor under demonstration: a real ``pidward up`` with directories of its own, asked through its socket."""

import os
import socket
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from pidward.control.client import CallFailed, Client, NotAllowed, Unreachable
from pidward.control.jsontext import encode
from pidward.core.model import ProcessId
from pidward.core.signals import SIGKILL
from pidward.core.units import Seconds
from pidward.demo import groups
from pidward.demo.program import Program, uninterrupted
from pidward.demo.record import Event, Record
from pidward.demo.reports import Reports
from pidward.demo.stopwatch import Stopwatch
from pidward.demo.story import Unmet
from pidward.kernel import procfs
from pidward.kernel.clock import boottime
from pidward.kernel.errors import KernelError
from pidward.kernel.pidfd import Pidfd
from pidward.kernel.wait import wait_exit

PATIENCE = 15.0
"""Seconds after which something that should happen at once is given up."""
GLANCE = 0.005
"""Seconds between two looks at a socket that nobody announces, while we wait for its owner's end as well."""
_REMARK = """\
# Written by `pidward demo`. Each program is started through `first`, or a shell, which tells the demo when it ran its
# first instruction, and becomes the program.
"""
_LOWEST_PORT, _FIRST_EPHEMERAL = 10_000, 32_768


def service(name: str, command: Sequence[str], *lines: str) -> str:
    """A ``[service.NAME]`` of the configuration; ``lines`` are more keys."""
    return "\n".join([f"[service.{name}]", f"command = {encode(list(command))}", *lines, ""])


def living(processes: Iterable[Pidfd]) -> list[Pidfd]:
    """Those that have not ended."""
    return [process for process in processes if not wait_exit(process, Seconds(0.0))]


class Stage:
    """One instance of pidward, each of its services with one worker. ``close`` leaves no process and no cgroup.

    directory: everything is below; made by the caller, who removes it.
    instance: a name that no other supervisor on this machine has.
    ports, reports: what services of this stage are given to serve at and to report by, by name.
    """

    def __init__(self, directory: str, instance: str, defaults: str = "") -> None:
        """Prepare.

        Args:
            directory: see above.
            instance: see above.
            defaults: lines for the table ``[defaults]`` of the configuration.
        """
        self.directory, self.instance = directory, instance
        self.stopwatch = Stopwatch(self.path("first"))
        self.ports: dict[str, int] = {}
        self.reports: dict[str, Reports] = {}
        self._defaults = defaults
        self._services: dict[str, str] = {}
        self._held: list[Pidfd] = []
        self._programs: list[Program] = []
        self._supervisor: Program | None = None
        self._client: Client | None = None
        self._record: Record | None = None

    def path(self, name: str) -> str:
        """A place for a file of this name."""
        return os.path.join(self.directory, name)

    # --- its configuration

    @property
    def configuration(self) -> str:
        """The file."""
        return self.path("pidward.toml")

    def configure(self, services: Mapping[str, str]) -> None:
        """Write the file anew, with these services, by name, added or replaced."""
        self._services |= services
        settings = f"state_dir = {encode(self.path('state'))}\nruntime_dir = {encode(self.path('run'))}\n"
        defaults = f"[defaults]\n{self._defaults}\n"
        parts = [_REMARK, f"[pidward]\n{settings}", *([defaults] if self._defaults else []), *self._services.values()]
        with open(self.configuration, "w", encoding="utf-8") as file:
            file.write("\n".join(parts))

    def command(self, *words: str) -> list[str]:
        """A command of pidward's own command line, for this instance. -P: what lies in this directory is not it."""
        return [sys.executable, "-P", "-m", "pidward", *words, "-c", self.configuration, "--instance", self.instance]

    # --- its life

    def start(self) -> None:
        """Run ``pidward up`` and wait until it answers. Raises Unmet."""
        self._supervisor = self.run(self.command("up"), self.path("supervisor.log"))
        deadline = boottime() + PATIENCE
        while self._client is None:
            try:
                self._client = Client(self._socket)
            except (Unreachable, NotAllowed) as error:
                if self._supervisor.wait(GLANCE) is not None or boottime() > deadline:
                    raise Unmet(f"the supervisor did not start: {self._last_words() or error}") from None
        self._record = Record(self._socket, PATIENCE)

    def down(self) -> int | None:
        """Ask the supervisor to stop everything and end; its exit code, or None when it did not end in time."""
        assert self._supervisor is not None
        self.call("Down")
        status = self._supervisor.wait(PATIENCE)
        self.leave()
        return None if status is None else status.code

    def leave(self) -> None:
        """Let go of the supervisor, which has ended or ends now."""
        for held in (self._record, self._client, self._supervisor):
            if held is not None:
                held.close()
        self._record = self._client = self._supervisor = None

    def close(self) -> None:
        """End all that was started here, at once if it has not ended by itself."""
        if self._client is not None and self._supervisor is not None:
            with suppress(Unreachable, CallFailed):
                self._client.call("Down", {"at_once": True}, patience=1.0)
                self._supervisor.wait(PATIENCE)
        self.leave()
        for program in self._programs:
            program.close()
        for process in self._held:
            process.signal(SIGKILL)
            process.close()
        self._held = []
        for reports in self.reports.values():
            reports.close()
        self.stopwatch.close()
        groups.clear(self.instance)

    @property
    def supervisor(self) -> Pidfd:
        """The supervisor's handle; borrowed."""
        assert self._supervisor is not None
        return self._supervisor.handle

    @property
    def _socket(self) -> str:
        return self.path("run/control.sock")

    def _last_words(self) -> str:
        with open(self.path("supervisor.log"), encoding="utf-8", errors="replace") as file:
            return file.read()[-500:].strip()

    # --- asking it

    @property
    def record(self) -> Record:
        """What it recorded."""
        assert self._record is not None
        return self._record

    def call(self, method: str, **parameters: object) -> dict[str, Any]:
        """Call a method of the control interface. Raises Unmet."""
        assert self._client is not None
        try:
            return self._client.call(method, parameters, patience=2 * PATIENCE)
        except (Unreachable, CallFailed) as error:
            raise Unmet(f"{method}: {error}") from None

    def now(self) -> int:
        """The number of the newest event."""
        (event,) = self.call("Events", since=-1, limit=1)["events"]
        return int(event["seq"])

    def wait_phase(self, name: str, phase: str, since: int) -> Event:
        """Wait until a service's worker enters a phase, in an event after ``since``. Raises Unmet."""
        return self.record.wait_phase(f"{name}/1", phase, since)

    def status(self, name: str) -> dict[str, Any]:
        """The interface's Worker of a service's worker."""
        (worker,) = self.call("Status", targets=[name])["workers"]
        assert isinstance(worker, dict)
        return worker

    def process(self, name: str) -> Pidfd:
        """The main process of a service's worker, held to the end. Raises Unmet when it has none."""
        worker = self.status(name)
        if worker["process"] is None:
            raise Unmet(f"{name} has no process: it is {worker['phase']}, {worker['reason']}")
        return self.hold(*ProcessId.parse(worker["process"]))

    def processes(self) -> dict[str, object]:
        """PID:INODE of each worker."""
        return {worker["name"]: worker["process"] for worker in self.call("Status")["workers"]}

    # --- processes

    def run(self, argv: Sequence[str], output: str) -> Program:
        """Start a program, as ``plan_of`` says, that ends with the stage at the latest. Raises OSError."""
        with uninterrupted():
            program = Program.start(argv, output)
            self._programs.append(program)
        return program

    def hold(self, pid: int, inode: int = 0) -> Pidfd:
        """Open a process, verified where its inode is known, and hold it to the end. Raises Unmet."""
        try:
            handle = Pidfd.open(pid, inode or None)
        except KernelError as error:
            raise Unmet(str(error)) from None
        self._held.append(handle)
        return handle

    def children(self, process: Pidfd, count: int) -> list[Pidfd]:
        """The children of a process, as soon as there are so many, held to the end. Raises Unmet."""
        deadline = boottime() + PATIENCE
        while len(numbers := procfs.children(process)) < count:
            if wait_exit(process, Seconds(GLANCE)) or boottime() > deadline:
                raise Unmet(f"{process.id} has {len(numbers)} children instead of {count}")
        return [self.hold(number) for number in numbers]

    @property
    def held(self) -> int:
        """How many processes are held."""
        return len(self._held)

    def survivors(self) -> list[Pidfd]:
        """Of all processes that were ever held, those that live."""
        return living(self._held)

    def free_port(self) -> int:
        """A loopback port that nobody listens on, and that the kernel gives to no outgoing connection."""
        for _ in range(1000):
            span = _FIRST_EPHEMERAL - _LOWEST_PORT
            port = _LOWEST_PORT + int.from_bytes(os.getrandom(4)) % span
            with socket.socket() as probe, suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return port
        raise Unmet("no port of 127.0.0.1 is free")
