"""Commands that change something: start, stop, restart, reload, down, signal, kill."""

import json
import os
from collections.abc import Iterator

import pytest

from pidward.core.model import ExitStatus, Phase, ProcessId, Source
from pidward.core.units import Instant
from pidward.kernel.pidfd import Pidfd
from tests.cli.conftest import Serve, Supervisor
from tests.cli.run import AS_NOBODY, pidward
from tests.control.fake import FakeDesk, config_error
from tests.isolation import end, fork, sleep_forever


def test_start_waits_and_tells_of_each(supervisor: Supervisor) -> None:
    ended = supervisor.run("start", "web", "off", "bad")
    assert ended.status == 1
    rows = {line.split()[0]: line.split()[1] for line in ended.out.splitlines()}
    assert rows == {"web/1": "ready", "web/2": "ready", "off/1": "ready", "bad/1": "failed"}
    assert 'cannot execute "bad": not found on PATH' in ended.out
    assert ended.err == ""  # no progress where nobody sees it


@pytest.mark.parametrize("command, phase", [("restart", "ready"), ("stop", "stopped")])
def test_the_others_wait_too(supervisor: Supervisor, command: str, phase: str) -> None:
    ended = supervisor.run(command, "web/2", "db")
    assert ended.status == 0
    assert [line.split()[:2] for line in ended.out.splitlines()] == [["web/2", phase], ["db/1", phase]]
    (asked,) = supervisor.desk.asked
    assert asked[:2] == (command, ["web/2", "db/1"])
    assert str(asked[2]).startswith("root (pid " if os.geteuid() == 0 else "uid ")


def test_results_are_in_the_order_of_the_file(supervisor: Supervisor) -> None:
    assert supervisor.run("stop", "web/1").status == 0
    ended = supervisor.run("start", "off", "web")  # web/2 runs already, so it is the first that is known
    assert [line.split()[0] for line in ended.out.splitlines()] == ["web/1", "web/2", "off/1"]


def test_all_means_all(supervisor: Supervisor) -> None:
    assert supervisor.run("stop", "--all").status == 0
    assert supervisor.desk.asked[0][1] == [str(name) for name in supervisor.desk.workers]


def test_no_wait(supervisor: Supervisor) -> None:
    ended = supervisor.run("start", "slow", "--no-wait")
    assert ended.status == 0
    assert ended.out.split()[:2] == ["slow/1", "asked"]


def test_the_time_is_over(supervisor: Supervisor) -> None:
    ended = supervisor.run("start", "slow", "web", "--timeout", "50ms")
    assert ended.status == 1
    assert "the time is over" in ended.err
    assert {line.split()[0]: line.split()[1] for line in ended.out.splitlines()} == {
        "web/1": "ready", "web/2": "ready", "slow/1": "starting",
    }  # fmt: skip


def test_results_as_json(supervisor: Supervisor) -> None:
    document = json.loads(supervisor.run("restart", "db", "--json").out)
    assert document["schema_version"] == 1
    (result,) = document["results"]
    assert (result["worker"], result["reached"], result["phase"]) == ("db/1", True, "ready")


def test_progress_is_shown_on_a_terminal_and_taken_away(supervisor: Supervisor) -> None:
    shown = supervisor.run_on_terminal("start", "web", "slow", "--timeout", "200ms").out
    assert "\r\x1b[K2 done; last: web/2" in shown
    assert "\x1b[32mready" in shown
    assert "\x1b[31mstarting" in shown


def test_reload_shows_the_difference(supervisor: Supervisor) -> None:
    assert supervisor.run("reload").out == "web: 2 -> 3 workers\ndb: changed\n"
    assert json.loads(supervisor.run("reload", "--json").out)["changes"] == ["web: 2 -> 3 workers", "db: changed"]


def test_an_invalid_file_changes_nothing(serve: Serve) -> None:
    def prepare(desk: FakeDesk) -> None:
        desk.reload_error = config_error()

    ended = serve(prepare).run("reload")
    assert ended.status == 2
    assert "pidward.toml:3:1: service.web.comand: unknown key; did you mean 'command'?" in ended.err
    assert ended.err.endswith("nothing was changed: the configuration is not valid\n")


def test_down_waits_for_the_end(serve: Serve) -> None:
    supervisor = serve()
    ended = supervisor.run("down", "--now")
    assert (ended.status, ended.err) == (0, "")
    assert "has ended" in ended.out
    assert supervisor.desk.asked[-1][0] == "shutdown"
    assert supervisor.desk.asked[-1][2] is True
    assert not os.path.exists(supervisor.path)


def test_down_that_takes_too_long(serve: Serve) -> None:
    def prepare(desk: FakeDesk) -> None:
        desk.on_shutdown = lambda: None

    ended = serve(prepare).run("down", "--timeout", "50ms")
    assert ended.status == 1
    assert "still stops its workers" in ended.err


