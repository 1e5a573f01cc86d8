"""The Jaco: published kinematics, joints without end stops, a hand of three fingers on two sides."""

import dataclasses

import mujoco
import numpy as np
import pytest

from vlagym.envs import catalog
from vlagym.envs.control import action_spec
from vlagym.envs.errors import MissingPackage, UnknownName
from vlagym.envs.frames import Pose, from_yaw, multiply
from vlagym.envs.kinematics import kinematics
from vlagym.envs.meshes import package_folder
from vlagym.envs.robot import EndEffector, Robot
from vlagym.envs.types import EpisodeSpec
from vlagym.envs.world import World

JACO: Robot = catalog.load("robot", "jaco")
HAND: EndEffector = JACO.end_effectors[0]
DOWN = np.array([0.0, 1.0, 0.0, 0.0])


@pytest.fixture(scope="module")
def blocks(two_blocks: EpisodeSpec) -> EpisodeSpec:
    """Returns the episode with two blocks, for the Jaco."""
    cameras = tuple(c for c in two_blocks.scene.cameras if c.parent == "world") + JACO.cameras
    scene = dataclasses.replace(two_blocks.scene, cameras=cameras)
    return dataclasses.replace(
        two_blocks, robot="jaco", robot_qpos=JACO.home_qpos, scene=scene, control=action_spec(JACO, two_blocks.control.name)
    )


def _with_control(spec: EpisodeSpec, name: str) -> EpisodeSpec:
    return dataclasses.replace(spec, control=action_spec(JACO, name))


def test_postures_reach_the_same_poses_as_the_published_arm() -> None:
    folder = package_folder("dm_control") / "third_party" / "kinova"
    published = mujoco.MjModel.from_xml_path(str(folder / "jaco_arm.xml"))
    data = mujoco.MjData(published)
    ours = kinematics("jaco")
    rng = np.random.default_rng(0)
    for _ in range(100):
        q = rng.uniform(JACO.joint_low_rad, JACO.joint_high_rad)
        data.qpos[:6] = q
        mujoco.mj_kinematics(published, data)
        wrist = data.body("b_6")
        pinch = wrist.xpos + wrist.xmat.reshape(3, 3) @ [0.004, 0.0028, -0.192]
        assert np.allclose(ours.forward(q).pos, pinch + [0.12, 0, -0.10], atol=1e-6)


def test_it_weighs_what_is_published() -> None:
    folder = package_folder("dm_control") / "third_party" / "kinova"
    spec = mujoco.MjSpec()
    spec.compiler.degree = False
    JACO.add(spec, None)
    ours = spec.compile()
    for file in ("jaco_arm.xml", "jaco_hand.xml"):
        published = mujoco.MjModel.from_xml_path(str(folder / file))
        for i in range(1, published.nbody):
            body = published.body(i)
            if body.name != "b_6":  # published without a mass of its own
                assert ours.body(body.name).mass == pytest.approx(body.mass), body.name
                assert np.allclose(ours.body(body.name).inertia, body.inertia), body.name


def test_four_joints_have_no_end_stop_and_two_stop_where_the_manual_says() -> None:
    spec = mujoco.MjSpec()
    spec.compiler.degree = False
    JACO.add(spec, None)
    model = spec.compile()
    assert [bool(model.jnt_limited[model.joint(name).id]) for name in JACO.joints] == [False, True, True, False, False, False]
    folder = package_folder("dm_control") / "third_party" / "kinova"
    published = mujoco.MjModel.from_xml_path(str(folder / "jaco_arm.xml"))
    for name in ("joint_2", "joint_3"):
        assert np.allclose(model.joint(name).range, published.joint(name).range, atol=1e-5)


