"""The HDF5 files are what readers of robomimic and LIBERO expect, and survive a kill between two demonstrations."""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import h5py
import numpy as np
import pytest

from vlagym.envs.errors import BadData
from vlagym.envs.types import ActionSpec, Certificate, stream
from vlagym.results.demonstration import DatasetInfo, Demonstration, Stage
from vlagym.results.format import NoDataset
from vlagym.results.formats import hdf5


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "demos.hdf5"


def write(traces: ModuleType, path: Path, *demonstrations: object) -> None:
    with hdf5.Writer(path, traces.make_dataset_info()) as writer:
        for demonstration in demonstrations:
            writer.append(demonstration)  # type: ignore[arg-type]


def test_the_layout_is_that_of_libero(traces: ModuleType, path: Path) -> None:
    write(traces, path, traces.make_demonstration(0, steps=6), traces.make_demonstration(1, steps=4))
    with h5py.File(path) as file:
        data = file["data"]
        assert sorted(data) == ["demo_0", "demo_1"]
        assert (data.attrs["total"], data.attrs["num_demos"], data.attrs["macros_image_convention"]) == (10, 2, "opencv")
        assert set(json.loads(data.attrs["env_args"])) == {"env_name", "type", "env_kwargs"}
        assert json.loads(data.attrs["problem_info"])["language_instruction"] == "put the mug on the plate"
        demo = data["demo_0"]
        assert demo.attrs["num_samples"] == 6
        shapes = {name: demo[name].shape for name in ("actions", "dones", "rewards", "robot_states")}
        assert shapes == {"actions": (6, 7), "dones": (6,), "rewards": (6,), "robot_states": (6, 9)}
        obs = {name: demo["obs"][name].shape for name in ("joint_states", "ee_pos", "ee_ori", "ee_states", "gripper_states")}
        assert obs == {"joint_states": (6, 7), "ee_pos": (6, 3), "ee_ori": (6, 3), "ee_states": (6, 6), "gripper_states": (6, 2)}
        assert demo["obs/agentview_rgb"].shape == (6, 8, 8, 3) and demo["obs/eye_in_hand_rgb"].shape == (6, 4, 4, 3)
        assert demo["obs/agentview_rgb"].dtype == np.uint8
        assert demo["states"].shape == (6, sum(json.loads(demo.attrs["states_layout"]).values()))
        assert demo["rewards"][()].tolist() == [0, 0, 0, 0, 0, 1] == demo["dones"][()].tolist()


def test_of_two_hands_the_left_comes_first(traces: ModuleType, path: Path) -> None:
    still = np.tile(np.array([1, 0, 0, 0], np.float32), (5, 1))
    groups = {"left_leg": 6, "waist": 3, "left_arm": 7, "right_arm": 7, "left_hand": 7, "right_hand": 7}
    proprio = {f"{name}_joint_pos_rad": np.full((5, size), number, np.float32) for number, (name, size) in enumerate(groups.items())}
    for number, side in enumerate(("left", "right")):
        proprio[f"{side}_ee_pos_base_m"] = np.full((5, 3), number + 0.5, np.float32)
        proprio[f"{side}_ee_quat_base_wxyz"] = still
        proprio[f"{side}_hand_opening_m"] = np.full((5, 1), 0.1 * number, np.float32)
    write(traces, path, traces.make_demonstration(steps=5, proprio=proprio))
    with h5py.File(path) as file:
        obs = file["data/demo_0/obs"]
        assert obs["ee_pos"][0].tolist() == [0.5] * 3 + [1.5] * 3 and obs["ee_ori"].shape == (5, 6) and obs["ee_states"].shape == (5, 12)
        assert obs["joint_states"][0].tolist() == [0.0] * 6 + [1.0] * 3 + [2.0] * 7 + [3.0] * 7
        assert obs["gripper_states"][0].tolist() == pytest.approx([0.0, 0.1])
        assert file["data/demo_0/robot_states"].shape == (5, 2 + 6 + 8)
    (again,) = hdf5.read(path)
    assert all(np.array_equal(again.proprio[name], value) for name, value in proprio.items())
    del proprio["right_hand_opening_m"]
    with pytest.raises(BadData, match="lacks the proprioception 'right_hand_opening_m', of which the layout is made"):
        write(traces, path, traces.make_demonstration(1, steps=5, proprio=proprio))


