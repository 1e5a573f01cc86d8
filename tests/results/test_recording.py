"""A loop of one's own records what it sees and does, and what it gives in other units or shapes is told at once."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from vlagym.envs.errors import BadAction, BadData, UnknownName
from vlagym.results.demonstration import Demonstration
from vlagym.results.formats import droid, hdf5, npz
from vlagym.results.formats._vectors import vector
from vlagym.results.recording import Recording


def seen(t: int = 0, **changes: Any) -> dict[str, Any]:
    """Returns what a loop gives at step t."""
    given: dict[str, Any] = {
        "rgb": {"front": np.full((6, 8, 3), t, np.uint8)},
        "depth": {"front": np.full((6, 8), 0.5 + t / 100)},
        "joint_positions": [0.1 * t] * 7,
        "ee_pose": [0.4, 0.0, 0.3, 0.0, 1.0, 0.0, 0.0],
        "delta_joint_positions": [0.1] * 7,
        "gripper_command": t % 2,
    }
    return {key: value for key, value in {**given, **changes}.items() if value is not None}


def record(path: Path, *, steps: int = 4, episodes: int = 1, first: int = 0, options: dict[str, Any] | None = None, **changes: Any) -> Path:
    with Recording(path, rate_hz=10, **(options or {})) as recording:
        for number in range(first, first + episodes):
            recording.start("put the mug on the plate", episode_id=f"kitchen-{number}")
            for t in range(steps):
                recording.step(**seen(t, **changes))
            recording.end(success=number % 2 == 0)
    return path


def test_an_episode_dict_is_what_was_recorded(tmp_path: Path) -> None:
    path = record(tmp_path / "set", episodes=2)
    episode = droid.load_episode(path, 1)
    assert (episode["episode_id"], episode["language_instruction"], episode["success"]) == ("kitchen-1", "put the mug on the plate", False)
    observations, actions = droid.steps(episode)
    assert observations[3]["timestamp"] == pytest.approx(0.3) and observations[3]["rgb"]["front"].shape == (6, 8, 3)
    assert observations[3]["depth"]["front"][0, 0] == 530 and observations[3]["depth"]["front"].dtype == np.uint16
    np.testing.assert_allclose(observations[3]["joint_positions"], [0.3] * 7, atol=1e-6)
    np.testing.assert_array_equal(observations[3]["ee_pose"], np.array(seen()["ee_pose"], np.float32))
    np.testing.assert_allclose(actions[3]["delta_joint_positions"], [0.1] * 7, atol=1e-7)
    assert [float(a["gripper_command"][0]) for a in actions] == [0.0, 1.0, 0.0, 1.0]


def test_hdf5_of_a_loop_is_laid_out_as_robomimic_has_it(tmp_path: Path) -> None:
    path = record(tmp_path / "set.hdf5", timestamp=None, gripper_opening_m=0.04, options={"robot": "panda"})
    with hdf5.Reader(path) as reader:
        info, (first,) = reader.info, list(hdf5.read(path))
        assert (info.robot, info.state, info.depth, info.images["front"].shape) == ("panda", "libero", ("front",), (6, 8, 3))
        assert [c.convention for c in info.action.components] == ["joint_delta", "gripper_closed_positive"] and info.action.rate_hz == 10
    assert first.spec is None and first.extra == {"episode_id": "kitchen-0"} and vector(first, "libero").values.shape == (4, 8)
    assert first.actions[:, 7].tolist() == [-1.0, 1.0, -1.0, 1.0]


def test_real_time_is_kept(tmp_path: Path) -> None:
    with Recording(tmp_path / "set", rate_hz=10, format="npz") as recording:
        recording.start("wave")
        for t, seconds in enumerate((5.0, 5.11, 5.19)):
            recording.step(**seen(t), timestamp=seconds)
        recording.end(success=True)
    (first,) = npz.FORMAT.read(tmp_path / "set")
    assert first.timestamps_s is not None and first.timestamps_s.tolist() == [5.0, 5.11, 5.19]
    assert first.extra == {"episode_id": "episode_000000"}


def test_actions_of_the_hand_are_labels_where_their_convention_is_given(traces: ModuleType, tmp_path: Path) -> None:
    options = {"action": dataclasses.replace(traces.EE_DELTA, rate_hz=10.0)}
    path = record(tmp_path / "set.hdf5", options=options, action=[0.5] * 7)
    with hdf5.Reader(path) as reader:
        assert reader.info.action.name == "ee_delta" and list(reader.info.commands) == ["joint_delta"]
        np.testing.assert_array_equal(reader[0].actions, np.full((4, 7), 0.5))
        np.testing.assert_allclose(reader[0].commands["joint_delta"][:, :7], 0.1, atol=1e-7)
    alone: dict[str, Any] = {"delta_joint_positions": None, "gripper_command": None}
    with hdf5.Reader(record(tmp_path / "alone.hdf5", options=options, action=[0.5] * 7, **alone)) as reader:
        assert not reader.info.commands


class Robot:
    """What the page's example talks to: three steps an episode."""

    def __init__(self) -> None:
        self.steps = 0

    def is_done(self) -> bool:
        return self.steps > 0 and self.steps % 3 == 0 and self.was_executed

    def observe(self) -> SimpleNamespace:
        self.was_executed = False
        given = seen(self.steps)
        time_s = 1.0 + self.steps / 15
        return SimpleNamespace(
            time_s=time_s, rgb=given["rgb"]["front"], depth_m=given["depth"]["front"], joints_rad=given["joint_positions"], pose=given["ee_pose"]
        )

    def decide(self, observation: SimpleNamespace) -> SimpleNamespace:
        return SimpleNamespace(joints_rad=np.full(7, 0.01), closed=0.0)

    def execute(self, command: SimpleNamespace) -> None:
        self.steps += 1
        self.was_executed = True

    def has_succeeded(self) -> bool:
        self.was_executed = False
        return True


