"""The man page is what the commands say of themselves now, and man takes it."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from pidward.cli.manpage import page
from pidward.cli.table import COMMANDS

MADE = Path(__file__).parents[2] / "docs" / "pidward.1"


def test_it_is_fresh() -> None:
    assert MADE.read_text() == page(), "run: python -m pidward.cli.manpage > docs/pidward.1"


def test_every_command_is_in_it() -> None:
    text = page()
    for name, (_, summary) in COMMANDS.items():
        assert re.search(rf"^\.B pidward {name}\b", text, re.MULTILINE)
        assert summary[1:].replace("-", "\\-") in text


@pytest.mark.skipif(shutil.which("man") is None, reason="needs man")
def test_man_shows_it() -> None:
    env = {**os.environ, "MANWIDTH": "80", "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        ["man", "--warnings", "-P", "cat", "-l", str(MADE)], env=env, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    assert "pidward restart [--all] [--rolling [N]]" in done.stdout
    assert "replace N workers at a time" in re.sub(r"\s+", " ", done.stdout).lower().replace("replace n", "replace N")
