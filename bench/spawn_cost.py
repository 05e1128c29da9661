"""What one start costs the caller, beside what Python offers; prints a table.

    python bench/spawn_cost.py [--rounds N] [--open-files N]

The program is the shim without arguments: static, ends at once. Methods take turns, so that other load hits all alike.
Reaping is not timed. A batch is timed as a whole and divided.
"""

import argparse
import os
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from pidward.kernel import cgroup
from pidward.kernel.limits import raise_nofile
from pidward.kernel.pidfd import Pidfd
from pidward.kernel.spawn import SHIM, Failure, Ids, Plan, Spawner, native_is_built
from pidward.kernel.wait import reap, wait_exit

BATCH = 500
ENV = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "INVOCATION_ID": "0" * 32}
Timed = Callable[[], list[float]]


def popen() -> list[float]:
    """subprocess.Popen as a supervisor would call it."""
    start = time.perf_counter()
    child = subprocess.Popen(
        [SHIM], env=ENV, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True
    )
    took = time.perf_counter() - start
    child.wait()
    return [took]


def posix_spawn() -> list[float]:
    """os.posix_spawn and a pidfd."""
    actions = [(os.POSIX_SPAWN_OPEN, fd, "/dev/null", os.O_RDWR, 0) for fd in range(3)]
    start = time.perf_counter()
    pid = os.posix_spawn(SHIM, [SHIM], ENV, file_actions=actions, setsid=True, setsigmask=())
    child = Pidfd.open(pid)
    took = time.perf_counter() - start
    _reap(child)
    return [took]


def ours(spawner: Spawner, size: int = 1, threads: int = 1, **more: object) -> Timed:
    """The time of one spawn of a batch of this size."""
    env = tuple(f"{name}={value}".encode() for name, value in ENV.items())
    plan = Plan(**{"path": SHIM, "argv": (SHIM,), "env": env, **more})  # type: ignore[arg-type]
    prepared = [spawner.prepare(plan) for _ in range(size)]

    def spawn() -> list[float]:
        start = time.perf_counter()
        results = spawner.spawn(prepared, threads)
        took = time.perf_counter() - start
        for one in results:
            if isinstance(one, Failure):
                raise SystemExit(f"a spawn failed: {one}")
            _reap(one.pidfd)
            if one.gate is not None:
                one.gate.close()
        return [took / size]

    return spawn


def _reap(child: Pidfd) -> None:
    wait_exit(child)
    reap(child)
    child.close()


@contextmanager
def a_cgroup() -> Iterator[bytes | None]:
    """A cgroup v2 directory, if one can be had."""
    located = cgroup.look_for("cgroup2")
    if located.kind is None:
        yield None
        return
    directory = Path(located.path) / f"pidward-bench-{os.getpid()}"
    directory.mkdir()
    yield bytes(directory)
    directory.rmdir()


def methods(native: Spawner, python: Spawner, group: bytes | None) -> dict[str, tuple[Timed, int]]:
    """Each way, and for how many of its rounds one turn counts."""
    table: dict[str, tuple[Timed, int]] = {"subprocess.Popen": (popen, 1), "posix_spawn + pidfd_open": (posix_spawn, 1)}
    if native_is_built():
        table["pidward"] = (ours(native), 1)
        table["pidward, two log files"] = (
            ours(native, stdout=b"/tmp/pidward-bench.log", stderr=b"/tmp/pidward-bench.log"),
            1,
        )
        if group is not None:
            table["pidward, in its cgroup"] = (ours(native, cgroup=group), 1)
        table["pidward, through the shim"] = (ours(native, ids=Ids(os.getuid(), os.getgid(), ())), 1)
        for threads in (1, 2):
            table[f"pidward, {BATCH} in a batch, threads: {threads}"] = (
                ours(native, BATCH, threads, cgroup=group),
                100,
            )
    table["pidward, pure Python"] = (ours(python), 10)
    return table


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--open-files", type=int, default=0, help="descriptors that the caller has open besides")
    options = parser.parse_args()
    raise_nofile()
    with closing(Spawner()) as native, closing(Spawner(native=False)) as python, a_cgroup() as group:
        table = methods(native, python, group)
        files = [os.dup(0) for _ in range(options.open_files)]
        times: dict[str, list[float]] = {name: [] for name in table}
        for turn in range(options.rounds):
            for name, (timed, every) in table.items():
                if turn % every == 0:
                    times[name] += timed()
    print(f"us a start, {options.rounds} rounds, {len(files)} more descriptors open, load {os.getloadavg()[0]:.1f}")
    print(f"{'':42}{'p50':>8}{'min':>8}{'p99':>8}")
    for name, all_times in times.items():
        ordered = sorted(all_times)
        p50, least, p99 = statistics.median(ordered), ordered[0], ordered[int(len(ordered) * 0.99)]
        print(f"{name:42}{p50 * 1e6:8.0f}{least * 1e6:8.0f}{p99 * 1e6:8.0f}")


if __name__ == "__main__":
    main()
