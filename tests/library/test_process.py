"""spawn, open_process and Process: real programs, on every rung."""

import os
import select
import signal
import socket
import sys
import threading
from pathlib import Path

import pytest

import pidward
from pidward import DEVNULL, PIPE, STDOUT, Process, ProcessId, Source, SpawnError, open_process, spawn
from pidward.kernel.cgroup import locate
from pidward.kernel.pidfd import Ask, Pidfd
from tests.isolation import end, fork, run_apart, sleep_forever
from tests.library.conftest import open_files, our_cgroups
from tests.library.programs import DAEMONS, STUBBORN, is_extinct, read_all
from tests.relatives import grandchild

pytestmark = pytest.mark.usefixtures("nothing_left")
SLEEP = ["sleep", "1000"]


# --- how it ends


def test_the_exit_code(rung: str) -> None:
    with spawn(["sh", "-c", "exit 23"]) as process:
        status = process.wait(timeout=20)
        assert (status.code, status.signal, status.source) == (23, None, Source.WAITID)
        assert process.returncode == 23
        assert not process.is_alive()
        assert process.wait() is status


def test_the_signal(rung: str) -> None:
    with spawn(SLEEP) as process:
        assert (process.poll(), process.returncode) == (None, None)
        assert process.signal("USR1")
        assert process.wait(20).signal == signal.SIGUSR1
        assert process.returncode == -signal.SIGUSR1
        assert not process.signal("TERM")


def test_a_wait_has_a_timeout() -> None:
    with spawn(SLEEP) as process:
        with pytest.raises(TimeoutError):
            process.wait(0.01)
        assert process.is_alive()


def test_a_status_that_somebody_else_reaped_is_the_true_one() -> None:
    with spawn(["sh", "-c", "exit 23"]) as process:
        os.waitid(os.P_ALL, 0, os.WEXITED)
        status = process.wait(20)
        if status.source is Source.UNKNOWN:
            pytest.skip("needs PIDFD_INFO_EXIT (Linux 6.15)")
        assert (status.code, status.source) == (23, Source.PIDFD_INFO)


def test_a_program_that_ignores_its_children_still_learns_how_they_ended() -> None:
    def scenario() -> None:
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        with spawn(["sh", "-c", "exit 23"]) as process:
            assert process.wait(20).cause in (23, None)

    run_apart(scenario)


def test_how_a_stranger_ended() -> None:
    with grandchild(sleep_forever) as (handle, reap), open_process(str(handle.id)) as process:
        assert process.is_alive()
        assert process.signal("KILL")
        assert process.wait(20).signal in (signal.SIGKILL, None)
        reap()
        try:
            handle.info(Ask.EXIT)
        except pidward.KernelError:
            pytest.skip("needs PIDFD_INFO_EXIT (Linux 6.15)")
        assert process.wait(20).signal == signal.SIGKILL


def test_a_stranger_is_not_reaped() -> None:
    child = fork(lambda: 7)
    with open_process(child.id) as process:
        assert process.wait(20).code == 7
    result = os.waitid(os.P_PIDFD, child.fileno(), os.WEXITED)
    assert result is not None
    assert result.si_status == 7
    child.close()


# --- who it is


def test_an_identity_can_be_written_down_and_opened() -> None:
    with spawn(SLEEP) as process:
        for target in (str(process.id), process.id, process.id.pid, process):
            with open_process(target) as other:
                assert other.id == process.id
        process.kill_tree()
        with pytest.raises((pidward.Gone, pidward.Recycled)):
            open_process(str(process.id))


def test_another_inode_is_another_process() -> None:
    with Pidfd.own() as own:
        if own.id.inode == 0:
            pytest.skip("needs pidfs (Linux 6.9)")
    with pytest.raises(pidward.Recycled):
        open_process(ProcessId(os.getpid(), own.id.inode + 1))


@pytest.mark.parametrize("target", ["", "web", "1:", "-4", "0", 0, "1:2:3"])
def test_what_is_no_process_is_refused(target: int | str) -> None:
    with pytest.raises(ValueError, match=r"[a-z]"):
        open_process(target)


# --- trees


def test_stop_kills_daemons_that_left_the_session(rung: str) -> None:
    with spawn(DAEMONS, stdout=PIPE) as process:
        read_all(process.stdout, 4)
        assert len(process.processes()) == 4
        assert not is_extinct(process.stdout)
        assert process.stop(grace=20).signal == signal.SIGTERM
        assert is_extinct(process.stdout)
        assert process.processes() == []


