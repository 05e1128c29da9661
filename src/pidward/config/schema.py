"""Every key of ``pidward.toml``. Reading, checking, the documentation and the JSON Schema all follow this one table.

Defaults are not here: they are those of ``core.spec``.
"""

from pidward.config.attributes import (
    AFFINITY,
    CAPABILITY,
    ENV_VALUE,
    ESSENTIAL,
    IDENTITY,
    IO_PRIORITY,
    MODE,
    PIDS,
    PROCESSORS,
    SCHEDULER,
    STDIN,
    UMASK,
    limit,
    memory,
)
from pidward.config.names import check_group_name, check_service_name, check_variable_name, split_command
from pidward.config.network import DESCRIPTOR_NAME, LISTEN, TCP_PLACE
from pidward.config.nodes import Array, Key, Named, Table, table
from pidward.config.probes import ALIVE, READY
from pidward.config.values import (
    ABSOLUTE_PATH,
    BOOLEAN,
    CAUSE,
    CRON,
    FILE,
    PATH_TEMPLATE,
    PERCENT,
    SIGNAL,
    TEMPLATE,
    TEXT,
    choice,
    duration,
    number,
    one_of,
    size,
    whole,
)
from pidward.core.spec import (
    MAX_BURST,
    MAX_WORKERS,
    Condition,
    Execution,
    Exhausted,
    GroupSpec,
    LogAlso,
    LogFormat,
    LogMode,
    LogPolicy,
    Overlap,
    ReloadPolicy,
    Resources,
    RestartPolicy,
    RestartWhen,
    Schedule,
    Security,
    ServiceSpec,
    ServiceType,
    Settings,
    SocketKind,
    SocketSpec,
    StopPolicy,
    Strategy,
    Tree,
)

MAX_HISTORY = 10_000_000
MAX_KEPT_DESCRIPTORS = 4096

EXECUTION_FIELDS = frozenset(Execution._fields)
"""The keys that become part of ``core.spec.Execution``."""

OPTIONAL = ["cpu_affinity", "io_priority", "limits", "nice", "oom_score_adj", "resources", "scheduler", "security"]
"""The keys that ``optional`` may name: what the system may refuse, and a program can do without."""

_ARGUMENTS = Array("an array of strings, or one string", TEMPLATE, split=split_command, at_least=1)
_CAUSES = Array("an array of exit codes and signals", CAUSE, make=frozenset)
_FILES = Array("a path or an array of paths", FILE, split=lambda path: [path])
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

STOP = table(
    Key("signal", SIGNAL, "what asks the worker to end", '"SIGINT"'),
    Key("grace", duration(), "time to end after that, before SIGKILL", '"30s"'),
    Key("tree", choice(Tree), "its descendants, once it has ended: kill them, send them the stop signal too and "
        "kill after the grace, or leave them", '"signal"'),
    Key("pre", _ARGUMENTS, "a command that is run before the signal and within the grace; PIDWARD_MAINPID tells it "
        "whom it is about", '["nginx", "-s", "quit"]'),
    defaults=[StopPolicy()],
)  # fmt: skip

RELOAD = table(
    Key("signal", SIGNAL, "the signal that makes it read its own configuration again", '"SIGHUP"'),
    Key("command", _ARGUMENTS, "the command that does; PIDWARD_MAINPID tells it whom", '["nginx", "-s", "reload"]'),
    defaults=[ReloadPolicy()], shorthand="signal", one_of=("signal", "command"), words="a signal, or a table",
)  # fmt: skip

SCHEDULE = table(
    Key("every", duration(1.0), "from start to start; the first run is one such period after pidward's own start",
        '"5min"'),
    Key("cron", CRON, "minute, hour, day of month, month and day of week as in crontab(5), in local time",
        '"*/5 * * * *"'),
    Key("overlap", choice(Overlap), "a run that is due while the one before it goes on: leave it out, run once "
        "afterwards, or stop the one before", '"queue"'),
    defaults=[Schedule()], one_of=("every", "cron"),
)  # fmt: skip

