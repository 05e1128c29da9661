"""Reading in a process of its own gives what reading here gives."""

from pathlib import Path

import pytest

from pidward.config.apart import NotValid, pack, read, taken, unpack
from pidward.config.document import example as every_key
from pidward.config.errors import ConfigError
from pidward.config.load import load

FULL = """
[pidward]
history = "1h"
[defaults]
restart = { policy = "on-failure", never_on = [3, "SIGSEGV"], then = "stop-all" }
[service.web]
command = ["x", "%i"]
workers = 3
user = "www"
supplementary_groups = ["a"]
env = { A = "1" }
limits = { nofile = [1, 2], core = "infinity" }
stop = { signal = "SIGINT", grace = "3s", tree = "leave" }
logs = { mode = "none" }
ready = { after = "2s" }
[service.db]
command = "y"
"""


def test_what_comes_over_is_what_was_read(tmp_path: Path) -> None:
    file = tmp_path / "pidward.toml"
    file.write_text(FULL)
    here = load(str(file))
    apart = taken(read(str(file)), str(file))
    assert apart == here
    assert [type(service) for service in apart.services] == [type(service) for service in here.services]
    assert apart.services[0].restart.then is here.services[0].restart.then
    assert unpack(pack(here), {}) == here


def test_every_type_comes_over(tmp_path: Path) -> None:
    file = tmp_path / "pidward.toml"
    file.write_text(every_key())
    here = load(str(file))
    apart = taken(read(str(file)), str(file))
    assert types(apart) == types(here)
    assert apart == here


def types(value: object) -> object:
    """The types of all that is in a value: tuples of different types are equal when their fields are."""
    return type(value), [types(field) for field in value] if isinstance(value, tuple) else None


@pytest.mark.parametrize("text", ["[service.web]\ncomand = 'x'\nworkers = 'many'", "no toml", None])
def test_mistakes_come_over_as_they_are(tmp_path: Path, text: str | None) -> None:
    file = tmp_path / "pidward.toml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(ConfigError) as here:
        load(str(file))
    with pytest.raises(NotValid) as apart:
        taken(read(str(file)), str(file))
    assert str(apart.value) == str(here.value)


def test_no_answer_is_no_empty_configuration() -> None:
    with pytest.raises(NotValid, match="died"):
        taken(None, "pidward.toml")


def test_services_share_what_is_the_same(tmp_path: Path) -> None:
    file = tmp_path / "pidward.toml"
    tables = (
        f'[service.s{i}]\ncommand = ["sleep", "{i}"]\nlogs = {{ keep = 3 }}\nstop = {{ grace = {i} }}' for i in (1, 2)
    )
    file.write_text("\n".join(tables))
    one, two = taken(read(str(file)), str(file)).services
    shared = [field for field in one._fields if getattr(one, field) is getattr(two, field)]
    assert set(one._fields) - set(shared) == {"name", "execution", "stop", "origin", "origins"}
