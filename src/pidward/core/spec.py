"""What the user configured, checked and complete: every default is filled in here and nowhere else."""

import enum

from pidward.core.lean import NamedTuple
from pidward.core.signals import SIGTERM
from pidward.core.units import Bytes, Seconds

MAX_WORKERS = 20_000
MAX_BURST = 1_000


class RestartWhen(enum.Enum):
    """The restart policy proper."""

    NEVER = "never"
    ON_FAILURE = "on-failure"
    ALWAYS = "always"


class Exhausted(enum.Enum):
    """What follows when the start limit is reached."""

    SLOW = "slow"
    FAIL = "fail"
    STOP_ALL = "stop-all"


class Tree(enum.Enum):
    """What happens to a worker's descendants when it ends."""

    KILL = "kill"
    SIGNAL = "signal"
    LEAVE = "leave"


class RestartPolicy(NamedTuple):
    """When and how fast an ended worker is started again.

    The first restart after a stable run is immediate. The n-th end in a row without one waits
    ``delay * factor**(n-2)``, at most ``max_delay``, spread by ``jitter``.
    Causes in the sets are exit codes, or minus a signal number.
    """

    policy: RestartWhen = RestartWhen.ALWAYS
    delay: Seconds = Seconds(0.1)
    max_delay: Seconds = Seconds(60.0)
    factor: float = 2.0
    jitter: float = 0.1  # fraction of the delay, to both sides
    reset_after: Seconds = Seconds(30.0)  # a run this long was stable
    burst: int = 10  # automatic starts within the window; 0: no limit
    window: Seconds = Seconds(60.0)
    then: Exhausted = Exhausted.SLOW
    success_codes: frozenset[int] = frozenset({0})
    never_on: frozenset[int] = frozenset()
    always_on: frozenset[int] = frozenset()


class StopPolicy(NamedTuple):
    """How a worker is stopped: a command, the signal, the grace, then SIGKILL; and what becomes of its tree."""

    signal: int = SIGTERM
    grace: Seconds = Seconds(10.0)
    tree: Tree = Tree.KILL
    pre: tuple[str, ...] = ()  # run before the signal, within the grace; PIDWARD_MAINPID tells it whom


class ReloadPolicy(NamedTuple):
    """How a worker is told to read its own configuration again: a signal, or a command. Both unset: it cannot."""

    signal: int | None = None
    command: tuple[str, ...] = ()


class Condition(enum.Enum):
    """What a dependency must have reached before the dependent is started."""

    STARTED = "started"  # the program runs
    READY = "ready"
    COMPLETED = "completed"  # ended by itself, as it should


class Dependency(NamedTuple):
    """Another service that must have got somewhere first: all its workers."""

    service: str
    condition: Condition = Condition.READY


class ProbeKind(enum.Enum):
    """How to find out about a worker."""

    NOTIFY = "notify"  # READY=1 by sd_notify; readiness only
    FD = "fd"  # a newline on a descriptor that the worker inherits; readiness only
    LOG = "log"  # a line of its output contains a text; readiness only
    AFTER = "after"  # it has run for a while; readiness only
    HTTP = "http"  # a GET answers with 200 to 399
    TCP = "tcp"  # a connection is accepted; also on a unix socket
    EXEC = "exec"  # a command exits with 0


class Probe(NamedTuple):
    """What is asked, and how often. Defaults and meanings are those of Kubernetes' probe fields.

    target: the URL, ``HOST:PORT`` or ``unix:/path``, the text of the line, or the number of the descriptor; ``%i`` in
        it and in the command is the worker's index.
    """

    kind: ProbeKind
    target: str = ""
    command: tuple[str, ...] = ()  # EXEC
    after: Seconds = Seconds(0.0)  # AFTER: how long it must have run
    headers: tuple[tuple[str, str], ...] = ()  # HTTP
    initial_delay: Seconds = Seconds(0.0)
    period: Seconds = Seconds(10.0)
    timeout: Seconds = Seconds(1.0)
    successes: int = 1  # in a row, to be ready again; always 1 for ``alive``
    failures: int = 3  # in a row, to be no longer ready, or to be dead

    @property
    def repeats(self) -> bool:
        """It is asked again and again; the others are told once."""
        return self.kind in (ProbeKind.HTTP, ProbeKind.TCP, ProbeKind.EXEC)


class ServiceType(enum.Enum):
    """What kind of program it is."""

    SERVICE = "service"  # runs until it is stopped
    ONESHOT = "oneshot"  # does its work and ends: COMPLETED
    FORKING = "forking"  # its first process ends when the daemon runs: MAINPID or pid_file tells who is the main one


