# What `pidward` offers as a library; __init__.py imports it when it is first used.
from pidward.core.model import ExitStatus as ExitStatus
from pidward.core.model import Phase as Phase
from pidward.core.model import ProcessId as ProcessId
from pidward.core.model import Source as Source
from pidward.core.model import Usage as Usage
from pidward.core.model import Worker as Worker
from pidward.core.model import WorkerName as WorkerName
from pidward.core.spec import Condition as Condition
from pidward.core.spec import Dependency as Dependency
from pidward.core.spec import LogMode as LogMode
from pidward.core.spec import LogPolicy as LogPolicy
from pidward.core.spec import Probe as Probe
from pidward.core.spec import ProbeKind as ProbeKind
from pidward.core.spec import RestartPolicy as RestartPolicy
from pidward.core.spec import ServiceSpec as ServiceSpec
from pidward.core.spec import StopPolicy as StopPolicy
from pidward.kernel.errors import Denied as Denied
from pidward.kernel.errors import Exhausted as Exhausted
from pidward.kernel.errors import Foreign as Foreign
from pidward.kernel.errors import Gone as Gone
from pidward.kernel.errors import KernelError as KernelError
from pidward.kernel.errors import NotLeader as NotLeader
from pidward.kernel.errors import Recycled as Recycled
from pidward.kernel.errors import Unsupported as Unsupported
from pidward.library.engine import Ended as Ended
from pidward.library.engine import Failed as Failed
from pidward.library.process import Process as Process
from pidward.library.process import open_process as open_process
from pidward.library.services import service as service
from pidward.library.spawning import SpawnError as SpawnError
from pidward.library.spawning import spawn as spawn
from pidward.library.streams import DEVNULL as DEVNULL
from pidward.library.streams import PIPE as PIPE
from pidward.library.streams import STDOUT as STDOUT
from pidward.library.supervisor import Event as Event
from pidward.library.supervisor import Supervisor as Supervisor
from pidward.runtime.desk import NoProcess as NoProcess
from pidward.runtime.desk import UnknownTarget as UnknownTarget
from pidward.runtime.main import CannotStart as CannotStart

__version__: str
__all__ = [
    "__version__", "ExitStatus", "Phase", "ProcessId", "Source", "Usage", "Worker", "WorkerName", "Denied",
    "Exhausted", "Foreign", "Gone", "KernelError", "NotLeader", "Recycled", "Unsupported", "Ended", "Failed",
    "Process", "open_process", "service", "SpawnError", "spawn", "DEVNULL", "PIPE", "STDOUT", "Event",
    "Supervisor", "NoProcess", "UnknownTarget", "CannotStart",
    "Condition", "Dependency", "LogMode", "LogPolicy", "Probe", "ProbeKind", "RestartPolicy", "ServiceSpec",
    "StopPolicy",
]  # fmt: skip
