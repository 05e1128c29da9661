"""Facts are what typing.NamedTuple would make of them."""

import copy
import pickle
import typing

import pytest

from pidward.core import lean


class Point(lean.NamedTuple):
    """Two numbers."""

    x: int
    y: int = 7

    @property
    def sum(self) -> int:
        return self.x + self.y


class Nothing(lean.NamedTuple):
    """No fields at all."""


class Derived(Point):
    """With a method of its own."""

    def __str__(self) -> str:
        return "derived"


def reference() -> typing.Any:
    """The same class by typing."""
    return typing.NamedTuple("Point", [("x", int), ("y", int)])


def test_fields_defaults_and_methods() -> None:
    point = Point(1)
    assert (point.x, point.y, point.sum) == (1, 7, 8)
    assert point == (1, 7) == Point(y=7, x=1)
    assert Point._fields == Point.__match_args__ == ("x", "y")
    assert Point._field_defaults == {"y": 7}
    assert Point.__doc__ == "Two numbers."
    assert typing.get_type_hints(Point) == {"x": int, "y": int}
    assert Nothing() == ()


def test_it_behaves_as_typing_makes_it() -> None:
    ours, theirs = Point(1, 2), reference()(1, 2)
    assert repr(ours) == repr(theirs)
    assert ours._asdict() == theirs._asdict()
    assert tuple(ours._replace(y=3)) == tuple(theirs._replace(y=3)) == (1, 3)
    assert hash(ours) == hash(theirs)
    assert type(ours._replace(y=3)) is Point
    assert type(Point._make([1, 2])) is Point


def test_it_is_matched_copied_and_pickled() -> None:
    match Point(1, 2):
        case Point(x=1, y=y):
            assert y == 2
    assert copy.copy(Point(1, 2)) == copy.deepcopy(Point(1, 2)) == Point(1, 2)
    restored = pickle.loads(pickle.dumps(Point(1, 2)))
    assert type(restored) is Point
    assert restored == Point(1, 2)


@pytest.mark.parametrize("wrong", [(), (1, 2, 3)])
def test_wrong_arguments_are_refused_by_name(wrong: tuple[int, ...]) -> None:
    with pytest.raises(TypeError, match=r"Point\.__new__\(\)"):
        Point(*wrong)
    with pytest.raises(TypeError):
        Point._make(wrong)


def test_unknown_fields_are_refused() -> None:
    with pytest.raises(ValueError, match="'z'"):
        Point(1)._replace(z=1)  # type: ignore[call-arg]


def test_instances_are_immutable_and_as_small_as_a_tuple() -> None:
    with pytest.raises(AttributeError):
        Point(1).x = 2  # type: ignore[misc]
    with pytest.raises(AttributeError):
        Point(1).other = 2  # type: ignore[attr-defined]
    assert not hasattr(Point(1), "__dict__")


def test_a_derived_class_is_as_any() -> None:
    assert repr(Derived(1)) == "Derived(x=1, y=7)"
    assert str(Derived(1)) == "derived"
    assert type(Derived(1)._replace(x=2)) is Derived


def test_a_default_before_a_field_without_one_is_refused() -> None:
    with pytest.raises(TypeError, match="without a default"):
        exec("class Bad(NamedTuple):\n x: int = 1\n y: int", {"NamedTuple": lean.NamedTuple})


def test_the_words_of_annotations_can_be_evaluated() -> None:
    class Has(lean.Protocol):
        def take(self, what: lean.Any | None, how: lean.Literal["a", "b"] | int) -> lean.Self | None: ...

    assert set(Has.take.__annotations__) == {"what", "how", "return"}
    assert lean.cast("str", 3) == 3  # type: ignore[comparison-overlap]
    assert lean.NewType("Metres", float)(2.5) == 2.5
    with pytest.raises(AssertionError, match="unreachable"):
        lean.assert_never(3)  # type: ignore[arg-type]
