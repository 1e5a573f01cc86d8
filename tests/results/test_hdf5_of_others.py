"""HDF5 files that others wrote are read as they mean it: upright, each row with the action that came after it, and nothing guessed."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import h5py
import numpy as np
import pytest

from vlagym.envs.errors import BadData
from vlagym.envs.types import stream
from vlagym.results.formats import hdf5
from vlagym.results.formats._vectors import vector

ENV_ARGS = {
    "type": 1,
    "env_name": "Libero_Tabletop_Manipulation",
    "env_kwargs": {
        "robots": ["Panda"],
        "control_freq": 20,
        "controller_configs": {"type": "OSC_POSE", "output_max": [0.05, 0.05, 0.05, 0.5, 0.5, 0.5], "control_delta": True},
    },
}
PROBLEM = {"problem_name": "x", "domain_name": "robosuite", "language_instruction": "put the bowl on the plate"}


def picture(step: int, size: int = 6) -> Any:
    """Returns an upright image (size, size, 3): bright at the top, with a mark at the left of its first row."""
    image = np.zeros((size, size, 3), np.uint8)
    image[0] = 200
    image[0, 0] = (255, step, 0)
    return image


def libero(path: Path, *, steps: int = 5, demos: int = 2, is_after: bool = True, **changes: Any) -> Path:
    """Writes a file as LIBERO's create_dataset.py does: images bottom up, each row seen after its action."""
    attributes: dict[str, Any] = {
        "env_args": json.dumps(ENV_ARGS),
        "problem_info": json.dumps(PROBLEM),
        "macros_image_convention": "opengl",
        "tag": "libero-v1",
    }
    attributes |= changes
    with h5py.File(path, "w") as file:
        data = file.create_group("data")
        data.attrs.update({key: value for key, value in attributes.items() if value is not None})
        for number in range(demos):
            rng = stream(number, "libero")
            joints = rng.normal(size=(steps + 1, 7))  # before the first action, and after each
            seen = joints[1:] if is_after else joints[:-1]
            demo = data.create_group(f"demo_{number}")
            demo.attrs["num_samples"] = steps
            demo["actions"] = rng.uniform(-1, 1, (steps, 7))
            demo["states"] = np.concatenate([np.arange(steps)[:, None], joints[:-1], rng.normal(size=(steps, 9))], axis=1)
            demo["rewards"] = demo["dones"] = np.eye(steps, dtype=np.uint8)[-1]
            demo["robot_states"] = rng.normal(size=(steps, 9))
            obs = demo.create_group("obs")
            obs["joint_states"] = seen
            obs["ee_pos"], obs["ee_ori"] = rng.normal(size=(steps, 3)), rng.normal(size=(steps, 3))
            obs["ee_states"] = np.concatenate([obs["ee_pos"], obs["ee_ori"]], axis=1)
            obs["gripper_states"] = np.tile([0.04, -0.03], (steps, 1))
            upside_down = np.stack([picture(t)[::-1] for t in range(steps)])
            obs["agentview_rgb"] = obs["eye_in_hand_rgb"] = upside_down
    return path


def test_the_images_of_libero_are_turned_upright_and_not_mirrored(tmp_path: Path) -> None:
    with hdf5.Reader(libero(tmp_path / "x_demo.hdf5")) as reader:
        assert not reader.is_ours and reader.info.provenance["image_convention"] == "opengl"
        assert {c: p.shape for c, p in reader.info.images.items()} == {"front": (6, 6, 3), "wrist": (6, 6, 3)}
        images = reader[0].images["front"]
    np.testing.assert_array_equal(images, np.stack([picture(t) for t in range(4)]))


def test_upright_images_stay_as_they_are(tmp_path: Path) -> None:
    (first, _) = hdf5.read(libero(tmp_path / "x_demo.hdf5", macros_image_convention="opencv"))
    np.testing.assert_array_equal(first.images["front"][0], picture(0)[::-1])  # they are what the file says is upright


def test_images_of_which_nobody_says_how_they_lie_are_refused_with_what_to_do(tmp_path: Path) -> None:
    path = libero(tmp_path / "x_demo.hdf5", macros_image_convention=None)
    with pytest.raises(BadData, match=r"does not say which way up its images are.*attrs\['macros_image_convention'\] = 'opengl' \(row 0"):
        hdf5.Reader(path)
    with pytest.raises(BadData, match="macros_image_convention is 'sideways'; known are opengl"):
        hdf5.Reader(libero(tmp_path / "x_demo.hdf5", macros_image_convention="sideways"))


