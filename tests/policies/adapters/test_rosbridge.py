"""A node of ROS behind a bridge plays: it sees what the policy would be shown, and its commands count in lock-step or by the wall clock."""

from __future__ import annotations

import base64
import io
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ros_bridge as ros
from raw_websocket import closed_port, raw_websocket, sends

from vlagym.envs.errors import BadReply, NotReset, PolicyUnreachable, VlagymError
from vlagym.envs.types import ActionChunk, Observation
from vlagym.policies.adapters.rosbridge import RosbridgePolicy
from vlagym.policies.base import EpisodeContext
from vlagym.policies.loading import load_policy
from vlagym.policies.profile import load_profile

LIMITS = {"timeout": "5", "first_timeout": "5", "connect_timeout": "5", "profile": "vlagym"}
SPEC = load_profile("vlagym").spec("x")
TOPICS = {
    "/camera/front/image_raw": "sensor_msgs/msg/Image",
    "/joint_states": "sensor_msgs/msg/JointState",
    "/ee_pose": "geometry_msgs/msg/PoseStamped",
    "/gripper_state": "sensor_msgs/msg/JointState",
    "/state/gripper_command": "std_msgs/msg/Float64MultiArray",
    "/clock": "rosgraph_msgs/msg/Clock",
    "/task/instruction": "std_msgs/msg/String",
    "/task/status": "std_msgs/msg/String",
}
COMMAND = {"/command": "std_msgs/msg/Float64MultiArray"}


@pytest.fixture
def bridge() -> Iterator[ros.Bridge]:
    with ros.bridge() as there:
        yield there


@pytest.fixture
def load(bridge: ros.Bridge) -> Iterator[Callable[..., RosbridgePolicy]]:
    loaded: list[Any] = []

    def make(**options: str) -> RosbridgePolicy:
        said = {**LIMITS, **options}
        loaded.append(load_policy(f"rosbridge:{bridge.url}", {name: text for name, text in said.items() if text}))
        found: RosbridgePolicy = loaded[-1]
        return found

    yield make
    for policy in loaded:
        policy.close()


def seen(time_s: float = 0.0) -> Observation:
    shapes = {i.name: (i.height, i.width, 3) for i in SPEC.observation.images}
    images = {name: np.arange(np.prod(shape)).astype(np.uint8).reshape(shape) for name, shape in shapes.items()}
    proprio = {s.name: np.linspace(0.1, s.size / 10, s.size, dtype=np.float32) for s in SPEC.observation.state}
    return Observation(images=images, proprio=proprio, instruction="lift the cube", time_s=time_s)


def begin(policy: RosbridgePolicy, slot: int = 0, digest: str = "00ff" * 8) -> None:
    assert policy.spec.action is not None
    policy.reset(EpisodeContext(slot=slot, instruction="lift the cube", action=policy.spec.action, digest=digest))


def ask(policy: RosbridgePolicy, time_s: float = 0.0) -> ActionChunk:
    return policy.act({0: seen(time_s)})[0]


def test_a_node_sees_the_robot_and_its_command_is_executed(bridge: ros.Bridge, load: Callable[..., RosbridgePolicy]) -> None:
    met: list[ros.Seen] = []

    def think(one: ros.Seen) -> dict[str, Any]:
        met.append(one)
        return {"/command": ros.as_array([[len(met) / 10] * 7, [0.5] * 7], one.stamp)}

    policy = load(execute="2")
    with ros.node(bridge.url, TOPICS, COMMAND, think):
        begin(policy)
        for call in range(3):
            chunk = ask(policy, time_s=call * 0.1)
            assert np.allclose(chunk.values, [[(call + 1) / 10] * 7, [0.5] * 7])
    last, shown = met[-1], seen(0.2)
    assert np.array_equal(last.image("front"), shown.images["front"])
    assert last.messages["/joint_states"]["name"][0] == "joint1"
    assert last.messages["/joint_states"]["position"] == shown.proprio["joint_pos_rad"].tolist()
    pose = last.messages["/ee_pose"]["pose"]
    assert pose["orientation"] == dict(zip("wxyz", shown.proprio["ee_quat_base_wxyz"].tolist(), strict=True))
    assert last.array("gripper_command") == shown.proprio["gripper_command"].tolist()
    assert last.messages["/task/instruction"]["data"] == "lift the cube" and last.status["episode"] == "00ff" * 8
    assert last.messages["/clock"]["clock"] == {"sec": 1, "nanosec": 200_000_000} == last.messages["/ee_pose"]["header"]["stamp"]
    assert [one.status["step"] for one in met] == [0, 1, 2]


