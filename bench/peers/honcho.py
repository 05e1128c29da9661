"""honcho, from PyPI."""

from bench.harness.paths import PEERS_ENV
from bench.harness.peer import Peer


class Honcho(Peer):
    """A Procfile runner: a Python process for each worker, and all of them end when one does."""

    name = "honcho"
    floor = "never restarts: one death ends all"
    respawns = False
    max_workers = 100
    log_note = "to its own stdout, every line with a prefix; no rotation"

    def version(self) -> str:
        return self.run([str(PEERS_ENV / "honcho/bin/honcho"), "version"]).output.strip()

    def configure(self) -> None:
        lines = [f"w{worker}: exec {' '.join(self.worker(worker))}\n" for worker in self.ids]
        (self.dir / "Procfile").write_text("".join(lines) or "idle: exec sleep 1000\n")

    def command(self) -> list[str]:
        return [str(PEERS_ENV / "honcho/bin/honcho"), "start", "-f", str(self.dir / "Procfile")]

    def start(self) -> None:
        if not self.logging:
            super().start()
            return
        with open(self.logging.folder / "all.log", "ab") as log:
            self.spawn(self.command(), stdout=log.fileno())

    def log_files(self, worker: int) -> list[str]:
        assert self.logging is not None
        del worker
        return [str(self.logging.folder / "all.log")]