def test_the_example_of_the_page_runs_and_has_fifteen_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "recording.md").read_text(encoding="utf-8")
    example = re.findall(r"^```python\n(.*?)^```", page, re.M | re.S)[0]
    assert len(example.splitlines()) <= 15
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "docs/recording.md", "exec"), {"robot": Robot()})
    demonstrations = list(hdf5.read(tmp_path / "kitchen.hdf5"))
    assert [(d.instruction, d.num_steps) for d in demonstrations] == [("open the drawer", 3), ("put the cup into the drawer", 3)]
    assert demonstrations[1].timestamps_s is not None and demonstrations[1].timestamps_s[0] == pytest.approx(1.2)


def test_two_hands_are_told_left_before_right(tmp_path: Path) -> None:
    right = [1.0, 2.0, 3.0, 1.0, 0.0, 0.0, 0.0]
    poses, grippers = seen()["ee_pose"] + right, [0.0, 1.0]
    path = record(tmp_path / "set", ee_pose=poses, gripper_command=grippers, gripper_opening_m=[0.01, 0.02], joint_positions=[0.0] * 7)
    (first,) = droid.FORMAT.read(path)
    assert first.proprio["right_ee_pos_base_m"][0].tolist() == [1.0, 2.0, 3.0] and first.proprio["left_hand_opening_m"].shape == (4, 1)
    assert droid.load_episode(path, 0)["observations"]["ee_pose"].shape == (4, 14)


