"""Programs with bad manners, to be supervised. Each file is run by its path and imports nothing of pidward."""

import sys
from pathlib import Path


def program(name: str, *arguments: str) -> list[str]:
    """The command of one of these programs: this Python without its site packages, which is quick to start."""
    return [sys.executable, "-I", "-S", str(Path(__file__).with_name(f"{name}.py")), *arguments]
