"""The page about the configuration is what the schema says, and its examples are valid."""

import re
from pathlib import Path

import pytest

from pidward.config import document, schema
from pidward.config.load import parse
from pidward.config.nodes import Key, Named, Table
from pidward.config.positions import Positions
from pidward.config.reading import INVALID, Report, read
from pidward.core import spec

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"


def keys_of(table: Table) -> list[Key]:
    inner = [key.of for key in table.keys.values()]
    return [*table.keys.values(), *(key for node in inner if isinstance(node, Table) for key in keys_of(node))]


EVERY = keys_of(schema.PIDWARD) + keys_of(schema.SERVICE)


def test_the_page_is_fresh() -> None:
    text = PAGE.read_text()
    assert document.refresh(text) == text, "run: python -m pidward.config.document docs/configuration.md"


def test_a_page_without_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="no lines"):
        document.refresh("# Configuration\n")


@pytest.mark.parametrize("text", re.findall(r"```toml\n(.*?)```", PAGE.read_text(), re.DOTALL))
def test_examples_on_the_page_are_valid(text: str) -> None:
    parse(text, "docs/configuration.md")


@pytest.mark.parametrize("key", EVERY, ids=lambda key: key.name)
def test_every_key_is_described_and_its_example_valid(key: Key) -> None:
    import tomllib

    assert key.about
    text = f"key = {key.example}"
    value = read(key.of, tomllib.loads(text)["key"], ("key",), Report("f", Positions(text)))
    assert value is not INVALID


@pytest.mark.parametrize("key", EVERY, ids=lambda key: key.name)
def test_a_default_as_printed_reads_as_the_default(key: Key) -> None:
    import tomllib

    [table] = [table for table in tables(schema.ROOT) if table.keys.get(key.name) is key]
    default = table.default(key)
    if isinstance(key.of, Table | Named) or default in (None, ()):
        return
    text = f"key = {key.of.show(default)}"
    assert read(key.of, tomllib.loads(text)["key"], ("key",), Report("f", Positions(text))) == default


def tables(table: Table) -> list[Table]:
    found = [table]
    for key in table.keys.values():
        if isinstance(key.of, Table) and key.name != "defaults":
            found += tables(key.of)
        elif isinstance(key.of, Named) and isinstance(key.of.of, Table):
            found += tables(key.of.of)
    return found


def test_every_field_of_the_specification_has_its_key() -> None:
    def named(table: Table) -> set[str]:
        return {key.field or key.name for key in table.keys.values()}

    def have(of: type) -> set[str]:
        return set(of._fields)  # type: ignore[attr-defined]

    assert named(schema.PIDWARD) == have(spec.Settings)
    assert named(schema.RESTART) == have(spec.RestartPolicy)
    assert named(schema.STOP) == have(spec.StopPolicy)
    assert named(schema.LOGS) == have(spec.LogPolicy)
    assert named(schema.READY) == {"after"}
    wanted = have(spec.Execution) | have(spec.ServiceSpec) - {"name", "execution", "origin", "ready_after"} | {"ready"}
    assert named(schema.SERVICE) == wanted


def test_limits_are_those_of_the_system() -> None:
    import resource

    known = {name.removeprefix("RLIMIT_").lower() for name in dir(resource) if name.startswith("RLIMIT_")} - {"ofile"}
    assert known <= schema.LIMITS.keys.keys()
    assert schema.LIMITS.keys.keys() - known <= {"locks"}  # Python has no name for it
