"""The CMU humanoid: dm_control's body, upright on a stand; mitten hands that hold things from above."""

from __future__ import annotations

import itertools
from typing import Any

import mujoco
import numpy as np
import pytest

from vlagym.envs import catalog
from vlagym.envs.bodies import cmu_look, cmu_model
from vlagym.envs.control import action_spec
from vlagym.envs.errors import BadData, MissingPackage, UnknownName
from vlagym.envs.frames import Pose, conjugate, from_matrix, from_yaw, multiply, rotate, to_axis_angle
from vlagym.envs.robot import Robot
from vlagym.envs.simulation import physics_digest
from vlagym.envs.types import Base, EpisodeSpec, Predicate, PropSpec, SceneSpec
from vlagym.envs.whole_body import WholeBody, whole_body
from vlagym.envs.world import World

CMU: Robot = catalog.load("robot", "cmu_humanoid")
PALM_DOWN = from_matrix(np.array([[0.0, -1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, -1.0]]))  # fingers ahead


def _compiled(look: str | None = None) -> Any:
    spec = mujoco.MjSpec()
    spec.compiler.degree = False
    CMU.add(spec, look)
    return spec.compile()


@pytest.fixture(scope="module")
def model() -> Any:
    """Returns the compiled model of the robot alone."""
    return _compiled()


@pytest.fixture(scope="module")
def walker() -> Any:
    """Returns dm_control's position-controlled walker, compiled."""
    walkers = pytest.importorskip("dm_control.locomotion.walkers.cmu_humanoid", reason="dm_control is not installed")
    return mujoco.MjModel.from_xml_string(walkers.CMUHumanoidPositionControlledV2020().mjcf_model.to_xml_string())


@pytest.fixture(scope="module")
def solver() -> WholeBody:
    """Returns its inverse kinematics."""
    return whole_body("cmu_humanoid")


def _episode(
    asset: str = "block_red", x: float = 0.5, y: float = 0.2, base: Base = "fixed", control: str = "default", arena: str = "studio"
) -> EpisodeSpec:
    prop = PropSpec(name="thing", asset=asset, pos_world=(x, y, 0.0), quat_world_wxyz=(1.0, 0.0, 0.0, 0.0))
    return EpisodeSpec(
        task="by_hand",
        robot="cmu_humanoid",
        robot_base=base,
        scene=SceneSpec(arena=arena, props=(prop,), cameras=CMU.cameras),
        robot_qpos=CMU.home_qpos,
        goal=(Predicate(name="lifted", args=("thing",)),),
        stages=(),
        alternatives=(),
        instruction="lift it",
        phrase="by hand",
        control=action_spec(CMU, control, base=base),
        horizon_s=10.0,
    )


class _Driver:
    """Moves the hands of a world towards poses in the base frame."""

    def __init__(self, spec: EpisodeSpec) -> None:
        self.world = World(render=False)
        self.facts = self.world.start(spec)
        self.spec, self.slices = spec, spec.control.slices()
        self.closing = dict.fromkeys(CMU.sides, -1.0)
        self.base_velocity: tuple[float, float, float] | None = None

    def felt(self, name: str) -> Any:
        return self.world.observe(()).proprio[name].astype(float)

    def pose(self, side: str, what: str = "ee") -> Pose:
        return Pose(self.felt(f"{side}_{what}_pos_base_m"), self.felt(f"{side}_{what}_quat_base_wxyz"))

    def advance(self, steps: int, **goals: Pose) -> None:
        for _ in range(steps):
            action = np.zeros(self.spec.control.size)
            if "neck" in self.slices:
                action[self.slices["neck"]] = [CMU.home_qpos[CMU.joints.index(joint)] for joint in CMU.group("neck").joints]
            for side, goal in goals.items():
                here = self.pose(side, "ee_target")
                action[self.slices[f"{side}_translation"]] = np.clip((goal.pos - here.pos) / 0.05, -0.5, 0.5)
                action[self.slices[f"{side}_rotation"]] = np.clip(to_axis_angle(multiply(goal.quat, conjugate(here.quat))) / 0.25, -1, 1)
            for side, closing in self.closing.items():
                action[self.slices[f"{side}_hand"]] = closing
            if self.base_velocity is not None:
                action[self.slices["navigate_command"]] = self.base_velocity
            self.facts = self.world.advance(action)