def test_a_failure_is_done_and_not_rewarded(traces: ModuleType, path: Path) -> None:
    write(traces, path, traces.make_demonstration(steps=3, is_success=False))
    with h5py.File(path) as file:
        demo = file["data/demo_0"]
        assert (demo["rewards"][()].tolist(), demo["dones"][()].tolist(), demo.attrs["success"]) == ([0, 0, 0], [0, 0, 1], False)


def test_states_are_those_of_robosuite_in_order_and_sign(traces: ModuleType, path: Path) -> None:
    d = traces.make_demonstration(steps=1)
    half = math.sqrt(0.5)
    proprio = d.proprio | {
        "ee_pos_base_m": np.array([[0.1, 0.2, 0.3]], np.float32),
        "ee_quat_base_wxyz": np.array([[half, 0, 0, half]], np.float32),  # a quarter turn about z
        "gripper_opening_m": np.array([[0.08]], np.float32),
    }
    write(traces, path, traces.make_demonstration(steps=1, proprio=proprio))
    with h5py.File(path) as file:
        demo = file["data/demo_0"]
        np.testing.assert_allclose(demo["obs/ee_states"][0], [0.1, 0.2, 0.3, 0, 0, math.pi / 2], atol=1e-6)
        np.testing.assert_allclose(demo["obs/gripper_states"][0], [0.04, -0.04], atol=1e-7)
        np.testing.assert_allclose(demo["robot_states"][0], [0.04, -0.04, 0.1, 0.2, 0.3, 0, 0, half, half], atol=1e-6)


@pytest.mark.parametrize(
    ("quat_wxyz", "axis_angle"),
    [
        ([1, 0, 0, 0], [0, 0, 0]),
        ([0, 1, 0, 0], [math.pi, 0, 0]),
        ([0, -1, 0, 0], [-math.pi, 0, 0]),
        ([math.cos(0.25), 0, math.sin(0.25), 0], [0, 0.5, 0]),
        ([-1, 0, 0, 0], [0, 0, 0]),
    ],
)
def test_rotations_become_axis_times_angle(traces: ModuleType, path: Path, quat_wxyz: list[float], axis_angle: list[float]) -> None:
    proprio = traces.make_demonstration(steps=1).proprio | {"ee_quat_base_wxyz": np.array([quat_wxyz], np.float32)}
    write(traces, path, traces.make_demonstration(steps=1, proprio=proprio))
    with h5py.File(path) as file:
        np.testing.assert_allclose(file["data/demo_0/obs/ee_ori"][0], axis_angle, atol=1e-6)


def test_many_sentences_leave_the_sentence_of_the_file_empty(traces: ModuleType, path: Path) -> None:
    write(traces, path, traces.make_demonstration(0), traces.make_demonstration(1, instruction="place the mug on the plate"))
    with h5py.File(path) as file:
        assert json.loads(file["data"].attrs["problem_info"])["language_instruction"] == ""
        assert file["data/demo_1"].attrs["language_instruction"] == "place the mug on the plate"


def test_with_a_stride_obs_index_says_which_steps_have_images(traces: ModuleType, path: Path) -> None:
    info = traces.make_dataset_info(frame_stride=3)
    with hdf5.Writer(path, info) as writer:
        writer.append(traces.make_demonstration(steps=8, info=info))
    with h5py.File(path) as file:
        assert file["data"].attrs["frame_stride"] == 3
        assert file["data/demo_0/obs_index"][()].tolist() == [0, 3, 6]
        assert file["data/demo_0/obs/agentview_rgb"].shape[0] == 3 and file["data/demo_0/actions"].shape[0] == 8


