"""The viewer writes to whatever our stdout is."""

import os
import socket
import sys

import pytest

from pidward.runtime.detach import Background
from tests.isolation import run_apart


@pytest.mark.parametrize("kind", ["socket", "pipe", "file"])
def test_a_program_beside_us_has_our_stdout(kind: str, tmp_path) -> None:
    """Under systemd stdout is a socket, which has no path by which it could be opened."""

    def scenario() -> None:
        if kind == "socket":
            ours, theirs = (end.detach() for end in socket.socketpair())
        elif kind == "pipe":
            ours, theirs = os.pipe()
        else:
            path = tmp_path / "out"
            path.write_bytes(b"before ")
            theirs = os.open(path, os.O_WRONLY | os.O_APPEND)
            ours = os.open(path, os.O_RDONLY)
        os.dup2(theirs, 1)
        os.close(theirs)
        program = Background.beside_us([sys.executable, "-S", "-c", "import os; os.write(1, b'seen')"])
        status = program.wait(20)
        assert status is not None
        assert status.code == 0
        program.close()
        assert os.read(ours, 100).endswith(b"seen")

    run_apart(scenario)


def test_what_cannot_be_started_is_an_os_error() -> None:
    with pytest.raises(OSError, match="cannot start") as caught:
        Background.beside_us(["/nowhere/program"])
    assert caught.value.errno
