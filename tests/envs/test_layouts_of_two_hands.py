"""Scenes for two hands: orders of steps and what of them lasts, trays with loads, boxes beside their mats, a low shelf, somebody who stands near."""

from __future__ import annotations

import math

import numpy as np
import pytest

from vlagym.envs import catalog
from vlagym.envs.errors import BadSpec, UnknownName
from vlagym.envs.fixtures import get_fixture
from vlagym.envs.layouts.body_steps import can_do, in_order, plan_in_order, with_hand
from vlagym.envs.layouts.bystanders import SHARE, maybe_bystander
from vlagym.envs.layouts.hands import aside_of
from vlagym.envs.objects import get
from vlagym.envs.safety_limits import PERSON
from vlagym.envs.sampling import sample
from vlagym.envs.task import Crowded, Draft, Task
from vlagym.envs.types import Base, Predicate


def _draft(seed: int, robot: str = "g1", base: Base = "fixed", floor_m: float = -0.75) -> Draft:
    return Draft(np.random.default_rng(seed), "seen", robot=catalog.load("robot", robot), base=base, floor_m=floor_m)


def _laid_out(task: str, seed: int, robot: str = "g1", base: Base = "fixed") -> Draft:
    definition: Task = catalog.load("task", task)
    for attempt in range(100):
        draft = _draft(1000 * seed + attempt, robot, base)
        try:
            if len(definition.layout(draft)) >= 2:
                return draft
        except Crowded:
            continue
    raise AssertionError(f"no scene of {task}")


def p(name: str, *args: str) -> Predicate:
    return Predicate(name=name, args=args)


# ---------------------------------------------------------------------------------------------------------------------- orders
def test_what_was_touched_or_pressed_need_not_be_so_in_the_end_but_for_the_last() -> None:
    goal = in_order([(p("touched", "mug"),), (p("pressed", "panel/a"),), (p("on", "can", "mat"),), (p("touched", "can"),)])
    assert goal.conditions == (p("on", "can", "mat"), p("touched", "can"))
    assert [step[0].name for step in goal.steps] == ["touched", "pressed", "on", "touched"]


def test_the_hand_that_was_named_for_a_step_still_counts_in_the_end() -> None:
    goal = in_order([(p("touched", "mug"), p("by_hand", "mug", "=left")), (p("pressed", "panel/a"),)])
    assert goal.conditions == (p("by_hand", "mug", "=left"), p("pressed", "panel/a"))


def test_what_is_passed_on_and_put_down_is_in_no_hand_in_the_end() -> None:
    goal = in_order([(p("handed_over", "tube", "=left", "=right"),), (p("on", "tube", "mat"),)])
    assert goal.conditions == (p("on", "tube", "mat"),)


def test_the_time_for_an_order_is_the_sum_of_the_times_of_its_steps() -> None:
    touch, press = (catalog.load("task", name).expert_s for name in ("touch_with", "press_with"))
    assert in_order([(p("touched", "mug"),), (p("pressed", "panel/a"),)]).expert_s == pytest.approx(touch + press)


def test_one_step_is_no_order_and_a_step_that_nobody_can_do_is_answered_with_those_that_there_are() -> None:
    with pytest.raises(BadSpec, match="an order has at least two steps; this one has 1"):
        in_order([(p("touched", "mug"),)])
    with pytest.raises(UnknownName, match="no way to do a step is called 'poured'.*touched"):
        in_order([(p("poured", "cup", "bowl"),), (p("touched", "mug"),)])


def test_a_body_is_only_asked_for_what_it_can_do() -> None:
    assert can_do("g1", "on", "gestured") and can_do("g1", "handed_over")
    assert not can_do("panda_bimanual", "on", "gestured") and not can_do("cmu_humanoid", "handed_over")
    with pytest.raises(UnknownName, match="way to do a step"):
        can_do("g1", "juggled")


def test_a_hand_is_named_for_one_step_and_only_where_it_reaches() -> None:
    named = 0
    for seed in range(60):
        draft = _draft(seed)
        draft.put_at("cup_red", 0.35, 0.25, 0.0)
        draft.put_at("block_blue", 0.35, -0.25, 0.0)
        ((*order,), _) = with_hand(draft, [[p("touched", "cup_red"), p("touched", "block_blue")], [p("touched", "cup_red"), p("touched", "cup_red")]])
        hands = [predicate for step in order for predicate in step if predicate.name == "by_hand"]
        assert len(hands) <= 1
        for hand in hands:
            assert hand.args == (("cup_red", "=left") if hand.args[0] == "cup_red" else ("block_blue", "=right"))
        named += len(hands)
    assert 10 < named < 45


def test_hands_go_back_after_each_step_but_keep_what_was_passed_on() -> None:
    spec = next(s for seed in range(60) if (s := sample("humanoid_sequence", seed=seed)).steps[0][0].name == "handed_over")
    names = [skill.name for skill in plan_in_order(spec)]
    assert names == ["pick_with", "hand_over", "put_with", "hands_back", "retreat"]