def test_a_demonstration_that_was_cut_off_is_not_read_and_is_made_again(traces: ModuleType, path: Path) -> None:
    demonstrations = [traces.make_demonstration(i) for i in range(4)]
    write(traces, path, *demonstrations[:3])
    with h5py.File(path, "r+") as file:
        del file["data/demo_1"].attrs["complete"]
    assert [d.digest for d in hdf5.read(path)] == [demonstrations[0].digest, demonstrations[2].digest]
    with hdf5.Writer(path, traces.make_dataset_info()) as writer:
        assert writer.digests == (demonstrations[0].digest, demonstrations[2].digest)
        writer.append(demonstrations[1])
    with h5py.File(path) as file:
        assert sorted(file["data"]) == ["demo_0", "demo_1", "demo_2"]
        assert (file["data"].attrs["num_demos"], file["data"].attrs["total"]) == (3, 21)
    assert [d.digest for d in hdf5.read(path)] == [demonstrations[i].digest for i in (0, 2, 1)]


ENDLESS = """
import importlib.util, sys
from pathlib import Path
from vlagym.results.formats import hdf5
found = importlib.util.spec_from_file_location("hand_written", {traces!r})
traces = importlib.util.module_from_spec(found)
sys.modules["hand_written"] = traces
found.loader.exec_module(traces)
with hdf5.Writer(Path({path!r}), traces.make_dataset_info()) as writer:
    for seed in range({first}, 1000):
        writer.append(traces.make_demonstration(seed))
        print(seed, flush=True)
        if seed % 7 == 6:
            writer.close()  # so that kills meet the joining too
            writer = hdf5.Writer(Path({path!r}), traces.make_dataset_info())
"""


def test_a_kill_costs_no_demonstration_that_was_stored(traces: ModuleType, path: Path) -> None:
    told: list[int] = []
    for kill in range(6):
        script = ENDLESS.format(traces=traces.__file__, path=str(path), first=100 * kill)
        process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        told.append(int(process.stdout.readline()))  # it has begun; from here on the kill comes at a moment of its own
        time.sleep(0.01 * kill)
        process.kill()
        told += map(int, process.stdout.read().splitlines())
        process.wait()
        write(traces, path)  # goes on, and finishes
        stored = [d.episode.seed for d in hdf5.read(path)]
        assert set(told) <= set(stored) and len(stored) == len(set(stored))
        told = stored
    assert not path.with_name("demos.hdf5.parts").exists()
    with h5py.File(path) as file:
        assert sorted(file["data"]) == sorted(f"demo_{i}" for i in range(len(told))) and file["data"].attrs["num_demos"] == len(told)


def test_a_kill_between_joining_and_clearing_up_stores_nothing_twice(traces: ModuleType, path: Path) -> None:
    demonstrations = [traces.make_demonstration(i) for i in range(3)]
    writer = hdf5.Writer(path, traces.make_dataset_info())
    for demonstration in demonstrations:
        writer.append(demonstration)
    parts = path.with_name("demos.hdf5.parts")
    shutil.copytree(parts, parts.with_name("kept"))
    writer.close()
    shutil.copytree(parts.with_name("kept"), parts)
    (parts / "000000.hdf5").unlink()  # the kill came in the middle of it
    with hdf5.Writer(path, traces.make_dataset_info()) as writer:
        assert writer.digests == tuple(d.digest for d in demonstrations)
        assert not list(parts.iterdir())
    assert [d.digest for d in hdf5.read(path)] == [d.digest for d in demonstrations] and not parts.exists()


