import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.demo.playing import Traces


@pytest.fixture(autouse=True)
def traces(monkeypatch: pytest.MonkeyPatch) -> Iterator[Traces]:
    """Demos have their directories in one of ours, whose name is short enough for sockets; nothing is left of them."""
    directory = Path(tempfile.mkdtemp(prefix="pw-"))
    traces = Traces(directory)
    make = tempfile.mkdtemp

    def noting(prefix: str) -> str:
        path = make(prefix=prefix, dir=directory)
        traces.note_instances()
        return path

    monkeypatch.setattr(tempfile, "mkdtemp", noting)
    monkeypatch.setenv("TMPDIR", str(directory))
    try:
        yield traces
        assert traces.found() == []
    finally:
        shutil.rmtree(directory)
