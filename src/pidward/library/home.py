"""Where this program keeps the trees of what it spawns: a cgroup directory each, or marks to be walked by.

Found out once for each process: a fork of ours has a home of its own.
"""

import atexit
import os
import re
import threading
from collections.abc import Callable
from contextlib import closing, suppress
from itertools import count
from typing import TypeVar

from pidward.core.model import WorkerName
from pidward.kernel.cgroup import Group, GroupV1, Located, locate
from pidward.kernel.errors import Gone, KernelError, Recycled
from pidward.kernel.pidfd import Pidfd
from pidward.kernel.spawn import Spawner
from pidward.kernel.wait import reap
from pidward.runtime.trees import Birth, Trees

_NAME = re.compile(r"pidward-lib\.([1-9][0-9]*)\.([1-9][0-9]*)-([0-9a-f]+)")
_T = TypeVar("_T")


class Home:
    """The place for all trees of this process. Methods may be called from any thread."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        with Pidfd.own() as own:
            owner = own.id
        place = locate()
        _sweep(place)
        # The owner's identity is the name, so that who comes later can prove whether it lives.
        self._trees = Trees(f"lib.{owner.pid}.{owner.inode}", None, place, subreaper=False)
        with closing(Spawner()) as spawner:
            self.into_cgroup = not self._trees.kills_at_birth(spawner)
        self._numbers = count(1)
        self._lock = threading.Lock()
        self._living = 0
        self._abandoned: list[Pidfd] = []
        self._trees.close()

    def settle(self, spawn: Callable[[Birth], _T]) -> tuple[_T, Group | GroupV1 | None]:
        """Make a group and spawn into it; None on the walking rung. The group is given back by ``remove``.

        One at a time: the last one to leave removes the directory above, too.
        """
        with self._lock:
            self._bury()
            tree = self._trees.make(WorkerName("run", next(self._numbers)))
            assert tree is None or isinstance(tree, Group | GroupV1)
            self._living += 1
            try:
                # Where there is a gate it is opened at once: nothing has to be written down before.
                return spawn(self._trees.birth(tree)._replace(gated=False)), tree
            except BaseException:
                self._remove(tree)
                raise

    def remove(self, tree: Group | GroupV1 | None) -> None:
        """A group is done with; its directory goes unless somebody still lives there."""
        with self._lock:
            self._remove(tree)

    def _remove(self, tree: Group | GroupV1 | None) -> None:
        self._trees.remove(tree)
        self._living -= 1
        if self._living == 0:
            self._trees.close()

    def abandon(self, child: Pidfd) -> None:
        """Take over a child that nobody will wait for, to reap it when it has ended."""
        with self._lock:
            self._abandoned.append(child)
            self._bury()

    def _bury(self) -> None:
        waiting = []
        for child in self._abandoned:
            try:
                ended = reap(child) is not None
            except KernelError:  # no child of this process: we are a fork
                ended = True
            if ended:
                child.close()
            else:
                waiting.append(child)
        self._abandoned = waiting

    def close(self) -> None:
        """The program ends: leave no empty directories behind."""
        if self.pid == os.getpid():
            with self._lock:
                self._bury()
                self._trees.close()


def home() -> Home:
    """The home of this process."""
    global _home  # noqa: PLW0603 - one for each process
    with _making:
        if _home is None or _home.pid != os.getpid():
            _home = Home()
            atexit.register(_home.close)
        return _home


def _sweep(place: Located) -> None:
    """Remove empty directories of programs that are proved to be dead, as after a SIGKILL."""
    if place.kind is None:
        return
    try:
        names = os.listdir(place.path)
    except OSError:
        return
    ours = f"{os.stat('/proc/self/ns/pid').st_ino:x}"
    for name in names:
        found = _NAME.fullmatch(name)
        if found is None or found[3] != ours:  # a number of another pid namespace says nothing here
            continue
        with suppress(KernelError):  # it lives, perhaps, or the directory is not ours to remove
            try:
                Pidfd.open(int(found[1]), int(found[2])).close()
            except (Gone, Recycled):
                place.group(name).remove()


def _after_fork() -> None:
    global _making  # noqa: PLW0603 - another thread of the parent may have held it
    _making = threading.Lock()


_home: Home | None = None
_making = threading.Lock()
os.register_at_fork(after_in_child=_after_fork)
