"""``pidward tree`` over real processes: daemons found, command lines harmless, nobody left behind by looking."""

import os
import sys

import pytest

from pidward.kernel.cgroup import look_for
from pidward.kernel.pidfd import Pidfd
from pidward.kernel.procfs import children
from tests.e2e.rig import Rig, eventually, service

DAEMON = """\
import os, sys, time
ready, told = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        if sys.argv[1] != "-":
            open(sys.argv[1] + "/cgroup.procs", "w").write("0")
        os.write(told, b"x")
        os.execv("/bin/sleep", ["sl\\x1b[31mep", "infinity"])
    os._exit(0)
os.wait()
os.read(ready, 1)
os.write(int(sys.argv[2]), b"\\n")
os.execv("/bin/sleep", ["sleep", "infinity"])
"""


def trees(rig: Rig, *words: str) -> dict[str, list[dict[str, object]]]:
    told = rig.cli("tree", *words, "--json")
    assert (told.status, told.err) == (0, "")
    return {tree["worker"]: tree["processes"] for tree in told.json["trees"]}


@pytest.mark.parametrize("mask", ["", "cgroup2", "cgroup2,cgroup1"])
def test_a_daemon_is_found_and_marked(rig: Rig, mask: str) -> None:
    command = [sys.executable, "-c", DAEMON, "-", "3"]
    rig.configure(service("web", command, ready={"fd": 3}), service("plain"))
    rig.up(mask=mask)
    with rig.hold_when_ready("web/1") as main:
        found = trees(rig)
        assert [(one["main"], one["escaped"]) for one in found["web/1"]] == [(True, None), (False, "left its parent")]
        assert found["web/1"][0]["process"] == str(main.id)
        assert found["web/1"][1]["command"] == "sl\x1b[31mep infinity"
        assert [one["main"] for one in found["plain/1"]] == [True]
        assert "sl?[31mep infinity  (left its parent)" in rig.cli("tree", "web").out


@pytest.mark.skipif(look_for("cgroup2").kind is None, reason="needs cgroup2")
def test_whoever_left_the_cgroup_is_known_by_its_environment(rig: Rig) -> None:
    elsewhere = look_for("cgroup2").group(f"pw-tree-{os.getpid()}")
    elsewhere.create()
    try:
        command = [sys.executable, "-c", DAEMON, elsewhere.path, "3"]
        rig.configure(service("web", command, ready={"fd": 3}))
        rig.up()
        rig.wait("web/1", "ready")
        assert [one["escaped"] for one in trees(rig)["web/1"]] == [None, "left the cgroup"]
    finally:
        elsewhere.kill()
        while not elsewhere.remove():
            os.sched_yield()


def test_looking_leaves_nothing(rig: Rig) -> None:
    rig.configure(service("plain"))
    rig.up()
    rig.wait("plain/1", "ready")

    def belongings() -> tuple[int, int]:
        with Pidfd.open(rig.process.id.pid) as supervisor:
            return len(children(supervisor)), len(os.listdir(f"/proc/{supervisor.id.pid}/fd"))

    trees(rig)
    before = belongings()
    for _ in range(5):
        trees(rig)
    eventually(lambda: belongings() <= before)  # a client that has left takes a turn of the loop
