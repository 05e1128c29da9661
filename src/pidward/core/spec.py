"""What the user configured, checked and complete: every default is filled in here and nowhere else."""

import enum
from typing import NamedTuple

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
    """How a worker is stopped: the signal, the grace, then SIGKILL; and what becomes of its tree."""

    signal: int = SIGTERM
    grace: Seconds = Seconds(10.0)
    tree: Tree = Tree.KILL


class LogMode(enum.Enum):
    """Where stdout and stderr of a worker go."""

    FILE = "file"
    NONE = "none"


class LogPolicy(NamedTuple):
    """What is kept of stdout and stderr. Each stream of each worker has its own files."""

    mode: LogMode = LogMode.FILE
    dir: str | None = None  # None: STATE_DIR/logs
    max_size: Bytes = Bytes(50 * 2**20)  # of one file, then it is rotated
    keep: int = 10  # rotated files beside the current one
    spool_limit: Bytes = Bytes(256 * 2**20)  # unread output of one stream; the oldest beyond it is dropped and counted


class Limit(NamedTuple):
    """One resource limit; None is "infinity"."""

    name: str  # as in setrlimit(2), lower case, without RLIMIT_: "nofile"
    soft: int | None
    hard: int | None


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
    stdin: str = "null"  # "null", or the path of a file to read
    limits: tuple[Limit, ...] = ()
    nice: int | None = None
    oom_score_adj: int | None = None


class ServiceSpec(NamedTuple):
    """One ``[service.NAME]``."""

    name: str
    execution: Execution
    workers: int = 1
    ready_after: Seconds | None = None  # None: ready as soon as the program runs
    restart: RestartPolicy = RestartPolicy()
    stop: StopPolicy = StopPolicy()
    logs: LogPolicy = LogPolicy()
    autostart: bool = True  # started with the supervisor
    origin: str = ""  # FILE:LINE:COL of the command, for messages


class Settings(NamedTuple):
    """``[pidward]``. None: the instance's default place."""

    state_dir: str | None = None
    runtime_dir: str | None = None
    history: Seconds = Seconds(30 * 86400.0)
    history_max: int = 100_000  # events kept, whatever their age


class Configuration(NamedTuple):
    """A whole, valid configuration; services in the order of the file, which is the order of starting."""

    services: tuple[ServiceSpec, ...] = ()
    settings: Settings = Settings()
    path: str = ""
