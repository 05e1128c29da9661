"""A process supervisor that knows every process by its pidfd, never by a number.

As a library: ``from pidward import spawn, open_process, Supervisor``; see docs/library.md. What these names need is
imported when one of them is first used, so that ``import pidward`` costs nothing. Types are in ``__init__.pyi``.
"""

__version__ = "0.1.0"

_ROOM_OF = {
    "Process": "library.process", "open_process": "library.process", "spawn": "library.spawning",
    "PIPE": "library.streams", "STDOUT": "library.streams", "DEVNULL": "library.streams",
    "SpawnError": "library.spawning",
    "Supervisor": "library.supervisor", "service": "library.services", "CannotStart": "runtime.main",
    "Failed": "library.engine", "Ended": "library.engine",
    "ExitStatus": "core.model", "Phase": "core.model", "ProcessId": "core.model", "Source": "core.model",
    "Usage": "core.model", "Worker": "core.model", "WorkerName": "core.model", "Event": "library.supervisor",
    "KernelError": "kernel.errors", "Gone": "kernel.errors", "Recycled": "kernel.errors", "Denied": "kernel.errors",
    "NotLeader": "kernel.errors", "Unsupported": "kernel.errors", "Exhausted": "kernel.errors",
    **dict.fromkeys(
        ("Condition", "Dependency", "LogMode", "LogPolicy", "Probe", "ProbeKind", "RestartPolicy", "ServiceSpec",
         "StopPolicy"), "core.spec"),
    "Foreign": "kernel.errors", "UnknownTarget": "runtime.desk", "NoProcess": "runtime.desk",
}  # fmt: skip
__all__ = ["__version__", *_ROOM_OF]  # noqa: PLE0604 - the names are strings; the stub lists them


def __getattr__(name: str) -> object:
    """Import what a public name needs, once."""
    room = _ROOM_OF.get(name)
    if room is None:
        raise AttributeError(f"module 'pidward' has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415 - only for users of the library

    value: object = getattr(import_module("pidward." + room), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
