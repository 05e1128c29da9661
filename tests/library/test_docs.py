"""Every example of docs/library.md runs as it stands, and leaves nothing behind."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "library.md"
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
SOURCE = PAGE.parent.parent / "src"
CHECK = """
import os as _os
from pidward.kernel.procfs import own_children as _children
assert _children() == [], _children()
"""


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_an_example(number: int) -> None:
    code = EXAMPLES[number] + CHECK
    command = [sys.executable, "-W", "error", "-c", f"import sys; sys.path.insert(0, {str(SOURCE)!r})\n{code}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, ""), code


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 8


def test_strict_mypy_accepts_them(tmp_path: Path) -> None:
    files = [tmp_path / f"example_{number}.py" for number in range(len(EXAMPLES))]
    for file, text in zip(files, EXAMPLES, strict=True):
        file.write_text(text)
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--cache-dir", str(tmp_path / "cache")]
    checked = subprocess.run(
        [*command, *map(str, files)], cwd=tmp_path, capture_output=True, text=True, check=False,
        env=os.environ | {"MYPYPATH": str(SOURCE)},
    )  # fmt: skip
    assert checked.returncode == 0, checked.stdout + checked.stderr
