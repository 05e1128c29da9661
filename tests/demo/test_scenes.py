"""Each scene passes, and each can fail: with a supervisor that does not do what the scene is about."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from pidward.demo import stage, stopwatch
from pidward.demo.scenes.scene import Scene
from pidward.demo.story import Kind, Outcome
from tests.demo.playing import BY_NAME, not_held, play


def playable(name: str) -> Scene:
    scene = BY_NAME[name]
    if missing := scene.missing():
        pytest.skip(missing)
    return scene


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not happen is given up sooner."""
    monkeypatch.setattr(stage, "PATIENCE", 1.5)
    monkeypatch.setattr(stopwatch, "_PATIENCE", 1.5)


@pytest.mark.parametrize("name", BY_NAME)
def test_it_passes(name: str) -> None:
    story = play(playable(name))
    assert story.outcome is Outcome.PASSED, not_held(story)
    assert {Kind.BROKE, Kind.SAW, Kind.HELD} <= {line.kind for line in story.lines}
    assert story.summary


@pytest.mark.parametrize("name", ["gunicorn", "redis", "nginx", "crash"])
def test_without_a_restart_it_fails(name: str) -> None:
    story = play(playable(name), defaults='restart = "never"')
    assert story.outcome is Outcome.FAILED
    assert "the restart policy is never" in not_held(story)[0]


def test_nginx_fails_when_the_orphans_may_keep_the_port() -> None:
    story = play(playable("nginx"), defaults='stop = { tree = "leave" }', end=Outcome.FAILED)
    assert story.outcome is Outcome.FAILED


def test_crash_fails_when_no_restart_waits() -> None:
    scene = BY_NAME["crash"]
    ordinary = scene.service
    assert ordinary is not None
    story = play(replace(scene, service=lambda on: ordinary(on).replace("delay = 0.2", "delay = 0")))
    assert not_held(story) == ["the second restart waited its 200 ms, give or take a tenth"]


@pytest.mark.usefixtures("impatient")
def test_daemons_fails_when_they_live_on() -> None:
    story = play(BY_NAME["daemons"], defaults='stop = { tree = "leave" }', end=Outcome.FAILED)
    assert "did not die" in not_held(story)[0]


def test_stubborn_fails_when_it_gets_no_grace() -> None:
    story = play(BY_NAME["stubborn"], defaults='stop = { signal = "SIGKILL" }')
    assert not_held(story) == ["it had its grace before"]


def test_typo_fails_when_the_program_exists_after_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pyhton3").symlink_to("/bin/false")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    story = play(BY_NAME["typo"])
    assert not_held(story) == ["it says what is wrong, and at which line of the file"]


@pytest.mark.parametrize("name", ["redis", "nginx"])
def test_a_missing_program_is_skipped_with_advice(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _program, path=None: None)
    story = play(BY_NAME[name])
    assert story.outcome is Outcome.SKIPPED
    assert "make deps-apt" in story.skipped
    assert story.lines == []
