"""pidward.aio: the same in an event loop, many at a time, cancelled at every point."""

import asyncio
import signal
from collections.abc import Awaitable, Callable

import pytest

from pidward import PIPE, STDOUT, Source, SpawnError, aio
from pidward import spawn as spawn_plain
from tests.library.conftest import open_files
from tests.library.programs import DAEMONS, STUBBORN

pytestmark = pytest.mark.usefixtures("nothing_left")
SLEEP = ["sleep", "1000"]


async def until_written(process: aio.Process, size: int) -> None:
    """All of the tree have said that they are there."""
    assert process.stdout is not None
    await process.stdout.readexactly(size)


async def until_extinct(process: aio.Process) -> None:
    """Nobody of the tree holds its stdout any more."""
    assert process.stdout is not None
    assert await process.stdout.read() == b""


def test_the_exit_code_and_the_streams(rung: str) -> None:
    async def main() -> None:
        script = ["sh", "-c", "cat; echo err >&2; exit 23"]
        async with await aio.spawn(script, stdin=PIPE, stdout=PIPE, stderr=PIPE) as process:
            assert await process.communicate(b"in" * 100_000) == (b"in" * 100_000, b"err\n")
            assert (await process.wait()).code == process.returncode == 23

    asyncio.run(main())


def test_lines_as_they_come() -> None:
    async def main() -> None:
        async with await aio.spawn(["cat"], stdin=PIPE, stdout=PIPE, stderr=STDOUT) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            for line in (b"1\n", b"2\n"):
                process.stdin.write(line)
                await process.stdin.drain()
                assert await process.stdout.readline() == line

    asyncio.run(main())


def test_a_hundred_waits_at_a_time() -> None:
    async def main() -> None:
        async def one(code: int) -> int | None:
            async with await aio.spawn(["sh", "-c", f"exit {code}"]) as process:
                return (await process.wait(60)).code

        assert await asyncio.gather(*map(one, range(100))) == list(range(100))

    asyncio.run(main())


def test_a_hundred_wait_for_one() -> None:
    async def main() -> None:
        async with await aio.spawn(SLEEP) as process:
            waiting = [asyncio.ensure_future(process.wait()) for _ in range(100)]
            await asyncio.sleep(0)
            for one in waiting[::2]:
                one.cancel()
            process.signal("TERM")
            results = await asyncio.gather(*waiting, return_exceptions=True)
            assert all(isinstance(result, asyncio.CancelledError) for result in results[::2])
            assert set(results[1::2]) == {process.poll()}

    asyncio.run(main())


def test_a_plain_process_can_be_awaited_too() -> None:
    async def main() -> None:
        with spawn_plain(["sh", "-c", "exit 3"]) as process:
            assert (await process.wait_async()).code == 3
            assert (await process.wait_async()).code == 3

    asyncio.run(main())


def test_a_timeout_leaves_the_process_alone() -> None:
    async def main() -> None:
        async with await aio.spawn(SLEEP) as process:
            with pytest.raises(TimeoutError):
                await process.wait(0.01)
            assert process.is_alive()

    asyncio.run(main())


def test_stop_is_polite_then_firm(rung: str) -> None:
    async def main() -> None:
        async with await aio.spawn(DAEMONS, stdout=PIPE) as process:
            await until_written(process, 4)
            assert (await process.stop(grace=20)).signal == signal.SIGTERM
            await until_extinct(process)
        async with await aio.spawn(STUBBORN, stdout=PIPE) as process:
            await until_written(process, 1)
            assert (await process.stop(grace=0.01)).signal == signal.SIGKILL

    asyncio.run(main())


async def _wait(process: aio.Process) -> None:
    await process.wait()


async def _stop(process: aio.Process) -> None:
    await process.stop(grace=1000)


async def _communicate(process: aio.Process) -> None:
    await process.communicate()


@pytest.mark.parametrize("act", [_wait, _stop, _communicate])
def test_a_cancelled_block_leaves_nothing(rung: str, act: Callable[[aio.Process], Awaitable[None]]) -> None:
    found: list[aio.Process] = []

    async def work(begun: asyncio.Event) -> None:
        async with await aio.spawn(STUBBORN, stdout=PIPE) as process:
            found.append(process)
            await until_written(process, 1)
            asyncio.get_running_loop().call_soon(begun.set)
            await act(process)

    async def main() -> None:
        begun = asyncio.Event()
        task = asyncio.ensure_future(work(begun))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert found[0].returncode == -signal.SIGKILL

    asyncio.run(main())


def test_cancelled_at_any_turn_it_leaves_nothing() -> None:
    """Also while it is being spawned, and while it is being killed."""

    async def work() -> None:
        async with await aio.spawn(SLEEP, stdin=PIPE, stdout=PIPE, stderr=PIPE):
            await asyncio.sleep(0)

    async def main() -> bool:
        finished = []
        for turns in range(40):
            task = asyncio.ensure_future(work())
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            (result,) = await asyncio.gather(task, return_exceptions=True)
            finished.append(result is None)
        return any(finished)

    before = len(open_files())
    asyncio.run(main())
    assert len(open_files()) == before


def test_what_cannot_be_started() -> None:
    async def main() -> None:
        with pytest.raises(SpawnError, match="not found on PATH"):
            await aio.spawn(["no-such-program"], stdin=PIPE)

    asyncio.run(main())


def test_a_stranger_is_waited_for() -> None:
    async def main() -> None:
        async with await aio.spawn(["sh", "-c", "read x; exit 3"], stdin=PIPE) as process:
            async with aio.open_process(str(process.id)) as other:
                assert other.id == process.id
                assert process.stdin is not None
                process.stdin.close()
                status = await other.wait(20)
                assert status.code in (3, None)
            assert (await process.wait()).source is Source.WAITID

    asyncio.run(main())


def test_what_was_read_before_a_timeout_or_a_cancel_is_not_lost() -> None:
    async def main() -> None:
        script = ["sh", "-c", "echo out; echo err >&2; read line; echo $line; sleep 1000"]
        async with await aio.spawn(script, stdin=PIPE, stdout=PIPE, stderr=PIPE) as process:
            for _ in range(2):
                with pytest.raises(TimeoutError):
                    await process.communicate(b"more\n", timeout=0.3)
            waiting = asyncio.ensure_future(process.communicate())
            await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            process.signal("KILL", tree=True)
            assert await process.communicate(timeout=20) == (b"out\nmore\n", b"err\n")

    asyncio.run(main())
