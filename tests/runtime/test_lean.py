"""What the two processes that run for ever do not load: each of these stays in memory for as long as they run."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("pidward.kernel._spawn")  # without it ctypes is needed
SRC = str(Path(__file__).parents[2] / "src")


def loaded_by(module: str) -> set[str]:
    program = f"import sys; sys.path[:0] = [{SRC!r}]; import {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_the_pump_is_as_small_as_an_interpreter_can_be() -> None:
    loaded = loaded_by("pidward.logs.pump")
    assert "pidward.logs.pump" in loaded
    assert not loaded & {"collections", "ctypes", "enum", "functools", "json", "re", "typing"}


def test_the_supervisor_does_not_load_what_few_need() -> None:
    loaded = loaded_by("pidward.cli.supervising")
    assert "pidward.runtime.supervise" in loaded
    assert not loaded & {
        "argparse", "ctypes", "dataclasses", "datetime", "difflib", "grp", "inspect", "json", "logging", "pwd", "re",
        "selectors", "socket", "subprocess", "tomllib", "typing", "pidward.cli.viewer", "pidward.config.load",
        "pidward.logs.pump", "pidward.logs.reader",
    }  # fmt: skip