def test_the_hand_looks_down_over_the_whole_working_area() -> None:
    arm = kinematics("jaco")
    for x in (0.34, 0.49, 0.64):
        for y in (-0.24, 0.0, 0.24):
            for z in (0.015, 0.12, 0.24):
                for turn in (-1.5, 0.0, 1.5):
                    q, position, rotation = arm.solve(Pose(np.array([x, y, z]), multiply(from_yaw(turn), DOWN)))
                    assert position < 1e-3 and rotation < 0.01, (x, y, z, turn)
                    assert (q >= arm.low).all() and (q <= arm.high).all()


def test_inverse_kinematics_is_not_drawn_towards_home() -> None:
    arm = kinematics("jaco")
    target = Pose(np.array([0.62, 0.2, 0.05]), multiply(from_yaw(1.2), DOWN))
    q, _, _ = arm.solve(target)
    assert np.allclose(arm.forward(arm.step(q, target, 20)).pos, target.pos, atol=1e-6)  # six joints leave no room for a wish


def test_home_touches_nothing_and_reachable_postures_do_not_touch_themselves(blocks: EpisodeSpec) -> None:
    world = World(render=False)
    world.start(blocks)
    assert not world.advance(np.zeros(blocks.control.size)).contacts
    model, data = world.scene.model, world.simulation.data
    arm = kinematics("jaco")
    rng = np.random.default_rng(1)
    for _ in range(60):
        point = rng.uniform([0.35, -0.25, 0.15], [0.65, 0.25, 0.35])
        q, position, _ = arm.solve(Pose(point, multiply(from_yaw(rng.uniform(-1.5, 1.5)), DOWN)))
        if position > 1e-3:
            continue
        data.qpos[world.scene.joint_qpos] = q
        mujoco.mj_forward(model, data)
        assert not any(a < world.scene.num_robot and b < world.scene.num_robot for a, b in world.simulation.touching())


def test_the_same_conventions_with_six_joints() -> None:
    sizes = {name: action_spec(JACO, name).size for name in ("ee_delta", "ee_pose", "joint_delta", "joint_position")}
    assert sizes == {"ee_delta": 7, "ee_pose": 8, "joint_delta": 7, "joint_position": 7}


def test_proprioception_has_the_same_names_as_the_pandas(blocks: EpisodeSpec, two_blocks: EpisodeSpec) -> None:
    shapes = []
    for spec in (blocks, two_blocks):
        world = World(render=False)
        world.start(spec)
        shapes.append({name: value.shape for name, value in world.observe(()).proprio.items()})
    ours, pandas = shapes
    assert list(ours) == list(pandas)
    assert ours.pop("joint_pos_rad") == ours.pop("joint_vel_rad_s") == (6,)
    assert all(pandas[name] == shape for name, shape in ours.items())


def test_the_opening_is_the_distance_between_the_pads(blocks: EpisodeSpec) -> None:
    world = World(render=False)
    world.start(blocks)
    model, data = world.scene.model, world.simulation.data
    fingers = [int(model.joint(name).qposadr[0]) for name in HAND.finger_joints]
    inner = np.array([0.0, 0.0042, 0.0])  # of a pad, in the frame of its box
    for angle in (0.75, 0.9, 1.1, 1.3):
        data.qpos[fingers] = angle
        mujoco.mj_kinematics(model, data)
        across = data.site("pinch").xmat.reshape(3, 3)[:, 1]
        pads = [data.geom(f"pad_{i}").xpos + data.geom(f"pad_{i}").xmat.reshape(3, 3) @ inner for i in (1, 2, 3)]
        gaps = [float(across @ (pads[0] - pads[i])) for i in (1, 2)]
        assert world.simulation.finger_opening_m() == pytest.approx(np.mean(gaps), abs=0.005), angle


def test_it_closes_on_plus_one_and_opens_on_minus_one(blocks: EpisodeSpec) -> None:
    world = World(render=False)
    world.start(blocks)
    assert world.simulation.finger_opening_m() == pytest.approx(HAND.opening_max_m, abs=0.005)
    for _ in range(15):
        world.advance([0, 0, 0, 0, 0, 0, 1])
    assert world.simulation.finger_opening_m() < 0.004
    for _ in range(15):
        world.advance([0, 0, 0, 0, 0, 0, -1])
    assert world.simulation.finger_opening_m() == pytest.approx(HAND.opening_max_m, abs=0.005)


