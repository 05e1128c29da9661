"""``pidward tree``: the screen and the document."""

import json

from pidward.cli.tree import drawn
from tests.cli.conftest import Serve, Supervisor
from tests.control.fake import own_process


def member(process: str, parent: int | None = None, **more: object) -> dict[str, object]:
    about = {"main": False, "escaped": None, "state": "S", "name": "x", "command": f"run {process}"}
    return {"process": process, "parent": parent, **about, **more}


def test_the_tree_of_a_worker(supervisor: Supervisor) -> None:
    me = own_process()
    ended = supervisor.run("tree", "db")
    assert (ended.status, ended.err) == (0, "")
    assert ended.out.splitlines() == [
        "db/1",
        f"├─ {me}  serve --now  (main)",
        f"│  └─ {me.pid + 1}:{me.inode + 1}  helper?[31m one",
        f"│     └─ {me.pid + 2}:{me.inode + 2}  [gone]  (ended, and not reaped by its parent)",
        f"└─ {me.pid + 3}:{me.inode + 3}  daemon  (left its parent)",
    ]


def test_all_workers_and_those_without_processes(supervisor: Supervisor) -> None:
    lines = supervisor.run("tree").out.splitlines()
    heads = [line for line in lines if line[0] not in "├│└ "]
    assert heads == ["web/1", "web/2", "db/1", *(f"{name}/1: no processes" for name in ("slow", "bad", "loop", "off"))]


def test_as_json(supervisor: Supervisor) -> None:
    told = json.loads(supervisor.run("tree", "web/2", "--json").out)
    (tree,) = told["trees"]
    assert (told["schema_version"], tree["worker"]) == (1, "web/2")
    assert [one["main"] for one in tree["processes"]] == [True, False, False, False]
    assert tree["processes"][1]["command"] == "helper\x1b[31m one"
    assert tree["processes"][3]["escaped"] == "left its parent"


def test_nobody_could_look(serve: Serve) -> None:
    supervisor = serve(lambda desk: setattr(desk, "is_blind", True))
    ended = supervisor.run("tree")
    assert (ended.status, ended.out) == (1, "")
    assert ended.err == "pidward: nobody could tell the processes in time\n"


def test_unknown_names(supervisor: Supervisor) -> None:
    assert supervisor.run("tree", "wev").status == 2


def test_lines_fit_the_terminal() -> None:
    members = [member("1:2", main=True, command="serve " + "x" * 200), member("3:4", 1, command="short")]
    first, main, child = drawn("web/1", members, width=40)
    assert len(main) == 40
    assert main.endswith("…  (main)")
    assert (first, child) == ("web/1", "   └─ 3:4  short")


def test_leftovers_of_a_worker_without_main_process() -> None:
    title, one = drawn("web/1", [member("7:8", escaped="left its parent")])
    assert (title, one) == ("web/1: no main process", "└─ 7:8  run 7:8  (left its parent)")


def test_a_deep_tree_is_no_trouble() -> None:
    members = [member(f"{n}:{n}", n - 1 or None, main=n == 1) for n in range(1, 3000)]
    assert len(list(drawn("deep/1", members))) == 3000
