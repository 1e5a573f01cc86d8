"""What every object and every piece of furniture keeps: it looks like one thing, stands still, is held by two pads, and bears what is put on it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
import trimesh

from vlagym.envs.catalogues import catalogue_of
from vlagym.envs.fixtures import FixtureAsset, fixtures
from vlagym.envs.objects import UPRIGHT, Grasp, ObjectAsset, catalog, get
from vlagym.envs.language.reference import describe
from vlagym.envs.language.scene_words import colour_word
from vlagym.envs.shapes.parts import Mesh, bounds, num_faces
from vlagym.envs.types import stream

MOST_FACES = {ObjectAsset: 1300, FixtureAsset: 1700}  # a software renderer pays for each
DT_S = 0.002
OBJECTS = list(catalog())
GRASPABLE = [i for i, asset in catalog().items() if "graspable" in asset.roles]
STANDING = [i for i, asset in catalog().items() if "bead" not in asset.roles]  # a bead is there to roll
LYING = [(i, pose.name) for i, asset in catalog().items() for pose in asset.poses]
DESTINATIONS = ("plate_white", "bowl_white", "mat_green", "block_red")
CARRIED = [(i, to) for i in GRASPABLE for to in (DESTINATIONS if i in catalogue_of("core").objects else ("mat_green",))]
HANGS_OVER = {("banana", "bowl_white"), ("banana", "block_red"), ("wooden_spoon", "mat_green")}  # it is longer than they are wide


def asset_of(name: str) -> ObjectAsset | FixtureAsset:
    return catalog()[name] if name in catalog() else fixtures()[name]


# --------------------------------------------------------------------------------------------------------------------- the looks
@pytest.mark.parametrize("name", [*OBJECTS, *fixtures()])
def test_its_meshes_are_closed_and_few(name: str) -> None:
    asset = asset_of(name)
    moving = [part for joint in asset.joints for part in joint.visual] if isinstance(asset, FixtureAsset) else []
    parts = [*asset.visual, *moving]
    assert sum(num_faces(part.shape) for part in parts) <= MOST_FACES[type(asset)]
    for part in parts:
        if isinstance(part.shape, Mesh):
            solid = trimesh.Trimesh(part.shape.vertices, part.shape.faces, process=True)
            solid.merge_vertices(merge_norm=True, merge_tex=True)
            assert solid.is_watertight and solid.is_winding_consistent and solid.volume > 0


@pytest.mark.parametrize("name", [*OBJECTS, *fixtures()])
def test_its_colour_word_is_that_of_its_paint(name: str) -> None:
    asset = asset_of(name)
    assert asset.colour in (None, colour_word(asset.rgba))
    assert any(part.rgba is None for part in asset.visual), "nothing would change if it were painted over"


def test_any_two_objects_can_be_told_apart_in_words() -> None:
    for name in STANDING:
        phrase = describe(get(name), [get(other) for other in STANDING if other != name], stream(0, name))
        assert phrase.startswith("the ")


@pytest.mark.parametrize("name", GRASPABLE)
def test_its_grasps_meet_its_body(name: str) -> None:
    asset = get(name)
    for grasp in asset.grasps_in(UPRIGHT):
        # 4.3 cm lie between the pinch point of a Franka hand and its palm, 1 cm between the pinch point and the fingertips.
        low, high = np.stack([bounds(piece) for piece in asset.collision])[:, :, 2].T
        assert grasp.height_m >= 0.012 and high.max() - grasp.height_m <= 0.043
        assert ((low < grasp.height_m) & (grasp.height_m < high)).any()


# ------------------------------------------------------------------------------------------------------------------- the physics
class World(NamedTuple):
    """A compiled world and its state."""

    model: Any
    data: Any

    def run(self, seconds: float) -> None:
        import mujoco

        mujoco.mj_step(self.model, self.data, round(seconds / DT_S))

    def pos(self, name: str) -> Any:
        return self.data.body(name).xpos.copy()

    def tilt_deg(self, name: str) -> float:
        return float(np.degrees(np.arccos(min(1.0, self.data.body(name).xmat[8]))))

    def speed_m_s(self, name: str) -> float:
        """Returns the fastest of the linear velocities and of the angular ones at 5 cm."""
        start = self.model.jnt_dofadr[self.model.body(name).jntadr[0]]
        linear, angular = self.data.qvel[start : start + 3], self.data.qvel[start + 3 : start + 6]
        return float(max(np.abs(linear).max(), 0.05 * np.abs(angular).max()))


def table() -> Any:
    """Returns a spec with a table top, and the options of the suite."""
    import mujoco

    spec = mujoco.MjSpec()
    spec.option.timestep, spec.option.impratio = DT_S, 10.0
    spec.option.integrator, spec.option.cone = mujoco.mjtIntegrator.mjINT_IMPLICITFAST, mujoco.mjtCone.mjCONE_ELLIPTIC
    spec.option.disableflags = int(mujoco.mjtDisableBit.mjDSBL_MULTICCD)
    spec.worldbody.add_geom(type=mujoco.mjtGeom.mjGEOM_BOX, size=(1, 1, 0.02), pos=(0, 0, -0.02))
    return spec


def add(spec: Any, name: str, asset: ObjectAsset, pos: tuple[float, float, float], tilt_rad: float = 0.0) -> None:
    import mujoco

    body = spec.worldbody.add_body(name=name, pos=pos, quat=(np.cos(tilt_rad / 2), np.sin(tilt_rad / 2), 0, 0))
    body.add_freejoint()
    whole = sum(piece.volume_m3 for piece in asset.collision)
    for piece in asset.collision:
        kind = getattr(mujoco.mjtGeom, f"mjGEOM_{piece.type.upper()}")
        geom = body.add_geom(type=kind, size=piece.size, pos=piece.pos, quat=piece.quat, mass=asset.mass_kg * piece.volume_m3 / whole)
        geom.condim = 6 if asset.rolling_friction > 0 else 4
        geom.friction = (asset.friction, 0.01, max(asset.rolling_friction, 1e-4))


def compiled(spec: Any) -> World:
    import mujoco

    model = spec.compile()
    return World(model, mujoco.MjData(model))


@pytest.mark.parametrize("name", STANDING)
def test_it_comes_to_rest_upright_where_it_is_set_down(name: str) -> None:
    spec = table()
    add(spec, "it", get(name), (0, 0, 0.002))
    world = compiled(spec)
    world.run(0.3)
    assert world.speed_m_s("it") < 0.002
    assert world.tilt_deg("it") < 1.0
    assert world.pos("it") == pytest.approx([0, 0, 0], abs=0.0015)


@pytest.mark.parametrize(("name", "pose"), LYING)
def test_it_lies_quietly_in_its_other_poses(name: str, pose: str) -> None:
    asset, lying = get(name), get(name).pose(pose)
    spec = table()
    add(spec, "it", asset, (0, 0, lying.height_m))
    spec.body("it").quat = lying.quat_wxyz
    world = compiled(spec)
    world.run(0.5)
    assert world.pos("it") == pytest.approx([0, 0, lying.height_m], abs=0.001)
    assert world.speed_m_s("it") < 0.002


@pytest.mark.parametrize(("name", "pose"), LYING)
def test_two_pads_lift_it_from_its_other_poses(name: str, pose: str) -> None:
    asset, lying = get(name), get(name).pose(pose)
    for grasp in asset.grasps_in(pose):
        spec = table()
        add_pads(spec, grasp, grasp.yaw_rad[0])
        add(spec, "it", asset, (0.003, 0.003, lying.height_m))
        spec.body("it").quat = lying.quat_wxyz
        world = compiled(spec)
        for pad in ("left", "right"):
            world.data.joint(pad).qpos[0] = world.data.actuator(pad).ctrl[0] = 0.04
        world.run(0.1)
        move(world, 0.1, left=-0.01, right=-0.01)
        world.run(0.3)
        move(world, 0.5, z=0.12)
        world.run(0.3)
        assert world.pos("it")[2] > 0.09, "it slips"


@pytest.mark.parametrize("name", STANDING)
def test_it_stays_when_it_is_let_go_a_little_askew_and_moving(name: str) -> None:
    spec = table()
    tilt = np.radians(3.0)
    add(spec, "it", get(name), (0, 0, 0.003 + np.sin(tilt) * max(get(name).size_m[:2]) / 2), tilt)
    world = compiled(spec)
    world.data.qvel[0] = 0.05
    world.run(0.8)
    assert world.speed_m_s("it") < 0.002
    assert world.tilt_deg("it") < 1.0
    assert np.hypot(*world.pos("it")[:2]) < 0.02


def add_pads(spec: Any, grasp: Grasp, yaw_rad: float) -> None:
    """Adds two pads with the numbers of a Franka hand, on a carriage that is driven along x, y and z."""
    import mujoco

    slide, box = mujoco.mjtJoint.mjJNT_SLIDE, mujoco.mjtGeom.mjGEOM_BOX
    carriage = spec.worldbody.add_body(name="carriage", gravcomp=1, mass=1, inertia=(0.01, 0.01, 0.01), explicitinertial=True)
    for axis, name in zip(np.eye(3), "xyz", strict=True):
        carriage.add_joint(name=name, type=slide, axis=axis, armature=5)
        add_drive(spec, name, 20000, 2000, 1000)
    for side, name in ((1, "left"), (-1, "right")):
        pose = {"pos": (*grasp.offset_xy_m, grasp.height_m), "quat": (np.cos(yaw_rad / 2), 0, 0, np.sin(yaw_rad / 2))}
        pad = carriage.add_body(name=name, gravcomp=1, **pose)
        pad.add_joint(name=name, type=slide, axis=(side, 0, 0), range=(-0.001, 0.04), limited=True, armature=0.1)
        geom = pad.add_geom(type=box, size=(0.0045, 0.01, 0.0105), pos=(side * 0.0045, 0, 0), mass=0.02, condim=4, priority=1)
        geom.friction, geom.solref = (1, 0.02, 1e-4), (0.004, 1)
        add_drive(spec, name, 1000, 60, 20)
    both = spec.add_equality(type=mujoco.mjtEq.mjEQ_JOINT, name1="left", name2="right")
    both.data[:5] = (0, 1, 0, 0, 0)


def add_drive(spec: Any, joint: str, kp: float, kv: float, force_n: float) -> None:
    import mujoco

    drive = spec.add_actuator(name=joint, target=joint, trntype=mujoco.mjtTrn.mjTRN_JOINT)
    drive.gaintype, drive.biastype = mujoco.mjtGain.mjGAIN_FIXED, mujoco.mjtBias.mjBIAS_AFFINE
    drive.gainprm[0], drive.biasprm[:3] = kp, (0, -kp, -kv)
    drive.forcelimited, drive.forcerange = True, (-force_n, force_n)


def move(world: World, seconds: float, **targets: float) -> None:
    start = world.data.ctrl.copy()
    steps = round(seconds / 0.02)
    for k in range(1, steps + 1):
        for name, target in targets.items():
            at = world.model.actuator(name).id
            world.data.ctrl[at] = start[at] + (target - start[at]) * k / steps
        world.run(0.02)


@pytest.mark.parametrize(("name", "destination"), CARRIED)
def test_two_pads_carry_it_to_a_destination_where_it_stays(name: str, destination: str) -> None:
    asset, goal = get(name), get(destination)
    assert goal.place is not None
    for grasp in asset.grasps_in(UPRIGHT):
        spec = table()
        add_pads(spec, grasp, grasp.yaw_rad[0] if grasp.yaw_rad else 0.4)
        # The hand is not quite where it means to be, along and across the pads.
        slip = (0.003, 0.003) if grasp.kind == "top" else (0.0, 0.0)
        add(spec, "it", asset, (*slip, 0))
        add(spec, "goal", goal, (0.3, 0.1, 0))
        world = compiled(spec)
        for pad in ("left", "right"):
            world.data.joint(pad).qpos[0] = world.data.actuator(pad).ctrl[0] = 0.04
        world.run(0.1)
        move(world, 0.1, left=-0.01, right=-0.01)
        world.run(0.3)
        held = world.pos("it") - world.pos("carriage")
        move(world, 0.5, z=0.12)
        move(world, 1.0, x=0.3 + 0.01, y=0.1 - 0.005)
        world.run(0.3)
        assert np.linalg.norm(world.pos("it") - world.pos("carriage") - held) < 0.01, "it slips"
        move(world, 0.6, z=goal.place.surface_height_m + 0.004)
        move(world, 0.2, left=0.04, right=0.04)
        move(world, 0.4, z=0.2)
        world.run(0.3)
        away = world.pos("it") - world.pos("goal")
        assert np.hypot(*away[:2]) < goal.place.inner_radius_m + 0.005
        assert goal.place.surface_height_m - 0.003 < away[2] < goal.place.surface_height_m + 0.015
        assert world.tilt_deg("goal") < 2.0
        if (name, destination) not in HANGS_OVER:
            assert world.tilt_deg("it") < 3.0 and world.speed_m_s("it") < 0.002


@pytest.mark.parametrize("name", [name for name, asset in fixtures().items() if [j.name for j in asset.joints] == ["drawer"]])
def test_the_drawer_slides_without_rubbing_and_stays_where_it_is_left(name: str) -> None:
    import mujoco

    asset = fixtures()[name]
    spec = table()
    root = spec.worldbody.add_body(name="it")
    drawer = asset.joint("drawer")
    body = root.add_body(name="drawer")
    joint = body.add_joint(name="drawer", type=mujoco.mjtJoint.mjJNT_SLIDE, axis=drawer.axis, range=drawer.range_m, limited=True)
    joint.damping, joint.frictionloss = [drawer.damping, 0, 0], drawer.frictionloss
    for owner, pieces in ((root, asset.collision), (body, drawer.collision)):
        for piece in pieces:
            kind = getattr(mujoco.mjtGeom, f"mjGEOM_{piece.type.upper()}")
            owner.add_geom(type=kind, size=piece.size, pos=piece.pos, quat=piece.quat, mass=drawer.mass_kg / len(pieces))
    world = compiled(spec)
    for opening in np.linspace(*drawer.range_m, 5):
        world.data.qpos[0], world.data.qvel[0] = opening, 0.0
        world.run(0.2)
        assert world.data.ncon == 0
        assert world.data.qpos[0] == pytest.approx(opening, abs=1e-3)