def test_a_block_between_thumb_and_pair_is_held_and_stays_so_when_lifted(blocks: EpisodeSpec) -> None:
    world = World(render=False)
    world.start(_with_control(blocks, "ee_pose"))
    for z, gripper, steps in ((0.10, -1, 30), (0.022, -1, 20), (0.022, 1, 15), (0.15, 1, 30)):
        for _ in range(steps):
            facts = world.advance([0.45, 0.0, z, 0, 1, 0, 0, gripper])
    assert facts.prop_is_held.tolist() == [True, False, False]
    assert facts.prop_pos_world_m[0, 2] > 0.10
    sides = {c.a for c in facts.contacts if c.b == "block_red"}
    assert sides & set(HAND.finger_sides[0]) and sides & set(HAND.finger_sides[1])


def test_a_block_that_one_side_presses_on_is_not_held(blocks: EpisodeSpec) -> None:
    world = World(render=False)
    world.start(_with_control(blocks, "ee_pose"))
    for y, z, steps in ((-0.06, 0.10, 30), (-0.06, 0.022, 20), (0.02, 0.022, 20)):
        for _ in range(steps):
            facts = world.advance([0.45, y, z, 0, 1, 0, 0, 1])
    assert facts.prop_pos_world_m[0, 1] > 0.02 and not facts.prop_is_held.any()


@pytest.mark.parametrize("control", ["ee_delta", "joint_delta"])
def test_full_commands_stay_within_the_speed_of_the_joints(blocks: EpisodeSpec, control: str) -> None:
    world = World(render=False)
    world.start(_with_control(blocks, control))
    action = np.ones(world.spec.control.size)
    if control == "ee_delta":
        action[:] = [1, 1, 0.2, 0, 0, 1, -1]
    fastest = np.zeros(6)
    for _ in range(12):
        world.advance(action)
        fastest = np.maximum(fastest, np.abs(world.simulation.joint_vel))
    limit = np.array(JACO.joint_speed_max_rad_s)
    assert (fastest < 1.25 * limit).all(), fastest / limit  # the servo overshoots a ramp a little


def test_a_base_joint_turns_beyond_half_a_turn(blocks: EpisodeSpec) -> None:
    world = World(render=False)
    world.start(_with_control(blocks, "joint_position"))
    goal = np.array(JACO.home_qpos) + [0, 0, 0, 0, 0, 4.0]
    for _ in range(140):
        world.advance([*goal, -1])
    assert np.allclose(world.simulation.joint_pos, goal, atol=0.02)


def test_the_cameras_see_it(blocks: EpisodeSpec) -> None:
    world = World()
    world.start(blocks)
    with_robot = world.observe(("front", "wrist")).images
    world.close()
    assert with_robot["wrist"].std() > 10 and with_robot["front"].std() > 10
    bare: list[str] = []
    seen: list[str] = []
    for render, models in ((False, bare), (True, seen)):
        world = World(render=render)
        world.start(blocks)
        models += [world.model_digest, world.initial_state_digest]
        world.close()
    assert bare == seen


def test_unknown_looks_and_a_missing_package_say_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnknownName, match=r"no look of the jaco is called 'dm_contrl'. Did you mean dm_control"):
        JACO.resolve_look("dm_contrl")
    assert JACO.resolve_look("auto") == "dm_control"

    def not_there(package: str) -> None:
        raise MissingPackage(package)

    monkeypatch.setattr("vlagym.envs.robots.jaco.package_folder", not_there)
    with pytest.raises(MissingPackage, match=r"dm_control is not installed.*pip install dm_control"):
        JACO.resolve_look("auto")
