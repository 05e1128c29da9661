"""Erlang/OTP: a one_for_one supervisor of processes that each own a port to one worker. bench/src/otp.erl."""

import shutil
import subprocess

from bench.harness import procfs, signals
from bench.harness.paths import ROOT
from bench.harness.peer import Peer

_SIGTERM = 15


class Otp(Peer):
    """Not a product: the smallest honest use of OTP for this purpose. A port only closes the worker's stdin."""

    name = "otp"
    floor = "none (intensity is out of reach)"
    log_note = "the port owner writes and rotates; no back-pressure"

    def version(self) -> str:
        return "Erlang/OTP " + self.run(["dpkg-query", "-W", "-f", "${Version}", "erlang-base"]).output

    def configure(self) -> None:
        shutil.copy(ROOT / "src/otp.erl", self.dir)
        subprocess.run(["erlc", "otp.erl"], cwd=self.dir, check=True, capture_output=True)
        program, *arguments = self.worker("%i")
        self.environment = {
            "BENCH_COUNT": str(self.n),
            "BENCH_PROGRAM": program,
            "BENCH_ARGUMENTS": " ".join(arguments),
            "HOME": str(self.dir),
        }
        if self.logging:
            self.environment |= {
                "BENCH_LOG": str(self.logging.folder),
                "BENCH_ROTATE": str(self.logging.max_bytes),
            }

    def command(self) -> list[str]:
        tuned = ["+P", "65536", "+Q", "65536", "-kernel", "logger_level", "none"]
        return ["erl", "-noshell", *tuned, "-pa", str(self.dir), "-s", "otp", "main"]

    def stop_all(self) -> None:
        for pid in self.supervisor_pids():
            if procfs.command_name(pid).startswith("beam"):
                signals.send(pid, _SIGTERM)
