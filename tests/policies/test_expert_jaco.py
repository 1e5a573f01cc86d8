"""The expert does with three fingers what it does with two: same tasks, same actions, another hand."""

import dataclasses
import importlib
import math

import numpy as np
import pytest

from vlagym.benchmark.trials import try_seeds
from vlagym.envs import catalog
from vlagym.envs.errors import BadSpec
from vlagym.envs.fixtures import get_fixture
from vlagym.envs.frames import Pose, rotate
from vlagym.envs.handles import hook_pose, pull_direction
from vlagym.envs.kinematics import kinematics
from vlagym.envs.objects import Grasp
from vlagym.envs.robot import EndEffector
from vlagym.envs.sampling import sample
from vlagym.envs.task import Task
from vlagym.envs.types import FixtureSpec
from vlagym.policies.skills.grasping import choose_grasp, nearest_turn, opening_command, openings, turns
from vlagym.policies.skills.view import View

REQUIRED = ("pick_up", "place_on", "push", "press_button", "open_drawer", "touch")
PANDA: EndEffector = catalog.load("robot", "panda").end_effectors[0]
JACO: EndEffector = catalog.load("robot", "jaco").end_effectors[0]
CABINET = FixtureSpec(name="cabinet_red", asset="cabinet_red", pos_world=(0.4, 0.1, 0.0), yaw_rad=0.2, joints=(("drawer", 0.0),))


@pytest.mark.parametrize("task", REQUIRED)
def test_it_solves_fresh_seeds_with_three_fingers(task: str) -> None:
    trials = try_seeds(task, range(800_100, 800_104), workers=1, robot="jaco")
    assert [trial.solved for trial in trials] == [True] * 4, [trial.ending for trial in trials]


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("objects", ["seen", "unseen"])
@pytest.mark.parametrize("task", REQUIRED)
def test_it_solves_90_of_100_fresh_seeds_with_three_fingers(task: str, objects: str) -> None:
    trials = try_seeds(task, range(810_000, 810_100), workers=2, robot="jaco", objects=objects)
    failed = [trial.ending for trial in trials if not trial.solved]
    assert len(failed) <= 10, failed


def test_a_slower_arm_is_given_more_time() -> None:
    robot = catalog.load("robot", "jaco")
    task: Task = catalog.load("task", "press_button")
    ours, pandas = (sample("press_button", seed=3, robot=name).horizon_s for name in ("jaco", "panda"))
    assert ours == pytest.approx(robot.pace * pandas) == pytest.approx(robot.pace * task.horizon_factor * task.expert_s)


def test_it_does_every_task_but_one_whose_file_says_why() -> None:
    for_one_arm = [name for name in catalog.names("task") if "panda" in catalog.load("task", name).robots]
    without = [name for name in for_one_arm if "jaco" not in catalog.load("task", name).robots]
    assert without == ["stand_up"]
    assert "Not with the jaco:" in (importlib.import_module("vlagym.envs.tasks.stand_up").__doc__ or "")


def test_a_task_that_a_robot_cannot_do_says_with_which_ones_it_can(monkeypatch: pytest.MonkeyPatch) -> None:
    two_fingers = dataclasses.replace(catalog.load("task", "stack"), robots=("panda",))
    load = catalog.load
    monkeypatch.setattr(catalog, "load", lambda kind, name: two_fingers if kind == "task" else load(kind, name))
    with pytest.raises(BadSpec, match="'stack' cannot be done with 'jaco'; it can with: panda"):
        sample("stack", seed=0, robot="jaco")


def test_a_hand_that_differs_on_its_sides_can_be_turned_both_ways() -> None:
    assert turns(PANDA, 0.3) == [nearest_turn(0.3, 0.0)]
    near, far = turns(JACO, 0.3)
    assert near == nearest_turn(0.3, 0.0) and abs(near - far) == pytest.approx(math.pi)


def test_the_slender_side_goes_inside_a_rim() -> None:
    spec = sample("place_on", seed=800_100, robot="jaco", catalogue="core")
    mug = dataclasses.replace(spec.scene.props[0], name="mug_white", asset="mug_white", pos_world=(0.5, 0.0, 0.0))
    alone = dataclasses.replace(spec, scene=dataclasses.replace(spec.scene, props=(mug,), fixtures=()))
    here = Pose(np.array(mug.pos_world), np.array(mug.quat_world_wxyz))
    view = _view({"mug_white": here})
    grasp = choose_grasp(alone, "mug_white", view)
    point, turn = grasp.at(here)
    assert grasp.grasp.kind == "rim"
    thumb = np.array([math.sin(turn), -math.cos(turn)])  # the +y side of a hand that looks down
    assert float(thumb @ (point - here.pos)[:2]) < -0.02  # from the wall towards the middle of the mug


def test_it_opens_only_as_far_as_the_grasp_needs() -> None:
    rim = Grasp(kind="rim", height_m=0.03, width_m=0.004, symmetric=True)
    top = Grasp(kind="top", height_m=0.03, width_m=0.06, symmetric=True)
    assert PANDA.opening_max_m in openings(PANDA, top)
    assert openings(JACO, rim) == pytest.approx((0.044,))
    assert openings(JACO, top) == (JACO.opening_max_m,)
    assert opening_command(JACO, 0.0) > 0.5 > 0.1 > opening_command(JACO, 0.044) > -1.0


def test_it_takes_the_bar_of_a_handle_between_its_sides() -> None:
    joint = get_fixture("cabinet_red").joints[0]
    pull = pull_direction(CABINET, joint, 0.0)
    hooking, taking = (hook_pose(CABINET, joint, 0.0, hand) for hand in (PANDA, JACO))
    handle = joint.require_handle()
    assert float((taking.pos - hooking.pos) @ pull) == pytest.approx(float(np.array(handle.pos_m)[0] - handle.hook_pos_m[0]), abs=1e-6)
    assert np.allclose(rotate(taking.quat, np.array([0.0, 1.0, 0.0])), -pull, atol=1e-6)  # the thumb is behind the bar
    assert np.allclose(rotate(taking.quat, np.array([0.0, 0.0, 1.0])), [0, 0, -1], atol=1e-6)


def _view(props: dict[str, Pose]) -> View:
    arm = kinematics("jaco")
    return View(
        ee=arm.forward(arm.home), opening_m=0.09, gripper_command=-1.0, props=props, held=frozenset(), joints={}, goal_met=(False,)
    )