def test_stamps_are_never_used_twice(bridge: ros.Bridge, load: Callable[..., RosbridgePolicy]) -> None:
    stamps: list[float] = []

    def think(one: ros.Seen) -> dict[str, Any]:
        stamps.append(float(one.stamp))
        return {"/command": ros.as_array([[0.0] * 7], one.stamp)}

    policy = load()
    with ros.node(bridge.url, TOPICS, COMMAND, think):
        for _ in range(2):
            begin(policy)
            for time_s in (0.0, 0.0, 0.05):
                ask(policy, time_s)
    assert stamps == sorted(set(stamps)) and len(stamps) == 6


def test_in_lock_step_a_command_that_echoes_another_stamp_does_not_count(bridge: ros.Bridge, load: Callable[..., RosbridgePolicy]) -> None:
    def think(one: ros.Seen) -> dict[str, Any]:
        return {"/command": ros.as_array([[0.0] * 7], "1.000000001")}

    policy = load(first_timeout="0.4")
    with ros.node(bridge.url, TOPICS, COMMAND, think):
        begin(policy)
        complaint = r"no command that echoes the stamp 1\.0+ came on /command within 0\.4 s.*; 1 came that echo another"
        with pytest.raises(PolicyUnreachable, match=complaint):
            ask(policy)


def test_a_node_that_is_not_there_is_told(load: Callable[..., RosbridgePolicy]) -> None:
    policy = load(first_timeout="0.3")
    begin(policy)
    with pytest.raises(PolicyUnreachable, match=r"nothing came: is the node up, and does it hear these topics\?"):
        ask(policy)


@pytest.mark.parametrize(
    ("message", "complaint"),
    [
        ({"data": [0.0] * 7}, r"a command has no layout"),
        ({"layout": {"dim": []}, "data": [0.0] * 6}, r"a command holds 6 numbers in the layout \[\]; 7 are wanted"),
        ({"layout": {"dim": []}, "data": [0.0] * 6 + [None]}, r"holds no numbers \(rosbridge writes what is not finite as null\)"),
        ({"layout": {"dim": [{"label": "", "size": 7, "stride": 7}] * 2}, "data": [0.0] * 7}, r"in the layout \[7, 7\]"),
        ({"layout": {"dim": [], "data_offset": 3}, "data": [0.0] * 7}, r"without an offset"),
        ({"layout": {"dim": []}, "data": "AAAA"}, r"holds no numbers"),
    ],
)
def test_a_command_that_is_none_costs_an_episode(
    bridge: ros.Bridge, load: Callable[..., RosbridgePolicy], message: dict[str, Any], complaint: str
) -> None:
    policy, calls = load(), []

    def think(one: ros.Seen) -> dict[str, Any]:
        calls.append(one)
        return {"/command": message if len(calls) == 1 else ros.as_array([[0.25] * 7], one.stamp)}

    with ros.node(bridge.url, TOPICS, COMMAND, think):
        begin(policy)
        with pytest.raises(BadReply, match=complaint):
            ask(policy)
        begin(policy)
        assert np.allclose(ask(policy).values, 0.25)


def test_what_does_not_come_back_is_told_by_its_topic(bridge: ros.Bridge, load: Callable[..., RosbridgePolicy]) -> None:
    policy = load(connect_timeout="0.5")
    bridge.silent.add("/camera/wrist/image_raw")
    begin(policy)
    complaint = r"published on /camera/wrist/image_raw did not come back .*within 0\.5 s.*rosbridge answers no errors"
    with pytest.raises(PolicyUnreachable, match=complaint):
        ask(policy)


def test_what_is_no_rosbridge_is_found_out_before_the_run() -> None:
    with pytest.raises(PolicyUnreachable, match=r"nobody answers at"):
        load_policy(f"rosbridge:{closed_port()}", LIMITS)
    with raw_websocket(sends()) as url, pytest.raises(PolicyUnreachable, match=r"published on /task/status did not come back"):
        load_policy(f"rosbridge:{url}", LIMITS | {"connect_timeout": "0.5"})


