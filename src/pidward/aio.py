"""pidward for asyncio: ``spawn``, ``open_process``, ``Process``, ``Supervisor``, and a child watcher for Python 3.11.

Part of the room library/; docs/library.md shows it at work.
"""

from pidward.library.asynchronous import Process, open_process, spawn
from pidward.library.supervisor_asynchronous import Supervisor

__all__ = ["Process", "spawn", "open_process", "Supervisor", "PidfdChildWatcher"]  # noqa: F822 - the last one is below


def __getattr__(name: str) -> object:
    """Import the watcher when it is asked for: Python 3.14 has no child watchers."""
    if name != "PidfdChildWatcher":
        raise AttributeError(f"module 'pidward.aio' has no attribute {name!r}")
    from pidward.library.watcher import PidfdChildWatcher  # noqa: PLC0415

    return PidfdChildWatcher
