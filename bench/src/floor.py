"""The physical floor in Python: one epoll over pidfds, waitid(P_PIDFD), spawn.

    floor.py SPAWN COUNT PROGRAM ARGUMENTS...      "%i" in an argument becomes the worker's number, from 0

SPAWN is posix_spawn, fork_exec (the call below subprocess, a vfork), popen, clone3_cgroup (fork-like, born in its
cgroup) or procs_cgroup (the child moves itself there). Environment: FLOOR_LOG, FLOOR_ROTATE, FLOOR_SPLICE as in
floor.c; FLOOR_CGROUP, a cgroup directory to make one for each worker in.
"""

import _posixsubprocess
import ctypes
import fcntl
import gc
import os
import select
import signal
import struct
import subprocess
import sys
from collections.abc import Callable
from typing import NoReturn

Spawn = Callable[[int, int], int]  # (index, stdout) -> pidfd

PIPE_BYTES = 1 << 20
SYS_CLONE3 = 435
CLONE_PIDFD, CLONE_VFORK, CLONE_INTO_CGROUP = 0x1000, 0x4000, 0x200000000

spawn_name, count, template = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
commands = [[word.replace("%i", str(index)) for word in template] for index in range(count)]
null = os.open("/dev/null", os.O_RDWR)


def by_posix_spawn(index: int, stdout: int) -> int:
    actions = [(os.POSIX_SPAWN_DUP2, null, 0), (os.POSIX_SPAWN_DUP2, stdout, 1), (os.POSIX_SPAWN_DUP2, stdout, 2)]
    command = commands[index]
    return os.pidfd_open(os.posix_spawn(command[0], command, os.environ, file_actions=actions, setsid=True))


def fork_exec_spawner() -> Spawn:
    environment = [os.fsencode(key) + b"=" + os.fsencode(value) for key, value in os.environ.items()]
    program = (os.fsencode(template[0]),)
    arguments = [[os.fsencode(word) for word in command] for command in commands]
    error_read, error_write = os.pipe()
    fork_exec: Callable[..., int] = _posixsubprocess.fork_exec

    def by_fork_exec(index: int, stdout: int) -> int:
        options = (True, (), None, environment, null, -1, -1, stdout, -1, stdout, error_read, error_write)
        rest = (True, True, -1, None, None, None, -1, None, True)  # ..., in a new session, ..., by vfork
        pid: int = fork_exec(arguments[index], program, *options, *rest)
        return os.pidfd_open(pid)

    return by_fork_exec


def by_popen(index: int, stdout: int) -> int:
    child = subprocess.Popen(commands[index], stdin=null, stdout=stdout, stderr=stdout, start_new_session=True)
    child.returncode = 0  # the loop below reaps it, not Popen
    return os.pidfd_open(child.pid)


def clone3_spawner(born_there: bool) -> Spawn:
    syscall = ctypes.CDLL(None, use_errno=True).syscall
    folders = [f"{os.environ['FLOOR_CGROUP']}/w{index}" for index in range(count)]
    for folder in folders:
        os.makedirs(folder, exist_ok=True)
    cgroups = [os.open(folder, os.O_RDONLY | os.O_DIRECTORY) for folder in folders]
    pidfd = ctypes.c_int(-1)

    def by_clone3(index: int, stdout: int) -> int:
        flags = CLONE_PIDFD | CLONE_VFORK | (CLONE_INTO_CGROUP if born_there else 0)
        where = cgroups[index] if born_there else 0
        fields = (flags, ctypes.addressof(pidfd), 0, 0, signal.SIGCHLD, 0, 0, 0, 0, 0, where)
        pid = syscall(SYS_CLONE3, ctypes.create_string_buffer(struct.pack("<11Q", *fields)), 88)
        if pid == 0:
            become_worker(index, stdout, None if born_there else folders[index])
        if pid < 0:
            raise OSError(ctypes.get_errno(), "clone3")
        return pidfd.value

    return by_clone3