# ------------------------------------------------------------------------------------------------------------ trays and boxes
@pytest.mark.parametrize("robot", ["g1", "panda_bimanual"])
@pytest.mark.parametrize("seed", range(6))
def test_trays_stand_apart_and_carry_their_own_loads(robot: str, seed: int) -> None:
    draft = _laid_out("lift_tray", seed, robot)
    trays = [prop for prop in draft.props if "tray" in get(prop.asset).roles]
    assert len(trays) == 2
    assert abs(trays[0].pos_world[0] - trays[1].pos_world[0]) > max(get(tray.asset).size_m[1] for tray in trays)
    for prop in draft.props:
        if prop in trays:
            continue
        tray = min(trays, key=lambda t: math.dist(t.pos_world, prop.pos_world))
        place = get(tray.asset).place
        assert place is not None
        assert math.dist(tray.pos_world[:2], prop.pos_world[:2]) < place.inner_radius_m
        assert prop.pos_world[2] == pytest.approx(place.surface_height_m)


@pytest.mark.parametrize("robot", ["g1", "panda_bimanual"])
@pytest.mark.parametrize("seed", range(6))
def test_a_box_begins_beside_the_mats(robot: str, seed: int) -> None:
    draft = _laid_out("carry_box", seed, robot)
    (box,) = draft.props
    mats = [fixture for fixture in draft.fixtures if fixture.asset.startswith("desk_mat")]
    assert len(mats) == 2
    assert all(math.dist(mat.pos_world[:2], box.pos_world[:2]) > 0.2 for mat in mats)


@pytest.mark.parametrize("seed", range(4))
def test_who_glides_carries_the_box_to_a_table_on_the_left_or_on_the_right_that_is_as_high_as_the_one_before_it(seed: int) -> None:
    draft = _laid_out("carry_box", seed, base="planar")
    sides = sorted(fixture.pos_world[1] for fixture in draft.fixtures)
    assert sides[0] < -0.6 and sides[1] > 0.6
    for fixture in draft.fixtures:
        top = get_fixture(fixture.asset).top
        assert top is not None and fixture.pos_world[2] + top.height_m == pytest.approx(0.0)


@pytest.mark.parametrize("seed", range(6))
def test_what_is_reached_for_low_down_stands_on_the_board_of_a_shelf_before_the_robot(seed: int) -> None:
    draft = _laid_out("reach_low", seed, base="legs")
    (shelf,) = draft.fixtures
    top = get_fixture(shelf.asset).top
    assert top is not None and shelf.pos_world[2] == pytest.approx(draft.floor_m)
    c, s = math.cos(shelf.yaw_rad), math.sin(shelf.yaw_rad)
    for prop in draft.props:
        dx, dy = (prop.pos_world[i] - shelf.pos_world[i] for i in (0, 1))
        assert top.inside_m(c * dx + s * dy, -s * dx + c * dy) > 0.03
        assert prop.pos_world[2] == pytest.approx(draft.floor_m + top.height_m, abs=1e-4)
        assert abs(aside_of(draft, prop.name)) < 0.32


# ---------------------------------------------------------------------------------------------------------------- who stands near
def test_somebody_stands_near_in_a_share_of_the_scenes_beyond_the_hands_and_beside_the_table() -> None:
    there = []
    for seed in range(200):
        draft = _draft(seed)
        maybe_bystander(draft)
        there += draft.fixtures
    assert 0.5 * SHARE < len(there) / 200 < 1.6 * SHARE
    stance = catalog.load("robot", "g1").stance
    for dummy in there:
        assert dummy.name == PERSON and dummy.asset.startswith("bystander_")
        assert abs(dummy.pos_world[1]) > 0.65 and dummy.pos_world[0] < stance.table_edge_x_m - 0.2 and dummy.pos_world[2] == -0.75


def test_nobody_stands_beside_robots_on_the_table() -> None:
    for seed in range(40):
        draft = _draft(seed, "panda_bimanual")
        maybe_bystander(draft)
        assert draft.fixtures == []


def test_who_stands_near_shifts_nothing_else() -> None:
    for seed in range(12):
        draft = _laid_out("touch_with", seed)
        before = list(draft.props)
        maybe_bystander(draft)
        assert draft.props == before and all(fixture.name == PERSON for fixture in draft.fixtures)


def test_nothing_is_asked_about_who_stands_near() -> None:
    specs = [sample("touch_with", seed=seed) for seed in range(10)]
    assert any(fixture.name == PERSON for spec in specs for fixture in spec.scene.fixtures)
    assert not any(PERSON in predicate.things for spec in specs for goal in (spec.goal, *spec.alternatives) for predicate in goal)
