"""Scheduling and rights: from the words of a spec to the numbers of a plan. Imported when a service has any."""

import os
from collections.abc import Iterable

from pidward.core.capabilities import CAPABILITIES
from pidward.core.spec import ServiceSpec
from pidward.kernel.plan import Plan

_POLICIES = {
    "other": os.SCHED_OTHER, "batch": os.SCHED_BATCH, "idle": os.SCHED_IDLE, "fifo": os.SCHED_FIFO, "rr": os.SCHED_RR,
}  # fmt: skip
_IO_KINDS = {"realtime": 1, "best-effort": 2, "idle": 3}
_IO_KIND_SHIFT = 13
_STAGES_OF = {"security": ("capabilities", "no_new_privileges")}
"""The stages of a start that carry out a key, where they do not bear its name."""


def with_attributes(plan: Plan, spec: ServiceSpec) -> Plan:
    """The plan with all that ``spec`` says about scheduling and rights, and about what may be refused."""
    execution, security = spec.execution, spec.execution.security
    scheduler, io = execution.scheduler, execution.io_priority
    return plan._replace(
        scheduler=(_POLICIES[scheduler.policy], scheduler.priority) if scheduler else None,
        cpu_affinity=execution.cpu_affinity,
        io_priority=_IO_KINDS[io.kind] << _IO_KIND_SHIFT | (io.level if io.kind != "idle" else 0) if io else None,
        capabilities=None if security.capabilities is None else _bits(security.capabilities),
        ambient=_bits(security.ambient),
        no_new_privileges=security.no_new_privileges,
        optional=frozenset(stage for key in execution.optional for stage in _STAGES_OF.get(key, (key,))),
    )


def _bits(names: Iterable[str]) -> int:
    return sum(1 << CAPABILITIES.index(name) for name in frozenset(names))
