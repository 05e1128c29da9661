"""Kinds of values that become attributes of a process or of its cgroup."""

import os
import re

from pidward.config.values import (
    PERCENT_PATTERN,
    SIZE_PATTERN,
    Kind,
    is_whole,
    path_template_of,
    percent_of,
    template_of,
    unlike,
    whole_of,
    written,
)
from pidward.core.capabilities import CAPABILITIES
from pidward.core.spec import Essential, IoPriority, Scheduler
from pidward.core.units import MAX_SIZE, format_size, parse_size

INFINITE = -1
"""In Resources: no limit, as opposed to one that nobody asked for."""

MAX_CPU = 8191
"""Linux has no kernels for more processors (CONFIG_NR_CPUS on x86-64)."""

_IO_KINDS = ("realtime", "best-effort", "idle")
_POLICIES = ("other", "batch", "idle", "fifo", "rr")
_REAL_TIME = ("fifo", "rr")


def octal(words: str) -> Kind:
    """Make the kind of permission bits; ``words`` names an example."""

    def parse(value: object) -> int:
        if isinstance(value, str) and re.fullmatch("0?[0-7]{3}", value):
            return int(value, 8)
        if not isinstance(value, int) or isinstance(value, bool):
            raise unlike(words, value)
        if not 0 <= value <= 0o777:
            raise ValueError("must be between 0o000 and 0o777")
        return value

    json = {"type": ["string", "integer"], "pattern": "^0?[0-7]{3}$", "minimum": 0, "maximum": 0o777}
    return Kind("like `" + words.partition(" like ")[2].replace(" or ", "` or `") + "`", json, parse, _octal_text)


def _octal_text(bits: int) -> str:
    return written(f"{bits:03o}")


def limit(in_bytes: bool) -> Kind:
    """Make the kind of a resource limit, read as (soft, hard) with None for infinity."""
    words = "a size" if in_bytes else "a whole number"

    def parse_one(value: object) -> int | None:
        if value == "infinity":
            return None
        if in_bytes and isinstance(value, str):
            return parse_size(value)
        if not isinstance(value, int) or isinstance(value, bool):
            raise unlike(f'{words}, "infinity", or [soft, hard] of these', value)
        if value < 0:
            raise ValueError(f'must not be negative, got {value}; "infinity" lifts the limit')
        return value

    def parse(value: object) -> tuple[int | None, int | None]:
        pair = value if isinstance(value, list) else [value, value]
        if len(pair) != 2:
            raise ValueError(f"expected two limits, [soft, hard], got {len(pair)}")
        soft, hard = parse_one(pair[0]), parse_one(pair[1])
        if hard is not None and (soft is None or soft > hard):
            raise ValueError(f"the soft limit {pair[0]} is above the hard limit {pair[1]}")
        return soft, hard

    one = [{"const": "infinity"}, {"type": "integer", "minimum": 0}]
    one += [{"type": "string", "pattern": SIZE_PATTERN}] if in_bytes else []
    pair = {"type": "array", "items": {"anyOf": one}, "minItems": 2, "maxItems": 2}
    return Kind(f'{words}, `"infinity"`, or `[soft, hard]`', {"anyOf": [*one, pair]}, parse)


def memory(low: int) -> Kind:
    """Make the kind of a limit of memory: a size, a part of the machine's memory, or infinity (-1)."""

    def parse(value: object) -> int:
        if value == "infinity":
            return INFINITE
        if isinstance(value, str) and value.rstrip().endswith("%"):
            length = int(percent_of(value) * os.sysconf("SC_PHYS_PAGES")) * os.sysconf("SC_PAGE_SIZE")
        elif isinstance(value, str | int) and not isinstance(value, bool):
            length = parse_size(value)
        else:
            raise unlike('a size like "64MiB", a percentage, or "infinity"', value)
        if length < low:
            raise ValueError(f"must be at least {format_size(low)}, got {value!r}")
        return length

    strings = {"type": "string", "anyOf": [{"pattern": SIZE_PATTERN}, {"pattern": PERCENT_PATTERN}]}
    whole = {"type": "integer", "minimum": low, "maximum": MAX_SIZE}
    json = {"anyOf": [{"const": "infinity"}, whole, strings]}
    return Kind('a size, a percentage of the memory there is, or `"infinity"`', json, parse)


