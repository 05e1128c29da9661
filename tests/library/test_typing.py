"""The library is typed for those who use it, from an installed copy too."""

import os
import subprocess
import sys
from pathlib import Path

import pidward

PACKAGE = Path(pidward.__file__).parent


def test_strict_mypy_agrees(tmp_path: Path) -> None:
    settings = tmp_path / "mypy.ini"
    settings.write_text("[mypy]\nstrict = true\n")
    command = [sys.executable, "-m", "mypy", "--config-file", str(settings), "--cache-dir", str(tmp_path / "cache")]
    checked = subprocess.run(
        [*command, str(Path(__file__).with_name("typed.py"))], cwd=tmp_path, capture_output=True, text=True,
        check=False, env=os.environ | {"MYPYPATH": str(PACKAGE.parent)},
    )  # fmt: skip
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_marker_is_there() -> None:
    assert (PACKAGE / "py.typed").exists()
    assert (PACKAGE / "__init__.pyi").exists()
