from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pidward.core.units import Seconds
from pidward.store.store import Store

Opener = Callable[..., Store]


class Troubles(list[str | None]):
    """What was reported, in order."""

    @property
    def now(self) -> str | None:
        return self[-1] if self else None


@pytest.fixture
def troubles() -> Troubles:
    return Troubles()


@pytest.fixture
def open_store(tmp_path: Path, troubles: Troubles) -> Iterator[Opener]:
    """Opens the store of this test; all are closed at the end."""
    opened = []

    def opener(path: Path = tmp_path / "state.db", boot: str = "boot", history: float = 1e9, most: int = 1000) -> Store:
        store = Store.open(
            str(path), boot_id=boot, history=Seconds(history), history_max=most, on_trouble=troubles.append
        )
        opened.append(store)
        return store

    yield opener
    for store in opened:
        store.close()
