"""PidfdChildWatcher under asyncio's own subprocesses."""

import asyncio
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator

import pytest

from pidward.aio import PidfdChildWatcher
from tests.isolation import fork, sleep_forever

pytestmark = pytest.mark.skipif(sys.version_info >= (3, 12), reason="child watchers are of Python 3.11")


@pytest.fixture(autouse=True)
def watcher(nothing_left: None) -> Iterator[PidfdChildWatcher]:
    """Ours in the place of asyncio's."""
    policy = asyncio.get_event_loop_policy()
    before = policy.get_child_watcher()
    ours = PidfdChildWatcher()
    policy.set_child_watcher(ours)
    yield ours
    policy.set_child_watcher(before)
    ours.close()


async def run(*words: str) -> int:
    """The exit code of a program."""
    process = await asyncio.create_subprocess_exec(*words)
    return await process.wait()


def test_exit_codes_of_many_at_a_time() -> None:
    async def main() -> list[int]:
        return await asyncio.gather(*(run("sh", "-c", f"exit {code}") for code in range(30)))

    assert asyncio.run(main()) == list(range(30))


def test_communicate_and_signals() -> None:
    async def main() -> None:
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec("cat", stdin=pipe, stdout=pipe)
        assert (await process.communicate(b"x"))[0] == b"x"
        process = await asyncio.create_subprocess_exec("sleep", "1000")
        process.terminate()
        assert await process.wait() == -signal.SIGTERM
        with pytest.raises(ProcessLookupError):
            process.kill()

    asyncio.run(main())


def test_a_status_that_somebody_else_reaped_is_the_true_one() -> None:
    async def main() -> int:
        process = await asyncio.create_subprocess_exec("sh", "-c", "read x; exit 23", stdin=asyncio.subprocess.PIPE)
        assert process.stdin is not None
        process.stdin.write(b"\n")
        os.waitid(os.P_ALL, 0, os.WEXITED)
        return await process.wait()

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        code = asyncio.run(main())
    assert (code, len(said)) in ((23, 0), (255, 1))  # the second before Linux 6.15


def test_a_loop_in_another_thread() -> None:
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(asyncio.run(run("sh", "-c", "exit 5"))))
    thread.start()
    thread.join()
    assert codes == [5]


def test_a_cancelled_wait_and_a_closed_transport() -> None:
    async def main() -> None:
        process = await asyncio.create_subprocess_exec("sleep", "1000")
        task = asyncio.ensure_future(process.wait())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        process._transport.close()  # type: ignore[attr-defined]
        assert await process.wait() == -signal.SIGKILL

    asyncio.run(main())


def test_a_handler_can_be_taken_away(watcher: PidfdChildWatcher) -> None:
    async def main() -> None:
        child, codes, called = fork(sleep_forever), [], asyncio.Event()

        def ended(_pid: int, code: int) -> None:
            codes.append(code)
            called.set()

        watcher.add_child_handler(child.id.pid, ended)
        assert watcher.remove_child_handler(child.id.pid)
        assert not watcher.remove_child_handler(child.id.pid)
        watcher.add_child_handler(child.id.pid, ended)
        watcher.add_child_handler(child.id.pid, ended)
        with child:
            child.signal(signal.SIGKILL)
        await called.wait()
        assert codes == [-signal.SIGKILL]

    asyncio.run(main())
