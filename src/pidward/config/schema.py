"""Every key of ``pidward.toml``. Reading, checking and the documentation all follow this one table.

Defaults are not here: they are those of ``core.spec``.
"""

import re

from pidward.config.nodes import Array, Key, Named, Table, table
from pidward.config.values import (
    ABSOLUTE_PATH,
    BOOLEAN,
    CAUSE,
    ENV_VALUE,
    IDENTITY,
    PATH_TEMPLATE,
    PERCENT,
    SIGNAL,
    STDIN,
    TEMPLATE,
    UMASK,
    choice,
    duration,
    limit,
    number,
    size,
    whole,
)
from pidward.core.spec import (
    MAX_BURST,
    MAX_WORKERS,
    Execution,
    Exhausted,
    LogMode,
    LogPolicy,
    RestartPolicy,
    RestartWhen,
    ServiceSpec,
    Settings,
    StopPolicy,
    Tree,
)

MAX_SERVICE_NAME = 63
MAX_HISTORY = 10_000_000

EXECUTION_FIELDS = frozenset(Execution._fields)
"""The keys whose change needs a restart of the worker; all others take effect on what runs."""


def check_service_name(name: str) -> None:
    """Raise ValueError with the reason if a service cannot have this name: it becomes part of paths and of cgroups."""
    if not name:
        raise ValueError("the name of a service must not be empty")
    if len(name) > MAX_SERVICE_NAME:
        raise ValueError(f"the name of a service has at most {MAX_SERVICE_NAME} characters, this one has {len(name)}")
    if wrong := re.search(r"[^A-Za-z0-9_.-]", name):
        raise ValueError(f"the name of a service has only letters, digits, '_', '.' and '-', not {wrong[0]!r}")
    if not name[0].isalnum():
        raise ValueError(f"the name of a service begins with a letter or a digit, not {name[0]!r}")


def check_variable_name(name: str) -> None:
    """Raise ValueError with the reason if an environment variable cannot have this name."""
    if not name:
        raise ValueError("the name of a variable must not be empty")
    if wrong := re.search("[=\0]", name):
        raise ValueError(f"the name of a variable must not contain {wrong[0]!r}")


def split_command(line: str) -> list[str]:
    """Split a command line by the quoting rules of a shell, without running one; ValueError if quotes are open."""
    import shlex  # noqa: PLC0415 - only for those who write strings

    try:
        return shlex.split(line)
    except ValueError as error:
        raise ValueError(f"cannot split the command: {str(error).lower()}") from None


_ARGUMENTS = Array("an array of strings, or one string", TEMPLATE, split=split_command, at_least=1)
_CAUSES = Array("an array of exit codes and signals", CAUSE, make=frozenset)
_EXECUTION = Execution(command=())
_SERVICE = ServiceSpec(name="", execution=_EXECUTION)

RESTART = table(
    Key("policy", choice(RestartWhen), "when an ended worker is started again", '"on-failure"'),
    Key("delay", duration(), "wait before the second restart in a row; the first is immediate", '"200ms"'),
    Key("max_delay", duration(), "the longest wait", '"30s"'),
    Key("factor", number(1, 1000), "how much longer each next wait is", "1.5"),
    Key("jitter", PERCENT, "spread of the waits, to both sides, so that workers do not march in step", '"20%"'),
    Key("reset_after", duration(), "a run this long was stable: waits begin anew", '"1min"'),
    Key("burst", whole(0, MAX_BURST), "automatic starts allowed within `window`; `0`: no limit", "5"),
    Key("window", duration(), "the time in which `burst` counts", '"30s"'),
    Key("then", choice(Exhausted), "what follows too many starts: try on every `max_delay`, give up, "
        "or stop everything", '"fail"'),
    Key("success_codes", _CAUSES, 'ends that are no failure', '[0, 3, "SIGTERM"]'),
    Key("never_on", _CAUSES, "ends after which the worker is not started again, whatever the policy", "[78]"),
    Key("always_on", _CAUSES, "ends after which it is started again, whatever the policy", '["SIGSEGV"]'),
    defaults=[RestartPolicy()],
    shorthand="policy",
)  # fmt: skip

READY = table(
    Key("after", duration(), "ready when it has run this long", '"2s"', unset="ready as soon as the program runs"),
)  # fmt: skip

STOP = table(
    Key("signal", SIGNAL, "what asks the worker to end", '"SIGINT"'),
    Key("grace", duration(), "time to end after that, before SIGKILL", '"30s"'),
    Key("tree", choice(Tree), "its descendants, once it has ended: kill them, send them the stop signal too and "
        "kill after the grace, or leave them", '"signal"'),
    defaults=[StopPolicy()],
)  # fmt: skip

