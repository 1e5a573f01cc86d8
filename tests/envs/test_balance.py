"""A robot on its legs stands, squats, leans and answers pushes with its feet alone; what is said of support, slips and falls is true."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from vlagym.envs import catalog
from vlagym.envs.balance import HEIGHT_SPEED_M_S, Balance
from vlagym.envs.bases import mount, root_qpos
from vlagym.envs.errors import BadSpec
from vlagym.envs.ground_forces import GroundForces, Sole
from vlagym.envs.robot import Robot
from vlagym.envs.support import convex_hull, has_fallen, slip_m, support_margin_m
from vlagym.envs.sway import Rest, Sway

FLOOR_M = -0.78
DT_S = 0.002
SQUARE = np.array([[0.0, 0.0], [2.0, 0.0], [2.0, 1.0], [0.0, 1.0]])


# ------------------------------------------------------------------------------------------------------------------- support
def test_the_hull_leaves_out_what_lies_inside_and_on_edges() -> None:
    points = np.array([*SQUARE, [1.0, 0.5], [1.0, 0.0], [0.0, 0.0]])
    assert {tuple(corner) for corner in convex_hull(points)} == {tuple(corner) for corner in SQUARE}
    assert len(convex_hull(np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]]))) == 2
    assert len(convex_hull(np.array([[1.0, 2.0], [1.0, 2.0]]))) == 1


@pytest.mark.parametrize(
    ("point", "margin"),
    [((1.0, 0.5), 0.5), ((0.25, 0.5), 0.25), ((1.9, 0.9), 0.1), ((2.0, 0.5), 0.0), ((2.5, 0.5), -0.5), ((5.0, 5.0), -5.0), ((-3.0, -4.0), -5.0)],
)
def test_the_margin_is_the_way_to_the_nearest_edge(point: tuple[float, float], margin: float) -> None:
    assert support_margin_m(np.array(point), SQUARE) == pytest.approx(margin)
    assert support_margin_m(np.array(point), SQUARE[::-1]) == pytest.approx(margin)


def test_a_line_or_a_point_supports_nothing() -> None:
    assert support_margin_m(np.array([1.0, 1.0]), SQUARE[:2]) == pytest.approx(-1.0)
    assert support_margin_m(np.array([3.0, 4.0]), SQUARE[:1]) == pytest.approx(-5.0)


def test_a_sole_slides_as_far_as_its_corner_that_moved_least() -> None:
    before = np.stack([SQUARE, SQUARE + [0.0, 3.0]])
    on = np.ones((2, 4), bool)
    assert slip_m(before, before, on) == 0.0
    assert slip_m(before, before + [0.03, 0.04], on) == pytest.approx(0.05)
    tipped = before.copy()
    tipped[0, :2] += [0.0, 0.1]
    assert slip_m(before, tipped, on) == 0.0, "a foot that tips about its other edge does not slide"
    moved = before.copy()
    moved[1] += [0.2, 0.0]
    assert slip_m(before, moved, np.array([[True] * 4, [False] * 4])) == 0.0, "a foot in the air may move"
    assert slip_m(before, moved, ~on) == 0.0


@pytest.mark.parametrize(
    ("height_m", "tilt_rad", "commanded_rad", "lies", "fallen"),
    [
        (0.78, 0.0, 0.0, False, False),
        (0.48, 0.5, 0.5, False, False),
        (0.34, 0.0, 0.0, False, True),
        (0.60, 1.1, 0.0, False, True),
        (0.60, 1.1, 0.5, False, False),
        (0.78, 0.0, 0.0, True, True),
    ],
)
def test_a_body_has_fallen_that_is_low_or_tilted_or_lies(height_m: float, tilt_rad: float, commanded_rad: float, lies: bool, fallen: bool) -> None:
    assert has_fallen(pelvis_height_m=height_m, standing_height_m=0.78, tilt_rad=tilt_rad, commanded_tilt_rad=commanded_rad, lies=lies) == fallen


# ---------------------------------------------------------------------------------------------------------------------- parts
SOLES = [Sole(np.array([0.0, 0.12, 0.0]), np.eye(3)), Sole(np.array([0.0, -0.12, 0.0]), np.eye(3))]
ABOUT = np.array([0.0, 0.0, 0.7])


def test_ground_forces_add_up_to_what_is_wanted_where_feet_can_give_it() -> None:
    ground = GroundForces([(0.08, 0.02)] * 2)
    wrench = np.array([10.0, -15.0, 340.0, 12.0, 8.0, 1.0])
    forces = ground.solve(SOLES, ABOUT, wrench, np.ones(6))
    moment = forces[:, 3:].sum(axis=0) + sum(np.cross(sole.centre - ABOUT, force[:3]) for sole, force in zip(SOLES, forces, strict=True))
    assert np.concatenate([forces[:, :3].sum(axis=0), moment]) == pytest.approx(wrench, abs=0.5)


def test_ground_forces_never_leave_the_soles_or_friction() -> None:
    ground = GroundForces([(0.08, 0.02)] * 2)
    for wrench in ([200.0, 0.0, 340.0, 0.0, 90.0, 0.0], [0.0, 400.0, 300.0, -200.0, 0.0, 40.0], [0.0, 0.0, -500.0, 0.0, 0.0, 0.0]):
        for force in ground.solve(SOLES, ABOUT, np.array(wrench), np.ones(6)):
            load = force[2]
            assert load >= 5.0 - 1e-6
            assert np.abs(force[:2]).max() <= 0.7 * load + 1e-6
            assert abs(force[4]) <= 0.08 * load + 1e-6 and abs(force[3]) <= 0.02 * load + 1e-6


def test_a_body_at_rest_is_left_alone_and_one_that_sways_is_pressed_back() -> None:
    sway, still = Sway(34.0, 0.7, 1.6), Rest(0.0, 0.0, 0.0)
    limits = (0.08, 100.0, 0.8)
    calm = sway.answer(np.zeros(4), still, *limits)
    assert calm.pressure_m == pytest.approx(0.0, abs=1e-9) and calm.moment_nm == pytest.approx(0.0, abs=1e-9)
    forward = sway.answer(np.array([0.01, 0.0, 0.0, 0.0]), still, *limits)
    backward = sway.answer(np.array([-0.01, 0.0, 0.0, 0.0]), still, *limits)
    assert 0.01 < forward.pressure_m < 0.08 and forward.pressure_m == pytest.approx(-backward.pressure_m)
    assert sway.answer(np.array([0.05, 0.3, 0.0, 0.0]), still, *limits).pressure_m == pytest.approx(0.08)
    assert sway.answer(np.array([0.05, 0.3, 0.0, 0.0]), still, *limits).moment_nm > 10.0, "beyond what the feet can do it bows"
    assert sway.answer(np.array([0.0, 0.0, 0.2, 0.0]), still, *limits).moment_nm < 0.0, "a trunk that is bowed is raised"


def test_a_pushed_body_rests_against_the_push() -> None:
    sway = Sway(34.0, 0.7, 1.6)
    rest = sway.rest(-0.7, 0.0, 0.06, 0.08)
    assert (rest.place_m, rest.pressure_m, rest.moment_nm) == pytest.approx((0.7 * 0.7 / 9.81, 0.0, 0.0))  # g / h x = push
    far = sway.rest(-1.5, 0.0, 0.06, 0.08)
    assert far.place_m == pytest.approx(0.06) and far.pressure_m == pytest.approx(0.06 - 1.5 * 0.7 / 9.81), "where it can lean no farther it presses"


# ---------------------------------------------------------------------------------------------------------------- the whole body
class _Standing:
    """A G1 on a floor, its arms as they are told."""

    def __init__(self, load_kg: float = 0.0, start: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> None:
        import mujoco

        self.robot: Robot = catalog.load("robot", "g1")
        spec = mujoco.MjSpec()
        spec.compiler.degree = False
        spec.option.timestep, spec.option.impratio = DT_S, 10.0
        spec.option.integrator, spec.option.cone = mujoco.mjtIntegrator.mjINT_IMPLICITFAST, mujoco.mjtCone.mjCONE_ELLIPTIC
        spec.worldbody.add_geom(name="floor", type=mujoco.mjtGeom.mjGEOM_PLANE, size=(3, 3, 0.1), pos=(0, 0, FLOOR_M))
        self.robot.add(spec, None)
        mount(spec, self.robot, "legs", start, FLOOR_M)
        if load_kg:
            body = spec.body("left_wrist_yaw_link").add_body(name="load", pos=(0.12, 0, 0))
            body.add_geom(type=mujoco.mjtGeom.mjGEOM_SPHERE, size=(0.02, 0, 0), mass=load_kg, contype=0, conaffinity=0)
        self.model = spec.compile()
        self.data = mujoco.MjData(self.model)
        model, data = self.model, self.data
        address = int(model.joint("root").qposadr[0])
        data.qpos[address : address + 7] = root_qpos(self.robot, start, FLOOR_M)
        for joint, angle in zip(self.robot.joints, self.robot.home_qpos, strict=True):
            data.qpos[model.joint(joint).qposadr[0]] = angle
        self.balance = Balance(self.robot, model)
        self.driven = [joint for joint in self.robot.joints if joint not in self.balance.joints]
        self.target = np.array([self.robot.home_qpos[self.robot.joints.index(joint)] for joint in self.driven])
        self._ctrl = np.array([model.actuator(joint).id for joint in self.driven])
        self._dof = np.array([int(model.joint(joint).dofadr[0]) for joint in self.driven])
        self.balance.reset(data)
        self._substep = 0
        self.slip_m = 0.0
        self.margin_m = 1.0

    def run(self, time_s: float, push: tuple[float, float] | None = None, arms: Callable[[float], Any] | None = None) -> bool:
        """Simulates, pushing the torso with (N, direction) for the first 0.1 s; returns whether it still stands."""
        import mujoco

        model, data = self.model, self.data
        torso, gain = model.body("torso_link").id, model.actuator_gainprm[self._ctrl, 0]
        for i in range(round(time_s / DT_S)):
            if arms is not None and i % 25 == 0:
                self.target = arms(i * DT_S)
            data.ctrl[self._ctrl] = self.target + data.qfrc_bias[self._dof] / gain
            if self._substep % self.balance.every == 0:
                self.balance.update(data)
            data.xfrc_applied[torso, :2] = 0.0
            if push is not None and i * DT_S < 0.1:
                data.xfrc_applied[torso, :2] = push[0] * np.array([np.cos(push[1]), np.sin(push[1])])
            mujoco.mj_step(model, data)
            self._substep += 1
            if i % 25 == 24:
                self.slip_m = max(self.slip_m, self.balance.foot_slip_m(data))
                self.margin_m = min(self.margin_m, self.balance.com_margin_m(data))
                if self.balance.is_fallen(data):
                    return False
        return True

    def leg_share(self) -> float:
        """Returns how near a knee or ankle is to its limits: 0 in the middle, 1 at a limit."""
        shares = []
        for name in self.balance.joints:
            joint = self.model.joint(name)
            low, high = joint.range
            shares.append(abs(2.0 * (float(self.data.qpos[joint.qposadr[0]]) - low) / (high - low) - 1.0))
        return float(max(shares))


def test_it_stands_still() -> None:
    robot = _Standing()
    assert robot.run(4.0)
    assert robot.slip_m < 1e-4 and robot.margin_m > 0.06
    assert abs(robot.balance.height_m(robot.data)) < 2e-3 and abs(robot.balance.lean_rad(robot.data)) < 5e-3
    assert np.abs(robot.data.qvel[:6]).max() < 2e-3


def test_nothing_but_its_feet_holds_it_up() -> None:
    robot = _Standing()
    assert robot.run(1.0)
    model, data = robot.model, robot.data
    assert not data.xfrc_applied.any() and not data.qfrc_applied.any() and not model.body_gravcomp.any() and model.neq == 0
    joints = {model.joint(int(j)).name for j in model.actuator_trnid[:, 0]}
    assert "root" not in joints
    touching = {model.body(int(model.geom_bodyid[g])).name for pair in data.contact.geom for g in pair}
    assert touching <= {"world", *(foot.body for foot in robot.robot.stance.feet)}  # type: ignore[union-attr]
    limits = model.actuator_forcerange[:, 1]
    assert (np.abs(data.actuator_force) <= limits + 1e-9).all()
    motors = [model.actuator(joint).id for joint in robot.balance.joints]
    model.actuator_gainprm[motors], model.actuator_biasprm[motors] = 0.0, 0.0
    assert not robot.run(2.0), "with limp legs it falls"


def test_it_squats_and_leans_as_commanded_and_comes_back() -> None:
    robot = _Standing()
    robot.balance.command(-0.30, 0.5)
    assert robot.run(0.5)
    assert robot.balance.height_m(robot.data) > -0.5 * HEIGHT_SPEED_M_S - 0.01, "no faster than it may"
    assert robot.run(3.5)
    assert robot.balance.height_m(robot.data) == pytest.approx(-0.30, abs=0.01)
    assert robot.balance.lean_rad(robot.data) == pytest.approx(0.5, abs=0.02)
    assert robot.leg_share() < 0.98
    robot.balance.command(0.0, 0.0)
    assert robot.run(4.0)
    assert robot.balance.height_m(robot.data) == pytest.approx(0.0, abs=0.01)
    assert robot.balance.lean_rad(robot.data) == pytest.approx(0.0, abs=0.02)
    assert robot.slip_m < 1e-3 and robot.margin_m > 0.05


def test_a_deep_squat_with_an_upright_torso_leans_as_far_as_its_ankles_need() -> None:
    robot = _Standing()
    robot.balance.command(-0.30, 0.0)
    assert robot.run(4.0)
    assert robot.balance.height_m(robot.data) == pytest.approx(-0.30, abs=0.01)
    assert 0.15 < robot.balance.lean_rad(robot.data) < 0.35
    ankle = robot.model.joint("left_ankle_pitch_joint")
    assert float(robot.data.qpos[ankle.qposadr[0]]) > float(ankle.range[0]) + 0.05


def test_it_leans_far_without_stretching_its_knees() -> None:
    robot = _Standing()
    robot.balance.command(0.0, 0.5)
    assert robot.run(3.0)
    assert robot.balance.lean_rad(robot.data) == pytest.approx(0.5, abs=0.03)
    assert float(robot.data.qpos[robot.model.joint("left_knee_joint").qposadr[0]]) > 0.05
    robot.balance.command(-0.30, 0.5)
    assert robot.run(3.0)
    assert robot.balance.height_m(robot.data) == pytest.approx(-0.30, abs=0.01)


@pytest.mark.parametrize("direction", range(4))
def test_it_answers_a_push_from_every_side(direction: int) -> None:
    robot = _Standing()
    assert robot.run(2.5, push=(80.0, direction * np.pi / 2))
    assert abs(robot.balance.lean_rad(robot.data)) < 0.3


def test_it_stands_turned_as_well() -> None:
    robot = _Standing(start=(0.3, -0.2, 1.0))
    robot.balance.command(-0.15, 0.2)
    assert robot.run(2.5)
    assert robot.balance.height_m(robot.data) == pytest.approx(-0.15, abs=0.01)
    assert robot.run(1.5, push=(60.0, 1.0))


def test_it_carries_a_kilogram_in_a_stretched_hand() -> None:
    robot = _Standing(load_kg=1.0)
    stretched = robot.target.copy()
    stretched[[robot.driven.index(f"{side}_shoulder_pitch_joint") for side in ("left", "right")]] = -1.3
    begin = robot.target.copy()
    assert robot.run(4.0, arms=lambda t: begin + (stretched - begin) * min(t, 1.0))
    assert robot.slip_m < 1e-3 and robot.margin_m > 0.03


def test_swinging_arms_do_not_bring_it_down() -> None:
    robot = _Standing()
    begin = robot.target.copy()
    swings = np.array([0.0 if joint in robot.robot.group("waist").joints else 1.0 for joint in robot.driven])
    assert robot.run(4.0, arms=lambda t: begin + swings * np.sin(3.0 * t + np.arange(len(begin))))


def test_the_same_commands_give_the_same_motion() -> None:
    def play() -> Any:
        robot = _Standing()
        robot.balance.command(-0.1, 0.1)
        robot.run(0.6, push=(50.0, 0.5))
        return robot.data.qpos.copy()

    assert np.array_equal(play(), play())


def test_a_reset_forgets_the_episode_before() -> None:
    import mujoco

    robot = _Standing()
    start = robot.data.qpos.copy()
    robot.run(0.5)
    first = robot.data.qpos.copy()
    robot.balance.command(-0.2, 0.4)
    robot.run(0.5, push=(80.0, 0.0))
    mujoco.mj_resetData(robot.model, robot.data)
    robot.data.qpos[:] = start
    robot.balance.reset(robot.data)
    robot._substep = 0
    robot.run(0.5)
    assert np.array_equal(robot.data.qpos, first)


def test_a_robot_without_legs_cannot_stand_on_them() -> None:
    robot = _Standing()
    with pytest.raises(BadSpec, match="panda.*stands on the table"):
        Balance(catalog.load("robot", "panda"), robot.model)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_twenty_seconds_of_random_commands_and_reaching_bring_it_never_down(seed: int) -> None:
    robot, rng = _Standing(), np.random.default_rng(seed)
    body, at = robot.robot, [robot.robot.joints.index(joint) for joint in robot.driven]
    low, high, speed = (np.array(v)[at] for v in (body.joint_low_rad, body.joint_high_rad, body.joint_speed_max_rad_s))
    width = np.array([0.3 if joint in robot.robot.group("waist").joints else 1.0 for joint in robot.driven])
    home = robot.target.copy()
    for _ in range(20):
        goal = np.clip(home + rng.uniform(-1.0, 1.0, len(home)) * width, low, high)
        robot.balance.command(float(rng.uniform(-0.30, 0.0)), float(rng.uniform(-0.1, 0.5)))
        assert robot.run(1.0, arms=lambda t: robot.target + np.clip(goal - robot.target, -0.05 * speed, 0.05 * speed))
    assert robot.slip_m < 0.02
