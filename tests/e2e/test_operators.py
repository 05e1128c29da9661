"""What operators ask for on the command line, what it does, and how the command ends."""

import json
import signal
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from pidward.kernel.pidfd import Pidfd
from pidward.testing.programs import Barrier, polite, stubborn
from tests.e2e.rig import SLEEP, Rig, ends, held, is_alive, service
from tests.isolation import end, fork, sleep_forever

OK, FAILED, USAGE, NOT_RUNNING, DENIED, UNREACHABLE = 0, 1, 2, 3, 4, 7


# --- status


def test_status_shows_each_worker(rig: Rig) -> None:
    rig.configure(service("web", workers=2), service("later", autostart=False))
    rig.up()
    ready = rig.wait_all("web", 2)
    told = rig.cli("status")
    assert told.status == OK
    lines = {line.split()[0]: line for line in told.out.splitlines()}
    for name, event in ready.items():
        assert event["data"]["process"] in lines[name]
        assert " ready " in lines[name]
    assert " stopped " in lines["later/1"]


def test_status_as_json(rig: Rig) -> None:
    rig.configure(service("web"))
    rig.up()
    ready = rig.wait("web/1", "ready")
    document = rig.cli("status", "--json").json
    (worker,) = document["workers"]
    assert document["schema_version"] == 1
    assert (worker["name"], worker["phase"], worker["wanted"]) == ("web/1", "ready", "up")
    assert worker["process"] == ready["data"]["process"]
    assert worker["rss_bytes"] > 0
    assert document["supervisor"]["process"] == str(rig.process.id)
    assert document["supervisor"]["trouble"] == []


def test_status_tells_when_something_is_not_as_wanted(rig: Rig) -> None:
    rig.configure(service("bad", ["/bin/false"], restart={"policy": "never"}), service("good"))
    rig.up()
    rig.wait("good/1", "ready")
    rig.wait("bad/1", "failed")
    told = rig.cli("status")
    assert told.status == NOT_RUNNING
    assert "exited with code 1" in told.out
    assert rig.cli("status", "good").status == OK


def test_without_a_supervisor_it_is_unreachable(rig: Rig) -> None:
    rig.configure(service("web"))
    for words in (["status"], ["stop", "web"], ["down"], ["events"], ["signal", "HUP", "web"], ["reload"]):
        told = rig.cli(*words)
        assert told.status == UNREACHABLE, words
        assert "pidward up" in told.err


# --- start, stop, restart


def test_stop_and_start_a_service(rig: Rig) -> None:
    rig.configure(service("web", workers=2), service("db"))
    rig.up()
    before = rig.wait_all("web", 2)
    db = rig.wait("db/1", "ready")
    handles = [held(event["data"]["process"]) for event in before.values()]
    assert rig.cli("stop", "web").status == OK
    for handle in handles:
        with handle:
            assert not is_alive(handle)
    workers = rig.status()
    assert [workers[name]["phase"] for name in before] == ["stopped", "stopped"]
    assert rig.cli("status").status == OK, "what is down on purpose is as wanted"
    assert rig.cli("start", "web").status == OK
    workers = rig.status()
    for name, event in before.items():
        assert workers[name]["phase"] == "ready"
        assert workers[name]["process"] != event["data"]["process"]
    assert workers["db/1"]["process"] == db["data"]["process"]


def test_stop_and_start_one_worker(rig: Rig) -> None:
    rig.configure(service("web", workers=2))
    rig.up()
    before = rig.wait_all("web", 2)
    assert rig.cli("stop", "web/2").status == OK
    workers = rig.status()
    assert workers["web/2"]["phase"] == "stopped"
    assert workers["web/1"]["process"] == before["web/1"]["data"]["process"]
    assert rig.cli("start", "web/2").status == OK
    assert rig.status()["web/2"]["phase"] == "ready"


def test_restart_replaces_the_process(rig: Rig) -> None:
    rig.configure(service("web", workers=2))
    rig.up()
    before = rig.wait_all("web", 2)
    told = rig.cli("restart", "web/1", "--json")
    assert told.status == OK
    (result,) = told.json["results"]
    assert result["reached"]
    workers = rig.status()
    assert workers["web/1"]["process"] == result["process"] != before["web/1"]["data"]["process"]
    assert workers["web/2"]["process"] == before["web/2"]["data"]["process"]
    assert workers["web/1"]["restarts"] == 0, "a restart that was asked for is no automatic one"


