"""Beads lie side by side on the floor of a cup, and belong to it."""

from __future__ import annotations

import itertools
import math

import pytest

from vlagym.envs.layouts import beads
from vlagym.envs.errors import BadSpec
from vlagym.envs.sampling import sample
from vlagym.envs.task import Draft
from vlagym.envs.types import EpisodeSpec, stream
from vlagym.envs.world import World


@pytest.fixture(scope="module")
def pour() -> EpisodeSpec:
    return sample("pour", seed=5)


@pytest.mark.parametrize("count", range(1, 13))
def test_so_many_beads_lie_beside_each_other(count: int) -> None:
    spots = beads.spots(0.021, 0.0048, count)
    assert len(spots) == count
    assert all(math.hypot(*spot) + 0.0048 <= 0.021 for spot in spots)
    assert all(math.dist(a, b) >= 2 * 0.0048 for a, b in itertools.combinations(spots, 2))


def test_more_beads_than_fit_are_refused() -> None:
    with pytest.raises(BadSpec, match=r"40 beads of radius 0.0048 m do not lie beside each other within 0.021 m; \d+ do"):
        beads.spots(0.021, 0.0048, 40)


def test_what_has_no_floor_is_not_filled() -> None:
    draft = Draft(stream(0, "x"), "seen")
    draft.put_at("apple", 0.5, 0.0, 0.0)
    with pytest.raises(BadSpec, match=r"nothing can lie in 'apple': the file of 'apple' has no \[place\]"):
        beads.fill(draft, "apple", 8)


def test_beads_belong_to_their_cup_and_are_not_named(pour: EpisodeSpec) -> None:
    cup, bowl = pour.goal[0].args
    assert pour.named == (cup, bowl)
    assert pour.contents(cup) == tuple(f"{cup}_bead_{i}" for i in range(1, len(pour.contents(cup)) + 1))
    assert set(pour.concerned) == {cup, bowl, *pour.contents(cup)}
    assert "bead" not in pour.named[0]


def test_they_are_at_rest_when_the_episode_begins(pour: EpisodeSpec) -> None:
    world = World(render=False)
    facts = world.start(pour)
    for prop, pos in zip(pour.scene.props, facts.prop_pos_world_m, strict=True):
        assert math.dist(prop.pos_world, pos) < 0.002, prop.name
    assert not facts.goal_met.any()
    world.close()
