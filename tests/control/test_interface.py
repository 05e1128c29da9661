"""The descriptions are the truth: what is implemented is what is described, and what is answered has its shape."""

import inspect
import re
import warnings
from pathlib import Path
from typing import Any

import pytest

from pidward.control import interface
from pidward.control.client import CallFailed, Client
from pidward.control.interface import DESCRIPTIONS, METHODS, Refusal, check_call, fits
from pidward.control.service import Service
from pidward.core.model import Phase
from tests.control.fake import FakeDesk, config_error, serving

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # its own, when it is compiled
    varlink = pytest.importorskip("varlink")

S = "io.pidward.Supervisor."


def test_every_method_is_implemented_with_exactly_its_parameters() -> None:
    implemented = {}
    for name, function in inspect.getmembers(Service, inspect.isfunction):
        if name[0].isupper():
            names = list(inspect.signature(function).parameters)
            implemented[name] = names[2:]  # after self and the conversation
    described = {full.rpartition(".")[2]: list(takes) for full, takes in METHODS.items()}
    assert implemented == described


def test_optional_parameters_are_those_with_a_default() -> None:
    for full, takes in METHODS.items():
        signature = inspect.signature(getattr(Service, full.rpartition(".")[2])).parameters
        for name, kind in takes.items():
            assert (signature[name].default is None) == kind.startswith("?"), (full, name)


def test_another_varlink_implementation_reads_the_same_methods() -> None:
    for name, text in DESCRIPTIONS.items():
        read = varlink.scanner.Interface(text)
        assert read.name == name
        assert len(read.members) == len(re.findall("^(?:type|method|error) ", text, re.MULTILINE))  # no name twice
        theirs = {m: list(v.in_type.fields) for m, v in read.members.items() if type(v).__name__ == "_Method"}
        assert theirs == {m: list(takes) for m, takes in interface.methods_of(text).items()}


@pytest.mark.parametrize(
    "kind, good, bad",
    [
        ("string", ["", "x"], [None, 1, True, ["x"]]),
        ("?string", ["x", None], [1]),
        ("int", [1, -1], [1.0, True, "1", None]),
        ("float", [1, 1.5], [True, "1", None]),
        ("bool", [True, False], [0, None, "true"]),
        ("[]string", [[], ["a"]], [None, "a", ["a", 1], [None]]),
        ("?[]string", [None, ["a"]], [["a", 1]]),
    ],
)
def test_types(kind: str, good: list[object], bad: list[object]) -> None:
    assert all(fits(kind, value) for value in good)
    assert not any(fits(kind, value) for value in bad)


@pytest.mark.parametrize(
    "method, parameters, error, about",
    [
        (S + "Nothing", {}, "org.varlink.service.MethodNotFound", {"method": S + "Nothing"}),
        (S + "serve", {}, "org.varlink.service.MethodNotFound", {"method": S + "serve"}),
        (S + "_workers", {}, "org.varlink.service.MethodNotFound", {"method": S + "_workers"}),
        ("io.other.Start", {}, "org.varlink.service.InterfaceNotFound", {"interface": "io.other"}),
        ("", {}, "org.varlink.service.InterfaceNotFound", {"interface": ""}),
        (S + "Start", {}, "org.varlink.service.InvalidParameter", {"parameter": "targets"}),
        (S + "Start", {"targets": [], "x": 1}, "org.varlink.service.InvalidParameter", {"parameter": "x"}),
        (S + "Start", {"targets": "web"}, "org.varlink.service.InvalidParameter", {"parameter": "targets"}),
    ],
)
def test_misfits(method: str, parameters: dict[str, object], error: str, about: dict[str, object]) -> None:
    with pytest.raises(Refusal) as refusal:
        check_call(method, parameters)
    assert (refusal.value.error, refusal.value.parameters) == (error, about)


GOOD: list[tuple[str, dict[str, object]]] = [
    ("Status", {}),
    ("Status", {"targets": ["web/1", "loop"]}),
    ("Table", {"targets": ["db"]}),
    ("About", {}),
    ("Start", {"targets": ["web", "off"], "wait": True, "timeout": 60}),
    ("Start", {"targets": ["bad", "loop"], "wait": True}),
    ("Restart", {"targets": ["web/2"], "wait": True}),
    ("Stop", {"targets": ["db"], "wait": True}),
    ("Stop", {"targets": []}),
    ("Signal", {"target": "web", "signal": "hup"}),
    ("Kill", {"target": "web/1", "tree": True}),
    ("Events", {"since": -5}),
    ("Reload", {}),
    ("Down", {"at_once": True}),
]


