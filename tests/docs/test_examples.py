"""What pages show as configuration is one, and what they show as a unit is one."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pidward.config.load import parse

ROOT = Path(__file__).parents[2]
FRAGMENTS = {"groups", "notify", "order", "schema", "tutorial"}
"""Pages that show parts of a configuration."""
WHOLE = [page for page in (ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))) if page.stem not in FRAGMENTS]
TOML = re.compile(r"^```toml\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", WHOLE, ids=lambda page: page.stem)
def test_configurations_are_valid(page: Path) -> None:
    for text in TOML.findall(page.read_text()):
        parse(text, "/etc/pidward/pidward.toml")


def test_the_unit_is_valid(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd-analyze")
    found = re.search(r"^```ini\n(.*?)^```$", (ROOT / "docs/howto/systemd.md").read_text(), re.MULTILINE | re.DOTALL)
    assert found is not None
    unit = tmp_path / "pidward.service"
    unit.write_text(found[1].replace("/usr/bin/pidward", sys.executable))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, check=False)
    said = [line for line in done.stderr.splitlines() if "pidward" in line]
    assert (done.returncode, said) == (0, []), done.stderr