def test_what_was_seen_after_an_action_is_given_the_next_one(tmp_path: Path) -> None:
    path = libero(tmp_path / "x_demo.hdf5")
    (first, _) = hdf5.read(path)
    with h5py.File(path) as file:
        demo = file["data/demo_0"]
        np.testing.assert_allclose(first.actions, demo["actions"][1:], atol=1e-6)
        np.testing.assert_allclose(first.proprio["joint_pos_rad"], demo["obs/joint_states"][:-1], atol=1e-6)
        assert first.num_steps == 4 and first.images["wrist"].shape == (4, 6, 6, 3)
    with hdf5.Reader(path) as reader:
        assert reader.info.provenance["alignment"] == "seen after the action: moved by one row"


def test_what_was_seen_before_an_action_keeps_it(tmp_path: Path) -> None:
    with hdf5.Reader(libero(tmp_path / "x_demo.hdf5", is_after=False)) as reader:
        assert reader.info.provenance["alignment"] == "seen before the action" and reader[0].num_steps == 5


def test_what_libero_holds_bears_our_names(tmp_path: Path) -> None:
    path = libero(tmp_path / "x_demo.hdf5", is_after=False)
    (first, second) = hdf5.read(path)
    assert first.spec is None and first.instruction == "put the bowl on the plate" and first.is_success and first.digest != second.digest
    assert set(first.proprio) == {"joint_pos_rad", "ee_pos_world_m", "ee_quat_world_wxyz", "gripper_opening_m"}
    assert first.proprio["gripper_opening_m"][0] == pytest.approx(0.07) and first.privileged["states"].shape == (5, 17)
    with h5py.File(path) as file:
        np.testing.assert_allclose(vector(first, "libero").values[:, :6], file["data/demo_0/obs/ee_states"][()], atol=1e-5)
    with hdf5.Reader(path) as reader:
        translation, rotation, gripper = reader.info.action.components
        assert (translation.scale, rotation.scale, gripper.convention) == (0.05, 0.5, "gripper_closed_positive")
        assert (reader.info.action.rate_hz, reader.info.robot) == (20.0, "panda")


def test_they_are_written_again_as_ours(traces: ModuleType, tmp_path: Path) -> None:
    path = libero(tmp_path / "x_demo.hdf5")
    with hdf5.Reader(path) as reader:
        with hdf5.Writer(tmp_path / "ours.hdf5", reader.info) as writer:
            for index in range(len(reader)):
                writer.append(reader[index])
        first = reader[0]
        with hdf5.Reader(tmp_path / "ours.hdf5") as again:
            assert again.digests == reader.digests and again.info == reader.info
            np.testing.assert_array_equal(again[0].images["front"], first.images["front"])
            np.testing.assert_array_equal(again[0].actions, first.actions)
    with pytest.raises(BadData, match="x_demo.hdf5 was not written by vlagym, and is not extended. Write to another file"):
        hdf5.Writer(path, traces.make_dataset_info())


def test_the_sentence_stands_in_the_file_or_in_its_name(tmp_path: Path) -> None:
    named = tmp_path / "KITCHEN_SCENE3_turn_on_the_stove_demo.hdf5"
    (first, _) = hdf5.read(libero(named, problem_info=None))
    assert first.instruction == "turn on the stove"
    with pytest.raises(BadData, match=r"does not say what was asked for.*attrs\['problem_info'\].*lift_the_cube_demo.hdf5"):
        hdf5.Reader(libero(tmp_path / "low_dim.hdf5", problem_info=None))
    letters = json.dumps({"language_instruction": list('"open it"')})
    (first, _) = hdf5.read(libero(tmp_path / "x_demo.hdf5", problem_info=letters))
    assert first.instruction == "open it"


