"""Workers that say what a test tells them to say, and a supervision that listens."""

import os
import sys
import tempfile
from pathlib import Path
from types import TracebackType

from pidward.core import events as on
from pidward.core.model import Phase, Worker, WorkerName
from pidward.core.spec import Execution, Probe, ProbeKind, ServiceSpec
from pidward.kernel.cgroup import Located
from pidward.kernel.pidfd import Pidfd
from pidward.runtime.attendants import Attendants
from pidward.runtime.notify import Notify
from pidward.testing.programs import Gate
from tests.runtime.bench import QUICK, QUIET, WEB, Bench

BY_NOTIFY = Probe(ProbeKind.NOTIFY)
_PUPPET = """
import array, os, signal, socket, sys, time
speech = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
if "NOTIFY_SOCKET" in os.environ:
    speech.connect(os.environ["NOTIFY_SOCKET"])
def say(text, *fds):
    data = text if isinstance(text, bytes) else text.encode()
    speech.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else [])
def in_child(act):
    if (pid := os.fork()) == 0:
        act()
        os._exit(0)
    return pid
def pause():
    while True:
        signal.pause()
with open(sys.argv[1]) as lines:
    for line in lines:
        exec(line)
"""


class Stage(Bench):
    """A bench with attendants, and a puppet for each worker that has none of its own."""

    def __init__(self, place: Located, native: bool = True) -> None:
        super().__init__(place, native)
        self._where = tempfile.TemporaryDirectory(prefix="pw-")
        self.where = Path(self._where.name)
        self._strings: dict[str, Gate] = {}
        surroundings = self.supervision.surroundings(str(self.where), str(self.where))
        self.attendants = Attendants(surroundings)
        self.supervision.attended_by(self.attendants)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.store.on_hurry = lambda: None
        self.supervision.feed(on.ShutdownAsked("the end of the test", at_once=True))
        self.turn_until(lambda: self.is_finished)
        self.attendants.close()
        super().__exit__(kind, error, trace)
        for string in self._strings.values():
            string.close()
        self._where.cleanup()

    def puppet(self, name: str = "web", **keys: object) -> ServiceSpec:
        """A service whose worker does what it is told."""
        string = self._strings[name] = Gate(self.where / name)
        chosen: dict[str, object] = {"restart": QUICK, "logs": QUIET, "ready": BY_NOTIFY, **keys}
        command = (sys.executable, "-I", "-S", "-c", _PUPPET, string.path)
        return ServiceSpec(name, Execution(command), **chosen)  # type: ignore[arg-type]

    def tell(self, line: str, name: str = "web") -> None:
        """Have a puppet run a line of Python."""
        with open(self._strings[name].path, "w") as file:
            file.write(line + "\n")

    @property
    def notify(self) -> Notify:
        found = self.attendants._here["notify"]
        assert isinstance(found, Notify)
        return found

    @property
    def notes(self) -> list[str]:
        return [row.text for row in self.store.rows if row.kind == "notify"]

    @property
    def main(self) -> Pidfd:
        """The main process of web/1; borrowed."""
        seat = self.supervision.seat(WEB)
        assert seat is not None
        assert seat.pidfd is not None
        return seat.pidfd

    def main_copy(self) -> Pidfd:
        return Pidfd.copy_of(self.main.fileno(), self.main.id.pid)

    def turn_until_status(self, text: str, name: WorkerName = WEB) -> None:
        self.turn_until(lambda: self.notify.status_of(name) == text)

    def turn_until_note(self, part: str) -> None:
        self.turn_until(lambda: any(part in note for note in self.notes))

    def settle(self) -> None:
        """All that web/1 has said until now has been heard."""
        mark = os.urandom(4).hex()
        self.tell(f"say('STATUS={mark}')")
        self.turn_until_status(mark)

    def of(self, name: str) -> Worker:
        return self.supervision.core.workers[WorkerName(name, 1)]

    def turn_until_ready(self, name: str = "web") -> None:
        self.turn_until(lambda: self.of(name).phase is Phase.READY)
