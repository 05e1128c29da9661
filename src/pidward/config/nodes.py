"""The grammar of the file: what may stand where. ``schema`` is written in it, ``reading`` follows it."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from pidward.config.values import Kind


class Array(NamedTuple):
    """A list of values of one kind, or of tables.

    make: turns the parsed items into the form of the specification.
    split: turns a string into items, where one may stand for the whole array; ValueError if it cannot.
    at_least: fewer items are a mistake.
    """

    words: str
    item: "Node"
    make: Callable[[Iterable[Any]], Any] = tuple
    split: Callable[[str], list[str]] | None = None
    at_least: int = 0

    def show(self, items: Iterable[Any]) -> str:
        """Print parsed items as people write them."""
        show = self.item.show if isinstance(self.item, Kind) else repr
        return "[" + ", ".join(show(item) for item in sorted(items)) + "]"


class Key(NamedTuple):
    """One key of a table.

    about: one line for the documentation.
    example: a value, in TOML.
    field: its name in the specification, where that is another one.
    unset: what happens without it, where the specification has no default or an empty one.
    aliases: what others call it; read as if it had its name.
    """

    name: str
    of: "Node"
    about: str
    example: str
    field: str = ""
    unset: str = "none"
    aliases: tuple[str, ...] = ()


class Table(NamedTuple):
    """A table with known keys; any other key is a mistake.

    defaults: objects of the specification that have the keys' defaults as their fields.
    shorthand: the key that a bare string stands for, as in ``restart = "never"``; a bare array, if it takes one.
    one_of: keys of which at most one may be set; one that a service sets replaces that of the defaults.
    needs: keys that must be set.
    aliases: names of keys that are other names for another.
    """

    keys: dict[str, Key]
    defaults: tuple[object, ...] = ()
    shorthand: str = ""
    words: str = "a table"
    one_of: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    aliases: dict[str, str] = {}  # noqa: RUF012 - never written to

    def default(self, key: Key) -> Any:
        """Give the default of a key from the specification, None when it has none."""
        field = key.field or key.name
        return next((getattr(defaults, field) for defaults in self.defaults if hasattr(defaults, field)), None)


class Named(NamedTuple):
    """A table whose keys are names that the user chooses; ``check`` says with a ValueError what is wrong with one.

    listed: what each name gets when there is only an array of them; without it, an array is a mistake.
    """

    check: Callable[[str], None]
    of: "Node"
    words: str = "a table"
    listed: str | None = None


Node = Kind | Array | Table | Named


def table(*keys: Key, defaults: Iterable[object] = (), **more: Any) -> Table:
    """Make a table of its keys; ``more`` are other fields of Table."""
    aliases = {alias: key.name for key in keys for alias in key.aliases}
    return Table({key.name: key for key in keys}, tuple(defaults), aliases=aliases, **more)