LOGS = table(
    Key("mode", choice(LogMode), "where stdout and stderr go: to files that outlive pidward, to the same files through "
        "a pipe, to pidward's own, or nowhere", '"stream"'),
    Key("dir", ABSOLUTE_PATH, "where the log files are", '"/var/log/web"', unset="`logs` in the state directory"),
    Key("max_size", size(1024), "a log file this large is rotated", '"10MiB"'),
    Key("keep", whole(0, 10_000), "rotated files kept beside the current one", "5"),
    Key("max_age", duration(1.0), "a log file this old is rotated, and rotated ones this old are removed", '"7d"',
        unset="any age"),
    Key("compress", BOOLEAN, "rotated files are compressed with gzip", "true"),
    Key("format", choice(LogFormat), "lines as they are, or as JSON objects with time and stream", '"json"'),
    Key("also", Array("an array of names", one_of([also.value for also in LogAlso]),
        make=lambda names: tuple(map(LogAlso, dict.fromkeys(names))), split=lambda name: [name]),
        "where lines are sent besides", '["journal"]'),
    Key("spool_limit", size(65536), "output not yet moved to the log; the oldest beyond it is dropped and counted",
        '"64MiB"'),
    defaults=[LogPolicy()],
)  # fmt: skip

SECURITY = table(
    Key("no_new_privileges", BOOLEAN, "no program it starts can gain privileges by set-user-id or file capabilities",
        "true"),
    Key("capabilities", Array("an array of capabilities", CAPABILITY, make=lambda names: tuple(dict.fromkeys(names))),
        "all it and its children can ever have, as in capabilities(7)", '["net_bind_service"]', unset="pidward's own"),
    Key("ambient", Array("an array of capabilities", CAPABILITY, make=lambda names: tuple(dict.fromkeys(names))),
        "those that it has from the start though it is not root", '["net_bind_service"]'),
    defaults=[Security()],
)  # fmt: skip

_LEAST_MEMORY = 2**20

RESOURCES = table(
    Key("memory_max", memory(_LEAST_MEMORY), "most memory; beyond it the kernel kills", '"512MiB"', unset="unlimited"),
    Key("memory_high", memory(_LEAST_MEMORY), "memory beyond this is reclaimed, and the worker slowed down", '"400MiB"',
        unset="unlimited"),
    Key("memory_swap_max", memory(0), "most swap space", '"10%"', unset="unlimited"),
    Key("pids_max", PIDS, "most processes and threads", "500", unset="unlimited"),
    Key("cpu_weight", whole(1, 10_000), "share of the processors when they are busy; 100 is usual", "50", unset="100"),
    Key("cpu_max", PROCESSORS, "most processor time", '"150%"', unset="unlimited"),
    Key("io_weight", whole(1, 10_000), "share of the disks when they are busy; 100 is usual", "50", unset="100"),
    defaults=[Resources()],
)  # fmt: skip

