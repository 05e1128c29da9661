"""Where the files of a worker's output are. Pure.

A stream is named ``web-2.out`` or ``web-2.err``; all of its files are named after it.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pidward.core.model import WorkerName

LOCK = ".pump.lock"
"""Held by the pump that runs, in the spool directory."""


def spool_dir(state_dir: str) -> str:
    """The directory of the spools and indexes."""
    return f"{state_dir}/spool"


def log_dir(state_dir: str, chosen: str | None) -> str:
    """The directory of the logs: the chosen one, or the default."""
    return chosen or f"{state_dir}/logs"


def streams(worker: "WorkerName") -> tuple[str, str]:
    """The names of stdout and stderr of a worker."""
    stem = f"{worker.service}-{worker.number}"
    return f"{stem}.out", f"{stem}.err"


def split_stream(stream: str) -> tuple[str, int, str]:
    """The service, the worker's number and ``stdout`` or ``stderr``, of a stream's name."""
    stem, _, end = stream.rpartition(".")
    service, _, number = stem.rpartition("-")
    return service, int(number), f"std{end}"


def spool_path(spools: str, stream: str) -> str:
    """The file that the worker appends to."""
    return f"{spools}/{stream}"


def retired(spool: str) -> str:
    """What a spool is renamed to when its worker is forgotten; the pump empties it and deletes it."""
    return f"{spool}.gone"


def pipe_path(spools: str, stream: str) -> str:
    """The FIFO that the worker writes to in mode "stream"."""
    return f"{spools}/{stream}.pipe"


def index_path(spools: str, stream: str) -> str:
    """The file that says what of the spool is where in the logs."""
    return f"{spools}/{stream}.idx"


def log_path(logs: str, stream: str) -> str:
    """The file that people read."""
    return f"{logs}/{stream}.log"


def rotated(log: str, age: int) -> str:
    """The log file that was filled ``age`` rotations ago; 0 is the present one."""
    return f"{log}.{age}" if age else log


def compressed(path: str) -> str:
    """What a rotated file is called when it is compressed."""
    return f"{path}.gz"


def half_compressed(log: str) -> str:
    """What a compressed file of this log is called until it is whole."""
    return f"{log}.gz.new"


def stream_of(name: str) -> str | None:
    """The stream that a file of the spool directory is the spool (retired or not) or FIFO of; None for other files."""
    stream = name.removesuffix(".gone").removesuffix(".pipe")
    return stream if stream.endswith((".out", ".err")) else None
