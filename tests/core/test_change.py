"""What a change of the file means, field by field."""

from typing import Any

import pytest

from pidward.core.change import EFFECTS, Change, Consequence, compare
from pidward.core.spec import (
    Configuration,
    Execution,
    LogMode,
    LogPolicy,
    Probe,
    ProbeKind,
    Resources,
    Schedule,
    ServiceSpec,
    ServiceType,
    SocketKind,
    SocketSpec,
)
from pidward.core.units import Bytes, Seconds

from .script import NOTIFY, service

TCP = Probe(ProbeKind.TCP, "localhost:80")
FD3, FD4 = Probe(ProbeKind.FD, "3"), Probe(ProbeKind.FD, "4")


def test_every_field_has_an_effect():
    written = {"name", "execution", "origin", "origins"}
    assert set(EFFECTS) == {*Execution._fields, *ServiceSpec._fields} - written
    for field, effect in EFFECTS.items():
        assert bool(effect.adopted) == (effect.consequence is Consequence.ADOPT), field


@pytest.mark.parametrize(
    "old, new, said",
    [
        ({}, {"origin": "pidward.toml:3:1"}, None),
        ({}, {"workers": 3}, "web: scaled (1 -> 3)"),
        ({}, {"type": ServiceType.ONESHOT}, "web: restarting (type)"),
        ({}, {"watchdog": Seconds(3)}, "web: restarting (watchdog)"),
        ({}, {"ready": TCP}, "web: changed in place (ready)"),
        ({}, {"ready": NOTIFY}, "web: restarting (ready)"),
        ({"ready": NOTIFY}, {}, "web: changed in place (ready)"),
        ({"ready": NOTIFY}, {"ready": NOTIFY, "fd_store": 3}, "web: restarting (fd_store)"),
        ({"fd_store": 2}, {"fd_store": 3}, "web: changed in place (fd_store)"),
        ({"fd_store": 2}, {"fd_store": 2, "ready": NOTIFY}, "web: changed in place (ready)"),
        ({"ready": TCP}, {"ready": FD3}, "web: restarting (ready)"),
        ({"ready": FD3}, {"ready": FD4}, "web: restarting (ready)"),
        ({"ready": FD3}, {"ready": TCP}, "web: changed in place (ready)"),
        ({"ready": FD3}, {"ready": FD3, "schedule": Schedule(every=Seconds(5))}, "web: changed in place (schedule)"),
        ({}, {"resources": Resources(memory_max=Bytes(1))}, "web: changed in place (resources)"),
        ({}, {"logs": LogPolicy(keep=2)}, "web: changed in place (logs)"),
        ({}, {"logs": LogPolicy(LogMode.NONE)}, "web: changed in place (logs.mode with the next start)"),
        ({}, {"logs": LogPolicy(LogMode.NONE, keep=2)}, "web: changed in place (logs, logs.mode with the next start)"),
        ({}, {"ready_timeout": Seconds(3)}, "web: changed in place (ready_timeout with the next start)"),
        ({}, {"autostart": False, "rolling": 2}, "web: changed in place (autostart, rolling)"),
    ],
    ids=str,
)
def test_one_service(old: dict[str, object], new: dict[str, object], said: str | None):
    changes = compare(Configuration((service(**old),)), Configuration((service(**new),)))
    assert [str(c) for c in changes] == ([said] if said else [])


@pytest.mark.parametrize(
    "fields, said",
    [
        ({"backlog": 7, "mode": 0o666, "user": "www", "group": "www"}, "web: changed in place (sockets)"),
        ({"backlog": 7, "name": "http"}, "web: restarting (sockets)"),
        ({"address": "/run/other"}, "web: restarting (sockets)"),
    ],
    ids=str,
)
def test_what_workers_do_not_learn_of_a_socket_is_changed_in_place(fields: dict[str, Any], said: str):
    socket = SocketSpec(SocketKind.UNIX, "/run/web")
    old, new = (ServiceSpec("web", Execution(("x",), sockets=(s,))) for s in (socket, socket._replace(**fields)))
    assert [str(c) for c in compare(Configuration((old,)), Configuration((new,)))] == [said]


def test_several_at_once_in_the_order_of_doing():
    socket = SocketSpec(SocketKind.TCP, "127.0.0.1", 80)
    old = Configuration((service("a"), service("gone"), service("b")))
    new = ServiceSpec("a", Execution(("a", "-v"), sockets=(socket,)), workers=2, autostart=False)
    assert compare(old, Configuration((service("new", workers=0), new, service("b"), service("one")))) == [
        Change("new", Consequence.ADD, "0 workers"),
        Change("a", Consequence.SCALE, "1 -> 2"),
        Change("a", Consequence.RESTART, "command, sockets"),
        Change("a", Consequence.ADOPT, "autostart"),
        Change("one", Consequence.ADD, "1 worker"),
        Change("gone", Consequence.REMOVE, ""),
    ]