def test_depth_is_in_millimetres_and_0_where_nothing_was_hit(tmp_path: Path) -> None:
    metres = np.array([[0.0, 1.2344, np.nan, np.inf], [-1.0, 65.535, 65.6, 0.0004]], np.float32)
    with Recording(tmp_path / "set", rate_hz=10) as recording:
        recording.start("look")
        recording.step(**seen(rgb={"front": np.zeros((2, 4, 3), np.uint8)}, depth={"front": metres}))
        recording.step(**seen(rgb={"front": np.zeros((2, 4, 3), np.uint8)}, depth={"front": np.arange(8, dtype=np.uint16).reshape(2, 4)}))
        recording.end(success=True)
    (first,) = droid.FORMAT.read(tmp_path / "set")
    assert first.depth["front"].tolist() == [[[0, 1234, 0, 0], [0, 65535, 0, 0]], [[0, 1, 2, 3], [4, 5, 6, 7]]]


def test_what_ended_is_kept_when_the_loop_breaks_and_the_next_recording_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "set"
    with pytest.raises(ZeroDivisionError), Recording(path, rate_hz=10) as recording:
        recording.start("put the mug on the plate", episode_id="kitchen-0")
        recording.step(**seen())
        recording.end(success=True)
        recording.start("and now")
        recording.step(**seen())
        raise ZeroDivisionError
    assert not path.exists()
    record(path, first=1, episodes=2)
    assert [d.extra["episode_id"] for d in droid.FORMAT.read(path)] == ["kitchen-0", "kitchen-1", "kitchen-2"]


def test_an_episode_that_is_under_way_is_not_saved_unnoticed(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"an episode is under way: call end\(success=…\) or discard\(\) before the recording is left"):
        with Recording(tmp_path / "set", rate_hz=10) as recording:
            recording.start("wave")
            recording.step(**seen())
    recording = Recording(tmp_path / "set.hdf5", rate_hz=10)
    with pytest.raises(BadData, match="nothing was recorded"):
        recording.save()
    recording.start("wave")
    recording.step(**seen())
    with pytest.raises(BadData, match="under way: call end.* before save"):
        recording.save()
    with pytest.raises(BadData, match="under way: call end.* before the next start"):
        recording.start("again")
    recording.discard()
    recording.start("wave")
    recording.step(**seen())
    assert len(recording) == 0 and recording.end(success=True) and len(recording) == 1
    assert recording.save() == recording.save() == tmp_path / "set.hdf5"
    with pytest.raises(BadData, match="was saved. Begin another Recording"):
        recording.start("more")


WRONG = [
    ({"rgb": {"front": np.zeros((6, 8, 3))}}, r"step 1: the image of 'front' is float64 \(6, 8, 3\); wanted uint8 \(height, width, 3\)"),
    ({"rgb": {"front": np.zeros((6, 9, 3), np.uint8)}}, r"step 1: rgb/front has shape \(6, 9, 3\); in the steps before it had \(6, 8, 3\)"),
    ({"depth": None}, "step 1: it lacks depth/front, which the steps before have"),
    ({"proprio": {"touch_n": [1.0]}}, "step 1: it has proprio/touch_n, which none of the steps before have"),
    ({"depth": {"front": np.zeros((6, 8), np.int64)}}, "step 1: the depth of 'front' is int64 .*floats in m, or of uint16 in mm"),
    ({"joint_positions": [np.nan] * 7}, "step 1: joint_positions has nan as its number 0; all must be finite"),
    ({"joint_positions": [[0.0] * 7]}, r"step 1: joint_positions has shape \(1, 7\) and must be a vector of numbers"),
    ({"joint_positions": [0.0] * 6}, "step 1: joint_positions has 6 numbers, and in the steps before it had 7"),
    ({"joint_positions": "straight"}, "step 1: joint_positions is no array of numbers"),
    ({"delta_joint_positions": [0.1] * 6}, "step 1: delta_joint_positions has 6 numbers and must have 7"),
    ({"delta_joint_positions": [0.0] * 6 + [-5.0]}, "holds -5; displacements are in rad, at most pi in a step"),
    ({"gripper_command": -1}, "step 1: gripper_command is -1; it runs from 0, open, to 1, closed"),
    ({"gripper_command": None}, "step 1: delta_joint_positions and gripper_command go together"),
    ({"gripper_command": None, "delta_joint_positions": None}, r"step 1 has no action: .*record with action=ActionSpec\(…\)"),
    ({"action": [0.0]}, "step 1: the recording was made without the convention of `action`"),
    ({"ee_pose": [0.0] * 6}, "step 1: ee_pose has 6 numbers and must have 7 or 14"),
    ({"ee_pose": [0.0, 0, 0, 0.5, 0, 0, 0]}, "the quaternion of ee_pose has the length 0.5 and must have 1: a pose is x, y, z, then w, x, y, z"),
]