def test_robomimic_s_own_files_are_read(tmp_path: Path) -> None:
    path = tmp_path / "lift_the_cube_demo.hdf5"
    with h5py.File(path, "w") as file:
        data = file.create_group("data")
        data.attrs["env_args"] = json.dumps({"env_name": "Lift", "type": 1, "env_kwargs": {"control_freq": 20, "robots": "Panda"}})
        for number in (10, 2):
            demo = data.create_group(f"demo_{number}")
            demo["actions"], demo["rewards"] = np.full((3, 7), 0.1 * number), np.zeros(3)
            demo["next_obs/x"] = np.zeros(3)
            obs = demo.create_group("obs")
            obs["agentview_image"] = np.stack([picture(number)] * 3)
            obs["agentview_depth"] = np.full((3, 6, 6, 1), 0.5, np.float32)
            obs["robot0_eef_quat"] = np.tile([0.1, 0.2, 0.3, 0.9], (3, 1))
            obs["object"] = np.ones((3, 10))
    (two, ten) = hdf5.read(path)
    np.testing.assert_allclose(two.actions, 0.2, atol=1e-6)
    np.testing.assert_array_equal(ten.images["front"][0], picture(10))  # robomimic stores them upright
    np.testing.assert_allclose(two.proprio["ee_quat_world_wxyz"][0], [0.9, 0.1, 0.2, 0.3], atol=1e-6)
    assert two.proprio["object"].shape == (3, 10) and not two.is_success and dict(two.depth) == {}
    assert two.extra == {"file": path.name, "demo": "demo_2", "not_read": ["obs/agentview_depth", "next_obs"]}
    with hdf5.Reader(path) as reader:
        assert reader.info.action.components[0].convention == "recorded" and reader.info.action.high[0] == pytest.approx(1.0)


def test_depth_in_millimetres_is_read_and_turned_with_its_images(tmp_path: Path) -> None:
    path = libero(tmp_path / "x_demo.hdf5", demos=1, is_after=False)
    rows = np.arange(6, dtype=np.uint16)[::-1]  # 0 at the bottom, the first row of the file
    with h5py.File(path, "a") as file:
        file["data/demo_0/obs/agentview_depth"] = np.tile(rows[::-1, None, None], (5, 1, 6, 1))
    (first,) = hdf5.read(path)
    assert list(first.depth) == ["front"] and first.depth["front"].shape == (5, 6, 6) and first.depth["front"][0, :, 0].tolist() == rows.tolist()


def test_what_is_not_said_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "x_demo.hdf5"
    silent = json.dumps({"env_name": "x", "type": 2, "env_kwargs": {}})
    with pytest.raises(BadData, match=r"does not say how many rows a second has. Set the attribute: .*attrs\['fps'\] = 20"):
        hdf5.Reader(libero(path, env_args=silent))
    libero(path)
    with h5py.File(path, "a") as file:
        del file["data/demo_1/rewards"]
    with hdf5.Reader(path) as reader, pytest.raises(BadData, match="demo_1 does not say whether it succeeded"):
        _ = reader[1]
    with h5py.File(path, "a") as file:
        del file["data/demo_1/obs/eye_in_hand_rgb"]
    with pytest.raises(BadData, match="the cameras of demo_1 differ from those of demo_0"):
        hdf5.Reader(path)
    with pytest.raises(BadData, match="the attribute env_args of its group 'data' is no JSON"):
        hdf5.Reader(libero(path, env_args="{"))


@pytest.mark.parametrize("said", ["abc", "20 Hz", 0, -20, float("nan"), float("inf"), True, [20, 20]])
def test_a_rate_that_is_none_is_refused(tmp_path: Path, said: Any) -> None:
    path = tmp_path / "x_demo.hdf5"
    wrong = json.dumps(ENV_ARGS | {"env_kwargs": {"control_freq": said}})
    with pytest.raises(BadData, match="x_demo.hdf5: control_freq in the attribute env_args .* must be how many rows a second has, a number above 0"):
        hdf5.Reader(libero(path, env_args=wrong))
    with pytest.raises(BadData, match="x_demo.hdf5: the attribute fps of its group 'data' is .* a number above 0. Correct it"):
        hdf5.Reader(libero(path, env_args=None, fps=said))


