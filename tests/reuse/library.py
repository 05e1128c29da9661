"""pidward's kernel layer under forced reuse. Runs inside a namespace; test_reuse.py calls ``play``.

A story begins with a worker, our child, and pidward's handle on it. At the worst moment the worker dies, is reaped,
and a stranger gets its number. Whatever pidward is asked after that, the stranger must not feel it, and the answer
must be that the worker is dead.
"""

import os
import signal
from collections.abc import Callable

from pidward.core.model import ExitStatus, ProcessId, Sameness, Source
from pidward.kernel import procfs
from pidward.kernel.clock import boot_id
from pidward.kernel.errors import Gone, KernelError, NotChild, Recycled
from pidward.kernel.members import kill_members, signal_members
from pidward.kernel.pidfd import Ask, Pidfd, Scope, State
from pidward.kernel.tree import WalkedTree
from pidward.kernel.wait import exit_status_of, reap, wait_exit
from tests.reuse.namespace import COMES_BACK, Process, spawn_child, spawn_stranger

_LETHAL = (signal.SIGTERM, signal.SIGKILL, signal.SIGSTOP, signal.SIGHUP, signal.SIGRTMIN)


class Scene:
    """One worker, and who comes after it."""

    def __init__(self, exits: int) -> None:
        """Odd workers exit by themselves with a code; even ones live until ``recycle``."""
        self.exits = exits if exits % 2 else None
        self.worker = spawn_child(exits=-1 if self.exits is None else self.exits)
        self.handle = Pidfd.open(self.worker.pid)
        self.pid = self.worker.pid
        self.stranger: Process | None = None

    @property
    def expected(self) -> tuple[int | None, int | None]:
        """Code and signal of the worker's end."""
        return (None, signal.SIGKILL) if self.exits is None else (self.exits, None)

    def end_worker(self) -> None:
        """The worker is dead, and not reaped."""
        if self.exits is None:
            assert self.handle.signal(signal.SIGKILL)
        assert wait_exit(self.handle)

    def recycle(self, reaped_by_us: bool = True) -> Process:
        """The worker is dead and reaped, and its number is a stranger's."""
        self.end_worker()
        if reaped_by_us:
            self.check(reap(self.handle), Source.WAITID)
        else:
            self.worker.reap()
        self.stranger = spawn_stranger(self.pid)
        assert self.stranger.pid == self.pid
        return self.stranger

    def check(self, status: ExitStatus | None, source: Source) -> None:
        """The status is the worker's own."""
        assert status is not None
        assert (status.code, status.signal, status.source) == (*self.expected, source), status

    def close(self) -> None:
        """Nobody was touched; leave nothing behind."""
        touched = self.stranger.touched() if self.stranger else None
        state = self.handle.state()
        self.handle.close()
        self.worker.end()
        if self.stranger:
            self.stranger.end()
        assert touched is None, f"a stranger got {touched}"
        assert state is State.REAPED, f"the death went unnoticed: {state}"


def start(scene: Scene) -> None:
    """The next worker of the supervisor gets the number of the last one: they are not mixed up."""
    scene.end_worker()
    scene.check(reap(scene.handle), Source.WAITID)
    with spawn_child(scene.pid) as successor, Pidfd.open(scene.pid) as new:
        assert new.id.pid == scene.handle.id.pid
        assert new.id.compare(scene.handle.id) is Sameness.DIFFERENT
        assert not scene.handle.signal(signal.SIGTERM)
        assert successor.touched() is None
        scene.check(reap(scene.handle), Source.PIDFD_INFO)  # the old one's end, once more
        assert reap(new) is None
        assert new.signal(signal.SIGKILL)
        assert wait_exit(new)
        status = reap(new)
        assert status is not None
        assert status.cause == -signal.SIGKILL


def send_signal(scene: Scene) -> None:
    """Any signal, to any scope, says that the process is gone."""
    scene.recycle()
    for number in (0, *_LETHAL):
        assert not scene.handle.signal(number)
    assert not scene.handle.signal(signal.SIGTERM, Scope.THREAD)
    assert not scene.handle.signal(signal.SIGTERM, Scope.GROUP)
    assert not scene.handle.signal(signal.SIGUSR1, value=7)


def stop(scene: Scene) -> None:
    """The polite signal, a grace in which the worker ends and its number is recycled, the firm signal."""
    if scene.exits is None:
        assert scene.handle.signal(signal.SIGTERM)
    scene.recycle()
    assert wait_exit(scene.handle)
    assert not scene.handle.signal(signal.SIGKILL)


def kill_by_identity(scene: Scene) -> None:
    """What was written down, PID:INODE, is not opened as somebody else."""
    written = str(scene.handle.id)
    scene.recycle()
    identity = ProcessId.parse(written)
    _refused(Recycled, Pidfd.open, *identity)
    with Pidfd.open(scene.pid) as stranger:
        assert stranger.id.compare(identity) is Sameness.DIFFERENT


