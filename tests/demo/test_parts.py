"""The parts that the demo's honesty hangs on: its clock, its witnesses, and what it tells."""

import io
import os
import signal
from pathlib import Path

import pytest

from pidward.demo import namespace, stopwatch
from pidward.demo.narrator import Narrator, Played
from pidward.demo.program import Program
from pidward.demo.reports import Reports
from pidward.demo.scenes import SCENES
from pidward.demo.scenes.scene import no_loopback
from pidward.demo.show import is_proved
from pidward.demo.stopwatch import Stopwatch, wait_death
from pidward.demo.story import Kind, Line, Story, Unmet
from pidward.demo.workers import program
from pidward.kernel import abi
from pidward.kernel.clock import boottime
from tests.isolation import run_apart

CLONE_NEWNET = 0x4000_0000


@pytest.mark.parametrize("is_exact", [True, False])
def test_the_first_instruction_is_between_start_and_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_exact: bool
) -> None:
    if not is_exact:
        monkeypatch.setattr(stopwatch, "FIRST", "/nonexistent")
    watch = Stopwatch(str(tmp_path / "fifo"))
    if watch.is_exact != is_exact:
        pytest.skip("needs the native part")
    before = boottime()
    output = tmp_path / "output"
    command = watch.on("/bin/echo", "become", "this")
    with Program.start(command, str(output)) as started:
        first = watch.first_instruction(started.handle.id.pid, before)
        status = started.wait(10)
    assert before < first < boottime()
    assert status is not None
    assert (status.code, output.read_text()) == (0, "become this\n")
    watch.close()


def test_another_process_or_time_is_not_taken_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pidward.demo.reports.PATIENCE", 0.05)
    watch = Stopwatch(str(tmp_path / "fifo"))
    before = boottime()
    with Program.start(watch.on("/bin/true"), "/dev/null") as started:
        wait_death(started.handle)
    with pytest.raises(Unmet):
        watch.first_instruction(started.handle.id.pid + 1, before)
    watch.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGSTOP, signal.SIGKILL])
def test_a_stranger_that_was_signalled_is_no_longer_untouched(tmp_path: Path, number: int) -> None:
    with (
        Reports(str(tmp_path / "fifo")) as reports,
        Program.start(program("stranger", reports.path), "/dev/null") as stranger,
    ):
        reports.wait("the stranger")
        assert namespace.is_untouched(stranger.handle)
        stranger.handle.signal(number)
        if number == signal.SIGKILL:
            wait_death(stranger.handle)
        if number == signal.SIGSTOP:
            os.waitid(os.P_PIDFD, stranger.handle.fileno(), os.WSTOPPED)
        assert not namespace.is_untouched(stranger.handle)


def told(*lines: Line, colours: bool = False) -> str:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    narrator = Narrator(stream, colours)
    narrator.begin(1, 9, SCENES[0])
    for line in lines:
        narrator.tell(line)
    stream.seek(0)
    return stream.read()


LONG = "killed by SIGKILL; killing what it left behind " * 5
LINES = [Line(Kind.BROKE, f"SIGKILL to 12:3456, {LONG}"), Line(Kind.SAW, LONG, 0.00123), Line(Kind.HELD, LONG)]


def test_no_line_is_wider_than_the_terminal() -> None:
    assert max(map(len, told(*LINES).splitlines())) <= 80


def test_colours_change_no_word() -> None:
    coloured = told(*LINES, colours=True)
    assert "\x1b[34m12:3456\x1b[0m" in coloured
    plain = coloured
    for code in ("0", "1", "31", "32", "34", "90"):
        plain = plain.replace(f"\x1b[{code}m", "")
    assert plain == told(*LINES)


def test_what_controls_a_terminal_is_not_passed_on() -> None:
    assert "\x1b" not in told(Line(Kind.SAW, "\x1b[2Jgone"))


def test_one_fact_that_does_not_hold_is_enough() -> None:
    good, bad, empty, skipped = Story(), Story(), Story(), Story(skipped="why")
    good.check(True, "so")
    bad.check(True, "so")
    bad.check(False, "not so")
    scene = SCENES[0]

    def verdict(*stories: Story) -> bool:
        return is_proved([Played(scene, story) for story in stories])

    assert verdict(good, skipped, good)
    assert not verdict(good, bad, good)
    assert not verdict(good, empty, good)
    assert not verdict(skipped, good)


def test_scenes_that_need_the_loopback_interface_say_so_where_it_is_down() -> None:
    def scenario() -> None:
        assert abi.libc().unshare(CLONE_NEWNET) == 0
        assert "lo up" in no_loopback()
        scenes = {scene.name: scene for scene in SCENES}
        assert scenes["nginx"].missing()
        assert scenes["gunicorn"].missing()

    if os.geteuid() != 0:
        pytest.skip("CAP_SYS_ADMIN: no network namespace of our own")
    assert no_loopback() == ""
    run_apart(scenario)
