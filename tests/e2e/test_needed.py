"""What an operator wants up takes with it what it needs, also in the memory of pidward."""

from tests.e2e.rig import Rig, service


def test_a_start_of_the_dependent_is_a_wish_for_the_dependency(rig: Rig) -> None:
    rig.configure(service("db"), service("web", depends_on={"db": "ready"}))
    rig.up()
    rig.wait("web/1", "ready")
    assert rig.cli("stop", "web", "db").status == 0
    assert rig.cli("start", "web").status == 0
    assert rig.status()["db/1"]["phase"] == "ready"
    assert rig.cli("down").status == 0
    rig.wait_end()
    rig.up()
    rig.wait("web/1", "ready")
    assert rig.status()["db/1"]["wanted"] == "up"


def test_a_job_at_work_is_as_it_should_be(rig: Rig) -> None:
    rig.configure(service("job", type="oneshot"))
    rig.up()
    rig.wait("job/1", "running")
    assert rig.cli("status").status == 0
    assert rig.cli("health").status == 0
    assert rig.status()["job/1"]["as_wanted"]
