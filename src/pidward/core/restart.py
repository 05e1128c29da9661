"""Whether and when an ended worker is started again. Every answer comes with its reason."""

from zlib import crc32

from pidward.core.model import ExitStatus, WorkerName
from pidward.core.spec import RestartPolicy, RestartWhen
from pidward.core.units import Instant, Seconds


def describe(status: ExitStatus | None) -> str:
    """Say how a process ended, in plain words."""
    return "never ran" if status is None else str(status)


def is_success(policy: RestartPolicy, status: ExitStatus | None) -> bool:
    """The worker ended as it should."""
    return status is not None and status.cause in policy.success_codes


def shall_restart(policy: RestartPolicy, status: ExitStatus | None, fault: str = "") -> tuple[bool, str]:
    """Decide by how it ended; the start limit is another question.

    The more special rule wins: never_on, then always_on, then the policy. A ``fault`` is a failure, however it ended.
    """
    how = describe(status) if status is not None or not fault else ""
    how = "; ".join(filter(None, (fault, how)))
    cause = status.cause if status is not None else None
    if cause is not None and cause in policy.never_on:
        return False, f"{how}, which restart.never_on names"
    if cause is not None and cause in policy.always_on:
        return True, f"{how}, which restart.always_on names"
    if policy.policy is RestartWhen.NEVER:
        return False, f"{how}; the restart policy is never"
    if policy.policy is RestartWhen.ON_FAILURE and not fault and is_success(policy, status):
        return False, f"{how}; the restart policy is on-failure"
    return True, how


def recent(starts: tuple[Instant, ...], now: Instant, window: Seconds) -> tuple[Instant, ...]:
    """Those starts that still count for the start limit."""
    if starts and now - starts[0] >= window:
        return tuple(s for s in starts if now - s < window)
    return starts


def next_delay(policy: RestartPolicy, failures: int) -> Seconds:
    """How long to wait before the next start, before jitter.

    Args:
        policy: where delay, factor and max_delay come from.
        failures: ends in a row before this one without a stable run; with none the restart is immediate.
    """
    if failures == 0 or policy.delay <= 0:
        return Seconds(0.0)
    delay: float = policy.max_delay
    if policy.factor < 2 or failures <= 64:  # beyond that any factor has long met the cap; floats overflow instead
        try:
            delay = min(policy.delay * policy.factor ** (failures - 1), policy.max_delay)
        except OverflowError:
            delay = policy.max_delay
    return Seconds(delay)


def jittered(delay: Seconds, policy: RestartPolicy, name: WorkerName, restarts: int) -> Seconds:
    """Move a delay by up to ``jitter`` of itself, differently from worker to worker and from restart to restart.

    Jitter exists to keep workers from marching in step; a hash does that, and a life replayed gives the same life.
    """
    spread = crc32(f"{name}#{restarts}".encode()) / 2**31 - 1  # in [-1, 1)
    return Seconds(min(max(0.0, delay * (1 + policy.jitter * spread)), policy.max_delay))
