"""A node of ROS that computes what a policy in process computes plays the same episodes: every outcome, measure and certificate is equal."""

from __future__ import annotations

import dataclasses
import importlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vlagym.benchmark.suite_files import load_suite

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "doubles"))
import ros_bridge as ros  # noqa: E402
from ledgers import ledger  # noqa: E402

pytestmark = pytest.mark.gl

SUITE = load_suite("smoke")
THINKS = '''
import numpy as np

def think(front, joints, hand, instruction):
    """Moves by what it sees, feels and hears: whatever is lost on the way would show."""
    rows = np.zeros((4, 7))
    rows[:, :3] = np.tanh((front.reshape(-1, 3).astype(float).mean(axis=0) - 120) / 40)
    rows[:, 3] = np.sin(sum(joints)) / 4
    rows[:, 4] = np.tanh(hand[2]) / 4
    rows[:, 6] = len(instruction) % 2 * 2 - 1
    rows[1:] /= 2
    return rows

class Mine:
    profile = "vlagym"
    chunk_steps = 4
    execute_steps = 4
    def act(self, observation):
        state = observation["state"]
        return think(observation["images"]["front"], state["joint_pos_rad"].tolist(), state["ee_pos_base_m"].tolist(), observation["instruction"])
'''
TOPICS = {
    "/camera/front/image_raw": "sensor_msgs/msg/Image",
    "/joint_states": "sensor_msgs/msg/JointState",
    "/ee_pose": "geometry_msgs/msg/PoseStamped",
    "/task/instruction": "std_msgs/msg/String",
    "/task/status": "std_msgs/msg/String",
}


def test_two_episodes_over_topics_are_equal_to_those_in_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "thinks_of_mine.py").write_text(THINKS)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "thinks_of_mine", raising=False)
    mine = importlib.import_module("thinks_of_mine")
    specs = [dataclasses.replace(spec, horizon_s=1.0) for spec in SUITE.restrict(episodes=1).expand()][:2]
    here = ledger(SUITE, tmp_path / "here", specs, "python:thinks_of_mine:Mine")

    def think(one: ros.Seen) -> dict[str, Any]:
        position = one.messages["/ee_pose"]["pose"]["position"]
        hand = [position[axis] for axis in "xyz"]
        rows = mine.think(one.image("front"), one.messages["/joint_states"]["position"], hand, one.messages["/task/instruction"]["data"])
        return {"/command": ros.as_array(np.asarray(rows, np.float32), one.stamp)}

    options = {"profile": "vlagym", "execute": "4", "timeout": "20", "first_timeout": "20"}
    with ros.bridge() as bridge, ros.node(bridge.url, TOPICS, {"/command": "std_msgs/msg/Float64MultiArray"}, think):
        assert ledger(SUITE, tmp_path / "there", specs, f"rosbridge:{bridge.url}", policy_options=options) == here
    assert len({str(certificate["frames"]) for *_, certificate in here.values()}) == 2