def test_a_file_has_its_name_only_when_it_is_whole_and_stays_as_it_was_until_more_is_whole(traces: ModuleType, path: Path) -> None:
    demonstrations = [traces.make_demonstration(i) for i in range(5)]
    with pytest.raises(ZeroDivisionError), hdf5.Writer(path, traces.make_dataset_info()) as writer:
        writer.append(demonstrations[0])
        writer.append(demonstrations[1])
        raise ZeroDivisionError
    with pytest.raises(NoDataset, match=r"demos.hdf5 was not finished: 2 demonstrations wait in demos.hdf5.parts. Repeat the command"):
        hdf5.Reader(path)
    with hdf5.Writer(path, traces.make_dataset_info()) as writer:
        assert len(writer.digests) == 2 and not path.exists()
        writer.append(demonstrations[2])
        assert not path.exists()
    assert [d.digest for d in hdf5.read(path)] == [d.digest for d in demonstrations[:3]]
    writer = hdf5.Writer(path, traces.make_dataset_info())
    writer.append(demonstrations[3])
    assert len(list(hdf5.read(path))) == 3
    writer.leave()
    with hdf5.Writer(path, traces.make_dataset_info()) as writer:
        assert writer.digests == tuple(d.digest for d in demonstrations[:4])
        writer.append(demonstrations[4])
    assert [d.digest for d in hdf5.read(path)] == [d.digest for d in demonstrations]


def test_parts_of_a_dataset_that_was_made_with_other_information_are_not_joined(traces: ModuleType, path: Path) -> None:
    writer = hdf5.Writer(path, traces.make_dataset_info())
    writer.append(traces.make_demonstration(0))
    writer.leave()
    with pytest.raises(BadData, match="state"):
        hdf5.Writer(path, traces.make_dataset_info(state="joints"))
    write(traces, path)
    assert len(list(hdf5.read(path))) == 1


def test_a_dataset_keeps_what_was_said_when_it_was_begun(traces: ModuleType, path: Path) -> None:
    write(traces, path, traces.make_demonstration(0))
    with hdf5.Writer(path, traces.make_dataset_info(provenance={"command": ["later"]})) as writer:
        writer.append(traces.make_demonstration(1))
    with hdf5.Reader(path) as reader:
        assert reader.info == traces.make_dataset_info() and len(reader) == 2


def test_a_file_whose_index_is_destroyed_is_called_damaged(traces: ModuleType, path: Path) -> None:
    write(traces, path, *(traces.make_demonstration(i) for i in range(3)))
    data = bytearray(path.read_bytes())
    at = data.index(b"SNOD")
    data[at : at + 400] = b"\xff" * 400  # entries of a group point past the end of the file
    path.write_bytes(data)
    with pytest.raises(BadData, match="demos.hdf5 .*(is damaged|cannot be opened|lacks)"):
        list(hdf5.read(path))
    with pytest.raises(BadData, match="demos.hdf5 .*(is damaged|cannot be opened|lacks)"):
        hdf5.Writer(path, traces.make_dataset_info()).close()


def test_images_are_read_when_they_are_looked_at(traces: ModuleType, path: Path) -> None:
    demonstration = traces.make_demonstration()
    write(traces, path, demonstration)
    with hdf5.Reader(path) as reader:
        found = reader[0]
        np.testing.assert_array_equal(found.images["front"], demonstration.images["front"])
    assert list(found.images) == ["front", "wrist"]
    with pytest.raises(BadData, match="demo_0, camera 'front': the images can no longer be read, for the file was closed"):
        found.images["front"]


def test_a_file_that_is_being_written_is_not_opened_by_another_process(traces: ModuleType, path: Path) -> None:
    script = f"from pathlib import Path; from vlagym.results.formats import hdf5; hdf5.Reader(Path({str(path)!r}))"
    with hdf5.Writer(path, traces.make_dataset_info()) as writer:
        writer.append(traces.make_demonstration())
        answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert "demos.hdf5 is open in another process. Wait for it to end, or choose another file" in answer.stderr
    hdf5.Reader(path).close()


def test_strangers_and_damage_are_told_apart(traces: ModuleType, path: Path) -> None:
    path.write_bytes(b"not at all")
    with pytest.raises(BadData, match="demos.hdf5 cannot be opened as HDF5: .*If it is damaged, remove it and collect"):
        hdf5.Reader(path)
    path.unlink()
    with h5py.File(path, "w") as file:
        file["x"] = 1
    with pytest.raises(BadData, match="has no group 'data': it is no robomimic dataset"):
        hdf5.Reader(path)
    with h5py.File(path, "a") as file:
        file.create_group("data")
    with pytest.raises(BadData, match="holds no demonstrations: its group 'data' has no group demo_0, demo_1"):
        hdf5.Reader(path)
    with h5py.File(path, "a") as file:
        file["data"].attrs["vlagym_schema"] = 3
    with pytest.raises(BadData, match="has schema 3; this version of vlagym reads 1 and 2. It was written by a newer vlagym"):
        hdf5.Reader(path)


