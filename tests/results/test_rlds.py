"""Folders of RLDS: the records are those of TensorFlow, the steps those of LIBERO, and what others wrote is read as well."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from vlagym.envs.errors import BadData
from vlagym.envs.types import ActionComponent, ActionSpec
from vlagym.results.demonstration import DatasetInfo, Demonstration, ImagePreprocessing
from vlagym.results.format import NoDataset
from vlagym.results.formats import _rlds_writer, _tfrecord, rlds, rlds_droid
from vlagym.results.formats._rlds_example import Example, encode


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "put_mug"


def write(path: Path, info: DatasetInfo, *demonstrations: Demonstration) -> Path:
    """Returns the folder of the version that was written."""
    with rlds.FORMAT.write(path, info) as writer:
        for demonstration in demonstrations:
            writer.append(demonstration)
    return path / "1.0.0"


def example(folder: Path, number: int = 0) -> Example:
    """Returns a record of the first file."""
    file = sorted(folder.glob("*.tfrecord-*"))[0]
    with file.open("rb") as opened:
        return Example(_tfrecord.payload(opened, _tfrecord.places(file)[number], "it"))


# ---------------------------------------------------------------------------------------------------------------------------- records
def test_the_checksum_is_that_of_rfc_3720() -> None:
    assert _tfrecord.crc32c(b"123456789") == 0xE3069283
    assert _tfrecord.crc32c(bytes(32)) == 0x8A9136AA and _tfrecord.crc32c(b"\xff" * 32) == 0x62A8AB43
    assert _tfrecord.crc32c(bytes(range(32))) == 0x46DD794E


@pytest.mark.parametrize("size", [0, 1, 3, 4, 255, 256, 257, 70_001, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, (2 << 20) + 77])
def test_the_checksum_of_many_bytes_is_that_of_its_pieces(size: int) -> None:
    data = np.random.default_rng(size).integers(0, 256, size, np.uint8)
    table = _tfrecord._byte_table().tolist()
    register = 0xFFFFFFFF
    for byte in data.tolist() if size < 1 << 20 else []:
        register = (register >> 8) ^ table[(register ^ byte) & 0xFF]
    found = _tfrecord.crc32c(data.tobytes())
    if size < 1 << 20:
        assert found == register ^ 0xFFFFFFFF
    else:  # a checksum is linear: those of a, b, a xor b and of zeros cancel
        other = np.random.default_rng(size + 1).integers(0, 256, size, np.uint8)
        assert found ^ _tfrecord.crc32c(other.tobytes()) ^ _tfrecord.crc32c((data ^ other).tobytes()) == _tfrecord.crc32c(bytes(size))


def test_a_record_is_framed_as_tensorflow_frames_it(tmp_path: Path) -> None:
    # What tf.io.TFRecordWriter writes of b"hello".
    known = bytes.fromhex("0500000000000000eab2043e68656c6c6fbb1f1c19")
    written = b"".join(_tfrecord.framed([b"hel", b"lo"]))
    assert written == known
    file = tmp_path / "a"
    file.write_bytes(written * 2)
    assert _tfrecord.places(file) == [(12, 5), (33, 5)]
    with file.open("rb") as opened:
        assert _tfrecord.payload(opened, _tfrecord.places(file)[1], "it") == b"hello"


def test_an_example_gives_back_its_numbers_and_texts() -> None:
    values: dict[str, Any] = {
        "a/flags": np.array([0, 1, 1], np.int64),
        "a/seeds": np.array([-1, 300, 1 << 40, 127], np.int64),
        "rows": np.array([1.5, -2.25, np.float32(0.1)], np.float32),
        "none": np.zeros(0, np.float32),
        "words": ["café".encode(), b"", bytes(300)],
    }
    read = Example(b"".join(encode(values)))
    assert read.texts("words") == values["words"] and "words" in read and "others" not in read
    for name in ("a/flags", "a/seeds", "rows", "none"):
        assert np.array_equal(read.numbers(name), values[name]) and read.numbers(name).dtype == values[name].dtype
    with pytest.raises(ValueError, match="words holds byte strings"):
        read.numbers("words")
    with pytest.raises(ValueError, match="rows holds numbers"):
        read.texts("rows")


def test_lists_that_are_not_packed_are_read_too() -> None:
    # Feature {float_list {value: 1.5 value: -2}} and {int64_list {value: 300 value: -1}}, a field for each value.
    floats = b"\x12\x0a" + b"\x0d\x00\x00\xc0\x3f" + b"\x0d\x00\x00\x00\xc0"
    ints = b"\x1a\x0e" + b"\x08\xac\x02" + b"\x08" + b"\xff" * 9 + b"\x01"
    entries = b""
    for name, feature in ((b"f", floats), (b"i", ints)):
        pair = b"\x0a\x01" + name + b"\x12" + bytes([len(feature)]) + feature
        entries += b"\x0a" + bytes([len(pair)]) + pair
    read = Example(b"\x0a" + bytes([len(entries)]) + entries)
    assert read.numbers("f").tolist() == [1.5, -2.0] and read.numbers("i").tolist() == [300, -1]
    with pytest.raises(ValueError, match="cut off"):
        Example(b"\x0a\x7f\x00")


# ------------------------------------------------------------------------------------------------------------------------- the folder
def test_files_are_named_and_counted_as_tfds_wants_them(
    traces: ModuleType, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = traces.make_dataset_info()
    demonstrations = [traces.make_demonstration(seed, steps=4 + seed) for seed in range(5)]
    monkeypatch.setattr(_rlds_writer, "SHARD_BYTES", 22_000)
    inside = write(path, info, *demonstrations)
    told = json.loads((inside / "dataset_info.json").read_text())
    (split,) = told["splits"]
    assert (told["name"], told["version"], told["fileFormat"], split["name"]) == ("put_mug", "1.0.0", "tfrecord", "train")
    lengths = [int(n) for n in split["shardLengths"]]
    assert sum(lengths) == 5 and len(lengths) > 1 and all(isinstance(n, str) for n in split["shardLengths"])
    files = sorted(inside.glob("*.tfrecord-*"))
    assert [f.name for f in files] == [f"put_mug-train.tfrecord-{i:05d}-of-{len(lengths):05d}" for i in range(len(lengths))]
    assert [len(_tfrecord.places(f)) for f in files] == lengths
    assert sum(place.length for f in files for place in _tfrecord.places(f)) == int(split["numBytes"])
    with rlds.FORMAT.open(path) as reader:
        assert reader.digests == tuple(d.digest for d in demonstrations)
        assert np.array_equal(reader[-1].actions, demonstrations[-1].actions)
    assert [d.digest for d in rlds.FORMAT.read(inside)] == [d.digest for d in demonstrations]


def test_the_steps_are_those_of_libero(traces: ModuleType, path: Path) -> None:
    failed = traces.make_demonstration(1, steps=3, is_success=False)
    inside = write(path, traces.make_dataset_info(), traces.make_demonstration(0, steps=4), failed)
    plain = json.loads((inside / "features.json").read_text())["featuresDict"]["features"]
    steps = plain["steps"]["sequence"]["feature"]["featuresDict"]["features"]
    assert plain["steps"]["sequence"]["length"] == "-1" and plain["steps"]["pythonClassName"].endswith("dataset_feature.Dataset")
    assert steps["action"]["tensor"] == {"shape": {"dimensions": ["7"]}, "dtype": "float32", "encoding": "none"}
    assert steps["is_first"]["tensor"] == {"shape": {}, "dtype": "bool", "encoding": "none"}
    image = steps["observation"]["featuresDict"]["features"]["image"]["image"]
    assert image == {"shape": {"dimensions": ["8", "8", "3"]}, "dtype": "uint8", "encodingFormat": "jpeg"}
    first, second = example(inside, 0), example(inside, 1)
    assert first.numbers("steps/observation/state").shape == (32,) and first.numbers("steps/observation/joint_state").shape == (28,)
    assert first.numbers("steps/reward").tolist() == [0, 0, 0, 1] == first.numbers("steps/is_terminal").tolist()
    assert second.numbers("steps/reward").tolist() == [0, 0, 0] == second.numbers("steps/is_terminal").tolist()
    assert second.numbers("steps/is_last").tolist() == [0, 0, 1] and first.numbers("steps/discount").tolist() == [1.0] * 4
    assert first.texts("steps/language_instruction") == [b"put the mug on the plate"] * 4
    assert second.texts("episode_metadata/file_path") == [f"failure/place_on/{failed.digest}".encode()]


def test_motion_in_joints_is_stored_as_displacements_of_the_hand_where_these_are_told_too(traces: ModuleType, path: Path) -> None:
    info = traces.make_dataset_info(action=traces.JOINT_DELTA, commands={"ee_delta": traces.EE_DELTA})
    rng = np.random.default_rng(0)
    actions = rng.uniform(-1, 1, (7, 8)).astype(np.float32)
    demonstration = traces.make_demonstration(info=info, actions=actions, executed_actions=actions)
    inside = write(path, info, demonstration)
    assert np.array_equal(example(inside).numbers("steps/action").reshape(7, 7), demonstration.commands["ee_delta"])
    (read,) = rlds.FORMAT.read(path)
    assert np.array_equal(read.actions, actions) and read.actions.dtype == np.float32
    with pytest.raises(BadData, match="as displacements of the hand, and the dataset as joint_delta: demonstrate with --control ee_delta"):
        rlds.FORMAT.write(path.with_name("other"), traces.make_dataset_info(action=traces.JOINT_DELTA))


def test_of_two_hands_the_action_is_stored_as_it_is(traces: ModuleType, path: Path) -> None:
    arms = [dataclasses.replace(c, name=f"{side}_{c.name}") for side in ("left", "right") for c in traces.EE_DELTA.components]
    info = traces.make_dataset_info(action=ActionSpec(name="bimanual_ee_delta", components=tuple(arms), rate_hz=20.0))
    still = np.tile(np.array([1, 0, 0, 0], np.float32), (5, 1))
    proprio = {"left_arm_joint_pos_rad": np.ones((5, 7), np.float32)}
    for side in ("left", "right"):
        proprio |= {f"{side}_ee_pos_base_m": np.ones((5, 3), np.float32), f"{side}_ee_quat_base_wxyz": still}
        proprio[f"{side}_hand_opening_m"] = np.ones((5, 1), np.float32)
    actions = np.linspace(-1, 1, 70, dtype=np.float32).reshape(5, 14)
    demonstration = traces.make_demonstration(steps=5, info=info, proprio=proprio, actions=actions, executed_actions=actions)
    inside = write(path, info, demonstration)
    assert example(inside).numbers("steps/action").shape == (70,) and example(inside).numbers("steps/observation/state").shape == (70,)
    (read,) = rlds.FORMAT.read(path)
    assert np.array_equal(read.actions, actions)


def test_depth_is_a_lossless_image_of_16_bits(traces: ModuleType, path: Path) -> None:
    depth = {"wrist": np.arange(7 * 16, dtype=np.uint16).reshape(7, 4, 4) * 500}
    inside = write(path, traces.make_dataset_info(depth=("wrist",)), traces.make_demonstration(depth=depth))
    assert example(inside).texts("steps/observation/wrist_depth")[0].startswith(b"\x89PNG")
    with rlds.FORMAT.open(path) as reader:
        assert np.array_equal(reader[0].depth["wrist"], depth["wrist"]) and reader[0].depth["wrist"].dtype == np.uint16


def test_a_recording_without_a_spec_is_held_too(traces: ModuleType, path: Path) -> None:
    info = traces.make_dataset_info(robot="mine", images={"front": ImagePreprocessing(crop=6, size=6, width=10)})
    images = {"front": np.full((7, 6, 10, 3), 90, np.uint8)}
    inside = write(path, info, traces.make_demonstration(spec=None, digest="e" * 32, images=images))
    assert example(inside).numbers("episode_metadata/seed").tolist() == [-1]
    (read,) = rlds.FORMAT.read(path)
    assert read.spec is None and read.digest == "e" * 32 and np.abs(read.images["front"].astype(int) - 90).max() <= 2


# -------------------------------------------------------------------------------------------------------------------------- bad input
def test_a_folder_that_tfds_could_not_name_is_refused(traces: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(BadData, match="in small letters, digits and underscores, and this folder 'Put-Mug 2'. Choose another, like 'put_mug_2'"):
        rlds.FORMAT.write(tmp_path / "Put-Mug 2", traces.make_dataset_info())
    assert not list(tmp_path.iterdir())


def test_cameras_that_share_a_key_are_refused(traces: ModuleType, path: Path) -> None:
    images = {"front": ImagePreprocessing(crop=8, size=8), "side": ImagePreprocessing(crop=8, size=8), "side/2": ImagePreprocessing(crop=8, size=8)}
    with pytest.raises(BadData, match="allows no / in the names of cameras; one is called 'side/2'"):
        rlds.FORMAT.write(path, traces.make_dataset_info(images=images))


def test_a_demonstration_of_another_robot_is_refused_when_it_is_taken(traces: ModuleType, path: Path) -> None:
    first, second = traces.make_demonstration(0), traces.make_demonstration(1)
    other = dataclasses.replace(second, proprio={**second.proprio, "joint_pos_rad": np.zeros((7, 6), np.float32)})
    with rlds.FORMAT.write(path, traces.make_dataset_info()) as writer:
        writer.append(first)
        with pytest.raises(BadData, match=r"other values than the first one, at steps/observation/joint_state/.*\"6\".*\"7\".*another folder"):
            writer.append(other)
        writer.append(second)
    assert len(list(rlds.FORMAT.read(path))) == 2


def test_a_damaged_record_is_said_to_be_damaged(traces: ModuleType, path: Path) -> None:
    inside = write(path, traces.make_dataset_info(), traces.make_demonstration(0), traces.make_demonstration(1))
    (file,) = inside.glob("*.tfrecord-*")
    whole = bytearray(file.read_bytes())
    second = _tfrecord.places(file)[1]
    whole[second.offset + 700] ^= 1
    file.write_bytes(whole)
    with rlds.FORMAT.open(path) as reader:
        assert reader[0].num_steps == 7
        with pytest.raises(BadData, match="record 1 is damaged: its checksum is another one. Copy its file once more"):
            reader[1]
    file.write_bytes(whole[:-10])
    with pytest.raises(BadData, match="is cut off or damaged after 1 records, at byte"):
        rlds.FORMAT.open(path)
    file.unlink()
    with pytest.raises(BadData, match="of-00001 cannot be read: .*No such file"):
        rlds.FORMAT.open(path)


def test_a_folder_that_lost_episodes_is_not_read(traces: ModuleType, path: Path) -> None:
    inside = write(path, traces.make_dataset_info(), traces.make_demonstration(0), traces.make_demonstration(1))
    at = inside / "dataset_info.json"
    told = json.loads(at.read_text())
    told["splits"][0]["shardLengths"] = ["3"]
    at.write_text(json.dumps(told))
    with pytest.raises(BadData, match="holds 2 episodes, and dataset_info.json says 3: it was changed, or not copied whole"):
        rlds.FORMAT.open(path)
    told["fileFormat"] = "array_record"
    at.write_text(json.dumps(told))
    with pytest.raises(BadData, match="holds files of the format array_record; TFRecord is what is read"):
        rlds.FORMAT.open(path)
    at.unlink()
    with pytest.raises(NoDataset, match="there is no dataset at .*put_mug has no 1.0.0/dataset_info.json"):
        rlds.FORMAT.open(path)


# -------------------------------------------------------------------------------------------------------------------- made by others
def of_others(inside: Path) -> Path:
    """Makes a folder one of others: without what only vlagym says."""
    shutil.rmtree(inside / "vlagym")
    plain = json.loads((inside / "features.json").read_text())
    del plain["featuresDict"]["features"]["episode_metadata"]["featuresDict"]["features"]["fps"]
    (inside / "features.json").write_text(json.dumps(plain))
    return inside.parent


def test_a_folder_of_others_is_read_by_what_liberos_schema_means(traces: ModuleType, path: Path) -> None:
    info = traces.make_dataset_info()
    written = [traces.make_demonstration(seed, steps=3 + seed, is_success=seed == 0) for seed in range(2)]
    of_others(write(path, info, *written))
    with rlds.FORMAT.open(path) as reader:
        assert len(set(reader.digests)) == 2 and reader.info.action.rate_hz == 20.0
        assert [c.convention for c in reader.info.action.components] == [c.convention for c in info.action.components]
        assert set(reader.info.provenance["taken_for"]) == {"rate_hz", "images", "action"}
        assert {c: how.shape for c, how in reader.info.images.items()} == {"front": (8, 8, 3), "wrist": (4, 4, 3)}
        read = reader[0]
        assert read.spec is None and read.digest == reader.digests[0] and [reader[i].is_success for i in (0, 1)] == [True, False]
        assert np.array_equal(read.actions, written[0].actions) and read.instruction == written[0].instruction
        assert np.array_equal(read.proprio["joint_pos_rad"], written[0].proprio["joint_pos_rad"])
        assert np.allclose(read.proprio["gripper_opening_m"], written[0].proprio["gripper_opening_m"], atol=1e-6)
        told, ours = read.proprio["ee_quat_world_wxyz"], written[0].proprio["ee_quat_base_wxyz"]
        assert np.allclose(told, ours, atol=1e-5)
        again = path.with_name("again")
        with rlds.FORMAT.write(again, reader.info) as writer:
            for index in range(len(reader)):
                writer.append(reader[index])
    assert np.array_equal(next(rlds.FORMAT.read(again)).actions, written[0].actions)
    with pytest.raises(BadData, match="has not the schema of rlds_droid: its episodes hold .*steps/action.*Schemas that are read: rlds, rlds_droid"):
        rlds_droid.FORMAT.open(path)


def test_actions_that_nobody_explains_are_recorded_ones(traces: ModuleType, path: Path) -> None:
    narrow = ActionComponent(
        name="left_x", size=1, convention="position", frame="base", unit="m", scale=1.0, low=(-2.0,), high=(2.0,)
    )
    info = traces.make_dataset_info(
        action=ActionSpec(name="two", components=(narrow, dataclasses.replace(narrow, name="right_x")), rate_hz=20.0)
    )
    actions = np.linspace(-1.5, 1.0, 14, dtype=np.float32).reshape(7, 2)
    of_others(write(path, info, traces.make_demonstration(info=info, actions=actions, executed_actions=actions)))
    with rlds.FORMAT.open(path) as reader:
        assert reader.info.action.name == "recorded" and reader.info.action.size == 2 and reader.info.action.low.min() == -1.5


@pytest.mark.parametrize("rate_hz", [0.0, -20.0, float("nan")])
def test_a_rate_that_is_none_is_refused(traces: ModuleType, path: Path, rate_hz: float) -> None:
    inside = write(path, traces.make_dataset_info(), traces.make_demonstration())
    shutil.rmtree(inside / "vlagym")
    change(inside, {"episode_metadata/fps": np.array([rate_hz], np.float32)})
    with pytest.raises(BadData, match="episode_metadata/fps is .*; it must be how many steps a second has, above 0"):
        rlds.FORMAT.open(path)


@pytest.mark.parametrize("told", ["episode_metadata/success", "steps/reward", "steps/is_terminal"])
@pytest.mark.parametrize("is_success", [True, False])
def test_one_of_three_values_tells_whether_an_episode_of_others_succeeded(traces: ModuleType, path: Path, told: str, is_success: bool) -> None:
    inside = write(path, traces.make_dataset_info(), traces.make_demonstration(is_success=is_success))
    for name in SUCCESSES - {told}:
        take_out(inside, name)
    of_others(inside)
    with rlds.FORMAT.open(path) as reader:
        assert reader[0].is_success == is_success


def test_an_episode_of_others_that_does_not_say_whether_it_succeeded_is_refused(traces: ModuleType, path: Path) -> None:
    inside = write(path, traces.make_dataset_info(), traces.make_demonstration())
    for name in SUCCESSES:
        take_out(inside, name)
    of_others(inside)
    with pytest.raises(BadData, match="of episode 0: it does not say whether it succeeded: it has none of .*Build the dataset with steps/reward, 1 in"):
        rlds.FORMAT.open(path)


SUCCESSES = {"episode_metadata/success", "steps/reward", "steps/is_terminal"}


def take_out(inside: Path, path: str) -> None:
    """Takes a value out of what features.json tells."""
    at = inside / "features.json"
    plain = json.loads(at.read_text())
    features = plain["featuresDict"]["features"]
    *above, name = path.split("/")
    for word in above:
        inner = features[word]
        features = (inner["sequence"]["feature"] if "sequence" in inner else inner)["featuresDict"]["features"]
    del features[name]
    at.write_text(json.dumps(plain))


def test_images_of_others_that_are_fewer_than_actions_are_refused(traces: ModuleType, path: Path) -> None:
    inside = write(path, traces.make_dataset_info(), traces.make_demonstration(steps=3))
    of_others(inside)
    change(inside, {"steps/observation/wrist_image": []})
    with pytest.raises(BadData, match="steps/observation/wrist_image of episode 0 has 0 images, and there are 3 actions"):
        rlds.FORMAT.open(path)
    change(inside, {"steps/observation/wrist_image": np.zeros(3, np.int64)})
    with pytest.raises(BadData, match="episode 0 is not as features.json says: .*holds numbers"):
        rlds.FORMAT.open(path)


def change(inside: Path, values: dict[str, Any]) -> None:
    """Writes the one episode of a folder again, with some other values."""
    (file,) = inside.glob("*.tfrecord-*")
    (place,) = _tfrecord.places(file)
    with file.open("rb") as opened:
        example = Example(_tfrecord.payload(opened, place, "it"))
    file.write_bytes(b"".join(_tfrecord.framed(encode({name: example.values(name) for name in example.names} | values))))
