"""The floor of Python with a small C helper that spawns in batches: bin/libfastspawn.so by ctypes.

    floor_helper.py plain|threads|fast COUNT PROGRAM ARGUMENTS...

threads: large batches from two threads. fast: the descriptor table is never copied. FLOOR_CGROUP as in floor.py.
"""

import ctypes
import gc
import os
import select
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

Helper = Callable[..., None]

WORTH_A_THREAD = 8

variant, count, template = sys.argv[1], int(sys.argv[2]), sys.argv[3:]


class Request(ctypes.Structure):
    """As in fastspawn.c."""

    _fields_ = (
        ("path", ctypes.c_char_p),
        ("arguments", ctypes.POINTER(ctypes.c_char_p)),
        ("environment", ctypes.POINTER(ctypes.c_char_p)),
        ("stdin", ctypes.c_int),
        ("stdout", ctypes.c_int),
        ("stderr", ctypes.c_int),
        ("cgroup", ctypes.c_int),
        ("pid", ctypes.c_int),
        ("pidfd", ctypes.c_int),
    )


def strings(words: list[str]) -> "ctypes.Array[ctypes.c_char_p]":
    return (ctypes.c_char_p * (len(words) + 1))(*(os.fsencode(word) for word in words), None)


def reserve_three(null: int) -> int:
    first = os.dup(null)
    os.dup2(null, first + 1, inheritable=False)
    os.dup2(null, first + 2, inheritable=False)
    return first


def open_cgroup(index: int) -> int:
    parent = os.environ.get("FLOOR_CGROUP")
    if parent is None:
        return -1
    os.makedirs(f"{parent}/w{index}", exist_ok=True)
    return os.open(f"{parent}/w{index}", os.O_RDONLY | os.O_DIRECTORY)


helper = ctypes.CDLL(str(Path(__file__).resolve().parent.parent / "bin/libfastspawn.so"))
null = os.open("/dev/null", os.O_RDWR)
if variant == "fast":
    helper.fastspawn_reserve(reserve_three(null))
environment = strings([f"{key}={value}" for key, value in os.environ.items()])
requests = []
for index in range(count):
    command = [word.replace("%i", str(index)) for word in template]
    program = os.fsencode(command[0])
    requests.append(Request(program, strings(command), environment, null, null, null, open_cgroup(index), 0, -1))
poller = select.epoll()
by_pidfd: dict[int, int] = {}


def batch(indexes: list[int], function: Helper) -> None:
    array = (Request * len(indexes))(*(requests[index] for index in indexes))
    function(array, len(indexes), poller.fileno())
    for index, request in zip(indexes, array, strict=True):
        requests[index].pidfd = request.pidfd
        by_pidfd[request.pidfd] = index


threads = ThreadPoolExecutor(2) if variant == "threads" else None


def act(indexes: list[int], function: Helper) -> None:
    if threads and len(indexes) > WORTH_A_THREAD:
        half = len(indexes) // 2
        other = threads.submit(batch, indexes[:half], function)
        batch(indexes[half:], function)
        other.result()
    elif indexes:
        batch(indexes, function)


act(list(range(count)), helper.fastspawn_spawn)
gc.freeze()
gc.disable()
while True:
    ready = [by_pidfd.pop(fd) for fd, _ in poller.poll() if fd in by_pidfd]
    act(ready, helper.fastspawn_respawn)