def test_what_does_not_fit_is_refused_and_leaves_the_file_as_it_was(traces: ModuleType, path: Path) -> None:
    good = traces.make_demonstration()
    low = good.actions.copy()
    low[2, 6] = -1.5
    nan = good.actions.copy()
    nan[3, 0] = np.nan
    cases = [
        (dict(actions=low), r"actions holds -1.5 in step 2, component 6, outside the bounds of ee_delta"),
        (dict(executed_actions=nan), r"executed_actions holds nan in step 3, component 0"),
        (dict(actions=good.actions[:, :6]), r"actions has shape \(7, 6\); ee_delta wants \(7, 7\)"),
        (dict(instruction=" "), "has no instruction"),
        (dict(digest="0" * 32), "its spec has the digest"),
        (dict(image_steps=np.arange(6)), "the frame stride 1 wants every step"),
        (dict(images=good.images | {"wrist": good.images["front"]}), r"images of 'wrist' have shape \(7, 8, 8, 3\) .* wanted \(7, 4, 4, 3\) uint8"),
        (dict(proprio={"joint_pos_rad": good.proprio["joint_pos_rad"]}), "lacks the proprioception 'ee_pos_base_m', of which the layout is made"),
        (dict(proprio=good.proprio | {"ee_pos": good.proprio["ee_pos_base_m"]}), "proprioception 'ee_pos', which is a key of the layout"),
        (dict(proprio=good.proprio | {"joint_pos_rad": np.zeros((6, 7))}), r"proprio 'joint_pos_rad' has shape \(6, 7\); it must have 7 rows"),
        (dict(privileged={"x": np.full((7, 1), np.inf)}), "privileged 'x' holds NaN or infinity"),
        (dict(extra={"score": math.nan}), r"what else is said of demonstration .* \(extra\) cannot be told in JSON"),
    ]
    with hdf5.Writer(path, traces.make_dataset_info()) as writer:
        for changes, message in cases:
            with pytest.raises(BadData, match=message):
                writer.append(traces.make_demonstration(**changes))
        writer.append(good)
    assert [d.digest for d in hdf5.read(path)] == [good.digest]


FULL = """
import importlib.util, resource, sys
from pathlib import Path
from vlagym.envs.errors import BadData
from vlagym.results.formats import hdf5
found = importlib.util.spec_from_file_location("hand_written", {traces!r})
traces = importlib.util.module_from_spec(found)
sys.modules["hand_written"] = traces
found.loader.exec_module(traces)
with hdf5.Writer(Path({path!r}), traces.make_dataset_info()) as writer:
    writer.append(traces.make_demonstration(0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
    try:
        writer.append(traces.make_demonstration(1, steps=200))
    except BadData as error:
        print(error, flush=True)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    print(*(p.name for p in Path({path!r} + ".parts").iterdir()))
    writer.append(traces.make_demonstration(2))
"""


def test_where_a_demonstration_finds_no_room_nothing_of_it_stays(traces: ModuleType, path: Path) -> None:
    script = FULL.format(traces=traces.__file__, path=str(path))
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.splitlines()
    assert f"demonstration {traces.make_demonstration(1).digest} cannot be stored in {path}.parts: " in told[0] and told[-1] == "000000.hdf5"
    assert [d.episode.seed for d in hdf5.read(path)] == [0, 2]


def test_what_has_no_room_to_be_joined_waits_for_it(traces: ModuleType, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = hdf5.Writer(path, traces.make_dataset_info())
    writer.append(traces.make_demonstration())
    usage = shutil.disk_usage(path.parent)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage._replace(free=2_000))
    with pytest.raises(BadData, match="the demonstrations of demos.hdf5 need 0 MB to be joined, and the disk has 0 MB left. Make room and give"):
        writer.close()
    monkeypatch.undo()
    assert not path.exists()
    write(traces, path)
    assert len(list(hdf5.read(path))) == 1


