"""Both hands go where they are wanted, by waist and arms, within limits, and the robot does not touch itself."""

import time
from collections.abc import Mapping

import numpy as np
import pytest

from vlagym.envs import catalog
from vlagym.envs.errors import BadSpec, UnknownName
from vlagym.envs.frames import Pose, conjugate, from_axis_angle, multiply, pose, rotate, to_axis_angle
from vlagym.envs.whole_body import HandTarget, WholeBody, pointing, whole_body
from vlagym.envs.whole_body_model import moving_joints, skeleton

ROBOTS = ("g1", "cmu_humanoid", "panda_bimanual")


def _near_home(body: WholeBody, rng: np.random.Generator, width_rad: float = 0.5) -> np.ndarray:
    moves = np.isin(body.robot.joints, moving_joints(body.robot))
    q = body.home + np.where(moves, rng.uniform(-width_rad, width_rad, len(body.home)), 0.0)
    return np.clip(q, body.low + 0.02, body.high - 0.02)


def _apart(one: Pose, other: Pose) -> tuple[float, float]:
    turn = to_axis_angle(multiply(one.quat, conjugate(other.quat)))
    return float(np.linalg.norm(one.pos - other.pos)), float(np.linalg.norm(turn))


def _smallest_gap_m(body: WholeBody, q: np.ndarray) -> float:
    import mujoco

    frame = skeleton(body.robot)
    data = mujoco.MjData(frame.model)
    data.qpos[:] = [q[body.robot.joints.index(joint)] for joint in frame.joints]
    mujoco.mj_kinematics(frame.model, data)
    return float(min(mujoco.mj_geomDistance(frame.model, data, a, b, 0.2, None) for a, b in frame.geom_pairs))


@pytest.mark.parametrize("name", ROBOTS)
def test_poses_of_postures_are_reached_again(name: str) -> None:
    body, rng = whole_body(name), np.random.default_rng(1)
    reached = 0
    for _ in range(20):
        targets = body.forward(_near_home(body, rng, 0.4))
        found = body.solve(targets)
        for side, there in body.forward(found.q).items():
            position, rotation = _apart(there, targets[side])
            assert position == pytest.approx(found.position_m[side], abs=1e-9) and rotation == pytest.approx(found.rotation_rad[side], abs=1e-9)
        reached += found.is_near()
    assert reached >= 18


@pytest.mark.parametrize("name", ROBOTS)
def test_the_full_model_agrees_on_where_the_hands_are(name: str) -> None:
    import mujoco

    robot = catalog.load("robot", name)
    body, spec = whole_body(name), mujoco.MjSpec()
    spec.compiler.degree = False
    robot.add(spec, None)
    model = spec.compile()
    data = mujoco.MjData(model)
    q = _near_home(body, np.random.default_rng(2))
    data.qpos[[int(model.joint(joint).qposadr[0]) for joint in robot.joints]] = q
    mujoco.mj_kinematics(model, data)
    base = model.body(robot.base_body).id
    in_base = Pose(data.xpos[base].copy(), data.xquat[base].copy()).inverse()
    poses = body.forward(q)
    for hand in robot.end_effectors:
        site = model.site(hand.site).id
        assert np.allclose(poses[hand.side].pos, in_base.apply(data.site_xpos[site]), atol=1e-9)


@pytest.mark.parametrize("name", ROBOTS)
def test_a_step_keeps_joint_limits_and_speeds(name: str) -> None:
    body = whole_body(name)
    q, speed = body.home, np.array(body.robot.joint_speed_max_rad_s)
    far = {side: pose(here.pos + [0.6, 0.0, 0.6], here.quat) for side, here in body.forward(q).items()}
    for _ in range(60):
        after = body.step(q, far, 0.05)
        assert (np.abs(after - q) <= speed * 0.05 + 1e-9).all()
        moved = after != q
        assert (after[moved] >= body.low[moved]).all() and (after[moved] <= body.high[moved]).all()
        q = after


