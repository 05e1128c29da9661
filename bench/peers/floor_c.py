"""The floors in C: not peers, but what the kernel alone costs. bench/src/floor.c."""

from typing import ClassVar

from bench.harness.paths import BIN
from bench.harness.peer import Peer


class FloorC(Peer):
    """A bare loop: epoll on pidfds, waitid, clone."""

    name = "floor_c"
    floor = "none (a bare loop in C)"
    max_workers = 5000
    extra: ClassVar[dict[str, str]] = {}

    def version(self) -> str:
        return "src/floor.c"

    def configure(self) -> None:
        self.environment = dict(self.extra)
        if self.logging:
            self.environment |= {
                "FLOOR_LOG": str(self.logging.folder),
                "FLOOR_ROTATE": str(self.logging.max_bytes),
            }

    def command(self) -> list[str]:
        return [str(BIN / "floor"), str(self.n), *self.worker("%i")]


class FloorCSplice(FloorC):
    """The same; logs go by splice(2)."""

    name = "floor_c_splice"
    extra: ClassVar[dict[str, str]] = {"FLOOR_SPLICE": "1"}


class FloorCFast(FloorC):
    """The same; the supervisor's descriptor table is never copied."""

    name = "floor_c_fast"
    extra: ClassVar[dict[str, str]] = {"FLOOR_FAST": "1"}
