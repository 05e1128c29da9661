"""A bench whose supervision has its attendants."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

import pytest

from pidward.core.units import Seconds
from pidward.kernel.cgroup import Located, look_for
from pidward.runtime.attendant import Surroundings
from pidward.runtime.attendants import Attendants
from tests.runtime.bench import Bench


class Attended(Bench):
    """As a ``Bench``; attendants are made as a configuration needs them."""

    def __init__(self, place: Located, native: bool = True) -> None:
        super().__init__(place, native)
        self.attendants = Attendants(self.surroundings)
        self.supervision.attended_by(self.attendants)

    @property
    def directory(self) -> str:
        return self._directory.name

    @property
    def surroundings(self) -> Surroundings:
        return self.supervision.surroundings(self.directory, self.directory)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.attendants.close()
        super().__exit__(kind, error, trace)

    def turn_for(self, seconds: float) -> None:
        """Turn the loop for a while, in which something must not happen."""
        end = self.loop.now() + seconds
        while (left := end - self.loop.now()) > 0:
            self.loop.call_at(self.loop.now() + left, lambda: None)  # type: ignore[arg-type]
            self.loop.turn(left)


def located(kind: str) -> Located:
    place = look_for(kind)
    if place.kind is None:
        pytest.skip(f"needs {kind}: {place.why}")
    return place


@contextmanager
def attended(rung: str) -> Iterator[Attended]:
    """On "native" or "python" with cgroup2, or "v1"."""
    with Attended(located("cgroup1" if rung == "v1" else "cgroup2"), rung != "python") as bench:
        yield bench


SHORT = Seconds(0.3)
