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
_ALIASES = {"SIGIOT": "SIGABRT", "SIGCLD": "SIGCHLD", "SIGPOLL": "SIGIO"}

SIGHUP, SIGINT, SIGKILL, SIGTERM, SIGCHLD, SIGCONT = (
    _NUMBER_OF["SIG" + w] for w in ("HUP", "INT", "KILL", "TERM", "CHLD", "CONT")
)
SIGRTMIN, SIGRTMAX = 34, 64
"""As programs see them: glibc keeps 32 and 33 for itself."""
_REAL_TIME = {"SIGRTMIN": ("+", SIGRTMIN), "SIGRTMAX": ("-", SIGRTMAX)}


def signal_name(number: int) -> str:
    """Print a signal: ``SIGTERM``, ``SIGRTMIN+3``, or its number."""
    if SIGRTMIN <= number <= SIGRTMAX:
        return "SIGRTMIN" + (f"+{number - SIGRTMIN}" if number > SIGRTMIN else "")
    return _NAME_OF.get(number, str(number))


def parse_signal(text: str | int) -> int:
    """Read ``"SIGTERM"``, ``"term"``, ``"SIGRTMIN+3"``, ``"SIGRTMAX-1"`` or a number; ValueError otherwise."""
    number: int | None = None
    if isinstance(text, int) and not isinstance(text, bool):
        number = text
    elif isinstance(text, str):
        number = _spelled(text.strip().upper())
    if number is None or not 1 <= number <= SIGRTMAX:
        raise ValueError(f"unknown signal {text!r}; write a name like SIGTERM or a number from 1 to {SIGRTMAX}")
    return number


def _spelled(word: str) -> int | None:
    if _is_number(word):
        return int(word)
    name = word if word.startswith("SIG") else "SIG" + word
    base, sign, offset = name[:8], name[8:9], name[9:]
    if base in _REAL_TIME and (not sign or (sign == _REAL_TIME[base][0] and _is_number(offset))):
        number = _REAL_TIME[base][1] + int(sign + offset or 0)
        return number if number >= SIGRTMIN else None
    return _NUMBER_OF.get(_ALIASES.get(name, name))


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 2