def test_all_of_them(rig: Rig) -> None:
    rig.configure(service("a"), service("b", workers=2))
    rig.up()
    rig.wait_all("b", 2)
    assert rig.cli("stop", "--all").status == OK
    assert {worker["phase"] for worker in rig.status().values()} == {"stopped"}
    assert rig.cli("start", "--all").status == OK
    assert {worker["phase"] for worker in rig.status().values()} == {"ready"}


def test_the_last_of_the_file_is_stopped_first(rig: Rig) -> None:
    rig.configure(service("a", workers=2), service("b"))
    rig.up()
    rig.wait_all("a", 2)
    rig.wait("b/1", "ready")
    rig.cli("stop", "--all")
    for name in ("a/1", "a/2", "b/1"):
        rig.wait(name, "stopped")
    asked = [event["worker"] for event in rig.events.seen if event["data"].get("after") == "stopping"]
    assert asked == ["b/1", "a/2", "a/1"]


def test_names_that_nobody_has(rig: Rig) -> None:
    rig.configure(service("web"))
    rig.up()
    for words in (["stop", "wbe"], ["start", "web/2"], ["signal", "HUP", "wbe"], ["kill", "wbe"]):
        told = rig.cli(*words)
        assert told.status == USAGE
        assert "no service or worker is named" in told.err
    assert "did you mean web" in rig.cli("stop", "wbe").err


def test_a_start_that_cannot_work_fails(rig: Rig) -> None:
    rig.configure(service("bad", ["/bin/false"], autostart=False, restart={"policy": "never"}, ready={"after": "1min"}))
    rig.up()
    told = rig.cli("start", "bad")
    assert told.status == FAILED
    assert "exited with code 1" in told.out


def test_a_start_in_vain_does_not_wait_for_ever(rig: Rig) -> None:
    restart = {"delay": "1ms", "max_delay": "1ms"}
    rig.configure(service("bad", ["/bin/false"], autostart=False, restart=restart, ready={"after": "1min"}))
    rig.up()
    assert rig.cli("start", "bad", "--timeout", "20s").status == FAILED


# --- what was asked for is remembered


def test_what_was_stopped_stays_stopped_over_a_restart_of_the_supervisor(rig: Rig) -> None:
    rig.configure(service("web", workers=2), service("db"))
    rig.up()
    rig.wait_all("web", 2)
    assert rig.cli("stop", "web/2", "db").status == OK
    rig.kill()
    rig.up()
    rig.wait("web/1", "ready")
    workers = rig.status()
    assert {name: worker["phase"] for name, worker in workers.items()} == {
        "web/1": "ready", "web/2": "stopped", "db/1": "stopped"}  # fmt: skip
    assert rig.cli("start", "db").status == OK
    rig.signal(signal.SIGTERM)
    assert rig.wait_end().code == OK
    rig.up()
    rig.wait("db/1", "ready")
    workers = rig.status()
    assert (workers["db/1"]["phase"], workers["web/2"]["phase"]) == ("ready", "stopped")


def test_autostart_false_waits_to_be_asked(rig: Rig) -> None:
    rig.configure(service("web"), service("later", autostart=False))
    rig.up()
    rig.wait("web/1", "ready")
    assert rig.status()["later/1"]["phase"] == "stopped"
    assert rig.cli("start", "later").status == OK
    assert rig.status()["later/1"]["phase"] == "ready"


def test_up_with_names_starts_these_only(rig: Rig) -> None:
    rig.configure(service("web"), service("db"), service("later", autostart=False))
    rig.up("db", "later")
    rig.wait("db/1", "ready")
    rig.wait("later/1", "ready")
    assert rig.status()["web/1"]["phase"] == "stopped"


def test_up_with_a_name_that_is_not_in_the_file(rig: Rig) -> None:
    rig.configure(service("web"))
    rig.begin("wbe")
    assert rig.wait_end().code == USAGE
    assert "no service is named 'wbe'" in rig.text


# --- signals


def test_a_signal_reaches_the_worker(rig: Rig, tmp_path: Path) -> None:
    with Barrier(tmp_path / "b") as barrier:
        script = 'trap \'echo "usr1 $$" >"$1"\' USR1; echo "started $$" >"$1"; while :; do sleep 0.01; done'
        rig.configure(service("web", ["/bin/sh", "-c", script, "sh", barrier.path]))
        rig.up()
        (report,) = barrier.wait(word="started")
        told = rig.cli("signal", "USR1", "web/1")
        assert told.status == OK
        assert "SIGUSR1 sent to web/1" in told.out
        assert barrier.wait(word="usr1") == [report._replace(word="usr1")]


