"""The scanner finds what tomllib finds, where it stands."""

import tomllib
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pidward.config.positions import Path, Positions

KEYS = st.sampled_from(["a", "b", "c", "x-1", "22", "a b", 'q"q', "it's", "ü", "", "d.e", "#", "]", "="])
BLANKS = st.sampled_from(["", " ", "\t", "  "])
BREAKS = st.sampled_from(["", "\n", " # ] } = , [x]\n", "\n\n  "])


def quoted(text: str) -> str:
    return '"' + "".join(f"\\u{ord(c):04X}" if c in '"\\' or c in "b#" else c for c in text) + '"'


@st.composite
def written_key(draw: st.DrawFn) -> str:
    key = draw(KEYS)
    if key and all(c.isascii() and (c.isalnum() or c == "-") for c in key) and draw(st.booleans()):
        return key
    return f"'{key}'" if "'" not in key and draw(st.booleans()) else quoted(key)


@st.composite
def dotted_key(draw: st.DrawFn) -> str:
    return (draw(BLANKS) + "." + draw(BLANKS)).join(draw(st.lists(written_key(), min_size=1, max_size=3)))


SCALARS = st.sampled_from(
    [
        *("1", "-1_000", "0xff", "1.5e3", "true", "inf", "1979-05-27 07:32:00.5", "07:32:00", "''", '""', "'a = [b]'"),
        *(r'"\" # ] } \\"', '"""a""""', '""" "" \\""" ] \n x = {1}\n """', "'''a'''''", "'''\n# ' '' ]\n[t]\n'''"),
        *('""""""', "''''''", '"""\\\n  x"""', '"ü"', '"a\\u005D"'),
    ]
)  # fmt: skip


def arrays(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    items = st.tuples(BREAKS, values, BREAKS).map("".join)
    return st.tuples(st.lists(items, max_size=3).map(",".join), st.sampled_from(["", ","]), BREAKS).map(
        lambda parts: "[" + parts[0] + (parts[1] if parts[0] else "") + parts[2] + "]"
    )


def assignments(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.tuples(dotted_key(), BLANKS, BLANKS, values).map(lambda p: f"{p[0]}{p[1]}={p[2]}{p[3]}")


def inline_tables(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.tuples(BLANKS, st.lists(assignments(values), max_size=3).map(" , ".join), BLANKS).map(
        lambda parts: "{" + "".join(parts) + "}"
    )


VALUES = st.recursive(SCALARS, lambda inner: arrays(inner) | inline_tables(inner), max_leaves=6)
LINES = st.one_of(
    assignments(VALUES),
    assignments(VALUES),
    st.tuples(BLANKS, dotted_key(), BLANKS).map(lambda p: f"{p[0]}[{p[0]}{p[1]}{p[2]}]"),
    st.tuples(BLANKS, dotted_key(), BLANKS).map(lambda p: f"{p[0]}[[{p[0]}{p[1]}{p[2]}]]"),
    st.just("# [comment] = {"),
)
NEWLINES = st.sampled_from(["\n", "\r\n", " # c\n", "\n\n"])


@st.composite
def documents(draw: st.DrawFn) -> str:
    """Lines that tomllib accepts one after the other: a line it refuses is left out."""
    text = ""
    for line, newline in draw(st.lists(st.tuples(LINES, NEWLINES), min_size=1, max_size=10)):
        try:
            tomllib.loads(text + line + newline)
        except tomllib.TOMLDecodeError:
            continue
        text += line + newline
    return text


def paths_in(value: Any, path: Path = ()) -> set[Path]:
    entries: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return set().union(*({(*path, key)} | paths_in(inner, (*path, key)) for key, inner in entries))


def inside(value: Any, path: Path) -> Any:
    for part in path:
        value = value[part]
    return value


def offset(text: str, place: tuple[int, int]) -> int:
    return sum(len(line) + 1 for line in text.split("\n")[: place[0] - 1]) + place[1] - 1


@settings(max_examples=300, deadline=None)
@given(documents())
def test_keys_are_those_of_tomllib(text: str) -> None:
    assume(text)
    assert Positions(text).paths == paths_in(tomllib.loads(text))


@settings(max_examples=150, deadline=None)
@given(documents())
def test_what_stands_at_the_place_is_the_key_or_the_value(text: str) -> None:
    positions, data = Positions(text), tomllib.loads(text)
    for path in positions.paths:
        value = inside(data, path)
        if not isinstance(path[-1], int):
            at_key = text[offset(text, positions.key(path)) :]
            assert any(
                at_key.startswith(form) for form in (path[-1], f"'{path[-1]}'", quoted(path[-1]), f'"{path[-1]}"')
            )
        if not isinstance(value, dict | list):
            at_value = text[offset(text, positions.value(path)) :]
            assert any(parses_to(at_value[:end], value) for end in range(1, len(at_value) + 1))


def parses_to(text: str, value: object) -> bool:
    try:
        return repr(tomllib.loads(f"v = {text}")["v"]) == repr(value)
    except tomllib.TOMLDecodeError:
        return False


TEXT = """\
top = 1
[service.web]
command = ["gunicorn",
           "app:api"]   # comment
restart = { policy = "always", burst.x = 3 }
"env" . 'A' = '''
[not.a.table]
b = 1
'''
[[list]]
[[list]]
  [list.sub]
  z = 0o17
"""


@pytest.mark.parametrize(
    "path, key, value",
    [
        (("top",), (1, 1), (1, 7)),
        (("service",), (2, 2), (2, 2)),
        (("service", "web"), (2, 10), (2, 10)),
        (("service", "web", "command"), (3, 1), (3, 11)),
        (("service", "web", "command", 1), (4, 12), (4, 12)),
        (("service", "web", "restart", "policy"), (5, 13), (5, 22)),
        (("service", "web", "restart", "burst", "x"), (5, 38), (5, 42)),
        (("service", "web", "env", "A"), (6, 9), (6, 15)),
        (("list", 1), (11, 3), (11, 3)),
        (("list", 1, "sub", "z"), (13, 3), (13, 7)),
        (("service", "web", "missing", "deeper"), (2, 10), (2, 10)),
        (("nothing",), (1, 1), (1, 1)),
    ],
)
def test_places(path: Path, key: tuple[int, int], value: tuple[int, int]) -> None:
    positions = Positions(TEXT)
    assert (positions.key(path), positions.value(path)) == (key, value)


def test_what_was_written() -> None:
    assert Positions(TEXT).written(("list", 1, "sub", "z"), 4) == "0o17"


def test_depth_and_length_are_no_danger() -> None:
    deep = "a = " + "[" * 50_000 + "]" * 50_000
    assert Positions("a = '''" + "'\n" * 500_000 + "'''").paths == {("a",)}
    assert ("a", 0, 0) in Positions(deep[:4] + "[" * 400 + "]" * 400).paths
