"""The Unitree G1: its physics is the published model's, its hands hold what they close on."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vlagym.envs import catalog
from vlagym.envs.bodies import links as links_module
from vlagym.envs.errors import BadData, UnknownName
from vlagym.envs.frames import Pose, from_matrix, from_yaw
from vlagym.envs.robot import Robot
from vlagym.envs.types import PropSpec

G1: Robot = catalog.load("robot", "g1")


def compiled(look: str | None = None) -> Any:
    import mujoco

    spec: Any = mujoco.MjSpec()
    spec.compiler.degree = False
    G1.add(spec, look)
    return spec.compile()


@pytest.fixture(scope="module")
def model() -> Any:
    return compiled()


def at_home(model: Any, closure: float = 0.0) -> Any:
    """Returns data with the robot in its home posture, its pelvis at the origin and its hands closed so far."""
    import mujoco

    data = mujoco.MjData(model)
    for joint, position in zip(G1.joints, G1.home_qpos, strict=True):
        data.joint(joint).qpos[0] = position
    for hand in G1.end_effectors:
        for joint, position in zip(hand.finger_joints, hand.finger_ctrl(closure), strict=True):
            data.joint(joint).qpos[0] = np.clip(position, *model.joint(joint).range)
    data.ctrl[:] = [data.joint(model.actuator(i).name).qpos[0] for i in range(model.nu)]
    return data


def lifted(
    side: str, asset: str, place: tuple[float, float], height_m: float, *, slip_m: Any = (0.0, 0.0), from_the_side: bool = False,
    yaw_rad: float = 0.0, seen: dict[str, float] | None = None,
) -> float:  # fmt: skip
    """Returns how high a hand lifts an object off a table 0.76 m high: it grasps `slip_m` beside its middle and goes up 15 cm."""
    import mujoco

    from vlagym.envs.scene import compose
    from vlagym.envs.whole_body import whole_body

    stance = G1.stance
    assert stance is not None
    table_m = 0.76 - stance.pelvis_height_m
    spec: Any = mujoco.MjSpec()
    spec.compiler.degree = False
    spec.option.integrator, spec.option.cone = mujoco.mjtIntegrator.mjINT_IMPLICITFAST, mujoco.mjtCone.mjCONE_ELLIPTIC
    spec.option.impratio, spec.option.disableflags = 10.0, int(mujoco.mjtDisableBit.mjDSBL_MULTICCD)
    G1.add(spec, None)
    spec.worldbody.add_geom(type=mujoco.mjtGeom.mjGEOM_BOX, size=(0.4, 0.7, 0.02), pos=(stance.table_edge_x_m + 0.4, 0.0, table_m - 0.02))
    thing = PropSpec(name="thing", asset=asset, pos_world=(*place, table_m + 0.001), quat_world_wxyz=tuple(from_yaw(yaw_rad).tolist()))
    compose(spec, (), (thing,), is_seen=False)
    model = spec.compile()
    data = at_home(model)
    solver, hand = whole_body("g1"), G1.hand(side)
    ids = np.array([model.actuator(joint).id for joint in G1.joints])
    dof = np.array([int(model.joint(joint).dofadr[0]) for joint in G1.joints])
    fingers = [model.actuator(joint).id for joint in hand.finger_actuators]
    weight = np.array([0.0 if group.kind == "leg" else 1.0 for group in G1.groups for joint in group.joints if joint in G1.joints])
    carried = weight / model.actuator_gainprm[ids, 0]
    inward = np.array([0.0, -1.0 if side == "left" else 1.0, 0.0])
    back, out = np.array([-1.0, 0.0, 0.0]), inward if from_the_side else np.array([0.0, 0.0, -1.0])
    turn = from_matrix(np.stack([np.cross(back, out), back, out], axis=1))
    grasp = np.array([place[0] + slip_m[0], place[1] + slip_m[1], table_m + height_m])
    q = np.array(G1.home_qpos)

    def go(goal: Any, steps: int, closure: tuple[float, float]) -> None:
        nonlocal q
        begin = solver.forward(q)[side]
        for i in range(1, steps + 1):
            share = i / steps
            before, q = q, solver.step(q, {side: Pose(begin.pos + share * (goal - begin.pos), turn)})
            data.ctrl[fingers] = hand.finger_ctrl(closure[0] + share * (closure[1] - closure[0]))
            for k in range(25):
                data.ctrl[ids] = before + (k + 1) / 25 * (q - before) + data.qfrc_bias[dof] * carried
                mujoco.mj_step(model, data)

    go(grasp - 0.11 * out + [0.0, 0.0, 0.08 if from_the_side else 0.0], 40, (0.0, 0.0))
    go(grasp - 0.11 * out, 12, (0.0, 0.0))
    go(grasp, 25, (0.0, 0.0))
    go(grasp, 22, (0.0, 1.0))
    height = float(data.body("thing").xpos[2])
    go(grasp + [0.0, 0.0, 0.15], 35, (1.0, 1.0))
    if seen is not None:
        seen.update({model.sensor(i).name: float(data.sensor(i).data[0]) for i in range(model.nsensor)})
    return float(data.body("thing").xpos[2]) - height


def write(folder: Path, *, links: str, shapes: str = "shape = []\n") -> None:
    """Writes the two files of a robot."""
    (folder / "body.toml").write_text(links, encoding="utf-8")
    (folder / "shapes.toml").write_text(shapes, encoding="utf-8")


@pytest.fixture(scope="module")
def published() -> Any:
    import mujoco

    root = os.environ.get("MENAGERIE_ROOT")
    file = Path(root or "", "unitree_g1", "g1_with_hands.xml")
    if not root or not file.exists():
        pytest.skip("MENAGERIE_ROOT does not hold unitree_g1/g1_with_hands.xml: the published model is not here to compare with")
    return mujoco.MjModel.from_xml_path(str(file))


def test_joints_are_those_of_the_published_model(model: Any, published: Any) -> None:
    theirs = [published.joint(i).name for i in range(1, published.njnt)]
    assert [model.joint(i).name for i in range(model.njnt)] == theirs
    for name in theirs:
        ours, other = model.joint(name), published.joint(name)
        assert np.array_equal(ours.axis, other.axis), name
        assert np.array_equal(ours.range, other.range), name
        assert np.array_equal(ours.pos, other.pos), name
        strongest = published.jnt_actfrcrange[other.id][1]
        assert model.actuator(name).forcerange[1] <= strongest if "hand" in name else model.actuator(name).forcerange[1] == strongest, name
        assert model.body(ours.bodyid[0]).name == published.body(other.bodyid[0]).name


def test_links_weigh_what_the_published_ones_weigh(model: Any, published: Any) -> None:
    assert [model.body(i).name for i in range(1, model.nbody)] == [published.body(i).name for i in range(1, published.nbody)]
    for i in range(1, model.nbody):
        ours, other = model.body(i), published.body(i)
        assert ours.mass == other.mass and np.array_equal(ours.inertia, other.inertia), ours.name
        assert np.array_equal(ours.ipos, other.ipos) and np.array_equal(ours.iquat, other.iquat), ours.name


def test_links_stand_where_the_published_ones_stand_in_200_postures(model: Any, published: Any) -> None:
    import mujoco

    rng = np.random.default_rng(7)
    ours, theirs = mujoco.MjData(model), mujoco.MjData(published)
    for _ in range(200):
        posture = rng.uniform(*model.jnt_range.T)
        ours.qpos[:] = posture
        theirs.qpos[:7], theirs.qpos[7:] = (0, 0, 0, 1, 0, 0, 0), posture
        mujoco.mj_kinematics(model, ours)
        mujoco.mj_kinematics(published, theirs)
        assert np.abs(ours.xpos - theirs.xpos).max() < 1e-9
        assert np.abs(ours.xmat - theirs.xmat).max() < 1e-9


def test_home_is_a_posture_that_it_can_take(model: Any) -> None:
    import mujoco

    data = at_home(model)
    mujoco.mj_forward(model, data)
    assert data.ncon == 0, [tuple(model.geom(int(g)).name for g in pair) for pair in data.contact.geom]
    stance = G1.stance
    assert stance is not None
    for foot in stance.feet:
        body = data.body(foot.body)
        for x, y in foot.corners_m:
            corner = body.xpos + body.xmat.reshape(3, 3) @ (x, y, foot.sole_z_m)
            assert abs(corner[2] + stance.pelvis_height_m) < 1e-4  # the floor


def test_the_right_half_is_the_mirror_image_of_the_left(model: Any) -> None:
    import mujoco

    data = at_home(model)
    mujoco.mj_kinematics(model, data)
    for hand in G1.end_effectors:
        site = data.site(hand.site)
        assert np.allclose(site.xpos[1] > 0, hand.side == "left")
    left, right = (data.site(f"{side}_pinch") for side in ("left", "right"))
    assert np.allclose(left.xpos * (1, -1, 1), right.xpos, atol=2e-4)  # the published shoulders are not quite symmetric
    mirror = np.diag((1.0, -1.0, 1.0))
    for axis, sign in ((0, -1.0), (1, 1.0), (2, 1.0)):
        assert np.allclose(mirror @ left.xmat.reshape(3, 3)[:, axis], sign * right.xmat.reshape(3, 3)[:, axis], atol=2e-3)


@pytest.mark.parametrize("side", ["left", "right"])
def test_thumb_and_fingers_reach_equally_far_and_meet_around_the_pinch_point(model: Any, side: str) -> None:
    import mujoco

    hand = G1.hand(side)
    for closure, (_, opening_m) in zip((0.0, 0.5), (hand.opening_of_closure_m[0], hand.opening_of_closure_m[5]), strict=True):
        data = at_home(model, closure)
        mujoco.mj_kinematics(model, data)
        site = data.site(hand.site)
        turn = site.xmat.reshape(3, 3)

        def inside(link: str, point: tuple[float, float, float]) -> Any:
            body = data.body(f"{side}_hand_{link}_link")
            return turn.T @ (body.xpos + body.xmat.reshape(3, 3) @ point - site.xpos)

        sign = 1.0 if side == "left" else -1.0
        thumb = inside("thumb_2", (0.0, -0.052 * sign, 0.0))
        fingers = [inside(f"{name}_1", (0.052, 0.0, 0.0)) for name in ("index", "middle")]
        assert all(abs(tip[2] - thumb[2]) < 0.012 for tip in fingers)
        assert abs(thumb[1] - fingers[0][1] - opening_m) < 0.02
        assert abs(thumb[1] + fingers[0][1]) < 0.03


def test_its_motors_follow_targets_at_20_hz_within_0_15_s(model: Any) -> None:
    import mujoco

    data = at_home(model)
    joints = [joint for group in G1.groups if group.kind in ("arm", "waist") for joint in group.joints]
    ids = [model.actuator(joint).id for joint in joints]
    qpos, dof = (np.array([int(getattr(model.joint(joint), field)[0]) for joint in joints]) for field in ("qposadr", "dofadr"))
    low, high = model.actuator_ctrlrange[ids].T
    start = data.qpos[qpos].copy()
    target = np.where(start + 0.1 < high, start + 0.1, start - 0.1)
    stiffness = model.actuator_gainprm[ids, 0]
    model.opt.timestep = 0.002
    for i in range(100):  # a ramp over one control step, and three more
        data.ctrl[ids] = start + min(1.0, (i + 1) / 25) * (target - start) + data.qfrc_bias[dof] / stiffness
        mujoco.mj_step(model, data)
    assert np.abs(data.qpos[qpos] - target).max() < 0.1 * 0.1


@pytest.mark.parametrize(("side", "from_the_side"), [("left", False), ("right", False), ("left", True), ("right", True)])
def test_a_hand_lifts_a_can(side: str, from_the_side: bool) -> None:
    height = lifted(side, "can_red", (0.36, 0.08 if side == "left" else -0.08), 0.056, from_the_side=from_the_side)
    assert height > 0.10


@pytest.mark.slow
@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize(
    ("asset", "height_m", "yaw_rad"),
    [("block_red", 0.0225, 0.0), ("parcel", 0.028, 0.0), ("bottle_green", 0.091, 0.0), ("marker_red", 0.0125, np.pi / 2), ("apple", 0.026, 0.0)],
)
def test_a_hand_lifts_what_two_pads_hold(side: str, asset: str, height_m: float, yaw_rad: float) -> None:
    rng = np.random.default_rng(5)
    sign = 1.0 if side == "left" else -1.0
    for _ in range(5):
        place = (rng.uniform(0.28, 0.44), sign * rng.uniform(-0.05, 0.25))
        assert lifted(side, asset, place, height_m, slip_m=rng.uniform(-0.01, 0.01, 2), yaw_rad=yaw_rad) > 0.10


def test_a_finger_tip_feels_what_the_hand_holds() -> None:
    seen: dict[str, float] = {}
    lifted("right", "can_red", (0.36, -0.05), 0.056, seen=seen)
    assert seen["right_thumb_2_touch"] > 1.0
    assert seen["right_middle_1_touch"] + seen["right_index_1_touch"] > 1.0
    assert seen["left_thumb_2_touch"] == 0.0


def test_an_arm_against_the_chest_is_felt_as_contact(model: Any) -> None:
    import mujoco

    data = at_home(model)
    data.joint("left_shoulder_roll_joint").qpos[0] = -0.6
    data.joint("left_elbow_joint").qpos[0] = 1.2
    mujoco.mj_forward(model, data)
    touching = {model.body(int(model.geom_bodyid[g])).name for pair in data.contact.geom for g in pair}
    assert "torso_link" in touching


def test_an_unknown_look_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UnknownName, match=r"no look of the g1 is called 'shel'\. Did you mean shell"):
        G1.resolve_look("shel")


# ------------------------------------------------------------------------------------------------------------------------ links
def test_a_link_before_its_parent_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, links='[[link]]\nname = "hand"\nparent = "arm"\nmass_kg = 1.0\ninertia_kg_m2 = [1.0, 1.0, 1.0]\n')
    monkeypatch.setattr("vlagym.assets.path", lambda relative: tmp_path / Path(relative).name)
    with pytest.raises(BadData, match=r"body.toml, parent of hand: no link is called 'arm'.*Parents come first"):
        links_module.read_body(str(tmp_path))


def test_an_unknown_key_of_a_link_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, links='[[link]]\nname = "hand"\nmass = 1.0\nmass_kg = 1.0\ninertia_kg_m2 = [1.0, 1.0, 1.0]\n')
    monkeypatch.setattr("vlagym.assets.path", lambda relative: tmp_path / Path(relative).name)
    with pytest.raises(BadData, match=r"unknown key 'mass'.*mass_kg"):
        links_module.read_body(str(tmp_path))


def test_a_shape_with_too_few_sizes_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = '[[link]]\nname = "left_hand"\nmass_kg = 1.0\ninertia_kg_m2 = [1.0, 1.0, 1.0]\n'
    shape = '[[shape]]\nlink = "left_hand"\nname = "left_box"\ntype = "box"\nsize_m = [0.1]\n'
    write(tmp_path, links=link + link.replace("left", "right"), shapes=shape)
    monkeypatch.setattr("vlagym.assets.path", lambda relative: tmp_path / Path(relative).name)
    with pytest.raises(BadData, match=r"size_m of left_box has 1 entries; this box has 3"):
        links_module.read_body(str(tmp_path))