def test_a_folder_that_cannot_be_made_is_named(traces: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadData, match=r"file/demos.hdf5.parts, where the demonstrations of demos.hdf5 are put together, cannot be made: .*directory"):
        hdf5.Writer(tmp_path / "file" / "demos.hdf5", traces.make_dataset_info())


def test_two_cameras_cannot_share_a_key(traces: ModuleType, path: Path) -> None:
    images = traces.make_dataset_info().images
    with pytest.raises(BadData, match="the cameras 'front' and 'agentview' would both be stored as agentview_rgb; rename one"):
        hdf5.Writer(path, traces.make_dataset_info(images={**images, "agentview": images["front"]}))
    assert not path.exists()


def full(traces: ModuleType, info: DatasetInfo, seed: int = 0, **changes: Any) -> Demonstration:
    """Returns a demonstration that holds everything."""
    rng = stream(seed, "full")
    bare = traces.make_demonstration(seed, info=info)
    told: dict[str, Any] = {
        "depth": {"wrist": rng.integers(0, 5000, (7, 4, 4), np.uint16)},
        "commands": {"joint_delta": rng.uniform(-1, 1, (7, 8)).astype(np.float32)},
        "stages": (Stage(0, "reach"), Stage(3, "grasp")),
        "paraphrases": ("the café mug goes onto the plate",),
        "certificate": Certificate(spec=bare.digest, model="1" * 32, initial_state="2" * 32, actions="3" * 32, final_state="4" * 32, frames=None),
        "timestamps_s": np.arange(7) * 0.05 + 0.001,
        "extra": {"operator": "nobody", "attempts": [1, None]},
    }
    made: Demonstration = dataclasses.replace(bare, **{**told, **changes})
    return made


def full_info(traces: ModuleType) -> DatasetInfo:
    made: DatasetInfo = traces.make_dataset_info(robot="panda", state="joints", depth=("wrist",), commands={"joint_delta": joint_delta(traces)})
    return made


def joint_delta(traces: ModuleType) -> ActionSpec:
    joints = dataclasses.replace(traces.EE_DELTA.components[0], name="joints", size=7, convention="joint_delta", low=(-1.0,) * 7, high=(1.0,) * 7)
    return ActionSpec(name="joint_delta", components=(joints, traces.EE_DELTA.components[2]), rate_hz=20.0)


def test_all_that_a_demonstration_may_hold_is_given_back(traces: ModuleType, path: Path) -> None:
    info = full_info(traces)
    written = full(traces, info)
    elsewhere = full(traces, info, 1, spec=None, digest="e" * 32, stages=(), certificate=None, timestamps_s=None, extra={})
    with hdf5.Writer(path, info) as writer:
        writer.append(written)
        writer.append(elsewhere)
    with hdf5.Reader(path) as reader:
        assert reader.info == info and reader.is_ours
    for before, after in zip((written, elsewhere), hdf5.read(path), strict=True):
        for name in ("spec", "digest", "stages", "paraphrases", "certificate", "extra", "is_success"):
            assert getattr(after, name) == getattr(before, name)
        np.testing.assert_array_equal(after.depth["wrist"], before.depth["wrist"], strict=True)
        np.testing.assert_array_equal(after.commands["joint_delta"], before.commands["joint_delta"], strict=True)
        np.testing.assert_array_equal(after.timestamps_s, before.timestamps_s)
    with h5py.File(path) as file:
        demo = file["data/demo_0"]
        assert (demo["obs/eye_in_hand_depth"].dtype, demo["obs/eye_in_hand_depth"].shape) == (np.uint16, (7, 4, 4))
        assert demo["timestamps"][0] == demo["states"][0, 0] == 0.001 and demo["commands/joint_delta"].shape == (7, 8)
        assert "timestamps" not in file["data/demo_1"] and file["data/demo_1"].attrs["spec"] == ""


