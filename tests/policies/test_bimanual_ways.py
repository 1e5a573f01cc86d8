"""How two-handed skills look at a scene before they move: which hand, how much room, which way round; and what they say when they cannot."""

from __future__ import annotations

import dataclasses
import functools
import math

import numpy as np
import pytest

from vlagym.envs import catalog
from vlagym.envs.errors import BadSpec, UnknownName
from vlagym.envs.frames import to_matrix
from vlagym.envs.robot import Robot
from vlagym.envs.sampling import sample
from vlagym.envs.types import EpisodeSpec, Predicate
from vlagym.envs.world import World
from vlagym.policies.bimanual.base import Glider, Place, TurnTo
from vlagym.policies.bimanual.choosing import free_hands, named_hand
from vlagym.policies.bimanual.gestures import Bow, Gesture, MoveHead
from vlagym.policies.bimanual.motion import Ways, gap_m, giving_way
from vlagym.policies.bimanual.pressing import PressWith
from vlagym.policies.bimanual.pushing import PushAside
from vlagym.policies.bimanual.reach import Reacher, slender_axes, touching_axes
from vlagym.policies.bimanual.view import CLOSE, OPEN, BimanualView
from vlagym.policies.skills.surroundings import Obstacle

SEED = 906_000
G1: Robot = catalog.load("robot", "g1")


@functools.cache
def episode(task: str, robot: str = "g1", base: str = "default") -> EpisodeSpec:
    return sample(task, robot=robot, base=base, seed=SEED)


def view_of(spec: EpisodeSpec) -> BimanualView:
    world = World(render=False)
    world.start(spec)
    return BimanualView.of(world.observe([], privileged=True), catalog.load("robot", spec.robot))


def asked(spec: EpisodeSpec, *goal: Predicate) -> EpisodeSpec:
    return dataclasses.replace(spec, goal=goal, stages=goal, alternatives=())


def test_the_hand_that_the_goal_names_does_it_and_otherwise_either() -> None:
    spec = episode("press_with")
    panel = spec.scene.fixtures[0].name
    done = Predicate(name="pressed", args=(f"{panel}/x",))
    assert named_hand(asked(spec, done), f"{panel}/x") is None
    assert free_hands(asked(spec, done), G1, panel) == ("left", "right")
    right = asked(spec, done, Predicate(name="by_hand", args=(panel, "=right")))
    assert free_hands(right, G1, f"{panel}/x") == ("right",)
    both = asked(spec, *(Predicate(name="by_hand", args=(panel, f"={side}")) for side in ("left", "right")))
    with pytest.raises(BadSpec, match="names both hands for '.*'; one hand does it"):
        named_hand(both, panel)


def test_gaps_are_measured_to_the_sides_and_from_above() -> None:
    block = Obstacle("block", 0.5, 0.0, 0.0, 0.02, 0.02, False, 0.0, 0.05)
    assert gap_m(np.array([[0.5, 0.0, 0.08], [0.9, 0.0, 0.02]]), [block]) == pytest.approx(0.03)
    assert gap_m(np.array([[0.5, 0.05, 0.02]]), [block]) == pytest.approx(0.03)
    assert gap_m(np.array([[0.5, 0.01, 0.02]]), [block]) == 0.0 and gap_m(np.zeros((1, 3)), []) == math.inf


@pytest.mark.parametrize("robot", ["g1", "cmu_humanoid", "panda_bimanual"])
def test_a_hand_touches_with_finger_tips_and_presses_with_something_slender(robot: str) -> None:
    ways = Ways(episode("touch_with", robot))
    for hand in ways.robot.end_effectors:
        assert len(touching_axes(hand, ways)) == 1
        for axis, closing in slender_axes(hand, ways):
            points = ways.hand_points(hand.side, closing)
            tips = points[points @ axis > (points @ axis).max() - 0.01]
            assert closing in (OPEN, CLOSE) and float(np.linalg.norm(np.ptp(tips, axis=0))) < 0.045, "two buttons are 62 mm apart"