def test_by_the_wall_clock_each_step_lasts_as_long_as_in_the_simulation(bridge: ros.Bridge, load: Callable[..., RosbridgePolicy]) -> None:
    """A node that needs three steps for an answer is executed at every third; in between nothing moves, and the gripper stays."""

    def think(one: ros.Seen) -> dict[str, Any]:
        if one.status["step"] % 3 == 0:
            time.sleep(0.02)
            return {"/command": ros.as_array([[0.5] * 6 + [-1.0], [0.25] * 6 + [-1.0]], "")}
        return {}

    policy, wanted = load(clock="wall", timeout="60"), {0.5, 0.25, 0.0}
    rows: list[np.ndarray] = []
    with ros.node(bridge.url, TOPICS, COMMAND, think):
        begin(policy)
        ask(policy)
        began_s = time.monotonic()
        while len(rows) < 6 or {round(float(row[0, 0]), 2) for row in rows} != wanted:  # on a busy machine a command comes some steps late
            rows.append(ask(policy, (len(rows) + 1) * 0.05).values)
            assert len(rows) < 600, "no command was executed, followed and over"
        took_s = time.monotonic() - began_s
    assert took_s >= len(rows) * 0.05 - 0.01
    assert all(row.shape == (1, 7) and row[0, 6] == -1.0 and round(float(row[0, 0]), 2) in wanted for row in rows)


def test_twists_are_velocities_and_need_the_gripper_too(bridge: ros.Bridge, load: Callable[..., RosbridgePolicy]) -> None:
    def think(one: ros.Seen) -> dict[str, Any]:
        linear, angular = dict(zip("xyz", (1.0, 0.0, -0.5), strict=True)), dict(zip("xyz", (0.0, 0.0, 2.5), strict=True))
        gripper = {"header": one.header(), "name": ["gripper"], "position": [-1.0], "velocity": [], "effort": []}
        return {"/command": {"header": one.header(), "twist": {"linear": linear, "angular": angular}}, "/gripper_command": gripper}

    policy = load(command="twist")
    kinds = {"/command": "geometry_msgs/msg/TwistStamped", "/gripper_command": "sensor_msgs/msg/JointState"}
    with ros.node(bridge.url, TOPICS, kinds, think):
        begin(policy)
        assert np.allclose(ask(policy).values, [[1.0, 0, -0.5, 0, 0, 0.5, -1]])  # 1 m/s at 20 Hz is one step of 0.05 m; 2.5 rad/s half of 0.25 rad


JOINT_PROFILE = """
name = "joints"
[action]
name = "joints"
rate_hz = 20.0
[[action.components]]
name = "joints"
size = 2
convention = "joint_position"
frame = "joint"
unit = "rad"
scale = 1.0
low = [-3, -3]
high = [3, 3]
[[observation.state]]
name = "joint_pos_rad"
size = 2
"""


def test_a_trajectory_says_positions_of_named_joints(bridge: ros.Bridge, load: Callable[..., RosbridgePolicy], tmp_path: Path) -> None:
    (tmp_path / "joints.toml").write_text(JOINT_PROFILE)
    gap_ns = [50_000_000]

    def think(one: ros.Seen) -> dict[str, Any]:
        points = [{"positions": [k, k + 1], "time_from_start": {"sec": 0, "nanosec": (k + 1) * gap_ns[0]}} for k in range(2)]
        return {"/command": {"header": one.header(), "joint_names": ["b", "a"], "points": points}}

    policy = load(profile=str(tmp_path / "joints.toml"), command="trajectory", joints="a,b")
    shown = Observation(images={}, proprio={"joint_pos_rad": np.zeros(2, np.float32)}, instruction="go", time_s=0.0)
    topics = {name: TOPICS[name] for name in ("/joint_states", "/task/status")}
    with ros.node(bridge.url, topics, {"/command": "trajectory_msgs/msg/JointTrajectory"}, think):
        begin(policy)
        assert policy.act({0: shown})[0].values.tolist() == [[1, 0], [2, 1]]
        gap_ns[0] = 100_000_000
        with pytest.raises(BadReply, match=r"the points of a trajectory are not 1/20 s apart"):
            policy.act({0: shown})


def test_a_node_that_comes_late_has_the_observation_again_by_a_reset(bridge: ros.Bridge, load: Callable[..., RosbridgePolicy]) -> None:
    policy, calls = load(), []

    def think(one: ros.Seen) -> dict[str, Any]:
        calls.append(one)
        return {"/command": ros.as_array([[0.0] * 7], one.stamp)} if len(calls) > 1 else {}

    with ros.node(bridge.url, TOPICS, COMMAND, think) as connection:
        begin(policy)
        connection.send(json.dumps({"op": "call_service", "id": "c1", "service": "/reset", "args": {}}))
        time.sleep(0.2)
        connection.send(json.dumps({"op": "call_service", "id": "c2", "service": "/reset", "args": {}}))
        ask(policy)
        until_s = time.monotonic() + 5
        while len(connection.answers) < 2 and time.monotonic() < until_s:
            time.sleep(0.01)
    first, second = connection.answers
    assert first["id"] == "c1" and first["op"] == "service_response"
    assert second["values"]["success"] is True and "is published again" in second["values"]["message"]
    assert calls[0].stamp == calls[1].stamp


