"""Real processes, both rungs of the spawner, and features taken away."""

from collections.abc import Callable, Iterator

import pytest

from pidward.kernel import mask, pidfd
from pidward.kernel.pidfd import Pidfd
from pidward.kernel.spawn import native_is_built
from tests.isolation import end, fork
from tests.kernel.spawning import Launcher

Start = Callable[[Callable[[], int | None]], Pidfd]


@pytest.fixture
def start() -> Iterator[Start]:
    """Fork children that are killed and reaped after the test."""
    started: list[Pidfd] = []

    def start_one(act: Callable[[], int | None]) -> Pidfd:
        started.append(fork(act))
        return started[-1]

    yield start_one
    for process in started:
        if not process.is_closed:
            end(process)


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Take features away, as PIDWARD_FEATURES_MASK does: a comma list."""

    def forget() -> None:
        mask.taken_away.cache_clear()
        pidfd._pidfs_devices.clear()

    def take_away(names: str) -> None:
        monkeypatch.setenv(mask.VARIABLE, names)
        forget()

    yield take_away
    monkeypatch.undo()
    forget()


@pytest.fixture(params=["native", "python"])
def launcher(request: pytest.FixtureRequest) -> Iterator[Launcher]:
    """A spawner of either rung; its processes end with the test."""
    if request.param == "native" and not native_is_built():
        pytest.skip("needs native: it was not built")
    with Launcher(native=request.param == "native") as launcher:
        yield launcher
