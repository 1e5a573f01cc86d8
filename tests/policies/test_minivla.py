"""The parts of minivla: words as numbers, points as pixels, the body as features, and a network that listens."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from vlagym.envs.errors import BadData
from vlagym.envs.frames import from_axis_angle, look_at, multiply
from vlagym.envs.types import CameraSpec
from vlagym.policies.models.minivla import proprio, words
from vlagym.policies.models.minivla.card import Statistics, build, check_action
from vlagym.policies.models.minivla.config import MiniVlaConfig, TextConfig, TowerConfig
from vlagym.policies.models.minivla.geometry import project, rotation_between, rotation_matrix
from vlagym.policies.models.minivla.network import MiniVla

CONFIG = MiniVlaConfig()
UNIT = Statistics(pos_mean_base_m=((0.5, 0.0, 0.0),) * 2, proprio_mean=(0.0,) * proprio.SIZE, proprio_spread=(1.0,) * proprio.SIZE)


@pytest.fixture(scope="module")
def network() -> MiniVla:
    """A fresh network whose words have been moved off their zeros, as training does."""
    made = build(CONFIG, UNIT, seed=3).eval()
    with torch.no_grad():
        for block in (made.front.fine, made.front.coarse, made.front.merge):
            block.film.weight.normal_(std=0.1, generator=torch.Generator().manual_seed(1))
            block.second.weight.normal_(std=0.05, generator=torch.Generator().manual_seed(2))
    return made


def summary(network: MiniVla, *sentences: str) -> torch.Tensor:
    ids = words.encode(sentences, CONFIG.text)
    with torch.inference_mode():
        result: torch.Tensor = network.text(torch.from_numpy(ids.words), torch.from_numpy(ids.grams))
    return result


# ------------------------------------------------------------------------------------------------------------------------- words
def test_words_are_read_without_case_and_punctuation() -> None:
    assert words.split("Please, put the RED mug on the plate!") == ["please", "put", "the", "red", "mug", "on", "the", "plate"]
    assert words.split("I'd like it; I’d like it") == ["i'd", "like", "it", "i'd", "like", "it"]
    assert words.split(" … ") == []


def test_a_word_has_the_same_buckets_in_every_process() -> None:
    assert words.word_bucket("mug", TextConfig()) == 1610
    assert words.gram_buckets("mug", TextConfig())[:3] == (3970, 1305, 3757)


def test_a_word_shorter_than_its_parts_still_has_one() -> None:
    assert len(words.gram_buckets("a", TextConfig(gram_min=5, gram_max=6))) == 1


def test_sentences_are_padded_to_the_longest() -> None:
    ids = words.encode(["stack it", "", "put the red block down"], CONFIG.text)
    assert ids.words.shape == (3, 5) and ids.grams.shape[:2] == (3, 5)
    assert (ids.words > 0).sum(axis=1).tolist() == [2, 0, 5]


def test_an_unknown_word_has_an_embedding_of_its_own(network: MiniVla) -> None:
    read = summary(network, "put the mug down", "put the zyzzyva down", "put the quokka down", "put the down")
    assert torch.isfinite(read).all()
    assert all(not torch.allclose(read[i], read[j], atol=1e-3) for i in range(4) for j in range(i))


def test_words_with_common_parts_are_read_alike(network: MiniVla) -> None:
    mug, mugs, quartz = summary(network, "mug", "mugs", "quartz")
    assert (mug - mugs).norm() < 0.8 * (mug - quartz).norm()


def test_the_order_of_words_matters(network: MiniVla) -> None:
    read = summary(network, "put the red block on the blue one", "put the blue block on the red one")
    assert not torch.allclose(read[0], read[1], atol=1e-3)


def test_a_blank_sentence_and_a_very_long_one_can_be_read(network: MiniVla) -> None:
    assert torch.isfinite(summary(network, "")).all() and torch.isfinite(summary(network, "block " * 300)).all()


def test_padding_does_not_change_what_is_read(network: MiniVla) -> None:
    alone = summary(network, "stack the red block")
    padded = summary(network, "stack the red block", "stack the red block on top of the blue one over there")[:1]
    assert torch.allclose(alone, padded, atol=1e-5)


def test_dropping_every_word_reads_as_blank(network: MiniVla) -> None:
    ids = words.encode(["stack the red block"], CONFIG.text)
    keep = torch.zeros(ids.words.shape, dtype=torch.bool)
    with torch.inference_mode():
        dropped = network.text(torch.from_numpy(ids.words), torch.from_numpy(ids.grams), keep_token=keep)
    assert torch.allclose(dropped, summary(network, ""), atol=1e-5)


def test_a_word_that_training_never_showed_reads_like_one_whose_whole_was_dropped(network: MiniVla) -> None:
    ids = words.encode(["lift the quokka"], CONFIG.text)
    keep = torch.tensor([[True, True, False]])
    with torch.inference_mode():
        dropped = network.text(torch.from_numpy(ids.words), torch.from_numpy(ids.grams), keep_word=keep)
    assert torch.equal(dropped, summary(network, "lift the quokka"))


# --------------------------------------------------------------------------------------------------------------------- geometry
def camera(**changes: Any) -> CameraSpec:
    """Returns a camera 1 m above the origin that looks straight down, the image's up being world y; 90 degrees show 2 m."""
    whole = CameraSpec(name="front", parent="world", pos_parent=(0.0, 0.0, 1.0), quat_parent_wxyz=(1.0, 0.0, 0.0, 0.0), fovy_deg=90.0)
    return dataclasses.replace(whole, **changes)


