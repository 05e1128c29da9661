"""Which peers the experiments take by default."""

RESTARTING = (
    "pidward", "daemontools", "runit", "s6", "systemd", "otp", "supervisord", "circus", "pm2", "supervice",
)  # fmt: skip
"""All supervisors that restart a worker within seconds at every N."""

SUPERVISORS = (*RESTARTING, "honcho")

FLOORS = ("floor_c", "floor_py_helper_fast_cgroup", "floor_py_forkexec", "floor_py_asyncio")
"""Bare loops: what the kernel and the language alone cost."""
