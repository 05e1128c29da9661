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
    *("include = 'x'\n", "depends_on = ['web']\n", "group = 'app'\n", "sockets = ['unix:/x']\n", "%i", "unix:", "http://"),
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
        [
            '""',
            "'x'",
            "'5s'",
            "'/p'",
            "'50%'",
            "'web'",
            "'oneshot'",
            "'http://127.0.0.1:1'",
            "'unix:/x'",
            "'%i'",
            "0",
            "-1",
            "1.5",
            "true",
            "1979-05-27",
            "nan",
            "9223372036854775807",
        ]
    ),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]")
        | st.dictionaries(
            st.sampled_from(["policy", "nofile", "signal", "A", "command", "exec", "port", "listen", "kind", "web"]),
            inner,
            max_size=2,
        ).map(lambda table: "{" + ", ".join(f"{key} = {value}" for key, value in table.items()) + "}")
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


LINES = VALID.split("\n")


@pytest.mark.parametrize("number", [n for n, line in enumerate(LINES) if " = " in line and line[0] != "["])
def test_a_wrong_type_is_one_clear_line(number: int) -> None:
    key = LINES[number].split(" = ")[0]
    text = "\n".join([*LINES[:number], f"{key} = 1979-05-27", *LINES[number + 1 :]])
    [problem] = problems_of(text)
    assert (problem.file, problem.line, problem.column) == ("f", number + 1, len(key) + 4)
    assert problem.key.endswith(f".{key}")
    assert problem.message.startswith("expected ")
    assert "got a date or time" in problem.message


@pytest.mark.parametrize("number", [n for n, line in enumerate(LINES) if " = " in line and line[0] != "["])
def test_an_unknown_key_is_one_clear_line(number: int) -> None:
    text = "\n".join([*LINES[: number + 1], "zzz = 1", *LINES[number + 1 :]])
    [problem] = problems_of(text)
    assert (problem.line, problem.column, problem.message) == (number + 2, 1, "unknown key")


@settings(max_examples=100, deadline=None)
@given(data=st.binary() | st.text().map(str.encode))
def test_any_bytes_in_a_file(data: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_bytes(data)
    path.chmod(0o600)
    with contextlib.suppress(ConfigError):
        load(str(path))
