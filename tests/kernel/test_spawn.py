"""What a started program finds: the same on both rungs."""

import os
import re
import resource
import signal
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from pidward.kernel.limits import UNLIMITED
from pidward.kernel.spawn import Failure, Ids, Plan, Spawner, Started, native_is_built
from pidward.kernel.wait import wait_exit
from tests.kernel.spawning import AT_ONCE, PAUSE, Launcher, field, open_descriptors, pause, proc, shell

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def test_runs_a_program_with_arguments_environment_and_output(launcher: Launcher, tmp_path: Path) -> None:
    (tmp_path / "input").write_text("from stdin\n")
    text = launcher.output(
        shell, 'read line; echo "$line $WORD"; echo "$0" "$1" >&2', tmp_path=tmp_path,
        argv=(b"sh", b"-c", b'read line; echo "$line $WORD"; echo "$0" "$1" >&2', b"zero", b"one two"),
        env=(b"WORD=a b=c",), stdin=bytes(tmp_path / "input"),
    )  # fmt: skip
    assert text == "from stdin a b=c\n"
    assert (tmp_path / "errors").read_text() == "zero one two\n"


def test_output_is_appended_and_made_private(launcher: Launcher, tmp_path: Path) -> None:
    log = tmp_path / "log"
    for _ in range(2):
        both = {"stdout": bytes(log), "stderr": bytes(log)}
        launcher.end_of(launcher.run(shell("echo out; echo err >&2", **both)))
    assert log.read_text() == "out\nerr\n" * 2
    assert log.stat().st_mode & 0o777 == 0o640 & ~_umask()


def test_exit_status_is_that_of_the_program(launcher: Launcher) -> None:
    assert launcher.end_of(launcher.run(shell("exit 23"))).code == 23
    assert launcher.end_of(launcher.run(shell("kill -SEGV $$"))).signal == signal.SIGSEGV


def test_working_directory_and_umask(launcher: Launcher, tmp_path: Path) -> None:
    started = launcher.run(pause(cwd=bytes(tmp_path), umask=0o037))
    assert os.readlink(f"/proc/{started.pidfd.id.pid}/cwd") == str(tmp_path)
    assert field(started, "Umask") == "0037"
    assert os.getcwd() != str(tmp_path)
    assert _umask() != 0o037


def test_own_session_and_group_without_terminal(launcher: Launcher) -> None:
    started = launcher.run(pause())
    pid = started.pidfd.id.pid
    group, session, terminal = proc(started, "stat").rpartition(")")[2].split()[2:5]
    assert (group, session, terminal) == (str(pid), str(pid), "0")


def test_limits(launcher: Launcher) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    infinite = resource.getrlimit(resource.RLIMIT_CPU)[1] == UNLIMITED
    cpu = (resource.RLIMIT_CPU, UNLIMITED, UNLIMITED) if infinite else (resource.RLIMIT_CPU, 60, 60)
    started = launcher.run(pause(limits=((resource.RLIMIT_NOFILE, 77, hard), (resource.RLIMIT_CORE, 0, 0), cpu)))
    rows = {line[:25].strip(): line[25:].split()[:2] for line in proc(started, "limits").splitlines()}
    assert rows["Max open files"] == ["77", str(hard)]
    assert rows["Max core file size"] == ["0", "0"]
    assert rows["Max cpu time"] == (["unlimited"] * 2 if infinite else ["60"] * 2)
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] != 77


def test_nice_is_absolute_and_its_own(launcher: Launcher) -> None:
    own = os.getpriority(os.PRIO_PROCESS, 0)
    started = launcher.run(pause(nice=own + 5))
    assert os.getpriority(os.PRIO_PROCESS, started.pidfd.id.pid) == own + 5
    assert os.getpriority(os.PRIO_PROCESS, 0) == own


def test_oom_score_is_its_own(launcher: Launcher) -> None:
    own = Path("/proc/self/oom_score_adj").read_text()
    started = launcher.run(pause(oom_score_adj=999))
    assert proc(started, "oom_score_adj") == "999\n"
    assert Path("/proc/self/oom_score_adj").read_text() == own