LOGS = table(
    Key("mode", choice(LogMode), "keep stdout and stderr in files, or throw them away", '"none"'),
    Key("dir", ABSOLUTE_PATH, "where the log files are", '"/var/log/web"', unset="`logs` in the state directory"),
    Key("max_size", size(1024), "a log file this large is rotated", '"10MiB"'),
    Key("keep", whole(0, 10_000), "rotated files kept beside the current one", "5"),
    Key("spool_limit", size(65536), "output not yet moved to the log; the oldest beyond it is dropped and counted",
        '"64MiB"'),
    defaults=[LogPolicy()],
)  # fmt: skip


def _bytes(name: str, about: str, example: str) -> Key:
    return Key(name, limit(in_bytes=True), about, example, unset="pidward's own")


def _count(name: str, about: str, example: str) -> Key:
    return Key(name, limit(in_bytes=False), about, example, unset="pidward's own")


LIMITS = table(
    _bytes("as", "address space", '"4096MiB"'),
    _bytes("core", "size of a core file", '[0, "1024MiB"]'),
    _count("cpu", "CPU time, in seconds", "3600"),
    _bytes("data", "data segment and heap", '"1024MiB"'),
    _bytes("fsize", "size of a file it writes", '"1024MiB"'),
    _count("locks", "file locks; Linux ignores it", "100"),
    _bytes("memlock", "memory locked into RAM", '"64MiB"'),
    _bytes("msgqueue", "POSIX message queues", '"1MiB"'),
    _count("nice", "20 minus the lowest nice value it may choose", "20"),
    _count("nofile", "highest descriptor number plus one", "[1024, 65536]"),
    _count("nproc", "processes and threads of its user", "500"),
    _bytes("rss", "resident set; Linux ignores it", '"512MiB"'),
    _count("rtprio", "real-time priority", "0"),
    _count("rttime", "real-time CPU time without a blocking call, in microseconds", "200000"),
    _count("sigpending", "queued signals of its user", "1000"),
    _bytes("stack", "main thread's stack", '["8MiB", "infinity"]'),
)

ENV = Named(check_variable_name, ENV_VALUE, words="a table of strings")

SERVICE = table(
    Key("command", _ARGUMENTS, "the program and its arguments; a string is split as a shell would, and no shell is run",
        '["python3", "-m", "http.server", "800%i"]', unset="must be given"),
    Key("workers", whole(0, MAX_WORKERS), "how many processes of it run", "4"),
    Key("working_dir", PATH_TEMPLATE, "directory it starts in", '"/srv/web"', unset="pidward's own"),
    Key("umask", UMASK, "permissions taken away from files it makes", '"077"'),
    Key("user", IDENTITY, "user it runs as", '"www-data"', unset="pidward's own"),
    Key("group", IDENTITY, "group it runs as", '"www-data"', unset="the user's own"),
    Key("supplementary_groups", Array("an array of names or numbers", IDENTITY), "its other groups",
        '["ssl-cert", 1001]', unset="those that the user is in"),
    Key("env", ENV, "environment variables, on top of pidward's own", '{ PORT = 8000, WORKER = "%i" }'),
    Key("clear_env", BOOLEAN, "start from an empty environment instead of pidward's own", "true"),
    Key("stdin", STDIN, "what it reads as standard input", '"/srv/web/input"'),
    Key("restart", RESTART, "when and how fast an ended worker is started again; a bare string is the policy",
        '{ policy = "on-failure", burst = 5 }'),
    Key("ready", READY, "when a worker counts as ready", '{ after = "2s" }'),
    Key("stop", STOP, "how a worker is stopped", '{ signal = "SIGINT", grace = "30s" }'),
    Key("limits", LIMITS, "resource limits, as in setrlimit(2)", '{ nofile = [1024, 4096], core = "infinity" }'),
    Key("nice", whole(-20, 19), "scheduling priority; lower runs first", "5", unset="pidward's own"),
    Key("oom_score_adj", whole(-1000, 1000), "whom the kernel kills first when memory runs out; higher dies first",
        "500", unset="pidward's own"),
    Key("logs", LOGS, "what is kept of stdout and stderr", '{ max_size = "10MiB", keep = 5 }'),
    Key("autostart", BOOLEAN, "started with the supervisor", "false"),
    defaults=[_SERVICE, _EXECUTION],
)  # fmt: skip

PIDWARD = table(
    Key("state_dir", ABSOLUTE_PATH, "what is remembered, and worker output", '"/var/lib/pidward"',
        unset="the instance's own"),
    Key("runtime_dir", ABSOLUTE_PATH, "sockets", '"/run/pidward"', unset="the instance's own"),
    Key("history", duration(), "how long events are kept", '"7d"'),
    Key("history_max", whole(0, MAX_HISTORY), "how many events are kept, whatever their age", "50000"),
    defaults=[Settings()],
)  # fmt: skip

ROOT: Table = table(
    Key("pidward", PIDWARD, "the supervisor itself", ""),
    Key("defaults", SERVICE, "any key of a service, for all services that do not set it themselves", ""),
    Key("service", Named(check_service_name, SERVICE), "one service each", ""),
)
