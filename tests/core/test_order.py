"""Cycles, and the order of stopping."""

import pytest

from pidward.core.order import cycle_in, find_cycle, stop_order

from .script import service


@pytest.mark.parametrize(
    "edges, cycle",
    [
        ({}, ()),
        ({"a": ["b"], "b": ["c"], "c": []}, ()),
        ({"a": ["b", "c"], "b": ["d"], "c": ["d"], "d": []}, ()),
        ({"a": ["elsewhere"]}, ()),
        ({"a": ["a"]}, ("a", "a")),
        ({"a": ["b"], "b": ["c"], "c": ["b"]}, ("b", "c", "b")),
        ({"x": [], "a": ["x", "b"], "b": ["x", "a"]}, ("a", "b", "a")),
        ({"a": ["b"], "b": ["c"], "c": [], "d": ["c", "e"], "e": ["a", "d"]}, ("d", "e", "d")),
    ],
)
def test_cycles(edges: dict[str, list[str]], cycle: tuple[str, ...]):
    assert cycle_in(edges) == cycle


def test_a_cycle_of_services_and_a_chain_longer_than_the_stack():
    assert find_cycle([service("web", "db"), service("db", "web:started")]) == ("web", "db", "web")
    assert find_cycle([service(f"s{i}", f"s{i + 1}") for i in range(20_000)]) == ()


def test_without_dependencies_one_after_the_other_the_last_first():
    assert stop_order([service("a"), service("b", "elsewhere"), service("c")]) == [("c",), ("b",), ("a",)]


def test_with_dependencies_level_by_level():
    services = [
        service("db"),
        service("cache", "db"),
        service("lone"),
        service("web", "cache", "db"),
        service("job", "db"),
    ]
    assert stop_order(services) == [("job", "web", "lone"), ("cache",), ("db",)]


def test_a_level_is_as_late_as_its_last_dependent():
    services = [service("a"), service("b", "a"), service("c", "b", "a"), service("d", "a")]
    assert stop_order(services) == [("d", "c"), ("b",), ("a",)]


def test_a_dependency_that_is_named_twice_counts_once():
    assert stop_order([service("a"), service("b", "a:ready", "a:started")]) == [("b",), ("a",)]


def test_a_cycle_comes_last():
    assert stop_order([service("a", "b"), service("b", "a"), service("c", "a")]) == [("c",), ("b", "a")]
