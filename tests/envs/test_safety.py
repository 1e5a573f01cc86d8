"""The safety filter on observations written by hand: what it lets pass, what it scales back, where it stops."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vlagym.envs import catalog
from vlagym.envs.control import action_spec
from vlagym.envs.env import VlaEnv
from vlagym.envs.errors import BadAction, BadData, BadSpec, UnknownName
from vlagym.envs.kinematics import kinematics
from vlagym.envs.safety import CLIPPED, PASSED, STOPPED, Filtered, Mode, SafetyFilter
from vlagym.envs.safety_limits import Box, SafetyLimits, limits_of, read_limits
from vlagym.envs.safety_moves import Glide, Posture, Touch, shortened
from vlagym.envs.types import CONTACT_KINDS, ActionComponent, Contact, EpisodeSpec, Facts, FixtureSpec

FREE = Touch(pressing=0.0, pace=1.0)
HAND = np.array([0.5, 0.0, 0.2])
LIMITS = SafetyLimits(
    hand_speed_m_s=0.4,  # 2 cm a step of 20 Hz
    hand_turn_rad_s=2.0,  # 0.1 rad a step
    hand_box_m=Box(low_m=(0.3, -0.2, 0.0), high_m=(0.6, 0.2, 0.5)),
    joint_speed_share=0.5,
    force_n=50.0,
    why=dict.fromkeys(("hand_speed_m_s", "hand_turn_rad_s", "hand_box_m", "joint_speed_share", "force_n"), "by hand"),
)


def proprio(hand: Any = HAND, lead: Any = (0.0, 0.0, 0.0), joints: Any = None) -> dict[str, Any]:
    """Returns what a Panda feels whose hand is at a place, its command `lead` ahead of it."""
    upright = np.array([0.0, 1.0, 0.0, 0.0], np.float32)
    robot = catalog.load("robot", "panda")
    return {
        "ee_pos_base_m": np.array(hand, np.float32),
        "ee_target_pos_base_m": (np.array(hand) + lead).astype(np.float32),
        "ee_quat_base_wxyz": upright,
        "ee_target_quat_base_wxyz": upright,
        "joint_pos_rad": np.array(robot.home_qpos if joints is None else joints, np.float32),
    }


def facts(force_n: float = 0.0, kind: str = "robot_fixture", other: str = "table", person_n: float = 0.0) -> Facts:
    """Returns the facts of a step in which the hand touched something."""
    force = np.zeros((5, len(CONTACT_KINDS)), np.float32)
    force[2, CONTACT_KINDS.index(kind)] = force_n
    none: Any = np.zeros(0)
    return Facts(
        goal_met=none, stage_met=none, alternative_met=none, step_met=none,
        contacts=(Contact(kind=kind, a="hand", b=other, force_n=force_n),) if force_n else (),
        contact_force_n=force, ee_pos_world_m=none, ee_quat_world_wxyz=none, gripper_opening_m=none, joint_pos=none, joint_vel=none,
        prop_pos_world_m=none, prop_quat_world_wxyz=none, prop_is_held=none, prop_robot_force_n=none, fixture_joint_pos=none,
        fixture_robot_force_n=np.array([person_n], np.float32), base_pose_world=none, com_margin_m=none, foot_slip_m=none, is_fallen=False,
        torque_share=0.0, joint_margin_rad=1.0, energy_j=0.0, time_s=0.0,
    )  # fmt: skip


def guard(spec: EpisodeSpec, mode: Mode = "clip", control: str = "ee_delta", **changes: Any) -> SafetyFilter:
    """Returns a filter that guards an episode of the Panda with the limits of this file."""
    spec = dataclasses.replace(spec, control=action_spec(catalog.load("robot", "panda"), control))
    found = SafetyFilter(mode, dataclasses.replace(LIMITS, **changes))
    found.reset(spec)
    return found


def moved(found: Filtered) -> list[float]:
    """Returns the translation of an action of ee_delta in m."""
    return [round(0.05 * float(v), 6) for v in found.action[:3]]


# ------------------------------------------------------------------------------------------------------------------------- what passes
def test_an_action_within_the_limits_passes_bit_for_bit(two_blocks: EpisodeSpec) -> None:
    action = np.array([0.2, -0.1, 0.3, 0.1, 0.2, -0.1, 0.7], np.float32)
    for mode in ("clip", "stop", "off"):
        found = guard(two_blocks, mode).filter(action, proprio(), facts())
        assert found.verdict == PASSED and found.broken == () and np.array_equal(found.action, action)


def test_off_lets_everything_pass_that_the_environment_takes(two_blocks: EpisodeSpec) -> None:
    found = guard(two_blocks, "off").filter(np.ones(7, np.float32), proprio(), facts(500.0))
    assert found.verdict == PASSED and np.array_equal(found.action, np.ones(7))


def test_what_the_environment_refuses_is_refused_and_not_clipped(two_blocks: EpisodeSpec) -> None:
    with pytest.raises(BadAction, match="outside"):
        guard(two_blocks).filter(np.full(7, 1.5, np.float32), proprio(), facts())


def test_a_filter_wants_to_be_told_of_the_episode() -> None:
    with pytest.raises(BadSpec, match="reset it with its spec"):
        SafetyFilter("clip").filter(np.zeros(7, np.float32), proprio(), facts())


def test_an_unknown_mode_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UnknownName, match=r"no mode of the safety filter is called 'clipp'. Did you mean clip\? There are: clip, off, stop"):
        SafetyFilter("clipp")  # type: ignore[arg-type]


# ----------------------------------------------------------------------------------------------------------------------- hand, clipped
def test_a_hand_that_is_asked_to_go_too_fast_goes_the_same_way_more_slowly(two_blocks: EpisodeSpec) -> None:
    found = guard(two_blocks).filter(np.array([0.6, 0.8, 0, 0, 0, 0, 1], np.float32), proprio(), facts())  # 5 cm a step; 2 are allowed
    assert found.verdict == CLIPPED and found.broken == ("hand_speed",)
    assert moved(found) == [0.012, 0.016, 0.0] and found.action[6] == 1.0


def test_a_hand_turns_no_faster_than_it_may(two_blocks: EpisodeSpec) -> None:
    found = guard(two_blocks).filter(np.array([0, 0, 0, 0, 0, 1, 0], np.float32), proprio(), facts())  # 0.25 rad a step; 0.1 are allowed
    assert found.broken == ("hand_turn",) and found.action[5] == pytest.approx(0.4)


def test_a_hand_stops_at_the_wall_of_its_box_and_slides_along_it(two_blocks: EpisodeSpec) -> None:
    found = guard(two_blocks).filter(np.array([0.3, 0.2, 0, 0, 0, 0, 0], np.float32), proprio((0.595, 0.0, 0.2)), facts())
    assert found.broken == ("hand_box",) and moved(found) == [0.005, 0.01, 0.0]


def test_a_hand_that_is_outside_may_come_back_and_go_no_farther(two_blocks: EpisodeSpec) -> None:
    outside = proprio((0.7, 0.0, 0.2))
    assert guard(two_blocks).filter(np.array([-0.3, 0, 0, 0, 0, 0, 0], np.float32), outside, facts()).verdict == PASSED
    assert moved(guard(two_blocks).filter(np.array([0.3, 0, 0, 0, 0, 0, 0], np.float32), outside, facts())) == [0.0, 0.0, 0.0]


def test_what_was_clipped_passes_when_it_is_played_again(two_blocks: EpisodeSpec) -> None:
    first = guard(two_blocks).filter(np.array([1, 1, -1, 1, -1, 0.5, 0], np.float32), proprio((0.599, 0.0, 0.004)), facts())
    again = guard(two_blocks).filter(first.action, proprio((0.599, 0.0, 0.004)), facts())
    assert first.verdict == CLIPPED and again.verdict == PASSED and np.array_equal(again.action, first.action)


def test_absolute_poses_are_held_to_the_same_speed(two_blocks: EpisodeSpec) -> None:
    asked = np.array([0.5, 0.1, 0.2, 0, 1, 0, 0, -1], np.float32)
    found = guard(two_blocks, control="ee_pose").filter(asked, proprio(), facts())
    assert found.broken == ("hand_speed",) and found.action[:3] == pytest.approx([0.5, 0.02, 0.2])
    half_turn = np.array([0.5, 0, 0.2, 0, 0, 1, 0, -1], np.float32)
    turned = guard(two_blocks, control="ee_pose").filter(half_turn, proprio(), facts())
    assert turned.broken == ("hand_turn",) and abs(float(turned.action[3:7] @ [0, 1, 0, 0])) == pytest.approx(np.cos(0.05))


# ------------------------------------------------------------------------------------------------------------------------------- force
def test_a_hand_that_presses_too_hard_goes_back_the_way_it_came(two_blocks: EpisodeSpec) -> None:
    keeper = guard(two_blocks)
    down, way = np.array([0, 0, -0.2, 0, 0, 0, 1], np.float32), []
    for k in range(5):  # 1 cm a step
        keeper.filter(down, proprio((0.5, 0.0, 0.2 - 0.01 * k)), facts())
    height = 0.15
    for _ in range(3):
        found = keeper.filter(down, proprio((0.5, 0.0, height)), facts(100.0))
        assert found.verdict == CLIPPED and found.broken == ("force",) and found.action[6] == 1.0
        height += moved(found)[2]
        way.append(round(height, 4))
    assert way == [0.17, 0.19, 0.2], "two commands a step, to where the way begins"


def test_a_hand_that_is_stuck_where_its_way_ends_is_left_to_the_policy(two_blocks: EpisodeSpec) -> None:
    keeper = guard(two_blocks)
    away = np.array([0, 0, 1, 0, 0, 0, 0], np.float32)
    found = keeper.filter(away, proprio(), facts(100.0))
    assert found.verdict == CLIPPED and moved(found) == [0.0, 0.0, 0.005], "at a quarter of its speed"


def test_whoever_pressed_too_hard_is_slow_for_a_second(two_blocks: EpisodeSpec) -> None:
    keeper, quick = guard(two_blocks), np.array([0.4, 0, 0, 0, 0, 0, 0], np.float32)
    keeper.filter(quick, proprio(), facts(100.0))
    speeds = [moved(keeper.filter(quick, proprio(), facts()))[0] for _ in range(21)]
    assert speeds == [0.005] * 19 + [0.02] * 2


def test_the_force_on_what_the_goal_names_is_not_limited(two_blocks: EpisodeSpec) -> None:
    found = guard(two_blocks, "stop").filter(np.zeros(7, np.float32), proprio(lead=(0, 0, -0.04)), facts(400.0, kind="robot_target"))
    assert found.verdict == PASSED


def test_the_force_on_a_person_is_limited_even_where_the_goal_names_it(two_blocks: EpisodeSpec) -> None:
    someone = FixtureSpec(name="bystander", asset="cabinet_oak", pos_world=(0.8, 0.5, 0.0), yaw_rad=0.0)
    beside = dataclasses.replace(two_blocks, scene=dataclasses.replace(two_blocks.scene, fixtures=(someone,)))
    touch = facts(60.0, kind="robot_target", other="bystander", person_n=60.0)
    assert guard(beside, "stop").filter(np.zeros(7, np.float32), proprio(), touch).broken == ("force",)


def test_steps_are_shortened_in_their_direction() -> None:
    assert shortened(np.array([3.0, 4.0, 0.0]), 1.0) == pytest.approx([0.6, 0.8, 0.0])


# -------------------------------------------------------------------------------------------------------------------------------- stop
@pytest.mark.parametrize(
    ("action", "force_n", "broken"),
    [
        ([1, 0, 0, 0, 0, 0, 1], 0.0, "hand_speed"),
        ([0, 0, 0, 1, 0, 0, 1], 0.0, "hand_turn"),
        ([0, 0, 0, 0, 0, 0, 1], 50.5, "force"),
    ],
)
def test_stop_holds_the_robot_where_it_is(two_blocks: EpisodeSpec, action: list[float], force_n: float, broken: str) -> None:
    keeper = guard(two_blocks, "stop")
    assert keeper.filter(np.array([0, 0, 0, 0, 0, 0, 0.5], np.float32), proprio(), facts()).verdict == PASSED
    found = keeper.filter(np.array(action, np.float32), proprio(lead=(0, 0, -0.02)), facts(force_n))
    assert found.verdict == STOPPED and found.broken == (broken,)
    assert found.action.tolist() == [0, 0, 0, 0, 0, 0, 0.5], "the gripper keeps what it was last asked for"


# ------------------------------------------------------------------------------------------------------------------------------ joints
def test_joints_are_held_to_a_share_of_their_speed(two_blocks: EpisodeSpec) -> None:
    robot = catalog.load("robot", "panda")
    step = 0.5 * robot.joint_speed_max_rad_s[6] / 20.0
    keeper = guard(two_blocks, control="joint_delta", hand_turn_rad_s=9.0)
    asked = np.zeros(8, np.float32)
    asked[6] = 1.0  # 0.1 rad of the last joint, which leaves the hand where it is
    found = keeper.filter(asked, proprio(), facts())
    assert found.broken == ("joint_speed",) and 0.1 * found.action[6] == pytest.approx(step)


def test_joints_are_held_back_until_the_hand_keeps_to_its_speed(two_blocks: EpisodeSpec) -> None:
    robot, arm = catalog.load("robot", "panda"), kinematics("panda")
    home = np.array(robot.home_qpos)
    asked = np.append(home, -1.0)
    asked[0] += 0.054  # within the joint's speed; 0.5 m away from its axis the hand would do 2.7 cm
    keeper = guard(two_blocks, control="joint_position")
    found = keeper.filter(asked.astype(np.float32), proprio(), facts())
    way = np.linalg.norm(arm.forward(found.action[:7].astype(float)).pos - arm.forward(home).pos)
    assert found.broken == ("hand_speed",) and 0.019 < way < 0.02003


def test_joints_that_press_too_hard_go_back_the_way_they_came(two_blocks: EpisodeSpec) -> None:
    robot = catalog.load("robot", "panda")
    keeper = guard(two_blocks, control="joint_position", hand_speed_m_s=9.0, hand_turn_rad_s=9.0)
    home = np.array(robot.home_qpos, np.float32)
    for k in range(4):
        asked = np.append(home, -1.0).astype(np.float32)
        asked[3] -= 0.01 * k
        assert keeper.filter(asked, proprio(), facts()).verdict == PASSED
    found = keeper.filter(asked, proprio(), facts(100.0))
    assert found.broken == ("force",) and found.action[3] == pytest.approx(home[3] - 0.01, abs=1e-6)


# -------------------------------------------------------------------------------------------------------------------- base and posture
def _component(name: str, convention: str, low: tuple[float, ...], high: tuple[float, ...]) -> ActionComponent:
    return ActionComponent(name=name, size=len(low), convention=convention, frame="base", unit="1", scale=1.0, low=low, high=high)


def test_a_gliding_base_keeps_to_its_speed_and_its_room() -> None:
    component = _component("navigate_command", "planar_velocity", (-0.5, -0.5, -1.0), (0.5, 0.5, 1.0))
    base = Glide(component, 0.2, 0.4, Box(low_m=(-1.0, -1.0), high_m=(0.5, 1.0)), 0.05)
    here = {"base_pose_m_rad": np.array([0.0, 0.0, 0.0], np.float32)}
    slowed = base.allow(np.array([0.3, 0.4, -1.0]), here, FREE)
    assert slowed.values == pytest.approx([0.12, 0.16, -0.4]) and slowed.broken == ("base_speed",)
    # Turned to the left, it glides to the right of the start: its own forward is the start's +y, and its right the wall.
    at_wall = {"base_pose_m_rad": np.array([0.499, 0.0, np.pi / 2], np.float32)}
    stopped = base.allow(np.array([0.1, -0.1, 0.0]), at_wall, FREE)
    assert stopped.broken == ("base_box",) and stopped.values == pytest.approx([0.1, -0.02, 0.0], abs=1e-4)


def test_a_base_that_presses_backs_off() -> None:
    component = _component("navigate_command", "planar_velocity", (-0.5, -0.5, -1.0), (0.5, 0.5, 1.0))
    base = Glide(component, 0.4, 1.0, Box(low_m=(-1.0, -1.0), high_m=(1.0, 1.0)), 0.05)
    here = {"base_pose_m_rad": np.zeros(3, np.float32)}
    base.done(np.array([0.3, 0.0, 0.0]))
    for _ in range(2):  # until nothing presses any more
        found = base.allow(np.array([0.3, 0.1, 0.0]), here, Touch(1.5, 0.25))
        assert found.values == pytest.approx([-0.08, 0.0, 0.0]) and found.broken == ("force",)
        base.done(found.values)
    assert base.allow(np.array([0.3, 0.1, 0.0]), here, Touch(0.9, 1.0)).broken == ()


def test_a_body_does_not_squat_into_what_it_presses_on() -> None:
    height = Posture(_component("base_height_command", "height", (-0.3,), (0.0,)))
    for asked in (-0.05, -0.10, -0.15):
        assert height.allow(np.array([asked]), {}, FREE) == (np.array([asked]), ())
        height.done(np.array([asked]))
    found = height.allow(np.array([-0.25]), {}, Touch(2.0, 0.25))
    assert found.values == pytest.approx([-0.05]) and found.broken == ("force",)


# ---------------------------------------------------------------------------------------------------------------------------- the data
@pytest.mark.parametrize("robot", catalog.names("robot"))
def test_every_robot_has_limits_each_with_its_reason_and_starts_within_them(robot: str) -> None:
    limits = limits_of(robot)
    given = {f.name for f in dataclasses.fields(limits) if f.name != "why" and getattr(limits, f.name) is not None}
    assert set(limits.why) == given and all(limits.why.values())
    body = catalog.load("robot", robot)
    assert ("planar" in body.bases) == (limits.base_speed_m_s is not None) == (limits.base_box_m is not None)
    assert limits.joint_speed_share <= 1.0


OUTSIDERS = """
import dataclasses
from vlagym.envs.robots.panda import ROBOT as PANDA
from vlagym.envs.safety_limits import limits_of
BARE = dataclasses.replace(PANDA, name="bare")
GUARDED = dataclasses.replace(PANDA, name="guarded", safety=dataclasses.replace(limits_of("panda"), force_n=10.0))
"""


def test_an_outsiders_robot_brings_its_limits_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "guarded_arms.py").write_text(OUTSIDERS)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert limits_of("guarded_arms:GUARDED").force_n == 10.0
    with pytest.raises(BadData, match=r"'guarded_arms:BARE' has no safety limits.*Leave --safety off, or give it some: in Robot.safety, or in"):
        limits_of("guarded_arms:BARE")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('[hand_sped_m_s]\nvalue = 1.0\nwhy = "so"\n', "no safety limit is called 'hand_sped_m_s'. Did you mean hand_speed_m_s"),
        ("[hand_speed_m_s]\nvalue = 1.0\n", "holds value; it wants value, why"),
        ('[hand_speed_m_s]\nvalue = 1.0\nwhy = "so"\n', "lacks the key 'hand_turn_rad_s'"),
    ],
)
def test_a_wrong_file_of_limits_is_answered_with_what_is_wrong(tmp_path: Path, text: str, complaint: str) -> None:
    (tmp_path / "safety.toml").write_text(text)
    with pytest.raises(BadData, match=complaint):
        read_limits(tmp_path / "safety.toml")


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"force_n": 0.0}, "force_n is 0; it must be a finite number above 0"),
        ({"hand_box_m": Box(low_m=(0.0, 0.0, 1.0), high_m=(1.0, 1.0, 0.0))}, "it wants 3 pairs low < high"),
        ({"why": {}}, "lacks its reason"),
    ],
)
def test_limits_that_cannot_be_are_refused(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(BadData, match=complaint):
        dataclasses.replace(LIMITS, **changes)


# ----------------------------------------------------------------------------------------------------------------- in the environment
def test_an_environment_with_a_filter_says_what_was_executed_and_which_limits_would_have_been_broken() -> None:
    env = VlaEnv("pick_up", cameras=(), safety="clip")
    env.reset(seed=3)
    *_, info = env.step(np.array([0, 0, 1, 0, 0, 0, -1], np.float32))  # 1 m/s
    assert info["broken_limits"] == ("hand_speed",) and info["executed_action"][2] == pytest.approx(0.6) and info["ended_by"] is None
    *_, info = env.step(np.zeros(7, np.float32))
    assert info["broken_limits"] == () and not info["executed_action"].any()
    env.close()


def test_an_environment_with_a_filter_that_stops_ends_the_episode() -> None:
    env = VlaEnv("pick_up", cameras=(), safety="stop")
    env.reset(seed=3)
    _, reward, terminated, truncated, info = env.step(np.array([0, 0, 1, 0, 0, 0, -1], np.float32))
    assert (reward, terminated, truncated, info["ended_by"]) == (0.0, True, False, "stop")
    env.close()


def test_an_environment_without_a_filter_says_nothing_of_one() -> None:
    env = VlaEnv("pick_up", cameras=())
    env.reset(seed=3)
    assert "executed_action" not in env.step(np.zeros(7, np.float32))[-1]
    env.close()


@pytest.mark.parametrize(
    ("task", "robot", "base", "control"),
    [
        ("pick_up", "panda", "fixed", "ee_delta"),
        ("pick_up", "panda", "fixed", "ee_pose"),
        ("pick_up", "panda", "fixed", "joint_delta"),
        ("touch_with", "g1", "planar", "bimanual_ee_delta"),
        ("touch_with", "g1", "legs", "joint_position"),
    ],
)
def test_what_was_let_pass_is_let_pass_again(task: str, robot: str, base: str, control: str) -> None:
    env = VlaEnv(task, robot=robot, base=base, control=control, cameras=(), safety="clip")
    rng = np.random.default_rng(5)
    env.reset(seed=4)
    executed: list[Any] = []
    is_clipped = False
    while len(executed) < 60:
        *_, terminated, _, info = env.step(rng.uniform(env.action_space.low, env.action_space.high).astype(np.float32))  # type: ignore[attr-defined]
        executed.append(info["executed_action"])
        is_clipped |= bool(info["broken_limits"])
        if terminated:
            break
    env.reset(seed=4)
    for action in executed:
        *_, info = env.step(action)
        assert np.abs(info["executed_action"] - action).max() < 1e-5, info["broken_limits"]
    env.close()
    assert is_clipped
