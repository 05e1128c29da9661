"""No input of any kind makes anything but a configuration or a ConfigError whose places are in the text."""

import contextlib

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pidward.config.document import example as every_key
from pidward.config.errors import ConfigError, Problem
from pidward.config.load import load, parse

VALID = every_key()
SNIPPETS = [
    *("\n", "=", "%", "[", "]", "[[", "{", "}", '"', "'", '"""', "'''", "#", ".", ",", "\\", "\\u0000", "\x00", "\x7f"),
    *("0x", "9" * 5000, "1e999", "nan", "-inf", "true", "1979-05-27", "ü", "\ud7ff", "\U0010ffff", "\r", "\t", ""),
    *("a.b.c = 1\n", "restart = 'never'\n", "workers = -1\n", "[defaults.env]\n", "[service.a]", "{}", "[[[]]]"),
]  # fmt: skip


def problems_of(text: str) -> tuple[Problem, ...]:
    try:
        parse(text, "f")
    except ConfigError as error:
        return error.problems
    return ()


def check(text: str) -> None:
    lines = text.split("\n")
    for problem in problems_of(text):
        assert problem.message
        assert problem.line <= len(lines)
        assert problem.line == 0 or 1 <= problem.column <= len(lines[problem.line - 1]) + 1


@settings(max_examples=300, deadline=None)
@given(st.text())
@example("a = " + "{a=" * 2000)
@example("a." * 3000 + "a = 1")
@example("[" + "a." * 3000 + "a]")
def test_any_text(text: str) -> None:
    check(text)


DAMAGE = st.tuples(st.integers(0, len(VALID)), st.sampled_from([0, 0, 1, 2, 10, 100]), st.sampled_from(SNIPPETS))


@settings(max_examples=300, deadline=None)
@given(st.lists(DAMAGE, min_size=1, max_size=6))
def test_valid_text_with_damage(damages: list[tuple[int, int, str]]) -> None:
    text = VALID
    for at, length, snippet in damages:
        text = text[:at] + snippet + text[at + length :]
    check(text)


TOML = st.recursive(
    st.sampled_from(
        ['""', "'x'", "'5s'", "'/p'", "0", "-1", "1.5", "true", "1979-05-27", "nan", "9223372036854775807"]
    ),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]")
        | st.dictionaries(st.sampled_from(["policy", "nofile", "signal", "A"]), inner, max_size=2).map(
            lambda table: "{" + ", ".join(f"{key} = {value}" for key, value in table.items()) + "}"
        )
    ),
    max_leaves=4,
)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_every_key_with_any_value(data: st.DataObject) -> None:
    lines = VALID.split("\n")
    for number in data.draw(st.lists(st.integers(0, len(lines) - 1), min_size=1, max_size=5)):
        key, equals, _ = lines[number].partition(" = ")
        if equals:
            lines[number] = f"{key} = {data.draw(TOML)}"
    check("\n".join(lines))


@settings(max_examples=100, deadline=None)
@given(data=st.binary() | st.text().map(str.encode))
def test_any_bytes_in_a_file(data: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_bytes(data)
    path.chmod(0o600)
    with contextlib.suppress(ConfigError):
        load(str(path))
