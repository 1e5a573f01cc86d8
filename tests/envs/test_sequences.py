"""Sequences: every recipe comes as often as it should, with two to five steps, and what must hold in the end is what no later step undoes."""

from collections import Counter

import pytest

from vlagym.envs.errors import UnknownName
from vlagym.envs.layouts.steps import ordered
from vlagym.envs.sampling import sample
from vlagym.envs.types import Predicate

OPEN, PUT, SHUT = Predicate(name="open", args=("c/d",)), Predicate(name="in_drawer", args=("a", "c/d")), Predicate(name="closed", args=("c/d",))
PRESS, OTHER = Predicate(name="pressed", args=("p/x",)), Predicate(name="pressed", args=("p/y",))


def test_the_goal_of_a_sequence_is_what_no_later_step_undoes() -> None:
    goal = ordered(OPEN, PUT, SHUT)
    assert goal.conditions == (PUT, SHUT) and goal.steps == ((OPEN,), (PUT,), (SHUT,)) and goal.stages == (OPEN, PUT, SHUT)
    assert ordered(OPEN, PUT).conditions == (OPEN, PUT)
    assert ordered(PRESS, OTHER).conditions == (OTHER,)
    assert ordered(PUT, PRESS, OPEN).stages == (PUT, PRESS, OPEN, PUT, OPEN)  # the goal stands at the end, once more where it must


def test_a_step_that_nobody_knows_how_to_do_is_refused() -> None:
    with pytest.raises(UnknownName, match="no way to do a step is called 'dance'"):
        ordered(OPEN, Predicate(name="dance", args=()))


@pytest.mark.slow
@pytest.mark.parametrize("objects", ["seen", "unseen"])
def test_every_recipe_and_every_number_of_steps_occurs(objects: str) -> None:
    episodes = [sample("sequence", seed=seed, objects=objects) for seed in range(860_000, 860_100)]
    names = [frozenset(p.name for step in e.steps for p in step) for e in episodes]
    drawers = sum("in_drawer" in found for found in names)
    buttons = sum(found == {"pressed"} for found in names)
    mixed = sum("pressed" in found and len(found) > 1 for found in names)
    placings = sum(found <= {"on", "inside"} for found in names)
    assert drawers + buttons + mixed + placings == 100
    assert drawers >= 25 and min(buttons, mixed, placings) >= 8, (drawers, buttons, mixed, placings)
    assert set(Counter(len(e.steps) for e in episodes)) == {2, 3, 4, 5}
