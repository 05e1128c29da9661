"""Streams that nobody writes to cost the pump nothing but a watch."""

import os

from tests.logs.rig import Rig, rest


def test_only_streams_that_were_written_to_are_held_open(rig: Rig) -> None:
    rig.keep("web-1.out", "web-1.err")
    rig.append("web-1.out", b"said\n")
    rig.append("web-1.err", b"")
    rig.drain()
    rest(rig)
    assert rig.pump is not None
    pid = rig.pump.id.pid
    files = {os.path.basename(os.readlink(f"/proc/{pid}/fd/{fd}")) for fd in os.listdir(f"/proc/{pid}/fd")}
    assert "web-1.out" in files
    assert "web-1.err" not in files
    rig.append("web-1.err", b"complained\n")
    rig.drain()
    assert rig.whole_log("web-1.err") == b"complained\n"
