"""systemd as a user manager, in a private mount namespace and a cgroup of its own."""

import os
from pathlib import Path

from bench.harness import procfs
from bench.harness.cgroups import cgroup2_mount, remove_cgroup
from bench.harness.peer import Peer

_TARGETS = ("basic", "shutdown", "paths", "sockets", "timers")
_TARGET = "[Unit]\nDescription=%s\nDefaultDependencies=no\nAllowIsolate=yes\n"

_SERVICE = """[Unit]
DefaultDependencies=no
Conflicts=shutdown.target
Before=shutdown.target
StartLimitIntervalSec=0
[Service]
Type=simple
ExecStart={command}
Restart=always
RestartSec=0
StandardInput=null
StandardOutput={stdout}
StandardError=null
TimeoutStopSec=2
"""

# In the root slice: the default one is stopped together with all else, and would take this with it.
_LEAVE = """[Unit]
DefaultDependencies=no
Requires=shutdown.target
After=shutdown.target
SuccessAction=exit-force
[Service]
Type=oneshot
Slice=-.slice
ExecStart=/bin/true
"""

_ENTER = """#!/bin/sh
mount --make-rprivate /
mount -t cgroup2 none /sys/fs/cgroup
mkdir -p /run/systemd; mount -t tmpfs none /run/systemd; mkdir -p /run/systemd/system
echo $$ > /sys/fs/cgroup/{cgroup}/manager/cgroup.procs
exec /lib/systemd/systemd --user
"""


class Systemd(Peer):
    """N instances of one template unit, wanted by the default target; nothing else is in that manager."""

    name = "systemd"
    floor = "none (RestartSec=0, start limit off; default 100 ms)"
    start_timeout_s = 300
    log_note = "StandardOutput=append: no rotation, the manager is not in the path"

    def version(self) -> str:
        return self.run(["/lib/systemd/systemd", "--version"]).output.split("\n")[0] + " --user"

    def configure(self) -> None:
        units = self.dir / "units"
        self._write_units(units)
        (self.dir / "run").mkdir(mode=0o700)
        mount = cgroup2_mount()
        self.cgroup = mount / f"bench_{os.getpid()}_{self.dir.name}"
        (self.cgroup / "manager").mkdir(parents=True)
        self.environment = {
            "XDG_RUNTIME_DIR": str(self.dir / "run"),
            "XDG_CONFIG_HOME": str(self.dir),
            "SYSTEMD_UNIT_PATH": str(units),
            "HOME": str(self.dir),
            "SYSTEMD_LOG_TARGET": "console",
            "SYSTEMD_LOG_LEVEL": "warning",
        }
        (self.dir / "enter").write_text(_ENTER.format(cgroup=self.cgroup.relative_to(mount)))

    def _write_units(self, units: Path) -> None:
        wanted = units / "default.target.wants"
        wanted.mkdir(parents=True)
        for target in ("default", *_TARGETS):
            (units / f"{target}.target").write_text(_TARGET % target)
        (units / "exit.target").write_text(_TARGET % "exit" + "Requires=leave.service\nAfter=leave.service\n")
        (units / "leave.service").write_text(_LEAVE)
        stdout = f"append:{self.logging.folder}/%i.log" if self.logging else "null"
        service = _SERVICE.format(command=" ".join(self.worker("%i")), stdout=stdout)
        (units / "w@.service").write_text(service)
        for worker in self.ids:
            (wanted / f"w@{worker}.service").symlink_to("../w@.service")

    def command(self) -> list[str]:
        return ["unshare", "--mount", "sh", str(self.dir / "enter")]

    def main_pid(self) -> int | None:
        for nest in reversed(self._nests):
            for pid in procfs.children(nest.pid):
                if procfs.command_name(pid) == "systemd":
                    return pid
        return None

    def _ctl(self, *words: str) -> list[str]:
        return ["systemctl", "--user", *words]

    def status_command(self) -> list[str]:
        return self._ctl("--no-pager", "list-units", "--type=service", "--all", "--plain", "--no-legend")

    def stop_one_command(self, worker: int) -> list[str]:
        return self._ctl("stop", f"w@{worker}.service")

    def stop_all(self) -> None:
        self.run(self._ctl("exit"))

    def close(self) -> None:
        super().close()
        remove_cgroup(self.cgroup)
