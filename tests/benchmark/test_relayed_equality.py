"""minivla as a node of ROS, and behind the pickles of LeRobot's asynchronous inference: its episodes are those in process."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vlagym.benchmark.suite_files import load_suite
from vlagym.policies.loading import load_policy
from vlagym.policies.profile import Profile
from vlagym.policies.serving.counter import Counter

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "doubles"))
import lerobot_server  # noqa: E402
import ros_bridge as ros  # noqa: E402
from ledgers import ledger  # noqa: E402

pytestmark = pytest.mark.gl

SUITE = load_suite("smoke")
STATES = ("ee_target_pos_base_m", "ee_target_quat_base_wxyz", "gripper_command")
"""Those of minivla that have no message of their own kind."""
TOPICS = {
    "/camera/front/image_raw": "sensor_msgs/msg/Image",
    "/camera/wrist/image_raw": "sensor_msgs/msg/Image",
    "/ee_pose": "geometry_msgs/msg/PoseStamped",
    "/gripper_state": "sensor_msgs/msg/JointState",
    "/task/instruction": "std_msgs/msg/String",
    "/task/status": "std_msgs/msg/String",
    **{f"/state/{name}": "std_msgs/msg/Float64MultiArray" for name in STATES},
}
WAITS = {"timeout": "60", "first_timeout": "60", "connect_timeout": "20"}


@pytest.fixture(scope="module")
def counter() -> Iterator[Counter]:
    with contextlib.closing(load_policy("minivla")) as policy, contextlib.closing(Counter(policy)) as found:
        yield found


@pytest.fixture(scope="module")
def profile(tmp_path_factory: pytest.TempPathFactory, counter: Counter) -> str:
    """Returns a file that says what minivla reads and sends, as a user would write it."""
    plain = Profile.of(counter.spec).to_plain()
    path = tmp_path_factory.mktemp("profile") / "minivla.toml"
    path.write_text("".join(f"{key} = {as_toml(value)}\n" for key, value in plain.items()))
    return str(path)


def as_toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {as_toml(one)}" for key, one in value.items()) + "}"
    return f"[{', '.join(map(as_toml, value))}]" if isinstance(value, list) else json.dumps(value)


def as_node(counter: Counter) -> ros.Think:
    def think(seen: ros.Seen) -> dict[str, Any]:
        pose = seen.messages["/ee_pose"]["pose"]
        state = {name: np.array(seen.array(name), np.float32) for name in STATES}
        state["ee_pos_base_m"] = np.array([pose["position"][axis] for axis in "xyz"], np.float32)
        state["ee_quat_base_wxyz"] = np.array([pose["orientation"][axis] for axis in "wxyz"], np.float32)
        state["gripper_opening_m"] = np.array(seen.messages["/gripper_state"]["position"], np.float32)
        images = {name: seen.image(name) for name in ("front", "wrist")}
        chunk = counter.answer("node", images, state, seen.messages["/task/instruction"]["data"])
        return {"/command": ros.as_array(chunk.values, seen.stamp)}

    return think


def as_lerobot(counter: Counter) -> lerobot_server.Infer:
    def infer(found: Any, steps: int) -> bytes:
        raw = vars(found)["observation"]
        vector = np.array([raw[f"state_{k}"] for k in range(sum(s.size for s in counter.spec.observation.state))], np.float32)
        ends = np.cumsum([s.size for s in counter.spec.observation.state])
        state = {s.name: vector[end - s.size : end] for s, end in zip(counter.spec.observation.state, ends, strict=True)}
        chunk = counter.answer("lerobot", {name: raw[name] for name in ("front", "wrist")}, state, raw["task"])
        assert len(chunk.values) == steps
        return lerobot_server.answer(chunk.values, vars(found)["timestep"])

    return infer


@pytest.mark.slow
def test_as_a_node_of_ros_it_plays_three_whole_episodes_as_in_process(tmp_path: Path, counter: Counter, profile: str) -> None:
    specs = SUITE.restrict(episodes=1).expand()
    said = {"profile": profile, "execute": str(counter.spec.execute_steps), **WAITS}
    with ros.bridge() as bridge, ros.node(bridge.url, TOPICS, {"/command": "std_msgs/msg/Float64MultiArray"}, as_node(counter)):
        there = ledger(SUITE, tmp_path / "there", specs, f"rosbridge:{bridge.url}", policy_options=said)
    assert there == ledger(SUITE, tmp_path / "here", specs, "minivla")
    assert len(there) == 3 and "success" in {outcome for outcome, *_ in there.values()}


@pytest.mark.slow
def test_behind_lerobots_pickles_it_plays_three_whole_episodes_as_in_process(tmp_path: Path, counter: Counter, profile: str) -> None:
    pytest.importorskip("grpc", reason="grpcio is not installed here: pip install 'vlagym[grpc]'")
    specs = SUITE.restrict(episodes=1).expand()
    said = {"profile": profile, "trust_pickle": "true", "type": "act", "checkpoint": "minivla", **WAITS}
    with lerobot_server.serving(as_lerobot(counter)) as server:
        there = ledger(SUITE, tmp_path / "there", specs, f"lerobot_grpc:{server.address}", policy_options=said)
    assert there == ledger(SUITE, tmp_path / "here", specs, "minivla")
    assert len(there) == 3 and "success" in {outcome for outcome, *_ in there.values()}


def test_a_second_of_an_episode_is_the_same_by_either(tmp_path: Path, counter: Counter, profile: str) -> None:
    specs = [dataclasses.replace(spec, horizon_s=1.0) for spec in SUITE.restrict(episodes=1).expand()][:1]
    here = ledger(SUITE, tmp_path / "here", specs, "minivla")
    said = {"profile": profile, "execute": str(counter.spec.execute_steps), **WAITS}
    with ros.bridge() as bridge, ros.node(bridge.url, TOPICS, {"/command": "std_msgs/msg/Float64MultiArray"}, as_node(counter)):
        assert ledger(SUITE, tmp_path / "node", specs, f"rosbridge:{bridge.url}", policy_options=said) == here
    pytest.importorskip("grpc", reason="grpcio is not installed here: pip install 'vlagym[grpc]'")
    trusted = {"profile": profile, "trust_pickle": "true", "type": "act", "checkpoint": "minivla", **WAITS}
    with lerobot_server.serving(as_lerobot(counter)) as server:
        assert ledger(SUITE, tmp_path / "lerobot", specs, f"lerobot_grpc:{server.address}", policy_options=trusted) == here