def test_images_may_be_compressed_topics_renamed_and_cameras_described(bridge: ros.Bridge, load: Callable[..., RosbridgePolicy]) -> None:
    import imageio.v3 as imageio

    policy = load(images="png", namespace="/bench", remap="/command:=/arm/go", fovy="front:90")
    met: list[ros.Seen] = []

    def think(one: ros.Seen) -> dict[str, Any]:
        met.append(one)
        return {"/go": ros.as_array([[0.0] * 7], one.stamp)}

    topics = {
        "/bench/camera/front/image_raw/compressed": "sensor_msgs/msg/CompressedImage",
        "/bench/camera/front/camera_info": "sensor_msgs/msg/CameraInfo",
        "/bench/task/status": "std_msgs/msg/String",
    }
    with ros.node(bridge.url, {}, {"/go": "std_msgs/msg/Float64MultiArray"}, think, prefix="/arm") as arm:
        heard = ros.node(bridge.url, {name.removeprefix("/bench"): kind for name, kind in topics.items()}, {}, relay(arm, met), prefix="/bench")
        with heard:
            begin(policy)
            ask(policy)
    message = met[0].messages["/camera/front/image_raw/compressed"]
    pixels = imageio.imread(io.BytesIO(base64.b64decode(message["data"])))
    assert message["format"] == "png" and np.array_equal(pixels, seen().images["front"])
    info = met[0].messages["/camera/front/camera_info"]
    assert np.allclose(np.asarray(info["k"], float).reshape(3, 3), np.array([[128, 0, 127.5], [0, 128, 127.5], [0, 0, 1]]))


def relay(arm: Any, met: list[ros.Seen]) -> ros.Think:
    """Returns what answers by another connection, on a topic of another name."""

    def think(one: ros.Seen) -> dict[str, Any]:
        met.append(one)
        arm.send(json.dumps({"op": "publish", "topic": "/arm/go", "msg": ros.as_array([[0.0] * 7], one.stamp)}))
        return {}

    return think


def test_two_episodes_at_once_are_two_robots(bridge: ros.Bridge, load: Callable[..., RosbridgePolicy]) -> None:
    def speaks(value: float) -> ros.Think:
        return lambda one: {"/command": ros.as_array([[value] * 7], one.stamp)}

    policy = load(namespace="/robot{slot}")
    with ros.node(bridge.url, TOPICS, COMMAND, speaks(0.1), prefix="/robot0"), ros.node(bridge.url, TOPICS, COMMAND, speaks(0.2), prefix="/robot1"):
        begin(policy, 0)
        begin(policy, 1)
        chunks = policy.act({0: seen(), 1: seen()})
    assert [round(float(chunks[slot].values[0, 0]), 3) for slot in (0, 1)] == [0.1, 0.2]
    alone = load()
    complaint = r"would share the topics of one robot: play them one after another \(--workers 1\); or say namespace=/robot\{slot\}"
    with pytest.raises(VlagymError, match=complaint):
        begin(alone, 1)
    with pytest.raises(NotReset, match=r"slot 3 was asked"):
        alone.act({3: seen()})


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"profile": ""}, r"a guess would be a silent 0 %: give rosbridge --policy-option profile="),
        ({"command": "vector"}, r"no command of rosbridge is called 'vector'.*There are: array, trajectory, twist"),
        ({"clock": "walls"}, r"no clock of rosbridge is called 'walls'"),
        ({"clock": "wall", "execute": "2"}, r"execute=1 is the only way"),
        ({"command": "trajectory"}, r"a trajectory says positions of joints: the profile's action is delta_position"),
        ({"namespace": "arm"}, r"a namespace of ROS is written /name"),
        ({"remap": "/command=/x"}, r"remap of rosbridge is written /from:=/to"),
        ({"fovy": "top:90"}, r"no image of the profile is called 'top'"),
        ({"fovy": "front:x"}, r"fovy of 'front' is an angle between 0 and 180 degrees, not 'x'"),
        ({"ros": "3"}, r"no ros of rosbridge is called '3'"),
        ({"topics": "x"}, r"no option of policy 'rosbridge' is called 'topics'"),
        ({"profile": "libero", "fovy": "image:45"}, r"is cut, padded or turned: it has other intrinsics"),
    ],
)
def test_options_that_make_no_sense_are_refused(load: Callable[..., RosbridgePolicy], options: dict[str, str], complaint: str) -> None:
    with pytest.raises(VlagymError, match=complaint):
        load(**options)
