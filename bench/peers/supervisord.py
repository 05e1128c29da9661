"""supervisord, from PyPI."""

from bench.harness.paths import PEERS_ENV
from bench.harness.peer import Peer

_BIN = PEERS_ENV / "supervisor/bin"


class Supervisord(Peer):
    """One program of N processes. It decides about a restart once a second."""

    name = "supervisord"
    floor = "poll of 1 s, not configurable; startsecs=0 set"
    tick_s = 1.0
    start_timeout_s = 300
    log_note = "stdout_logfile, rotated"

    def version(self) -> str:
        return self.run([str(_BIN / "supervisord"), "--version"]).output.strip()

    def configure(self) -> None:
        # minfds stays at its default: a child closes every descriptor below it in a Python loop, 20 ms at 19000.
        text = f"""[supervisord]
nodaemon=true
logfile={self.dir}/main.log
loglevel=error
pidfile={self.dir}/main.pid
minfds=1024
minprocs=200
childlogdir={self.dir}
[unix_http_server]
file={self.dir}/socket
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix://{self.dir}/socket
"""
        if self.n:
            text += f"""[program:w]
command={" ".join(self.worker("%(process_num)d"))}
process_name=%(process_num)d
numprocs={self.n}
startsecs=0
startretries=1000000
autorestart=true
redirect_stderr=true
stopasgroup=true
killasgroup=true
stopwaitsecs=2
{self._log_keys()}"""
        (self.dir / "main.conf").write_text(text)

    def _log_keys(self) -> str:
        if not self.logging:
            return "stdout_logfile=NONE\n"
        return f"""stdout_logfile={self.logging.folder}/%(process_num)d.log
stdout_logfile_maxbytes={self.logging.max_bytes}
stdout_logfile_backups={self.logging.backups}
"""

    def command(self) -> list[str]:
        return [str(_BIN / "supervisord"), "-n", "-c", str(self.dir / "main.conf")]

    def ctl(self, *words: str) -> list[str]:
        """A supervisorctl command."""
        return [str(_BIN / "supervisorctl"), "-c", str(self.dir / "main.conf"), *words]

    def status_command(self) -> list[str]:
        return self.ctl("status")

    def stop_one_command(self, worker: int) -> list[str]:
        return self.ctl("stop", f"w:{worker}")
