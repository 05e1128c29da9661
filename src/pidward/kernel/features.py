"""Which kernel facilities are granted here, found by trying each in a forked child.

A version number proves nothing: distributions add, containers take away. And a seccomp filter may answer a call by
killing the caller, so the caller is a child; its death counts as "absent". Nothing on the way of a worker needs this:
there, each facility shows itself when it is first used. ``pidward doctor`` prints it.
"""

import os
from collections.abc import Callable

from pidward.core.lean import NamedTuple
from pidward.core.signals import signal_name
from pidward.kernel import mask, trials
from pidward.kernel.errors import KernelError
from pidward.kernel.pidfd import Pidfd
from pidward.kernel.wait import reap, wait_exit


class Feature(NamedTuple):
    """A facility: how it is tried, the first kernel that has it, what pidward uses it for, and what is done without."""

    trial: Callable[[], str]
    since: str
    purpose: str
    without: str

    @property
    def name(self) -> str:
        """As it is written in PIDWARD_FEATURES_MASK."""
        return self.trial.__name__


class Finding(NamedTuple):
    """How the trial of a feature went. how: where it was found, or why not; may be empty when granted."""

    feature: Feature
    granted: bool
    how: str


class Features(NamedTuple):
    """All findings, in the order of importance."""

    findings: tuple[Finding, ...]

    def has(self, name: str) -> bool:
        """Whether a feature is granted. KeyError for a name that no feature has."""
        return {finding.feature.name: finding.granted for finding in self.findings}[name]


FEATURES = (
    Feature(trials.pidfd_open, "5.3", "to hold processes by handle", "pidward cannot run"),
    Feature(trials.pidfd_send_signal, "5.1", "to signal the process that was meant", "pidward cannot run"),
    Feature(trials.waitid_pidfd, "5.4", "to reap by handle", "pidward cannot run"),
    Feature(trials.native, "any", "to start programs in 50 us", "the pure-Python spawner, about 10 ms a start"),
    Feature(trials.clone3, "5.3", "to start a program and hold it in one step", "the pure-Python spawner"),
    Feature(trials.clone_into_cgroup, "5.7", "to start a program inside its cgroup", "the shim enters it before exec"),
    Feature(trials.cgroup2, "4.5", "to keep a worker's whole tree together", "the version 1 freezer, or a walk"),
    Feature(trials.cgroup_kill, "5.14", "to kill a tree in one step", "freeze, verify and kill one by one"),
    Feature(trials.cgroup1, "2.6.28", "to keep a tree together where there is no cgroup2", "a walk"),
    Feature(trials.subreaper, "3.4", "to inherit daemons that lost their parent", "such daemons escape"),
    Feature(trials.proc_children, "3.5", "to walk a tree quickly", "all of /proc is read"),
    Feature(trials.pidfs, "6.9", "to tell a process from its number's next owner", "PID:INODE cannot be verified"),
    Feature(trials.pidfd_info, "6.13", "to ask a handle about its process", "/proc, read and then verified"),
    Feature(trials.pidfd_info_exit, "6.15", "to learn how another's child ended", "such a status may stay unknown"),
    Feature(trials.scm_pidfd, "6.5", "to know who sent a notify message", "the number is opened when it is read"),
    Feature(trials.pidfd_signal_group, "6.9", "to signal a process group by handle", "one by one"),
    Feature(trials.pidfd_getfd, "5.6", "to take over a descriptor of a process", "only files and pipes, opened anew"),
    Feature(trials.file_handle, "6.14", "to find a process again after a restart", "PID:INODE, opened and verified"),
    Feature(trials.xattr, "6.17", "to tag processes in the kernel", "the store alone remembers them"),
)  # fmt: skip


def probe() -> Features:
    """Try everything, in a child; another child goes on where one was killed. About 10 ms."""
    findings = {}
    for feature in FEATURES:
        if feature.name in mask.taken_away():
            findings[feature.name] = Finding(feature, False, f"taken away by {mask.VARIABLE}")
    while waiting := [feature for feature in FEATURES if feature.name not in findings]:
        child, answers = _in_child(waiting)
        for feature, (granted, how) in zip(waiting, answers, strict=False):
            findings[feature.name] = Finding(feature, granted, how)
        death = _end_of(child, findings)
        if len(answers) < len(waiting):
            culprit = waiting[len(answers)]
            findings[culprit.name] = Finding(culprit, False, f"a trial was killed{death}")
    return Features(tuple(findings[feature.name] for feature in FEATURES))


def _in_child(features: list[Feature]) -> tuple[int, list[tuple[bool, str]]]:
    """Run trials in a fork until one kills it; the child, which has ended or is about to, and the answers."""
    ours, theirs = os.pipe()
    pid = os.fork()  # noqa: TID251
    if pid == 0:
        try:
            for feature in features:
                os.write(theirs, _answer(feature.trial))
        finally:
            os._exit(0)
    os.close(theirs)
    with open(ours, "rb") as file:
        lines = file.read().decode(errors="replace").splitlines()
    return pid, [(line[0] == "+", line[1:]) for line in lines]


def _end_of(child: int, findings: dict[str, Finding]) -> str:
    """Reap a child; " by SIGSYS" when that is what ended it.

    By pidfd, and so only where the trials have shown that pidfds work: before, the call might kill us. Without them
    pidward cannot run, and the child waits for the end of whoever found that out.
    """
    needed = (findings.get("pidfd_open"), findings.get("waitid_pidfd"))
    if not all(finding is not None and finding.granted for finding in needed):
        return ""
    with Pidfd.open(child) as process:  # ours and not reaped, so the number is its own
        wait_exit(process)
        status = reap(process)
    return f" by {signal_name(status.signal)}" if status is not None and status.signal else ""


def _answer(trial: Callable[[], str]) -> bytes:
    """Run one trial; a line that begins with + or -."""
    try:
        line = "+" + trial()
    except (KernelError, OSError) as error:
        line = f"-{error}"
    return line.replace("\n", " ").encode() + b"\n"
