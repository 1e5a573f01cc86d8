"""Demonstrations of robots with two hands: told joint by joint and finger by finger, with all cameras, in every format that has a place for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from repeated import replayed

from vlagym.benchmark.collecting import motion
from vlagym.benchmark.collecting.options import DemoOptions
from vlagym.benchmark.demos import Collection
from vlagym.benchmark.entry import FIRST_DEMO_SEED, Entry
from vlagym.benchmark.noise import Noise
from vlagym.envs import catalog
from vlagym.envs.images import Shrink
from vlagym.results.demonstration import Demonstration
from vlagym.results.format import Format

CAMERAS = ("front", "side", "head", "left_wrist", "right_wrist")
FORMATS = ("hdf5", "npz", "droid", "lerobot_v3", "lerobot_v21", "rlds")


def collected(out: Path, robot: str, **changes: Any) -> Demonstration:
    entry = Entry(task="touch_with", robot=robot, episodes=1, first_seed=FIRST_DEMO_SEED, control=changes.pop("control", "default"))
    options: dict[str, Any] = {"images": {"head": Shrink(crop=256, size=32)}, "frame_stride": 64, "paraphrases": 0} | changes
    (attempt,) = Collection(DemoOptions(entries=(entry,), out=out, executor="serial", **options))
    assert attempt.kept, attempt.how
    format_: Format = catalog.load("format", options.get("format", "hdf5"))
    (demo,) = format_.read(out)
    return demo


def check_fingers(demo: Demonstration, robot: str) -> None:
    """The finger joints that are told are those that the closing of each hand asks for, and who does it comes to the same states."""
    told, closing = demo.episode.control.slices(), motion.conventions(demo.episode)["joint_position"].slices()
    for side in ("left", "right"):
        hand = catalog.load("robot", robot).hand(side)
        wanted = [hand.finger_ctrl((float(row[0]) + 1.0) / 2.0) for row in demo.commands["joint_position"][:, closing[f"{side}_hand"]]]
        np.testing.assert_allclose(demo.actions[:, told[f"{side}_hand"]], np.stack(wanted), atol=1e-6)
    check_repeats(demo)


def check_repeats(demo: Demonstration) -> None:
    rollout = replayed(demo.episode, demo.executed_actions)
    assert rollout.ended_by == "goal" and rollout.certificate() == demo.certificate


def test_a_humanoid_is_told_finger_by_finger_without_idle_actions(tmp_path: Path) -> None:
    demo = collected(tmp_path / "d.hdf5", "g1", control="joint_position_fingers", filter_noops=True)
    check_fingers(demo, "g1")
    assert demo.stages and demo.stages[0].step == 0


@pytest.mark.slow
@pytest.mark.parametrize(("robot", "control"), [("cmu_humanoid", "joint_position_fingers"), ("panda_bimanual", "joint_position")])
def test_robots_with_two_hands_are_told_joint_by_joint_under_noise(tmp_path: Path, robot: str, control: str) -> None:
    demo = collected(tmp_path / "d.hdf5", robot, control=control, noise=Noise())
    assert demo.episode.control.name == control and np.abs(demo.actions - demo.executed_actions).max() > 0.0
    check_repeats(demo)


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
def test_all_cameras_of_a_humanoid_go_into_each_format(tmp_path: Path, name: str) -> None:
    out = tmp_path / f"set{catalog.load('format', name).suffix}"
    demo = collected(out, "g1", images={camera: Shrink(crop=256, size=64) for camera in CAMERAS}, frame_stride=1, depth=name != "droid", format=name)
    assert set(demo.images) == set(CAMERAS) and all(images.shape == (demo.num_steps, 64, 64, 3) for images in demo.images.values())
    assert {"joint_position", "joint_position_fingers"} <= set(demo.commands) and demo.actions.shape[1] == 14
