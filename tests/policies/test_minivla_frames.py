"""Demonstrations become frames: nothing is lost, labels lie where they should, and every draw can be repeated."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vlagym.envs.errors import BadData
from vlagym.envs.frames import from_axis_angle, multiply
from vlagym.envs.robots.panda import ROBOT
from vlagym.envs.types import EpisodeSpec
from vlagym.policies.models.minivla import mirror, proprio, words
from vlagym.policies.models.minivla.config import POSITION_UNIT_M, MiniVlaConfig
from vlagym.policies.models.minivla.frames import Frames
from vlagym.policies.models.minivla.geometry import project
from vlagym.policies.models.minivla.preparation import data_digest, is_prepared, prepare

Recorded = Callable[[int], list[Any]]
CONFIG = MiniVlaConfig()


def say(spec: EpisodeSpec, rng: np.random.Generator) -> str:
    return f"sentence number {int(rng.integers(3))} of {spec.task}"


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory, recorded: Recorded) -> Frames:
    """Three demonstrations of 24 steps with a frame every 3: 24 frames."""
    return prepare(recorded(3), tmp_path_factory.mktemp("frames"), CONFIG, say=say, sentences=4, seed=0)


def test_the_manifest_says_what_there_is(frames: Frames, recorded: Recorded) -> None:
    manifest = frames.manifest
    assert len(frames) == manifest.frames == 24 and manifest.demonstrations == 3 and manifest.tasks == {"stack": 3}
    assert manifest.data == data_digest(d.digest for d in recorded(3))
    assert manifest.action == recorded(1)[0].episode.control and manifest.rate_hz == 20.0


def test_frames_are_taken_every_so_many_steps(recorded: Recorded, tmp_path: Path) -> None:
    """Those of the demonstrations lie every 3 steps."""
    frames = prepare(recorded(2), tmp_path, CONFIG, say=say, sentences=1, seed=0, frame_stride=6)
    assert len(frames) == 8 and frames.manifest.frame_stride == 6 and len(frames.columns.actions) == 48
    assert frames.columns.frame_action.tolist() == [0, 6, 12, 18, 24, 30, 36, 42]
    assert np.array_equal(np.memmap(tmp_path / "wrist.u8", np.uint8, "r").reshape(8, 64, 64, 3)[4:], recorded(2)[1].images["wrist"][::2])
    assert is_prepared(recorded(2), tmp_path, CONFIG, sentences=1, seed=0, frame_stride=6)
    assert not is_prepared(recorded(2), tmp_path, CONFIG, sentences=1, seed=0)


def test_frames_that_were_not_rendered_are_missed(recorded: Recorded, tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"has images of the steps \[0, 3, 6\] …, and none of step 2; a frame every 2 steps needs a dataset"):
        prepare(recorded(1), tmp_path, CONFIG, say=say, sentences=1, seed=0, frame_stride=2)


def test_frames_are_found_again_by_opening_the_folder(frames: Frames, tmp_path: Path, recorded: Recorded) -> None:
    prepare(recorded(3), tmp_path, CONFIG, say=say, sentences=4, seed=0)
    first: tuple[Any, ...] = frames.batch(0, 5, 8)
    again: tuple[Any, ...] = Frames(tmp_path).batch(0, 5, 8)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))


def test_an_epoch_shows_every_frame_once_and_the_next_one_in_another_order(frames: Frames) -> None:
    shown = [np.concatenate([frames.batch(1, s, 6).proprio for s in range(e * 4, e * 4 + 4)]) for e in range(2)]
    assert not np.array_equal(shown[0], shown[1])
    for epoch in shown:
        assert sorted(map(tuple, epoch.tolist())) == sorted(map(tuple, frames.columns.proprio.tolist()))


def test_a_batch_may_reach_from_one_epoch_into_the_next(frames: Frames) -> None:
    batch = frames.batch(1, 0, 30)
    assert len(batch.front) == 30
    assert sorted(map(tuple, batch.proprio[:24].tolist())) == sorted(map(tuple, frames.columns.proprio.tolist()))


def test_the_parts_of_several_processes_make_up_the_whole_batch(frames: Frames) -> None:
    whole = frames.batch(3, 2, 12)
    parts = [frames.batch(3, 2, 12, slice(i, i + 4)) for i in (0, 4, 8)]
    for name in whole._fields:
        if name not in ("words", "grams", "keep_word", "keep_token"):
            assert np.array_equal(getattr(whole, name), np.concatenate([getattr(p, name) for p in parts])), name


def test_other_seeds_and_steps_draw_otherwise(frames: Frames) -> None:
    batches = [frames.batch(seed, step, 8) for seed, step in ((0, 0), (1, 0), (0, 3))]
    assert not np.array_equal(batches[0].colour, batches[1].colour) and not np.array_equal(batches[0].colour, batches[2].colour)


def test_labels_are_the_actions_that_follow_and_stop_with_the_demonstration(frames: Frames, recorded: Recorded) -> None:
    batch, columns = frames.batch(0, 0, 24), frames.columns
    order = frames._rows(0, 0, 24)
    actions = np.concatenate([d.actions for d in recorded(3)])
    for i, row in enumerate(order):
        demo, step = divmod(int(columns.frame_action[row]), 24)
        left = min(16, 24 - step)
        assert np.array_equal(batch.motion[i, :left], actions[demo * 24 + step :][:left, :6])
        assert batch.is_step[i].tolist() == [1.0] * left + [0.0] * (16 - left)


def test_gripper_labels_are_two_steps_early(frames: Frames, recorded: Recorded) -> None:
    """The hand closes at step 12 of 24; from a frame at step 9 that is the fourth action, and the label says the second."""
    batch, order = frames.batch(0, 0, 24), frames._rows(0, 0, 24)
    at_nine = [i for i, row in enumerate(order) if frames.columns.frame_action[row] % 24 == 9]
    assert len(at_nine) == 3
    assert all(batch.is_closed[i].tolist() == [0.0] + [1.0] * 15 for i in at_nine)


def test_positions_are_relative_to_the_mean_and_told_ones_are_near(frames: Frames) -> None:
    batch = frames.batch(0, 0, 24)
    assert batch.pos.mean(axis=0) == pytest.approx(0, abs=1e-5)
    off_m = (batch.told_pos - batch.pos) * POSITION_UNIT_M
    assert 0.003 < off_m.std() < 0.009 and 0 < batch.is_told.sum() < 24


def test_pixels_are_where_the_camera_of_the_spec_sees_the_targets(frames: Frames, recorded: Recorded) -> None:
    for index, demonstration in enumerate(recorded(3)):
        wanted = project(demonstration.privileged["target_pos_world_m"][0], demonstration.episode.scene.cameras[0], crop=192)
        row = int(np.flatnonzero(frames.columns.frame_demo == index)[0])
        assert frames.columns.image_xy[row] == pytest.approx(wanted.image_xy, abs=1e-6)
        assert frames.columns.is_inside[row].tolist() == wanted.is_inside.tolist()


def test_the_square_that_was_drawn_lies_at_the_pixel_of_its_block(frames: Frames) -> None:
    batch = frames.batch(0, 0, 24)
    for image, xy in zip(batch.front, batch.image_xy[:, 0], strict=True):
        x, y = (xy * 96).astype(int)
        assert not np.array_equal(image[y, x], image[0, 0])


def test_sentences_are_the_recorded_one_and_those_that_are_drawn(frames: Frames, recorded: Recorded) -> None:
    columns = frames.columns
    assert columns.demo_sentences.shape == (3, 5) and frames.manifest.distinct_sentences <= 4
    recorded_words = [words.word_bucket(w, CONFIG.text) for w in words.split(recorded(1)[0].instruction)]
    tokens = columns.sentences[columns.demo_sentences[0, 0]]
    assert columns.words[tokens[tokens > 0]].tolist() == recorded_words
    assert columns.words[0] == 0 and not columns.grams[0].any()


def test_words_of_a_batch_are_those_that_the_policy_would_read(frames: Frames, recorded: Recorded) -> None:
    columns = frames.columns
    ids = words.encode([recorded(1)[0].instruction], CONFIG.text)
    tokens = columns.sentences[columns.demo_sentences[0, 0]]
    grams = columns.grams[tokens[tokens > 0]]
    for found, wanted in zip(grams, ids.grams[0], strict=True):
        assert found[found > 0].tolist() == wanted[wanted > 0].tolist()


# --------------------------------------------------------------------------------------------------------------- what is refused
def without(key: str) -> Callable[[Any], Any]:
    return lambda d: dataclasses.replace(d, privileged={k: v for k, v in d.privileged.items() if k != key})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            without("target_pos_world_m"),
            "lacks the privileged column 'target_pos_world_m', without which minivla does not learn; it has target_yaw_rad",
        ),
        (lambda d: dataclasses.replace(d, images={"wrist": d.images["wrist"]}), "has no images of camera 'front'; it has wrist"),
        (
            lambda d: dataclasses.replace(d, images={**d.images, "front": d.images["front"][:, ::2, ::2]}),
            r"images \(8, 48, 48, 3\) uint8 of camera 'front'; minivla wants \(8, 96, 96, 3\) uint8.*demo --crop front=192 --size front=96",
        ),
        (lambda d: dataclasses.replace(d, image_steps=d.image_steps + 20), "has 24 actions and frames at steps"),
        (lambda d: dataclasses.replace(d, actions=np.full_like(d.actions, np.nan)), "holds an action that is not finite"),
        (
            lambda d: dataclasses.replace(d, privileged={**d.privileged, "target_yaw_rad": np.full(24, np.nan)}),
            r"has targets of shape .* they must be finite, \(T, 2, 3\) and \(T,\)",
        ),
        (
            lambda d: dataclasses.replace(d, episode=dataclasses.replace(d.episode, scene=dataclasses.replace(d.episode.scene, cameras=()))),
            "the scene of 'stack' has no camera 'front'; it has none",
        ),
    ],
)
def test_a_demonstration_that_does_not_fit_is_named(recorded: Recorded, tmp_path: Path, change: Callable[[Any], Any], message: str) -> None:
    with pytest.raises(BadData, match=message):
        prepare([recorded(1)[0], change(recorded(2)[1])], tmp_path, CONFIG, say=say, sentences=1, seed=0)
    with pytest.raises(BadData, match="holds no frames: manifest.json is missing"):
        Frames(tmp_path)


def test_demonstrations_of_another_action_are_refused(recorded: Recorded, tmp_path: Path) -> None:
    first, second = recorded(2)
    slower = dataclasses.replace(second.episode, control=dataclasses.replace(second.episode.control, rate_hz=10.0))
    with pytest.raises(BadData, match="acts by ee_delta of another convention than those before it"):
        prepare([first, dataclasses.replace(second, episode=slower)], tmp_path, CONFIG, say=say, sentences=1, seed=0)


def test_no_demonstrations_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="there are no demonstrations to train on"):
        prepare([], tmp_path, CONFIG, say=say, sentences=1, seed=0)


def test_frames_of_another_version_are_laid_out_again(recorded: Recorded, tmp_path: Path) -> None:
    prepare(recorded(1), tmp_path, CONFIG, say=say, sentences=1, seed=0)
    assert is_prepared(recorded(1), tmp_path, CONFIG, sentences=1, seed=0)
    assert not is_prepared(recorded(2), tmp_path, CONFIG, sentences=1, seed=0)
    assert not is_prepared(recorded(1), tmp_path, CONFIG, sentences=2, seed=0)
    path = tmp_path / "manifest.json"
    path.write_text(path.read_text().replace('"schema": 3', '"schema": 1'))
    assert not is_prepared(recorded(1), tmp_path, CONFIG, sentences=1, seed=0)
    with pytest.raises(BadData, match="has schema 1; this version of vlagym reads 3: lay the frames out again with --data"):
        Frames(tmp_path)


def test_images_that_were_cut_off_are_found(recorded: Recorded, tmp_path: Path) -> None:
    prepare(recorded(1), tmp_path, CONFIG, say=say, sentences=1, seed=0)
    with (tmp_path / "front.u8").open("r+b") as file:
        file.truncate(1000)
    with pytest.raises(BadData, match="front.u8 does not hold 8 images of 96x96; remove .* and start again"):
        Frames(tmp_path)


# ------------------------------------------------------------------------------------------------------------------- in a mirror
@pytest.fixture(scope="module")
def symmetric(tmp_path_factory: pytest.TempPathFactory, recorded: Recorded) -> Frames:
    """As `frames`, with the wrist camera that lies in the hand's plane of symmetry."""
    return prepare(with_wrist_camera(recorded(3)), tmp_path_factory.mktemp("symmetric"), CONFIG, say=say, sentences=4, seed=0)


