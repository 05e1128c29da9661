"""What an operator may ask for, chosen at random, and the program that each service runs."""

import random
import sys
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from tests.e2e.model import WAITING, File, Model, Name, Nature, Service
from tests.e2e.rig import service

MOST = 6
"""Workers of one service."""
_GREETING = """
import os, _socket
address = os.environ["NOTIFY_SOCKET"].replace("@", chr(0), 1)
_socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM).sendto(b"READY=1\\nSTATUS=serving", address)
os.execv("/bin/sleep", ["sleep", "infinity"])
"""
_FAMILY = ["/bin/sh", "-c", "sleep infinity & exec sleep infinity"]

FIRST: File = (
    Service("db"),
    Service("migrate", nature=Nature.JOB, needs=(("db", "ready"),)),
    Service("web", workers=3, needs=(("db", "ready"), ("migrate", "completed"))),
    Service("cache", workers=2, group="pair"),
    Service("queue", group="pair"),
    Service("socketed", workers=2),
    Service("herald"),
    Service("probed"),
    Service("family"),
    Service("logged"),
    Service("broken", nature=Nature.BROKEN),
    Service("hopeful", needs=(("broken", "ready"),)),
)
AREAS = ({"db", "migrate", "web"}, {"cache", "queue"}, {"broken", "hopeful"})
"""Services that have to do with each other; every other one is alone."""
EXTRA = ("extra", "more")
PROCESSES = {"family": 2}
"""Of one worker, where that is not 1."""


def written(one: Service, base: str) -> str:
    """The service in the file. ``base``: a directory for its socket."""
    keys: dict[str, object] = {
        "workers": one.workers,
        "env": {"VERSION": str(one.version)},
        "stop": {"grace": f"{20 + one.note}s"},
        "restart": {"delay": "1ms", "max_delay": "5ms", "burst": 0},
    }
    command: Sequence[str] = ("sleep", "infinity")
    if one.needs:
        keys["depends_on"] = dict(one.needs)
    if one.group:
        keys["group"] = one.group
    if one.rolling:
        keys["rolling"] = one.rolling
    match one.nature:
        case Nature.JOB:
            keys["type"], command = "oneshot", ("/bin/true",)
        case Nature.BROKEN:
            keys["restart"] = {"delay": "1ms", "max_delay": "5ms", "burst": 2, "then": "fail"}
            command, keys["ready"] = ("/bin/sh", "-c", "exit 3"), {"after": "1h"}
    match one.name:
        case "socketed":
            keys["sockets"] = [f"unix://{base}/listen.sock"]
        case "herald":
            command, keys["ready"] = (sys.executable, "-S", "-E", "-c", _GREETING), {"notify": True}
        case "probed":
            keys["ready"] = {"exec": ["/bin/true"], "period": "1h", "timeout": "20s"}
        case "family":
            command = _FAMILY
        case "logged":
            keys["logs"] = {"mode": "file"}
    return service(one.name, command, **keys)


class Ask(NamedTuple):
    """One request. names: the workers that it is about. how: the signal, and whether it is for the whole tree."""

    verb: str
    targets: tuple[str, ...] = ()
    names: tuple[Name, ...] = ()
    number: int = 0
    how: tuple[str, bool] = ("", False)
    file: File = ()
    touched: frozenset[str] = frozenset()

    def __str__(self) -> str:
        about = [*self.targets, *map(str, filter(None, (self.number, self.how[0])))]
        if self.verb == "reload":
            about += sorted(self.touched)
        return " ".join([self.verb, *about])


def choose(source: random.Random, model: Model, file: File) -> Ask:
    """Any request that means something now."""
    verb = source.choices(
        ("start", "stop", "restart", "roll", "scale", "kill", "reload", "spoil"), (20, 14, 16, 6, 16, 14, 12, 2)
    )[0]
    match verb:
        case "scale":
            name = source.choice([one.name for one in file if one.nature is not Nature.BROKEN])
            return Ask(verb, (name,), number=source.randint(0, MOST), touched=frozenset({name}))
        case "reload":
            return _another(source, file)
        case "spoil":
            return Ask(verb, number=source.randrange(4))
        case "roll":
            return _roll(source, model, file)
        case _:
            targets, names = _some(source, model, file, at_most=1 if verb == "kill" else 3)
            how = source.choice([("SIGKILL", False), ("SIGKILL", True), ("SIGTERM", False), ("SIGTERM", True)])
            touched = frozenset(name[0] for name in names)
            return Ask(verb, targets, names, how=how if verb == "kill" else ("", False), touched=touched)


