"""pidward for asyncio: ``spawn``, ``open_process``, ``Process``, ``Supervisor``, and a child watcher for Python 3.11.

Part of the room library/; docs/library.md shows it at work.
"""

from typing import TYPE_CHECKING

from pidward.library.asynchronous import Process, open_process, spawn
from pidward.library.supervisor_asynchronous import Supervisor

if TYPE_CHECKING:
    from pidward.library.watcher import PidfdChildWatcher

__all__ = ["Process", "spawn", "open_process", "Supervisor", "PidfdChildWatcher"]


def __getattr__(name: str) -> object:
    """Import the watcher when it is asked for: Python 3.14 has no child watchers."""
    if name != "PidfdChildWatcher":
        raise AttributeError(f"module 'pidward.aio' has no attribute {name!r}")
    from pidward.library.watcher import PidfdChildWatcher  # noqa: PLC0415

    return PidfdChildWatcher
