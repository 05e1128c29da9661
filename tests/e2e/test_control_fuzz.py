"""A control socket under fire: calls that fit in form and are nonsense in content, against a real supervisor."""

import os
import random

import pytest

from pidward.control.client import CallFailed, Client
from pidward.control.interface import METHODS, SUPERVISOR_NAME
from tests.e2e.rig import Rig, eventually, service

NAMES = [
    *["web", "web/1", "web/2", "web/999", "job", "lazy", "gone"],
    *["", "/", "web/", "/1", "web/1/2", "wéb", "\x1b[2J", "x" * 5000],
]
NUMBERS = [0, 1, 2, -1, 3, 2**31, 2**63 - 1, -(2**63), 10**30]
FLOATS: list[float] = [0.0, 0.001, -1.0, 1e300, 5e-324]
WORDS = ["SIGTERM", "term", "0", "65", "SIGKILL", "up", "down", "exit", "", "live", "io.pidward.Supervisor", "\0"]
ODD: list[object] = [None, True, [], {}, [[]], [1], {"a": 1}, "x", 1.5]
OURS = [m for m in METHODS if m.startswith(SUPERVISOR_NAME) and not m.endswith(".Down")]
"""All but the one that would end it."""


def value(random: random.Random, kind: str) -> object:
    """Something of a varlink type, mostly; else something else."""
    if random.random() < 0.1:
        return random.choice(ODD)
    kind = kind.removeprefix("?")
    if kind.startswith("[]"):
        return [value(random, kind[2:]) for _ in range(random.choice([0, 1, 1, 2, 5]))]
    return {
        "string": random.choice(NAMES if random.random() < 0.6 else WORDS),
        "int": random.choice(NUMBERS),
        "float": random.choice(FLOATS),
        "bool": random.random() < 0.3,
    }.get(kind, random.choice(ODD))


def call(random: random.Random) -> tuple[str, dict[str, object]]:
    method = random.choice(OURS)
    takes = METHODS[method]
    parameters = {
        name: value(random, kind) for name, kind in takes.items() if random.random() < (0.4 if kind[0] == "?" else 0.95)
    }
    if parameters.get("wait") is True or method.endswith(".Wait"):
        parameters["timeout"] = random.choice([0, 0.01, -1])
    if random.random() < 0.05:
        parameters[random.choice(NAMES)] = value(random, "string")
    return method.rpartition(".")[2], parameters


def numbers_of_descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


@pytest.mark.parametrize("seed", range(4))
def test_nonsense_is_refused_and_nothing_is_lost(rig: Rig, seed: int) -> None:
    rig.configure(
        service("web", workers=2, reload={"signal": "SIGWINCH"}, stop={"grace": "100ms"}),
        service("job", ["true"], type="oneshot", depends_on={"web": "ready"}, autostart=False),
        service("lazy", sockets=[f"unix://{rig.base}/s"], on_demand=True),
    )
    rig.up()
    rig.wait_all("web", 2)
    chance = random.Random(seed)
    answers, refusals = 0, []
    for _ in range(250):
        method, parameters = call(chance)
        with Client(rig.socket) as client:  # one for each: an error may close the connection
            try:
                if method == "Events" and parameters.get("follow"):
                    continue
                client.call(method, parameters, patience=20.0)
                answers += 1
            except CallFailed as failure:
                refusals.append(f"{method} {parameters}: {failure}")
    assert answers > 20
    assert not [refusal for refusal in refusals if "internal error" in refusal]
    assert rig.call("Scale", service="web", workers=2)
    assert rig.cli("start", "web").status == 0
    assert "internal error" not in rig.text
    assert not [row for row in rig.call("Events", since=-1000)["events"] if "internal error" in row["text"]]
    pid = rig.process.id.pid
    assert rig.cli("restart", "web").status == 0
    before = numbers_of_descriptors(pid)
    for _ in range(20):
        rig.call("Status")
    eventually(lambda: numbers_of_descriptors(pid) <= before)
