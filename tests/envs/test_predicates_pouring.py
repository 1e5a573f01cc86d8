"""Poured: how many beads must lie in the bowl, and what lying in it means."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from vlagym.envs.errors import BadSpec, UnknownName
from vlagym.envs.frames import Pose, from_axis_angle, pose
from vlagym.envs.predicates import WorldState, compile_predicate
from vlagym.envs.types import EpisodeSpec, Predicate

CUP, BOWL, BEADS = "cup_red", "bowl_white", 10


@pytest.fixture(scope="module")
def spec(lay_table: Callable[..., EpisodeSpec]) -> EpisodeSpec:
    """A cup with ten beads, an empty one, a bowl, an apple."""
    import dataclasses

    laid = lay_table(props={CUP: (0.4, 0.0), "cup_blue": (0.4, 0.2), BOWL: (0.6, 0.0), "apple": (0.5, 0.2), "bead_red": (0.4, 0.0)})
    *others, bead = laid.scene.props
    filled = (*others, *(dataclasses.replace(bead, name=f"{CUP}_bead_{i}", content_of=CUP) for i in range(1, BEADS + 1)))
    return dataclasses.replace(laid, scene=dataclasses.replace(laid.scene, props=filled))


def _poured(spec: EpisodeSpec, num_in_bowl: int, at: tuple[float, float, float] = (0.6, 0.03, 0.006), **moved: Pose) -> bool:
    props = {p.name: pose(p.pos_world) for p in spec.scene.props} | moved
    props |= {f"{CUP}_bead_{i}": pose(at) for i in range(1, num_in_bowl + 1)}
    state = WorldState(
        props=props,
        held=frozenset({CUP}),
        fixture_joints={},
        find_touching=frozenset,
        ee_pos_world=np.zeros(3),
        touched_by_robot=frozenset(),
        gripper_command=1.0,
        find_speed_m_s=lambda prop: 0.0,
    )
    return compile_predicate(Predicate(name="poured", args=(CUP, BOWL)), spec)(state)


def test_four_fifths_of_the_beads_are_enough(spec: EpisodeSpec) -> None:
    assert [_poured(spec, n) for n in (0, 7, 8, 10)] == [False, False, True, True]


@pytest.mark.parametrize("at", [(0.6, 0.1, 0.006), (0.6, 0.0, 0.06), (0.6, 0.0, -0.01)])
def test_a_bead_beside_or_above_the_bowl_or_below_it_is_not_in_it(spec: EpisodeSpec, at: tuple[float, float, float]) -> None:
    assert not _poured(spec, 10, at)


def test_a_full_cup_set_down_in_the_bowl_is_not_poured(spec: EpisodeSpec) -> None:
    assert _poured(spec, 10, (0.6, 0.0, 0.0116)), "the cup stands elsewhere"
    assert not _poured(spec, 10, (0.6, 0.0, 0.0116), cup_red=pose((0.6, 0.0, 0.006)))


def test_beads_under_the_rim_outside_are_not_in_the_bowl(spec: EpisodeSpec) -> None:
    assert not _poured(spec, 10, (0.675, 0.0, 0.0048)) and not _poured(spec, 10, (0.675, 0.0, 0.01))
    assert _poured(spec, 10, (0.665, 0.0, 0.03)), "higher up the wall is wider"


def test_nothing_is_poured_into_an_upturned_bowl(spec: EpisodeSpec) -> None:
    upturned = Pose(np.array([0.6, 0.0, 0.042]), from_axis_angle((np.pi, 0.0, 0.0)))
    assert not _poured(spec, 10, (0.6, 0.0, 0.01), bowl_white=upturned)


def test_an_empty_cup_cannot_be_poured(spec: EpisodeSpec) -> None:
    with pytest.raises(BadSpec, match=r"nothing can be poured out of 'cup_blue': no prop of the scene is its content"):
        compile_predicate(Predicate(name="poured", args=("cup_blue", BOWL)), spec)


def test_nothing_is_poured_into_an_apple(spec: EpisodeSpec) -> None:
    with pytest.raises(BadSpec, match=r"nothing can be poured into 'apple': 'apple' holds nothing"):
        compile_predicate(Predicate(name="poured", args=(CUP, "apple")), spec)


def test_an_unknown_cup_is_answered_with_the_near_names(spec: EpisodeSpec) -> None:
    with pytest.raises(UnknownName, match=r"'cup_rd'.*cup_red"):
        compile_predicate(Predicate(name="poured", args=("cup_rd", BOWL)), spec)