def test_daemons_are_found_when_their_parent_has_ended(rung: str) -> None:
    with spawn(DAEMONS, stdout=PIPE) as process:
        read_all(process.stdout, 4)
        process.signal("KILL")
        process.wait(20)
        assert len(process.processes()) == 3
        process.kill_tree()
        assert is_extinct(process.stdout)


def test_the_firm_signal_follows_the_grace(rung: str) -> None:
    with spawn(STUBBORN, stdout=PIPE) as process:
        read_all(process.stdout, 1)
        assert process.stop(grace=0.01).signal == signal.SIGKILL


def test_the_whole_tree_is_signalled(rung: str) -> None:
    with spawn(DAEMONS, stdout=PIPE) as process:
        read_all(process.stdout, 4)
        process.signal("TERM", tree=True)
        assert is_extinct(process.stdout, 20)


def test_the_tree_of_a_stranger_is_stopped_with_what_loses_its_parent() -> None:
    """The daemon of a shell's child: no descendant any more when the shell has ended at the polite signal."""
    script = ["sh", "-c", "sleep 1000 & echo !; wait"]
    with spawn(script, stdout=PIPE) as process, open_process(str(process.id)) as stranger:
        read_all(process.stdout, 2)
        assert len(stranger.processes()) == 2
        assert stranger.stop(grace=20).signal == signal.SIGTERM
        assert is_extinct(process.stdout)


def test_nobody_kills_the_tree_that_he_is_part_of() -> None:
    with open_process(os.getpid()) as process, pytest.raises(ValueError, match="this program itself"):
        process.kill_tree()


def test_an_exception_leaves_nothing_behind(rung: str) -> None:
    process: Process | None = None
    reader, writer = os.pipe()
    with pytest.raises(ZeroDivisionError), open(writer, "wb", buffering=0) as file:  # noqa: PT012, SIM117
        with spawn(DAEMONS, stdout=file) as process:
            with open(reader, "rb", buffering=0, closefd=False) as pipe:
                read_all(pipe, 4)
            raise ZeroDivisionError
    assert process is not None
    assert process.returncode == -signal.SIGKILL
    with open(reader, "rb", buffering=0) as pipe:
        assert is_extinct(pipe)


def test_who_is_let_go_of_goes_on_and_is_reaped_in_the_end() -> None:
    process = spawn(SLEEP)
    with open_process(process) as other:
        process.close()
        assert other.is_alive()
        other.signal("KILL")
        assert other.wait(20)
    spawn(["true"]).wait()  # reaps what nobody waits for


def test_a_process_that_is_forgotten_is_warned_about() -> None:
    process = spawn(SLEEP)
    with open_process(process) as other:
        with pytest.warns(ResourceWarning, match="nobody waited"):
            del process
        other.signal("KILL")
        other.wait(20)
    spawn(["true"]).wait()


def test_a_fork_of_the_program_leaves_its_processes_alone() -> None:
    with spawn(SLEEP) as process:

        def in_the_fork() -> None:
            with process:
                pass

        child = fork(in_the_fork)
        os.waitid(os.P_PIDFD, child.fileno(), os.WEXITED | os.WNOWAIT)
        assert process.is_alive()
        end(child)


def test_a_fork_of_the_program_has_a_place_of_its_own() -> None:
    with spawn(SLEEP):

        def scenario() -> None:
            with spawn(["sh", "-c", "read x; exit 3"], stdin=PIPE) as process:
                assert our_cgroups() or not process._group
                process.communicate()
                assert process.returncode == 3

        run_apart(scenario)


def test_when_the_program_is_killed_its_directories_are_removed_by_the_next() -> None:
    reader, writer = os.pipe()

    def spawn_and_die() -> None:
        with spawn(["sleep", "1000"], stdout=DEVNULL) as process:
            os.write(writer, str(process.id).encode())
            sleep_forever()

    program = fork(spawn_and_die)
    with open_process(os.read(reader, 50).decode()) as worker:
        os.close(reader)
        os.close(writer)
        number = program.id.pid
        end(program)
        assert worker.is_alive()  # as with subprocess: nobody told it to end
        worker.kill_tree()

    def look() -> None:
        before = [name for name in os.listdir(place) if name.startswith(f"pidward-lib.{number}.")]
        with spawn(["true"]):
            pass
        after = [name for name in os.listdir(place) if name.startswith(f"pidward-lib.{number}.")]
        assert before
        assert not after

    place = locate().path
    if not place or program.id.inode == 0:
        pytest.skip("needs a cgroup and pidfs")
    run_apart(look)


