"""pm2, from npm."""

import json

from bench.harness import procfs
from bench.harness.paths import PEERS_ENV
from bench.harness.peer import Peer

_FOLDER = PEERS_ENV / "pm2/node_modules"
_PM2 = str(_FOLDER / ".bin/pm2")


class Pm2(Peer):
    """N apps in fork mode. The command daemonises; its daemon is found by the name it gives itself."""

    name = "pm2"
    floor = "none (restart_delay 0)"
    start_timeout_s = 400
    log_note = "out_file; no rotation without a plugin"

    def version(self) -> str:
        return str(json.loads((_FOLDER / "pm2/package.json").read_text())["version"])

    def configure(self) -> None:
        self.environment = {
            "PM2_HOME": str(self.dir / "home"),
            "PM2_NO_INTERACTION": "1",
            "PM2_DISABLE_VERSION_CHECK": "true",
        }
        apps = [self._app(worker) for worker in self.ids]
        (self.dir / "ecosystem.json").write_text(json.dumps({"apps": apps}))

    def _app(self, worker: int) -> dict[str, object]:
        program, *arguments = self.worker(worker)
        return {
            "name": f"w{worker}",
            "script": program,
            "args": arguments,
            "interpreter": "none",
            "exec_mode": "fork",
            "autorestart": True,
            "restart_delay": 0,
            "min_uptime": 0,
            "max_restarts": 10**9,
            "vizion": False,
            "pmx": False,
            "automation": False,
            "out_file": f"{self.logging.folder}/{worker}.log" if self.logging else "/dev/null",
            "error_file": "/dev/null",
            "kill_timeout": 2000,
            "cwd": str(self.dir),
        }

    def command(self) -> list[str]:
        return [_PM2, "start", str(self.dir / "ecosystem.json")] if self.n else [_PM2, "ping"]

    def ctl(self, *words: str) -> list[str]:
        """Another pm2 command."""
        return [_PM2, *words]

    def main_pid(self) -> int | None:
        for nest in reversed(self._nests):
            for pid in procfs.children(nest.pid):
                if "God Daemon" in procfs.read(f"/proc/{pid}/cmdline") or "PM2" in procfs.command_name(pid):
                    return pid
        return None

    def status_command(self) -> list[str]:
        return self.ctl("jlist")

    def stop_one_command(self, worker: int) -> list[str]:
        return self.ctl("stop", f"w{worker}")

    def stop_all(self) -> None:
        self.run(self.ctl("kill"))
