"""The wire: whatever comes in, and however it is cut, the outcome is the same and harmless."""

import itertools
import json
import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pidward.control import jsontext
from pidward.control.protocol import Call, Inbox, ProtocolError, Reply

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
parameters = st.dictionaries(st.text(max_size=8), json_values, max_size=4)
calls = st.builds(Call, st.text(), parameters, st.booleans(), st.booleans(), st.booleans()).map(Call.to_bytes)
fragments = st.lists(
    calls
    | st.binary(max_size=30)
    | st.sampled_from([b"\0", b"{}\0", b'{"method":"a.B"}\0', b'{"method":"a.B","more":1}\0', b"[1]\0", b"NaN\0"]),
    max_size=6,
).map(b"".join)


def drain(inbox: Inbox) -> list[object]:
    """All calls, then the error if there is one."""
    out: list[object] = []
    try:
        while (call := inbox.next_call()) is not None:
            out.append((call.method, call.parameters, call.more, call.oneway, call.upgrade))
    except ProtocolError as error:
        out.append(str(error))
        with pytest.raises(ProtocolError, match=re.escape(str(error))):
            inbox.next_call()
    return out


@given(fragments, st.integers(10, 200), st.lists(st.integers(1, 40), min_size=1, max_size=5))
def test_cutting_makes_no_difference_and_garbage_only_a_protocol_error(
    data: bytes, limit: int, sizes: list[int]
) -> None:
    whole, cut = Inbox(limit), Inbox(limit)
    whole.receive(data)
    at_once = drain(whole)
    piecewise: list[object] = []
    for size in itertools.cycle(sizes):
        if not data or (piecewise and isinstance(piecewise[-1], str)):
            break
        piece, data = data[:size], data[size:]
        cut.receive(piece)
        piecewise += drain(cut)
    assert piecewise == at_once


def test_a_short_message_behind_the_end_of_a_long_one_is_found() -> None:
    inbox = Inbox(100)
    inbox.receive(b'{"method":"a.LongerThanTheOther"')
    assert inbox.next_call() is None
    inbox.receive(b'}\0{"method":"a.B"}\0')
    assert [call.method for call in (inbox.next_call(), inbox.next_call()) if call] == ["a.LongerThanTheOther", "a.B"]


@given(st.text(), parameters, st.booleans(), st.booleans(), st.booleans())
def test_a_call_survives_the_wire(method: str, given_: dict[str, object], more: bool, oneway: bool, up: bool) -> None:
    inbox = Inbox(2**20)
    inbox.receive(Call(method, given_, more, oneway, up).to_bytes())
    call = inbox.next_call()
    assert call is not None
    assert (call.method, call.parameters, call.more, call.oneway, call.upgrade) == (method, given_, more, oneway, up)
    assert inbox.next_call() is None
    assert inbox.is_empty


@given(parameters, st.booleans(), st.none() | st.text())
def test_a_reply_survives_the_wire(given_: dict[str, object], continues: bool, error: str | None) -> None:
    inbox = Inbox(2**20)
    inbox.receive(Reply(given_, continues, error).to_bytes())
    reply = inbox.next_reply()
    assert reply is not None
    assert (reply.parameters, reply.error) == (given_, error)
    assert reply.continues == (continues and error is None)


@given(json_values)
def test_json_is_what_the_json_package_makes_of_it(value: object) -> None:
    assert jsontext.decode(json.dumps(value)) == value
    assert json.loads(jsontext.encode(value)) == value
    assert jsontext.encode(value).isascii()


@pytest.mark.parametrize(
    "text",
    ["", " ", "{", "[1", '{"a":1}x', "NaN", "-Infinity", '"', '"\n"', "1" * 5000, "[" * 100_000, "nul", '{"a" 1}'],
)
def test_bad_json_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        jsontext.decode(text)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"a": float("-inf")}])
def test_json_cannot_say_nan(value: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        jsontext.encode(value)


def test_json_cannot_say_objects() -> None:
    with pytest.raises(TypeError, match="object"):
        jsontext.encode({"a": object()})


def test_the_json_package_serves_where_there_is_no_c_module() -> None:
    program = (
        "import sys; sys.modules['_json'] = None\n"
        "from pidward.control import jsontext as j\n"
        "assert j._write.__module__ == j.__name__\n"
        "assert j.decode(' {\"a\": [1.5, null, true, \"\\\\u00e9\"]} ') == {'a': [1.5, None, True, 'é']}\n"
        "assert j.encode({'a': ['é', 1]}) == '{\"a\":[\"\\\\u00e9\",1]}'\n"
        "for bad in ('{', '', 'NaN', '1 2', '[' * 100000):\n"
        "    try: j.decode(bad)\n"
        "    except ValueError: pass\n"
        "    else: raise AssertionError(bad[:9])\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, env={"PYTHONPATH": ":".join(filter(None, sys.path))})


@pytest.mark.parametrize(
    "message, complaint",
    [
        (b'{"method":1}', "needs a method"),
        (b"{}", "needs a method"),
        (b'{"method":"a.B","parameters":[]}', "parameters must be"),
        (b'{"method":"a.B","oneway":"yes"}', "oneway must be"),
        (b'{"method":"a.B","surprise":1}', "cannot have 'surprise'"),
        (b"[]", "must be a JSON object"),
        (b"\xff", "UTF-8"),
    ],
)
def test_malformed_calls_are_refused_with_the_reason(message: bytes, complaint: str) -> None:
    inbox = Inbox(100)
    inbox.receive(message + b"\0")
    with pytest.raises(ProtocolError, match=complaint):
        inbox.next_call()


def test_null_stands_for_absent() -> None:
    inbox = Inbox(100)
    inbox.receive(b'{"method":"a.B","parameters":null,"more":null}\0')
    call = inbox.next_call()
    assert call is not None
    assert call.parameters == {}
    assert not call.more


def test_the_limit_counts_before_the_message_is_complete() -> None:
    inbox = Inbox(100)
    inbox.receive(b" " * 100)
    assert inbox.next_call() is None
    inbox.receive(b" ")
    with pytest.raises(ProtocolError, match="100 bytes"):
        inbox.next_call()