def test_a_rate_is_read_off_the_attribute_or_the_timestamps(tmp_path: Path) -> None:
    path = libero(tmp_path / "x_demo.hdf5", env_args=None)
    for stamps, rate_hz in ((np.arange(5) / 8, 8.0), (np.zeros(5), None), (-np.arange(5.0), None), (np.full(5, np.nan), None)):
        with h5py.File(path, "a") as file:
            for name in ("demo_0", "demo_1"):
                file[f"data/{name}"].pop("timestamps", None)
                file[f"data/{name}/timestamps"] = stamps
        if rate_hz is None:
            with pytest.raises(BadData, match="the timestamps of demo_0 do not ascend. Correct or remove them, and set the attribute fps"):
                hdf5.Reader(path)
        else:
            assert hdf5.Reader(path).info.action.rate_hz == rate_hz
    with h5py.File(path, "a") as file:
        file["data"].attrs["fps"] = [15]
    assert hdf5.Reader(path).info.action.rate_hz == 15.0


def cut(path: Path, key: str, rows: int) -> Path:
    """Shortens an array of the second demonstration."""
    with h5py.File(path, "a") as file:
        shorter = file[f"data/demo_1/{key}"][:rows]
        del file[f"data/demo_1/{key}"]
        file[f"data/demo_1/{key}"] = shorter
    return path


@pytest.mark.parametrize("key", ["obs/agentview_rgb", "obs/eye_in_hand_rgb", "states"])
def test_rows_that_are_fewer_than_actions_are_refused_with_the_demonstration(tmp_path: Path, key: str) -> None:
    path = cut(libero(tmp_path / "x_demo.hdf5"), key, 3)
    remove = r"remove it: del h5py.File\('x_demo.hdf5', 'a'\)\['data/demo_1'\]"
    with pytest.raises(BadData, match=f"x_demo.hdf5: demo_1 has 5 actions, and 3 rows of {key}; they must be equally many. Mend it, or {remove}"):
        hdf5.Reader(path)
    with h5py.File(path, "a") as file:
        del file["data/demo_1"]
    with hdf5.Reader(path) as reader:
        assert len(reader) == 1


def test_what_is_felt_in_fewer_rows_is_left_out_and_told(tmp_path: Path) -> None:
    (first, second) = hdf5.read(cut(libero(tmp_path / "x_demo.hdf5"), "obs/ee_pos", 3))
    assert first.extra["not_read"] == [] and second.extra["not_read"] == ["obs/ee_pos"]
    assert "ee_pos_world_m" in first.proprio and "ee_pos_world_m" not in second.proprio


@pytest.mark.parametrize(("is_after", "steps"), [(True, 1), (True, 0), (False, 0)])
def test_a_demonstration_of_which_no_step_is_left_is_refused(tmp_path: Path, is_after: bool, steps: int) -> None:
    path = libero(tmp_path / "x_demo.hdf5", is_after=is_after)
    for key in ("actions", "obs/agentview_rgb", "obs/eye_in_hand_rgb", "states"):
        cut(path, key, steps)
    with pytest.raises(BadData, match=f"demo_1 has {steps} actions.*: no step is left. Mend it, or remove it: del"):
        hdf5.Reader(path)


def test_what_is_no_demonstration_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x_demo.hdf5"
    for key, value, why in (
        ("data/demo_1/actions", None, "demo_1 has no array of numbers called actions"),
        ("data/demo_1/actions", "none", "demo_1 has no array of numbers called actions"),
        ("data/demo_1/obs", None, "demo_1 has no group obs, which holds what was seen"),
        ("data/demo_1/obs", np.zeros(5), "demo_1 has no group obs"),
        ("data/demo_1", np.zeros(5), "demo_1 has no group obs"),
        ("data", np.zeros(5), "has no group 'data'"),
    ):
        with h5py.File(libero(path), "a") as file:
            del file[key]
            if value is not None:
                file[key] = value
        with pytest.raises(BadData, match=why):
            hdf5.Reader(path)


def test_what_is_said_in_other_words_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x_demo.hdf5"
    with pytest.raises(BadData, match="env_kwargs in the attribute env_args of its group 'data' is no JSON object. Correct it"):
        hdf5.Reader(libero(path, env_args=json.dumps({"env_kwargs": [20]})))
    with pytest.raises(BadData, match="the attribute env_args of its group 'data' is no JSON"):
        hdf5.Reader(libero(path, env_args=20))
    with h5py.File(libero(path), "a") as file:
        file["data/demo_0"].attrs["success"] = "False"
        file["data/demo_1"].attrs["success"] = False
    with hdf5.Reader(path) as reader:
        assert not reader[1].is_success
        with pytest.raises(BadData, match="the attribute success of demo_0 is 'False'; it must be True or False. Correct it"):
            _ = reader[0]
