"""Environment files and included files: what they add, and how their mistakes are named."""

import glob
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pidward.config import including
from pidward.config.dotenv import parse as parse_env
from pidward.config.errors import ConfigError
from pidward.config.load import load
from pidward.core.spec import Configuration


def write(path: Path, text: str, mode: int = 0o644) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def configuration(tmp_path: Path, text: str) -> Configuration:
    return load(str(write(tmp_path / "pidward.toml", text)))


def mistakes(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        configuration(tmp_path, text)
    return [str(problem).replace(str(tmp_path), "T") for problem in caught.value.problems]


@pytest.mark.parametrize(
    "line, value",
    [
        ("A=b", "b"),
        ("A=", ""),
        ("  export A = b c \t", "b c"),
        ("A=b # c", "b"),
        ("A=b#c", "b#c"),
        ("A=#c", "#c"),
        ("A= # c", ""),
        ("A=it's", "it's"),
        ("A=$HOME `x` %i", "$HOME `x` %i"),
        ("A=b=c", "b=c"),
        ("A='b # \"c\\n' # d", 'b # "c\\n'),
        ('A="b # \'c\\n\\t\\"\\\\\\$x\\q" ', "b # 'c\n\t\"\\$xq"),
        ("A='b\nc'", "b\nc"),
        ('A="b\\\nc"', "bc"),
        ("# A=x\n\n A=b\r\n\r\n", "b"),
        ("A=x\nA=b", "b"),
        ("A=ü", "ü"),
    ],
)
def test_a_line_of_an_environment_file(line: str, value: str) -> None:
    assert parse_env(line, "f") == ({"A": value}, [])


@pytest.mark.parametrize(
    "text, message",
    [
        ("A", "f:1:1: expected NAME=VALUE"),
        ("\n=b", "f:2:1: expected NAME=VALUE"),
        ("A B=c", "f:1:1: expected NAME=VALUE"),
        ("A='b", "f:1:1: a quote is not closed"),
        ('# x\nA="b\\"\nC=d', "f:2:1: a quote is not closed"),
        ("A='b'c", "f:1:1: there is something after the closing quote"),
        ("A=\0", "f:1:1: there is a NUL byte"),
    ],
)
def test_a_wrong_line_of_an_environment_file(text: str, message: str) -> None:
    variables, problems = parse_env(text + "\nOK=1", "f")
    assert [str(problem) for problem in problems] == [message]
    assert variables["OK"] == "1"


@given(st.text(st.sampled_from("A=b #'\"\\\n\r\0x$")))
def test_any_environment_file(text: str) -> None:
    variables, problems = parse_env(text, "f")
    assert all(name and "=" not in name for name in variables)
    assert len(problems) <= text.count("\n") + 1
    assert all(1 <= problem.line <= text.count("\n") + 1 for problem in problems)


@given(st.text(st.characters(exclude_characters="\0\r", exclude_categories=["Cs"])))
def test_a_value_in_quotes_is_what_was_meant(value: str) -> None:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    assert parse_env(f'A="{escaped}"\nB=1', "f")[0] == {"A": value, "B": "1"}
    if "'" not in value:
        assert parse_env(f"A='{value}'\nB=1", "f")[0] == {"A": value, "B": "1"}


def test_env_files_lie_under_env_and_are_no_templates(tmp_path: Path) -> None:
    write(tmp_path / "a.env", "A=1\nB=100%i\nC=1\n")
    write(tmp_path / "b.env", "C=2\n")
    [web, db] = configuration(
        tmp_path,
        f"""
        [defaults]
        env_file = "a.env"
        [service.web]
        command = "x"
        env_file = ["a.env", "{tmp_path}/b.env", "-none.env"]
        env = {{ A = "%i" }}
        [service.db]
        command = "x"
        """,
    ).services
    assert web.execution.env == (("A", "%i"), ("B", "100%%i"), ("C", "2"))
    assert db.execution.env == (("A", "1"), ("B", "100%%i"), ("C", "1"))


def test_the_order_of_variables_and_limits_is_no_difference(tmp_path: Path) -> None:
    write(tmp_path / "a.env", "B=1\nA=2\n")
    text = "[service.a]\ncommand = 'x'\nenv_file = 'a.env'\nenv = {{ {} }}\nlimits = {{ {} }}\n"
    one = configuration(tmp_path, text.format("C = 'c', A = 'a'", "nofile = 10, core = 0")).services
    other = configuration(tmp_path, text.format("A = 'a', C = 'c'", "core = 0, nofile = 10")).services
    assert one[0].execution == other[0].execution


def test_mistakes_in_env_files(tmp_path: Path) -> None:
    write(tmp_path / "a.env", "A=1\nB\n")
    (tmp_path / "dir").mkdir()
    text = "[defaults]\nenv_file = ['a.env', 'none.env', 'dir', '-dir']\n"
    text += "[service.a]\ncommand='x'\n[service.b]\ncommand='x'"
    assert mistakes(tmp_path, text) == [
        "T/a.env:2:1: expected NAME=VALUE",
        (
            "T/pidward.toml:2:22: defaults.env_file[1]: T/none.env: cannot be read: No such file or directory; "
            "put - before it if it may be missing"
        ),
        "T/pidward.toml:2:34: defaults.env_file[2]: T/dir: cannot be read: Is a directory",
    ]


def test_root_refuses_an_env_file_that_everybody_may_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a.env", "LD_PRELOAD=/tmp/x.so", 0o666)
    text = "[service.a]\ncommand = 'x'\nenv_file = 'a.env'"
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    [message] = mistakes(tmp_path, text)
    assert message.startswith("T/pidward.toml:3:12: service.a.env_file[0]: T/a.env: decides what runs as root")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert configuration(tmp_path, text).services[0].execution.env == (("LD_PRELOAD", "/tmp/x.so"),)


INCLUDE = "[pidward]\ninclude = ['conf.d/*.toml', 'more.toml']\n[service.first]\ncommand = 'x'\n"


def test_included_files_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = glob.glob
    monkeypatch.setattr(glob, "glob", lambda pattern: sorted(found(pattern), reverse=True))
    write(tmp_path / "conf.d" / "20.toml", "[service.c]\ncommand = 'c'\nenv_file = 'c.env'\n")
    write(tmp_path / "conf.d" / "c.env", "FROM=beside\n")
    write(tmp_path / "conf.d" / "10.toml", "[service.b]\ncommand = 'b'\n[group.g]\nmembers = ['first', 'c']\n")
    write(tmp_path / "conf.d" / "30.not", "nonsense")
    write(tmp_path / "more.toml", "[defaults]\nworkers = 3\n[service.d]\ncommand = 'd'\ndepends_on = ['b']\n")
    whole = configuration(tmp_path, INCLUDE)
    assert [(s.name, s.workers) for s in whole.services] == [("first", 3), ("b", 3), ("c", 3), ("d", 3)]
    assert [group.name for group in whole.groups] == ["g"]
    assert [s.group for s in whole.services] == ["g", None, "g", None]
    assert [s.origin.replace(str(tmp_path), "T") for s in whole.services] == [
        "T/pidward.toml:4:11", "T/conf.d/10.toml:2:11", "T/conf.d/20.toml:2:11", "T/more.toml:4:11",
    ]  # fmt: skip
    assert whole.services[2].execution.env == (("FROM", "beside"),)
    assert whole.path == str(tmp_path / "pidward.toml")


def test_nothing_to_include_is_no_mistake_but_a_missing_file_is(tmp_path: Path) -> None:
    assert mistakes(tmp_path, INCLUDE) == [
        "T/pidward.toml:2:29: pidward.include[1]: T/more.toml: cannot be read: No such file or directory"
    ]
    assert len(configuration(tmp_path, INCLUDE.replace("'more.toml'", "")).services) == 1


def test_mistakes_in_included_files_have_their_place(tmp_path: Path) -> None:
    write(tmp_path / "conf.d" / "a.toml", "[service.first]\ncommand = 'x'\n[service.a]\ncomand = 'x'\n")
    write(tmp_path / "conf.d" / "b.toml", "[service.b]\ncommand = 'x'\nworkers = 'two'\n[pidward]\nhistory = '1d'\n")
    write(tmp_path / "conf.d" / "c.toml", "[service.c\n")
    write(tmp_path / "conf.d" / "d.toml", "[group.g]\nparent = 'h'\n[servic.x]\n")
    write(tmp_path / "conf.d" / "e.toml", "service = 1\n")
    write(tmp_path / "more.toml", "[service.d]\ncommand = 'x'\ndepends_on = ['x']\nrestart.delay = '2min'\n")
    assert mistakes(tmp_path, INCLUDE) == [
        "T/conf.d/a.toml:1:10: service.first: is already at T/pidward.toml:3:10",
        "T/conf.d/a.toml:3:10: service.a: a service needs a command",
        "T/conf.d/a.toml:4:1: service.a.comand: unknown key; did you mean 'command'?",
        "T/conf.d/b.toml:3:11: service.b.workers: expected a whole number, got the string 'two'",
        "T/conf.d/b.toml:4:2: pidward: belongs in T/pidward.toml; an included file has services, groups and defaults",
        "T/conf.d/c.toml:1:11: expected ] here; a name with other characters than A-Z, a-z, 0-9, - and _ is in quotes",
        "T/conf.d/d.toml:2:10: group.g.parent: there is no group 'h'",
        "T/conf.d/d.toml:3:2: servic: unknown key; did you mean 'service'?",
        "T/conf.d/e.toml:1:11: service: expected a table, got the number 1",
        "T/more.toml:3:15: service.d.depends_on[0]: there is no service 'x'",
        "T/more.toml:4:17: service.d.restart.delay: delay 2min is longer than max_delay 1min",
    ]


def test_defaults_stand_in_one_file(tmp_path: Path) -> None:
    write(tmp_path / "conf.d" / "a.toml", "[defaults]\nworkers = 2\n")
    write(tmp_path / "conf.d" / "b.toml", "[defaults]\nworkers = 3\n")
    write(tmp_path / "more.toml", "")
    assert mistakes(tmp_path, INCLUDE) == ["T/conf.d/b.toml:1:2: defaults: is already at T/conf.d/a.toml:1:2"]


def test_a_file_is_read_once_and_never_itself(tmp_path: Path) -> None:
    write(tmp_path / "more.toml", "[service.a]\ncommand = 'x'\n")
    text = "[pidward]\ninclude = ['more.toml', './m*.toml']\n"
    assert [s.name for s in configuration(tmp_path, text).services] == ["a"]
    assert mistakes(tmp_path, "[pidward]\ninclude = '*.toml'\n") == [
        "T/pidward.toml:2:11: pidward.include[0]: includes the file itself"
    ]


def test_included_files_have_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(including, "MAX_INCLUDED", 2)
    for name in ("a", "b", "c"):
        write(tmp_path / "conf.d" / f"{name}.toml", "")
    assert mistakes(tmp_path, "[pidward]\ninclude = 'conf.d/*'") == [
        "T/pidward.toml:2:11: pidward.include[0]: at most 2 files may be included"
    ]


def test_root_refuses_an_included_file_that_everybody_may_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "more.toml", "", 0o666)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    [message] = mistakes(tmp_path, INCLUDE)
    assert message.startswith(
        "T/pidward.toml:2:29: pidward.include[1]: T/more.toml: decides what runs as root, and everybody may write it"
    )
