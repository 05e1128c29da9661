"""``signal`` and ``kill`` of a process that is named by PID or PID:INODE: open, look, act, all on one handle."""

from pidward.cli.failure import DENIED, FAILED, NOT_RUNNING, OK, USAGE, Failure
from pidward.cli.here import Here
from pidward.control.jsontext import encode
from pidward.core.signals import SIGKILL, signal_name
from pidward.runtime import foreign

PATIENCE = 5.0
"""Seconds in which a killed process has ended, unless it hangs in the kernel."""


def act_on_stranger(here: Here, target: str, number: int, tree: bool = False) -> int:
    """Signal a process and say whom. Raises Failure."""
    try:
        process = foreign.open_process(target)
    except ValueError as error:
        raise Failure(USAGE, str(error)) from None
    except foreign.Gone:
        raise Failure(NOT_RUNNING, f"no process {target} exists; nothing was done") from None
    except foreign.Recycled:
        number_alone = target.partition(":")[0]
        raise Failure(
            NOT_RUNNING, f"process {target} has ended; {number_alone} belongs to another process now; nothing was done"
        ) from None
    except foreign.KernelError as error:
        raise Failure(FAILED, str(error)) from None
    with process:
        try:
            who = foreign.describe(process)
            if number == SIGKILL:
                foreign.kill(process, tree)
            elif not process.signal(number):
                raise Failure(NOT_RUNNING, f"{who} has ended; nothing was done")
        except foreign.Denied as error:
            raise Failure(DENIED, str(error)) from None
        except foreign.Gone:
            raise Failure(NOT_RUNNING, f"process {process.id} has ended; nothing was done") from None
        except foreign.KernelError as error:
            raise Failure(FAILED, str(error)) from None
        ended = foreign.wait_ended(process, PATIENCE) if number == SIGKILL else None
        _tell(here, who, str(process.id), signal_name(number), tree, ended)
    if ended is False:
        raise Failure(FAILED, f"{who} got SIGKILL and has not ended: it hangs in the kernel")
    return OK


def _tell(here: Here, who: str, process: str, name: str, tree: bool, ended: bool | None) -> None:
    if here.json:
        document = {"schema_version": 1, "signal": name, "tree": tree, "process": process, "who": who, "ended": ended}
        print(encode(document))
    else:
        print(f"{name} sent to {who}{' and its whole tree' if tree else ''}{'; it has ended' if ended else ''}")
