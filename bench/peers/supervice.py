"""supervice, from PyPI: asyncio, parent death signals; kills what a crashed run left, by pid and start time."""

from bench.harness.paths import PEERS_ENV
from bench.harness.peer import Peer

_BIN = PEERS_ENV / "supervice/bin"


class Supervice(Peer):
    """N programs of one process."""

    name = "supervice"
    floor = "1 s of backoff; startsecs=0 set"
    start_timeout_s = 300
    log_note = "stdout_logfile, rotated"

    def version(self) -> str:
        return self.run([str(_BIN / "pip"), "show", "supervice"]).output.split("Version: ")[-1].split("\n")[0]

    def configure(self) -> None:
        text = f"""[supervice]
loglevel = ERROR
logfile = {self.dir}/main.log
pidfile = {self.dir}/main.pid
socket = {self.dir}/socket
state_file = {self.dir}/state
"""
        for worker in self.ids:
            text += f"""[program:w{worker}]
command = {" ".join(self.worker(worker))}
autostart = true
autorestart = true
startsecs = 0
startretries = 1000000
stopwaitsecs = 2
"""
            if self.logging:
                text += f"""stdout_logfile = {self.logging.folder}/{worker}.log
stdout_logfile_maxbytes = {self.logging.max_bytes}
stdout_logfile_backups = {self.logging.backups}
"""
        (self.dir / "main.conf").write_text(text)

    def command(self) -> list[str]:
        return [str(_BIN / "supervice"), "-c", str(self.dir / "main.conf"), "-n"]

    def _ctl(self, *words: str) -> list[str]:
        return [str(_BIN / "supervicectl"), "-s", str(self.dir / "socket"), *words]

    def status_command(self) -> list[str]:
        return self._ctl("status")

    def stop_one_command(self, worker: int) -> list[str]:
        return self._ctl("stop", f"w{worker}")