# --- what it is given


def test_streams(tmp_path: Path, rung: str) -> None:
    file = tmp_path / "log"
    with spawn(["sh", "-c", "cat; echo err >&2"], stdin=PIPE, stdout=PIPE, stderr=STDOUT) as process:
        assert process.communicate(b"in\n" * 100_000, timeout=20) == (b"in\n" * 100_000 + b"err\n", b"")
    with spawn("sh -c 'echo 1; echo 2 >&2'", stdout=file, stderr=str(file)) as process:
        process.wait(20)
    with file.open("ab") as opened, spawn(["echo", "3"], stdout=opened) as process:
        process.wait(20)
    assert file.read_text() == "1\n2\n3\n"
    with spawn(["cat"], stdin=file, stdout=PIPE, stderr=PIPE) as process:
        assert process.communicate(timeout=20) == (b"1\n2\n3\n", b"")


def test_a_pipe_that_nobody_reads_is_no_error() -> None:
    with spawn(["true"], stdin=PIPE) as process:
        assert process.communicate(b"x" * 1_000_000, timeout=20) == (b"", b"")


def test_what_was_read_before_a_timeout_is_not_lost() -> None:
    with spawn(["sh", "-c", "echo 1; read x; echo 2"], stdin=PIPE, stdout=PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        select.select([process.stdout], [], [])
        stdin, process.stdin = process.stdin, None
        with pytest.raises(TimeoutError):
            process.communicate(timeout=0.05)
        stdin.write(b"\n")
        assert process.communicate(timeout=20) == (b"1\n2\n", b"")
        stdin.close()


def test_environment_directory_umask_limits_and_niceness(tmp_path: Path) -> None:
    script = "echo $A; pwd; umask; ulimit -n; nice; cat /proc/self/oom_score_adj"
    how = {"umask": 0o027, "limits": {"nofile": 99}, "nice": 5, "oom_score_adj": 500}
    env = {"A": "a", "PATH": os.environ["PATH"]}
    with spawn(["sh", "-c", script], cwd=tmp_path, env=env, stdout=PIPE, **how) as process:  # type: ignore[arg-type]
        out, _ = process.communicate(timeout=20)
    assert out.decode().split() == ["a", str(tmp_path), "0027", "99", "5", "500"]


def test_our_own_umask_is_inherited() -> None:
    before = os.umask(0o035)
    try:
        with spawn(["sh", "-c", "umask"], stdout=PIPE) as process:
            assert process.communicate(timeout=20)[0] == b"0035\n"
    finally:
        os.umask(before)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_another_user() -> None:
    with spawn(["id", "-u"], user="nobody", stdout=PIPE) as process:
        uid = int(process.communicate(timeout=20)[0])
    with spawn(["sh", "-c", "id -u; id -g; id -G"], user=uid, group=12, groups=[13], stdout=PIPE) as process:
        assert process.communicate(timeout=20)[0].split() == [str(uid).encode(), b"12", b"12", b"13"]


@pytest.mark.parametrize(
    "command, how, stage, says",
    [
        (["no-such-program"], {}, "exec", "not found on PATH"),
        (["/no/such/program"], {}, "exec", "no such file"),
        (["/etc/passwd"], {}, "exec", "permission denied"),
        (["true"], {"cwd": "/no/such"}, "cwd", "no such file"),
        (["true"], {"stdin": "/no/such"}, "stdin", "no such file"),
    ],
)
def test_what_cannot_be_started(rung: str, command: list[str], how: dict[str, str], stage: str, says: str) -> None:
    with pytest.raises(SpawnError, match=says) as caught:
        spawn(command, **how)  # type: ignore[arg-type]
    assert caught.value.stage == stage
    assert caught.value.errno


def test_a_socket_can_be_a_stream(rung: str) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, spawn(["cat"], stdin=theirs, stdout=theirs) as process:
        ours.sendall(b"hello")
        assert ours.recv(10) == b"hello"
        process.stop()


def test_a_file_is_shared_with_its_position(tmp_path: Path, rung: str) -> None:
    with (tmp_path / "file").open("wb+", buffering=0) as file:
        file.write(b"ours\n")
        with spawn(["echo", "theirs"], stdout=file) as process:
            process.wait(20)
        file.write(b"ours again\n")
        file.seek(0)
        assert file.read() == b"ours\ntheirs\nours again\n"


def test_other_descriptors_are_passed_by_number(rung: str) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        with spawn(["sh", "-c", "echo hello >&7; ls /proc/self/fd"], descriptors={7: theirs}, stdout=PIPE) as process:
            out, _ = process.communicate(timeout=20)
        assert ours.recv(10) == b"hello\n"
        assert b"7" in out.split()


def test_what_was_said_to_us_alone_is_not_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LISTEN_PID", "1")
    monkeypatch.setenv("NOTIFY_SOCKET", "/nowhere")
    with spawn(["env"], stdout=PIPE) as process:
        names = {line.partition(b"=")[0] for line in process.communicate(timeout=20)[0].splitlines()}
    assert names & {b"LISTEN_PID", b"NOTIFY_SOCKET"} == set()
    assert b"INVOCATION_ID" in names


@pytest.mark.parametrize(
    "how, says",
    [
        ({"command": []}, "empty"),
        ({"command": ["a\0b"]}, "NUL"),
        ({"command": ["true"], "user": "no such user"}, "does not exist"),
        ({"command": ["true"], "group": "no such group"}, "does not exist"),
        ({"command": ["true"], "limits": {"legs": 4}}, "unknown limit"),
        ({"command": ["true"], "stdout": STDOUT}, "stderr only"),
        ({"command": ["true"], "stdin": -7}, "descriptor"),
        ({"command": ["true"], "descriptors": {2: 2}}, "stdin, stdout and stderr"),
    ],
)
def test_what_no_system_could_do_is_refused(how: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        spawn(**how)  # type: ignore[arg-type]


# --- many


def test_two_hundred_spawns_leave_nothing() -> None:
    with spawn(["true"]):
        pass
    before = len(open_files())
    for _ in range(200):
        with spawn(["true"], stdout=PIPE, stdin=PIPE):
            pass
    assert len(open_files()) == before


def test_threads_spawn_and_wait_at_a_time() -> None:
    codes: list[int | None] = []

    def work(code: int) -> None:
        for _ in range(10):
            with spawn(["sh", "-c", f"exit {code}"]) as process:
                codes.append(process.wait(20).code)

    threads = [threading.Thread(target=work, args=(code,)) for code in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(codes, key=lambda code: -1 if code is None else code) == sorted([*range(8)] * 10)


def test_many_threads_wait_for_one() -> None:
    with spawn(SLEEP) as process:
        found: list[object] = []
        threads = [threading.Thread(target=lambda: found.append(process.wait(20))) for _ in range(8)]
        for thread in threads:
            thread.start()
        process.signal("TERM")
        for thread in threads:
            thread.join()
        assert found == [process.wait()] * 8


def test_importing_pidward_imports_nothing_else() -> None:
    code = "import sys; before = set(sys.modules); import pidward; print(len(set(sys.modules) - before))"
    with spawn([sys.executable, "-c", code], stdout=PIPE) as process:
        assert process.communicate(timeout=20)[0] == b"1\n"


def test_every_public_name_is_there() -> None:
    for name in pidward.__all__:
        assert getattr(pidward, name) is not None
    stub = Path(pidward.__file__).with_suffix(".pyi").read_text()
    listed = {line.rpartition(" as ")[2] for line in stub.splitlines() if line.startswith("from ")}
    assert listed | {"__version__"} == set(pidward.__all__)
    with pytest.raises(AttributeError, match="no_such_name"):
        pidward.no_such_name  # type: ignore[attr-defined]  # noqa: B018


def test_no_file_is_written_for_the_trees_of_spawned_programs() -> None:
    """Their name is the program's own identity; a lot drawn and kept is for supervisors."""
    with spawn("true"):
        pass
    assert not Path("/identity").exists()


# --- words of mistakes


def test_a_directory_that_is_not_there_is_named(rung: str) -> None:
    with pytest.raises(SpawnError, match="/no/such: no such file or directory"):
        spawn(["true"], cwd="/no/such")


@pytest.mark.parametrize("how", [{"nice": 99}, {"nice": -21}, {"oom_score_adj": 1001}])
def test_what_the_kernel_would_bend_is_refused(how: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="expected a number from"):
        spawn(["true"], **how)  # type: ignore[arg-type]


def test_a_process_is_spelled_as_a_number() -> None:
    for word in ("foo", "", "-1", "1.5"):
        with pytest.raises(ValueError, match="expected PID or PID:INODE"):
            open_process(word)
