"""A supervisor to ask, without processes, and the command line pointed at it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from tests.cli.run import Ended, environment, pidward, pidward_on_terminal
from tests.control.fake import FakeDesk, serving


class Supervisor:
    """A served fake desk."""

    def __init__(self, path: str, desk: FakeDesk) -> None:
        self.path, self.desk = path, desk
        env = environment(PIDWARD_SOCKET=path)
        self.run: Callable[..., Ended] = partial(pidward, env=env)
        self.run_on_terminal: Callable[..., Ended] = partial(pidward_on_terminal, env=env)
        self.env = env


Serve = Callable[..., Supervisor]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Serve a fake desk, prepared by a function, until the test ends."""
    with ExitStack() as stack:

        def begin(
            prepare: Callable[[FakeDesk], None] | None = None, services: dict[str, int] | None = None
        ) -> Supervisor:
            return Supervisor(*stack.enter_context(serving(tmp_path, prepare, services)))

        yield begin


@pytest.fixture
def supervisor(serve: Serve) -> Supervisor:
    """A fake desk as it comes."""
    return serve()