class Overlap(enum.Enum):
    """What happens when a scheduled run is due and the one before it still runs."""

    SKIP = "skip"
    QUEUE = "queue"  # once, however many fall due
    REPLACE = "replace"


class Schedule(NamedTuple):
    """When a oneshot service runs by itself. Exactly one of every and cron is set.

    cron: minute, hour, day of month, month, day of week; local time.
    """

    every: Seconds | None = None  # from start to start; the first run is one period after pidward's own start
    cron: str | None = None
    overlap: Overlap = Overlap.SKIP


class Strategy(enum.Enum):
    """Who is restarted when a worker of a group ended without being asked; the names are OTP's."""

    ONE_FOR_ONE = "one_for_one"
    ONE_FOR_ALL = "one_for_all"
    REST_FOR_ONE = "rest_for_one"  # it, and those that come after it in the file


class GroupSpec(NamedTuple):
    """``[group.NAME]``: services that share their fate.

    When more than ``burst`` restarts of the group fall within ``window`` the group gives up: all of it is stopped
    and failed, and the group it is part of takes that as the end of one of its own members.
    """

    name: str
    strategy: Strategy = Strategy.ONE_FOR_ONE
    burst: int = 0  # 0: no limit but that of each worker
    window: Seconds = Seconds(60.0)
    parent: str | None = None
    then: Exhausted = Exhausted.FAIL  # for a group without a parent: FAIL or STOP_ALL


class SocketKind(enum.Enum):
    """The kinds of sockets that are bound for a service."""

    TCP = "tcp"
    UDP = "udp"
    UNIX = "unix"  # stream
    UNIX_DGRAM = "unix-dgram"


class SocketSpec(NamedTuple):
    """A socket that is bound once and given to every worker as a descriptor (LISTEN_FDS).

    address: ``host`` for TCP and UDP (IPv6 without brackets), else the path; a leading ``@`` is the abstract namespace.
    """

    kind: SocketKind
    address: str
    port: int = 0
    name: str = ""  # for LISTEN_FDNAMES
    backlog: int = 4096
    mode: int = 0o600  # of the path
    user: str | None = None  # owner of the path; None: the service's own user
    group: str | None = None
    reuse_port: bool = False


class Essential(enum.Enum):
    """Whether the end of this service is the end of everything, as for the program of a container."""

    NO = "no"
    ON_FAILURE = "on-failure"  # when it failed for good
    ALWAYS = "always"  # when it completed, too


class LogMode(enum.Enum):
    """Where stdout and stderr of a worker go."""

    FILE = "file"  # appended to a spool; the pump makes rotated files of it
    STREAM = "stream"  # through a pipe to the pump, which makes rotated files of it; no spool
    INHERIT = "inherit"  # pidward's own stdout and stderr
    NONE = "none"


class LogFormat(enum.Enum):
    """How a line is written to the log file."""

    TEXT = "text"
    JSON = "json"


class LogAlso(enum.Enum):
    """Where lines are sent besides the files."""

    JOURNAL = "journal"  # journald's native socket
    SYSLOG = "syslog"  # /dev/log


class LogPolicy(NamedTuple):
    """What is kept of stdout and stderr. Each stream of each worker has its own files."""

    mode: LogMode = LogMode.FILE
    dir: str | None = None  # None: STATE_DIR/logs
    max_size: Bytes = Bytes(50 * 2**20)  # of one file, then it is rotated
    keep: int = 10  # rotated files beside the current one
    max_age: Seconds | None = None  # a file this old is rotated, and rotated files this old are removed
    compress: bool = False  # rotated files, with gzip
    format: LogFormat = LogFormat.TEXT
    also: tuple[LogAlso, ...] = ()
    spool_limit: Bytes = Bytes(256 * 2**20)  # unread output of one stream; the oldest beyond it is dropped and counted


class Limit(NamedTuple):
    """One resource limit; None is "infinity"."""

    name: str  # as in setrlimit(2), lower case, without RLIMIT_: "nofile"
    soft: int | None
    hard: int | None


class IoPriority(NamedTuple):
    """As in ioprio_set(2)."""

    kind: str  # "realtime", "best-effort", "idle"
    level: int = 4  # 0, the highest, to 7; none for idle


class Scheduler(NamedTuple):
    """As in sched_setscheduler(2)."""

    policy: str  # "other", "batch", "idle", "fifo", "rr"
    priority: int = 0  # 1 to 99 for fifo and rr


