from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.logs.rig import Rig


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    """A state directory with a running pump."""
    made = Rig(tmp_path)
    made.start()
    yield made
    made.stop()


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """A test that fails leaves no pump behind."""
    yield
    Rig.end_all()
