"""What overlapping chunks say of a step is averaged so that orientations stay orientations, and a gripper is not left half open."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from vlagym.envs.errors import BadPolicyOutput
from vlagym.envs.types import ActionChunk, ActionComponent, ActionSpec, Observation, ObservationSpec
from vlagym.policies import ensemble
from vlagym.policies.base import PolicySpec
from vlagym.policies.chunking import Chunking, ChunkPlayer
from vlagym.policies.conventions import Pipeline, connect

NOTHING = Observation(images={}, proprio={}, instruction="", time_s=0.0)
BLIND = ObservationSpec(images=(), state=(), rate_hz=20.0)


def part(name: str, size: int, convention: str, unit: str, scale: float = 1.0, low: float = -1.0, high: float = 1.0) -> ActionComponent:
    return ActionComponent(
        name=name, size=size, convention=convention, frame="base", unit=unit, scale=scale, low=(low,) * size, high=(high,) * size
    )


GRIPPER = part("gripper", 1, "gripper_closed_positive", "fraction")
BINARY = part("gripper", 1, "gripper_open_unit_binary", "fraction", low=0.0)
POSITION = part("position", 3, "position", "m")
POSE = ActionSpec(name="ee_pose", components=(POSITION, part("orientation", 4, "quaternion_wxyz", "1"), GRIPPER), rate_hz=20.0)
TRANSLATION = part("translation", 3, "delta_position", "m", 0.05)
TURN = part("rotation", 3, "delta_axis_angle", "rad", 0.25)
DELTA = ActionSpec(name="ee_delta", components=(TRANSLATION, TURN, GRIPPER), rate_hz=20.0)


def pipeline(environment: ActionSpec, *components: ActionComponent, clip: bool = False) -> Pipeline:
    action = ActionSpec(name="mine", components=components, rate_hz=20.0)
    return connect(PolicySpec(name="mine", action=action, observation=BLIND, clip=clip), environment, BLIND)


def played(through: Pipeline, *rows: list[float], decay: float = 0.0) -> NDArray[np.float32]:
    """Returns what is executed of chunks that each say one row for all of their four steps, a new chunk at each step."""
    link, player = through.open(), ChunkPlayer(Chunking(mode="ensemble", decay=decay), partial(ensemble.mean, through))
    out = []
    for row in rows:
        chunk = ActionChunk(values=np.tile(np.array(row, np.float32), (4, 1)), spec=through.policy)
        player.put(link.drive(chunk, NOTHING))
        out.append(link.spread(player.take())[0])
    return np.array(out)


def angle_between(quat_wxyz: Any, other: Rotation) -> float:
    assert np.linalg.norm(quat_wxyz) == pytest.approx(1.0, abs=1e-6)
    return float((Rotation.from_quat(np.roll(np.asarray(quat_wxyz, np.float64), -1)) * other.inv()).magnitude())


def test_hands_that_point_down_from_two_sides_of_half_a_turn_go_on_pointing_down() -> None:
    orientation = part("orientation", 3, "axis_angle", "rad", low=-3.2, high=3.2)
    through = pipeline(POSE, POSITION, orientation, GRIPPER)
    one, other = [0.4, 0, 0.2, 3.13, 0.02, 0, 1], [0.4, 0, 0.2, -3.13, 0.02, 0, 1]
    apart = (Rotation.from_rotvec(one[3:6]) * Rotation.from_rotvec(other[3:6]).inv()).magnitude()
    made = played(through, one, other, one, other)
    for row in made:
        for said in (one, other):
            assert angle_between(row[3:7], Rotation.from_rotvec(said[3:6])) <= apart + 1e-6 < 0.05
    assert angle_between(made[1, 3:7], Rotation.from_rotvec(one[3:6])) == pytest.approx(apart / 2, abs=1e-6), "it is in the middle of both"
    assert made[:, :3] == pytest.approx(np.tile([0.4, 0, 0.2], (4, 1)))


@pytest.mark.parametrize("form", ["quaternion_wxyz", "quaternion_xyzw", "rot6d_columns"])
def test_of_whatever_form_an_orientation_is_said_its_mean_lies_between(form: str) -> None:
    from vlagym.policies.conversions import rotations

    size = rotations.SIZES[form]
    through = pipeline(POSE, POSITION, part("orientation", size, form, "1"), GRIPPER)
    rng = np.random.default_rng(3)
    down = Rotation.from_euler("x", math.pi)
    turns = [Rotation.from_rotvec(rng.normal(size=3) * 0.1) * down for _ in range(4)]
    signs = [1, -1, -1, 1] if form.startswith("quaternion") else [1] * 4
    said = [s * rotations.from_quaternions(np.roll(t.as_quat(), 1)[None], form)[0] for s, t in zip(signs, turns, strict=True)]
    made = played(through, *([0.0, 0, 0, *row, 0] for row in said), decay=0.2)
    weights = np.exp(-0.2 * np.arange(4))
    assert angle_between(made[3, 3:7], Rotation.concatenate(turns).mean(weights)) < 2e-3, "scipy's mean, to the second order of what they are apart"


def test_opposite_orientations_have_a_mean_that_is_a_rotation() -> None:
    through = pipeline(POSE, *POSE.components)
    made = played(through, [0, 0, 0, 1, 0, 0, 0, 0], [0, 0, 0, 0, 1, 0, 0, 0], [0, 0, 0, 0, -1, 0, 0, 0])
    assert np.linalg.norm(made[:, 3:7], axis=1) == pytest.approx([1, 1, 1])


def test_an_orientation_that_is_none_is_the_policys_error() -> None:
    with pytest.raises(BadPolicyOutput, match="which is no rotation"):
        played(pipeline(POSE, *POSE.components), [0, 0, 0, 1, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0, 0])


def test_small_turns_are_averaged_as_they_are_to_the_last_bit() -> None:
    through = pipeline(DELTA, *DELTA.components)
    rows = np.random.default_rng(5).uniform(-1, 1, (4, 7)).astype(np.float32)
    weights = np.exp(-0.01 * np.arange(4))
    assert np.array_equal(ensemble.mean(through, rows, weights), (weights[:, None] * rows).sum(axis=0) / weights.sum())


def test_half_turns_from_both_sides_are_not_averaged_to_nothing() -> None:
    whole = ActionSpec(name="ee_delta", components=(TRANSLATION, part("rotation", 3, "delta_axis_angle", "rad", 1.0, -4, 4), GRIPPER), rate_hz=20.0)
    through = pipeline(whole, *whole.components)
    made = played(through, [0, 0, 0, 3.1, 0, 0, 0], [0, 0, 0, -3.1, 0, 0, 0])
    assert made[1, 3:6] == pytest.approx([math.pi, 0, 0], abs=1e-6)


def test_a_gripper_that_is_only_open_or_closed_goes_where_the_mean_is_nearer() -> None:
    through = pipeline(DELTA, TRANSLATION, TURN, BINARY)
    opened, closed = [0.0] * 6 + [1.0], [0.0] * 6 + [0.0]
    assert played(through, opened, closed, closed, closed)[:, 6].tolist() == [-1, -1, 1, 1], "of one open and one closed it stays open"
    assert played(through, closed, opened, decay=0.5)[:, 6].tolist() == [1, 1], "the older one weighs more"
    held = pipeline(DELTA, TRANSLATION, TURN, GRIPPER)
    assert played(held, [0.0] * 6 + [1.0], [0.0] * 6 + [-1.0])[1, 6] == 0, "one that may be half open may be half open"
