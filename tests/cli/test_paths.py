"""Where things are, from the environment, the options and the file."""

import os
from pathlib import Path

import pytest

from pidward.cli import paths
from pidward.cli.failure import Failure
from pidward.cli.here import Here, take_shared


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("PIDWARD_SOCKET", "PIDWARD_INSTANCE", "XDG_RUNTIME_DIR", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/home/u")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(paths, "CONFIGURATIONS", ("pidward.toml", str(tmp_path / "etc" / "pidward.toml")))


def here(*words: str) -> Here:
    return take_shared(words)[0]


def as_user(monkeypatch: pytest.MonkeyPatch, uid: int) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: uid)


def test_root(monkeypatch: pytest.MonkeyPatch) -> None:
    as_user(monkeypatch, 0)
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/0")
    assert paths.socket_of(here()) == "/run/pidward/control.sock"
    assert paths.state_dir_of(here()) == "/var/lib/pidward"
    assert paths.socket_of(here("--instance", "blue")) == "/run/pidward/blue/control.sock"
    assert paths.state_dir_of(here("--instance=blue")) == "/var/lib/pidward/blue"
    assert paths.socket_of(here("--instance", "default")) == "/run/pidward/control.sock"


def test_a_user(monkeypatch: pytest.MonkeyPatch) -> None:
    as_user(monkeypatch, 54321)
    assert paths.socket_of(here()) == "/tmp/pidward-54321/control.sock"
    assert paths.state_dir_of(here()) == "/home/u/.local/state/pidward"
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/54321")
    monkeypatch.setenv("XDG_STATE_HOME", "/home/u/state")
    monkeypatch.setenv("PIDWARD_INSTANCE", "blue")
    assert paths.socket_of(here()) == "/run/user/54321/pidward/blue/control.sock"
    assert paths.state_dir_of(here()) == "/home/u/state/pidward/blue"
    assert paths.runtime_dir_of(here("--instance", "red")) == "/run/user/54321/pidward/red"


def test_a_squatted_directory_in_tmp_is_refused(tmp_path: Path) -> None:
    paths._check_ours(str(tmp_path / "missing"), os.getuid())
    (tmp_path / "ours").mkdir(mode=0o700)
    paths._check_ours(str(tmp_path / "ours"), os.getuid())
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o755)
    (tmp_path / "link").symlink_to(tmp_path / "ours")
    for name, uid in (("ours", os.getuid() + 1), ("open", os.getuid()), ("link", os.getuid())):
        with pytest.raises(Failure, match="set XDG_RUNTIME_DIR") as failure:
            paths._check_ours(str(tmp_path / name), uid)
        assert failure.value.status == 4


def test_the_command_line_outranks_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    as_user(monkeypatch, 0)
    monkeypatch.setenv("PIDWARD_SOCKET", "/from/environment")
    assert paths.socket_of(here()) == "/from/environment"
    assert paths.socket_of(here("--socket", "/from/option")) == "/from/option"
    assert paths.socket_of(here("--instance", "blue")) == "/run/pidward/blue/control.sock"


def test_the_file_may_say_where_the_socket_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    as_user(monkeypatch, 0)
    default = "/run/pidward/control.sock"
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "pidward.toml").write_text('[pidward]\nruntime_dir = "/srv/etc"\n')
    assert paths.socket_of(here()) == "/srv/etc/control.sock"
    (tmp_path / "pidward.toml").write_text('[pidward]\nstate_dir = "/srv"\n')
    assert paths.socket_of(here()) == default
    (tmp_path / "pidward.toml").write_text('# runtime_dir = "/srv/comment"\n')
    assert paths.socket_of(here()) == default
    (tmp_path / "other.toml").write_text('[pidward]\nruntime_dir = "/srv/other"\n')
    assert paths.socket_of(here("-c", "other.toml")) == "/srv/other/control.sock"
    assert paths.socket_of(here("-cother.toml")) == "/srv/other/control.sock"
    assert paths.socket_of(here("--config=other.toml", "--socket", "/x")) == "/x"


@pytest.mark.parametrize("text", ["runtime_dir = [", '[pidward]\nruntime_dir = "\xff"'])
def test_a_broken_file_is_said_when_it_matters(tmp_path: Path, text: str) -> None:
    (tmp_path / "pidward.toml").write_bytes(text.encode("latin-1"))
    with pytest.raises(Failure, match="--socket PATH does without") as failure:
        paths.socket_of(here())
    assert failure.value.status == 2


def test_a_missing_file_is_said() -> None:
    with pytest.raises(Failure, match=r"missing\.toml: cannot be read"):
        paths.socket_of(here("-c", "missing.toml"))


@pytest.mark.parametrize("name", ["", "..", "a/b", "-x", ".x", "x y", "é", "x" * 65])
def test_instances_are_names_of_directories(name: str) -> None:
    one = Here()
    one.instance = name or " "
    with pytest.raises(Failure, match="instance"):
        paths.instance_of(one)
