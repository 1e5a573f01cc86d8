"""Left of, in front of, next to, between: regions of stated widths, in the frame of the table and of the viewer."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from vlagym.envs.errors import BadSpec, UnknownName
from vlagym.envs.frames import Pose, pose
from vlagym.envs.predicates import Check, WorldState, compile_predicate, rests_on_table
from vlagym.envs.predicates.relations import DIRECTIONS, FAR_M, NEXT_M, TABLE_FRAME, VIEWER_FRAME, Disc, margin_m
from vlagym.envs.types import EpisodeSpec, Predicate

APPLE, BOWL, CAN = "apple", "bowl_red", "can_red"
MARK = Disc(0.5, 0.0, 0.03)


def _margin(relation: str, x: float, y: float, *landmarks: Disc) -> float:
    return float(margin_m(relation, np.array(x), np.array(y), 0.02, landmarks or (MARK,)))


@pytest.fixture(scope="module")
def spec(lay_table: Callable[..., EpisodeSpec]) -> EpisodeSpec:
    """An apple, a bowl and a can."""
    return lay_table(props={APPLE: (0.4, 0.0), BOWL: (0.5, 0.0), CAN: (0.5, 0.3)})


def _state(at: tuple[float, float, float], touching: Sequence[str] = ("table",), held: Sequence[str] = (), speed_m_s: float = 0.0, **moved: Pose) -> WorldState:
    return WorldState(
        props={APPLE: pose(at), BOWL: pose((0.5, 0.0, 0.0)), CAN: pose((0.5, 0.3, 0.0))} | moved,
        held=frozenset(held),
        fixture_joints={},
        find_touching=lambda: frozenset(frozenset((APPLE, other)) for other in touching),
        ee_pos_world=np.array([0.4, 0.0, 0.4]),
        touched_by_robot=frozenset(),
        gripper_command=1.0,
        find_speed_m_s=lambda prop: speed_m_s,
    )


def _check(spec: EpisodeSpec, name: str, *args: str) -> Check:
    return compile_predicate(Predicate(name=name, args=args), spec)


def test_the_robots_left_is_plus_y_and_what_is_in_front_is_nearer_to_it() -> None:
    assert _margin("left_of", 0.5, 0.1) > 0 and _margin("right_of", 0.5, -0.1) > 0
    assert _margin("in_front_of", 0.4, 0.0) > 0 and _margin("behind", 0.6, 0.0) > 0


def test_the_viewer_sits_opposite_and_sees_it_all_the_other_way_round() -> None:
    for own, opposite in (("left_of", "right_of"), ("in_front_of", "behind")):
        for one, other in ((own, opposite), (opposite, own)):
            for x, y in ((0.5, 0.1), (0.5, -0.1), (0.4, 0.0), (0.6, 0.0)):
                assert _margin(f"viewer_{one}", x, y) == _margin(other, x, y)


@pytest.mark.parametrize("frame", [TABLE_FRAME, VIEWER_FRAME])
def test_the_four_directions_of_a_frame_do_not_overlap(frame: dict[str, tuple[float, float]]) -> None:
    for angle in np.linspace(0.0, 2 * np.pi, 73):
        x, y = 0.5 + 0.12 * np.cos(angle), 0.12 * np.sin(angle)
        assert sum(_margin(name, x, y) >= 0.0 for name in frame) <= 1


def test_a_region_ends_where_the_gap_between_the_outlines_is_too_wide() -> None:
    edge = 0.03 + 0.02 + FAR_M
    for name, (x, y) in DIRECTIONS.items():
        assert _margin(name, 0.5 + x * (edge - 0.001), y * (edge - 0.001)) > 0.0 > _margin(name, 0.5 + x * (edge + 0.001), y * (edge + 0.001))
    assert _margin("next_to", 0.5 - 0.05 - NEXT_M + 0.001, 0.0) > 0.0 > _margin("next_to", 0.5 - 0.05 - NEXT_M - 0.001, 0.0)


def test_between_is_the_middle_half_of_the_line_and_4_cm_to_either_side() -> None:
    ends = (Disc(0.5, -0.16, 0.03), Disc(0.5, 0.16, 0.03))
    assert _margin("between", 0.5, 0.0, *ends) == pytest.approx(0.04)
    assert _margin("between", 0.5, 0.079, *ends) > 0.0 > _margin("between", 0.5, 0.081, *ends)
    assert _margin("between", 0.539, 0.0, *ends) > 0.0 > _margin("between", 0.541, 0.0, *ends)


def test_a_thing_must_be_let_go_at_rest_and_on_the_table(spec: EpisodeSpec) -> None:
    left, place = _check(spec, "left_of", APPLE, BOWL), (0.5, 0.14, 0.0)
    assert left(_state(place))
    assert not left(_state(place, held=(APPLE,))) and not left(_state(place, ("table", "robot")))
    assert not left(_state(place, speed_m_s=0.05)), "it still rolls"
    assert not left(_state(place, ())), "it is in the air"
    assert not left(_state(place, ("table", BOWL))), "it leans on the bowl"


def test_bringing_the_landmark_to_the_thing_is_another_task(spec: EpisodeSpec) -> None:
    left, next_to, between = _check(spec, "left_of", APPLE, BOWL), _check(spec, "next_to", APPLE, BOWL), _check(spec, "between", APPLE, BOWL, CAN)
    moved = pose((0.4, -0.12, 0.0))
    assert not left(_state((0.4, 0.0, 0.0), bowl_red=moved)) and not next_to(_state((0.4, 0.0, 0.0), bowl_red=moved))
    assert left(_state((0.5, 0.14, 0.0), bowl_red=pose((0.5, -0.02, 0.0)))), "a landmark may be nudged"
    assert not left(_state((0.5, 0.14, 0.0), held=(BOWL,)))
    assert not between(_state((0.5, 0.15, 0.0), can_red=pose((0.5, 0.36, 0.0)))), "each landmark counts"


def test_between_takes_two_landmarks(spec: EpisodeSpec) -> None:
    assert _check(spec, "between", APPLE, BOWL, CAN)(_state((0.5, 0.15, 0.0)))
    with pytest.raises(BadSpec, match="speaks of 2 things; between takes 3"):
        _check(spec, "between", APPLE, BOWL)


def test_an_unknown_relation_and_an_unknown_landmark_are_answered_with_the_near_names(spec: EpisodeSpec) -> None:
    with pytest.raises(UnknownName, match="no predicate is called 'left_off'. Did you mean left_of"):
        _check(spec, "left_off", APPLE, BOWL)
    with pytest.raises(UnknownName, match="no prop of the scene is called 'bowl'.*bowl_red"):
        _check(spec, "left_of", APPLE, "bowl")


def test_setting_a_thing_down_on_the_table_is_wanted_where_a_relation_is() -> None:
    assert rests_on_table([Predicate(name="behind", args=(APPLE, BOWL))]) and rests_on_table([Predicate(name="upright", args=(CAN,))])
    assert not rests_on_table([Predicate(name="inside", args=(APPLE, BOWL))])
