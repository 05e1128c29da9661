"""Having workers' programs read their own configuration again, as ``service.NAME.reload`` says."""

from collections.abc import Callable, Sequence

from pidward.core.model import WorkerName
from pidward.core.signals import signal_name
from pidward.core.units import Seconds
from pidward.kernel.errors import KernelError
from pidward.kernel.pidfd import Pidfd
from pidward.runtime.attendant import Surroundings
from pidward.runtime.desk import Told

PATIENCE = Seconds(60.0)
"""For a command; then it is killed with all that it started."""


def reload_all(
    surroundings: Surroundings, names: Sequence[WorkerName], by: str, done: Callable[[list[Told]], None]
) -> None:
    """Send the signals and start the commands; each is noted as an event.

    Args:
        surroundings: of the supervisor.
        names: those of them that have a process are told.
        by: who asked.
        done: called once, in their order, when all commands have ended; without any from within this call.
    """
    running = {}
    for name in names:
        seat = surroundings.seat(name)
        if seat is not None and seat.pidfd is not None:
            running[name] = seat.pidfd
    told: dict[WorkerName, Told] = {}

    def heard(one: Told, how: str) -> None:
        what = "could not be told to reload" if one.failure else "was told to reload"
        surroundings.note("reload", one.worker, f"{one.worker} ({one.process}) {what} by {by}: {how}")
        told[one.worker] = one
        if len(told) == len(running):
            done([told[name] for name in running])

    if not running:
        done([])
    for name, process in running.items():
        _tell(surroundings, name, process, heard)


def _tell(surroundings: Surroundings, name: WorkerName, pidfd: Pidfd, heard: Callable[[Told, str], None]) -> None:
    process, spec = pidfd.id, surroundings.spec(name)
    if spec.reload.command:
        from pidward.runtime.commands import Outcome, run_command  # noqa: PLC0415 - few services name a command

        def ended(outcome: Outcome) -> None:
            heard(Told(name, process, "" if outcome.is_success else outcome.text), outcome.text)

        run_command(surroundings, name, spec, spec.reload.command, PATIENCE, ended, purpose="+reload")
        return
    assert spec.reload.signal is not None
    try:
        failure = "" if pidfd.signal(spec.reload.signal) else "it has ended already"
    except KernelError as error:
        failure = str(error)
    heard(Told(name, process, failure), failure or signal_name(spec.reload.signal))
