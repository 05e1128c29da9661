"""circus, from PyPI: with a short poll, and with its default."""

from typing import ClassVar

from bench.harness.paths import PEERS_ENV
from bench.harness.peer import Peer

_BIN = PEERS_ENV / "circus/bin"


class Circus(Peer):
    """One watcher of N processes; with logs one watcher each, because a log stream belongs to a watcher."""

    name = "circus"
    check_delay_s: ClassVar[float] = 0.1
    floor = "poll of check_delay: 0.1 s set, default 5 s"
    tick_s = 0.1
    stable_ids = False  # $(circus.wid) is counted up with every start
    start_timeout_s = 300
    log_note = "FileStream, rotated"

    def version(self) -> str:
        return self.run([str(_BIN / "circusd"), "--version"]).output.strip()

    def configure(self) -> None:
        text = f"""[circus]
endpoint = ipc://{self.dir}/endpoint
pubsub_endpoint = ipc://{self.dir}/pubsub
check_delay = {self.check_delay_s}
statsd = false
"""
        if self.logging:
            for worker in self.ids:
                text += (
                    self._watcher(f"w{worker}", str(worker), 1)
                    + f"""stdout_stream.class = FileStream
stdout_stream.filename = {self.logging.folder}/{worker}.log
stdout_stream.max_bytes = {self.logging.max_bytes}
stdout_stream.backup_count = {self.logging.backups}
"""
                )
        elif self.n:
            text += self._watcher("w", "$(circus.wid)", self.n)
        (self.dir / "circus.ini").write_text(text)

    def _watcher(self, name: str, worker: str, processes: int) -> str:
        program, *arguments = self.worker(worker)
        return f"""[watcher:{name}]
cmd = {program}
args = {" ".join(arguments)}
numprocesses = {processes}
warmup_delay = 0
max_retry = -1
graceful_timeout = 2
stop_children = true
"""

    def command(self) -> list[str]:
        quiet = ["--log-level", "ERROR", "--log-output", str(self.dir / "circus.log")]
        return [str(_BIN / "circusd"), *quiet, str(self.dir / "circus.ini")]

    def _ctl(self, *words: str) -> list[str]:
        return [str(_BIN / "circusctl"), "--endpoint", f"ipc://{self.dir}/endpoint", "--timeout", "60", *words]

    def status_command(self) -> list[str]:
        return self._ctl("list", "w")

    def stop_one_command(self, worker: int) -> list[str]:
        return self._ctl("stop", "--waiting", f"w{worker}" if self.logging else "w")


class CircusDefault(Circus):
    """As most people run it. The phase of kills is capped at 1 s: its waits are uniform up to 5 s."""

    name = "circus_default"
    check_delay_s = 5.0
    floor = "poll of check_delay: its default, 5 s"
    tick_s = 5.0
