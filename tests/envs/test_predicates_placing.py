"""On, inside, stacked, upright: what they say of states that are written by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np
import pytest

from vlagym.envs.errors import BadSpec
from vlagym.envs.frames import Pose, from_axis_angle, pose
from vlagym.envs.predicates import Check, WorldState, compile_predicate
from vlagym.envs.types import EpisodeSpec, Predicate

APPLE, PLUM, BOWL, RED, BLUE, CAN = "apple", "plum", "bowl_red", "block_red", "block_blue", "can_red"
ORIGIN = pose((0.5, 0.0, 0.0))


@pytest.fixture(scope="module")
def spec(lay_table: Callable[..., EpisodeSpec]) -> EpisodeSpec:
    """A bowl, two pieces of fruit, two blocks, a can."""
    places = {BOWL: (0.5, 0.0), APPLE: (0.4, 0.2), PLUM: (0.4, -0.2), RED: (0.6, 0.2), BLUE: (0.6, -0.2), CAN: (0.4, 0.0)}
    return lay_table(props=places)


def _state(
    poses: Mapping[str, Pose], touching: Iterable[tuple[str, str]] = (), held: Iterable[str] = (), speed_m_s: float = 0.0
) -> WorldState:
    pairs = frozenset(frozenset(pair) for pair in touching)
    return WorldState(
        props={name: ORIGIN for name in (APPLE, PLUM, BOWL, RED, BLUE, CAN)} | dict(poses),
        held=frozenset(held),
        fixture_joints={},
        find_touching=lambda: pairs,
        ee_pos_world=np.array([0.4, 0.0, 0.4]),
        touched_by_robot=frozenset(),
        gripper_command=1.0,
        find_speed_m_s=lambda prop: speed_m_s,
    )


def _check(spec: EpisodeSpec, name: str, *args: str) -> Check:
    return compile_predicate(Predicate(name=name, args=args), spec)


def test_what_lies_on_another_fruit_in_the_bowl_is_inside_as_well(spec: EpisodeSpec) -> None:
    inside = _check(spec, "inside", PLUM, BOWL)
    lying = {PLUM: pose((0.52, 0.0, 0.03)), APPLE: pose((0.48, 0.0, 0.006))}
    assert inside(_state(lying, [(PLUM, BOWL)])) and inside(_state(lying, [(PLUM, APPLE), (APPLE, BOWL)]))
    assert not inside(_state(lying)), "nothing carries it"
    assert not inside(_state(lying, [(PLUM, "table")])), "it stands on the table under the bowl"
    assert not inside(_state(lying, [(PLUM, BOWL), (PLUM, "robot")])) and not inside(_state(lying, [(PLUM, BOWL)], held=[PLUM]))


def test_what_is_held_or_only_near_the_bowl_carries_nothing_inside_it(spec: EpisodeSpec) -> None:
    inside = _check(spec, "inside", PLUM, BOWL)
    lying = {PLUM: pose((0.52, 0.0, 0.03)), APPLE: pose((0.4, 0.2, 0.0))}
    assert not inside(_state(lying, [(PLUM, APPLE)])), "the apple that carries it lies elsewhere"
    assert not inside(_state(lying, [(PLUM, BOWL), (PLUM, APPLE)], held=[APPLE])), "it is held down or up with another thing in the hand"
    assert not inside(_state(lying, [(PLUM, BOWL)], held=[BOWL])), "the bowl is in the hand"
    upturned = {BOWL: Pose(np.array([0.5, 0.0, 0.04]), from_axis_angle((np.pi, 0.0, 0.0))), PLUM: pose((0.5, 0.0, 0.01))}
    assert not inside(_state(upturned, [(PLUM, BOWL)])), "the bowl was put over it"


def test_what_lies_on_another_fruit_on_the_bowl_is_on_it_as_well(spec: EpisodeSpec) -> None:
    on = _check(spec, "on", PLUM, BOWL)
    lying = {APPLE: pose((0.5, 0.0, 0.01)), PLUM: pose((0.52, 0.0, 0.05))}
    both = [(PLUM, APPLE), (APPLE, BOWL)]
    assert on(_state(lying, both)) and on(_state(lying, [(PLUM, BOWL)]))
    assert not on(_state(lying, [(PLUM, APPLE)])), "nothing carries the apple"
    assert not on(_state(lying, both, held=[APPLE])) and not on(_state(lying, [*both, (APPLE, "robot")]))
    assert not on(_state(lying, [*both, (PLUM, "table")])), "it leans on the apple"
    assert not on(_state(lying | {PLUM: pose((0.56, 0.0, 0.05))}, both)), "beyond the radius"


def test_stacked_asks_for_the_block_itself(spec: EpisodeSpec) -> None:
    between = {PLUM: pose((0.5, 0.0, 0.045)), RED: pose((0.5, 0.0, 0.08))}
    assert not _check(spec, "stacked", RED, BLUE)(_state(between, [(RED, PLUM), (PLUM, BLUE)]))


def test_inside_ends_at_the_wall_and_at_the_rim(spec: EpisodeSpec) -> None:
    inside = _check(spec, "inside", PLUM, BOWL)
    assert not inside(_state({PLUM: pose((0.56, 0.0, 0.03))}, [(PLUM, BOWL)]))
    assert not inside(_state({PLUM: pose((0.5, 0.0, 0.05))}, [(PLUM, BOWL)]))


def test_stacked_asks_that_both_stand(spec: EpisodeSpec) -> None:
    stacked, top = _check(spec, "stacked", RED, BLUE), pose((0.5, 0.0, 0.045))
    tipped = Pose(top.pos, from_axis_angle((0.5, 0.0, 0.0)))
    assert stacked(_state({RED: top}, [(RED, BLUE)]))
    assert not stacked(_state({RED: tipped}, [(RED, BLUE)]))


def test_upright_asks_that_a_thing_stands_let_go_and_at_rest(spec: EpisodeSpec) -> None:
    upright, ground = _check(spec, "upright", CAN), [(CAN, "table")]
    lying = Pose(np.array([0.5, 0.0, 0.025]), from_axis_angle((0.0, np.pi / 2, 0.0)))
    assert upright(_state({CAN: ORIGIN}, ground))
    assert not upright(_state({CAN: lying}, ground))
    assert not upright(_state({CAN: Pose(ORIGIN.pos, from_axis_angle((np.pi, 0.0, 0.0)))}, ground)), "it stands on its head"
    assert not upright(_state({CAN: ORIGIN}, [*ground, (CAN, "robot")])) and not upright(_state({CAN: ORIGIN}, ground, held=[CAN]))
    assert not upright(_state({CAN: ORIGIN}, ground, speed_m_s=0.1)) and not upright(_state({CAN: ORIGIN}))


def test_nothing_is_inside_what_holds_nothing(spec: EpisodeSpec) -> None:
    with pytest.raises(BadSpec, match="nothing can be put on 'apple': 'apple' is no support"):
        _check(spec, "inside", PLUM, APPLE)
