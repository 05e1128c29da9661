"""What may be asked over the control socket: the varlink descriptions, which are the truth, and how calls are checked.

The server serves these texts by introspection, takes the parameters of each method from them, and refuses what does
not fit; a test holds the methods of ``control.service`` against them.
"""

SUPERVISOR = """\
# A running pidward supervisor: what its workers do, and what they should do.
#
# A target is a service ("web"), one of its workers ("web/2"), or, where a list of targets is empty, all workers.
# Durations are seconds. A process is written PID:INODE; the inode is 0 where the kernel has no pidfs.
interface io.pidward.Supervisor

# How a process ended. One of code and signal is there, or neither when nobody could tell.
# source says who told: waitid, pidfd_info, proc_stat, shim or unknown.
type Exit (code: ?int, signal: ?string, core_dumped: bool, source: string)

# One worker, now.
# wanted is up or down. phase is stopped, waiting, starting, running, ready, backing-off, slow-lane, stopping, killing,
# completed or failed; reason says why in plain words. ends_in is the time until the phase ends by itself.
# uptime is that of the living process. as_wanted: nothing is missing from what was asked for. status is what the
# program says of itself by STATUS=.
type Worker (
  name: string,
  service: string,
  number: int,
  wanted: string,
  phase: string,
  reason: string,
  as_wanted: bool,
  in_phase: float,
  ends_in: ?float,
  process: ?string,
  uptime: ?float,
  restarts: int,
  failures: int,
  last_exit: ?Exit,
  status: ?string
)

# The supervisor itself. trouble: what is degraded now, in sentences. state_dir: where its record and its logs are.
type Supervisor (
  version: string,
  process: string,
  instance: string,
  config: string,
  uptime: float,
  trouble: []string,
  state_dir: string
)

# What became of one worker. reached: it is what was asked for, or, when nobody waited, the request was accepted.
# exit is the last one there was. When the end of a process was waited for, phase is ended, and process and reason are
# about that one, whatever the worker does by now.
type Result (worker: string, reached: bool, phase: string, reason: string, process: ?string, exit: ?Exit)

# One service that differs from the file. consequence is added, removed, restarting, scaled or changed in place.
type Change (service: string, consequence: string, detail: string)

# A process that a signal was sent to.
type Signalled (worker: string, process: string)

# One process of a worker. parent is the number of one that belongs to it, too. main: the one that is supervised.
# escaped says how it got away: "left its parent" is not below the main process any more, "left the cgroup" has moved
# itself out and was known by its environment or its parent. state is the letter of proc(5), name the kernel's own.
type Member (
  process: string,
  parent: ?int,
  main: bool,
  escaped: ?string,
  state: string,
  name: string,
  command: string
)

# All processes of one worker, the main process first.
type WorkerTree (worker: string, processes: []Member)

# Something that happened. wall is in seconds since 1970, for display only; order is by seq, which only rises.
type Event (seq: int, wall: float, kind: string, worker: string, text: string, data: object)

# The state of workers and of the supervisor. without_workers: services of the targets that have workers = 0.
method Status(targets: ?[]string) -> (workers: []Worker, without_workers: []string, supervisor: Supervisor)

# The same for a screen, cheap to make and to read: a line a worker, tabs between name, phase, PID:INODE, uptime,
# restarts, last exit, reason (of one that is ready: its status), and 1 or 0 for as_wanted; "-" stands for nothing.
# trouble is the supervisor's.
method Table(targets: ?[]string) -> (table: string, without_workers: []string, trouble: []string)

# The processes of workers, as procfs and the cgroups show them.
method Tree(targets: ?[]string) -> (trees: []WorkerTree)

# Want workers up. With wait the reply comes when each has got there or cannot; with more as well, each as soon as it
# is known, in replies of its own. timeout bounds the waiting.
method Start(targets: []string, wait: ?bool, timeout: ?float) -> (results: []Result)

# Want workers down. Remembered over restarts of the supervisor, as Start is.
method Stop(targets: []string, wait: ?bool, timeout: ?float) -> (results: []Result)

# Replace the processes of workers by new ones, and want them up. With rolling so many of them at a time, each ready
# before the next are touched; it ends with the first that does not become ready.
method Restart(targets: []string, wait: ?bool, timeout: ?float, rolling: ?int) -> (results: []Result)

# Have so many workers of a service; those that stay are not touched. Kept until the file says another number.
method Scale(service: string, workers: int, wait: ?bool, timeout: ?float) -> (results: []Result)

# Wait until each worker is ready (goal up), has no process and wants none (down), or the process that it has now, if
# any, has ended (exit). Asks for nothing. One that is tried again is waited for; one that has failed, or is wanted
# down, cannot come up.
method Wait(targets: []string, goal: string, timeout: ?float) -> (results: []Result)

# Send a signal (SIGHUP, HUP or 1) through the pidfds of the target's workers; with tree to all their descendants too.
method Signal(target: string, signal: string, tree: ?bool) -> (signalled: []Signalled)

# SIGKILL, the main process or with tree all descendants too. What follows is up to the restart policy.
method Kill(target: string, tree: ?bool) -> (signalled: []Signalled)

# Remembered events after since, oldest first; with since below 0 the newest -since. limit is 1000 at most.
# With follow, and then more is needed: all that follow too, in further replies.
method Events(since: ?int, follow: ?bool, limit: ?int) -> (events: []Event)

# Read the configuration file again and change what changed.
method Reload() -> (changes: []string)

# Read the configuration file again and tell what Reload would change. Nothing is changed. notes: sentences about what
# differs from the file and would stay so.
method Plan() -> (changes: []Change, notes: []string)

# Have running workers read their own configuration again, by the signal or command that their service names. The reply
# comes when the commands have ended, after a minute at most; failures are sentences about those that failed.
method ReloadWorkers(targets: []string) -> (signalled: []Signalled, failures: []string)

# Stop all workers in reverse order, then the supervisor. at_once: without grace. The reply comes before it is done.
method Down(at_once: ?bool) -> ()

# How well all of it is. live: nothing has given up. ready: everything that is wanted may serve, has completed, or is
# idle until it is needed. started: everything that was wanted at the beginning has been ready once.
method Health() -> (live: bool, ready: bool, started: bool, reasons: []string)

# The supervisor alone.
method About() -> (supervisor: Supervisor)

# Nothing has this name; close are names that were perhaps meant.
error UnknownTarget (target: string, close: []string)

# No worker of the target has a process now.
error NoProcess (target: string)

# The caller may not.
error Denied (reason: string)

# It was not done, for this reason.
error Refused (reason: string)

# The time is over; results are those of all workers, also of those that are on their way.
error TimedOut (results: []Result)

# The configuration file cannot be used, and nothing was changed.
error InvalidConfiguration (problems: []string)
"""

