"""monit: by pidfile."""

from collections.abc import Sequence

from bench.harness.peer import NotSupported, Peer


class Monit(Peer):
    """N processes with a pidfile each, looked at once a second, its shortest cycle."""

    name = "monit"
    floor = "cycle of 1 s; services one after the other"
    tick_s = 1.0
    start_timeout_s = 300
    max_workers = 20

    def version(self) -> str:
        return self.run(["monit", "--version"]).output.split("\n")[0]

    def prepare(self, n: int, worker_options: Sequence[str] = (), logged: bool = False) -> None:
        if logged:
            raise NotSupported("monit does not take the output of what it watches")
        super().prepare(n, worker_options)

    def configure(self) -> None:
        text = f"""set daemon 1
set log {self.dir}/monit.log
set pidfile {self.dir}/monit.pid
set idfile {self.dir}/monit.id
set statefile {self.dir}/monit.state
set httpd unixsocket {self.dir}/socket
 allow bench:bench
"""
        (self.dir / "pids").mkdir()
        for worker in self.ids:
            pidfile = self.dir / "pids" / str(worker)
            text += f"""check process w{worker} with pidfile {pidfile}
 start program = "{" ".join(self.worker(worker))} -d -p {pidfile}" with timeout 5 seconds
 stop program = "/bin/sh -c '/bin/kill `cat {pidfile}`'"
 if does not exist then restart
"""
        file = self.dir / "monitrc"
        file.write_text(text)
        file.chmod(0o600)

    def command(self) -> list[str]:
        return self.ctl("-I")

    def ctl(self, *words: str) -> list[str]:
        """A monit command."""
        return ["monit", "-c", str(self.dir / "monitrc"), *words]

    def status_command(self) -> list[str]:
        return self.ctl("summary", "-B")

    def stop_one_command(self, worker: int) -> list[str]:
        return self.ctl("stop", f"w{worker}")
