"""Everything that docs/tutorial.md says, done: its files written, its commands typed, its answers compared."""

import fcntl
import os
import pwd
import shutil
import socket
import sys
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.console import Terminal, fits, shape, steps_of

GATE = "waits at its gate until it is recorded"
"""Told where there are no cgroups, and not there on the page."""
PAGE = Path(__file__).parents[2] / "docs" / "tutorial.md"


@pytest.fixture
def place() -> Iterator[Path]:
    """A short path: that of a socket has at most 107 bytes."""
    path = Path(tempfile.mkdtemp(prefix="pw-"))
    yield path
    remove(path)


def remove(path: Path) -> None:
    """Remove it when the log pump, which outlives its supervisor a little, has done its work."""
    lock = path / "state" / "spool" / ".pump.lock"
    if lock.exists():
        with lock.open() as file:
            fcntl.flock(file, fcntl.LOCK_EX)
    shutil.rmtree(path)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def user() -> str:
    return pwd.getpwuid(os.geteuid()).pw_name


def session(place: Path) -> Iterator[tuple[str, str, str, slice]]:
    """Do what the page says; each command, what the page shows as its answer, what the answer is, and where it is."""
    home = place / "shop"
    home.mkdir()
    ports = {"6379": str(free_port()), "8000": str(free_port())}
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "LC_ALL": "C.UTF-8",
        "PIDWARD_INSTANCE": "t" + uuid.uuid4().hex[:12],
    }  # fmt: skip
    settings = f'\n[pidward]\nstate_dir = "{place}/state"\nruntime_dir = "{place}/run"\n'
    own = {"/tmp/shop": str(home), **ports}
    shown = {str(home): "/tmp/shop", f"{place}/run": "/run/user/1000/pidward", f"by {user()} (": "by ann ("}

    def replaced(text: str, words: dict[str, str]) -> str:
        for old, new in words.items():
            text = text.replace(old, new)
        return text

    terminal = Terminal(home, settings, environment)
    try:
        for step in steps_of(PAGE.read_text()):
            got = terminal.do(step._replace(name=replaced(step.name, own), text=replaced(step.text, own)))
            lines = [line for line in replaced(got, shown).splitlines() if GATE not in line]
            if step.kind == "type":
                yield step.name, step.text, "".join(line.rstrip() + "\n" for line in lines), step.at
    finally:
        terminal.type("pidward down --now")
        terminal.close()


def test_the_tutorial(place: Path) -> None:
    for program in ("redis-server", "curl"):
        if shutil.which(program) is None:
            pytest.skip(f"needs {program}")
    pytest.importorskip("gunicorn")
    pytest.importorskip("redis")
    for command, shown, got, _ in session(place):
        assert fits(shown, got), f"$ {command}\n{got}\n  in shape:\n{shape(got)}\n  and the page:\n{shape(shown)}"


def refresh() -> None:
    """Write the present answers into the page: ``python -m tests.docs.test_tutorial``. Read the result."""
    place = Path(tempfile.mkdtemp(prefix="pw-"))
    page = PAGE.read_text()
    for _, shown, got, at in reversed(list(session(place))):
        if "..." not in shown.splitlines():
            page = page[: at.start] + got + page[at.stop :]
    PAGE.write_text(page)
    remove(place)


if __name__ == "__main__":
    refresh()