# ------------------------------------------------------------------------------------------------------------------ published
def test_links_weigh_what_those_of_the_walker_weigh(model: Any, walker: Any) -> None:
    for link in CMU.bodies[1:]:
        ours, theirs = model.body(link), walker.body(link)
        assert ours.mass == pytest.approx(theirs.mass, rel=1e-9), link
        assert np.allclose(ours.inertia, theirs.inertia, rtol=1e-9) and np.allclose(ours.ipos, theirs.ipos, atol=1e-12), link
    assert model.body("pelvis").mass == pytest.approx(walker.body("root").mass) and model.body_mass.sum() == pytest.approx(70.0)


def test_links_stand_where_those_of_the_walker_stand_in_100_postures(model: Any, walker: Any) -> None:
    ours, theirs = mujoco.MjData(model), mujoco.MjData(walker)
    upright, rng = np.array([0.5, 0.5, 0.5, 0.5]), np.random.default_rng(0)
    names = [model.joint(i).name for i in range(model.njnt)]
    for _ in range(100):
        for name, value in zip(names, rng.uniform(*model.jnt_range.T), strict=True):
            ours.joint(name).qpos, theirs.joint(name).qpos = value, value
        mujoco.mj_kinematics(model, ours)
        mujoco.mj_kinematics(walker, theirs)
        for link in CMU.bodies[1:]:
            assert np.allclose(ours.body(link).xpos, rotate(upright, theirs.body(link).xpos), atol=1e-9), link


def test_joints_stop_where_those_of_the_walker_stop_but_for_one_that_is_mirrored(model: Any, walker: Any) -> None:
    for i in range(model.njnt):
        ours, theirs = model.joint(i), walker.joint(model.joint(i).name)
        wanted = [-theirs.range[1], -theirs.range[0]] if ours.name == "rhumerusrz" else theirs.range
        assert np.allclose(ours.range, wanted, atol=1e-9), ours.name


def test_motors_are_as_strong_as_those_of_the_walker_but_for_the_fingers(model: Any, walker: Any) -> None:
    for i in range(model.nu):
        ours, theirs = model.actuator(i), walker.actuator(model.actuator(i).name)
        if ours.name[1:].startswith(("fingers", "thumb")):
            assert ours.forcerange[1] < theirs.forcerange[1]
        else:
            assert np.array_equal(ours.forcerange, theirs.forcerange), ours.name


def test_both_sides_mirror_each_other_at_home(solver: WholeBody) -> None:
    poses = solver.forward(np.array(CMU.home_qpos))
    assert np.allclose(poses["left"].pos, poses["right"].pos * [1, -1, 1], atol=0.01)  # the published collar bones differ by 2 mm


def test_without_dm_control_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(package: str) -> Any:
        raise MissingPackage(f"{package} is not there")

    monkeypatch.setattr(cmu_model, "package_folder", missing)
    with pytest.raises(MissingPackage, match="dm_control is not installed, and the model of the CMU humanoid.*pip install dm_control"):
        cmu_model.published_file()


# ----------------------------------------------------------------------------------------------------------------------- look
def test_the_look_does_not_change_the_physics() -> None:
    assert physics_digest(_compiled()) == physics_digest(_compiled("mannequin"))


def test_the_look_has_at_most_ten_thousand_faces() -> None:
    assert 4000 < _compiled("mannequin").nmeshface <= 10_000


def test_an_unknown_look_is_answered_with_those_that_there_are() -> None:
    with pytest.raises(UnknownName, match="look of the cmu_humanoid.*mannequin"):
        CMU.resolve_look("manequin")


def test_a_loft_is_closed_and_looks_outward() -> None:
    sections = ((0.0, 0.03, 0.02, 0.0, 0.0), (0.1, 0.05, 0.04, 0.01, 0.0), (0.2, 0.02, 0.02, 0.0, 0.01))
    for axis, order in itertools.product(("x", "y"), (1, -1)):
        mesh = cmu_look.loft(sections[::order], axis)  # type: ignore[arg-type]
        corners = mesh.vertices[mesh.faces].astype(float)
        volume = np.einsum("ij,ij->i", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])).sum() / 6
        edges = np.sort(np.concatenate([mesh.faces[:, [0, 1]], mesh.faces[:, [1, 2]], mesh.faces[:, [2, 0]]]), axis=1)
        assert 4e-4 < volume < 2e-3 and (np.unique(edges, axis=0, return_counts=True)[1] == 2).all()


def test_a_loft_wants_sections_in_order() -> None:
    with pytest.raises(BadData, match=r"two or more sections in order along its axis; these lie at \[0.0, 0.2, 0.1\]"):
        cmu_look.loft(((0.0, 1, 1, 0, 0), (0.2, 1, 1, 0, 0), (0.1, 1, 1, 0, 0)), "y")