@as_root
def test_ids_are_exactly_these(launcher: Launcher) -> None:
    started = launcher.run(pause(ids=Ids(61001, 61002, (61003, 7))))
    assert field(started, "Uid") == "\t".join(["61001"] * 4)
    assert field(started, "Gid") == "\t".join(["61002"] * 4)
    assert field(started, "Groups").split() == ["7", "61003"]
    assert field(started, "CapEff") == "0" * 16


@as_root
def test_ids_without_groups_leave_none_of_ours(launcher: Launcher) -> None:
    started = launcher.run(pause(ids=Ids(61001, 61002, ())))
    assert field(started, "Groups") == ""


@pytest.fixture
def odd_signals() -> Iterator[None]:
    """This process ignores, handles and blocks some."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGUSR1, signal.SIGPIPE)}
    before[signal.SIGWINCH] = signal.signal(signal.SIGWINCH, lambda *_: None)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2, signal.SIGRTMIN + 3})
    yield
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    for number, handler in before.items():
        signal.signal(number, handler)


def test_signals_start_clean(odd_signals: None, launcher: Launcher) -> None:
    started = launcher.run(pause())
    kept_by_libc = 0 if launcher.native else 3 << 31  # 32 and 33, see spawn_python
    assert int(field(started, "SigIgn"), 16) & ~kept_by_libc == 0
    assert [int(field(started, name), 16) for name in ("SigBlk", "SigCgt")] == [0, 0]
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_IGN
    assert signal.SIGUSR2 in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_only_three_descriptors(launcher: Launcher) -> None:
    ours = [os.dup(2) for _ in range(500)]
    try:
        for fd in ours:
            os.set_inheritable(fd, True)
        started = launcher.run(pause())
        gated = launcher.run(pause(gated=True))
        for one in (started, gated):
            assert sorted(os.listdir(f"/proc/{one.pidfd.id.pid}/fd")) == ["0", "1", "2"]
    finally:
        for fd in ours:
            os.close(fd)


def test_invocation_is_new_each_time_and_in_the_environment(launcher: Launcher, tmp_path: Path) -> None:
    output = tmp_path / "output"
    env = (b"A=1", b"INVOCATION_ID=" + b"0" * 32, b"Z=26")
    plan = Plan(path=b"/usr/bin/env", argv=(b"env",), env=env, stdout=bytes(output))
    prepared = launcher.spawner.prepare(plan)
    seen = []
    for _ in range(3):
        (started,) = launcher.spawner.spawn([prepared])
        assert isinstance(started, Started)
        assert launcher.answer(started) is True
        assert launcher.end_of(started).code == 0
        seen.append(started.invocation)
    assert all(re.fullmatch("[0-9a-f]{32}", one) for one in seen)
    assert len(set(seen)) == 3
    assert output.read_text() == "".join(f"A=1\nINVOCATION_ID={one}\nZ=26\n" for one in seen)


def test_without_invocation_in_the_plan_there_is_none(launcher: Launcher) -> None:
    assert launcher.run(pause()).invocation == ""


def test_batch_answers_in_order(launcher: Launcher) -> None:
    count = 200 if launcher.native else 12
    plans = [shell(f"exit {i % 100}", gated=i % 10 == 3) for i in range(count)]
    plans[5] = pause(path=b"/nonexistent")
    results = launcher.launch(*plans, threads=2)
    for i, (plan, result) in enumerate(zip(plans, results, strict=True)):
        if i == 5:
            answer = launcher.answer(result) if isinstance(result, Started) else result
            assert answer == Failure("exec", 2)
            if isinstance(result, Started):
                launcher.end_of(result)
            continue
        assert isinstance(result, Started)
        if plan.gated:
            assert result.gate is not None
            result.gate.open()
        assert launcher.end_of(result).code == i % 100
    assert len({result.pidfd.id for result in results if isinstance(result, Started)}) >= count - 1


def test_a_prepared_is_once_in_a_batch(launcher: Launcher) -> None:
    prepared = launcher.spawner.prepare(shell("exit 0"))
    with pytest.raises(ValueError, match="once"):
        launcher.spawner.spawn([prepared, prepared])
    (started,) = launcher.spawner.spawn([prepared])
    assert isinstance(started, Started)
    launcher.end_of(started)


def test_a_nul_byte_is_refused(launcher: Launcher) -> None:
    with pytest.raises(ValueError, match="null byte"):
        launcher.spawner.prepare(pause(argv=(b"sleep", b"1\x002")))


def test_no_descriptor_is_left(launcher: Launcher) -> None:
    before = open_descriptors()
    rounds, size = (20, 50) if launcher.native else (3, 10)
    prepared = [launcher.spawner.prepare(pause(argv=(b"sleep", b"0"), gated=i % 5 == 0)) for i in range(size)]
    for _ in range(rounds):
        for started in launcher.spawner.spawn(prepared, 2):
            assert isinstance(started, Started)
            if started.gate is not None:
                started.gate.open()
            launcher.end_of(started)
    assert open_descriptors() == before


def test_closing_the_spawner_gives_its_descriptors_back(launcher: Launcher) -> None:
    before = open_descriptors()
    with closing(Spawner(native=launcher.native)):
        pass
    assert open_descriptors() == before


def test_the_mask_takes_the_native_rung_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pidward.kernel.spawn.taken_away", lambda: frozenset({"native"}))
    with closing(Spawner()) as spawner:
        assert isinstance(spawner.prepare(pause()), Plan)


@pytest.mark.skipif(not native_is_built(), reason="needs the native part")
def test_a_native_spawn_returns_when_the_program_runs() -> None:
    with Launcher(native=True) as launcher:
        started = launcher.start(pause())
        assert started.gate is None
        assert os.path.samefile(f"/proc/{started.pidfd.id.pid}/exe", PAUSE)


def test_parent_is_told_of_the_end_by_poll_alone(launcher: Launcher) -> None:
    started = launcher.run(pause())
    assert not wait_exit(started.pidfd, AT_ONCE)
    started.pidfd.signal(signal.SIGTERM)
    assert launcher.end_of(started).signal == signal.SIGTERM


def _umask() -> int:
    """Ours, without changing it for a moment as os.umask would."""
    return int(re.findall(r"Umask:\s+([0-7]+)", Path("/proc/self/status").read_text())[0], 8)


@pytest.mark.parametrize("shared", [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)])
def test_streams_can_be_shared_as_they_are(launcher: Launcher, tmp_path: Path, shared: tuple[int, ...]) -> None:
    """The very same open files, so that their offsets move for all who use them."""
    paths = [tmp_path / name for name in ("in", "out", "err")]
    for path in paths:
        path.write_text("before ")
    with ExitStack() as stack:
        files = [stack.enter_context(path.open("r+b", buffering=0)) for path in paths]
        for file in files:
            file.seek(0, os.SEEK_END)
        files[0].write(b"question\n")
        files[0].seek(len("before "))
        given = {
            name: b"" if number in shared else bytes(paths[number])
            for number, name in enumerate(("stdin", "stdout", "stderr"))
        }
        plan = shell("read word; printf %s $word; printf 'fault' >&2; ls /proc/self/fd >&2", **given)
        plan = plan._replace(descriptors=tuple((number, files[number].fileno()) for number in shared))
        assert launcher.end_of(launcher.run(plan)).code == 0
        for number in set(shared) - {0}:
            files[number].write(b" after")
    asked = "question" if 0 in shared else "beforequestion"  # printf joins the two words
    assert paths[1].read_text() == f"before {asked}" + " after" * (1 in shared)
    assert paths[2].read_text() == "before fault0\n1\n2\n3\n" + " after" * (2 in shared)