def with_wrist_camera(demonstrations: list[Any], **changes: Any) -> list[Any]:
    wrist = dataclasses.replace(ROBOT.cameras[0], **changes)

    def one(d: Any) -> Any:
        scene = dataclasses.replace(d.episode.scene, cameras=(*d.episode.scene.cameras, wrist))
        return dataclasses.replace(d, episode=dataclasses.replace(d.episode, scene=scene))

    return [one(d) for d in demonstrations]


def test_a_hand_that_was_opened_a_little_is_learned_from_as_one_that_was_opened_fully() -> None:
    """0.038 m of 0.08 m for the rim of a cup, closed on 4 mm, then opened by 24 mm more to let go."""
    command = np.array([-1.0, 0.05, 0.05, 1.0, 1.0, 0.3, 0.3])[:, None]
    opening_m = np.array([0.08, 0.06, 0.038, 0.02, 0.004, 0.01, 0.028])[:, None]
    told = proprio.fully_opened({"gripper_command": command, "gripper_opening_m": opening_m, "ee_pos_base_m": np.zeros((7, 3))})
    assert told["gripper_command"][:, 0].tolist() == [-1, -1, -1, 1, 1, -1, -1]
    assert told["gripper_opening_m"][:, 0] == pytest.approx([0.08, 0.08, 0.08, 0.02, 0.004, 0.02 / 0.7, 0.08], abs=1e-6)
    assert told["ee_pos_base_m"].shape == (7, 3) and proprio.fully_opened({"gripper_command": command}).keys() == {"gripper_command"}


