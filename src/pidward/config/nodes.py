"""The grammar of the file: what may stand where. ``schema`` is written in it, ``reading`` follows it."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from pidward.config.values import Kind


class Array(NamedTuple):
    """A list of values of one kind.

    make: turns the parsed items into the form of the specification.
    split: turns a string into items, where one may stand for the whole array; ValueError if it cannot.
    at_least: fewer items are a mistake.
    """

    words: str
    item: Kind
    make: Callable[[Iterable[Any]], Any] = tuple
    split: Callable[[str], list[str]] | None = None
    at_least: int = 0

    def show(self, items: Iterable[Any]) -> str:
        """Print parsed items as people write them."""
        return "[" + ", ".join(self.item.show(item) for item in sorted(items)) + "]"


class Key(NamedTuple):
    """One key of a table.

    about: one line for the documentation.
    example: a value, in TOML.
    field: its name in the specification, where that is another one.
    unset: what happens without it, where the specification has no default or an empty one.
    """

    name: str
    of: "Node"
    about: str
    example: str
    field: str = ""
    unset: str = "none"


class Table(NamedTuple):
    """A table with known keys; any other key is a mistake.

    defaults: objects of the specification that have the keys' defaults as their fields.
    shorthand: the key that a bare string stands for, as in ``restart = "never"``.
    """

    keys: dict[str, Key]
    defaults: tuple[object, ...] = ()
    shorthand: str = ""
    words: str = "a table"

    def default(self, key: Key) -> Any:
        """Give the default of a key from the specification, None when it has none."""
        field = key.field or key.name
        return next((getattr(defaults, field) for defaults in self.defaults if hasattr(defaults, field)), None)


class Named(NamedTuple):
    """A table whose keys are names that the user chooses; ``check`` says with a ValueError what is wrong with one."""

    check: Callable[[str], None]
    of: "Node"
    words: str = "a table"


Node = Kind | Array | Table | Named


def table(*keys: Key, defaults: Iterable[object] = (), shorthand: str = "") -> Table:
    """Make a table of its keys."""
    return Table({key.name: key for key in keys}, tuple(defaults), shorthand)