@pytest.mark.parametrize(
    ("point", "crop", "expected"),
    [
        ((0.0, 0.0, 0.0), None, (0.5, 0.5)),
        ((1.0, 0.0, 0.0), None, (1.0, 0.5)),
        ((0.0, 1.0, 0.0), None, (0.5, 0.0)),
        ((-0.5, -0.5, 0.0), None, (0.25, 0.75)),
        ((0.5, 0.0, 0.5), None, (1.0, 0.5)),
        ((0.5, 0.0, 0.0), 128, (1.0, 0.5)),
        ((0.375, -0.375, 0.0), 192, (0.75, 0.75)),
    ],
)
def test_points_fall_on_pixels_that_one_can_work_out(point: tuple[float, ...], crop: int | None, expected: tuple[float, float]) -> None:
    assert project(np.array(point), camera(), crop).image_xy == pytest.approx(expected)


def test_a_wide_image_is_measured_by_its_height() -> None:
    assert project(np.array([1.0, 0.0, 0.0]), camera(width=512)).image_xy == pytest.approx((0.75, 0.5))


def test_what_a_camera_looks_at_is_in_the_middle_and_what_is_above_it_is_above() -> None:
    eye, target = (1.3, 0.2, 0.8), (0.4, -0.1, 0.05)
    looking = camera(pos_parent=eye, quat_parent_wxyz=tuple(look_at(eye, target).tolist()))
    seen = project(np.array([target, (0.4, -0.1, 0.15)]), looking)
    assert seen.image_xy[0] == pytest.approx((0.5, 0.5)) and seen.image_xy[1, 1] < 0.5
    assert seen.depth_m[0] == pytest.approx(math.dist(eye, target))


def test_what_is_behind_the_camera_or_outside_its_image_is_not_inside() -> None:
    assert project(np.array([[0, 0, 0], [0, 0, 2.0], [3.0, 0, 0]]), camera()).is_inside.tolist() == [True, False, False]


def test_a_camera_on_the_hand_is_refused() -> None:
    with pytest.raises(BadData, match=r"camera 'wrist' rides on 'hand'.*parent is 'world'"):
        project(np.zeros(3), camera(name="wrist", parent="hand"))


def test_the_rotation_between_two_orientations_is_what_was_turned() -> None:
    first = from_axis_angle((0.3, -0.2, 1.1))
    for turn in ((0.1, -0.2, 0.3), (0.0, 0.0, 0.0), (0.0, 0.0, -2.5), (1e-6, 0.0, 0.0)):
        second = multiply(from_axis_angle(turn), first)
        for sign in (1, -1):
            assert rotation_between(first, sign * second) == pytest.approx(np.array(turn), abs=1e-9)


def test_rotation_matrices_turn_many_at_once() -> None:
    quats = np.stack([from_axis_angle((0, 0, math.pi / 2)), from_axis_angle((math.pi, 0, 0))])
    assert rotation_matrix(quats) @ np.array([0.0, 1.0, 0.0]) == pytest.approx(np.array([[-1.0, 0, 0], [0, -1.0, 0]]))


# ---------------------------------------------------------------------------------------------------------------------- proprio
def test_proprioception_is_the_same_for_one_moment_and_for_many(recorded: Callable[[int], list[Any]]) -> None:
    arrays = recorded(1)[0].proprio
    many = proprio.features(arrays)
    one = proprio.features({name: values[3] for name, values in arrays.items()})
    assert many.shape == (24, proprio.SIZE) == (24, len(proprio.FLOOR)) and many.dtype == np.float32
    assert np.array_equal(many[3], one)