def test_half_open_is_no_label_for_closed(recorded: Recorded, tmp_path: Path) -> None:
    (demonstration,) = recorded(1)
    actions = demonstration.actions.copy()
    actions[:, -1] = np.where(actions[:, -1] > 0, 1.0, 0.05)
    half = dataclasses.replace(demonstration, actions=actions)
    labels = [prepare([d], tmp_path, CONFIG, say=say, sentences=1, seed=0).batch(0, 0, 8).is_closed for d in (demonstration, half)]
    assert np.array_equal(labels[0], labels[1]) and 0 < labels[0].mean() < 1


def test_the_mirror_image_of_a_body_is_made_by_signs() -> None:
    """Mirroring poses and then making features is the same as making features and then changing signs."""
    pos, target = np.array([0.4, 0.1, 0.2]), np.array([0.42, 0.13, 0.15])
    quat = multiply(from_axis_angle((0.1, -0.2, 0.7)), np.array([0.0, 1.0, 0.0, 0.0]))
    ahead = multiply(from_axis_angle((0.05, 0.02, -0.1)), quat)

    def body(side: int) -> Any:
        vector, turn = np.array([1, side, 1]), np.array([1, side, 1, side])
        return proprio.features(
            {
                "ee_pos_base_m": pos * vector,
                "ee_quat_base_wxyz": quat * turn,
                "ee_target_pos_base_m": target * vector,
                "ee_target_quat_base_wxyz": ahead * turn,
                "gripper_opening_m": np.array([0.05]),
                "gripper_command": np.array([1.0]),
            }
        )

    assert body(-1) == pytest.approx(body(1) * mirror.PROPRIO_SIGNS, abs=1e-6)


