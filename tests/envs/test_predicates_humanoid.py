"""What two hands, a trunk and a base do: states and motions written by hand, and the cheats that the predicates see through."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

from vlagym.envs.errors import BadSpec, UnknownName
from vlagym.envs.frames import Array, Pose, from_axis_angle, from_yaw, look_at, pose
from vlagym.envs.outcome import EXCLUSIVE
from vlagym.envs.predicates import Check, WorldState, compile_predicate
from vlagym.envs.predicates.gestures import num_swings
from vlagym.envs.predicates.history import History
from vlagym.envs.types import EpisodeSpec, Predicate

MUG, CAN, BOWL, TRAY, APPLE, MAT = "mug_blue", "can_red", "bowl_red", "tray_red", "apple", "mat_green"
RATE_HZ = 20.0
HEAD = pose((0.0, 0.0, 0.45), look_at((0.0, 0.0, 0.45), (0.6, 0.0, 0.0)))
DOWN = from_axis_angle((0.0, np.pi, 0.0))
HOME = {"left": pose((0.3, 0.2, 0.15), DOWN), "right": pose((0.3, -0.2, 0.15), DOWN)}
PLACES = {MUG: (0.5, 0.2, 0.0), CAN: (0.5, -0.2, 0.0), BOWL: (0.6, 0.0, 0.0), TRAY: (0.9, 0.0, 0.0), APPLE: (0.4, 0.0, 0.0), MAT: (0.5, 0.5, 0.0)}


@pytest.fixture(scope="module")
def spec(lay_table: Callable[..., EpisodeSpec]) -> EpisodeSpec:
    """Things on a table before two arms."""
    laid = lay_table(props=PLACES, fixtures={"zone_red": (0.5, -0.5), "panel_black_three": (0.8, 0.4)})
    return dataclasses.replace(laid, robot="panda_bimanual")


def state_of(
    *,
    poses: Mapping[str, Pose] = MappingProxyType({}),
    touching: Iterable[tuple[str, str]] = (),
    held: Mapping[str, Sequence[str]] = MappingProxyType({}),
    touched: Mapping[str, Sequence[str]] = MappingProxyType({}),
    ever: Mapping[str, Sequence[str]] = MappingProxyType({}),
    arms: Mapping[str, Sequence[str]] = MappingProxyType({}),
    body: Sequence[str] = (),
    hands: Mapping[str, Pose] = HOME,
    head: Pose = HEAD,
    base: tuple[float, float, float] = (0.0, 0.0, 0.0),
    history: Mapping[str, Sequence[Array]] = MappingProxyType({}),
    speed_m_s: float = 0.0,
) -> WorldState:
    pairs = frozenset(frozenset(pair) for pair in touching)
    pressed = frozenset(name for names in (*touched.values(), body) for name in names)
    return WorldState(
        props={name: pose(at) for name, at in PLACES.items()} | dict(poses),
        held=frozenset(name for names in held.values() for name in names),
        fixture_joints={},
        find_touching=lambda: pairs,
        ee_pos_world=hands["left"].pos,
        touched_by_robot=pressed,
        gripper_command=1.0,
        find_speed_m_s=lambda prop: speed_m_s,
        hands=("left", "right"),
        held_by={side: frozenset(held.get(side, ())) for side in ("left", "right")},
        touched_by={side: frozenset(touched.get(side, ())) for side in ("left", "right")},
        touched_by_body=frozenset(body),
        ever_touched_by={side: frozenset(ever.get(side, ())) for side in ("left", "right")},
        ever_touched_by_arm={side: frozenset(arms.get(side, ())) for side in ("left", "right")},
        ee_poses=hands,
        base=base,
        head=head,
        history=history,
    )


def check_of(spec: EpisodeSpec, name: str, *args: str) -> Check:
    return compile_predicate(Predicate(name=name, args=args), spec)


def play(check: Check, motion: Sequence[Mapping[str, Any]]) -> list[bool]:
    """Returns what a predicate says after each control step of a motion: of hands, head and base, all else as at the start."""
    history, said = History(RATE_HZ), []
    for moment in motion:
        hands = {**HOME, **moment.get("hands", {})}
        head, base = moment.get("head", HEAD), moment.get("base", (0.0, 0.0, 0.0))
        history.note(ee_poses=hands, head=head, base=base)
        rest = {k: v for k, v in moment.items() if k not in ("hands", "head", "base")}
        said.append(check(state_of(hands=hands, head=head, base=base, history=history.columns, **rest)))
    return said


# ---------------------------------------------------------------------------------------------------------------- which hand
def test_by_hand_asks_that_no_other_hand_ever_touched_it(spec: EpisodeSpec) -> None:
    by_left = check_of(spec, "by_hand", MUG, "=left")
    assert by_left(state_of(ever={"left": [MUG]})) and by_left(state_of(ever={"left": [MUG], "right": [CAN]}))
    assert not by_left(state_of()) and not by_left(state_of(ever={"right": [MUG]}))
    assert not by_left(state_of(ever={"left": [MUG], "right": [MUG]})), "both hands were at it"


def test_by_hand_is_not_done_with_the_other_forearm(spec: EpisodeSpec) -> None:
    by_left = check_of(spec, "by_hand", MUG, "=left")
    assert not by_left(state_of(ever={"left": [MUG]}, arms={"right": [MUG]})), "the left hand tapped it, the right forearm did it"
    assert by_left(state_of(ever={"left": [MUG]}, arms={"left": [MUG], "right": [CAN]})), "its own forearm may be at it"
    assert not by_left(state_of(arms={"left": [MUG]})), "a forearm is no hand"


def test_a_body_with_hands_touches_with_a_hand(spec: EpisodeSpec) -> None:
    touched = check_of(spec, "touched", MUG)
    assert touched(state_of(touched={"right": [MUG]})) and not touched(state_of(body=[MUG])), "a forearm that brushes past has touched nothing"


def test_by_hand_speaks_of_a_button_by_its_panel(spec: EpisodeSpec) -> None:
    by_right = check_of(spec, "by_hand", "panel_black_three/red_button", "=right")
    assert by_right(state_of(ever={"right": ["panel_black_three"]})) and not by_right(state_of(ever={"left": ["panel_black_three"]}))


def test_a_robot_with_one_arm_has_no_left_hand(spec: EpisodeSpec) -> None:
    with pytest.raises(UnknownName, match="no hand of panda is called 'left'"):
        check_of(dataclasses.replace(spec, robot="panda"), "by_hand", MUG, "=left")
    with pytest.raises(BadSpec, match="'left' names a thing; a word is written with a leading '='"):
        check_of(spec, "by_hand", MUG, "left")
    with pytest.raises(UnknownName, match="no prop or fixture of the scene is called 'mug_bleu'. Did you mean mug_blue"):
        check_of(spec, "by_hand", "mug_bleu", "=left")


def test_held_with_asks_for_that_hand_alone(spec: EpisodeSpec) -> None:
    held = check_of(spec, "held_with", BOWL, "=left")
    assert held(state_of(held={"left": [BOWL]}, touched={"left": [BOWL]}))
    assert not held(state_of(held={"right": [BOWL]})) and not held(state_of(held={"left": [BOWL], "right": [BOWL]}))
    assert not held(state_of(held={"left": [BOWL]}, touched={"right": [BOWL]})), "the other hand supports it"


def test_something_can_be_put_into_what_a_hand_holds_only_where_the_goal_says_so(spec: EpisodeSpec) -> None:
    lying: dict[str, Any] = dict(poses={APPLE: pose((0.6, 0.0, 0.006))}, touching=[(APPLE, BOWL), (BOWL, "robot")], held={"left": [BOWL]})
    assert not check_of(spec, "inside", APPLE, BOWL)(state_of(**lying))
    goal = (Predicate(name="held_with", args=(BOWL, "=left")), Predicate(name="inside", args=(APPLE, BOWL)))
    filling = dataclasses.replace(spec, goal=goal)
    assert check_of(filling, "inside", APPLE, BOWL)(state_of(**lying))
    assert not check_of(filling, "inside", APPLE, BOWL)(state_of(**{**lying, "held": {"left": [BOWL], "right": [APPLE]}}))
    assert not check_of(filling, "inside", APPLE, BOWL)(state_of(**{**lying, "touching": [(APPLE, "robot"), (APPLE, BOWL)]}))


# --------------------------------------------------------------------------------------------------------------- handing over
UP = {CAN: pose((0.5, 0.0, 0.2))}
IN_LEFT: dict[str, Any] = dict(poses=UP, touching=[(CAN, "robot")], held={"left": [CAN]}, touched={"left": [CAN]})
IN_BOTH: dict[str, Any] = dict(poses=UP, touching=[(CAN, "robot")], held={"left": [CAN], "right": [CAN]}, touched={"left": [CAN], "right": [CAN]})
IN_RIGHT: dict[str, Any] = dict(poses=UP, touching=[(CAN, "robot")], held={"right": [CAN]}, touched={"right": [CAN]})
DOWN_LEFT: dict[str, Any] = dict(touching=[(CAN, "table"), (CAN, "robot")], held={"left": [CAN]}, touched={"left": [CAN]})
ON_TABLE: dict[str, Any] = dict(touching=[(CAN, "table")])


@pytest.mark.parametrize(
    ("course", "last"),
    [
        ([ON_TABLE, IN_LEFT, IN_BOTH, IN_RIGHT], True),
        ([ON_TABLE, IN_LEFT, IN_BOTH], False),  # the giver has not let go
        ([ON_TABLE, IN_RIGHT], False),  # nobody gave it
        ([ON_TABLE, IN_LEFT, IN_BOTH, {**IN_RIGHT, "touched": {"left": [CAN], "right": [CAN]}}], False),  # the giver still supports it
        ([ON_TABLE, IN_LEFT, ON_TABLE, IN_RIGHT], False),  # it was put down and picked up
        ([ON_TABLE, DOWN_LEFT, IN_RIGHT], False),  # the giver only dragged it over the table
        ([ON_TABLE, IN_RIGHT, IN_BOTH, IN_LEFT], False),  # the other way round
        ([ON_TABLE, IN_RIGHT, IN_BOTH, IN_LEFT, IN_BOTH, IN_RIGHT], True),  # and back again
        ([ON_TABLE, IN_LEFT, IN_BOTH, {**IN_RIGHT, "touching": [(CAN, "robot"), (CAN, "table")]}], False),  # it stands on the table
    ],
)
def test_handed_over_asks_for_the_way_through_the_air(spec: EpisodeSpec, course: Sequence[Mapping[str, Any]], last: bool) -> None:
    handed = check_of(spec, "handed_over", CAN, "=left", "=right")
    states = [state_of(**moment) for moment in course]
    said = [(handed(state), handed(state)) for state in states]
    assert all(first == second for first, second in said), "asking twice changes nothing"
    assert said[-1][0] is last and not any(first for first, _ in said[:-1])


# ------------------------------------------------------------------------------------------------------------------- pointing
def aimed(side: str, at: tuple[float, float, float], hand: tuple[float, float, float]) -> dict[str, Pose]:
    """Returns a hand at a place whose point axis, z of the site, looks at another place."""
    away = np.array(at) - np.array(hand)
    return {side: pose(hand, look_at(hand, tuple(np.array(hand) - away)))}


def test_a_hand_points_at_what_its_ray_meets(spec: EpisodeSpec) -> None:
    pointing: list[dict[str, Any]] = [{}] * 8 + [{"hands": aimed("left", (0.5, 0.2, 0.04), (0.2, 0.3, 0.3))}] * 8
    assert play(check_of(spec, "pointed_at", MUG), pointing)[-1] and play(check_of(spec, "pointed_at_with", MUG, "=left"), pointing)[-1]
    assert not any(play(check_of(spec, "pointed_at_with", MUG, "=right"), pointing))
    assert not any(play(check_of(spec, "pointed_at", CAN), pointing)) and not any(play(check_of(spec, "pointed_at", BOWL), pointing))


def test_a_hand_that_stays_where_it_was_points_at_nothing(spec: EpisodeSpec) -> None:
    at_first = aimed("right", (0.5, -0.2, 0.04), (0.2, -0.3, 0.3))
    assert not any(play(check_of(spec, "pointed_at", CAN), [{"hands": at_first}] * 30)), "it hung there from the start"


def test_a_hand_that_is_only_drawn_along_points_at_nothing_and_two_raised_hands_both_point(spec: EpisodeSpec) -> None:
    raised, at_can = aimed("left", (0.5, 0.2, 0.04), (0.2, 0.3, 0.45)), aimed("right", (0.5, -0.2, 0.04), (0.2, -0.3, 0.45))
    at_ease = {"left": pose(HOME["left"].pos, raised["left"].quat), "right": pose((0.2, -0.3, 0.39), at_can["right"].quat)}
    begin, shifted = {"hands": at_ease}, at_can  # by 6 cm, while the left hand comes up by 33 cm
    idle = [begin] * 8 + [{"hands": {**raised, **shifted}}] * 8
    assert play(check_of(spec, "pointed_at", MUG), idle)[-1]
    assert not any(play(check_of(spec, "pointed_at_with", thing, "=right"), idle)[-1] for thing in PLACES)
    low = {"hands": {**at_ease, "right": pose(HOME["right"].pos, at_can["right"].quat)}}
    both: list[dict[str, Any]] = [low] * 8 + [{"hands": {**raised, **at_can}}] * 8
    assert play(check_of(spec, "pointed_at", MUG), both)[-1] and play(check_of(spec, "pointed_at", CAN), both)[-1]


def test_a_hand_that_sweeps_over_everything_points_at_nothing(spec: EpisodeSpec) -> None:
    sweep = [{"hands": aimed("left", (0.5, y, 0.04), (0.2, y, 0.3))} for y in np.linspace(-0.4, 0.4, 60)]
    for thing in (MUG, CAN, APPLE):
        assert not any(play(check_of(spec, "pointed_at", thing), [{}, *sweep]))


def test_the_first_thing_along_the_ray_is_meant_and_touching_is_not_pointing(spec: EpisodeSpec) -> None:
    low: list[dict[str, Any]] = [{}] * 8 + [{"hands": aimed("left", (0.6, 0.0, 0.03), (0.0, 0.0, 0.03))}] * 8  # the apple stands before the bowl
    assert play(check_of(spec, "pointed_at", APPLE), low)[-1] and not play(check_of(spec, "pointed_at", BOWL), low)[-1]
    prodding: list[dict[str, Any]] = [{}] * 8 + [{"hands": aimed("left", (0.5, 0.2, 0.04), (0.4, 0.2, 0.1)), "touched": {"left": [MUG]}}] * 8
    assert not any(play(check_of(spec, "pointed_at", MUG), prodding))


def test_between_two_things_nothing_is_pointed_at(spec: EpisodeSpec) -> None:
    between: list[dict[str, Any]] = [{}] * 8 + [{"hands": aimed("left", (0.45, 0.38, 0.0), (0.3, 0.38, 0.35))}] * 8
    assert not any(play(check_of(spec, "pointed_at", MUG), between))
    with pytest.raises(BadSpec, match="nobody can point at 'plum'. There are: mug_blue, can_red"):
        check_of(spec, "pointed_at", "plum")


# ------------------------------------------------------------------------------------------------------- trays, boxes, aside
def test_a_tray_is_raised_level_by_both_hands_and_nothing_else(spec: EpisodeSpec) -> None:
    raised = check_of(spec, "raised_level", TRAY)
    both: dict[str, Any] = dict(touched={"left": [TRAY], "right": [TRAY]}, touching=[(TRAY, "robot"), (TRAY, APPLE)])
    high = {TRAY: pose((0.9, 0.0, 0.1)), APPLE: pose((0.9, 0.0, 0.104))}
    assert raised(state_of(poses=high, **both))
    assert not raised(state_of(poses={**high, TRAY: pose((0.9, 0.0, 0.07))}, **both)), "not high enough"
    tipped = Pose(np.array([0.9, 0.0, 0.1]), from_axis_angle((0.0, np.radians(16.0), 0.0)))
    assert not raised(state_of(poses={**high, TRAY: tipped}, **both)), "not level"
    assert not raised(state_of(poses=high, **{**both, "touched": {"left": [TRAY]}})), "one hand alone"
    assert not raised(state_of(poses=high, body=[TRAY], **both)), "it leans on the chest"
    assert not raised(state_of(poses=high, **{**both, "touching": [(TRAY, "robot"), (TRAY, "panel_black_three")]})), "furniture bears it"
    below = {**high, CAN: pose((0.9, 0.0, 0.0))}
    assert not raised(state_of(poses=below, **{**both, "touching": [(TRAY, "robot"), (TRAY, CAN)]})), "a can bears it"


def test_what_lies_on_a_raised_tray_is_still_on_it(spec: EpisodeSpec) -> None:
    high = {TRAY: pose((0.9, 0.0, 0.1)), APPLE: pose((0.9, 0.02, 0.104))}
    on = check_of(spec, "on", APPLE, TRAY)
    assert on(state_of(poses=high, touching=[(TRAY, "robot"), (TRAY, APPLE)]))
    assert not on(state_of(poses=high, touching=[(TRAY, "robot"), (TRAY, APPLE), (APPLE, "robot")])), "a finger holds it"
    assert not on(state_of(poses={**high, APPLE: pose((0.4, 0.0, 0.0))}, touching=[(TRAY, "robot"), (APPLE, "table")])), "it fell off"


def way(name: str, *course: tuple[tuple[float, float, float], str], **more: Any) -> list[dict[str, Any]]:
    """Returns moments of a thing that goes from place to place; letters say what touches it: t table, r robot, h a hand of it, b both."""
    letters = {"t": "table", "r": "robot", "h": "robot", "b": "robot"}
    return [
        dict(
            poses={name: pose(at)},
            touching=[(name, letters[c]) for c in who],
            touched={"left": [name] if {"h", "b"} & set(who) else [], "right": [name] if "b" in who else []},
            **more,
        )
        for at, who in course
    ]


LIFTED = (((0.5, -0.2, 0.0), "tb"), ((0.5, -0.3, 0.1), "b"), ((0.5, -0.48, 0.1), "h"))
BY_ONE = (((0.5, -0.2, 0.0), "th"), ((0.5, -0.3, 0.1), "h"), ((0.5, -0.48, 0.1), "h"))


@pytest.mark.parametrize(
    ("course", "last"),
    [
        ((*LIFTED, ((0.5, -0.48, 0.0), "tr"), ((0.5, -0.48, 0.0), "t")), True),
        ((*LIFTED, ((0.5, -0.48, 0.0), "tr")), False),  # hands on
        ((((0.5, -0.2, 0.0), "t"), ((0.5, -0.35, 0.0), "tr"), ((0.5, -0.48, 0.0), "t")), False),  # pushed
        ((((0.5, -0.2, 0.0), "t"), ((0.5, -0.25, 0.1), "b"), ((0.5, -0.3, 0.0), "tb"), ((0.5, -0.48, 0.0), "t")), False),  # lifted, then pushed
        ((*BY_ONE, ((0.5, -0.48, 0.0), "th"), ((0.5, -0.48, 0.0), "t")), False),  # with one hand
        ((*LIFTED, ((0.5, -0.48, 0.0), "tr"), ((0.5, -0.51, 0.0), "t")), True),  # set straight
        ((*LIFTED, ((0.5, -0.3, 0.0), "t")), False),  # beside it
    ],
)
def test_a_box_is_carried_through_the_air(spec: EpisodeSpec, course: Sequence[tuple[tuple[float, float, float], str]], last: bool) -> None:
    carried = check_of(spec, "carried_to", CAN, "zone_red")
    states = [state_of(**moment) for moment in way(CAN, *course)]
    said = [(carried(state), carried(state)) for state in states]
    assert all(first == second for first, second in said) and said[-1][0] is last and not any(first for first, _ in said[:-1])


def test_a_box_is_carried_onto_a_mat_or_furniture_that_has_a_top(spec: EpisodeSpec) -> None:
    onto_mat = check_of(spec, "carried_to", CAN, MAT)
    course = way(CAN, ((0.5, 0.3, 0.1), "b"), ((0.5, 0.48, 0.004), ""))
    course[-1]["touching"] = [(CAN, MAT)]
    assert [onto_mat(state_of(**moment)) for moment in course] == [False, True]
    with pytest.raises(BadSpec, match="nothing can be put down on 'panel_black_three': the file of 'panel_black_three' has neither"):
        check_of(spec, "carried_to", CAN, "panel_black_three")


@pytest.mark.parametrize(
    ("course", "last"),
    [
        ([((0.5, -0.15, 0.0), "th"), ((0.5, -0.08, 0.0), "th"), ((0.5, -0.08, 0.0), "t")], True),
        ([((0.5, -0.15, 0.0), "th"), ((0.5, -0.08, 0.0), "th")], False),  # not let go
        ([((0.5, -0.15, 0.0), "th"), ((0.5, -0.12, 0.0), "t")], False),  # not far enough
        ([((0.5, -0.15, 0.0), "t"), ((0.5, -0.08, 0.0), "t")], False),  # another thing pushed it
        ([((0.5, -0.15, 0.0), "tr"), ((0.5, -0.08, 0.0), "tr"), ((0.5, -0.08, 0.0), "t")], False),  # a forearm did
        ([((0.5, -0.15, 0.05), "h"), ((0.5, -0.08, 0.0), "th"), ((0.5, -0.08, 0.0), "t")], False),  # lifted
        ([((0.6, -0.15, 0.0), "th"), ((0.65, -0.08, 0.0), "th"), ((0.65, -0.08, 0.0), "t")], False),  # farther away rather than aside
        ([((0.5, -0.25, 0.0), "th"), ((0.5, -0.35, 0.0), "th"), ((0.5, -0.35, 0.0), "t")], False),  # to the other side
    ],
)
def test_what_a_hand_pushes_aside(spec: EpisodeSpec, course: list[tuple[tuple[float, float, float], str]], last: bool) -> None:
    aside = check_of(spec, "pushed_aside", CAN, "=left")
    moments = [*way(CAN, ((0.5, -0.2, 0.0), "t"), *course[:-1])] + way(CAN, course[-1]) * 8
    states = [state_of(**moment) for moment in moments]
    said = [(aside(state), aside(state)) for state in states]
    assert all(first == second for first, second in said) and said[-1][0] is last


def test_what_falls_over_was_not_pushed_aside(spec: EpisodeSpec) -> None:
    aside = check_of(spec, "pushed_aside", CAN, "=left")
    lying = Pose(np.array([0.5, -0.05, 0.03]), from_axis_angle((-np.pi / 2, 0.0, 0.0)))
    moments = [*way(CAN, ((0.5, -0.2, 0.0), "t"), ((0.5, -0.1, 0.0), "th")), dict(poses={CAN: lying}, touching=[(CAN, "table")])]
    assert not any([aside(state_of(**moment)) for moment in moments])
    with pytest.raises(BadSpec, match="nothing is pushed aside to '=away'; it can be: =left, =right"):
        check_of(spec, "pushed_aside", CAN, "=away")


# -------------------------------------------------------------------------------------------------------------------- gestures
def hands_at(left: Sequence[float] = (0.3, 0.2, 0.15), right: Sequence[float] = (0.3, -0.2, 0.15)) -> dict[str, Any]:
    return {"hands": {"left": pose(left, DOWN), "right": pose(right, DOWN)}}


def leaning(lean: float, turn: float = 0.0, drop_m: float = 0.0) -> dict[str, Any]:
    """Returns a head that has leaned forward and turned to the left, in rad."""
    turned = Pose(np.zeros(3), from_yaw(turn)) @ Pose(np.zeros(3), from_axis_angle((0.0, lean, 0.0)))
    return {"head": Pose(np.array([0.0, 0.0, 0.45 - drop_m]), (turned @ Pose(np.zeros(3), HEAD.quat)).quat)}


def waving(side: str, *, amplitude_m: float = 0.1, hz: float = 1.0, seconds: float = 3.0, up_m: float = 0.5) -> list[dict[str, Any]]:
    out = []
    for k in range(round(seconds * RATE_HZ)):
        swing = 0.5 * amplitude_m * np.sin(2 * np.pi * hz * k / RATE_HZ)
        out.append(hands_at(left=(0.2, 0.3 + swing, up_m)) if side == "left" else hands_at(right=(0.2, -0.3 + swing, up_m)))
    return out


ALL = ("wave_left", "wave_right", "raise_left", "raise_right", "arms_up", "bow")


def gestured(spec: EpisodeSpec, motion: Sequence[Mapping[str, Any]]) -> set[str]:
    """Returns the gestures that hold at the end of a motion which begins with hands at rest."""
    return {name for name in ALL if play(check_of(spec, "gestured", f"={name}"), [{}] * 10 + list(motion))[-1]}


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_hand_that_swings_to_and_fro_waves_and_one_that_rests_is_raised(spec: EpisodeSpec, side: str) -> None:
    assert gestured(spec, waving(side)) == {f"wave_{side}"}
    still = [hands_at(left=(0.2, 0.3, 0.5)) if side == "left" else hands_at(right=(0.2, -0.3, 0.5))] * 20
    assert gestured(spec, still) == {f"raise_{side}"}


def test_both_arms_up_are_no_raised_hand(spec: EpisodeSpec) -> None:
    assert gestured(spec, [hands_at((0.2, 0.3, 0.6), (0.2, -0.3, 0.6))] * 20) == {"arms_up"}
    assert gestured(spec, [hands_at((0.2, 0.3, 0.6), (0.2, -0.3, 0.35))] * 20) == set(), "one hand is high and the other half-way"


def test_a_wave_is_wide_high_even_and_of_one_hand(spec: EpisodeSpec) -> None:
    assert "wave_left" not in gestured(spec, waving("left", amplitude_m=0.055)), "it trembles"
    assert gestured(spec, waving("left", up_m=0.2)) == set(), "it is too low"
    assert gestured(spec, waving("left", seconds=1.2)) == set(), "once is not twice"
    assert "wave_left" not in gestured(spec, waving("left", hz=0.3, seconds=8.0)), "it is too slow"
    both = [hands_at(a["hands"]["left"].pos, b["hands"]["right"].pos) for a, b in zip(waving("left"), waving("right"), strict=True)]
    assert gestured(spec, both) == set(), "both hands do it"
    up_and_down = [hands_at(left=(0.2, 0.3, 0.5 + 0.1 * np.sin(0.3 * k))) for k in range(60)]
    assert gestured(spec, up_and_down) == set(), "it goes up and down"


def test_noise_makes_no_gesture(spec: EpisodeSpec) -> None:
    rng = np.random.default_rng(0)
    for scale in (0.01, 0.03, 0.05):
        for _ in range(12):
            steps = rng.uniform(-scale, scale, (80, 2, 3))
            track = np.array([[0.3, 0.2, 0.25], [0.3, -0.2, 0.25]]) + np.clip(np.cumsum(steps, axis=0), -0.4, 0.4)
            motion = [hands_at(left, right) for left, right in track]
            for name in ALL:
                assert not any(play(check_of(spec, "gestured", f"={name}"), motion)), name


def test_who_bows_comes_up_again(spec: EpisodeSpec) -> None:
    down = [leaning(lean, drop_m=0.3 * lean) for lean in np.linspace(0.0, 0.45, 16)]
    up = down[::-1]
    assert gestured(spec, [*down, *up, *[{}] * 8]) == {"bow"}
    assert gestured(spec, down + [down[-1]] * 20) == set(), "who stays down leans on something"
    restless = [{**moment, **hands_at(left=(0.3, 0.2 + 0.05 * (k % 2), 0.15))} for k, moment in enumerate([*down, *up, *[{}] * 8])]
    assert gestured(spec, restless) == set(), "it fidgets"
    half = [leaning(lean) for lean in (*np.linspace(0.0, 0.25, 10), *np.linspace(0.25, 0.0, 10))]
    assert gestured(spec, [*half, *[{}] * 8]) == set(), "that was a shrug"


def test_a_body_without_a_neck_cannot_nod(spec: EpisodeSpec) -> None:
    with pytest.raises(BadSpec, match="'panda_bimanual' cannot shake its head: it has no neck"):
        check_of(spec, "gestured", "=shake_head")
    with pytest.raises(UnknownName, match="no gesture is called 'wave_lft'. Did you mean wave_left"):
        check_of(spec, "gestured", "=wave_lft")
    with pytest.raises(BadSpec, match="'panda' makes no gestures: they are made with two hands"):
        check_of(dataclasses.replace(spec, robot="panda"), "gestured", "=bow")


def test_nodding_and_shaking_the_head_are_told_apart() -> None:
    from vlagym.envs.predicates.gestures import NOD_RAD, _GESTURES

    def said(motion: Sequence[Mapping[str, Any]]) -> set[str]:
        return {name for name in ("nod", "shake_head") if play(lambda state: _GESTURES[name](state, RATE_HZ), motion)[-1]}

    swings = [0.15 * np.sin(2 * np.pi * 1.2 * k / RATE_HZ) for k in range(50)]
    assert said([leaning(s) for s in swings]) == {"nod"}
    assert said([leaning(0.0, turn=2 * s) for s in swings]) == {"shake_head"}
    assert said([leaning(s, drop_m=0.4 * s) for s in swings]) == set(), "the trunk leans"
    assert said([leaning(0.3 * NOD_RAD * np.sign(s)) for s in swings]) == set()
    tossed = [{**leaning(s), **hands_at(left=(0.3, 0.2 + 0.5 * s, 0.15))} for s in swings]
    assert said(tossed) == set(), "the whole body is tossed about"


def test_swings_are_counted_by_hand() -> None:
    there_and_back = np.array([0, 1, 2, 1, 0, 1, 2, 1, 0.0])
    assert num_swings(there_and_back, 2.0, RATE_HZ) == 4
    assert num_swings(there_and_back, 2.1, RATE_HZ) == 0
    assert num_swings(np.repeat(there_and_back, 12), 2.0, RATE_HZ) == 0, "a swing takes longer than a second"
    assert num_swings(np.array([0.0]), 1.0, RATE_HZ) == num_swings(np.zeros(0), 1.0, RATE_HZ) == 0


# ------------------------------------------------------------------------------------------------------------ facing and going
def test_a_base_faces_what_it_is_turned_to_at_rest(spec: EpisodeSpec) -> None:
    towards_mug = float(np.arctan2(0.2, 0.5))
    turned = [{"base": (0.0, 0.0, towards_mug)}] * 8
    assert play(check_of(spec, "faced", MUG), turned)[-1] and not any(play(check_of(spec, "faced", CAN), turned))
    assert play(check_of(spec, "faced", MUG), [{"base": (0.0, 0.0, towards_mug + np.radians(9.0) + 2 * np.pi)}] * 8)[-1]
    assert not any(play(check_of(spec, "faced", MUG), [{"base": (0.0, 0.0, towards_mug + np.radians(11.0))}] * 8))
    assert not any(play(check_of(spec, "faced", MUG), turned[:4])), "it has only just come to rest"
    spinning = [{"base": (0.0, 0.0, 0.05 * k)} for k in range(130)]
    assert not any(play(check_of(spec, "faced", MUG), spinning)), "it looks everywhere"


def test_approaching_ends_close_by_and_without_touching(spec: EpisodeSpec) -> None:
    check = check_of(spec, "approached", TRAY)
    # The tray is 16 cm wide along y and turned by nothing: its near side is at 0.9 - 0.1215 m.
    assert play(check, [{"base": (0.2, 0.0, 0.0)}] * 8)[-1] and not any(play(check, [{"base": (0.1, 0.0, 0.0)}] * 8))
    assert not any(play(check, [{"base": (0.2, 0.0, 0.5)}] * 8)), "it stands there and looks past it"
    assert not any(play(check_of(spec, "approached", TRAY), [{"base": (0.3, 0.0, 0.0), "touched": {"left": [TRAY]}}] * 8)), "it bumped into it"


def test_who_does_two_of_these_at_once_has_done_none_that_was_asked_for() -> None:
    assert {"by_hand", "pointed_at", "pointed_at_with", "pushed_aside", "gestured", "faced", "approached"} <= EXCLUSIVE
    assert not {"on", "inside", "carried_to"} & EXCLUSIVE
