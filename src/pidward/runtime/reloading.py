"""Having a worker's program read its own configuration again, as ``service.NAME.reload`` says."""

from pidward.core.model import WorkerName
from pidward.core.signals import signal_name
from pidward.core.units import Seconds
from pidward.kernel.errors import Gone
from pidward.runtime.attendant import Surroundings
from pidward.runtime.desk import NoProcess

PATIENCE = Seconds(60.0)
"""For a command; then it is killed with all that it started."""


def reload_worker(surroundings: Surroundings, name: WorkerName, by: str) -> None:
    """Send the signal now, or start the command, whose end is noted as an event.

    Raises:
        NoProcess: nobody is there to tell.
        KernelError: the signal was refused.
    """
    seat, spec = surroundings.seat(name), surroundings.spec(name)
    if seat is None or seat.pidfd is None:
        raise NoProcess(f"{name} has no process to tell")
    process, policy = seat.pidfd.id, spec.reload
    if policy.command:
        from pidward.runtime.commands import Outcome, run_command  # noqa: PLC0415 - few services name a command

        def ended(outcome: Outcome) -> None:
            what = "was told to reload" if outcome.is_success else "could not be told to reload"
            surroundings.note("reload", name, f"{name} ({process}) {what} by {by}: {outcome.text}")

        run_command(surroundings, name, spec, policy.command, PATIENCE, ended, purpose="+reload")
        return
    assert policy.signal is not None
    if not seat.pidfd.signal(policy.signal):
        raise Gone(f"{name} ({process}) has ended already")
    surroundings.note("reload", name, f"{name} ({process}) was told to reload by {by}: {signal_name(policy.signal)}")