def become_worker(index: int, stdout: int, cgroup_to_enter: str | None) -> NoReturn:
    try:
        if cgroup_to_enter:
            with open(f"{cgroup_to_enter}/cgroup.procs", "wb", buffering=0) as file:
                file.write(b"0")
        os.setsid()
        os.dup2(null, 0)
        os.dup2(stdout, 1)
        os.dup2(stdout, 2)
        os.execve(commands[index][0], commands[index], os.environ)
    finally:
        os._exit(127)


def choose_spawn(name: str) -> Spawn:
    if name == "fork_exec":
        return fork_exec_spawner()
    if name in ("clone3_cgroup", "procs_cgroup"):
        return clone3_spawner(born_there=name == "clone3_cgroup")
    return {"posix_spawn": by_posix_spawn, "popen": by_popen}[name]


class Log:
    """Copies the output of one worker to its file."""

    folder = os.environ.get("FLOOR_LOG")
    rotate_at = int(os.environ.get("FLOOR_ROTATE", "0"))
    by_splice = "FLOOR_SPLICE" in os.environ

    def __init__(self, index: int) -> None:
        self.path = f"{self.folder}/{index}.log"
        self.rotations = 0
        self.source = self.file = -1
        self.open()

    def open(self) -> None:
        append = 0 if self.by_splice else os.O_APPEND  # splice(2) refuses files opened with it
        self.file = os.open(self.path, os.O_WRONLY | os.O_CREAT | append | os.O_CLOEXEC, 0o644)
        self.size = 0

    def new_source(self) -> int:
        """Make a pipe to copy from; returns its writing end."""
        self.source, writer = os.pipe()
        os.set_blocking(self.source, False)
        fcntl.fcntl(self.source, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        return writer

    def copy(self) -> bool:
        """Copy what is there; False when it is empty or closed."""
        if self.source < 0:
            return False
        try:
            size = self.splice() if self.by_splice else self.read_and_write()
        except BlockingIOError:
            return False
        if not size:
            self.close_source()
            return False
        self.size += size
        if self.rotate_at and self.size >= self.rotate_at:
            self.rotate()
        return True

    def splice(self) -> int:
        flags = os.SPLICE_F_MOVE | os.SPLICE_F_NONBLOCK
        return os.splice(self.source, self.file, PIPE_BYTES, flags=flags)

    def read_and_write(self) -> int:
        data = os.read(self.source, PIPE_BYTES)
        return os.write(self.file, data) if data else 0

    def rotate(self) -> None:
        os.close(self.file)
        self.rotations += 1
        os.rename(self.path, f"{self.path}.{self.rotations}")
        self.open()

    def close_source(self) -> None:
        """Stop copying; a closed descriptor leaves the epoll set by itself."""
        if self.source >= 0:
            os.close(self.source)
            self.source = -1


spawn = choose_spawn(spawn_name)
poller = select.epoll()
logs = [Log(index) for index in range(count)] if Log.folder else []
dying: dict[int, int] = {}  # pidfd -> index
talking: dict[int, int] = {}  # pipe -> index


def start(index: int) -> None:
    if logs:
        writer = logs[index].new_source()
        pidfd = spawn(index, writer)
        os.close(writer)
        talking[logs[index].source] = index
        poller.register(logs[index].source, select.EPOLLIN)
    else:
        pidfd = spawn(index, null)
    dying[pidfd] = index
    poller.register(pidfd, select.EPOLLIN)


def replace(pidfd: int) -> None:
    index = dying.pop(pidfd)
    os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
    os.close(pidfd)
    if logs:
        while logs[index].copy():
            pass
        logs[index].close_source()
    start(index)


for index in range(count):
    start(index)
gc.freeze()
gc.disable()
while True:
    for fd, _ in poller.poll():
        if fd in dying:
            replace(fd)
        elif fd in talking:
            logs[talking[fd]].copy()
