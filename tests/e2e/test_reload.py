"""A changed file, read again: what changed is changed, and nothing else."""

import signal

import pytest

from pidward.kernel.procfs import command_line
from tests.e2e.rig import Rig, ends, environment_of, eventually, held, is_alive, service

OK, USAGE = 0, 2


def processes(rig: Rig) -> dict[str, str]:
    return {name: worker["process"] for name, worker in rig.status().items()}


def reload(rig: Rig, how: str) -> None:
    """Have the file read again, and wait until it is done."""
    if how == "command":
        assert rig.cli("reload").status == OK
    else:
        rig.signal(signal.SIGHUP)
        rig.events.find("", lambda event: "configuration read again" in event["text"], "configuration read again")


@pytest.mark.parametrize("how", ["command", "SIGHUP"])
def test_scale_up_and_down(rig: Rig, how: str) -> None:
    rig.configure(service("web", workers=2), service("db"))
    rig.up()
    rig.wait_all("web", 2)
    rig.wait("db/1", "ready")
    before = processes(rig)
    rig.configure(service("web", workers=4), service("db"))
    reload(rig, how)
    rig.wait("web/3", "ready")
    rig.wait("web/4", "ready")
    more = processes(rig)
    assert list(more) == ["web/1", "web/2", "web/3", "web/4", "db/1"]
    assert {name: more[name] for name in before} == before
    with held(more["web/4"]) as fourth:
        rig.configure(service("web", workers=1), service("db"))
        reload(rig, how)
        assert ends(fourth)
    for name in ("web/2", "web/3", "web/4"):
        rig.events.find(name, lambda event: event["data"].get("after", "") is None, f"{name} forgotten")
    less = processes(rig)
    assert less == {name: before[name] for name in ("web/1", "db/1")}


def test_only_what_changed_is_restarted(rig: Rig) -> None:
    rig.configure(service("web", workers=2), service("db"), service("old"))
    rig.up()
    rig.wait_all("web", 2)
    rig.wait("db/1", "ready")
    rig.wait("old/1", "ready")
    before = processes(rig)
    rig.configure(service("web", workers=2, env={"COLOUR": "red"}), service("db", restart="never"), service("new"))
    told = rig.cli("reload")
    assert told.status == OK
    for said in ("web: restart", "db: changed in place (restart)", "new: added", "old: removed"):
        assert said in told.out
    after = rig.wait_all("web", 2)
    rig.wait("new/1", "ready")
    with held(before["db/1"]) as db:
        assert is_alive(db)
        for name in ("web/1", "web/2"):
            process = after[name]["data"]["process"]
            assert process != before[name]
            eventually(lambda: b"COLOUR=red" in environment_of(process.split(":")[0]))  # noqa: B023 - called now
        assert rig.status()["db/1"]["process"] == before["db/1"]
        db.signal(signal.SIGKILL)
    rig.wait("db/1", "failed", "the restart policy is never")


def test_a_file_that_did_not_change_changes_nothing(rig: Rig) -> None:
    rig.configure(service("web", workers=2))
    rig.up()
    rig.wait_all("web", 2)
    before = processes(rig)
    told = rig.cli("reload")
    assert (told.status, "nothing changed" in told.out) == (OK, True)
    assert processes(rig) == before


@pytest.mark.parametrize("how", ["command", "SIGHUP"])
def test_an_invalid_file_changes_nothing(rig: Rig, how: str) -> None:
    rig.configure(service("web"), service("db"))
    rig.up()
    rig.wait("web/1", "ready")
    rig.wait("db/1", "ready")
    before = processes(rig)
    rig.config.write_text(
        rig.config.read_text().replace("command", "comand", 1).replace("[service.db]", "[service.dx]")
    )
    if how == "command":
        told = rig.cli("reload")
        assert told.status == USAGE
        assert "did you mean 'command'" in told.err
    else:
        rig.signal(signal.SIGHUP)
        rig.wait_said("was not changed")
        rig.wait_said("did you mean 'command'")
    rig.events.find("", lambda event: "the configuration was not changed" in event["text"], "a refused reload")
    assert processes(rig) == before


def test_a_file_that_is_gone_changes_nothing(rig: Rig) -> None:
    rig.configure(service("web"))
    rig.up()
    rig.wait("web/1", "ready")
    before = processes(rig)
    text = rig.config.read_text()
    rig.config.unlink()
    rig.signal(signal.SIGHUP)
    rig.wait_said("was not changed")
    rig.config.write_text(text)
    assert processes(rig) == before


def test_a_stopped_worker_stays_stopped(rig: Rig) -> None:
    rig.configure(service("web", workers=2))
    rig.up()
    rig.wait_all("web", 2)
    rig.cli("stop", "web/2")
    rig.configure(service("web", workers=3, env={"A": "B"}))
    reload(rig, "command")
    rig.wait("web/3", "ready")
    assert rig.status()["web/2"]["phase"] == "stopped"


def test_a_service_that_comes_back_while_it_leaves_runs_the_new_command(rig: Rig) -> None:
    """Removed, and added again with another command before its worker was down."""
    ignores = ["/bin/sh", "-c", "trap '' TERM; echo up >&2; exec sleep infinity"]
    rig.configure(service("web", ignores, stop={"grace": "200ms"}, ready={"after": "1ms"}), service("db"))
    rig.up()
    rig.wait("web/1", "ready")
    rig.configure(service("db"))
    reload(rig, "command")
    rig.wait("web/1", "stopping")
    rig.configure(service("web", ["sleep", "1000000"]), service("db"))
    reload(rig, "command")
    with rig.hold_when_ready("web/1") as worker:
        eventually(lambda: command_line(worker))
        assert command_line(worker) == ["sleep", "1000000"]


def test_the_log_files_move_when_the_file_says_so(rig: Rig) -> None:
    other = rig.base / "elsewhere"
    other.mkdir()
    chatty = ["/bin/sh", "-c", "echo hello; exec sleep infinity"]
    rig.configure(service("web", chatty, logs={"mode": "file"}))
    rig.up()
    before = rig.wait("web/1", "ready")
    rig.configure(service("web", chatty, logs={"mode": "file", "dir": str(other)}))
    reload(rig, "command")
    assert rig.status()["web/1"]["process"] == before["data"]["process"]
    rig.cli("restart", "web")
    rig.cli("down")
    rig.wait_end()
    rig.await_pump()
    assert "hello" in (other / "web-1.out.log").read_text()