@pytest.mark.parametrize("method, parameters", GOOD, ids=[f"{m}-{len(p)}" for m, p in GOOD])
def test_answers_have_the_described_shape(tmp_path: Path, method: str, parameters: dict[str, object]) -> None:
    with serving(tmp_path) as (path, _desk):
        with varlink.Client(f"unix:{path}") as theirs:
            described = theirs.get_interface(S.rstrip("."))
        with Client(path) as client:
            answer = client.call(method, parameters)
    assert misfits(described, described.get_method(method).out_type, answer, method) == []


def misfits(described: Any, kind: Any, value: object, where: str) -> list[str]:
    """Where a value differs from its type, as the other implementation has read it."""
    match type(kind).__name__:
        case "_Maybe":
            return [] if value is None else misfits(described, kind.element_type, value, where)
        case "_Array":
            assert isinstance(value, list)
            return [m for v in value for m in misfits(described, kind.element_type, v, where + "[]")]
        case "_CustomType":
            return misfits(described, described.members[kind.name].type, value, where)
        case "_Object":
            return [] if isinstance(value, dict) else [where]
        case "_Struct":
            if not isinstance(value, dict) or set(value) != set(kind.fields):
                return [where]
            return [m for k, v in value.items() for m in misfits(described, kind.fields[k], v, f"{where}.{k}")]
        case plain:
            names = {"str": "string"}
            return [] if fits(names.get(plain, plain), value) else [f"{where}: {plain}"]


ERRORS: list[tuple[str, dict[str, object], str, object]] = [
    ("Status", {"targets": ["wev"]}, "UnknownTarget", {"target": "wev", "close": ["web"]}),
    ("Signal", {"target": "off", "signal": "TERM"}, "NoProcess", {"target": "off"}),
    ("Signal", {"target": "web", "signal": "SIGFOO"}, "org.varlink.service.InvalidParameter", {"parameter": "signal"}),
    ("Signal", {"target": "web", "signal": "0"}, "org.varlink.service.InvalidParameter", {"parameter": "signal"}),
    ("Start", {"targets": [], "timeout": -1}, "org.varlink.service.InvalidParameter", {"parameter": "timeout"}),
    ("Events", {"since": 2**63}, "org.varlink.service.InvalidParameter", {"parameter": "since"}),
    ("Events", {"limit": 0}, "org.varlink.service.InvalidParameter", {"parameter": "limit"}),
    ("Events", {"follow": True}, "org.varlink.service.ExpectedMore", {}),
]


@pytest.mark.parametrize("method, parameters, error, about", ERRORS)
def test_errors(tmp_path: Path, method: str, parameters: dict[str, object], error: str, about: object) -> None:
    with serving(tmp_path) as (path, _desk), Client(path) as client:
        with pytest.raises(CallFailed) as failure:
            client.call(method, parameters)
        assert (failure.value.error, failure.value.parameters) == (error, about)
        assert "workers" in client.call("Status", {})  # the connection goes on


def test_an_invalid_file_gives_all_problems(tmp_path: Path) -> None:
    def prepare(desk: FakeDesk) -> None:
        desk.reload_error = config_error()

    with serving(tmp_path, prepare) as (path, _desk), Client(path) as client:
        with pytest.raises(CallFailed) as failure:
            client.call("Reload", {})
        assert failure.value.error == "InvalidConfiguration"
        assert failure.value.parameters == {"problems": str(config_error()).splitlines()}


@pytest.mark.parametrize(
    "error, reason",
    [
        (OSError(5, "Input/output error"), "[Errno 5] Input/output error"),
        (KeyError("x"), "internal error: KeyError: 'x'"),
    ],
)
def test_what_goes_wrong_inside_becomes_an_answer(tmp_path: Path, error: Exception, reason: str) -> None:
    def prepare(desk: FakeDesk) -> None:
        desk.reload_error = error

    with serving(tmp_path, prepare) as (path, _desk), Client(path) as client:
        with pytest.raises(CallFailed) as failure:
            client.call("Reload", {})
        assert (failure.value.error, failure.value.parameters) == ("Refused", {"reason": reason})


def test_table_rows_are_status_rows(tmp_path: Path) -> None:
    def prepare(desk: FakeDesk) -> None:
        name = next(iter(desk.workers))
        desk.change(name, Phase.BACKING_OFF, "a\ttab and\na break")

    with serving(tmp_path, prepare) as (path, _desk), Client(path) as client:
        table = str(client.call("Table", {})["table"])
        workers = client.call("Status", {})["workers"]
        assert isinstance(workers, list)
        rows = [line.split("\t") for line in table.splitlines()]
        assert [row[0] for row in rows] == [worker["name"] for worker in workers]
        assert {len(row) for row in rows} == {8}
        assert rows[0][6] == "a tab and a break"
        assert [row[7] == "1" for row in rows] == [worker["as_wanted"] for worker in workers]