def test_a_signal_to_a_worker_without_a_process(rig: Rig) -> None:
    rig.configure(service("web", autostart=False))
    rig.up()
    told = rig.cli("signal", "HUP", "web")
    assert told.status == NOT_RUNNING
    assert rig.cli("signal", "NOSUCH", "web").status == USAGE


def test_kill_is_followed_by_a_restart(rig: Rig) -> None:
    rig.configure(service("web"))
    rig.up()
    before = rig.wait("web/1", "ready")["data"]["process"]
    assert rig.cli("kill", "web").status == OK
    after = rig.wait("web/1", "ready")["data"]["process"]
    assert before != after
    by = [event["text"] for event in rig.events.of("web/1") if event["kind"] == "signal"]
    assert len(by) == 1
    assert by[0].startswith(f"SIGKILL to web/1 ({before}), by root")


@pytest.fixture
def stranger() -> Iterator[Pidfd]:
    process = fork(sleep_forever)
    yield process
    end(process)


def test_kill_a_foreign_process_by_its_identity(rig: Rig, stranger: Pidfd) -> None:
    rig.configure(service("web"))
    told = rig.cli("kill", str(stranger.id))
    assert told.status == OK, "needs no supervisor"
    assert "it has ended" in told.out
    assert ends(stranger)


def test_a_foreign_process_of_another_identity_is_left_alone(rig: Rig, stranger: Pidfd) -> None:
    rig.configure(service("web"))
    told = rig.cli("kill", f"{stranger.id.pid}:{stranger.id.inode + 1}")
    assert told.status == NOT_RUNNING
    assert "nothing was done" in told.err
    assert is_alive(stranger)


# --- the record


def test_events_tell_every_transition_with_its_reason(rig: Rig) -> None:
    rig.configure(service("web"))
    rig.up()
    process = rig.wait("web/1", "ready")["data"]["process"]
    rig.cli("kill", "web")
    rig.wait("web/1", "ready")
    assert rig.cli("stop", "web").status == OK
    told = rig.cli("events", "web", "--json")
    assert told.status == OK
    lines = told.out.splitlines()
    events = [event for event in map(json.loads, lines) if event["kind"] == "transition"]
    phases = [event["data"]["after"] for event in events]
    assert phases == ["starting", "ready", "starting", "ready", "stopping", "stopped"]
    for before, after in pairwise(events):
        assert before["seq"] < after["seq"]
        assert after["data"]["before"] == before["data"]["after"]
    assert all(event["data"]["reason"] for event in events)
    assert events[2]["data"]["exit"]["signal"] == "SIGKILL"
    assert events[1]["data"]["process"] == process
    assert "killed by SIGTERM" in events[-1]["text"]
    assert "web/1 ready" in rig.cli("events", "web").out


def test_a_polite_worker_is_heard_out(rig: Rig, tmp_path: Path) -> None:
    with Barrier(tmp_path / "b") as barrier:
        rig.configure(service("web", polite(barrier, code=7)))
        rig.up()
        barrier.wait(word="started")
        assert rig.cli("stop", "web").status == OK
        barrier.wait(word="stopping")
        assert "exited with code 7" in rig.status()["web/1"]["reason"]


def test_a_stubborn_worker_is_killed_after_its_grace(rig: Rig, tmp_path: Path) -> None:
    with Barrier(tmp_path / "b") as barrier:
        rig.configure(service("web", stubborn(barrier), stop={"grace": "50ms"}))
        rig.up()
        barrier.wait(word="started")
        assert rig.cli("stop", "web").status == OK
        worker = rig.status()["web/1"]
        assert worker["phase"] == "stopped"
        assert worker["last_exit"]["signal"] == "SIGKILL"
        rig.wait("web/1", "killing", "did not end within the grace of 50ms after SIGTERM")


def test_a_stop_that_takes_too_long_is_told_and_goes_on(rig: Rig, tmp_path: Path) -> None:
    with Barrier(tmp_path / "b") as barrier:
        rig.configure(service("web", stubborn(barrier), stop={"grace": "10s"}), service("db", SLEEP))
        rig.up()
        barrier.wait(word="started")
        told = rig.cli("stop", "web", "--timeout", "10ms")
        assert told.status == FAILED
        assert rig.status()["web/1"]["phase"] == "stopping"
        assert rig.cli("stop", "db").status == OK, "nobody waits for another's grace"
