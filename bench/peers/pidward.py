"""pidward itself, installed in the environment that runs the harness; everything that is the default is switched on."""

import glob
import json
import sys
from pathlib import Path

from bench.harness.peer import Peer


class Pidward(Peer):
    """One service ``w`` of N workers, numbered from 1."""

    name = "pidward"
    floor = "none (delay = 0, burst = 0)"
    first_id = 1
    max_workers = 20_000
    log_note = "spool files and the pump, rotated"

    def version(self) -> str:
        return self.run([*_pidward(), "version"]).output.strip()

    def configure(self) -> None:
        lines = [
            "[pidward]",
            f"state_dir = {_quoted(self.dir / 'state')}",
            f"runtime_dir = {_quoted(self.dir / 'run')}",
        ]
        if self.n:
            lines += [
                "[service.w]",
                f"command = {json.dumps(self.worker('%i'))}",
                f"workers = {self.n}",
                "restart = { delay = 0, burst = 0 }",
                'stop = { grace = "2s" }',
            ]
        if self.n and self.logging:
            log = self.logging
            lines.append(f"logs = {{ dir = {_quoted(log.folder)}, max_size = {log.max_bytes}, keep = {log.backups} }}")
        self._file.write_text("\n".join(lines) + "\n")

    @property
    def _file(self) -> Path:
        return self.dir / "pidward.toml"

    def command(self) -> list[str]:
        return [*_pidward(), "up", "-c", str(self._file)]

    def status_command(self) -> list[str]:
        return [*_pidward(), "status", "-c", str(self._file)]

    def stop_one_command(self, worker: int) -> list[str]:
        return [*_pidward(), "stop", "-c", str(self._file), f"w/{worker}"]

    def log_files(self, worker: int) -> list[str]:
        assert self.logging is not None
        return sorted(glob.glob(f"{self.logging.folder}/w-{worker}.out.log*"))


def _pidward() -> list[str]:
    return [str(Path(sys.executable).parent / "pidward")]


def _quoted(path: Path) -> str:
    return json.dumps(str(path))