def test_a_recording_of_others_has_the_keys_that_can_be_made_of_it(traces: ModuleType, path: Path) -> None:
    bare = traces.make_demonstration(spec=None, digest="e" * 32, proprio={"joint_pos_rad": np.ones((7, 6), np.float32)}, privileged={})
    write(traces, path, bare)
    with h5py.File(path) as file:
        assert sorted(file["data/demo_0/obs"]) == ["agentview_rgb", "eye_in_hand_rgb", "joint_pos_rad", "joint_states"]
        assert "robot_states" not in file["data/demo_0"]
    (again,) = hdf5.read(path)
    assert again.spec is None and list(again.proprio) == ["joint_pos_rad"]
    with pytest.raises(BadData, match=f"demonstration {'e' * 32} was not recorded in vlagym"):
        _ = again.episode


def as_schema_1(path: Path) -> None:
    """Takes from a file what files of the first schema did not have."""
    with h5py.File(path, "a") as file:
        data = file["data"]
        data.attrs["vlagym_schema"] = 1
        for name in ("robot", "state", "depth", "commands"):
            del data.attrs[name]
        for demo in data.values():
            del demo["commands"]
            for name in ("stages", "paraphrases", "certificate", "extra"):
                del demo.attrs[name]


def test_files_of_the_first_schema_are_read_and_extended(traces: ModuleType, path: Path) -> None:
    first, second = traces.make_demonstration(0), traces.make_demonstration(1, stages=(Stage(0, "reach"),))
    write(traces, path, first)
    as_schema_1(path)
    (again,) = hdf5.read(path)
    assert (again.digest, again.stages, again.certificate, dict(again.depth), again.spec) == (first.digest, (), None, {}, first.spec)
    write(traces, path, second)
    assert [d.stages for d in hdf5.read(path)] == [(), (Stage(0, "reach"),)]
    with h5py.File(path) as file:
        assert file["data"].attrs["vlagym_schema"] == 2


def test_masks_divide_by_digest_and_stay_when_the_file_is_extended(traces: ModuleType, path: Path) -> None:
    demonstrations = [traces.make_demonstration(i, steps=2) for i in range(16)]
    write(traces, path, *demonstrations[:10])

    def divided() -> tuple[set[str], set[str]]:
        with h5py.File(path) as file:
            sides = [{str(file["data"][n.decode()].attrs["digest"]) for n in file[f"mask/{k}"][()]} for k in ("train", "valid")]
            return sides[0], sides[1]

    counts = hdf5.write_masks(path, 0.25)
    train, valid = divided()
    assert counts == (len(train), len(valid)) and len(train | valid) == 10 and not train & valid and 1 <= len(valid) <= 6
    write(traces, path, *demonstrations[10:])
    train_now, valid_now = divided()
    assert train < train_now and valid <= valid_now and len(train_now | valid_now) == 16
    assert [d.digest for d in hdf5.read(path)] == [d.digest for d in demonstrations]
    with pytest.raises(BadData, match="the share of demonstrations for validation is 1; it must lie between 0 and 1"):
        hdf5.write_masks(path, 1.0)


def test_masks_need_two_demonstrations(traces: ModuleType, path: Path) -> None:
    with pytest.raises(NoDataset, match="there is no dataset at .*demos.hdf5"):
        hdf5.write_masks(path, 0.5)
    write(traces, path, traces.make_demonstration())
    before = path.read_bytes()
    with pytest.raises(BadData, match="the dataset holds 1 demonstrations of vlagym; at least 2 are needed"):
        hdf5.write_masks(path, 0.5)
    assert path.read_bytes() == before and not path.with_name("demos.hdf5.parts").exists()


def test_a_damaged_attribute_is_named(traces: ModuleType, path: Path) -> None:
    write(traces, path, traces.make_demonstration())
    with h5py.File(path, "a") as file:
        file["data/demo_0"].attrs["stages"] = "[[0,"
    with pytest.raises(BadData, match="demo_0: its attribute stages is damaged"):
        list(hdf5.read(path))
