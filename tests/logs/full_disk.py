"""Run as a program, in a mount namespace of its own: argv[1] is a directory to mount a small tmpfs on.

Exits 0 when a full disk was survived, 77 when the namespace cannot be had; what went wrong is in argv[1]/said.
"""

import os
import sys
import traceback
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2] / "src"), str(Path(__file__).parents[2])]

from pidward.kernel import abi  # noqa: E402
from tests.logs.rig import Rig, numbered, numbers  # noqa: E402

CLONE_NEWNS, MS_REC, MS_PRIVATE = 0x20000, 0x4000, 0x40000


def mount_small(path: Path, size: str) -> None:
    """A tmpfs that only this process sees."""
    libc = abi.libc()
    if libc.unshare(CLONE_NEWNS) or libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None):
        os._exit(77)
    if libc.mount(b"tmpfs", os.fsencode(path), b"tmpfs", 0, b"size=" + size.encode()):
        os._exit(77)


def main(base: Path) -> None:
    rig = Rig(base)
    rig.logs.mkdir()
    mount_small(rig.logs, "1m")
    ballast = rig.logs / "ballast"
    ballast.write_bytes(bytes(900_000))
    rig.start()
    rig.keep("web-1.out")
    rig.append("web-1.out", numbered(0, 5000))  # 350 kB
    trouble = rig.wait_for("trouble")
    assert "No space left on device" in str(trouble), trouble
    rig.drain()
    rig.kill()
    rig.start()
    rig.append("web-1.out", numbered(5000, 1000))
    assert "No space" in str(rig.wait_for("trouble"))
    ballast.unlink()
    assert rig.wait_for("trouble") == ("trouble", "")
    rig.drain()
    assert numbers(rig.whole_log("web-1.out")) == list(range(6000))
    rig.stop()


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except BaseException:
        Path(sys.argv[1], "said").write_text(traceback.format_exc())
        raise