def _some(source: random.Random, model: Model, file: File, at_most: int) -> tuple[tuple[str, ...], tuple[Name, ...]]:
    """Targets, and the workers that they mean, in order of the file."""
    names = model.names()
    kind = source.choices(("worker", "services", "all"), (8, 10, 1 if at_most > 1 else 0))[0]
    if kind == "all":
        return (), tuple(names)
    if kind == "worker" and names:
        service, number = source.choice(names)
        return (f"{service}/{number}",), ((service, number),)
    services = source.sample([one.name for one in file], source.randint(1, at_most))
    return tuple(services), tuple(name for name in names if name[0] in services)


def _roll(source: random.Random, model: Model, file: File) -> Ask:
    """Some workers at a time; only where each of them will be ready in the end."""
    name = source.choice([one.name for one in file if one.name not in ("broken", "hopeful")])
    return Ask("roll", (name,), tuple(model.crew(name)), source.randint(1, 3), touched=frozenset({name}))


def _another(source: random.Random, file: File) -> Ask:
    """A file that differs in one to three places."""
    services = {one.name: one for one in file}
    touched = set()
    for _ in range(source.randint(1, 3)):
        name = source.choice(list(services))
        one = services[name]
        match source.choice(("version", "version", "note", "workers", "rolling", "extra", "needs", "group")):
            case "version":
                one = one._replace(version=one.version + 1)
            case "note":
                one = one._replace(note=one.note + 1)
            case "workers" if one.nature is not Nature.BROKEN:
                one = one._replace(workers=source.randint(0, MOST))
            case "rolling" if name in ("cache", "socketed", "family", "probed"):  # who are always ready in the end
                one = one._replace(rolling=0 if one.rolling else source.randint(1, 2))
            case "extra":
                name = source.choice(EXTRA)
                if name in services:
                    del services[name]
                    touched.add(name)
                    continue
                one = Service(name, source.randint(1, 3))
            case "needs":
                name, one = "web", services["web"]
                one = one._replace(needs=FIRST[2].needs[: source.randint(0, 2)])
            case "group":
                name, one = "queue", services["queue"]
                one = one._replace(group=None if one.group else "pair")
        services[name] = one
        touched.add(name)
    return Ask("reload", file=tuple(services.values()), touched=frozenset(touched))


def area(services: Iterable[str]) -> set[str]:
    """These and all that have to do with them."""
    return {other for name in services for other in next((area for area in AREAS if name in area), {name})}


def can_follow(earlier: Ask, later: Ask) -> bool:
    """Tell whether the end is the same, however much of the earlier one is done when the later one is asked."""
    shared = area(earlier.touched) & area(later.touched)
    verbs = {earlier.verb, later.verb}
    if not shared:
        return True
    if "roll" in verbs or "reload" in verbs:
        return False
    if all(area({service}) == {service} for service in shared):
        return True
    if earlier.verb == "stop" and later.verb in ("start", "restart"):
        return True
    return verbs <= {"start", "restart", "scale"} or verbs in ({"stop"}, {"kill"})


def apply(model: Model, ask: Ask) -> list[tuple[str, str]]:
    """Do it in the model. Returns the changes of a reload."""
    match ask.verb:
        case "start":
            model.start(ask.names)
        case "stop":
            model.stop(ask.names)
        case "restart" | "roll":
            model.restart(ask.names)
        case "scale":
            model.scale(ask.targets[0], ask.number)
        case "kill":
            model.kill(ask.names, ask.how[0])
        case "reload":
            return model.reload(ask.file)
    return []


def targeted(model: Model, ask: Ask) -> list[Name]:
    """The workers that the answer is about, as far as they are there afterwards."""
    return model.crew(ask.targets[0]) if ask.verb == "scale" else list(ask.names)


def will_end(model: Model, ask: Ask) -> bool:
    """It is carried out some time: nobody whom it is about waits for others for ever. Asked after ``apply``."""
    return all(model.workers[name].phase != WAITING for name in targeted(model, ask))
