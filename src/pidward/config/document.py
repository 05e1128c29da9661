"""Writes the tables of ``docs/configuration.md`` from the schema: ``python -m pidward.config.document FILE``.

The text around the tables is written by hand and stays as it is.
"""

import sys
from collections.abc import Iterator

from pidward.config.nodes import Array, Key, Named, Table
from pidward.config.schema import GROUP, PIDWARD, SERVICE
from pidward.core.change import EFFECTS, Consequence

BEGIN = "<!-- begin: written by python -m pidward.config.document -->"
END = "<!-- end -->"

_TYPE_OF = {"schedule": "oneshot", "pid_file": "forking"}
"""Keys that only services of another type have."""


def document() -> str:
    """Describe every key, in Markdown."""
    parts = ["## `[pidward]`", *_table_of(PIDWARD), "## `[group.NAME]`", *_table_of(GROUP)]
    parts += ["## `[service.NAME]` and `[defaults]`", *_table_of(SERVICE)]
    for key in SERVICE.keys.values():
        table = _inner(key)
        if table is not None:
            parts += [f"### `{key.name}`", f"{_sentence(key.about)} When changed: {_changed(key.name)}."]
            parts += _table_of(table)
    parts += ["## Every key in one example", f"```toml\n{example()}```"]
    return "\n\n".join(parts)


def example() -> str:
    """Write a configuration that uses every key; it is valid. What excludes each other is in services of its own."""
    lines = ["[pidward]", *_assignments(PIDWARD), "", "[defaults]", 'restart = { max_delay = "1min" }', ""]
    lines += ["[group.app]", 'then = "stop-all"', "", "[group.backend]", *_assignments(GROUP), ""]
    lines += ["[service.db]", 'command = "postgres -D /srv/db"', ""]
    lines += ["[service.migrate]", 'command = "alembic upgrade head"', 'type = "oneshot"', ""]
    tables = {key.name: key.of for key in SERVICE.keys.values() if isinstance(key.of, Table)}
    plain = [key for key in SERVICE.keys.values() if key.name not in tables and key.name not in _TYPE_OF]
    lines += ["[service.web]", *(f"{key.name} = {key.example}" for key in plain)]
    for name, table in tables.items():
        if name not in _TYPE_OF:
            lines += ["", f"[service.web.{name}]", *_assignments(table)]
    lines += ["", "[service.daemon]", 'command = "nginx"', f"pid_file = {SERVICE.keys['pid_file'].example}"]
    lines += ['type = "forking"', "", "[service.cleanup]", 'command = "cleanup"', 'type = "oneshot"']
    lines += ["", "[service.cleanup.schedule]", *_assignments(tables["schedule"])]
    for name, table in tables.items():
        for rival in table.one_of[1:]:
            of_type = [f'type = "{_TYPE_OF[name]}"'] if name in _TYPE_OF else []
            lines += ["", f"[service.{name}-{rival}]", 'command = "x"', *of_type]
            lines += [f"{name}.{rival} = {table.keys[rival].example}"]
    return "\n".join(lines) + "\n"


def refresh(text: str) -> str:
    """Put the present description between the marks of a page; ValueError when it has none."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page has no lines {BEGIN!r} and {END!r}")
    return f"{before}{BEGIN}\n\n{document()}\n\n{END}{after}"


def _inner(key: Key) -> Table | None:
    """The table that a key has, or its elements."""
    node = key.of.item if isinstance(key.of, Array) else key.of
    return node if isinstance(node, Table) else None


def _table_of(table: Table) -> Iterator[str]:
    is_service = table is SERVICE
    heads = ["key", "value", "default", *(["changed"] if is_service else []), "meaning", "example"]
    rows = [heads, ["---"] * len(heads)]
    for key in table.keys.values():
        names = ", ".join(f"`{name}`" for name in (key.name, *key.aliases))
        link = f"[{names}](#{key.name})" if is_service and _inner(key) else names
        changed = [_changed(key.name)] if is_service else []
        cells = [link, _value(key, is_service), _default(table, key), *changed, _sentence(key.about)]
        rows.append([cell.replace("|", "\\|") for cell in (*cells, f"`{key.example}`")])
    yield "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _value(key: Key, is_service: bool) -> str:
    if not isinstance(key.of, Table) or (key.of.shorthand and not is_service):
        return key.of.words
    if is_service:
        return key.of.words + (", or a string" if key.of.shorthand and key.of.words == "a table" else "")
    return f"a table of {', '.join(f'`{name}`' for name in key.of.keys)}"


def _default(table: Table, key: Key) -> str:
    if isinstance(key.of, Table):
        return "see there" if table is SERVICE else "none"
    value = table.default(key)
    if isinstance(key.of, Named) or value in (None, (), ""):
        return key.unset
    return f"`{key.of.show(value)}`"


def _changed(name: str) -> str:
    """What a change of a key asks for, by ``core.change``. ``group`` is a field of both."""
    if name == "group":
        return "new process; in place for a group of services"
    if name == "sockets":
        return "new process; in place: backlog, and mode, user and group of a path"
    effect = EFFECTS[{"env_file": "env", "strategy": "restart"}.get(name, name)]
    if effect.consequence is Consequence.RESTART:
        return "new process"
    return f"in place: {effect.adopted or 'only the difference is started or stopped'}"


def _sentence(about: str) -> str:
    return about[0].upper() + about[1:] + "."


def _assignments(table: Table) -> list[str]:
    """Give each key its example; of those that exclude each other the first."""
    return [f"{key.name} = {key.example}" for key in table.keys.values() if key.name not in table.one_of[1:]]


def main() -> None:
    """Refresh the page that the command line names."""
    with open(sys.argv[1], "r+", encoding="utf-8") as file:
        text = refresh(file.read())
        file.seek(0)
        file.write(text)
        file.truncate()


if __name__ == "__main__":
    main()
