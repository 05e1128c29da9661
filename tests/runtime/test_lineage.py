"""Who belongs to a worker, from what was seen; and what the program of its own sees of real processes."""

import os

from pidward.runtime.lineage import LEFT_GROUP, LEFT_PARENT, Asked, Seen, look, members, pack, read_members

GROUP = "/sys/fs/cgroup/web.1"


def seen(*entries: tuple[int, int, str]) -> dict[int, Seen]:
    """(pid, ppid, mark); each started in the order of its number."""
    return {
        pid: Seen(f"{pid}:{pid + 1000}", ppid, pid, "S", "x", f"run {pid}", mark, "web/1" if mark else "/")
        for pid, ppid, mark in entries
    }


def escapes(asked: Asked, processes: dict[int, Seen], inside: set[int]) -> dict[int, str]:
    return {int(one.process.split(":")[0]): one.escaped for one in members(asked, processes, inside)}


def test_descendants_daemons_and_fugitives() -> None:
    processes = seen(
        (10, 1, "m"), (11, 10, "m"), (12, 1, "m"), (13, 1, "m"), (14, 10, ""), (15, 1, ""), (16, 1, "other")
    )
    asked = Asked("web/1", "10:1010", GROUP, "")
    assert escapes(asked, processes, {10, 11, 12}) == {
        10: "", 11: "", 12: LEFT_PARENT, 13: LEFT_GROUP, 14: LEFT_GROUP,
    }  # fmt: skip


def test_main_first_then_by_age() -> None:
    found = members(Asked("web/1", "12:1012", "", "m"), seen((10, 12, "m"), (11, 1, "m"), (12, 1, "m")), ())
    assert [(one.process, one.is_main, one.parent) for one in found] == [
        ("12:1012", True, 0), ("10:1010", False, 0), ("11:1011", False, 0),
    ]  # fmt: skip  # 10 is older than its "parent" 12: that number was given out again


def test_another_process_with_the_number_is_not_the_main_process() -> None:
    assert members(Asked("web/1", "10:7", GROUP, ""), seen((10, 1, "m"), (11, 10, "")), ()) == []


def test_a_worker_without_main_process_may_have_left_something() -> None:
    assert escapes(Asked("web/1", "", GROUP, ""), seen((10, 1, "m")), {10}) == {10: LEFT_PARENT}


def test_the_mark_is_learned_from_whoever_still_carries_it() -> None:
    processes = seen((10, 1, ""), (11, 10, "m"), (12, 1, "m"))
    assert escapes(Asked("web/1", "10:1010", GROUP, ""), processes, {10, 11}) == {10: "", 11: "", 12: LEFT_GROUP}
    assert escapes(Asked("web/2", "10:1010", GROUP, ""), processes, {10, 11}) == {10: "", 11: ""}


def test_a_round_of_parents_ends() -> None:
    twins = {pid: Seen(f"{pid}:{pid}", other, 5, "S", "x", "", "", "/") for pid, other in ((10, 11), (11, 10), (12, 1))}
    assert escapes(Asked("web/1", "12:12", "", "m"), twins, set()) == {12: ""}


def test_answers_go_there_and_back() -> None:
    found = members(Asked("web/1", "10:1010", "", "m"), seen((10, 1, "m")), ())
    tabbed = [one._replace(command="a\tb\nc \\xff") for one in found]
    assert read_members(pack(tabbed)) == tabbed


def test_a_look_at_this_machine() -> None:
    processes = look()
    assert os.getpid() not in processes  # whoever looks is nobody's worker
    assert processes[os.getppid()].command
    assert all(one.started >= 0 for one in processes.values())