def test_a_hand_passes_over_what_stands_in_its_way_and_no_higher() -> None:
    ways = Ways(episode("touch_with"))
    home = ways.home["left"]
    way = (np.array([0.25, 0.3, 0.0]), np.array([0.45, 0.3, 0.0]))
    block = Obstacle("block", 0.35, 0.3, 0.0, 0.02, 0.02, False, 0.0, 0.10)
    need = ways.height_to_pass("left", OPEN, home.quat, *way, [block])
    assert 0.10 < need < 0.30
    assert ways.height_to_pass("left", OPEN, home.quat, *way, [block._replace(y=-0.3)]) == -math.inf


def test_the_idle_hand_gives_way_and_comes_back() -> None:
    spec = episode("touch_with")
    view, ways = view_of(spec), Ways(spec)
    far = view.base @ ways.home["left"]
    assert giving_way(ways, view, "left", far) == {}
    near = far._replace(pos=(view.base @ ways.home["right"]).pos + [0.0, 0.08, 0.0])
    asked_for = giving_way(ways, view, "left", near)["right"].pose
    assert asked_for is not None and asked_for.pos[1] < (view.base @ ways.home["right"]).pos[1] - 0.05


def test_approaches_keep_off_the_neighbours() -> None:
    spec = episode("touch_with")
    view = view_of(spec)
    reacher, name = Reacher(spec, G1), spec.goal[0].args[0]
    best = reacher.approaches(view, name, free_hands(spec, G1, name))[0]
    others = reacher.ways.around(view, (name,))
    hand = best.pose.pos + reacher.ways.hand_points(best.side, best.closing) @ to_matrix(best.pose.quat.tolist()).T
    assert gap_m(hand, others) > 0.005 and best.direction[2] < 0.0


def test_a_gliding_base_goes_round_the_table_and_stays_within_the_walls() -> None:
    spec = episode("go_to")
    view, glider = view_of(spec), Glider(spec, Ways(spec))
    room = glider.clearance(view)
    table = room[glider.cell(np.array([0.6, 0.0]))]
    behind_the_wall = room[glider.cell(np.array([-1.3, 0.0]))]
    assert table < 0.0 and behind_the_wall < 0.0
    x, y, yaw = spec.robot_start
    place = Place(x - 0.05, y, yaw)
    assert glider.go(view, [place]) == place and not glider.is_at(view, place)
    forward, aside, turn = glider.velocity(view, place)
    assert math.hypot(forward, aside) <= 0.08 and abs(turn) < 0.2, "it gathers speed"


@pytest.mark.parametrize("robot", ["g1", "cmu_humanoid"])
def test_skills_say_what_they_cannot_do(robot: str) -> None:
    spec = episode("gesture", robot)
    with pytest.raises(UnknownName, match="no gesture of hands is called 'wave_foot'"):
        Gesture(spec, ("=wave_foot",))
    with pytest.raises(BadSpec, match="the lean of the torso is commanded on the base 'legs'; this episode has 'fixed'"):
        Bow(spec, ())
    with pytest.raises(BadSpec, match="only on the base 'planar' the robot goes about; this episode has 'fixed'"):
        Glider(spec, Ways(spec))
    if robot == "g1":
        with pytest.raises(BadSpec, match="'g1' cannot shake its head: it has no neck"):
            MoveHead(spec, ("=shake_head",))


def test_pushing_wants_a_side_and_pressing_a_button() -> None:
    with pytest.raises(BadSpec, match="to the left or right, not to 'up'"):
        PushAside(episode("push_aside"), (episode("push_aside").goal[0].args[0], "=up"))
    with pytest.raises(UnknownName):
        PressWith(episode("press_with"), ("no_panel/red_button",))
    with pytest.raises(UnknownName, match="no_chair"):
        TurnTo(episode("turn_to"), ("no_chair",))
