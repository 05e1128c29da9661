"""Writes the tables of ``docs/configuration.md`` from the schema: ``python -m pidward.config.document FILE``.

The text around the tables is written by hand and stays as it is.
"""

import sys
from collections.abc import Iterator

from pidward.config.nodes import Key, Named, Table
from pidward.config.schema import EXECUTION_FIELDS, PIDWARD, SERVICE

BEGIN = "<!-- begin: written by python -m pidward.config.document -->"
END = "<!-- end -->"


def document() -> str:
    """Describe every key, in Markdown."""
    parts = ["## `[pidward]`", *_table_of(PIDWARD, ""), "## `[service.NAME]` and `[defaults]`", *_table_of(SERVICE, "")]
    for key in SERVICE.keys.values():
        if isinstance(key.of, Table):
            parts += [f"### `{key.name}`", f"{_sentence(key.about)} Changed: {_changed(key.name)}."]
            parts += _table_of(key.of, key.name)
    parts += ["## Every key in one example", f"```toml\n{example()}```"]
    return "\n\n".join(parts)


def example() -> str:
    """Write a configuration that uses every key; it is valid."""
    lines = ["[pidward]", *_assignments(PIDWARD), "", "[defaults]", 'restart = { max_delay = "1min" }', ""]
    lines += ["[service.web]", *_assignments(SERVICE)]
    for key in SERVICE.keys.values():
        if isinstance(key.of, Table):
            lines += ["", f"[service.web.{key.name}]", *_assignments(key.of)]
    return "\n".join(lines) + "\n"


def refresh(text: str) -> str:
    """Put the present description between the marks of a page; ValueError when it has none."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page has no lines {BEGIN!r} and {END!r}")
    return f"{before}{BEGIN}\n\n{document()}\n\n{END}{after}"


def _table_of(table: Table, parent: str) -> Iterator[str]:
    has_changed = table is SERVICE
    heads = ["key", "value", "default", *(["changed"] if has_changed else []), "meaning", "example"]
    rows = [heads, ["---"] * len(heads)]
    for key in table.keys.values():
        changed = [_changed(key.name)] if has_changed else []
        link = f"[`{key.name}`](#{key.name})" if isinstance(key.of, Table) else f"`{key.name}`"
        cells = [link, _value(key), _default(table, key), *changed, _sentence(key.about), f"`{key.example}`"]
        rows.append([cell.replace("|", "\\|") for cell in cells])
    yield "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _value(key: Key) -> str:
    return key.of.words + (", or a string" if isinstance(key.of, Table) and key.of.shorthand else "")


def _default(table: Table, key: Key) -> str:
    if isinstance(key.of, Table):
        return "see there"
    value = table.default(key)
    if isinstance(key.of, Named) or value in (None, ()):
        return key.unset
    return f"`{key.of.show(value)}`"


def _changed(name: str) -> str:
    return "new process" if name in EXECUTION_FIELDS else "in place"


def _sentence(about: str) -> str:
    return about[0].upper() + about[1:] + "."


def _assignments(table: Table) -> list[str]:
    return [f"{key.name} = {key.example}" for key in table.keys.values() if not isinstance(key.of, Table)]


def main() -> None:
    """Refresh the page that the command line names."""
    with open(sys.argv[1], "r+", encoding="utf-8") as file:
        text = refresh(file.read())
        file.seek(0)
        file.write(text)
        file.truncate()


if __name__ == "__main__":
    main()
