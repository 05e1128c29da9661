"""Listening sockets, against the real kernel."""

import os
import socket
import stat
from contextlib import closing
from pathlib import Path

import pytest

from pidward.core.spec import SocketKind, SocketSpec
from pidward.kernel.sockets import Listener, Owner

TCP = SocketSpec(SocketKind.TCP, "127.0.0.1")


def unix(path: Path, **changes: object) -> SocketSpec:
    return SocketSpec(SocketKind.UNIX, str(path), **changes)  # type: ignore[arg-type]


def view(listener: Listener) -> socket.socket:
    """The same socket through the eyes of Python."""
    return socket.socket(fileno=os.dup(listener.fileno()))


def test_tcp_is_bound_listens_and_blocks() -> None:
    with closing(Listener(TCP)) as listener, view(listener) as seen:
        assert seen.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 1
        assert os.get_blocking(listener.fileno())
        with socket.create_connection(seen.getsockname()[:2]) as client:
            accepted, who = seen.accept()
            accepted.close()
            assert who == client.getsockname()


def test_an_address_of_the_past_is_bound_again_at_once() -> None:
    with closing(Listener(TCP)) as listener, view(listener) as seen:
        port = seen.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", port))
        accepted, _ = seen.accept()
        accepted.close()  # the side that closes first lingers in TIME_WAIT
        client.close()
    Listener(TCP._replace(port=port)).close()


def test_ipv6_and_udp() -> None:
    with closing(Listener(SocketSpec(SocketKind.UDP, "::1"))) as listener, view(listener) as seen:
        assert (seen.family, seen.type) == (socket.AF_INET6, socket.SOCK_DGRAM)


def test_two_of_one_address_only_with_reuse_port() -> None:
    with closing(Listener(TCP)) as first, view(first) as seen:
        taken = TCP._replace(port=seen.getsockname()[1])
        with pytest.raises(OSError, match="Address already in use"):
            Listener(taken)
        with pytest.raises(OSError, match="Address already in use"):
            Listener(taken._replace(reuse_port=True))
    shared = taken._replace(reuse_port=True)
    with closing(Listener(shared)), closing(Listener(shared)):
        pass


def test_a_path_gets_its_mode_and_owner_and_goes_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "s"
    owner = Owner(12345, 54321) if os.geteuid() == 0 else Owner()
    listener = Listener(unix(path, mode=0o640), owner)
    status = path.stat()
    assert stat.S_ISSOCK(status.st_mode)
    assert status.st_mode & 0o777 == 0o640
    assert owner in (Owner(), (status.st_uid, status.st_gid))
    listener.adjust(unix(path, mode=0o600, backlog=1))
    assert path.stat().st_mode & 0o777 == 0o600
    listener.close()
    assert not path.exists()


def test_what_somebody_else_put_there_stays(tmp_path: Path) -> None:
    path = tmp_path / "s"
    listener = Listener(unix(path))
    path.unlink()
    path.write_text("mine")
    listener.close()
    assert path.read_text() == "mine"


def test_a_dead_socket_is_replaced_and_a_living_one_is_not(tmp_path: Path) -> None:
    path = tmp_path / "s"
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(path))
    dead.close()
    with closing(Listener(unix(path))):
        with pytest.raises(OSError, match="somebody listens there already"):
            Listener(unix(path))
        socket.socket(socket.AF_UNIX).close()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
    path.write_text("a file")
    with pytest.raises(OSError, match="no socket"):
        Listener(unix(path))
    assert path.read_text() == "a file"


def test_abstract_and_datagram(tmp_path: Path) -> None:
    with closing(Listener(SocketSpec(SocketKind.UNIX, f"@{tmp_path}"))), socket.socket(socket.AF_UNIX) as client:
        client.connect(f"\0{tmp_path}")
    with closing(Listener(SocketSpec(SocketKind.UNIX_DGRAM, str(tmp_path / "d")))) as listener, view(listener) as seen:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
            client.sendto(b"hello", str(tmp_path / "d"))
        assert seen.recv(10) == b"hello"


def test_what_fails_leaves_nothing(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match="too long"):
        Listener(unix(tmp_path / ("x" * 200)))
    with pytest.raises(FileNotFoundError):
        Listener(unix(tmp_path / "no" / "s"))
    with pytest.raises(OSError, match="assign"):
        Listener(SocketSpec(SocketKind.TCP, "192.0.2.1", 80))
    assert len(os.listdir("/proc/self/fd")) == before
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("when", ["at birth", "later"])
def test_a_link_in_the_place_of_the_path_is_not_followed(
    when: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever may write to the directory may put one there, and must not reach another's file through us."""
    path, precious = tmp_path / "s", tmp_path / "precious"
    precious.write_text("")
    precious.chmod(0o600)

    def swap() -> None:
        path.unlink()
        path.symlink_to(precious)

    if when == "at birth":
        lstat = os.lstat

        def lstat_and_swap(of: str) -> os.stat_result:
            found = lstat(of)
            swap()
            return found

        monkeypatch.setattr(os, "lstat", lstat_and_swap)
        with pytest.raises(OSError, match="s"):
            Listener(unix(path, mode=0o666))
        monkeypatch.undo()
    else:
        with closing(Listener(unix(path, mode=0o600))) as listener:
            swap()
            with pytest.raises(OSError, match="s"):
                listener.adjust(unix(path, mode=0o666))
    assert precious.stat().st_mode & 0o777 == 0o600
    assert path.is_symlink(), "what is not ours is not removed"


def test_nobody_comes_in_before_the_mode_is_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modes = []
    lstat = os.lstat

    def see(of: str) -> os.stat_result:
        modes.append(stat.S_IMODE(lstat(of).st_mode))
        return lstat(of)

    monkeypatch.setattr(os, "lstat", see)
    umask = os.umask(0)
    try:
        Listener(unix(tmp_path / "s", mode=0o660)).close()
        assert os.umask(0) == 0
    finally:
        os.umask(umask)
    assert modes[0] == 0o600
