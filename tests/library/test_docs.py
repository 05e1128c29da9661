"""Every example of docs/library.md runs as it stands, and leaves nothing behind."""

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
