"""The Unitree G1: its physics is the published model's, its hands hold what they close on."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vlagym.envs import catalog
from vlagym.envs.robot import Robot

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
        assert model.actuator(name).forcerange[1] == published.jnt_actfrcrange[other.id][1], name
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
