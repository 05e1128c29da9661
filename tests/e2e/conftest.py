"""A supervisor for each test."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.e2e.rig import Rig


@contextmanager
def new_rig() -> Iterator[Rig]:
    rig = Rig()
    try:
        yield rig
    finally:
        rig.close()


@pytest.fixture
def rig() -> Iterator[Rig]:
    """An instance whose supervisor is not started yet; nothing of it outlives the test."""
    with new_rig() as rig:
        yield rig


@pytest.fixture
def roots() -> Iterator[Rig]:
    """The same, where ``rig`` is somebody else's."""
    with new_rig() as rig:
        yield rig
