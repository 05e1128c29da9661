"""How a child ended and whom it left behind, in one look."""

import os

import pytest

from pidward.core.model import ExitStatus
from pidward.kernel import ending
from pidward.kernel.cgroup import Group
from pidward.kernel.ending import look_at_end
from pidward.kernel.errors import NotChild
from pidward.kernel.pidfd import Pidfd, State
from pidward.kernel.spawn import native_is_built
from pidward.kernel.wait import reap, wait_exit
from tests.isolation import fork


def cause(status: ExitStatus | None) -> int | None:
    assert status is not None
    return status.cause


@pytest.fixture(params=["native", "python"])
def rung(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "python":
        monkeypatch.setattr(ending, "_ended", None)
    elif not native_is_built():
        pytest.skip("the native part is not built")


@pytest.mark.usefixtures("rung")
@pytest.mark.parametrize("populated", [False, True])
def test_both_answers_and_the_zombie_stays(tmp_path, populated: bool):
    (tmp_path / "cgroup.events").write_text(f"populated {populated:d}\nfrozen 0\n")
    group = Group(str(tmp_path))
    told, teller = os.pipe()

    def child() -> int:
        os.close(teller)
        os.read(told, 1)
        return 7

    with fork(child) as process:
        assert look_at_end(process, group) == (None, False)
        os.close(teller)
        os.close(told)
        wait_exit(process)
        status, left_behind = look_at_end(process, group)
        assert (cause(status), left_behind) == (7, populated)
        assert status is not None
        assert status.usage is not None
        assert process.state() is State.EXITED
        assert cause(reap(process)) == 7


@pytest.mark.usefixtures("rung")
def test_a_cgroup_that_is_gone_holds_nobody(tmp_path):
    with fork(lambda: 3) as process:
        wait_exit(process)
        status, left_behind = look_at_end(process, Group(str(tmp_path / "gone")))
        assert (cause(status), left_behind) == (3, False)
        reap(process)


@pytest.mark.usefixtures("rung")
def test_others_children_are_not_ours_to_look_at(tmp_path):
    with Pidfd.open(os.getppid()) as parent, pytest.raises(NotChild):
        look_at_end(parent, Group(str(tmp_path)))