def test_signal_and_kill_go_through_the_supervisor(supervisor: Supervisor) -> None:
    ended = supervisor.run("signal", "hup", "web")
    assert ended.status == 0
    assert ended.out.count("SIGHUP sent to web/") == 2
    assert supervisor.run("kill", "--tree", "db/1").status == 0
    assert [asked[:4] for asked in supervisor.desk.asked] == [
        ("signal", "web/1", 1, False), ("signal", "web/2", 1, False), ("signal", "db/1", 9, True),
    ]  # fmt: skip


def test_no_process_to_signal(supervisor: Supervisor) -> None:
    ended = supervisor.run("signal", "TERM", "off")
    assert (ended.status, ended.out) == (3, "")
    assert "off has no process now" in ended.err


# --- processes that no supervisor knows


@pytest.fixture
def stranger() -> Iterator[Pidfd]:
    process = fork(sleep_forever)
    yield process
    end(process)


def test_a_stranger_is_shown_and_signalled(stranger: Pidfd) -> None:
    ended = pidward("signal", "TERM", str(stranger.id.pid))
    assert (ended.status, ended.err) == (0, "")
    assert ended.out.startswith(f"SIGTERM sent to {stranger.id} ")
    assert f"(uid {os.getuid()})" in ended.out
    status = os.waitid(os.P_PIDFD, stranger.fileno(), os.WEXITED | os.WNOWAIT)
    assert status is not None
    assert (status.si_code, status.si_status) == (os.CLD_KILLED, 15)


def test_a_stranger_is_killed_by_its_identity(stranger: Pidfd) -> None:
    ended = pidward("kill", str(stranger.id), "--json")
    document = json.loads(ended.out)
    assert (document["process"], document["signal"], document["ended"]) == (str(stranger.id), "SIGKILL", True)


def test_another_owner_of_the_number_is_left_alone(stranger: Pidfd) -> None:
    wrong = ProcessId(stranger.id.pid, stranger.id.inode - 1)
    ended = pidward("kill", str(wrong))
    assert (ended.status, ended.out) == (3, "")
    assert f"{stranger.id.pid} belongs to another process now; nothing was done" in ended.err
    assert not os.waitid(os.P_PIDFD, stranger.fileno(), os.WEXITED | os.WNOWAIT | os.WNOHANG)


def test_the_whole_tree_of_a_stranger() -> None:
    reader, writer = os.pipe()

    def parent() -> None:
        fork(child)
        sleep_forever()

    def child() -> None:
        os.setsid()
        os.write(writer, f"{os.getpid()}\n".encode())
        sleep_forever()

    process = fork(parent)
    try:
        with open(reader) as reports, Pidfd.open(int(reports.readline())) as below:
            os.close(writer)
            ended = pidward("kill", "--tree", str(process.id))
            assert ended.status == 0, ended.err
            assert "and its whole tree" in ended.out
            assert reports.read() == ""  # both ends of the pipe are closed: both processes are gone
            assert below.state().value != "running"
    finally:
        end(process)


@pytest.mark.parametrize(
    "target, status, complaint",
    [
        ("4194304", 3, "no process 4194304 exists"),
        ("0", 2, "no process can have the number 0"),
        ("12:0", 2, "PID:INODE"),
    ],
)
def test_nobody_there(target: str, status: int, complaint: str) -> None:
    ended = pidward("kill", target)
    assert (ended.status, ended.out) == (status, "")
    assert complaint in ended.err


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody else")
def test_not_ours_to_signal(stranger: Pidfd) -> None:
    ended = pidward("kill", str(stranger.id), argv=AS_NOBODY)
    assert (ended.status, ended.out) == (4, "")
    assert "permission denied" in ended.err


def test_a_rolling_restart_takes_a_step(supervisor: Supervisor) -> None:
    assert supervisor.run("restart", "web", "--rolling").status == 0
    assert supervisor.run("restart", "web", "--rolling", "2").status == 0
    assert supervisor.run("restart", "--rolling", "web").status == 0
    assert [(what, step) for what, _, _, step in supervisor.desk.asked] == [("roll", 1), ("roll", 2), ("roll", 1)]
    refused = supervisor.run("restart", "web", "--rolling", "0")
    assert (refused.status, "at least 1 worker" in refused.err) == (2, True)


def test_a_rolling_restart_ends_with_the_first_failure(supervisor: Supervisor) -> None:
    ended = supervisor.run("restart", "bad", "slow", "--rolling")  # slow would be waited for for two minutes
    assert ended.status == 1
    assert {line.split()[0]: line.split()[1] for line in ended.out.splitlines()} == {
        "slow/1": "stopping", "bad/1": "failed",
    }  # fmt: skip


