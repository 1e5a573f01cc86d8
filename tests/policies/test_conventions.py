"""Conventions are compared part by part; what no conversion is known for is refused with both sides in sight."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from vlagym.envs.errors import BadSpec, ConventionMismatch
from vlagym.envs.images import Shrink
from vlagym.envs.types import (
    ActionChunk,
    ActionComponent,
    ActionSpec,
    ImageComponent,
    Observation,
    ObservationSpec,
    Privileged,
    StateComponent,
)
from vlagym.policies.base import PolicySpec
from vlagym.policies.conventions import GRIPPER_ENDS, Pipeline, connect


def part(
    name: str, size: int, convention: str, unit: str, scale: float, low: float = -1.0, high: float = 1.0, frame: str = "base"
) -> ActionComponent:
    return ActionComponent(
        name=name, size=size, convention=convention, frame=frame, unit=unit, scale=scale, low=(low,) * size, high=(high,) * size
    )


TRANSLATION = part("translation", 3, "delta_position", "m", 0.05)
ROTATION = part("rotation", 3, "delta_axis_angle", "rad", 0.25)
GRIPPER = part("gripper", 1, "gripper_closed_positive", "fraction", 1.0, frame="joint")
ENV = ActionSpec(name="ee_delta", components=(TRANSLATION, ROTATION, GRIPPER), rate_hz=20.0)
SENT = ObservationSpec(
    images=(ImageComponent(name="front", width=256, height=256), ImageComponent(name="wrist", width=256, height=256)),
    state=(StateComponent(name="joint_pos_rad", size=7), StateComponent(name="gripper_opening_m", size=1)),
    rate_hz=20.0,
)


def policy(
    *components: ActionComponent,
    images: tuple[ImageComponent, ...] = (),
    state: tuple[StateComponent, ...] = (),
    rate_hz: float = 20.0,
    privileged: bool = False,
) -> PolicySpec:
    action = ActionSpec(name="mine", components=components or ENV.components, rate_hz=rate_hz)
    observation = ObservationSpec(images=images, state=state, rate_hz=rate_hz)
    return PolicySpec(name="mine", action=action, observation=observation, privileged=privileged)


def drive(pipeline: Pipeline, *values: float) -> list[float]:
    chunk = ActionChunk(values=np.array([values], np.float32), spec=pipeline.policy)
    link = pipeline.open()
    return [round(float(v), 6) for v in link.spread(link.drive(chunk, observation())[0])[0]]


def observation() -> Observation:
    rng = np.random.default_rng(0)
    return Observation(
        images={c.name: rng.integers(0, 256, (c.height, c.width, 3), np.uint8) for c in SENT.images},
        proprio={s.name: np.arange(s.size, dtype=np.float32) for s in SENT.state},
        instruction="put it there",
        time_s=0.5,
        depth={"front": np.ones((256, 256), np.float32)},
        privileged=Privileged(props={}, fixture_joints={}, goal_met=(False,)),
    )


# ------------------------------------------------------------------------------------------------------------------------ actions
def test_equal_conventions_pass_through() -> None:
    pipeline = connect(policy(), ENV, SENT)
    assert drive(pipeline, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, -1) == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, -1]
    assert {step.name for step in pipeline.actions} == {"identity"}


def test_components_in_another_order_are_put_in_the_environments() -> None:
    pipeline = connect(policy(GRIPPER, TRANSLATION, ROTATION), ENV, SENT)
    assert drive(pipeline, 1, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6) == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 1]


@pytest.mark.parametrize("convention", sorted(GRIPPER_ENDS))
def test_every_gripper_convention_opens_and_closes_the_gripper(convention: str) -> None:
    opened, closed = GRIPPER_ENDS[convention]
    mine = part("gripper", 1, convention, "fraction", 1.0, min(opened, closed), max(opened, closed), frame="joint")
    pipeline = connect(policy(TRANSLATION, ROTATION, mine), ENV, SENT)
    assert drive(pipeline, 0, 0, 0, 0, 0, 0, opened)[6] == -1
    assert drive(pipeline, 0, 0, 0, 0, 0, 0, closed)[6] == 1
    assert drive(pipeline, 0, 0, 0, 0, 0, 0, (opened + closed) / 2)[6] == 0


def test_displacements_are_scaled() -> None:
    pipeline = connect(policy(replace(TRANSLATION, scale=0.025), ROTATION, GRIPPER), ENV, SENT)
    assert drive(pipeline, 1, 0, -0.5, 0, 0, 0, 0)[:3] == [0.5, 0, -0.25]


def taker(state: tuple[StateComponent, ...] = (), rate_hz: float = 0.0, reads_all_state: bool = False) -> PolicySpec:
    observation = ObservationSpec(images=(), state=state, rate_hz=rate_hz)
    return PolicySpec(name="taker", action=None, observation=observation, reads_all_state=reads_all_state)


def test_a_policy_without_an_action_of_its_own_takes_the_environments_and_is_shown_no_more_than_it_declares() -> None:
    assert connect(taker(), ENV, SENT).policy == ENV
    assert not connect(taker(), ENV, SENT).open().show(observation()).proprio
    assert set(connect(taker(SENT.state[1:]), ENV, SENT).open().show(observation()).proprio) == {"gripper_opening_m"}


def test_a_policy_without_an_action_of_its_own_has_its_rate_compared_unless_it_declares_none() -> None:
    with pytest.raises(ConventionMismatch, match="observation rate: 5 Hz is not 20 Hz, at which it acts"):
        connect(taker(rate_hz=5.0), ENV, SENT)
    assert connect(taker(rate_hz=20.0), ENV, SENT) == connect(taker(), ENV, SENT)


def test_all_of_proprioception_is_for_those_who_say_so_and_take_the_environments_actions() -> None:
    assert connect(taker(reads_all_state=True), ENV, SENT).state == ("joint_pos_rad", "gripper_opening_m")
    for wrong in (replace(policy(), reads_all_state=True), taker(SENT.state[1:], reads_all_state=True)):
        with pytest.raises(BadSpec, match="asks for all of proprioception.*declare the arrays that it reads"):
            connect(wrong, ENV, SENT)


@pytest.mark.parametrize(
    ("components", "message"),
    [
        ((replace(TRANSLATION, frame="world"), ROTATION, GRIPPER), "action translation: frame 'world' is not 'base'"),
        ((replace(TRANSLATION, unit="cm"), ROTATION, GRIPPER), "action translation: unit 'cm' is not 'm'"),
        ((TRANSLATION, replace(ROTATION, convention="delta_turns"), GRIPPER), "no conversion from 'delta_turns' to 'delta_axis_angle'"),
        ((TRANSLATION, ROTATION, replace(GRIPPER, convention="gripper_velocity")), "no conversion from 'gripper_velocity'"),
        ((replace(TRANSLATION, scale=0.1), ROTATION, GRIPPER), "may send -2 to 2 after scale, and the environment refuses what leaves -1 to 1"),
        ((TRANSLATION, ROTATION), "action gripper: the policy does not send it"),
        ((*ENV.components, part("base", 2, "velocity", "m/s", 1.0)), "action base: the environment takes no such component; it takes translation"),
        ((part("translation", 2, "delta_position", "m", 0.05), ROTATION, GRIPPER), "action translation: size 2 is not 3"),
    ],
)
def test_what_is_not_known_is_refused_by_name(components: tuple[ActionComponent, ...], message: str) -> None:
    with pytest.raises(ConventionMismatch) as caught:
        connect(policy(*components), ENV, SENT)
    assert message in str(caught.value)


def test_an_absolute_position_is_not_scaled() -> None:
    here = part("position", 3, "position", "m", 1.0)
    env = ActionSpec(name="ee_pose", components=(here,), rate_hz=20.0)
    with pytest.raises(ConventionMismatch, match="scale 0.5 is not 1, and 'position' is no displacement that could be scaled"):
        connect(policy(replace(here, scale=0.5)), env, SENT)


def test_a_rate_that_does_not_divide_the_environments_is_refused() -> None:
    with pytest.raises(ConventionMismatch, match="action rate: 15 Hz is not 20 Hz, nor does it divide it; what would fit is 20, 10, 5 Hz"):
        connect(policy(rate_hz=15.0), ENV, SENT)


def test_a_refusal_shows_both_sides_and_counts_what_does_not_fit() -> None:
    wrong = policy(TRANSLATION, ROTATION, replace(GRIPPER, convention="gripper_sticky"), images=(ImageComponent(name="top", width=64, height=64),))
    with pytest.raises(ConventionMismatch) as caught:
        connect(wrong, ENV, SENT)
    text = str(caught.value)
    assert "do not fit in 2 of 6 parts" in text
    line = next(line for line in text.splitlines() if line.strip().startswith("action gripper"))
    assert "gripper_sticky" in line and "gripper_closed_positive" in line and line.endswith("<-")
    assert "image top: no camera is called so; there are: front, wrist" in text


# ------------------------------------------------------------------------------------------------------------------- observations
def test_a_declared_crop_is_cut_and_shrunk_where_the_frame_was_rendered() -> None:
    pipeline = connect(policy(images=(ImageComponent(name="front", width=96, height=96, crop=192),)), ENV, SENT)
    seen = observation()
    assert pipeline.cameras == ("front",)
    assert np.array_equal(pipeline.open().show(seen).images["front"], Shrink(crop=192, size=96).apply(seen.images["front"]))


@pytest.mark.parametrize(
    ("orientation", "corner_is_from"),
    [("upright", (0, 0)), ("flipped_vertical", (-1, 0)), ("mirrored", (0, -1)), ("rotated_180", (-1, -1))],
)
@pytest.mark.parametrize("crop", [None, 192])
def test_an_image_is_turned_into_the_orientation_that_a_policy_was_trained_on(
    orientation: Any, corner_is_from: tuple[int, int], crop: int | None
) -> None:
    size = 256 if crop is None else 96
    image = ImageComponent(name="front", width=size, height=size, crop=crop, orientation=orientation)
    seen = observation()
    shown = connect(policy(images=(image,)), ENV, SENT).open().show(seen).images["front"]
    upright = seen.images["front"] if crop is None else Shrink(crop=crop, size=size).apply(seen.images["front"])
    assert np.array_equal(shown[0, 0], upright[corner_is_from]) and np.array_equal(np.sort(shown, axis=None), np.sort(upright, axis=None))
    assert shown.flags.c_contiguous


def test_images_that_lie_alike_on_both_sides_are_not_turned() -> None:
    turned = replace(SENT, images=tuple(replace(i, orientation="flipped_vertical") for i in SENT.images))
    seen = observation()
    same = connect(policy(images=(turned.images[0],)), ENV, turned).open().show(seen).images["front"]
    upright = connect(policy(images=(SENT.images[0],)), ENV, turned).open().show(seen).images["front"]
    assert np.array_equal(same, seen.images["front"]) and np.array_equal(upright, seen.images["front"][::-1])


def test_a_policy_is_shown_what_it_declares_and_nothing_else() -> None:
    pipeline = connect(policy(images=(SENT.images[1],), state=(SENT.state[1],)), ENV, SENT)
    shown = pipeline.open().show(observation())
    assert set(shown.images) == {"wrist"} and set(shown.proprio) == {"gripper_opening_m"}
    assert shown.privileged is None and not shown.depth and not shown.segmentation
    assert shown.instruction == "put it there"


def test_a_privileged_policy_is_shown_the_true_state() -> None:
    assert connect(policy(privileged=True), ENV, SENT).open().show(observation()).privileged is not None


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (ImageComponent(name="front", width=128, height=128), "another size; a policy that wants a centre crop"),
        (ImageComponent(name="front", width=100, height=100, crop=192), "the size must divide it"),
        (ImageComponent(name="front", width=96, height=96, crop=384), "a centre crop of 384 does not fit an image of 256x256"),
        (ImageComponent(name="front", width=96, height=48, crop=192), "a centre crop is square"),
    ],
)
def test_an_image_that_cannot_be_made_is_refused(image: ImageComponent, message: str) -> None:
    with pytest.raises(ConventionMismatch) as caught:
        connect(policy(images=(image,)), ENV, SENT)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (StateComponent(name="ee_pos_world_m", size=3), "state ee_pos_world_m: the environment has none of that name; it has joint_pos_rad"),
        (StateComponent(name="joint_pos_rad", size=6), "state joint_pos_rad: size 6 is not 7"),
    ],
)
def test_a_state_that_is_not_there_is_refused(state: StateComponent, message: str) -> None:
    with pytest.raises(ConventionMismatch) as caught:
        connect(policy(state=(state,)), ENV, SENT)
    assert message in str(caught.value)


def test_the_pipeline_is_described_as_data() -> None:
    spec = policy(
        replace(TRANSLATION, scale=0.025),
        ROTATION,
        replace(GRIPPER, convention="gripper_open_positive"),
        images=(ImageComponent(name="front", width=96, height=96, crop=192, orientation="rotated_180"),),
    )
    said = connect(spec, ENV, SENT).describe()
    assert said["actions"][0] == {"component": "translation", "name": "scale", "gain": 0.5, "offset": 0.0}
    assert said["actions"][2] == {"component": "gripper", "name": "gripper_ends", "gain": -1.0, "offset": 0.0}
    assert said["images"] == [{"camera": "front", "shrink": {"crop": 192, "size": 96}, "flips": ["columns", "rows"]}]
