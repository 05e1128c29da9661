"""Names and numbers of signals, as data. Nothing is sent from here.

The table is Linux's for x86, arm, riscv and s390 (include/uapi/asm-generic/signal.h); a test compares it with the
running system's.
"""

_NAMES = (
    "HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP TSTP TTIN TTOU "
    "URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS"
)
_NAME_OF = {number: "SIG" + word for number, word in enumerate(_NAMES.split(), start=1)}
_NUMBER_OF = {name: number for number, name in _NAME_OF.items()}

SIGHUP, SIGINT, SIGKILL, SIGTERM, SIGCHLD = (_NUMBER_OF["SIG" + w] for w in ("HUP", "INT", "KILL", "TERM", "CHLD"))
SIGRTMIN, SIGRTMAX = 34, 64
"""As programs see them: glibc keeps 32 and 33 for itself."""


def signal_name(number: int) -> str:
    """Print a signal: ``SIGTERM``, ``SIGRTMIN+3``, or its number."""
    if SIGRTMIN <= number <= SIGRTMAX:
        return "SIGRTMIN" + (f"+{number - SIGRTMIN}" if number > SIGRTMIN else "")
    return _NAME_OF.get(number, str(number))


def parse_signal(text: str | int) -> int:
    """Read ``"SIGTERM"``, ``"TERM"``, ``"term"``, ``"SIGRTMIN+3"`` or a number; ValueError otherwise."""
    number: int | None = None
    if isinstance(text, int) and not isinstance(text, bool):
        number = text
    elif isinstance(text, str):
        word, plus, offset = text.strip().upper().removeprefix("SIG").partition("+")
        if word == "RTMIN" and (not plus or offset.isdigit()):
            number = SIGRTMIN + int(offset or 0)
        elif not plus:
            number = int(word) if word.isascii() and word.isdigit() else _NUMBER_OF.get("SIG" + word)
    if number is None or not 1 <= number <= SIGRTMAX:
        raise ValueError(f"unknown signal {text!r}; write a name like SIGTERM or a number from 1 to {SIGRTMAX}")
    return number