def test_scale_up_and_down_tells_of_the_difference(supervisor: Supervisor) -> None:
    ended = supervisor.run("scale", "web=4")
    assert ended.status == 0
    assert [line.split()[:2] for line in ended.out.splitlines()] == [["web/3", "ready"], ["web/4", "ready"]]
    ended = supervisor.run("scale", "web=1", "db=1")
    assert ended.status == 0
    assert [line.split()[:2] for line in ended.out.splitlines()] == [[f"web/{n}", "removed"] for n in (2, 3, 4)]
    assert all(line.endswith("no longer wanted: scaled to 1") for line in ended.out.splitlines())
    assert "db: has 1 worker already" in ended.err


@pytest.mark.parametrize("word", ["web", "web=", "=2", "web=x", "web=-1", "web=²"])
def test_scale_wants_a_number(supervisor: Supervisor, word: str) -> None:
    ended = supervisor.run("scale", word)
    assert ended.status == 2
    assert "expected SERVICE=N" in ended.err


def test_one_worker_is_not_scaled(supervisor: Supervisor) -> None:
    ended = supervisor.run("scale", "web/1=2")
    assert (ended.status, "web/1 is one worker" in ended.err) == (2, True)


def test_scale_refuses_what_cannot_be(supervisor: Supervisor) -> None:
    ended = supervisor.run("scale", "web=20001")
    assert (ended.status, ended.err) == (1, "pidward: at most 20000 workers are supported\n")
    assert supervisor.run("scale", "wbe=2").status == 2


def test_plan_shows_and_does_nothing(supervisor: Supervisor) -> None:
    ended = supervisor.run("plan")
    assert ended.status == 0
    note = "db: stays scaled to 3; the file says 1"
    assert ended.out.splitlines() == ["web  scaled  2 -> 3", "new  added   1 worker", note]
    document = json.loads(supervisor.run("plan", "--json").out)
    assert document["changes"][1] == {"service": "new", "consequence": "added", "detail": "1 worker"}
    assert document["notes"] == [note]
    assert supervisor.desk.asked == []


def test_plan_of_an_invalid_file(serve: Serve) -> None:
    supervisor = serve(lambda desk: setattr(desk, "reload_error", config_error()))
    ended = supervisor.run("plan")
    assert ended.status == 2
    assert "did you mean 'command'?" in ended.err


def test_reload_of_programs(supervisor: Supervisor) -> None:
    ended = supervisor.run("reload", "web")
    assert ended.status == 0
    assert [line.split()[0] for line in ended.out.splitlines()] == ["web/1", "web/2"]
    refused = supervisor.run("reload", "db")
    assert (refused.status, "service.db.reload" in refused.err) == (1, True)
    assert supervisor.run("reload", "off").status == 3  # no process to tell


def test_a_reload_command_that_fails_is_told(serve: Serve) -> None:
    ended = serve(lambda desk: setattr(desk, "reload_failure", "exited with code 3: bad\x1b")).run("reload", "web/1")
    assert (ended.status, ended.out) == (1, "")
    assert "could not be told to reload: exited with code 3: bad?\n" in ended.err


def test_wait_for_ready(supervisor: Supervisor) -> None:
    assert supervisor.run("wait", "web").status == 0
    assert supervisor.run("wait", "slow", "--timeout", "10ms").status == 1
    assert supervisor.desk.asked == []


def test_wait_for_the_exit_gives_its_status(serve: Serve) -> None:
    def end_soon(desk: FakeDesk) -> None:
        name = next(iter(desk.workers))
        status = ExitStatus(None, 15, source=Source.WAITID)
        later = Instant(desk.loop.now() + 0.2)
        change = {"process": ProcessId(1, 1), "started": later, "last_exit": status}
        desk.loop.call_at(later, lambda: desk.change(name, Phase.READY, "the program runs", **change))

    supervisor = serve(end_soon)
    before = next(iter(supervisor.desk.workers.values())).process
    ended = supervisor.run("wait", "--exit", "web/1")
    assert (ended.status, ended.out) == (128 + 15, f"web/1  ended  {before}  killed by SIGTERM\n")  # not the new one
    assert supervisor.run("wait", "--exit", "slow").status == 1  # never ran: nobody knows how


def test_wait_waits_for_who_is_tried_again(serve: Serve) -> None:
    def try_again(desk: FakeDesk) -> None:
        name = next(iter(desk.workers))
        desk.change(name, Phase.BACKING_OFF, "exit code 1; starts again", failures=9, process=None)
        desk.loop.call_at(Instant(desk.loop.now() + 0.2), lambda: desk.change(name, Phase.READY, "the program runs"))

    assert serve(try_again).run("wait", "web/1").status == 0


def test_wait_does_not_wait_for_who_has_failed(serve: Serve) -> None:
    def fail(desk: FakeDesk) -> None:
        desk.change(next(iter(desk.workers)), Phase.FAILED, "gave up", process=None)

    assert serve(fail).run("wait", "web/1").status == 1
