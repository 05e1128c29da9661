"""The promises of the core, kept against anything that may happen in any order."""

from random import Random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from .world import World

WALKS, STEPS = 200, 5_000


@pytest.mark.parametrize("part", range(4))
def test_a_million_random_events(part: int):
    """WALKS lives of at least STEPS events each, over four parts: 1,000,000 events."""
    events = 0
    for seed in range(part, WALKS, 4):
        random, walked = Random(seed), 0
        while walked < STEPS:
            world = World(random)
            while walked + world.events < STEPS and not world.finished:
                world.step()
                world.check_none_forgotten()
            walked += world.events
            end(world)
        events += walked
    assert events >= WALKS * STEPS // 4


def end(world: World) -> None:
    """A shutdown must lead to the end, however the world behaves."""
    if not world.finished:
        world.shutdown()
    for _ in range(20_000):
        if world.finished:
            return
        world.random.choice([world.answer, world.die, world.emptied, world.sleep, world.start])()
        world.check_none_forgotten()
    raise AssertionError(f"did not end: {world.core.workers}")


class Machine(RuleBasedStateMachine):
    """The same world, led by hypothesis, which shrinks what it finds."""

    @initialize(seed=st.integers(0, 10_000))
    def begin(self, seed: int) -> None:
        self.world = World(Random(seed))

    @rule(n=st.integers(0, 20), seed=st.integers(0, 10_000))
    def happen(self, n: int, seed: int) -> None:
        self.world.random.seed(seed)
        self.world.steps[n]()

    @precondition(lambda self: not self.world.ending)
    @rule(seed=st.integers(0, 10_000))
    def reload(self, seed: int) -> None:
        self.world.random.seed(seed)
        self.world.reload()

    @rule(seed=st.integers(0, 10_000))
    def scale(self, seed: int) -> None:
        self.world.random.seed(seed)
        self.world.scale()

    @precondition(lambda self: not self.world.ending)
    @rule()
    def shutdown(self) -> None:
        self.world.shutdown()

    @precondition(lambda self: self.world.ending)
    @rule()
    def hurry(self) -> None:
        self.world.shutdown(at_once=True)

    @invariant()
    def none_forgotten(self) -> None:
        if hasattr(self, "world"):
            self.world.check_none_forgotten()


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
