"""Policies that were trained elsewhere: what they send and read becomes ours and theirs, and each single thing that does not fit is named."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from vlagym.envs.errors import BadData, BadPolicyOutput, ConventionMismatch
from vlagym.envs.types import (
    ActionChunk,
    ActionComponent,
    ActionSpec,
    ImageComponent,
    Observation,
    ObservationSpec,
    StateComponent,
    StatePart,
    canonical_json,
    from_plain,
    to_plain,
)
from vlagym.policies.base import Normalisation, PolicySpec
from vlagym.policies.conventions import Link, Pipeline, connect
from vlagym.policies.conversions import rotations

TILTED = (0.05, 0.97, -0.2, 0.13)
"""Orientation of a hand that points down, more or less; not yet of length 1."""


def part(
    name: str, size: int, convention: str, unit: str = "1", scale: float = 1.0, low: float = -1.0, high: float = 1.0, frame: str = "base"
) -> ActionComponent:
    return ActionComponent(
        name=name, size=size, convention=convention, frame=frame, unit=unit, scale=scale, low=(low,) * size, high=(high,) * size
    )


TRANSLATION = part("translation", 3, "delta_position", "m", 0.05)
ROTATION = part("rotation", 3, "delta_axis_angle", "rad", 0.25)
GRIPPER = part("gripper", 1, "gripper_closed_positive", "fraction", frame="joint")
DELTA = ActionSpec(name="ee_delta", components=(TRANSLATION, ROTATION, GRIPPER), rate_hz=20.0)
POSITION = part("position", 3, "position", "m", low=-1.2, high=1.2)
ORIENTATION = part("orientation", 4, "quaternion_wxyz")
POSE = ActionSpec(name="ee_pose", components=(POSITION, ORIENTATION, GRIPPER), rate_hz=20.0)
JOINTS = ActionSpec(name="joint_delta", components=(part("joints", 7, "joint_delta", "rad", 0.1, frame="joint"), GRIPPER), rate_hz=15.0)
SENT = ObservationSpec(
    images=(ImageComponent(name="front", width=64, height=48), ImageComponent(name="wrist", width=64, height=48)),
    state=(
        StateComponent(name="ee_pos_base_m", size=3),
        StateComponent(name="ee_quat_base_wxyz", size=4),
        StateComponent(name="ee_target_quat_base_wxyz", size=4),
        StateComponent(name="gripper_opening_m", size=1),
    ),
    rate_hz=20.0,
)
AT_15_HZ = replace(SENT, rate_hz=15.0)


def policy(
    *components: ActionComponent,
    images: tuple[ImageComponent, ...] = (),
    state: tuple[StateComponent, ...] = (),
    rate_hz: float = 20.0,
    reads_hz: float | None = None,
    **fields: Any,
) -> PolicySpec:
    action = ActionSpec(name="theirs", components=components or DELTA.components, rate_hz=rate_hz)
    observation = ObservationSpec(images=images, state=state, rate_hz=rate_hz if reads_hz is None else reads_hz)
    return PolicySpec(name="foreign", action=action, observation=observation, **fields)


def observation(time_s: float = 0.0, seed: int = 0) -> Observation:
    rng = np.random.default_rng(seed)
    quat = np.array(TILTED) / np.linalg.norm(TILTED)
    return Observation(
        images={i.name: rng.integers(0, 256, (i.height, i.width, 3), np.uint8) for i in SENT.images},
        proprio={
            "ee_pos_base_m": np.array([0.5, 0.0, 0.2], np.float32),
            "ee_quat_base_wxyz": np.array([0, 1, 0, 0], np.float32),
            "ee_target_quat_base_wxyz": quat.astype(np.float32),
            "gripper_opening_m": np.array([0.06], np.float32),
        },
        instruction="put it there",
        time_s=time_s,
    )


def executed(link: Link, *rows: Any) -> NDArray[np.float32]:
    """Returns all that the environment is told for a chunk of which everything is played."""
    chunk = ActionChunk(values=np.array(rows, np.float32), spec=link.pipeline.policy)
    return np.concatenate([link.spread(row) for row in link.drive(chunk, observation())])


def sum_of_turns(actions: NDArray[np.float32]) -> Rotation:
    """Returns what displacements in the base frame, 1 = 0.25 rad, come to, one after another."""
    total = Rotation.identity()
    for row in actions.astype(np.float64):
        total = Rotation.from_rotvec(row[3:6] * 0.25) * total
    return total


# ------------------------------------------------------------------------------------------------------------------- rotations
DELTAS: dict[str, Callable[[Rotation], NDArray[np.float64]]] = {
    "delta_euler_xyz": lambda r: r.as_euler("xyz"),
    "delta_euler_zyx": lambda r: r.as_euler("zyx"),
    "delta_euler_XYZ": lambda r: r.as_euler("XYZ"),
    "delta_quaternion_wxyz": lambda r: np.roll(r.as_quat(), 1),
    "delta_quaternion_xyzw": lambda r: r.as_quat(),
    "delta_rot6d_rows": lambda r: r.as_matrix()[:2].reshape(6),
    "delta_rot6d_columns": lambda r: r.as_matrix()[:, :2].T.reshape(6),
}


@pytest.mark.parametrize("convention", DELTAS)
def test_every_form_of_a_small_turn_becomes_that_turn(convention: str) -> None:
    turn = Rotation.from_rotvec([0.11, -0.07, 0.2])
    said = DELTAS[convention](turn)
    unit = "rad" if "euler" in convention else "1"
    spec = policy(TRANSLATION, part("rotation", len(said), convention, unit), GRIPPER, clip=True)
    (row,) = executed(connect(spec, DELTA, SENT).open(), [0.1, 0, 0, *said, 1])
    assert row == pytest.approx([0.1, 0, 0, *(turn.as_rotvec() / 0.25), 1], abs=1e-6)


@pytest.mark.parametrize("convention", [c.removeprefix("delta_") for c in DELTAS] + ["axis_angle"])
def test_every_form_of_an_orientation_becomes_a_quaternion(convention: str) -> None:
    wanted = np.array(TILTED) / np.linalg.norm(TILTED)
    said = rotations.from_quaternions(wanted[None], convention)[0]
    unit = "rad" if convention in rotations.ANGLES else "1"
    most = math.pi if unit == "rad" else 1.0
    spec = policy(POSITION, part("orientation", len(said), convention, unit, low=-most, high=most), GRIPPER)
    (row,) = executed(connect(spec, POSE, SENT).open(), [0.4, 0.1, 0.2, *said, -1])
    assert abs(float(row[3:7] @ wanted)) == pytest.approx(1.0, abs=1e-6) and row[:3] == pytest.approx([0.4, 0.1, 0.2])


def test_angles_are_scaled_before_they_are_turned_into_another_form() -> None:
    spec = policy(TRANSLATION, part("rotation", 3, "delta_euler_xyz", "rad", scale=0.1, low=-2.0, high=2.0), GRIPPER, clip=True)
    (row,) = executed(connect(spec, DELTA, SENT).open(), [0, 0, 0, 1, 2, -1, 0])
    assert row[3:6] * 0.25 == pytest.approx(Rotation.from_euler("xyz", [0.1, 0.2, -0.1]).as_rotvec(), abs=1e-6)


def test_what_is_no_rotation_is_the_policys_error() -> None:
    spec = policy(TRANSLATION, part("rotation", 6, "delta_rot6d_rows"), GRIPPER, clip=True)
    with pytest.raises(BadPolicyOutput, match="neither zero nor parallel"):
        executed(connect(spec, DELTA, SENT).open(), [0, 0, 0, 1, 0, 0, 1, 0, 0, 0])


# ----------------------------------------------------------------------------------------------------------------------- frames
def in_hand(component: ActionComponent) -> ActionComponent:
    return replace(component, frame="ee")


def test_displacements_in_the_hands_frame_are_turned_along_the_chunk() -> None:
    spec = policy(in_hand(TRANSLATION), in_hand(ROTATION), GRIPPER, clip=True)
    rng = np.random.default_rng(4)
    rows = np.c_[rng.uniform(-0.5, 0.5, (12, 6)), np.zeros(12)]
    made = executed(connect(spec, DELTA, SENT).open(), *rows)
    now, start = (Rotation.from_quat(np.roll(observation().proprio["ee_target_quat_base_wxyz"], -1)) for _ in range(2))
    way = np.zeros(3)
    for row in rows.astype(np.float32).astype(np.float64):
        way += now.apply(row[:3] * 0.05)
        now = now * Rotation.from_rotvec(row[3:6] * 0.25)
    assert made[:, :3].sum(axis=0) * 0.05 == pytest.approx(way, abs=1e-6)
    assert ((sum_of_turns(made) * start) * now.inv()).magnitude() < 1e-5


def test_a_turn_in_the_hands_frame_leaves_a_translation_in_the_bases_as_it_is() -> None:
    made = executed(connect(policy(TRANSLATION, in_hand(ROTATION), GRIPPER, clip=True), DELTA, SENT).open(), [0.1, 0.2, 0.3, 0, 0, 0.4, 0])
    hand = Rotation.from_quat(np.roll(observation().proprio["ee_target_quat_base_wxyz"], -1))
    assert made[0] == pytest.approx([0.1, 0.2, 0.3, *hand.apply([0, 0, 0.4]), 0], abs=1e-6)


def test_a_translation_in_the_hands_frame_turns_with_turns_in_the_bases() -> None:
    spec = policy(in_hand(TRANSLATION), ROTATION, GRIPPER, clip=True)
    first, second = executed(connect(spec, DELTA, SENT).open(), [0.5, 0, 0, 0, 0, 1, 0], [0.5, 0, 0, 0, 0, 0, 0])
    assert second[:3] == pytest.approx(Rotation.from_rotvec([0, 0, 0.25]).apply(first[:3]), abs=1e-6)


def test_each_hand_of_two_is_turned_by_its_own_orientation() -> None:
    sides = ("left", "right")
    components = tuple(replace(c, name=f"{side}_{c.name}") for side in sides for c in (TRANSLATION, ROTATION))
    env = ActionSpec(name="bimanual_ee_delta", components=components, rate_hz=20.0)
    sent = replace(SENT, state=tuple(StateComponent(name=f"{side}_ee_target_quat_base_wxyz", size=4) for side in sides))
    pipeline = connect(policy(*map(in_hand, components), clip=True), env, sent)
    quats = {"left": [1, 0, 0, 0], "right": [0, 0, 0, 1]}
    seen = replace(observation(), proprio={f"{side}_ee_target_quat_base_wxyz": np.array(q, np.float32) for side, q in quats.items()})
    row = np.array([[0.3, 0, 0, 0, 0, 0] * 2], np.float32)
    made = pipeline.open().drive(ActionChunk(values=row, spec=pipeline.policy), seen)[0]
    assert made[:3] == pytest.approx([0.3, 0, 0]) and made[6:9] == pytest.approx([-0.3, 0, 0])


# ------------------------------------------------------------------------------------------------------------- grippers and joints
@pytest.mark.parametrize(
    ("component", "opened", "closed"),
    [
        (part("gripper", 1, "gripper_open_unit", "fraction", low=0.0, frame="joint"), 1, 0),
        (part("gripper", 1, "gripper_closed_unit_binary", "fraction", low=0.0, frame="joint"), 0.3, 0.6),
        (part("gripper", 1, "gripper_opening_m", "m", low=0.0, high=0.085, frame="joint"), 0.085, 0.0),
    ],
)
def test_foreign_grippers_open_and_close_ours(component: ActionComponent, opened: float, closed: float) -> None:
    link = connect(policy(TRANSLATION, ROTATION, component), DELTA, SENT).open()
    assert executed(link, [0] * 6 + [opened], [0] * 6 + [closed])[:, 6] == pytest.approx([-1, 1])


def test_a_relative_gripper_is_held_over_the_steps_that_are_executed_whatever_the_chunks() -> None:
    relative = part("gripper", 1, "gripper_closing_relative", "fraction", frame="joint")
    pipeline = connect(policy(TRANSLATION, ROTATION, relative, sticky_steps=3), DELTA, SENT)
    link = pipeline.open()
    chunk = ActionChunk(values=np.array([[0.0] * 6 + [0.6], [0.0] * 6 + [-1.0]], np.float32), spec=pipeline.policy)
    said = [link.spread(link.drive(chunk, observation())[0])[0, 6] for _ in range(5)]  # of each chunk only the first action is executed
    assert said == pytest.approx([0.2, 1, 1, 1, 1])
    assert pipeline.open().spread(np.zeros(7, np.float32))[0, 6] == -1, "another episode begins with an open hand"


def test_joint_velocities_become_the_displacement_of_a_step() -> None:
    spec = policy(part("joints", 7, "joint_velocity", "rad/s", scale=3.0, frame="joint"), GRIPPER, rate_hz=15.0, clip=True)
    (row,) = executed(connect(spec, JOINTS, AT_15_HZ).open(), [0.1, -0.2, 0, 0, 0, 0, 0.5, 1])
    assert row == pytest.approx([0.2, -0.4, 0, 0, 0, 0, 1.0, 1])  # 0.1 is 0.3 rad/s, in 1/15 s 0.02 rad, of which 1 is 0.1


# ------------------------------------------------------------------------------------------------------------------------- rates
def test_a_slow_policys_displacements_are_shared_out_and_the_rest_is_repeated() -> None:
    slow = policy(replace(TRANSLATION, low=(-4.0,) * 3, high=(4.0,) * 3), replace(ROTATION, low=(-4.0,) * 3, high=(4.0,) * 3), GRIPPER, rate_hz=5.0)
    pipeline = connect(slow, DELTA, SENT)
    made = executed(pipeline.open(), [4, 0.4, 0, 0.8, -1.2, 2.0, 1], [0, 0, 0, 0, 0, 0, -1])
    assert pipeline.repeats == 4 and made.shape == (8, 7)
    assert made[:4] == pytest.approx(np.tile([1, 0.1, 0, 0.2, -0.3, 0.5, 1], (4, 1))) and (made[4:, 6] == -1).all()
    assert (sum_of_turns(made) * Rotation.from_rotvec(np.array([0.8, -1.2, 2.0]) * 0.25).inv()).magnitude() < 1e-6


def test_a_slow_policys_pose_is_repeated() -> None:
    made = executed(connect(policy(*POSE.components, rate_hz=10.0), POSE, SENT).open(), [0.4, 0, 0.2, 1, 0, 0, 0, 1])
    assert made == pytest.approx(np.tile([0.4, 0, 0.2, 1, 0, 0, 0, 1], (2, 1)))


def test_the_range_of_a_slow_policy_is_that_of_its_share() -> None:
    wide = replace(TRANSLATION, low=(-8.0,) * 3, high=(8.0,) * 3)
    with pytest.raises(ConventionMismatch, match="action translation: it may send -2 to 2, and the environment refuses what leaves -1 to 1"):
        connect(policy(wide, ROTATION, GRIPPER, rate_hz=5.0), DELTA, SENT)


# ------------------------------------------------------------------------------------------------------------- range and statistics
WIDE = part("translation", 3, "delta_position", "m", low=-0.5, high=0.5)


def test_what_is_unbounded_by_nature_is_clipped_where_that_is_said_and_counted() -> None:
    with pytest.raises(ConventionMismatch, match="it may send -10 to 10 after scale.*say clip = true"):
        connect(policy(WIDE, ROTATION, GRIPPER), DELTA, SENT)
    told = r"up to 0.5 m a step, and here a step is 0.05 m at most; if it uses that range, clipping would cut what it does.*say clip = true"
    with pytest.raises(ConventionMismatch, match=told):
        connect(policy(WIDE, ROTATION, GRIPPER), DELTA, SENT)
    pipeline = connect(policy(WIDE, ROTATION, GRIPPER, clip=True), DELTA, SENT)
    assert [step.clip for step in pipeline.actions] == [True] * 3
    link = pipeline.open()
    made = executed(link, [0.5, -0.02, 0, 0.3, 0, 0, 1], [0.01, 0, 0, 0, 0, 0, 1])
    assert made[0, :3] == pytest.approx([1, -0.4, 0]) and link.clipped_steps == 1


def test_what_is_not_to_be_clipped_is_left_to_the_environment_to_refuse() -> None:
    pipeline = connect(policy(), DELTA, SENT)
    assert not any(step.clip for step in pipeline.actions)
    assert executed(pipeline.open(), [1.5, 0, 0, 0, 0, 0, 0])[0, 0] == 1.5


def test_it_is_clipped_where_the_environment_that_a_policy_was_trained_in_clipped() -> None:
    small = part("translation", 3, "delta_position", "m", scale=0.01)
    link = connect(policy(small, ROTATION, GRIPPER, clip=True), DELTA, SENT).open()
    made = executed(link, [1.5, -1.0, 1.0, 0, 0, 0, 1], [0, 0, 0, 0, 0, 0, -1.02], [1, 1, -1, 0, 0, 0, 1])
    assert made[0, :3] == pytest.approx([0.2, -0.2, 0.2]), "1 of the policy is 0.2 of what the environment takes"
    assert made[1, 6] == -1
    assert link.clipped_steps == 2, "what lies on the bound is not clipped"


TURNED = part("rotation", 3, "delta_euler_xyz", "rad", low=-0.25, high=0.25)


def test_what_is_to_be_turned_into_another_form_is_clipped_number_by_number_before() -> None:
    link = connect(policy(WIDE, TURNED, GRIPPER, rate_hz=5.0, clip=True), DELTA, SENT).open()
    wild = executed(link, [0, 0, 0, 0.7, 0, 0, 1])
    assert sum_of_turns(wild).as_rotvec() == pytest.approx([0.25, 0, 0], abs=1e-6) and link.clipped_steps == 4
    both = executed(link, [0, 0, 0, 0.9, -0.1, 0, 1], [0, 0, 0, 0.25, -0.25, 0.25, 1])
    turn = Rotation.from_euler("xyz", [0.25, -0.25, 0.25]) * Rotation.from_euler("xyz", [0.25, -0.1, 0])
    assert sum_of_turns(both).as_rotvec() == pytest.approx(turn.as_rotvec(), abs=2e-6) and link.clipped_steps == 8, "what lies on the bound is not"


def test_what_is_said_in_the_hands_frame_is_clipped_there() -> None:
    link = connect(policy(in_hand(replace(TRANSLATION, low=(-0.2,) * 3, high=(0.2,) * 3)), ROTATION, GRIPPER, clip=True), DELTA, SENT).open()
    made = executed(link, [0.2, -0.2, 0.2, 0, 0, 0, 1], [5, 0, 0, 0, 0, 0, 1])
    hand = Rotation.from_quat(np.roll(observation().proprio["ee_target_quat_base_wxyz"], -1))
    assert made[:, :3] == pytest.approx(hand.apply([[0.2, -0.2, 0.2], [0.2, 0, 0]]), abs=1e-6) and link.clipped_steps == 1


def test_what_fits_the_policys_range_is_clipped_to_the_environments_and_counted_once() -> None:
    link = connect(policy(WIDE, ROTATION, GRIPPER, clip=True), DELTA, SENT).open()
    made = executed(link, [0.3, 0, 0, 0, 0, 0, 1], [0.7, 0, 0, 2, 0, 0, 1], [0.03, 0, 0, 0, 0, 0, 1])
    assert made[:, 0] == pytest.approx([1, 1, 0.6]) and made[1, 3] == 1 and link.clipped_steps == 2


def test_of_chunks_that_are_not_played_to_their_end_only_what_is_played_is_counted() -> None:
    pipeline = connect(policy(WIDE, ROTATION, GRIPPER, clip=True), DELTA, SENT)
    link, wild, calm = pipeline.open(), [9, 0, 0, 0, 0, 0, 1], [0.0] * 7
    for rows in ([calm, calm, wild], [wild, calm, wild]):
        driven = link.drive(ActionChunk(values=np.array(rows, np.float32), spec=pipeline.policy), observation())
        for row in driven[:2]:
            link.spread(row)
    assert link.clipped_steps == 1


def test_numbers_within_the_range_pass_the_clipping_bit_for_bit() -> None:
    spec = policy(replace(WIDE, low=(-0.05,) * 3, high=(0.05,) * 3), TURNED, GRIPPER, rate_hz=5.0)
    rows = np.random.default_rng(7).uniform(-0.05, 0.05, (200, 7)).astype(np.float32)
    rows[:2, :3] = [[0.05] * 3, [-0.05] * 3]
    clipping = connect(replace(spec, clip=True), DELTA, SENT)
    link = clipping.open()
    assert np.array_equal(executed(link, *rows), executed(clipping.without_clipping().open(), *rows)) and link.clipped_steps == 0


def test_normalised_actions_are_undone_first() -> None:
    by = Normalisation(kind="q01_q99", first=(-0.02, -0.02, -0.02), second=(0.04, 0.02, 0.02))
    spec = policy(WIDE, ROTATION, GRIPPER, clip=True, normalisation={"translation": by})
    (row,) = executed(connect(spec, DELTA, SENT).open(), [1, 0, -1, 0, 0, 0, 0])
    assert row[:3] == pytest.approx([0.04 / 0.05, 0, -0.02 / 0.05])


def test_a_normalised_state_is_what_the_policy_reads() -> None:
    by = Normalisation(kind="mean_std", first=(0.4, 0.0, 0.0), second=(0.1, 1.0, 0.1))
    spec = policy(state=(StateComponent(name="ee_pos_base_m", size=3),), normalisation={"ee_pos_base_m": by})
    shown = connect(spec, DELTA, SENT).open().show(observation()).proprio["ee_pos_base_m"]
    assert shown.dtype == np.float32 and shown == pytest.approx([1, 0, 2], abs=1e-6)


# ----------------------------------------------------------------------------------------------------------------- what it is shown
LIBERO_STATE = StateComponent(
    name="state",
    size=8,
    parts=(
        StatePart(array="ee_pos_base_m", form="as_is", size=3),
        StatePart(array="ee_quat_base_wxyz", form="axis_angle_positive_w", size=3),
        StatePart(array="gripper_opening_m", form="two_finger_joints", size=2),
    ),
)


def test_a_state_vector_is_put_together_of_arrays() -> None:
    shown = connect(policy(state=(LIBERO_STATE,)), DELTA, SENT).open().show(observation())
    assert set(shown.proprio) == {"state"}
    assert shown.proprio["state"] == pytest.approx([0.5, 0, 0.2, math.pi, 0, 0, 0.03, -0.03])


def test_streams_bear_the_policys_names_and_may_share_a_camera() -> None:
    streams = (
        ImageComponent(name="primary", width=64, height=48, source="front", orientation="mirrored"),
        ImageComponent(name="left_1", width=32, height=32, source="front", fit="pad", filter="bilinear"),
        ImageComponent(name="wrist", width=24, height=24, fit="stretch", values="symmetric"),
    )
    pipeline = connect(policy(images=streams), DELTA, SENT)
    shown, sent = pipeline.open().show(observation()).images, observation().images
    assert pipeline.cameras == ("front", "wrist") and pipeline.is_resampled
    assert np.array_equal(shown["primary"], sent["front"][:, ::-1])
    assert shown["left_1"].shape == (32, 32, 3) and not shown["left_1"][:4].any() and shown["left_1"][4:28].any()
    assert shown["wrist"].dtype == np.float32 and -1 <= shown["wrist"].min() < 0 < shown["wrist"].max() <= 1


def test_the_middle_of_a_fitted_image_is_taken_after_it_was_fitted() -> None:
    from vlagym.policies.conversions import images

    stream = ImageComponent(name="front", width=40, height=40, fit="stretch", filter="lanczos3", centre_share=0.9)
    shown = connect(policy(images=(stream,)), DELTA, SENT).open().show(observation()).images["front"]
    assert np.array_equal(shown, images.centre(images.stretched(observation().images["front"], 40, 40, "lanczos3"), 0.9))


def test_a_policy_with_a_history_is_shown_earlier_observations_the_first_standing_in_for_those_before_it() -> None:
    front = SENT.images[:1]
    link = connect(policy(images=front, history=(-2, -1, 0)), DELTA, SENT).open()
    seen = [link.show(observation(time_s=k / 20, seed=k)) for k in range(4)]
    assert [[p.time_s for p in s.past] for s in seen] == [[0, 0], [0, 0], [0, 0.05], [0.05, 0.1]]
    assert np.array_equal(seen[3].past[1].images["front"], observation(seed=2).images["front"])
    assert all(not p.past and set(p.images) == {"front"} for p in seen[3].past)


def test_a_history_counts_the_policys_own_steps() -> None:
    link = connect(policy(rate_hz=5.0, history=(-1, 0)), DELTA, SENT).open()
    assert [link.show(observation(time_s=t)).past[0].time_s for t in (0.0, 0.2, 0.4)] == [0.0, 0.0, 0.2]


def test_a_history_that_nobody_remembered_is_an_error() -> None:
    link = connect(policy(history=(-1, 0)), DELTA, SENT).open()
    link.show(observation(time_s=0.0))
    with pytest.raises(BadData, match=r"is shown \(-1, 0\) and nobody remembered the observation of its step 7"):
        link.show(observation(time_s=8 / 20))
    link.remember(observation(time_s=9 / 20))
    assert link.show(observation(time_s=10 / 20)).past[0].time_s == 9 / 20


# ------------------------------------------------------------------------------------------------------------------------ in words
def foreign() -> tuple[PolicySpec, Pipeline]:
    spec = policy(
        WIDE,
        in_hand(part("rotation", 3, "delta_euler_xyz", "rad", low=-0.5, high=0.5)),
        part("gripper", 1, "gripper_closed_unit_binary", "fraction", low=0.0, frame="joint"),
        part("terminate", 3, "ignored", low=0.0),
        images=(ImageComponent(name="primary", width=32, height=32, source="front", fit="pad", orientation="mirrored", centre_share=0.9),),
        state=(LIBERO_STATE, SENT.state[0]),
        rate_hz=5.0,
        clip=True,
        history=(-1, 0),
        normalisation={"translation": Normalisation(kind="q01_q99", first=(-0.1,) * 3, second=(0.1,) * 3)},
        profile="theirs",
    )
    return spec, connect(spec, DELTA, SENT)


def test_every_step_is_told() -> None:
    told = {told.part: "; ".join(told.steps) for told in foreign()[1].told()}
    assert told["action translation"] == (
        "un-normalise by q01_q99; clip to what it declares; scale: x 20; shared out over 4 steps; clip to what the environment takes"
    )
    assert told["action rotation"] == (
        "clip to what it declares; euler_xyz to axis_angle; turn from the hand's frame into the base's by ee_target_quat_base_wxyz, which is turned "
        "along the chunk; shared out over 4 steps; clip to what the environment takes"
    )
    assert told["action gripper"] == "to the nearer end; gripper_binary: x 2 - 1; repeated for 4 steps"
    assert told["action terminate"] == "ignored"
    assert told["image primary"] == "of camera front; pad to 32 x 32 by area; middle 0.9 of the area, brought back to size; columns in reverse"
    assert told["state state"] == "as_is(ee_pos_base_m); axis_angle_positive_w(ee_quat_base_wxyz); two_finger_joints(gripper_opening_m)"
    assert told["state ee_pos_base_m"] == ""


def test_what_a_relative_gripper_is_counted_from_is_told() -> None:
    relative = part("gripper", 1, "gripper_closing_relative", "fraction", frame="joint")
    told = connect(policy(TRANSLATION, ROTATION, relative, sticky_steps=15), DELTA, SENT).told()
    assert told[2].steps == ("counted from open, each command held for 15 steps of the policy",)


def test_the_header_holds_every_step_as_data() -> None:
    said = foreign()[1].describe()
    assert said["repeats"] == 4 and said["history"] == [-1, 0] and said["ignored"] == ["terminate"]
    assert said["actions"][1]["into"] == "axis_angle" and said["actions"][0]["normalisation"]["kind"] == "q01_q99"
    assert said["states"][0]["parts"][2] == {"array": "gripper_opening_m", "form": "two_finger_joints", "size": 2, "gain": 1.0, "offset": []}
    assert canonical_json(said)


def test_what_a_policy_of_ours_declares_is_written_as_it_was_before_foreign_ones_were_known() -> None:
    image = ImageComponent(name="front", width=96, height=96, crop=192)
    assert to_plain(image) == {"name": "front", "width": 96, "height": 96, "crop": 192, "orientation": "upright"}
    assert to_plain(SENT.state[0]) == {"name": "ee_pos_base_m", "size": 3}
    said = connect(policy(images=(ImageComponent(name="front", width=64, height=48),), state=SENT.state[:1]), DELTA, SENT).describe()
    assert set(said) == {"actions", "images", "state", "privileged"}
    assert said["images"] == [{"camera": "front", "shrink": None, "flips": []}]
    assert [set(step) for step in said["actions"]] == [{"component", "name", "gain", "offset"}] * 3


def test_what_a_policy_declares_survives_plain_data_and_the_way_to_a_worker() -> None:
    spec, pipeline = foreign()
    assert from_plain(ObservationSpec, to_plain(spec.observation)) == spec.observation
    assert from_plain(Pipeline, to_plain(pipeline)) == pipeline
    assert pickle.loads(pickle.dumps((spec, pipeline))) == (spec, pipeline), "workers are sent it"


# ------------------------------------------------------------------------------------------------------------------ what does not fit
ROT_IN_RAD = part("rotation", 3, "delta_euler_xyz", "rad", low=-0.05, high=0.05)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (policy(TRANSLATION, replace(ROT_IN_RAD, size=4, low=(-1.0,) * 4, high=(1.0,) * 4), GRIPPER), "size 4 is not 3, of which delta_euler_xyz is made"),
        (policy(TRANSLATION, replace(ROT_IN_RAD, unit="deg"), GRIPPER), "unit 'deg' is not 'rad': say in scale how many rad 1 is"),
        (policy(TRANSLATION, replace(ROT_IN_RAD, frame="camera"), GRIPPER), "action rotation: frame 'camera' is not 'base'"),
        (policy(TRANSLATION, part("rotation", 4, "delta_quaternion_xyzw", scale=2.0), GRIPPER), "scale 2 is not 1, and delta_quaternion_xyzw is made of"),
        (policy(TRANSLATION, ROT_IN_RAD, replace(GRIPPER, unit="m")), "action gripper: unit 'm' is not 'fraction'"),
        (policy(TRANSLATION, ROT_IN_RAD, replace(GRIPPER, convention="gripper_speed")), "what is known to become gripper_closed_positive is gripper_clo"),
        (policy(TRANSLATION, ROT_IN_RAD, replace(GRIPPER, convention="gripper_close_positive")), r"\(did you mean gripper_closed_positive or"),
        (policy(TRANSLATION, replace(ROT_IN_RAD, convention="delta_eulr_xyz"), GRIPPER), r"\(did you mean delta_euler_xyz or"),
        (policy(TRANSLATION, ROT_IN_RAD, replace(GRIPPER, convention="ignored")), "the policy sends it to be ignored, and the environment needs it"),
        (policy(rate_hz=15.0), "action rate: 15 Hz is not 20 Hz, nor does it divide it; what would fit is 20, 10, 5 Hz"),
        (policy(rate_hz=50.0), "action rate: 50 Hz is not 20 Hz"),
        (policy(rate_hz=5.0, reads_hz=20.0), "observation rate: 20 Hz is not 5 Hz, at which it acts"),
        (policy(*POSE.components), "action position: the environment takes no such component.*controlled by ee_pose does: choose --control ee_pose"),
        (policy(part("joints", 7, "joint_velocity", "rad/s", frame="joint"), GRIPPER), "action joints: .*choose --control joint_delta"),
        (policy(images=(ImageComponent(name="top", width=64, height=48),)), "image top: no camera is called so; there are: front, wrist; say in source"),
        (policy(images=(ImageComponent(name="a", source="side", width=64, height=48),)), "image a: no camera is called 'side'"),
        (policy(images=(ImageComponent(name="front", width=32, height=32),)), "image front: another size.* fit = stretch or pad"),
        (policy(images=(ImageComponent(name="front", width=32, height=32, crop=32, fit="pad"),)), "it declares both a crop and fit = pad"),
        (policy(state=(replace(LIBERO_STATE, size=7),)), "state state: its parts have 8 numbers together, and it declares 7"),
        (policy(state=(StateComponent(name="tcp", size=3),)), "state tcp: the environment has none of that name.*declares its parts"),
        (
            policy(state=(StateComponent(name="s", size=3, parts=(StatePart(array="ee_pos_bas_m", form="as_is", size=3),)),)),
            r"no array 'ee_pos_bas_m' \(did you mean ee_pos_base_m\?\)",
        ),
        (
            policy(state=(StateComponent(name="s", size=2, parts=(StatePart(array="ee_pos_base_m", form="two_finger_joints", size=2),)),)),
            "two_finger_joints is made of an opening in m, and ee_pos_base_m is none",
        ),
        (
            policy(normalisation={"gripper": Normalisation(kind="min_max", first=(0.0, 0.0), second=(1.0, 1.0))}),
            "action gripper: its normalisation is of 2 numbers, and it has 1",
        ),
        (
            policy(state=SENT.state[:1], normalisation={"ee_pos_base_m": Normalisation(kind="min_max", first=(0.0,), second=(1.0,))}),
            "state ee_pos_base_m: its normalisation is of 1 numbers, and it has 3",
        ),
    ],
)
def test_each_single_thing_that_does_not_fit_is_named_with_what_would(spec: PolicySpec, message: str) -> None:
    with pytest.raises(ConventionMismatch, match=message) as caught:
        connect(spec, DELTA, SENT)
    if spec.action is not None and not {c.name for c in spec.action.components} - {"translation", "rotation", "gripper"}:
        assert "do not fit in 1 of" in str(caught.value)


def test_an_absolute_pose_under_another_name_is_told_which_control_takes_it() -> None:
    absolute = replace(POSITION, name="translation", low=(-1.0,) * 3, high=(1.0,) * 3)
    with pytest.raises(ConventionMismatch, match="no conversion from 'position' to 'delta_position' is known; .*choose --control ee_pose"):
        connect(policy(absolute, ROTATION, GRIPPER), DELTA, SENT)


def test_a_turn_in_the_hands_frame_needs_the_orientation_of_the_hand() -> None:
    with pytest.raises(ConventionMismatch, match="frame 'ee' is not 'base', and what turns one into the other, the array ee_target_quat_base_wxyz"):
        connect(policy(in_hand(TRANSLATION), ROTATION, GRIPPER), DELTA, replace(SENT, state=SENT.state[:1]))
