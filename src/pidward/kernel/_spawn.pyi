from collections.abc import Sequence
from typing import final

@final
class Prepared:
    def __new__(
        cls,
        path: bytes,
        argv: tuple[bytes, ...],
        env: tuple[bytes, ...],
        cwd: bytes,
        umask: int,
        stdin: bytes,
        stdout: bytes,
        stderr: bytes,
        limits: tuple[tuple[int, int, int], ...],
        nice: int | None,
        oom_score_adj: bytes,
        cgroup: bytes,
        descriptors: tuple[tuple[int, int], ...],
        gate: int,
        gate_number: int,
        optional: int,
        /,
    ) -> Prepared: ...

def call(number: int, /, *arguments: int | bytes | bytearray | None) -> int: ...
def spawn(
    batch: Sequence[Prepared], threads: int, reserved: int, placeholder: int, ignored: int, /
) -> list[tuple[str, int] | tuple[int, int, str, int] | tuple[int, int, str, int, int, int, int]]: ...
def granted() -> tuple[bool, bool]: ...
def ignored() -> int: ...
def waitid(pidfd: int, options: int, /) -> tuple[int, int, int, float, float, int]: ...
def read_start(path: str, /) -> bytes: ...
def ended(pidfd: int, options: int, path: str, /) -> tuple[int, int, float, float, int, bytes] | None: ...