class Security(NamedTuple):
    """What the program may never do. Capability names are those of capabilities(7), lower case, without CAP_."""

    no_new_privileges: bool = False
    capabilities: tuple[str, ...] | None = None  # all it and its children can ever have; None: untouched
    ambient: tuple[str, ...] = ()  # kept over exec by a program that is not root


class Resources(NamedTuple):
    """Limits of a worker's whole cgroup; None: untouched. Infinity is -1."""

    memory_max: Bytes | None = None
    memory_high: Bytes | None = None
    memory_swap_max: Bytes | None = None
    pids_max: int | None = None
    cpu_weight: int | None = None  # 1 to 10000; 100 is usual
    cpu_max: float | None = None  # processors: 0.5 is half of one
    io_weight: int | None = None  # 1 to 10000


class Execution(NamedTuple):
    """All that is fixed in a process when it starts; a change here needs a restart.

    ``%i`` in command, working_dir and values of env is the worker's index, ``%%`` a percent sign.
    """

    command: tuple[str, ...]
    working_dir: str | None = None
    umask: int = 0o022
    user: str | None = None  # name or number; None: pidward's own
    group: str | None = None  # None: the user's own
    supplementary_groups: tuple[str, ...] | None = None  # None: those of the user's entry in /etc/group
    env: tuple[tuple[str, str], ...] = ()
    clear_env: bool = False  # start from an empty environment instead of pidward's own
    stdin: str = "null"  # "null", "inherit" (pidward's own), or the path of a file to read
    limits: tuple[Limit, ...] = ()
    nice: int | None = None
    oom_score_adj: int | None = None
    cpu_affinity: tuple[int, ...] = ()  # processor numbers; empty: untouched
    io_priority: IoPriority | None = None
    scheduler: Scheduler | None = None
    security: Security = Security()
    sockets: tuple[SocketSpec, ...] = ()
    optional: tuple[str, ...] = ()  # keys that may be refused by the system: a warning, and it runs without


class ServiceSpec(NamedTuple):
    """One ``[service.NAME]``."""

    name: str
    execution: Execution
    workers: int = 1
    type: ServiceType = ServiceType.SERVICE
    depends_on: tuple[Dependency, ...] = ()
    group: str | None = None
    ready: Probe | None = None  # None: ready as soon as the program runs
    ready_timeout: Seconds | None = None  # not ready after this long is a failed start; None: wait
    alive: Probe | None = None
    watchdog: Seconds | None = None  # WATCHDOG=1 must come at least this often
    notify: bool = False  # gets NOTIFY_SOCKET though neither ready nor watchdog asks for it
    fd_store: int = 0  # descriptors kept for it by FDSTORE=1, at most
    pid_file: str | None = None  # FORKING: where the daemon writes its number; believed only when verified
    on_demand: bool = False  # started by the first connection to one of its sockets
    schedule: Schedule | None = None
    restart: RestartPolicy = RestartPolicy()
    stop: StopPolicy = StopPolicy()
    reload: ReloadPolicy = ReloadPolicy()
    resources: Resources = Resources()  # changed in place: the cgroup is written to
    logs: LogPolicy = LogPolicy()
    autostart: bool = True  # started with the supervisor
    essential: Essential = Essential.NO
    rolling: int = 0  # a change that needs a restart replaces this many workers at a time, each ready before the next
    origin: str = ""  # FILE:LINE:COL of the command, for messages
    origins: tuple[tuple[str, str], ...] = ()  # other keys and their FILE:LINE:COL, for messages

    @property
    def notifies(self) -> bool:
        """Its workers get NOTIFY_SOCKET."""
        by_ready = self.ready is not None and self.ready.kind is ProbeKind.NOTIFY
        return by_ready or self.notify or self.watchdog is not None or self.fd_store > 0


class Settings(NamedTuple):
    """``[pidward]``. None: the instance's default place."""

    state_dir: str | None = None
    runtime_dir: str | None = None
    history: Seconds = Seconds(30 * 86400.0)
    history_max: int = 100_000  # events kept, whatever their age
    stop_timeout: Seconds | None = None  # for stopping everything at the end; what lives then is killed at once
    health: str = ""  # HOST:PORT or unix:PATH where /livez, /readyz and /startupz are answered; empty: nowhere


class Configuration(NamedTuple):
    """A whole, valid configuration; services in the order of the file, which is the order of starting."""

    services: tuple[ServiceSpec, ...] = ()
    settings: Settings = Settings()
    path: str = ""
    groups: tuple[GroupSpec, ...] = ()