VARLINK = """\
# Every varlink service describes itself through this interface.
interface org.varlink.service

# The service, and the interfaces it has.
method GetInfo() -> (
  vendor: string,
  product: string,
  version: string,
  url: string,
  interfaces: []string
)

# The description of one of the interfaces.
method GetInterfaceDescription(interface: string) -> (description: string)

# There is no such interface here.
error InterfaceNotFound (interface: string)

# The interface has no such method.
error MethodNotFound (method: string)

# The interface has the method, and this service does not.
error MethodNotImplemented (method: string)

# A parameter is missing, unknown or unfit.
error InvalidParameter (parameter: string)

# The method answers more than once, so the call must say more.
error ExpectedMore ()
"""

SUPERVISOR_NAME, VARLINK_NAME = "io.pidward.Supervisor", "org.varlink.service"
DESCRIPTIONS = {VARLINK_NAME: VARLINK, SUPERVISOR_NAME: SUPERVISOR}

Parameters = dict[str, str]
"""Names of parameters and their types, as in ``{"targets": "?[]string"}``."""


def methods_of(description: str) -> dict[str, Parameters]:
    """Read the methods of a description, and what they take."""
    methods = {}
    for declaration in description.split("\nmethod ")[1:]:
        name, _, rest = declaration.partition("(")
        pairs = (pair.split(":") for pair in rest.partition(")")[0].split(",") if pair.strip())
        methods[name] = {key.strip(): kind.strip() for key, kind in pairs}
    return methods


METHODS = {
    f"{interface}.{method}": takes
    for interface, description in DESCRIPTIONS.items()
    for method, takes in methods_of(description).items()
}
"""All methods by full name."""


class Refusal(Exception):
    """A call answered by an error: its full name, and the error's parameters."""

    def __init__(self, error: str, **parameters: object) -> None:
        super().__init__(error, parameters)
        self.error, self.parameters = error, parameters


def refused(error: str, **parameters: object) -> Refusal:
    """Make an error of our own interface, by its short name."""
    return Refusal(f"{SUPERVISOR_NAME}.{error}", **parameters)


def invalid(parameter: str) -> Refusal:
    """Make the error for a parameter that is missing, unknown or unfit."""
    return Refusal(f"{VARLINK_NAME}.InvalidParameter", parameter=parameter)


def check_call(method: str, parameters: dict[str, object]) -> None:
    """Hold a call against the descriptions. Raises Refusal for an unknown method or an unfit parameter."""
    takes = METHODS.get(method)
    if takes is None:
        interface = method.rpartition(".")[0]
        if interface in DESCRIPTIONS:
            raise Refusal(f"{VARLINK_NAME}.MethodNotFound", method=method)
        raise Refusal(f"{VARLINK_NAME}.InterfaceNotFound", interface=interface)
    for name in parameters:
        if name not in takes:
            raise invalid(name)
    for name, kind in takes.items():
        if not fits(kind, parameters.get(name)):
            raise invalid(name)


def fits(kind: str, value: object) -> bool:
    """Tell whether a value is of a varlink type; only those types that parameters have."""
    if kind.startswith("?"):
        return value is None or fits(kind[1:], value)
    if kind.startswith("[]"):
        return isinstance(value, list) and all(fits(kind[2:], element) for element in value)
    if isinstance(value, bool):
        return kind == "bool"
    return isinstance(value, {"string": str, "int": int, "float": int | float}.get(kind, ()))