def test_proprioception_says_how_far_the_command_runs_ahead(recorded: Callable[[int], list[Any]]) -> None:
    arrays = {name: values[0] for name, values in recorded(1)[0].proprio.items()}
    arrays["ee_target_pos_base_m"] = arrays["ee_pos_base_m"] + np.array([0.01, 0, -0.02], np.float32)
    arrays["ee_target_quat_base_wxyz"] = multiply(from_axis_angle((0, 0, 0.1)), arrays["ee_quat_base_wxyz"])
    named = dict(zip(proprio.NAMES, proprio.features(arrays).tolist(), strict=True))
    assert named["ee_pos_ahead_m.x"] == pytest.approx(0.01) and named["ee_pos_ahead_m.z"] == pytest.approx(-0.02)
    assert named["ee_rotation_ahead_rad.z"] == pytest.approx(0.1) and named["ee_y_axis_base.y"] == pytest.approx(-1.0)


def test_missing_or_misshapen_state_is_named(recorded: Callable[[int], list[Any]]) -> None:
    arrays = dict(recorded(1)[0].proprio)
    with pytest.raises(BadData, match=r"reads 3 numbers of 'ee_pos_base_m'; the observation holds shape \(24, 2\)"):
        proprio.features(arrays | {"ee_pos_base_m": arrays["ee_pos_base_m"][:, :2]})
    del arrays["gripper_command"]
    with pytest.raises(BadData, match=r"reads the state 'gripper_command'; the observation holds ee_pos_base_m, .*gripper_opening_m"):
        proprio.features(arrays)


# ---------------------------------------------------------------------------------------------------------------------- network
def predict(network: MiniVla, sentence: str, told: bool = False) -> Any:
    rng = torch.Generator().manual_seed(0)
    front, wrist = torch.rand(1, 3, 96, 96, generator=rng), torch.rand(1, 3, 64, 64, generator=rng)
    body = torch.tensor([[0.4, 0.1, 0.3, 1, 0, 0, 0, -1, 0, *[0.0] * 6, 0.08, -1]])
    extra = {"told_pos": torch.full((1, 2, 3), 2.0), "is_told": torch.tensor([told])}
    with torch.inference_mode():
        return network(front, wrist, body, summary(network, sentence), **extra)


def test_a_prediction_has_the_declared_shapes(network: MiniVla) -> None:
    said = predict(network, "stack the red block on the blue one")
    assert said.motion.shape == (1, 16, 6) and said.gripper.shape == (1, 16)
    assert said.front_pos.shape == said.pos.shape == (1, 2, 3) and said.yaw.shape == (1, 4) and said.heat.shape == (1, 2, 24, 24)
    assert all(torch.isfinite(part).all() for part in said)


def test_another_sentence_means_other_places(network: MiniVla) -> None:
    red, blue = (predict(network, f"put the {c} mug on the plate") for c in ("red", "blue"))
    assert not torch.allclose(red.heat, blue.heat) and not torch.allclose(red.motion, blue.motion)


def test_a_fresh_wrist_camera_does_not_move_what_the_front_camera_found(network: MiniVla) -> None:
    said = predict(network, "open the drawer")
    assert torch.equal(said.pos, said.front_pos)


def test_told_positions_reach_the_trunk_and_not_the_positions_that_are_said(network: MiniVla) -> None:
    own, told = predict(network, "open the drawer"), predict(network, "open the drawer", told=True)
    assert torch.equal(own.pos, told.pos) and not torch.allclose(own.motion, told.motion)


def test_the_same_seed_draws_the_same_network_and_leaves_the_global_generator_alone() -> None:
    before = torch.random.get_rng_state()
    first, second, other = (dict(build(CONFIG, UNIT, seed=s).named_parameters()) for s in (1, 1, 2))
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(torch.equal(first[n], second[n]) for n in first) and not torch.equal(first["act.weight"], other["act.weight"])


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (dataclasses.replace(CONFIG, execute_steps=17), "17 of 16 predicted actions cannot be executed"),
        (dataclasses.replace(CONFIG, text=TextConfig(heads=5)), "a text width of 64 does not divide into 5 heads"),
        (
            dataclasses.replace(CONFIG, wrist=TowerConfig(camera="wrist", size=60, crop=240, channels=(8, 8, 8), map_channels=8, keypoints=2)),
            "camera 'wrist' reads images of 60 pixels; it must be a multiple of 8",
        ),
    ],
)
def test_sizes_that_do_not_fit_together_are_refused(config: MiniVlaConfig, message: str) -> None:
    with pytest.raises(BadData, match=message):
        MiniVla(config)


def test_actions_without_a_gripper_at_their_end_are_refused(recorded: Callable[[int], list[Any]]) -> None:
    spec = recorded(1)[0].episode.control
    check_action(spec, CONFIG)
    with pytest.raises(BadData, match="end with one gripper command, closed positive; ee_delta ends with rotation"):
        check_action(dataclasses.replace(spec, components=spec.components[:2]), CONFIG)
    with pytest.raises(BadData, match="ee_delta has 4 components; this network speaks 7"):
        check_action(dataclasses.replace(spec, components=(spec.components[0], spec.components[2])), CONFIG)