# -------------------------------------------------------------------------------------------------------------------- posture
@pytest.mark.parametrize("arena", CMU.stance.arenas if CMU.stance else ())
def test_it_stands_clear_of_the_table_in_its_arenas(arena: str) -> None:
    driver = _Driver(_episode(arena=arena))
    world = driver.world
    driver.advance(2)  # before the first step nobody has looked for contacts
    assert not driver.facts.contacts
    height = -world.scene.floor_m
    assert CMU.stance is not None and CMU.stance.table_height_m[0] <= height <= CMU.stance.table_height_m[1]
    assert min(world.simulation.ee_pose_world(i).pos[2] for i in range(2)) > 0.1  # hands above the table


def test_its_soles_are_on_the_floor(model: Any) -> None:
    data = mujoco.MjData(model)
    for joint, value in zip(CMU.joints, CMU.home_qpos, strict=True):
        data.joint(joint).qpos = value
    mujoco.mj_kinematics(model, data)
    assert CMU.stance is not None
    for toes in ("ltoes0_skin", "rtoes0_skin"):
        lowest = data.geom(toes).xpos[2] - model.geom(toes).size[0]
        assert lowest == pytest.approx(-CMU.stance.pelvis_height_m, abs=0.005)


def test_either_hand_looks_down_everywhere_in_its_work_area(solver: WholeBody) -> None:
    assert CMU.work is not None and CMU.stance is not None
    areas = {"left": CMU.work.left_y_m, "right": CMU.work.right_y_m}
    for height in CMU.stance.table_height_m:
        for side, x, z in itertools.product(CMU.sides, CMU.work.x_m, (0.03, 0.25)):
            for y in areas[side]:
                inward = -0.35 if side == "left" else 0.35
                target = Pose(np.array([x, y, height - CMU.stance.pelvis_height_m + z]), multiply(from_yaw(inward), PALM_DOWN))
                assert solver.reaches(side, target), (height, side, x, y, z)


def test_the_head_sees_both_hands_and_the_work_area() -> None:
    world = World(render=False)
    world.start(_episode())
    assert CMU.work is not None
    eye, head = world.simulation.camera_pose("head"), next(c for c in CMU.cameras if c.name == "head")
    half = np.tan(np.radians(head.fovy_deg / 2))
    points = [world.simulation.ee_pose_world(i).pos for i in range(2)]
    points += [np.array([x, y, 0.0]) for x, y in itertools.product(CMU.work.x_m, CMU.work.y_m)]
    for point in points:
        x, y, z = rotate(eye.inverse().quat, point - eye.pos)
        assert z < 0 and abs(x / z) < half and abs(y / z) < half, point


# --------------------------------------------------------------------------------------------------------------------- motion
@pytest.mark.parametrize("way", [(0.05, 0.0, 0.0), (0.0, 0.05, 0.0), (0.0, 0.0, -0.05)])
def test_a_step_of_5_cm_is_done_in_a_fifth_of_a_second(way: tuple[float, float, float]) -> None:
    driver = _Driver(_episode(x=0.6, y=-0.3))
    begin, target = driver.pose("left"), driver.pose("left", "ee_target")
    action, slices = np.zeros(driver.spec.control.size), driver.slices
    action[slices["left_hand"]] = action[slices["right_hand"]] = -1.0
    action[slices["left_translation"]] = np.array(way) / 0.05
    driver.world.advance(action)
    driver.advance(4, left=Pose(target.pos + way, target.quat))
    assert driver.pose("left").pos - begin.pos == pytest.approx(np.array(way), abs=5e-3)


def test_it_holds_its_posture_against_gravity() -> None:
    driver = _Driver(_episode())
    driver.advance(40)
    assert driver.facts.joint_pos == pytest.approx(np.array(CMU.home_qpos), abs=0.02)
    assert not driver.facts.contacts and driver.facts.torque_share < 0.5


def test_the_body_glides_ahead_and_turns() -> None:
    driver = _Driver(_episode(base="planar"))
    for velocity in ((-0.3, 0.2, 0.0), (0.0, 0.0, 0.8)):
        driver.base_velocity = velocity
        driver.advance(20)
        driver.base_velocity = (0.0, 0.0, 0.0)
        driver.advance(8)
    assert driver.facts.base_pose_world == pytest.approx([-0.3, 0.2, 0.8], abs=0.03)


