"""Runs the command line as people do: in a process of its own."""

import os
import pty
import subprocess
import sys
import termios
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

PYTHON = (sys.executable, "-c", "import sys; from pidward.cli import main; sys.exit(main())")
_DROP_ROOT = """\
import os, sys, shutil, locale, pidward.cli.parser, pidward.cli.kill, pidward.cli.status  # while they can be read
os.setgid(65534); os.setuid(65534); sys.exit(pidward.cli.main())
"""
AS_NOBODY = (sys.executable, "-c", _DROP_ROOT)
SOURCES = os.pathsep.join(str(Path(path).resolve()) for path in sys.path if path)


class Ended(NamedTuple):
    """What became of a command."""

    status: int
    out: str
    err: str


def environment(**changes: str) -> dict[str, str]:
    """A clean one: nothing of pidward's, nothing about colours."""
    kept = {key: os.environ[key] for key in ("PATH", "LANG", "PYTHONPYCACHEPREFIX") if key in os.environ}
    return {**kept, "HOME": "/nonexistent", "TERM": "xterm", "PYTHONPATH": SOURCES, **changes}


def pidward(
    *words: str, env: Mapping[str, str] | None = None, cwd: Path | None = None, argv: Sequence[str] = PYTHON
) -> Ended:
    """Run one command with its output in pipes."""
    full_env = dict(env or environment())
    done = subprocess.run(
        [*argv, *words], env=full_env, cwd=cwd, capture_output=True, text=True, timeout=60, check=False
    )
    assert "Traceback" not in done.stderr, done.stderr
    return Ended(done.returncode, done.stdout, done.stderr)


def pidward_on_terminal(*words: str, env: Mapping[str, str] | None = None, width: int = 0) -> Ended:
    """Run one command with its output on a terminal; what it wrote is all in ``out``."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, width))
    child = subprocess.Popen([*PYTHON, *words], env=dict(env or environment()), stdout=theirs, stderr=theirs)
    os.close(theirs)
    parts = []
    try:
        while part := os.read(ours, 65536):
            parts.append(part)
    except OSError:
        pass  # EIO: the other end is closed
    os.close(ours)
    return Ended(child.wait(60), b"".join(parts).decode(), "")
