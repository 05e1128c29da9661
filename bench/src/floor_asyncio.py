"""The floor of asyncio: a task for each worker that spawns and waits. Arguments as in floor.py, without SPAWN."""

import asyncio
import os
import sys


async def keep_running(command: list[str], null: int) -> None:
    while True:
        worker = await asyncio.create_subprocess_exec(
            *command, stdin=null, stdout=null, stderr=null, start_new_session=True
        )
        await worker.wait()


async def main() -> None:
    count, template = int(sys.argv[1]), sys.argv[2:]
    null = os.open("/dev/null", os.O_RDWR)
    if sys.version_info < (3, 12):  # later versions choose it by themselves
        watcher = asyncio.PidfdChildWatcher()
        watcher.attach_loop(asyncio.get_running_loop())
        asyncio.set_child_watcher(watcher)
    commands = [[word.replace("%i", str(index)) for word in template] for index in range(count)]
    await asyncio.gather(asyncio.Event().wait(), *(keep_running(command, null) for command in commands))


asyncio.run(main())