def test_the_neck_nods_and_the_fingers_move_one_by_one_where_joints_are_commanded() -> None:
    spec = _episode(control="joint_position_fingers")
    sizes = {c.name: c.size for c in spec.control.components}
    assert sizes == {"left_arm": 9, "right_arm": 9, "left_hand": 3, "right_hand": 3, "waist": 9, "neck": 9}
    world, slices = World(render=False), spec.control.slices()
    world.start(spec)
    action, home = np.zeros(spec.control.size), dict(zip(CMU.joints, CMU.home_qpos, strict=True))
    for group in CMU.groups:
        if group.name in ("left_arm", "right_arm", "waist", "neck"):
            action[slices[group.name]] = [home[joint] for joint in group.joints]
    for hand in CMU.end_effectors:
        action[slices[f"{hand.side}_hand"]] = hand.finger_ctrl(0.0)
    action[slices["neck"]][8] += 0.2
    action[slices["left_hand"]][0] = 1.2
    for _ in range(12):
        facts = world.advance(action)
    assert facts.joint_pos[CMU.joints.index("headrx")] == pytest.approx(home["headrx"] + 0.2, abs=0.02)
    assert world.simulation.finger_pos(0)[0] == pytest.approx(1.2, abs=0.05)
    assert world.simulation.finger_pos(1)[0] == pytest.approx(CMU.hand("right").finger_ctrl(0.0)[0], abs=0.05)


# ---------------------------------------------------------------------------------------------------------------------- hands
def _grasp(asset: str, side: str, height_m: float, x: float, y: float) -> _Driver:
    """Takes a thing from above, palm down, and lifts it by 12 cm."""
    driver = _Driver(_episode(asset, x, y))
    table = CMU.stance.pelvis_height_m + driver.world.scene.floor_m if CMU.stance else 0.0
    spot = np.array([x, y, height_m - table])
    driver.closing[side] = -0.6
    for above, steps in ((0.14, 30), (0.0, 25)):
        driver.advance(steps, **{side: Pose(spot + [0, 0, above], PALM_DOWN)})
    driver.closing[side] = 1.0
    driver.advance(14)
    driver.advance(35, **{side: Pose(spot + [0, 0, 0.12], PALM_DOWN)})
    return driver


@pytest.mark.parametrize(
    ("asset", "height_m"), [("block_red", 0.025), ("can_red", 0.05), ("cup_red", 0.05), ("apple", 0.026), ("round_peg_red", 0.05)]
)
@pytest.mark.parametrize("side", CMU.sides)
def test_a_hand_takes_things_from_above(asset: str, height_m: float, side: str) -> None:
    driver = _grasp(asset, side, height_m, 0.5, 0.2 if side == "left" else -0.2)
    assert driver.facts.goal_met.all() and driver.facts.prop_is_held[0]
    assert driver.felt(f"{side}_hand_touch_n").sum() > 5.0
    assert driver.felt(f"{side}_hand_opening_m")[0] > 0.01


def test_the_wrist_feels_what_the_hand_carries() -> None:
    driver = _grasp("can_red", "left", 0.05, 0.5, 0.2)
    carried = np.linalg.norm(driver.felt("left_wrist_force_n")) - np.linalg.norm(driver.felt("right_wrist_force_n"))
    assert carried == pytest.approx(0.12 * 9.81, rel=0.2)


def test_hands_mirror_each_other(model: Any) -> None:
    left, right = CMU.end_effectors
    for closure in (0.0, 0.5, 1.0):
        assert np.allclose(left.finger_ctrl(closure), right.finger_ctrl(closure) * [1, -1, 1])
    for hand in CMU.end_effectors:
        for joint, (low, high), one, other in zip(hand.finger_joints, hand.finger_range, hand.open_posture, hand.closed_posture, strict=True):
            assert np.allclose(model.joint(joint).range, (low, high)) and low <= min(one, other) and max(one, other) <= high


def test_an_open_hand_points_along_its_fingers(model: Any) -> None:
    data, hand = mujoco.MjData(model), CMU.hand("left")
    for joint, value in zip(hand.finger_joints, hand.finger_ctrl(0.0), strict=True):
        data.joint(joint).qpos = value
    mujoco.mj_kinematics(model, data)
    along = data.site(hand.site).xmat.reshape(3, 3) @ np.array(hand.point_axis)
    assert np.allclose(along, -data.body("lfingers").xmat.reshape(3, 3)[:, 1], atol=1e-6)
