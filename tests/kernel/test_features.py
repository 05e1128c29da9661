import ctypes
import os
import struct

import pytest

from pidward.kernel import mask, trials
from pidward.kernel.features import FEATURES, Features, probe
from pidward.kernel.pidfd import Pidfd
from tests.isolation import run_apart

_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _FILTER = 38, 22, 2
_KILL_PROCESS, _ERRNO, _ALLOW = 0x8000_0000, 0x0005_0000, 0x7FFF_0000
_EPERM = 1
_PIDFD_GETFD, _PIDFD_OPEN, _CLONE3 = 438, 434, 435


def confine(verdicts: dict[int, int]) -> None:
    """A seccomp filter for this process: system call number -> what it returns."""
    load_number = struct.pack("=HBBI", 0x20, 0, 0, 0)
    program = [load_number]
    for number, verdict in verdicts.items():
        program += [struct.pack("=HBBI", 0x15, 0, 1, number), struct.pack("=HBBI", 0x06, 0, 0, verdict)]
    program.append(struct.pack("=HBBI", 0x06, 0, 0, _ALLOW))
    code = ctypes.create_string_buffer(b"".join(program))
    header = struct.pack("=H6xQ", len(program), ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    assert libc.prctl(_PR_SET_SECCOMP, _FILTER, header, 0, 0) == 0


def without(features: Features, *names: str) -> dict[str, bool]:
    return {feature.name: features.has(feature.name) for feature in FEATURES if feature.name not in names}


def test_each_feature_is_found_as_it_is() -> None:
    features = probe()
    with Pidfd.own() as own:
        assert features.has("pidfd_open")
        assert features.has("pidfs") == bool(own.id.inode)
    assert [finding.feature for finding in features.findings] == list(FEATURES)
    for finding in features.findings:
        assert finding.granted or finding.how
        assert finding.feature.purpose.startswith("to ")
        assert finding.feature.without
    with pytest.raises(KeyError):
        features.has("no such feature")


def test_probing_leaves_nothing() -> None:
    def scenario() -> None:
        before = os.listdir("/proc/self/fd")
        probe()
        assert os.listdir("/proc/self/fd") == before
        with pytest.raises(ChildProcessError):
            os.waitid(os.P_ALL, 0, os.WEXITED)

    run_apart(scenario)


def test_a_trial_that_is_killed_counts_as_absent_and_the_others_go_on() -> None:
    plain = probe()

    def scenario() -> None:
        confine({_PIDFD_GETFD: _KILL_PROCESS, _CLONE3: _KILL_PROCESS})
        features = probe()
        by_name = {finding.feature.name: finding for finding in features.findings}
        for name in ("pidfd_getfd", "clone3", "clone_into_cgroup"):
            assert not by_name[name].granted
            assert by_name[name].how == "a trial was killed by SIGSYS"
        hidden = ("pidfd_getfd", "clone3", "clone_into_cgroup")
        assert without(features, *hidden) == without(plain, *hidden)

    run_apart(scenario)


def test_even_the_first_call_may_be_deadly() -> None:
    def scenario() -> None:
        confine({_PIDFD_OPEN: _KILL_PROCESS})
        features = probe()
        assert not features.has("pidfd_open")
        assert features.findings[0].how == "a trial was killed"
        assert features.has("proc_children") or not os.path.exists("/proc/thread-self/children")

    run_apart(scenario)


def test_a_call_that_is_refused_counts_as_absent() -> None:
    def scenario() -> None:
        confine({_CLONE3: _ERRNO | _EPERM})
        features = probe()
        assert not features.has("clone3")
        assert features.has("pidfd_open")

    run_apart(scenario)


def test_the_mask_takes_features_away() -> None:
    def scenario() -> None:
        os.environ[mask.VARIABLE] = " pidfd_info, xattr ,,"
        mask.taken_away.cache_clear()
        features = probe()
        taken = [finding for finding in features.findings if "taken away by PIDWARD_FEATURES_MASK" in finding.how]
        assert [finding.feature.name for finding in taken] == ["pidfd_info", "pidfd_info_exit", "xattr"]
        assert not any(finding.granted for finding in taken)

    run_apart(scenario)


def test_every_trial_is_in_the_table_once() -> None:
    functions = [
        value
        for name, value in vars(trials).items()
        if callable(value) and value.__module__ == trials.__name__ and not name.startswith("_")
    ]
    assert sorted(feature.name for feature in FEATURES) == sorted(function.__name__ for function in functions)
