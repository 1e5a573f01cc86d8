"""The Panda: the published kinematics, two looks with one physics, joints that reach and stay."""

import os
from dataclasses import replace
from pathlib import Path

import mujoco
import numpy as np
import pytest

from vlagym.envs import catalog
from vlagym.envs.errors import MissingPackage, UnknownName
from vlagym.envs.kinematics import kinematics
from vlagym.envs.robot import Robot
from vlagym.envs.types import EpisodeSpec
from vlagym.envs.world import World

PANDA: Robot = catalog.load("robot", "panda")


def _menagerie() -> Path:
    candidates = [os.environ.get("MENAGERIE_ROOT"), Path(__file__).resolve().parents[3] / "shared" / "menagerie"]
    for folder in candidates:
        if folder and (Path(folder) / "franka_emika_panda" / "panda.xml").exists():
            return Path(folder)
    pytest.skip("MuJoCo Menagerie is not on this machine: set MENAGERIE_ROOT")


def test_postures_reach_the_same_poses_as_the_published_model() -> None:
    published = mujoco.MjModel.from_xml_path(str(_menagerie() / "franka_emika_panda" / "panda.xml"))
    data = mujoco.MjData(published)
    ours = kinematics("panda")
    rng = np.random.default_rng(0)
    for _ in range(200):
        q = rng.uniform(PANDA.joint_low_rad, PANDA.joint_high_rad)
        data.qpos[:7] = q
        mujoco.mj_kinematics(published, data)
        hand = data.body("hand")
        pinch = hand.xpos + hand.xmat.reshape(3, 3) @ [0, 0, 0.1034]
        assert np.allclose(ours.forward(q).pos, pinch, atol=1e-6)


def test_limits_masses_and_inertias_are_the_published_ones() -> None:
    published = mujoco.MjModel.from_xml_path(str(_menagerie() / "franka_emika_panda" / "panda.xml"))
    spec = mujoco.MjSpec()
    spec.compiler.degree = False
    PANDA.add(spec, None)
    ours = spec.compile()
    assert np.allclose(ours.jnt_range[:7], published.jnt_range[:7])
    for name in (*(f"link{i}" for i in range(8)), "hand"):
        assert ours.body(name).mass == pytest.approx(published.body(name).mass)
        assert np.allclose(np.sort(ours.body(name).inertia), np.sort(published.body(name).inertia), rtol=1e-4, atol=1e-7), name


def test_the_look_changes_pixels_and_not_physics(two_blocks: EpisodeSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MENAGERIE_ROOT", str(_menagerie()))
    states, models, frames = [], [], []
    for look in ("gymnasium_robotics", "menagerie"):
        world = World(look=look)
        world.start(two_blocks)
        for _ in range(20):
            world.advance([0.5, 0.3, -1, 0, 0, 0.3, 1])
        states.append(world.state_digest())
        models.append(world.model_digest)
        frames.append(world.observe(("front",)).images["front"])
        assert world.look == look
        world.close()
    assert states[0] == states[1] and models[0] == models[1]
    assert np.mean(frames[0] != frames[1]) > 0.01


@pytest.mark.parametrize("friction", [None, 0.3])
def test_a_world_that_never_renders_moves_like_one_that_does(two_blocks: EpisodeSpec, friction: float | None) -> None:
    props = tuple(replace(prop, friction=friction) for prop in two_blocks.scene.props)
    spec = replace(two_blocks, scene=replace(two_blocks.scene, props=props))
    digests = []
    for render in (True, False):
        world = World(render=render)
        world.start(spec)
        for _ in range(20):
            world.advance([0.5, 0.3, -1, 0, 0, 0.3, 1])
            if render:
                world.observe()
        digests.append((world.model_digest, world.initial_state_digest, world.state_digest()))
        world.close()
    assert digests[0] == digests[1]


def test_unknown_and_missing_looks_say_what_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnknownName, match=r"no look of the panda is called 'mengerie'. Did you mean menagerie"):
        PANDA.resolve_look("mengerie")
    monkeypatch.setenv("MENAGERIE_ROOT", str(tmp_path))
    with pytest.raises(MissingPackage, match="franka_emika_panda/panda.xml is not below MENAGERIE_ROOT .*pip install mujoco-menagerie"):
        PANDA.resolve_look("menagerie")


def test_inverse_kinematics_reaches_the_workspace() -> None:
    arm = kinematics("panda")
    down = np.array([0.0, 1.0, 0.0, 0.0])
    from vlagym.envs.frames import Pose

    for x in (0.36, 0.5, 0.64):
        for y in (-0.25, 0.0, 0.25):
            for z in (0.02, 0.2):
                q, position, rotation = arm.solve(Pose(np.array([x, y, z]), down))
                assert position < 1e-3 and rotation < 0.01, (x, y, z)
                assert (q >= arm.low).all() and (q <= arm.high).all()


def test_home_touches_nothing_and_reachable_postures_do_not_lock_hulls(two_blocks: EpisodeSpec) -> None:
    world = World(render=False)
    facts = world.start(two_blocks)
    assert not facts.contacts
    model, data = world.scene.model, world.simulation.data
    arm = kinematics("panda")
    rng = np.random.default_rng(1)
    from vlagym.envs.frames import Pose

    for _ in range(60):
        point = rng.uniform([0.35, -0.25, 0.15], [0.65, 0.25, 0.4])
        q, position, _ = arm.solve(Pose(point, np.array([0.0, 1.0, 0.0, 0.0])))
        if position > 1e-3:
            continue
        data.qpos[world.scene.joint_qpos] = q
        mujoco.mj_forward(model, data)
        assert not any(a < world.scene.num_robot and b < world.scene.num_robot for a, b in world.simulation.touching())


def test_the_digest_of_the_model_sees_physics_and_not_the_look(two_blocks: EpisodeSpec) -> None:
    from vlagym.envs.scene import build
    from vlagym.envs.simulation import physics_digest

    bare, seen = (build(two_blocks, PANDA, look).model for look in (None, "gymnasium_robotics"))
    plain = physics_digest(bare)
    assert physics_digest(seen) == plain
    for name in ("actuator_gear", "dof_solref", "jnt_solimp", "geom_solmix", "body_mass", "geom_friction", "eq_solref"):
        model = build(two_blocks, PANDA, None).model
        getattr(model, name)[...] += 0.125
        assert physics_digest(model) != plain, name
    model = build(two_blocks, PANDA, None).model
    model.opt.noslip_iterations = 3
    assert physics_digest(model) != plain
