"""The command as people call it: the whole demo, its answers, and that nothing is left when it is interrupted."""

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.demo.playing import BY_NAME, Traces

COMMAND = [sys.executable, "-P", "-m", "pidward", "demo"]
PATIENCE = 60


def demo(*words: str, **env: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*COMMAND, *words], env=os.environ | env, capture_output=True, text=True, timeout=PATIENCE, check=False
    )


@contextmanager
def running_demo(*words: str) -> Iterator["subprocess.Popen[str]"]:
    """The demo under way, ended at the latest with this."""
    with subprocess.Popen([*COMMAND, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        handle = os.pidfd_open(process.pid)
        try:
            yield process
        finally:
            if process.poll() is None:
                signal.pidfd_send_signal(handle, signal.SIGTERM)
                select.select([handle], [], [], PATIENCE)
            os.close(handle)


def interrupt(process: "subprocess.Popen[str]", number: int) -> int:
    handle = os.pidfd_open(process.pid)
    signal.pidfd_send_signal(handle, number)
    os.close(handle)
    process.communicate(timeout=PATIENCE)
    return process.returncode


def test_the_whole_demo_passes() -> None:
    done = demo("--json")
    report = json.loads(done.stdout)
    assert done.returncode == 0, done.stdout
    assert done.stderr == ""
    assert report["proved"] is True
    assert [scene["name"] for scene in report["scenes"]] == [*BY_NAME, "down"]
    missing = [name for name, scene in BY_NAME.items() if scene.missing()]
    assert [scene["name"] for scene in report["scenes"] if scene["outcome"] == "skipped"] == missing
    assert (report["failed"], report["skipped"]) == (0, len(missing))
    times = [scene["timings"].get("death_to_first_instruction", 0.01) for scene in report["scenes"]]
    assert all(0 < time < 1 for time in times)


@pytest.mark.parametrize("mask", ["native", "cgroup2", "cgroup2,cgroup1", "native,cgroup2,cgroup1,pidfd_info"])
def test_it_passes_on_lower_rungs(mask: str) -> None:
    done = demo("crash", "daemons", "stubborn", PIDWARD_FEATURES_MASK=mask)
    assert done.returncode == 0, done.stdout
    assert "Every recovery really happened: 4 passed, in " in done.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("moment", ["pidward ", "4/", "stubborn/1 stopping", "given to a stranger,"])
def test_nothing_is_left_when_it_is_interrupted(traces: Traces, moment: str, number: int) -> None:
    if moment.startswith("given") and BY_NAME["reuse"].missing():
        pytest.skip(BY_NAME["reuse"].missing())
    with running_demo() as process:
        assert process.stdout is not None
        assert any(moment in line for line in process.stdout)
        traces.note_instances()
        assert traces.instances
        assert interrupt(process, number) == 130
        assert traces.found() == []


def test_what_is_kept_is_said_and_can_be_looked_at(traces: Traces) -> None:
    done = demo("--keep", "stubborn")
    [directory] = traces.directory.iterdir()
    assert str(directory) in done.stdout.replace("\n", " ").replace("- ", "-")
    checked = subprocess.run(
        [*COMMAND[:-1], "check", str(directory / "pidward.toml")], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr
    subprocess.run(["rm", "-r", directory], check=True)


def test_when_nothing_can_be_shown_nothing_is_proved() -> None:
    done = demo("redis", PATH="/nonexistent")
    assert "redis-server is not installed" in " ".join(done.stdout.split())
    assert done.returncode == 1


def test_an_unknown_scene_is_refused() -> None:
    done = demo("redes")
    assert done.returncode == 2
    assert "no scene is named 'redes'; there are gunicorn, redis," in done.stderr


def test_the_list_names_all_scenes() -> None:
    lines = demo("--list").stdout.splitlines()
    assert [line.split()[0] for line in lines if not line.startswith(" ")] == list(BY_NAME)
    assert [scene["name"] for scene in json.loads(demo("--list", "--json").stdout)["scenes"]] == list(BY_NAME)