@pytest.mark.parametrize(("changes", "message"), WRONG)
def test_what_is_wrong_is_told_at_once_and_the_step_can_be_given_again(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with Recording(tmp_path / "set", rate_hz=10) as recording:
        recording.start("wave")
        recording.step(**seen(0))
        with pytest.raises(BadData, match=message):
            recording.step(**seen(1, **changes))
        recording.step(**seen(1))
        recording.end(success=True)
    (first,) = droid.FORMAT.read(tmp_path / "set")
    assert first.num_steps == 2


def test_what_cannot_be_recorded_is_refused(traces: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="no format is called 'hdf'"):
        Recording(tmp_path / "set", rate_hz=10, format="hdf")
    with pytest.raises(BadData, match="a dataset of the format hdf5 is a file that ends in .hdf5, not set"):
        Recording(tmp_path / "set", rate_hz=10, format="hdf5")
    with pytest.raises(BadData, match="the rate is 0; it must be above 0"):
        Recording(tmp_path / "set", rate_hz=0)
    recording = Recording(tmp_path / "set", rate_hz=10)
    with pytest.raises(BadData, match=r"no episode is under way: call start\(sentence\) before the first step"):
        recording.step(**seen())
    with pytest.raises(BadData, match="say what the robot is asked to do"):
        recording.start(" ")
    with pytest.raises(BadData, match="no episode is under way"):
        recording.end(success=True)
    recording.start("wave")
    with pytest.raises(BadData, match="the episode has no steps"):
        recording.end(success=True)
    recording.step(**seen(timestamp=1.0))
    with pytest.raises(BadData, match="the timestamp 1.0 is not after that of the step before, 1.0"):
        recording.step(**seen(timestamp=1.0))
    of_the_hand = Recording(tmp_path / "other", rate_hz=20, action=traces.EE_DELTA)
    of_the_hand.start("wave")
    with pytest.raises(BadData, match="step 0: `action` is missing"):
        of_the_hand.step(**seen())
    with pytest.raises(BadAction, match="the action holds 2 at index 0"):
        of_the_hand.step(**seen(action=[2.0] * 7))


OTHER = [
    ({"rgb": {"side": np.zeros((6, 8, 3), np.uint8)}, "depth": None}, "step 0: it lacks depth/front, rgb/front, which the episodes before have"),
    (
        {"joint_positions": [0.0] * 6, "delta_joint_positions": [0.0] * 6},
        r"step 0: joint_positions has shape \(6,\); in the episodes before it had \(7,\). One dataset holds episodes of one kind: record others into",
    ),
    ({"gripper_command": [0.0, 1.0]}, r"step 0: delta_joint_positions with gripper_command has shape \(9,\); in the episodes before it had \(8,\)"),
    ({"proprio": {"touch_n": [1.0]}}, "step 0: it has proprio/touch_n, which none of the episodes before have"),
]


@pytest.mark.parametrize(("changes", "message"), OTHER)
def test_an_episode_of_another_kind_is_refused_at_its_first_step(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with Recording(tmp_path / "set", rate_hz=10) as recording:
        recording.start("wave")
        recording.step(**seen())
        recording.end(success=True)
        recording.start("wave")
        with pytest.raises(BadData, match=message):
            recording.step(**seen(**changes))
        recording.step(**seen())  # given again
        recording.end(success=True)
    assert len(list(droid.FORMAT.read(tmp_path / "set"))) == 2


def test_the_shapes_of_an_episode_that_was_discarded_bind_nobody(tmp_path: Path) -> None:
    with Recording(tmp_path / "set", rate_hz=10) as recording:
        recording.start("wave")
        recording.step(**seen(rgb={"side": np.zeros((6, 8, 3), np.uint8)}, depth=None))
        recording.discard()
        assert not list(tmp_path.iterdir())
        recording.start("wave")
        recording.step(**seen(timestamp=1.0))
        recording.end(success=True)
        recording.start("wave")  # some episodes may have timestamps, and others not
        recording.step(**seen())
        recording.end(success=True)
    assert [sorted(d.images) for d in droid.FORMAT.read(tmp_path / "set")] == [["front"]] * 2


FIRST = [
    ("lerobot_v3", {"rgb": {"front": np.zeros((5, 7, 3), np.uint8)}, "depth": None}, "step 0: lerobot_v3 stores video, .* are 7 x 5. Choose 8 x 6"),
    ("rlds", {}, "step 0: the format rlds tells motion as displacements of the hand"),
    ("droid", {"rgb": {}}, "step 0: there is depth of 'front', and no image: give rgb of the same camera"),
    ("droid", {"depth": {"front": np.zeros((6, 9))}}, r"step 0: the depth of 'front' is \(6, 9\), and its image \(6, 8\); they must be equally"),
    ("hdf5", {"proprio": {"joint_states": [1.0]}}, "step 0: .*has proprioception 'joint_states', which is a key of the layout"),
    ("npz", {"proprio": {"joint_pos_rad": [1.0]}}, "step 0: proprio has 'joint_pos_rad', under which another argument of the step is stored"),
    ("npz", {"proprio": {"ee_pos_base_m": [1.0] * 3}}, "step 0: proprio has 'ee_pos_base_m', under which another argument"),
    *(("npz", {"timestamp": value}, f"step 0: timestamp is {value} and must be a finite number") for value in (np.nan, -np.inf, np.inf)),
    ("npz", {"timestamp": "noon"}, "step 0: timestamp is 'noon' and must be a number, in s"),
]


@pytest.mark.parametrize(("name", "changes", "message"), FIRST)
def test_what_a_format_would_refuse_in_the_end_is_refused_at_the_first_step(
    tmp_path: Path, name: str, changes: dict[str, Any], message: str
) -> None:
    recording = Recording(tmp_path / ("set.hdf5" if name == "hdf5" else "set"), rate_hz=10, format=name)
    recording.start("wave")
    with pytest.raises(BadData, match=message):
        recording.step(**seen(**changes))
    assert not list(tmp_path.iterdir())


def test_where_the_dataset_cannot_be_is_told_at_the_first_step(tmp_path: Path) -> None:
    record(tmp_path / "set")
    recording = Recording(tmp_path / "set", rate_hz=10)
    recording.start("wave")
    with pytest.raises(BadData, match="step 0: .*set exists already: a folder of demonstrations that is whole is not extended"):
        recording.step(**seen())
    record(tmp_path / "set.hdf5")
    recording = Recording(tmp_path / "set.hdf5", rate_hz=20)
    recording.start("wave")
    with pytest.raises(BadData, match="step 0: .*set.hdf5 was made with action .* and cannot be extended"):
        recording.step(**seen())


def test_a_rate_that_the_format_does_not_have_is_refused_before_anything_is_recorded(traces: ModuleType, tmp_path: Path) -> None:
    for name in ("lerobot_v3", "lerobot_v21_openpi"):
        with pytest.raises(BadData, match=f"{name} counts whole frames a second; the actions come at 12.5 Hz. Choose a whole rate"):
            Recording(tmp_path / "set", rate_hz=12.5, format=name)
    with pytest.raises(BadData, match="the rate is 10 steps a second, and that of the actions 20: they must be equal"):
        Recording(tmp_path / "set", rate_hz=10, action=traces.EE_DELTA)
    Recording(tmp_path / "set", rate_hz=12.5, format="rlds")
    with Recording(tmp_path / "set", rate_hz=12.5) as recording:
        recording.start("wave")
        recording.step(**seen())
        recording.end(success=True)
    with droid.FORMAT.open(tmp_path / "set") as reader:
        assert reader.info.action.rate_hz == 12.5


def test_a_path_that_looks_like_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"set.h5 ends neither in .hdf5 nor like a folder: call it set.hdf5, or say format=…"):
        Recording(tmp_path / "set.h5", rate_hz=10)
    for name in ("set.h5", "set.hdf5"):
        with pytest.raises(BadData, match=f"a dataset of the format npz is a folder, and {name} the name of a file: leave out .h"):
            Recording(tmp_path / name, rate_hz=10, format="npz")
    assert record(tmp_path / "set.v2", options={"format": "droid"}).is_dir()


@pytest.mark.parametrize("success", ["False", "", None, 2, 0.5, [True]])
def test_whether_an_episode_succeeded_is_not_guessed(tmp_path: Path, success: Any) -> None:
    with Recording(tmp_path / "set", rate_hz=10) as recording:
        recording.start("wave")
        recording.step(**seen())
        with pytest.raises(BadData, match="success is .* and must be True or False"):
            recording.end(success=success)
        of_numpy: Any = np.bool_(False)
        recording.end(success=of_numpy)  # it is still under way
    assert [d.is_success for d in droid.FORMAT.read(tmp_path / "set")] == [False]


def test_episodes_that_differ_in_their_images_alone_are_two(tmp_path: Path) -> None:
    with Recording(tmp_path / "set", rate_hz=10) as recording:
        for level, depth_m in ((0, 1.0), (1, 1.0), (1, 2.0)):
            recording.start("wave", episode_id="the same")
            recording.step(**seen(rgb={"front": np.full((6, 8, 3), level, np.uint8)}, depth={"front": np.full((6, 8), depth_m)}))
            recording.end(success=True)
        recording.start("wave", episode_id="the same")
        recording.step(**seen(rgb={"front": np.full((6, 8, 3), 1, np.uint8)}, depth={"front": np.full((6, 8), 2.0)}))
        with pytest.raises(BadData, match="set holds the demonstration [0-9a-f]+ already"):
            recording.end(success=True)
        recording.discard()
    assert len(list(droid.FORMAT.read(tmp_path / "set"))) == 3


def test_whole_episode_dicts_are_recorded_too(tmp_path: Path) -> None:
    source = record(tmp_path / "source", episodes=2)
    with Recording(tmp_path / "copy.hdf5", rate_hz=10) as recording:
        for number in range(2):
            recording.add(droid.load_episode(source, number))
        observations, actions = droid.steps(droid.load_episode(source, 0))
        recording.add({"language_instruction": "in lists", "success": False, "observations": observations, "actions": actions})
        with pytest.raises(BadData, match="this is no episode dict: KeyError.'success'"):
            recording.add({"language_instruction": "x"})
        with pytest.raises(BadData, match="observations and actions of different number"):
            recording.add({"language_instruction": "x", "success": True, "observations": observations, "actions": actions[1:]})
        with pytest.raises(BadData, match="the episode dict holds what no step has.*colour"):
            recording.add({"language_instruction": "x", "success": True, "observations": [{"colour": 1}], "actions": actions[:1]})
    copies: list[Demonstration] = list(hdf5.read(tmp_path / "copy.hdf5"))
    assert [d.instruction for d in copies] == ["put the mug on the plate"] * 2 + ["in lists"]
    assert [d.extra["episode_id"] for d in copies] == ["kitchen-0", "kitchen-1", "episode_000002"]
    (first, _) = droid.FORMAT.read(source)
    np.testing.assert_array_equal(copies[0].actions, first.actions)
    np.testing.assert_array_equal(copies[0].images["front"], first.images["front"])
