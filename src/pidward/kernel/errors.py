"""What the kernel refuses, by meaning. One table says which errno of which call means what.

Callers decide by class: ``Gone`` is an outcome, ``Unsupported`` asks for the next rung, ``Exhausted`` for another try
later, and never for falling back to a bare pid.
"""

import errno as codes


class KernelError(Exception):
    """The kernel refused. The message says what, why, in which call, and what to do.

    errno: the kernel's number; 0 where pidward found it out itself.
    call: the system call or file.
    """

    because = "the kernel refused"
    advice = ""

    def __init__(self, doing: str, call: str = "", errno: int = 0, why: str = "") -> None:
        where = ", ".join(part for part in (call, codes.errorcode.get(errno, "")) if part)
        text = f"cannot {doing}: {why or self.because}" + (f" ({where})" if where else "")
        super().__init__(f"{text}; {self.advice}" if self.advice else text)
        self.errno, self.call = errno, call


class Gone(KernelError):
    """The process has been reaped. Its number may be somebody else's by now."""

    because = "the process is gone"


class NotLeader(KernelError):
    """The number names a thread, not a process."""

    because = "the number belongs to a thread, not to a process"
    advice = "use the number of its process (Tgid in /proc/NUMBER/status)"


class Recycled(KernelError):
    """The number belongs to another process than the one that was meant."""

    because = "the number belongs to another process now"
    advice = "nothing was done to it"


class NotChild(KernelError):
    """Only the parent can reap, and we are not the parent."""

    because = "it is no child of this process"


class NotYet(KernelError):
    """The answer exists only later."""

    because = "it has not happened yet"


class Unsupported(KernelError):
    """This kernel, or what confines us, has no such facility; the caller takes the next rung."""

    because = "this kernel does not offer it"
    advice = "`pidward doctor` shows what is used instead"


class Denied(KernelError):
    """The kernel has it, but not for us."""

    because = "permission denied"
    advice = "run pidward as root or as the owner of the process"


class Exhausted(KernelError):
    """Refused this time, for want of descriptors, processes or memory. Try again later; never by another way."""

    because = "the system or a limit has run out of descriptors, processes or memory"
    advice = "raise the limit (nofile, nproc, pids.max) or run fewer workers"


class Foreign(KernelError):
    """The process lives in a pid namespace that is not below ours."""

    because = "the process is in another pid namespace"
    advice = "run pidward in that namespace or above it"


class StaleBoot(KernelError):
    """Recorded in another boot of the machine: the process cannot exist any more."""

    because = "it was recorded before the machine was started again"


_ANY = {
    codes.ESRCH: Gone, codes.ESTALE: Gone,
    codes.ECHILD: NotChild,
    codes.ENOSYS: Unsupported, codes.EOPNOTSUPP: Unsupported,
    codes.EPERM: Denied, codes.EACCES: Denied, codes.EROFS: Denied,
    codes.EMFILE: Exhausted, codes.ENFILE: Exhausted, codes.ENOMEM: Exhausted, codes.ENOSPC: Exhausted,
    codes.EREMOTE: Foreign,
}  # fmt: skip
_BY_CALL: dict[str, dict[int, type[KernelError]]] = {
    # EINVAL with a positive pid: it died while being opened, or, before 6.9, the number is a thread's.
    "pidfd_open": {codes.ENOENT: NotLeader, codes.EINVAL: Gone},
    "pidfd_send_signal": {codes.EINVAL: Foreign, codes.EAGAIN: Exhausted},
    "waitid": {codes.EINVAL: Unsupported, codes.EAGAIN: NotYet},
    "PIDFD_GET_INFO": {codes.ENOTTY: Unsupported, codes.EINVAL: Unsupported},
    "pidfd_getfd": {codes.EINVAL: Unsupported},
    "name_to_handle_at": {codes.EINVAL: Unsupported, codes.EOVERFLOW: Unsupported},
    "open_by_handle_at": {codes.EINVAL: Unsupported, codes.EBADF: Unsupported},
    "clone3": {codes.EAGAIN: Exhausted, codes.EINVAL: Unsupported},
    "procfs fd": {codes.ENXIO: Unsupported},
}


def translated(error: OSError, call: str, doing: str) -> KernelError:
    """Give an OSError of a call its meaning.

    Args:
        error: as raised; its errno decides.
        call: the system call; the same errno means different things in different calls.
        doing: what was tried, to complete "cannot ...".

    Returns:
        The KernelError to raise; the plain base class when the errno has no special meaning.
    """
    number = error.errno or 0
    meaning = _BY_CALL.get(call, {}).get(number) or _ANY.get(number, KernelError)
    known = meaning is not KernelError
    return meaning(doing, call, number, "" if known else (error.strerror or str(error)).lower())