def _pids(value: object) -> int:
    if value == "infinity":
        return INFINITE
    return whole_of(value, 1, 2**22, 'a whole number or "infinity"')


def _processors(value: object) -> float:
    if value == "infinity":
        return INFINITE
    if isinstance(value, str) and (found := re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]+)?) *(%?)", value)):
        count = float(found[1]) / (100 if found[2] else 1)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        count = float(value)
    else:
        raise unlike('processors like "50%" or 1.5, or "infinity"', value)
    if not 0.01 <= count <= MAX_CPU:  # the kernel takes no quota below a millisecond of its 100 ms
        raise ValueError(f"must be between 1% and {MAX_CPU} processors, got {value!r}")
    return count


def _affinity(value: object) -> tuple[int, ...]:
    words = '"0-3,8" or an array of processor numbers'
    if isinstance(value, str):
        chosen = {number for part in value.split(",") for number in _range(part.strip(), words, value)}
    else:
        numbers = value if isinstance(value, list) else [value]
        chosen = {whole_of(number, 0, MAX_CPU, words) for number in numbers}
    if not chosen:
        raise ValueError("must not be empty")
    return tuple(sorted(chosen))


def _range(part: str, words: str, whole: str) -> range:
    found = re.fullmatch("([0-9]{1,5})(?:-([0-9]{1,5}))?", part)
    if found is None:
        raise unlike(words, whole)
    first = whole_of(int(found[1]), 0, MAX_CPU)
    last = whole_of(int(found[2] or first), 0, MAX_CPU)
    if last < first:
        raise ValueError(f"the range {part} ends before it begins")
    return range(first, last + 1)


def _io_priority(value: object) -> IoPriority:
    words = '"idle", "best-effort:4" or { kind = "realtime", level = 0 }'
    kind, level = _pair(value, "kind", "level", words)
    if kind not in _IO_KINDS:
        raise unlike(words, value)
    if kind == "idle":
        if level is not None:
            raise ValueError("idle has no level")
        return IoPriority("idle")
    return IoPriority(kind) if level is None else IoPriority(kind, whole_of(level, 0, 7, "a level"))


def _scheduler(value: object) -> Scheduler:
    words = '"other", "batch", "idle", "fifo:10" or { policy = "rr", priority = 10 }'
    policy, priority = _pair(value, "policy", "priority", words)
    if policy not in _POLICIES:
        raise unlike(words, value)
    if policy in _REAL_TIME:
        if priority is None:
            raise ValueError(f'{policy} needs a priority from 1 to 99, as in "{policy}:10"')
        return Scheduler(policy, whole_of(priority, 1, 99, "a priority"))
    if priority is not None:
        raise ValueError(f"{policy} has no priority; nice is what orders processes under it")
    return Scheduler(policy)


def _pair(value: object, first: str, second: str, words: str) -> tuple[str, object]:
    """Split ``"name:number"``, or take the two from a table; the second may be None."""
    if isinstance(value, str):
        name, colon, digits = value.partition(":")
        if colon and not re.fullmatch("[0-9]{1,3}", digits):
            raise unlike(words, value)
        return name, int(digits) if colon else None
    if not isinstance(value, dict) or not isinstance(value.get(first), str) or value.keys() - {first, second}:
        raise unlike(words, value)
    return value[first], value.get(second)


def _capability(value: object) -> str:
    name = value.lower().removeprefix("cap_") if isinstance(value, str) else ""
    if name not in CAPABILITIES:
        raise unlike('a capability like "net_bind_service", see capabilities(7)', value)
    return name


