"""From a file to running processes, and from a death to the next process."""

import signal

from tests.e2e.rig import Rig, ends, held, is_alive, service


def test_every_worker_of_every_service_runs(rig: Rig) -> None:
    rig.configure(service("web", workers=3), service("db"))
    rig.up()
    rig.wait_all("web", 3)
    rig.wait("db/1", "ready")
    workers = rig.status()
    assert list(workers) == ["web/1", "web/2", "web/3", "db/1"]
    processes = {worker["process"] for worker in workers.values()}
    assert len(processes) == 4
    for process in processes:
        with held(process) as handle:
            assert is_alive(handle)


def test_a_killed_worker_is_back_at_once_as_another_process(rig: Rig) -> None:
    rig.configure(service("web", workers=2))
    rig.up()
    before = rig.wait_all("web", 2)
    with held(before["web/1"]["data"]["process"]) as handle:
        handle.signal(signal.SIGKILL)
        assert ends(handle)
    rig.wait("web/1", "starting", "killed by SIGKILL")
    after = rig.wait("web/1", "ready")
    workers = rig.status()
    assert workers["web/1"]["process"] == after["data"]["process"] != before["web/1"]["data"]["process"]
    assert workers["web/1"]["restarts"] == 1
    assert workers["web/1"]["last_exit"]["signal"] == "SIGKILL"
    assert workers["web/2"]["process"] == before["web/2"]["data"]["process"]
    assert workers["web/2"]["restarts"] == 0
