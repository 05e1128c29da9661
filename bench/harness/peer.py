"""One process supervisor under test: how to configure, start, ask and stop it; bench/peers fills it in."""

import contextlib
import glob
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NamedTuple, Self

from bench.harness import procfs, signals
from bench.harness.nest import Nest
from bench.harness.paths import CONTROL, LOGS, WORKER
from bench.harness.records import Kind, Record, RecordFifo


class NotSupported(Exception):
    """The peer cannot do what an experiment needs; the text says what."""


class NotStarted(Exception):
    """Fewer workers came up than were configured."""


@dataclass(frozen=True, slots=True)
class Logging:
    """Where worker ``i`` shall log, ``folder/<i>.log``, and when that is rotated."""

    folder: Path
    max_bytes: int = 50_000_000
    backups: int = 40


class Command(NamedTuple):
    """What a command of a peer did."""

    status: int
    output: str
    wall_s: float
    cpu_s: float


class Peer:
    """A supervisor, its directory and its process tree. A context manager: leaving it leaves no process behind."""

    name: ClassVar[str] = ""
    floor: ClassVar[str] = ""
    """In words: the least delay before a restart that can be configured. The adapter configures it."""
    settle_s: ClassVar[float] = 0.0
    """A death before the worker has been up this long counts as a crash loop."""
    tick_s: ClassVar[float] = 0.0
    """Above 0 for a peer that polls: kills then get a random phase within it."""
    max_workers: ClassVar[int] = 1000
    respawns: ClassVar[bool] = True
    one_supervisor_each: ClassVar[bool] = False
    """Every worker has its own supervising process, and is slow: E1 may overlap kills."""
    stable_ids: ClassVar[bool] = True
    """A worker's number is the same after a restart."""
    first_id: ClassVar[int] = 0
    start_timeout_s: ClassVar[float] = 120.0
    log_note: ClassVar[str] = ""

    def __init__(self, tag: str) -> None:
        """Make the directory of this run, named after ``tag``."""
        self.dir = CONTROL / f"{tag}_{self.name}"
        shutil.rmtree(self.dir, ignore_errors=True)
        self.dir.mkdir(parents=True)
        self.fifo = RecordFifo(self.dir / "fifo")
        self.n = 0
        self.logging: Logging | None = None
        self.environment: dict[str, str] = {}
        self.running: dict[int, Record] = {}  # by pid: the last start record of every worker that is thought to live
        self._worker_options: list[str] = []
        self._nests: list[Nest] = []

    # What an adapter gives

    def version(self) -> str:
        """The version measured."""
        raise NotImplementedError

    def configure(self) -> None:
        """Write the configuration for ``self.n`` workers below ``self.dir``; worker ``i`` is ``self.worker(i)``.

        With ``self.logging`` its stdout must land in that folder, rotated.
        """
        raise NotImplementedError

    def command(self) -> list[str]:
        """The command that starts the supervisor, in the foreground or not."""
        raise NotImplementedError

    def status_command(self) -> list[str]:
        """The command that shows the state of all workers."""
        raise NotSupported("no command shows the status")

    def stop_one_command(self, worker: int) -> list[str]:
        """The command that stops one worker and keeps it down."""
        raise NotSupported("no command stops one worker")

    def stop_all(self) -> None:
        """Ask the supervisor to stop its workers and leave."""
        self.signal_main(signal.SIGTERM)

    def log_files(self, worker: int) -> list[str]:
        """The files that hold what this worker wrote."""
        assert self.logging is not None
        return sorted(glob.glob(f"{self.logging.folder}/{worker}.log*"))

    def main_pid(self) -> int | None:
        """The supervisor proper: the first child of the nest, unless it daemonises away from there."""
        for nest in reversed(self._nests):
            for pid in procfs.children(nest.pid):
                if not is_worker(pid) and procfs.is_alive(pid):
                    return pid
        return None

    # What an adapter uses

    @property
    def ids(self) -> range:
        """The numbers of the workers."""
        return range(self.first_id, self.first_id + self.n)

    def worker(self, worker: int | str) -> list[str]:
        """The command of a worker; a number, or the peer's own placeholder for it."""
        options = [option.replace("%i", str(worker)) for option in self._worker_options]
        return [WORKER, str(self.fifo.path), str(worker), *options]

    def run_file(self, path: Path, worker: int) -> None:
        """Write a run file that *is* the worker: no shell between the supervisor and its first instruction."""
        path.write_text(f"#!{' '.join(self.worker(worker))}\n")
        path.chmod(0o755)

    def spawn(self, command: Sequence[str], stdout: int = subprocess.DEVNULL) -> None:
        """Start a command below a nest of its own; ``stdout`` is borrowed."""
        self._nests.append(Nest(command, self._environ(), self.dir, stdout))

    def run(self, command: Sequence[str], timeout: float = 120) -> Command:
        """Run a command of the peer to its end."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        started = time.perf_counter()
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env=self._environ(), cwd=self.dir, timeout=timeout, check=False,
        )  # fmt: skip
        wall_s = time.perf_counter() - started
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return Command(done.returncode, done.stdout.decode(errors="replace"), wall_s, cpu_s)

    def signal_main(self, number: int) -> None:
        """Signal the supervisor proper, if it lives."""
        pid = self.main_pid()
        if pid is not None:
            signals.send(pid, number)

    def _environ(self) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if key in ("LANG", "HOME", "TERM")}
        path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        return kept | {"PATH": path} | self.environment

    # What an experiment uses

    def prepare(self, n: int, worker_options: Sequence[str] = (), logged: bool = False) -> None:
        """Configure ``n`` workers; ``%i`` in an option becomes the number of the worker."""
        self.n = n
        self._worker_options = list(worker_options)
        if logged:
            self.logging = Logging(LOGS / self.dir.name)
            self.logging.folder.mkdir(parents=True, exist_ok=True)
        self.configure()

    def start(self) -> None:
        """Start the supervisor; also the second time, after a crash."""
        self.spawn(self.command())

    def start_and_wait(self) -> list[Record]:
        """Start the supervisor and wait for all workers; NotStarted when they do not come."""
        self.start()
        started = self.wait_started(self.n)
        if len(started) < self.n:
            raise NotStarted(f"only {len(started)} of {self.n} started: {self.last_words()}")
        return started

    def wait_started(self, count: int, timeout: float | None = None) -> list[Record]:
        """Wait for that many start records; returns them, fewer when the time is over."""
        deadline = time.monotonic() + (self.start_timeout_s if timeout is None else timeout)
        found: list[Record] = []
        while len(found) < count and (left := deadline - time.monotonic()) > 0:
            found += self.note(self.fifo.read(left))
        return found

    def note(self, records: Sequence[Record]) -> list[Record]:
        """Remember the starts among the records, and return them."""
        starts = [record for record in records if record.kind is Kind.STARTED]
        self.running.update((record.pid, record) for record in starts)
        return starts

    def all_pids(self) -> list[int]:
        """Everything below the nests, zombies included."""
        return [pid for nest in self._nests for pid in procfs.descendants(nest.pid)]

    def supervisor_pids(self) -> list[int]:
        """The peer's own processes."""
        return [pid for pid in self.all_pids() if not is_worker(pid) and procfs.is_alive(pid)]

    def worker_pids(self) -> list[int]:
        """The workers, and the daemons they made."""
        return [pid for pid in self.all_pids() if is_worker(pid) and procfs.is_alive(pid)]

    def last_words(self) -> str:
        """The end of what the peer wrote to stderr."""
        try:
            return (self.dir / "stderr.txt").read_text(errors="replace")[-300:].strip()
        except FileNotFoundError:
            return ""

    def ask_to_stop(self, patience: float) -> None:
        """Stop it as its users would, and wait for that."""
        try:
            self.stop_all()
        except (OSError, subprocess.SubprocessError) as error:
            print(f"{self.name}: stop_all: {error!r}", file=sys.stderr)
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline and any(map(procfs.is_alive, self.all_pids())):
            time.sleep(0.05)

    def end(self) -> None:
        """End everything below the nests, supervisors first."""
        for attempt in range(200):
            alive = [pid for pid in self.all_pids() if procfs.is_alive(pid)]
            if not alive:
                break
            if attempt < 2:  # held still first, so that no worker is replaced while we go through the list
                for pid in alive:
                    if not is_worker(pid):
                        signals.send(pid, signal.SIGSTOP)
            for pid in alive:
                signals.send(pid, signal.SIGKILL)
            time.sleep(0.01 if attempt < 20 else 0.1)
        for nest in self._nests:
            nest.close()
        self._nests.clear()

    def close(self) -> None:
        """End everything and remove the directories."""
        self.end()
        self.fifo.close()
        shutil.rmtree(self.dir, ignore_errors=True)
        with contextlib.suppress(OSError):
            CONTROL.rmdir()
        if self.logging:
            shutil.rmtree(self.logging.folder, ignore_errors=True)
            with contextlib.suppress(OSError):
                LOGS.rmdir()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def is_worker(pid: int) -> bool:
    """Tell workers from supervisors, by the program they run."""
    return procfs.executable(pid) == WORKER