def _identity(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        if not 0 <= value < 2**32 - 1:  # the last one means "no change" to the kernel
            raise ValueError(f"an id is between 0 and {2**32 - 2}, got {value}")
        return str(value)
    if not isinstance(value, str):
        raise unlike("a name or a number", value)
    if not re.fullmatch(r"[^\s:/\0]+", value):
        raise ValueError(f"{value!r} cannot be a name of a user or group")
    return value


def _env_value(value: object) -> str:
    if is_whole(value):
        return str(value)
    if not isinstance(value, str):
        raise ValueError(f"{unlike('a string or a whole number', value)}; put it in quotes")
    return template_of(value)


def _stdin(value: object) -> str:
    return str(value) if value in ("null", "inherit") else path_template_of(value)


def _essential(value: object) -> Essential:
    words = {
        False: Essential.NO,
        True: Essential.ALWAYS,
        "on-failure": Essential.ON_FAILURE,
        "always": Essential.ALWAYS,
    }
    if not isinstance(value, bool | str) or value not in words:
        raise unlike('true, false, "on-failure" or "always"', value)
    return words[value]


_NAME_PATTERN = r"^[^\s:/\u0000]+$"
_TEMPLATE_JSON = {"type": "string", "pattern": r"^([^%\u0000]|%[i%])*$"}

UMASK = octal('a umask like "022" or 0o022')
MODE = octal('permissions like "660" or 0o660')
IDENTITY = Kind(
    "a name or a number",
    {"type": ["string", "integer"], "pattern": _NAME_PATTERN, "minimum": 0, "maximum": 2**32 - 2},
    _identity,
)
ENV_VALUE = Kind("a string or a whole number", {"anyOf": [_TEMPLATE_JSON, {"type": "integer"}]}, _env_value)
STDIN = Kind(
    '`"null"`, `"inherit"` or an absolute path',
    {"anyOf": [{"enum": ["null", "inherit"]}, {"type": "string", "pattern": r"^/([^%\u0000]|%[i%])*$"}]},
    _stdin,
)
PIDS = Kind(
    'a whole number or `"infinity"`',
    {"anyOf": [{"const": "infinity"}, {"type": "integer", "minimum": 1, "maximum": 2**22}]},
    _pids,
)
PROCESSORS = Kind(
    'processors, like `1.5` or `"150%"`, or `"infinity"`',
    {
        "anyOf": [
            {"type": "number", "minimum": 0.01, "maximum": MAX_CPU},
            {"type": "string", "pattern": r"^(infinity|[0-9]{1,9}(\.[0-9]+)? *%?)$"},
        ]
    },
    _processors,
)
_CPU_NUMBER = {"type": "integer", "minimum": 0, "maximum": MAX_CPU}
AFFINITY = Kind(
    'like `"0-3,8"`, or an array of numbers',
    {
        "anyOf": [
            _CPU_NUMBER,
            {"type": "array", "items": _CPU_NUMBER, "minItems": 1},
            {"type": "string", "pattern": "^[0-9]{1,5}(-[0-9]{1,5})?(,[0-9]{1,5}(-[0-9]{1,5})?)*$"},
        ]
    },
    _affinity,
)
IO_PRIORITY = Kind(
    '`"idle"`, or `"best-effort"` or `"realtime"` with a level, `"best-effort:4"`',
    {
        "anyOf": [
            {"type": "string", "pattern": "^(idle|(best-effort|realtime)(:[0-7])?)$"},
            {
                "type": "object",
                "properties": {
                    "kind": {"enum": ["realtime", "best-effort"]},
                    "level": {"type": "integer", "minimum": 0, "maximum": 7},
                },
                "required": ["kind"],
                "additionalProperties": False,
            },
        ]
    },
    _io_priority,
)
SCHEDULER = Kind(
    '`"other"`, `"batch"`, `"idle"`, or `"fifo"` or `"rr"` with a priority, `"fifo:10"`',
    {
        "anyOf": [
            {"type": "string", "pattern": "^(other|batch|idle|(fifo|rr):[1-9][0-9]?)$"},
            {
                "type": "object",
                "properties": {
                    "policy": {"enum": list(_REAL_TIME)},
                    "priority": {"type": "integer", "minimum": 1, "maximum": 99},
                },
                "required": ["policy", "priority"],
                "additionalProperties": False,
            },
        ]
    },
    _scheduler,
)
CAPABILITY = Kind("a capability", {"enum": list(CAPABILITIES)}, _capability)
ESSENTIAL = Kind(
    '`true`, `false`, `"on-failure"` or `"always"`',
    {"enum": [True, False, "on-failure", "always"]},
    _essential,
    lambda essential: written({Essential.NO: False, Essential.ALWAYS: True}.get(essential, essential.value)),
)