def test_legs_and_the_arm_that_is_not_asked_stay_as_they_are() -> None:
    body = whole_body("g1")
    here = body.forward(body.home)["left"]
    q = body.solve({"left": pose(here.pos + [0.05, 0.05, 0.1], here.quat)}).q
    moved = {joint for joint, change in zip(body.robot.joints, np.abs(q - body.home), strict=True) if change > 1e-6}
    assert moved and moved <= {*body.robot.group("waist").joints, *body.robot.group("left_arm").joints}
    q = body.solve({"left": pose(here.pos + [0.03, 0.03, 0.05], here.quat)}, hold=("waist",)).q
    moved = {joint for joint, change in zip(body.robot.joints, np.abs(q - body.home), strict=True) if change > 1e-6}
    assert moved and moved <= set(body.robot.group("left_arm").joints)


def test_the_waist_moves_less_than_the_arms_where_both_can_do_it() -> None:
    body = whole_body("g1")
    q = body.solve({side: pose(here.pos + [0.03, 0.0, 0.05], here.quat) for side, here in body.forward(body.home).items()}).q
    change = dict(zip(body.robot.joints, np.abs(q - body.home), strict=True))
    waist, arms = ([change[j] for j in joints] for joints in (body.robot.group("waist").joints, body.robot.group("left_arm").joints))
    assert max(waist) < 0.5 * max(arms)


def test_a_hand_reaches_farther_where_its_turn_is_free() -> None:
    body = whole_body("g1")
    here = body.forward(body.home)["left"]
    wrong = pose(here.pos, multiply(from_axis_angle([0.0, 2.5, 0.0]), here.quat))
    assert not body.reaches("left", wrong)
    assert body.reaches("left", HandTarget(wrong, "free"))
    about = body.robot.hand("left").point_axis
    rolled = HandTarget(pose(here.pos, multiply(here.quat, from_axis_angle(1.5 * np.array(about)))), "axis", about)
    found = body.solve({"left": rolled})
    assert found.is_near()
    assert rotate(body.forward(found.q)["left"].quat, np.array(about)) == pytest.approx(rotate(here.quat, np.array(about)), abs=0.05)


def test_hands_that_are_sent_into_each_other_stay_apart() -> None:
    body = whole_body("g1")
    home = body.forward(body.home)
    meet = (home["left"].pos + home["right"].pos) / 2
    into: Mapping[str, Pose] = {side: pose(meet, here.quat) for side, here in home.items()}
    q = through = body.home
    for _ in range(60):
        q = body.step(q, into)
        through = body.step(through, into, avoid=False)
    assert _smallest_gap_m(body, through) < 0.0
    assert _smallest_gap_m(body, q) > 0.0
    q = body.step(through, home, None, iterations=30)
    assert _smallest_gap_m(body, q) > 0.0, "a posture in which the hands are inside each other has a way out"


def test_on_legs_hands_keep_off_knees_that_bend() -> None:
    import mujoco

    body = whole_body("g1", "legs")
    q = body.home.copy()
    bent = {"hip_pitch": -1.9, "knee": 1.9, "ankle_pitch": -0.6}
    for side in body.sides:
        for joint, angle in bent.items():
            q[body.robot.joints.index(f"{side}_{joint}_joint")] = angle
    frame = skeleton(body.robot, True)
    data = mujoco.MjData(frame.model)

    def thigh(side: str) -> np.ndarray:
        data.qpos[:] = [q[body.robot.joints.index(joint)] for joint in frame.joints]
        mujoco.mj_kinematics(frame.model, data)
        return np.array(data.body(f"{side}_knee_link").xpos)

    into = {side: HandTarget(pose(thigh(side)), "free") for side in body.sides}
    through = body.solve(into, q, avoid=False)
    kept = body.solve(into, q)
    assert through.is_near(0.02) and not kept.is_near(0.02)
    gaps = []
    for found in (through, kept):
        data.qpos[:] = [found.q[body.robot.joints.index(joint)] for joint in frame.joints]
        mujoco.mj_kinematics(frame.model, data)
        gaps.append(min(mujoco.mj_geomDistance(frame.model, data, a, b, 0.2, None) for a, b in frame.geom_pairs))
        legs = [body.robot.joints.index(joint) for joint in body.robot.group("left_leg").joints]
        assert np.array_equal(found.q[legs], q[legs])
    assert gaps[0] < 0.0 < gaps[1]