def test_the_mirror_image_of_a_motion_moves_to_the_mirrored_pose() -> None:
    quat, turn = from_axis_angle((0.3, 0.1, -0.8)), np.array([0.2, -0.1, 0.4])
    wanted = multiply(from_axis_angle(turn), quat) * [1, -1, 1, -1]
    assert multiply(from_axis_angle(turn * mirror.MOTION_SIGNS[3:]), quat * [1, -1, 1, -1]) == pytest.approx(wanted)


def test_a_mirrored_batch_shows_and_says_everything_left_for_right(symmetric: Frames) -> None:
    plain, flipped = (symmetric.batch(0, 1, 8, mirrored=share) for share in (0.0, 1.0))
    assert np.array_equal(flipped.front, plain.front[:, :, ::-1]) and np.array_equal(flipped.wrist, plain.wrist[:, :, ::-1])
    assert np.array_equal(flipped.motion, plain.motion * [1, -1, 1, -1, 1, -1]) and np.array_equal(flipped.is_closed, plain.is_closed)
    assert flipped.image_xy[..., 0] == pytest.approx(1 - plain.image_xy[..., 0]) and np.array_equal(flipped.yaw, -plain.yaw)
    metres = [b.pos * POSITION_UNIT_M + symmetric.pos_mean for b in (plain, flipped)]
    assert metres[1] == pytest.approx(metres[0] * [1, -1, 1], abs=1e-6)
    assert np.array_equal(flipped.words, plain.words)