def kill_by_file_handle(scene: Scene) -> None:
    """The other thing that can be written down: 16 bytes, and the boot."""
    written = scene.handle.handle()
    scene.recycle()
    _refused(Gone, Pidfd.from_handle, written, boot_id())


def kill_tree(scene: Scene) -> None:
    """The number is recycled between the listing of a group and its opening, or between that and the signal."""
    looks = 0
    when = 1 if scene.exits is None else 2

    def numbers() -> list[int]:
        nonlocal looks
        looks += 1
        members = [scene.pid] if scene.stranger is None else []
        if looks == when:
            scene.recycle()
        return members

    assert signal_members(numbers, signal.SIGTERM) == set()
    kill_members(list)
    WalkedTree("0" * 32, scene.handle).kill()
    assert not WalkedTree("0" * 32, scene.handle).is_populated()


def wait(scene: Scene) -> None:
    """A foreign waitpid(-1) took the status: it is repaired, and the stranger is not waited for."""
    scene.recycle(reaped_by_us=False)
    assert wait_exit(scene.handle)
    scene.check(reap(scene.handle), Source.PIDFD_INFO)
    scene.check(exit_status_of(scene.handle), Source.PIDFD_INFO)
    with Pidfd.open(scene.pid) as stranger:
        _refused(NotChild, reap, stranger)


def status(scene: Scene) -> None:
    """Everything that can be asked; nothing about the stranger is taken for the worker's."""
    scene.recycle()
    handle = scene.handle
    assert handle.state() is State.REAPED
    assert not handle.exists()
    assert handle.is_intact()
    info = handle.info(Ask.PID | Ask.EXIT)
    assert not info.has(Ask.PID)
    assert ExitStatus.from_wait_status(info.exit_word, Source.PIDFD_INFO).cause is not None
    questions: list[Callable[[Pidfd], object]] = [
        procfs.read_stat, procfs.rss, procfs.name, procfs.command_line, procfs.environ, procfs.children,
    ]  # fmt: skip
    for question in questions:
        _refused(Gone, question, handle)


def library_calls(scene: Scene) -> None:
    """The rest of the handle: copies know it too, and no descriptor of the stranger is taken."""
    copy = Pidfd.copy_of(scene.handle.fileno(), scene.pid)
    scene.recycle()
    with copy:
        assert copy.id == scene.handle.id
        assert copy.state() is State.REAPED
        assert not copy.signal(signal.SIGTERM)
    _refused(Gone, scene.handle.getfd, 0)
    _refused(Gone, scene.handle.reopen_fd, 0, os.O_RDONLY)


STORIES: dict[str, Callable[[Scene], None]] = {
    story.__name__: story
    for story in (
        start, send_signal, stop, kill_by_identity, kill_by_file_handle, kill_tree, wait, status, library_calls,
    )
}  # fmt: skip


def _refused(how: type[KernelError], act: Callable[..., object], *arguments: object) -> None:
    try:
        act(*arguments)
    except how:
        return
    raise AssertionError(f"not refused as {how.__name__}")


def play(story: str, rounds: int) -> int:
    """Play a story again and again; returns how often a number was recycled. Raises at the first wrong thing."""
    for index in range(rounds):
        scene = Scene(exits=index % 250)
        try:
            STORIES[story](scene)
        finally:
            scene.close()
    return rounds


def signal_by_number(by: str, rounds: int) -> list[str | None]:
    """The control: what the stranger feels when its number is signalled, by each way of forcing the reuse."""
    felt = []
    for _ in range(rounds):
        with spawn_child(COMES_BACK) as worker:
            worker.die()
            with spawn_stranger(worker.pid, by) as stranger:
                os.kill(worker.pid, 0)  # "it lives"
                os.kill(worker.pid, signal.SIGTERM)
                felt.append(stranger.touched())
    return felt


def touch_in_every_way() -> dict[str, str | None]:
    """What a stranger tells of each thing that can be done to it."""
    found = {}
    for number in (0, signal.SIGCHLD, signal.SIGCONT, signal.SIGUSR1, signal.SIGSTOP, signal.SIGKILL):
        with spawn_child() as worker:
            worker.die()
            with spawn_stranger(worker.pid) as stranger:
                signal.pidfd_send_signal(stranger.pidfd, number)
                found[str(int(number))] = stranger.touched()
    return found


def relations(by: str) -> dict[str, int | bool]:
    """That a stranger is one: not our child, in a session of its own, with the wanted number."""
    with spawn_child(COMES_BACK) as worker:
        worker.die()
        with spawn_stranger(worker.pid, by) as stranger:
            try:
                os.waitid(os.P_PIDFD, stranger.pidfd, os.WEXITED | os.WNOHANG)
                is_child = True
            except ChildProcessError:
                is_child = False
            return {
                "has the number": stranger.pid == worker.pid,
                "is our child": is_child,
                "leads its session": os.getsid(stranger.pid) == stranger.pid,
            }