def test_a_pelvis_that_moved_is_made_up_for() -> None:
    body, pelvis = whole_body("g1"), pose([-0.03, 0.02, -0.10], from_axis_angle([0.0, 0.2, 0.0]))
    targets = body.forward(body.home)
    found = body.solve(targets, pelvis=pelvis)
    assert found.is_near()
    for side, there in body.forward(found.q, pelvis).items():
        assert np.linalg.norm(there.pos - targets[side].pos) < 5e-3
        assert np.allclose((pelvis @ body.forward(found.q)[side]).pos, there.pos)


def test_nothing_is_remembered_from_one_call_to_the_next() -> None:
    fresh, used = WholeBody(catalog.load("robot", "g1")), WholeBody(catalog.load("robot", "g1"))
    rng = np.random.default_rng(3)
    target = fresh.forward(_near_home(fresh, rng))
    used.solve(used.forward(_near_home(used, rng)))
    used.step(used.home, {"left": HandTarget(target["left"], "free")}, hold=("waist",))
    assert np.array_equal(fresh.step(fresh.home, target), used.step(used.home, target))
    assert np.array_equal(fresh.solve(target).q, used.solve(target).q)


def test_pointing_turns_a_hand_no_farther_than_it_must() -> None:
    near = from_axis_angle([0.0, 0.0, 0.3])
    aimed = pointing(np.array([0.1, 0.2, 0.3]), np.array([0.0, 0.0, 5.0]), (1.0, 0.0, 0.0), near)
    assert rotate(aimed.quat, np.array([1.0, 0.0, 0.0])) == pytest.approx([0.0, 0.0, 1.0], abs=1e-12)
    assert np.linalg.norm(to_axis_angle(multiply(aimed.quat, conjugate(near)))) == pytest.approx(np.pi / 2)
    same = pointing(np.zeros(3), rotate(near, np.array([1.0, 0.0, 0.0])), (1.0, 0.0, 0.0), near)
    assert same.quat == pytest.approx(near)
    back = pointing(np.zeros(3), -rotate(near, np.array([1.0, 0.0, 0.0])), (1.0, 0.0, 0.0), near)
    assert rotate(back.quat, np.array([1.0, 0.0, 0.0])) == pytest.approx(-rotate(near, np.array([1.0, 0.0, 0.0])), abs=1e-12)


def test_what_does_not_exist_is_answered_with_what_does() -> None:
    body = whole_body("g1")
    here = body.forward(body.home)["left"]
    with pytest.raises(UnknownName, match=r"no hand of g1 is called 'lefft'\. Did you mean left\? There are: left, right"):
        body.step(body.home, {"lefft": here})
    with pytest.raises(UnknownName, match=r"no moving joint group of g1 is called 'left_leg'.*There are: left_arm, right_arm, waist"):
        body.step(body.home, {"left": here}, hold=("left_leg",))
    with pytest.raises(BadSpec, match="panda has no joint group of kind 'arm'"):
        WholeBody(catalog.load("robot", "panda"))
    with pytest.raises(BadSpec, match="panda_bimanual has no base 'legs'; it has: fixed"):
        WholeBody(catalog.load("robot", "panda_bimanual"), "legs")


@pytest.mark.parametrize("name", ROBOTS)
def test_a_control_step_of_both_hands_takes_a_fraction_of_a_millisecond(name: str) -> None:
    body = whole_body(name)
    q, times = body.home, []
    home = body.forward(q)
    for k in range(60):
        way = 0.03 * np.array([np.sin(k / 8), np.cos(k / 8) - 1.0, np.sin(k / 11)])
        begin = time.process_time()
        q = body.step(q, {side: pose(here.pos + way, here.quat) for side, here in home.items()})
        times.append(time.process_time() - begin)
    assert np.median(times) < 2e-3  # 0.16 ms on an idle core
