"""What type checkers make of the library; checked by mypy --strict in test_typing.py, and never run."""

from typing import assert_type

import pidward
from pidward import (
    PIPE,
    Event,
    ExitStatus,
    Gone,
    KernelError,
    Process,
    ProcessId,
    Supervisor,
    Worker,
    aio,
    open_process,
    service,
    spawn,
)
from pidward.core.spec import ServiceSpec


def plain() -> None:
    with spawn(["true"], stdout=PIPE, limits={"nofile": (10, None)}) as process:
        assert_type(process, Process)
        assert_type(process.id, ProcessId)
        assert_type(process.wait(), ExitStatus)
        assert_type(process.poll(), ExitStatus | None)
        assert_type(process.returncode, int | None)
        assert_type(process.stop(grace=1), ExitStatus)
        assert_type(process.communicate(), tuple[bytes, bytes])
    try:
        assert_type(open_process("1:2").signal("TERM"), bool)
    except Gone as error:
        assert_type(error.errno, int)
        known: KernelError = error
        assert_type(known.call, str)
    spawn(["true"], stdin=1.5)  # type: ignore[arg-type]
    spawn(3)  # type: ignore[arg-type]


def supervised() -> None:
    web = service("web", "sleep 1", restart="on-failure", depends_on=["db"], ready={"tcp": "127.0.0.1:1"})
    assert_type(web, ServiceSpec)
    with Supervisor(web) as supervisor:
        assert_type(supervisor, Supervisor)
        assert_type(supervisor.start("web"), list[Worker])
        for event in supervisor.events():
            assert_type(event, Event)
    assert_type(pidward.__version__, str)


async def asynchronous() -> None:
    async with await aio.spawn(["true"], stdout=PIPE) as process:
        assert_type(process, aio.Process)
        assert_type(await process.wait(), ExitStatus)
    async with aio.Supervisor() as supervisor:
        assert_type(await supervisor.stop("web"), list[Worker])
        async with supervisor.events() as events:
            assert_type(await anext(events), Event)
    await aio.spawn(["true"], cmd=1)  # type: ignore[call-arg]
    await aio.spawn(["true"], nice="x")  # type: ignore[arg-type]
    aio.PidfdChildWatcher().is_active()
