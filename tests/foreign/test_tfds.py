"""TensorFlow Datasets itself reads the folders that the formats rlds and rlds_droid write, in the way in which OpenVLA, Octo and openpi call it.

It runs where tensorflow-datasets is, which needs an environment of its own:

    python3.11 -m venv tfds
    tfds/bin/pip install tensorflow-cpu tensorflow-datasets importlib_resources pillow pytest mujoco
    tfds/bin/pip install --no-deps -e .
    tfds/bin/python -m pytest tests/foreign/test_tfds.py
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from vlagym.results.demonstration import DatasetInfo, Demonstration, ImagePreprocessing
from vlagym.results.formats import rlds, rlds_droid

pytest.importorskip("tensorflow", reason="TensorFlow is not installed here; the docstring says how to make an environment for it")
tfds = pytest.importorskip("tensorflow_datasets", reason="tensorflow-datasets is not installed here; the docstring says how to get it")

import tensorflow as tf  # noqa: E402  (which may be missing)

pytestmark = pytest.mark.foreign

STEPS = (12, 1, 9)
CODEC_ERROR = 6.0
"""Of 255 levels, on average, for a smooth image."""


def smooth(seed: int, count: int, shape: tuple[int, int, int]) -> Any:
    t, y, x, c = np.meshgrid(np.arange(count), *(np.arange(n) for n in shape), indexing="ij")
    return (127 + 60 * (np.sin(x / 11 + c + t / 5 + seed) + np.cos(y / 7 - t / 9))).astype(np.uint8)


@pytest.fixture(scope="module")
def info(traces: ModuleType) -> DatasetInfo:
    images = {"front": ImagePreprocessing(crop=64, size=64), "wrist": ImagePreprocessing(crop=180, size=180, width=320)}
    commands = {"joint_delta": traces.JOINT_DELTA}
    found = traces.make_dataset_info(images=images, robot="panda", depth=("front",), commands=commands)
    assert isinstance(found, DatasetInfo)
    return found


@pytest.fixture(scope="module")
def demonstrations(traces: ModuleType, info: DatasetInfo) -> list[Demonstration]:
    made = []
    for seed, steps in enumerate(STEPS):
        changes: dict[str, Any] = {"images": {c: smooth(seed, steps, how.shape) for c, how in info.images.items()}}
        changes["depth"] = {"front": np.arange(steps * 64 * 64, dtype=np.uint32).reshape(steps, 64, 64).astype(np.uint16)}
        # An info with smaller images: make_demonstration knows no oblong ones.
        small = dataclasses.replace(info, images={c: ImagePreprocessing(crop=8, size=8) for c in info.images})
        made.append(traces.make_demonstration(seed, steps=steps, info=small, is_success=seed != 1, paraphrases=("do it, please",), **changes))
    return made


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def libero(folder: Path, info: DatasetInfo, demonstrations: list[Demonstration]) -> Any:
    with rlds.FORMAT.write(folder / "put_mug", info) as writer:
        for demonstration in demonstrations:
            writer.append(demonstration)
    return tfds.builder("put_mug", data_dir=str(folder))


@pytest.fixture(scope="module")
def droid(folder: Path, info: DatasetInfo, demonstrations: list[Demonstration]) -> Any:
    with rlds_droid.FORMAT.write(folder / "droid", info) as writer:
        for demonstration in demonstrations:
            writer.append(demonstration)
    return tfds.builder("droid", data_dir=str(folder))


def stacked(episode: Any) -> Any:
    """Returns the steps of an episode as nested arrays `(T, …)`."""
    steps = [tf.nest.map_structure(lambda value: value.numpy(), step) for step in episode["steps"]]
    return tf.nest.map_structure(lambda *rows: np.stack(rows), *steps)


def test_tfds_finds_episodes_and_files_as_they_were_written(libero: Any, demonstrations: list[Demonstration]) -> None:
    assert libero.info.splits["train"].num_examples == len(demonstrations)
    assert libero.info.splits["train"].num_shards == 1 and str(libero.info.version) == "1.0.0"
    from_folder = tfds.builder_from_directory(str(libero.data_dir))
    assert from_folder.info.splits["train"].num_examples == len(demonstrations)
    payloads = [record.numpy() for record in tf.data.TFRecordDataset(libero.info.splits["train"].filepaths)]  # which checks the checksums
    assert len(payloads) == len(demonstrations) and sum(map(len, payloads)) == libero.info.splits["train"].num_bytes
    parsed = tf.train.Example.FromString(payloads[0])
    assert parsed.features.feature["steps/action"].float_list.value[:7] == pytest.approx(demonstrations[0].actions[0].tolist())
    assert len(parsed.SerializeToString()) == len(payloads[0])


def test_the_steps_of_libero_are_what_was_recorded(libero: Any, demonstrations: list[Demonstration], info: DatasetInfo) -> None:
    ours = rlds.FORMAT.open(Path(str(libero.data_dir)).parent)
    dataset = libero.as_dataset(split="train", shuffle_files=False)
    for number, (demonstration, episode) in enumerate(zip(demonstrations, dataset, strict=True)):
        steps = stacked(episode)
        count = demonstration.num_steps
        assert steps["action"].dtype == np.float32 and np.array_equal(steps["action"], demonstration.actions)
        assert steps["observation"]["state"].shape == (count, 8) and steps["observation"]["state"].dtype == np.float32
        assert np.array_equal(steps["observation"]["state"][:, :3], demonstration.proprio["ee_pos_base_m"])
        assert np.array_equal(steps["observation"]["joint_state"], demonstration.proprio["joint_pos_rad"])
        assert np.array_equal(steps["observation"]["timestamp"], np.arange(count, dtype=np.float32) / np.float32(20.0))
        assert [text.decode() for text in steps["language_instruction"]] == [demonstration.instruction] * count
        assert steps["is_first"].tolist() == [True] + [False] * (count - 1)
        assert steps["is_last"].tolist() == [False] * (count - 1) + [True]
        assert steps["is_terminal"][-1] == demonstration.is_success == bool(steps["reward"][-1]) and steps["discount"].tolist() == [1.0] * count
        for camera, key in (("front", "image"), ("wrist", "wrist_image")):
            shown = steps["observation"][key]
            assert shown.shape == (count, *info.images[camera].shape) and shown.dtype == np.uint8
            assert np.abs(shown.astype(float) - demonstration.images[camera]).mean() < CODEC_ERROR
            assert np.abs(shown.astype(float) - ours[number].images[camera]).mean() < 2.0  # TensorFlow decodes JPEG in a hurry
        assert np.array_equal(steps["observation"]["depth"][..., 0], demonstration.depth["front"])
        told = episode["episode_metadata"]
        assert told["episode_id"].numpy().decode() == demonstration.digest and bool(told["success"]) == demonstration.is_success


def test_images_stay_encoded_where_a_loader_asks_for_that(libero: Any) -> None:
    episode = next(iter(libero.as_dataset(split="train", decoders={"steps": tfds.decode.SkipDecoding()})))
    encoded = episode["steps"]["observation"]["image"]
    assert encoded.dtype == tf.string and encoded.shape == (STEPS[0],)
    assert tf.io.decode_image(encoded[0], expand_animations=False, dtype=tf.uint8).shape == (64, 64, 3)


def test_the_gripper_and_the_state_come_out_as_openvla_wants_them(libero: Any, demonstrations: list[Demonstration]) -> None:
    """What `libero_dataset_transform` does: the gripper clipped to 0 and 1 and turned round, the state cut into pose and fingers."""
    episode = next(iter(libero.as_dataset(split="train", decoders={"steps": tfds.decode.SkipDecoding()})))
    trajectory = episode["steps"]
    closing = trajectory["action"][:, -1:]
    opened = 1.0 - tf.clip_by_value(closing, 0.0, 1.0)
    action = tf.concat([trajectory["action"][:, :6], opened], axis=1).numpy()
    pose, fingers = trajectory["observation"]["state"][:, :6].numpy(), trajectory["observation"]["state"][:, -2:].numpy()
    demonstration = demonstrations[0]
    told = demonstration.actions[:, 6]
    assert action.shape == (STEPS[0], 7) and (action[told <= 0, 6] == 1.0).all() and np.allclose(action[told > 0, 6], 1.0 - told[told > 0])
    assert np.array_equal(action[:, :6], demonstration.actions[:, :6]) and np.array_equal(pose[:, :3], demonstration.proprio["ee_pos_base_m"])
    assert np.allclose(fingers[:, :1] - fingers[:, 1:], demonstration.proprio["gripper_opening_m"])


def test_the_steps_of_droid_are_what_openpi_and_openvla_ask_for(droid: Any, demonstrations: list[Demonstration]) -> None:
    for demonstration, episode in zip(demonstrations, droid.as_dataset(split="train", shuffle_files=False), strict=True):
        file_path = episode["episode_metadata"]["file_path"]
        assert bool(tf.strings.regex_full_match(file_path, ".*success.*")) == demonstration.is_success
        steps = stacked(episode)
        commanded = steps["action_dict"]
        wanted = {"joint": 7, "cartesian": 6, "gripper": 1}
        for name, size in wanted.items():
            assert commanded[f"{name}_position"].shape == commanded[f"{name}_velocity"].shape == (demonstration.num_steps, size)
            assert commanded[f"{name}_position"].dtype == np.float64 and steps["observation"][f"{name}_position"].shape[1] == size
        assert np.allclose(steps["action"], np.concatenate([commanded["cartesian_velocity"], commanded["gripper_position"]], axis=1))
        sentences = [steps[f"language_instruction{end}"][0].decode() for end in ("", "_2", "_3")]
        assert sentences == [demonstration.instruction, "do it, please", demonstration.instruction]
        assert steps["observation"]["exterior_image_1_left"].shape[1:] == (64, 64, 3)
        assert steps["observation"]["wrist_image_left"].shape[1:] == (180, 320, 3)
        assert np.array_equal(steps["observation"]["exterior_image_1_left"], steps["observation"]["exterior_image_2_left"])


def write_with_tfds(folder: Path, episodes: list[dict[str, Any]]) -> None:
    """Writes a dataset of LIBERO's schema with TFDS's own writer."""
    features = tfds.features
    step = {
        "observation": {
            "image": features.Image(shape=(16, 16, 3), dtype=np.uint8, encoding_format="jpeg"),
            "wrist_image": features.Image(shape=(16, 16, 3), dtype=np.uint8, encoding_format="jpeg"),
            "state": features.Tensor(shape=(8,), dtype=np.float32),
            "joint_state": features.Tensor(shape=(7,), dtype=np.float32),
        },
        "action": features.Tensor(shape=(7,), dtype=np.float32),
        **{key: features.Scalar(dtype=np.float32) for key in ("discount", "reward")},
        **{key: features.Scalar(dtype=np.bool_) for key in ("is_first", "is_last", "is_terminal")},
        "language_instruction": features.Text(),
    }
    schema = features.FeaturesDict({"steps": features.Dataset(step), "episode_metadata": {"file_path": features.Text()}})

    class OfOthers(tfds.core.GeneratorBasedBuilder):  # type: ignore[misc, name-defined]
        """TFDS names the dataset after the class: of_others."""

        VERSION = tfds.core.Version("1.0.0")
        pkg_dir_path = folder

        def _info(self) -> Any:
            return tfds.core.DatasetInfo(builder=self, features=schema)

        def _split_generators(self, _: Any) -> Any:
            return {"train": self._generate_examples()}

        def _generate_examples(self) -> Any:
            yield from ((str(number), episode) for number, episode in enumerate(episodes))

    OfOthers(data_dir=str(folder)).download_and_prepare()


def test_what_tfds_wrote_is_read_without_tensorflow(folder: Path) -> None:
    rng = np.random.default_rng(3)

    def step(number: int, last: int) -> dict[str, Any]:
        observation = {key: smooth(number, 1, (16, 16, 3))[0] for key in ("image", "wrist_image")}
        observation |= {"state": np.arange(8, dtype=np.float32) / 10, "joint_state": rng.normal(size=7).astype(np.float32)}
        ends = {"is_first": number == 0, "is_last": number == last, "is_terminal": number == last, "reward": float(number == last)}
        return {"observation": observation, "action": rng.uniform(-1, 1, 7).astype(np.float32), "language_instruction": "open it", "discount": 1.0, **ends}

    episodes: list[dict[str, Any]] = [{"steps": [step(i, length - 1) for i in range(length)], "episode_metadata": {"file_path": "a.hdf5"}} for length in (5, 4)]
    write_with_tfds(folder, episodes)
    read = list(rlds.FORMAT.read(folder / "of_others"))
    assert sorted(d.num_steps for d in read) == [4, 5]
    for demonstration in read:
        written: Any = next(e["steps"] for e in episodes if len(e["steps"]) == demonstration.num_steps)
        assert np.array_equal(demonstration.actions, np.stack([s["action"] for s in written]))
        assert np.array_equal(demonstration.proprio["joint_pos_rad"], np.stack([s["observation"]["joint_state"] for s in written]))
        assert demonstration.instruction == "open it" and demonstration.is_success and set(demonstration.images) == {"front", "wrist"}
        assert np.allclose(demonstration.proprio["ee_pos_world_m"][0], [0.0, 0.1, 0.2])
        shown = np.stack([s["observation"]["image"] for s in written])
        assert np.abs(demonstration.images["front"].astype(float) - shown).mean() < CODEC_ERROR
