"""The page about the configuration is what the schema says, and its examples are valid."""

import re
from pathlib import Path

import pytest

from pidward.config import document, probes, schema
from pidward.config.load import parse
from pidward.config.nodes import Array, Key, Named, Table
from pidward.config.positions import Positions
from pidward.config.reading import INVALID, Report, read
from pidward.core import spec
from pidward.core.capabilities import CAPABILITIES

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"


def tables(table: Table) -> list[Table]:
    """A table and all that are in it, each once."""
    found = [table]
    for key in table.keys.values():
        node = key.of.item if isinstance(key.of, Array) else key.of.of if isinstance(key.of, Named) else key.of
        if isinstance(node, Table):
            found += [inner for inner in tables(node) if inner not in found]
    return found


EVERY = [
    pytest.param(table, key, id=f"{number}-{key.name}")
    for number, table in enumerate(tables(schema.ROOT)[1:])
    for key in table.keys.values()
]


def test_the_page_is_fresh() -> None:
    text = PAGE.read_text()
    assert document.refresh(text) == text, "run: python -m pidward.config.document docs/configuration.md"


def test_a_page_without_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="no lines"):
        document.refresh("# Configuration\n")


@pytest.mark.parametrize("text", re.findall(r"```toml\n(.*?)```", PAGE.read_text(), re.DOTALL))
def test_examples_on_the_page_are_valid(text: str) -> None:
    parse(text, "docs/configuration.md")


@pytest.mark.parametrize("table, key", EVERY)
def test_every_key_is_described_and_its_example_valid(table: Table, key: Key) -> None:
    import tomllib

    assert key.about
    text = f"key = {key.example}"
    value = read(key.of, tomllib.loads(text)["key"], ("key",), Report("f", Positions(text)))
    assert value is not INVALID


@pytest.mark.parametrize("table, key", EVERY)
def test_a_default_as_printed_reads_as_the_default(table: Table, key: Key) -> None:
    import tomllib

    default = table.default(key)
    if isinstance(key.of, Table | Named) or default in (None, (), ""):
        return
    text = f"key = {key.of.show(default)}"
    assert read(key.of, tomllib.loads(text)["key"], ("key",), Report("f", Positions(text))) == default


def test_every_field_of_the_specification_has_its_key() -> None:
    def named(table: Table) -> set[str]:
        return {key.field or key.name for key in table.keys.values()}

    def have(of: type) -> set[str]:
        return set(of._fields)  # type: ignore[attr-defined]

    assert named(schema.PIDWARD) == have(spec.Settings) | {"include"}
    assert named(schema.RESTART) == have(spec.RestartPolicy)
    assert named(schema.STOP) == have(spec.StopPolicy)
    assert named(schema.LOGS) == have(spec.LogPolicy)
    assert named(schema.RELOAD) == have(spec.ReloadPolicy)
    assert named(schema.SCHEDULE) == have(spec.Schedule)
    assert named(schema.RESOURCES) == have(spec.Resources)
    assert named(schema.SECURITY) == have(spec.Security)
    assert named(schema.SOCKET) == have(spec.SocketSpec) - {"kind", "port"}
    assert named(schema.GROUP) == have(spec.GroupSpec) - {"name"} | {"members"}
    how_often = have(spec.Probe) - {"kind", "target", "command", "after"}
    assert named(probes.ALIVE) == {*probes.REPEATED_KINDS} | how_often
    assert named(probes.READY) == {*probes.KINDS} | how_often | {"ready_timeout"}
    internal = {"name", "execution", "origin", "origins", "ready_timeout"}
    wanted = have(spec.Execution) | have(spec.ServiceSpec) - internal | {"strategy", "env_file"}
    assert named(schema.SERVICE) == wanted


def test_every_kind_of_probe_has_its_key() -> None:
    assert {kind.value for kind in spec.ProbeKind} == {*probes.KINDS} - {"httpGet", "tcpSocket"}


def test_capabilities_are_those_of_the_system() -> None:
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    assert len(CAPABILITIES) == max(last, 40) + 1  # 40 since Linux 5.9
    assert CAPABILITIES.index("net_admin") == 12


def test_limits_are_those_of_the_system() -> None:
    import resource

    known = {name.removeprefix("RLIMIT_").lower() for name in dir(resource) if name.startswith("RLIMIT_")} - {"ofile"}
    assert known <= schema.LIMITS.keys.keys()
    assert schema.LIMITS.keys.keys() - known <= {"locks"}  # Python has no name for it
