"""The parts of ``typing`` that a running supervisor needs, without ``typing``: its types are in lean.pyi.

``typing`` brings regular expressions with it, 0.8 MB that stay for months, and each ``typing.NamedTuple`` takes 6 KB,
most of it methods that are the same for all. Here facts share them. Type checkers see ``typing`` itself; the words that
mean something to them alone are empty classes here, so that annotations can be evaluated.
"""

from _collections import _tuplegetter as _field  # what collections.namedtuple uses

TYPE_CHECKING = False
_new = tuple.__new__
_names = {"__builtins__": {}, "_new": _new}


class _Maker(type):
    """Makes a class of what is written below ``NamedTuple``; classes derived from that one are as any."""

    def __new__(cls, name, bases, space):
        if not any(base.__class__ is cls and base.__name__ == "NamedTuple" for base in bases):
            return super().__new__(cls, name, bases, space)
        annotate = space.get("__annotate_func__")  # Python 3.14
        fields = tuple(annotate(1) if annotate else space.get("__annotations__", ()))
        defaults = {field: space[field] for field in fields if field in space}
        if tuple(defaults) != fields[len(fields) - len(defaults) :]:
            raise TypeError(f"{name}: a field without a default follows one that has a default")
        space.update((field, _field(place, None)) for place, field in enumerate(fields))
        taken, given = "".join(f", {field}" for field in fields), "".join(f"{field}, " for field in fields)
        space["__new__"] = new = eval(f"lambda _cls{taken}: _new(_cls, ({given}))", _names)  # noqa: S307 - only names
        new.__name__, new.__qualname__, new.__defaults__ = "__new__", f"{name}.__new__", tuple(defaults.values())
        space |= {"__slots__": (), "__match_args__": fields, "_fields": fields, "_field_defaults": defaults}
        return super().__new__(cls, name, bases, space)


class NamedTuple(tuple, metaclass=_Maker):
    """As ``typing.NamedTuple``: immutable, equal when the fields are."""

    __slots__ = ()

    @classmethod
    def _make(cls, iterable):
        return cls(*iterable)

    def _replace(self, /, **changes):
        result = _new(self.__class__, map(changes.pop, self._fields, self))
        if changes:
            raise ValueError(f"Got unexpected field names: {list(changes)!r}")
        return result

    def _asdict(self):
        return dict(zip(self._fields, self, strict=True))

    def __repr__(self):
        pairs = zip(self._fields, self, strict=True)
        return f"{self.__class__.__name__}({', '.join(f'{field}={value!r}' for field, value in pairs)})"

    def __getnewargs__(self):
        return tuple(self)


class Any:
    """Anything."""


class Self:
    """The class that it is written in."""


class NoReturn:
    """Never returns."""


class Protocol:
    """Whatever has these methods."""


class Literal:
    """One of these values."""

    def __class_getitem__(cls, _values):
        return cls


def NewType(_name, base):  # noqa: N802 - as in typing
    """Give a type another name: what it says is for type checkers, so it is the type itself."""
    return base


def cast(_type, value):
    """Have type checkers take it for another type."""
    return value


def assert_never(value):
    """Nobody comes here, as type checkers prove."""
    raise AssertionError(f"expected code to be unreachable, but got: {value!r}")
