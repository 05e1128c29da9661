"""The daemontools family: s6, runit and daemontools. A directory of services, one supervising process for each."""

import glob
import os
import signal
import time
from pathlib import Path

from bench.harness.peer import Logging, Peer

_MULTILOG_MAX_BYTES = 16_777_215


class _Scandir(Peer):
    """What the three share. Every run file is the worker itself: the best that they can do."""

    settle_s = 1.05

    def version(self) -> str:
        return self.run(["dpkg-query", "-W", "-f", "${Version}", self.name]).output

    def configure(self) -> None:
        self.scan.mkdir()
        for worker in self.ids:
            service = self.service(worker)
            service.mkdir()
            self.run_file(service / "run", worker)
            if self.logging:
                (service / "log").mkdir()
                logger = service / "log/run"
                logger.write_text(f"#!/bin/sh\nexec {self.logger(self.logging, self.logging.folder / str(worker))}\n")
                logger.chmod(0o755)

    @property
    def scan(self) -> Path:
        """The directory of services."""
        return self.dir / "scan"

    def service(self, worker: int) -> Path:
        """The directory of one service."""
        return self.scan / f"s{worker}"

    def logger(self, log: Logging, folder: Path) -> str:
        """The command that logs its stdin into ``folder``."""
        raise NotImplementedError

    def log_files(self, worker: int) -> list[str]:
        assert self.logging is not None
        folder = self.logging.folder / str(worker)
        return [*sorted(glob.glob(f"{folder}/@*")), f"{folder}/current"]


class S6(_Scandir):
    """s6-svscan. Its supervise waits a second between two starts, even of a service that was up for hours."""

    name = "s6"
    floor = "1 s between two starts"
    one_supervisor_each = True
    log_note = "s6-log for each service"

    def logger(self, log: Logging, folder: Path) -> str:
        folder.mkdir()
        return f"s6-log -b n{log.backups} s{log.max_bytes} {folder}"

    def command(self) -> list[str]:
        return ["s6-svscan", "-c", str(max(500, 2 * self.n + 100)), "-t", "0", str(self.scan)]

    def status_command(self) -> list[str]:
        return ["sh", "-c", f"for service in {self.scan}/s*; do s6-svstat $service; done"]

    def stop_one_command(self, worker: int) -> list[str]:
        return ["s6-svc", "-wD", "-T", "5000", "-d", str(self.service(worker))]

    def stop_all(self) -> None:
        self.run(["s6-svscanctl", "-t", str(self.scan)])


class Runit(_Scandir):
    """runsvdir."""

    name = "runit"
    floor = "none after a run of 1 s; 1 s after a shorter one"
    log_note = "svlogd for each service"

    def configure(self) -> None:
        super().configure()
        past = time.time() - 100
        os.utime(self.scan, (past, past))  # runsvdir sleeps 1 s when its directory changed in this second

    def logger(self, log: Logging, folder: Path) -> str:
        folder.mkdir()
        (folder / "config").write_text(f"s{log.max_bytes}\nn{log.backups}\n")
        return f"svlogd {folder}"

    def command(self) -> list[str]:
        return ["runsvdir", str(self.scan)]

    def status_command(self) -> list[str]:
        return ["sh", "-c", f"exec sv status {self.scan}/s*"]

    def stop_one_command(self, worker: int) -> list[str]:
        return ["sv", "force-stop", str(self.service(worker))]

    def stop_all(self) -> None:
        self.signal_main(signal.SIGHUP)


class Daemontools(_Scandir):
    """svscan."""

    name = "daemontools"
    floor = "1 s after each start"
    log_note = "multilog for each service, rotated at its maximum of 16 MiB"

    def logger(self, log: Logging, folder: Path) -> str:
        return f"multilog s{min(_MULTILOG_MAX_BYTES, log.max_bytes)} n{log.backups * 4} {folder}"

    def command(self) -> list[str]:
        return ["svscan", str(self.scan)]

    def status_command(self) -> list[str]:
        return ["sh", "-c", f"exec svstat {self.scan}/s*"]

    def stop_one_command(self, worker: int) -> list[str]:
        return ["svc", "-d", str(self.service(worker))]

    def stop_all(self) -> None:
        self.signal_main(signal.SIGTERM)
        self.run(["sh", "-c", f"exec svc -dx {self.scan}/s*"])
