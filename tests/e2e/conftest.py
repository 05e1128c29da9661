"""A supervisor for each test."""

from collections.abc import Iterator

import pytest

from tests.e2e.rig import Rig


@pytest.fixture
def rig() -> Iterator[Rig]:
    """An instance whose supervisor is not started yet; nothing of it outlives the test."""
    rig = Rig()
    try:
        yield rig
    finally:
        rig.close()
