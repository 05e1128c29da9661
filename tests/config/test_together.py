"""Dependencies, groups and sockets: what services say about each other."""

import pytest

from pidward.config.errors import ConfigError
from pidward.config.load import parse
from pidward.core.spec import Condition, Configuration, Dependency, Exhausted, GroupSpec, SocketKind, Strategy
from pidward.core.units import Seconds


def services(**keys: str) -> str:
    return "".join(f"[service.{name}]\ncommand = 'x'\n{lines}\n" for name, lines in keys.items())


def mistakes(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse(text, "f")
    return [str(problem) for problem in caught.value.problems]


def dependencies(configuration: Configuration) -> dict[str, dict[str, str]]:
    return {s.name: {d.service: d.condition.value for d in s.depends_on} for s in configuration.services}


def test_dependencies() -> None:
    web = "depends_on = { db = 'started', cache = 'ready', job = 'completed' }"
    configuration = parse(services(web=web, db="", cache="", job="type = 'oneshot'"), "f")
    assert configuration.services[0].depends_on == (
        Dependency("db", Condition.STARTED), Dependency("cache"), Dependency("job", Condition.COMPLETED),
    )  # fmt: skip


def test_a_list_means_ready_and_a_oneshot_is_ready_when_it_is_done() -> None:
    text = services(
        web="depends_on = ['db', 'job', 'server']",
        db="",
        job="type = 'oneshot'",
        server="type = 'oneshot'\nready.notify = true",
    )
    assert dependencies(parse(text, "f"))["web"] == {"db": "ready", "job": "completed", "server": "ready"}


def test_the_service_that_all_depend_on_does_not_depend_on_itself() -> None:
    text = "[defaults]\ndepends_on = ['db']\n" + services(db="", web="", app="depends_on = { db = 'started' }")
    assert dependencies(parse(text, "f")) == {"db": {}, "web": {"db": "ready"}, "app": {"db": "started"}}


def test_a_cycle_is_named_with_its_whole_path() -> None:
    text = services(a="depends_on = ['b']", b="depends_on = ['c']", c="depends_on = { x = 'ready', a = 'ready' }", x="")
    assert mistakes(text) == [
        "f:3:14: service.a.depends_on: a cycle, a -> b -> c -> a: none of these could start first"
    ]


def test_an_unknown_service_and_one_that_was_refused() -> None:
    text = services(web="depends_on = ['worker']", worke="") + "[service.job]\ntype = 'oneshott'\ncommand = 'x'\n"
    text += services(app="depends_on = { job = 'completed' }")
    assert mistakes(text) == [
        "f:3:15: service.web.depends_on[0]: there is no service 'worker'; did you mean 'worke'?",
        'f:8:8: service.job.type: expected "service", "oneshot" or "forking", got the string \'oneshott\'',
    ]


def groups(text: str) -> tuple[dict[str, str | None], tuple[GroupSpec, ...]]:
    configuration = parse(text, "f")
    return {s.name: s.group for s in configuration.services}, configuration.groups


def test_groups() -> None:
    text = """
        [group.app]
        then = "stop-all"
        [group.backend]
        strategy = "rest_for_one"
        burst = 3
        window = "10s"
        parent = "app"
        members = ["db"]
    """ + services(web="group = 'backend'", db="group = 'postgres'", front="group = 'www-data'")
    assert groups(text) == (
        {"web": "backend", "db": "backend", "front": None},
        (
            GroupSpec("app", then=Exhausted.STOP_ALL),
            GroupSpec("backend", Strategy.REST_FOR_ONE, 3, Seconds(10.0), "app"),
        ),
    )
    assert [s.execution.group for s in parse(text, "f").services] == [None, "postgres", "www-data"]


def test_a_strategy_makes_a_group() -> None:
    text = services(a="group = 'g'\nstrategy = 'one_for_all'", b="group = 'g'", c="group = 'users'")
    assert groups(text) == ({"a": "g", "b": "g", "c": None}, (GroupSpec("g", Strategy.ONE_FOR_ALL),))


def test_groups_from_the_defaults() -> None:
    text = "[defaults]\ngroup = 'all'\nstrategy = 'one_for_all'\n" + services(a="", b="")
    assert groups(text) == ({"a": "all", "b": "all"}, (GroupSpec("all", Strategy.ONE_FOR_ALL),))


WRONG_GROUPS = """
[group.g] // strategy = 'all'
    2:12: group.g.strategy: expected "one_for_one", "one_for_all" or "rest_for_one", got the string 'all'
[group.g] // parent = 'h' // [group.gh]
    2:10: group.g.parent: there is no group 'h'; did you mean 'gh'?
[group.a] // parent = 'b' // [group.b] // parent = 'a'
    2:10: group.a.parent: a cycle, a -> b -> a: none of these is the outermost
[group.a] // parent = 'a'
    2:10: group.a.parent: a cycle, a -> a: none of these is the outermost
[group.a] // [group.g] // parent = 'a' // then = 'fail'
    4:1: group.g.then: excludes parent; write one of them
[group.g] // then = 'slow'
    2:8: group.g.then: expected "fail" or "stop-all", got the string 'slow'
[group.g] // members = ['wbe']
    2:12: group.g.members[0]: there is no service 'wbe'; did you mean 'web'?
[group.g] // members = ['web'] // [group.h] // members = ['web']
    4:12: group.h.members[0]: web is in group g by f:2:12
[group.web]
    1:8: group.web: is the name of a service, too; commands could not tell them apart
[group.'a b']
    1:8: group.'a b': the name of a group has only letters, digits, '_', '.' and '-', not ' '
[group] // g = 1
    2:5: group.g: expected a table, got the number 1
group = 1
    1:9: group: expected a table, got the number 1
[group.g] // member = []
    2:1: group.g.member: unknown key; did you mean 'members'?
[group.g] // strategy = 'one_for_one' // [service.x] // command = 'x' // group = 'g' // strategy = 'one_for_all'
    6:12: service.x.strategy: group g has strategy "one_for_one" by f:2:12
""".strip().split("\n")


@pytest.mark.parametrize("text, message", list(zip(WRONG_GROUPS[::2], WRONG_GROUPS[1::2], strict=True)))
def test_wrong_groups(text: str, message: str) -> None:
    assert mistakes(text.replace(" // ", "\n") + "\n" + services(web="")) == [f"f:{message.strip()}"]


@pytest.mark.parametrize(
    "written, expected",
    [
        ("tcp://127.0.0.1:8000", (SocketKind.TCP, "127.0.0.1", 8000)),
        ("tcp://localhost:1", (SocketKind.TCP, "127.0.0.1", 1)),
        ("tcp://[0:0::1]:65535", (SocketKind.TCP, "::1", 65535)),
        ("udp://[::]:53", (SocketKind.UDP, "::", 53)),
        ("unix:///run/web.sock", (SocketKind.UNIX, "/run/web.sock", 0)),
        ("unix:/run/a b:c", (SocketKind.UNIX, "/run/a b:c", 0)),
        ("unix:@name", (SocketKind.UNIX, "@name", 0)),
        ("unix-dgram:///run/log", (SocketKind.UNIX_DGRAM, "/run/log", 0)),
    ],
)
def test_addresses_of_sockets(written: str, expected: tuple[SocketKind, str, int]) -> None:
    for text in (f"sockets = '{written}'", f"sockets = ['{written}']", f"sockets = [{{ listen = '{written}' }}]"):
        [socket] = parse(services(web=text), "f").services[0].execution.sockets
        assert socket[:3] == expected
        assert socket == type(socket)(*expected)


def test_a_socket_as_a_table() -> None:
    keys = "{ listen = 'unix:/x', name = 'n', backlog = 5, mode = '660', user = 'u', group = 7 }"
    [socket] = parse(services(web=f"sockets = [{keys}]"), "f").services[0].execution.sockets
    assert (socket.name, socket.backlog, socket.mode, socket.user, socket.group) == ("n", 5, 0o660, "u", "7")


def test_a_socket_has_one_service() -> None:
    text = services(a="sockets = ['tcp://127.0.0.1:80']", b="sockets = ['unix:/x', 'tcp://localhost:80']")
    assert mistakes(text) == ["f:6:23: service.b.sockets[1]: is the same socket as that of a at f:3:12"]
    assert mistakes("[defaults]\nsockets = ['unix:/x']\n" + services(a="", b="")) == [
        "f:2:12: defaults.sockets[0]: would be bound for a and for b; a socket has one service"
    ]