SOCKET = table(
    Key("listen", LISTEN, "what is bound", '"tcp://127.0.0.1:8000"', field="address", unset="must be given"),
    Key("name", DESCRIPTOR_NAME, "its name in LISTEN_FDNAMES", '"http"', unset="the name of the service"),
    Key("backlog", whole(1, 65535), "connections that may wait to be accepted", "128"),
    Key("mode", MODE, "permissions of the path of a unix socket", '"660"'),
    Key("user", IDENTITY, "owner of the path", '"www-data"', unset="the service's own"),
    Key("group", IDENTITY, "group of the path", '"www-data"', unset="the service's own"),
    Key("reuse_port", BOOLEAN, "others may bind the same port beside it: SO_REUSEPORT", "true"),
    defaults=[SocketSpec(SocketKind.TCP, "")], shorthand="listen", needs=("listen",), words="a socket or a table",
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
DEPENDS_ON = Named(check_service_name, choice(Condition), words="a table, or an array of names", listed="ready")

SERVICE = table(
    Key("command", _ARGUMENTS, "the program and its arguments; a string is split as a shell would, and no shell is run",
        '["python3", "-m", "http.server", "800%i"]', unset="must be given"),
    Key("workers", whole(0, MAX_WORKERS), "how many processes of it run", "4"),
    Key("type", choice(ServiceType), "what kind of program: one that runs until it is stopped, one that does its work "
        "and ends, or one whose first process ends when the daemon runs", '"service"'),
    Key("depends_on", DEPENDS_ON, "other services that must have got somewhere before it is started: `started`, "
        "`ready` or `completed`; an array of names means `ready`", '{ db = "ready", migrate = "completed" }'),
    Key("working_dir", PATH_TEMPLATE, "directory it starts in", '"/srv/web"', unset="pidward's own"),
    Key("umask", UMASK, "permissions taken away from files it makes", '"077"'),
    Key("user", IDENTITY, "user it runs as", '"www-data"', unset="pidward's own"),
    Key("group", IDENTITY, "group of services it belongs to, when there is a `[group.NAME]` or a `strategy`; else "
        "the group of users it runs as", '"backend"', unset="the user's own"),
    Key("strategy", choice(Strategy), "that of its group, in place of a table `[group.NAME]`", '"one_for_all"',
        unset='`"one_for_one"`'),
    Key("supplementary_groups", Array("an array of names or numbers", IDENTITY), "its other groups",
        '["ssl-cert", 1001]', unset="those that the user is in"),
    Key("env", ENV, "environment variables, on top of pidward's own", '{ PORT = 8000, WORKER = "%i" }'),
    Key("env_file", _FILES, "files of `NAME=VALUE` lines, relative to the configuration file; `env` comes over them, "
        "and one with `-` before it may be missing", '["-/etc/default/web", "-secrets.env"]'),
    Key("clear_env", BOOLEAN, "start from an empty environment instead of pidward's own", "true"),
    Key("stdin", STDIN, "what it reads as standard input; `inherit`: what pidward itself has", '"/srv/web/input"'),
    Key("restart", RESTART, "when and how fast an ended worker is started again; a bare string is the policy",
        '{ policy = "on-failure", burst = 5 }'),
    Key("ready", READY, "when a worker counts as ready; without it, as soon as the program runs",
        '{ http = "http://127.0.0.1:8000/healthz" }'),
    Key("alive", ALIVE, "how to see that a worker has not hung; one that has is restarted",
        '{ tcp = "127.0.0.1:8000", period = "5s" }'),
    Key("watchdog", duration(0.01), "it must say `WATCHDOG=1` at least this often, as in sd_watchdog_enabled(3), or is "
        "restarted", '"30s"'),
    Key("notify", BOOLEAN, "it gets NOTIFY_SOCKET though neither `ready` nor `watchdog` needs it", "true"),
    Key("fd_store", whole(0, MAX_KEPT_DESCRIPTORS), "descriptors kept for it over restarts, at most, as with "
        "`FDSTORE=1`", "16"),
    Key("pid_file", PATH_TEMPLATE, "where a program of type `forking` writes its number", '"/run/web.%i.pid"'),
    Key("sockets", Array("a socket or an array of sockets", SOCKET, split=lambda socket: [socket]),
        "bound once, passed to every worker as LISTEN_FDS, kept over restarts",
        '["tcp://127.0.0.1:8000", { listen = "unix:///run/web.sock", mode = "660" }]'),
    Key("on_demand", BOOLEAN, "started by the first connection to one of its sockets", "true"),
    Key("schedule", SCHEDULE, "when it is started by the clock", '{ every = "5min" }'),
    Key("stop", STOP, "how a worker is stopped", '{ signal = "SIGINT", grace = "30s" }'),
    Key("reload", RELOAD, "how a worker is told to read its own configuration again; a bare string is the signal",
        '"SIGHUP"', unset="it cannot"),
    Key("limits", LIMITS, "resource limits, as in setrlimit(2)", '{ nofile = [1024, 4096], core = "infinity" }'),
    Key("resources", RESOURCES, "limits of a worker and all its descendants together, by its cgroup",
        '{ memory_max = "512MiB", cpu_max = "150%" }'),
    Key("nice", whole(-20, 19), "scheduling priority; lower runs first", "5", unset="pidward's own"),
    Key("oom_score_adj", whole(-1000, 1000), "whom the kernel kills first when memory runs out; higher dies first",
        "500", unset="pidward's own"),
    Key("cpu_affinity", AFFINITY, "processors it may run on", '"0-3,8"', unset="pidward's own"),
    Key("io_priority", IO_PRIORITY, "priority of its disk accesses, as in ioprio_set(2)", '"best-effort:6"',
        unset="pidward's own"),
    Key("scheduler", SCHEDULER, "as in sched_setscheduler(2)", '"batch"', unset="pidward's own"),
    Key("security", SECURITY, "what the program may never do", "{ no_new_privileges = true }"),
    Key("optional", Array("a key or an array of keys", one_of(OPTIONAL), split=lambda key: [key]),
        "keys that the system may refuse: it is said, and the worker runs without", '["nice", "resources"]'),
    Key("logs", LOGS, "what is kept of stdout and stderr", '{ max_size = "10MiB", keep = 5 }'),
    Key("autostart", BOOLEAN, "started with the supervisor", "false"),
    Key("essential", ESSENTIAL, "its end is the end of everything, as with the program of a container: when it failed "
        "for good, or also when it completed", '"on-failure"'),
    Key("rolling", whole(0, MAX_WORKERS), "a change that needs new processes replaces so many workers at a time, each "
        "ready before the next; `0`: all at once", "1"),
    defaults=[_SERVICE, _EXECUTION],
)  # fmt: skip

GROUP = table(
    Key("members", Array("an array of names", TEXT), "services in it; `group = \"NAME\"` in a service says the same",
        '["web", "db"]'),
    Key("strategy", choice(Strategy), "who is restarted when a member ended by itself: it alone, all of them, or it "
        "and those after it in the file", '"one_for_all"'),
    Key("burst", whole(0, MAX_BURST), "restarts within `window` after which the group gives up: all of it is stopped; "
        "`0`: no limit but that of each worker", "5"),
    Key("window", duration(), "the time in which `burst` counts", '"30s"'),
    Key("parent", TEXT, "the group it is part of; that takes its giving up as the end of a member", '"app"'),
    Key("then", choice(Exhausted, without=[Exhausted.SLOW]), "what follows when a group without a parent gives up: it "
        "stays down, or everything is stopped", '"stop-all"'),
    defaults=[GroupSpec("")], one_of=("parent", "then"),
)  # fmt: skip

PIDWARD = table(
    Key("state_dir", ABSOLUTE_PATH, "what is remembered, and worker output", '"/var/lib/pidward"',
        unset="the instance's own"),
    Key("runtime_dir", ABSOLUTE_PATH, "sockets", '"/run/pidward"', unset="the instance's own"),
    Key("include", _FILES, "more files, relative to this one, with `*`, `?` and `[...]`", '["conf.d/*.toml"]'),
    Key("history", duration(), "how long events are kept", '"7d"'),
    Key("history_max", whole(0, MAX_HISTORY), "how many events are kept, whatever their age", "50000"),
    Key("stop_timeout", duration(), "for stopping everything at the end; what lives then is killed at once", '"25s"',
        unset="as long as the grace of each"),
    Key("health", TCP_PLACE, "where `/livez`, `/readyz` and `/startupz` are answered by HTTP", '"127.0.0.1:8080"',
        unset="nowhere"),
    defaults=[Settings()],
)  # fmt: skip

ROOT: Table = table(
    Key("pidward", PIDWARD, "the supervisor itself", ""),
    Key("defaults", SERVICE, "any key of a service, for all services that do not set it themselves", ""),
    Key("group", Named(check_group_name, GROUP), "services that share their fate", ""),
    Key("service", Named(check_service_name, SERVICE), "one service each", ""),
)