def test_mirrored_targets_appear_where_the_camera_would_see_them(symmetric: Frames, recorded: Recorded) -> None:
    batch = symmetric.batch(0, 0, 8, mirrored=1.0)
    metres = batch.pos * POSITION_UNIT_M + symmetric.pos_mean
    seen = project(metres, recorded(1)[0].episode.scene.cameras[0], crop=192)
    assert batch.image_xy == pytest.approx(seen.image_xy, abs=1e-4)


def test_half_of_the_frames_are_mirrored_when_half_are_asked_for(symmetric: Frames) -> None:
    flips = [
        (symmetric.batch(0, step, 24, mirrored=0.5).yaw != symmetric.batch(0, step, 24).yaw).mean() for step in range(10)
    ]
    assert 0.3 < np.mean(flips) < 0.7


@pytest.mark.parametrize(
    "change",
    [
        lambda d: with_wrist_camera([d], pos_parent=(0.1, 0.02, 0.035))[0],
        lambda d: with_wrist_camera([d], quat_parent_wxyz=(1.0, 0.0, 0.0, 0.0))[0],
        lambda d: with_wrist_camera([d], parent="link7")[0],
        lambda d: dataclasses.replace(with_wrist_camera([d])[0], instruction="put the LEFT block on the red one"),
        lambda d: d,
    ],
)
def test_what_has_no_mirror_image_is_never_mirrored(recorded: Recorded, tmp_path: Path, change: Callable[[Any], Any]) -> None:
    frames = prepare([change(recorded(1)[0])], tmp_path, CONFIG, say=say, sentences=1, seed=0)
    assert frames.columns.demo_is_symmetric.tolist() == [False]
    assert np.array_equal(frames.batch(0, 0, 8, mirrored=1.0).motion, frames.batch(0, 0, 8).motion)
