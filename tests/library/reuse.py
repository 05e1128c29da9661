"""The library under forced reuse: what is played inside a namespace, see tests/reuse.

A child of ours ends, somebody else reaps it, and its number goes to another child of ours: the worst case, for all that
Python's own classes do by number works on that one as well.
"""

import asyncio
import os
import signal
import warnings

from pidward import Recycled, aio, open_process, spawn
from pidward.library.watcher import PidfdChildWatcher
from tests.reuse.namespace import Process, spawn_child

_EXITS = ["/bin/sh", "-c", "exit 3"]
_EXITS_WHEN_TOLD = ["/bin/sh", "-c", "read x; exit 3"]


def _untouched(innocent: Process) -> str:
    return innocent.touched() or "nothing"


def plain(rounds: int) -> list[str]:
    """signal, stop, kill_tree, wait and the end of the block, when the number is another child's."""
    felt = []
    for _ in range(rounds):
        with spawn(_EXITS) as process:
            os.waitid(os.P_PIDFD, process.fileno(), os.WEXITED)  # as a SIGCHLD handler does
            with spawn_child(process.id.pid) as innocent:
                process.signal("TERM")
                process.signal("TERM", tree=True)
                process.stop(grace=0)
                status = process.wait()
                assert status.code in (3, None), status
                try:
                    open_process(str(process.id))
                except Recycled:
                    felt.append(_untouched(innocent))
                assert process.returncode == status.code
                process.__exit__(None, None, None)
                felt.append(_untouched(innocent))
    return felt


def asynchronous(rounds: int) -> list[str]:
    """The same of pidward.aio, while the loop is busy."""

    async def main() -> list[str]:
        felt = []
        for _ in range(rounds):
            async with await aio.spawn(_EXITS) as process:
                os.waitid(os.P_PIDFD, process.fileno(), os.WEXITED)
                with spawn_child(process.id.pid) as innocent:
                    process.signal("KILL")
                    await process.stop(grace=0)
                    assert process.returncode in (3, None)
                    felt.append(_untouched(innocent))
        return felt

    return asyncio.run(main())


def watched(rounds: int) -> list[str]:
    """What asyncio itself starts, with our watcher: kill, terminate, wait, and closing the transport."""
    warnings.simplefilter("ignore")
    asyncio.get_event_loop_policy().set_child_watcher(PidfdChildWatcher())

    async def main() -> list[str]:
        felt = []
        for _ in range(rounds):
            process = await asyncio.create_subprocess_exec(*_EXITS_WHEN_TOLD, stdin=asyncio.subprocess.PIPE)
            assert process.stdin is not None
            process.stdin.write(b"\n")
            os.waitid(os.P_PID, process.pid, os.WEXITED)  # the loop is busy, and somebody else reaps
            with spawn_child(process.pid) as innocent:
                for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGUSR1):
                    try:
                        process.send_signal(number)
                    except ProcessLookupError:
                        pass
                assert await process.wait() in (3, 255)
                process._transport.close()  # type: ignore[attr-defined]
                felt.append(_untouched(innocent))
        return felt

    return asyncio.run(main())
