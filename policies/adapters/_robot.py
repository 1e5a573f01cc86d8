"""A robot on ROS topics: publishes what a policy is shown, and reads the command that a node gives."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.errors import PolicyTimeout, PolicyUnreachable
from vlagym.envs.types import ActionSpec, Observation, ObservationSpec
from vlagym.policies.base import EpisodeContext
from vlagym.policies.connections.limits import Deadline, Limits
from vlagym.policies.connections.rosbridge import Rosbridge
from vlagym.policies.conversions.scales import DISPLACEMENTS
from vlagym.policies.wire import ros
from vlagym.policies.wire.ros import Command, Dialect, Encoding, Message

_LOG = logging.getLogger(__name__)

_GAP_NS = 1_000_000_000
"""Between the clocks of two episodes: stamps are never used twice."""
_RELATIVE = DISPLACEMENTS | {"joint_velocity", "gripper_closing_relative"}
STATUS, INSTRUCTION, CLOCK, RESET, COMMAND = "/task/status", "/task/instruction", "/clock", "/reset", "/command"
GRIPPER_COMMAND, JOINTS, HAND, GRIPPER = "/gripper_command", "/joint_states", "/ee_pose", "/gripper_state"
JOINT_ARRAYS, HAND_ARRAYS, GRIPPER_ARRAY = ("joint_pos_rad", "joint_vel_rad_s"), ("ee_pos_base_m", "ee_quat_base_wxyz"), "gripper_opening_m"


@dataclass(frozen=True, kw_only=True)
class Manner:
    """How a robot speaks."""

    action: ActionSpec
    observation: ObservationSpec
    dialect: Dialect = Dialect(2)
    command: Literal["array", "trajectory", "twist"] = "array"
    is_lock_step: bool = True
    images: Encoding = "raw"
    namespace: str = ""
    fovy_deg: Mapping[str, float] = field(default_factory=dict)
    joints: tuple[str, ...] = ()
    """Names of the joints of /joint_states, and with `trajectory` of those that are commanded."""
    remap: Mapping[str, str] = field(default_factory=dict)

    def topic(self, name: str) -> str:
        """Returns what a topic or service is called in the end."""
        return self.remap.get(name, self.namespace + name)

    def outgoing(self) -> dict[str, str]:
        """Returns what each observation is published on: topic, before it is renamed -> type."""
        ending, kind = ("/image_raw", "sensor_msgs/Image") if self.images == "raw" else ("/image_raw/compressed", "sensor_msgs/CompressedImage")
        found = {f"/camera/{i.name}{ending}": kind for i in self.observation.images}
        found |= {f"/camera/{name}/camera_info": "sensor_msgs/CameraInfo" for name in self.fovy_deg}
        states = [s.name for s in self.observation.state]
        if JOINT_ARRAYS[0] in states:
            found[JOINTS] = "sensor_msgs/JointState"
        if set(HAND_ARRAYS) <= set(states):
            found[HAND] = "geometry_msgs/PoseStamped"
        if GRIPPER_ARRAY in states:
            found[GRIPPER] = "sensor_msgs/JointState"
        found |= {f"/state/{name}": "std_msgs/Float64MultiArray" for name in self.arrays()}
        return found | {CLOCK: "rosgraph_msgs/Clock", INSTRUCTION: "std_msgs/String", STATUS: "std_msgs/String"}

    def arrays(self) -> list[str]:
        """Returns the states that have no message of their own kind."""
        states = [s.name for s in self.observation.state]
        told = {GRIPPER_ARRAY, *(JOINT_ARRAYS if JOINT_ARRAYS[0] in states else ()), *(HAND_ARRAYS if set(HAND_ARRAYS) <= set(states) else ())}
        return [name for name in states if name not in told]

    def incoming(self) -> dict[str, str]:
        """Returns the topics on which commands come -> type."""
        kinds = {"array": "std_msgs/Float64MultiArray", "trajectory": "trajectory_msgs/JointTrajectory", "twist": "geometry_msgs/TwistStamped"}
        has_gripper = self.command == "twist" and self.action.size > 6
        return {COMMAND: kinds[self.command]} | ({GRIPPER_COMMAND: "sensor_msgs/JointState"} if has_gripper else {})


class Robot:
    """One robot on one connection, through one episode after another."""

    def __init__(self, url: str, limits: Limits, manner: Manner) -> None:
        """Makes it; nothing is contacted."""
        self._bridge, self._manner, self._limits = Rosbridge(url, limits), manner, limits
        self._topics = {manner.topic(name): name for name in manner.incoming()}
        self._stamp_ns, self._origin_ns = 0, _GAP_NS
        self._last: tuple[str, Observation] | None = None
        self._status: Message = {"state": "waiting"}
        self._is_proven = self._has_answered = False
        self._steps = 0
        # The wall clock: what is still to be executed, what was executed last, and when the present step ends.
        self._rows: list[NDArray[np.float64]] = []
        self._held: NDArray[np.float64] | None = None
        self._next_s: float | None = None
        self._late_s = 0.0

    def connect(self) -> None:
        """Connects where there is no connection, says what will be published, and proves that it comes through.

        Raises:
          PolicyUnreachable: If there is no rosbridge, or it does not give back what it is sent.
        """
        if self._bridge.is_open:
            return
        kind, topic = self._manner.dialect.type, self._manner.topic
        self._bridge.open()
        self._is_proven = self._has_answered = False
        for name, of in self._manner.outgoing().items():
            self._bridge.advertise(topic(name), kind(of), is_latched=name in (INSTRUCTION, STATUS))
        for name, of in self._manner.incoming().items():
            self._bridge.subscribe(topic(name), kind(of))
        self._bridge.offer(topic(RESET), kind("std_srvs/Trigger"), self._say_again)
        self._bridge.prove_topic(topic(STATUS), kind("std_msgs/String"))

    def begin(self, context: EpisodeContext) -> None:
        """Tells of a new episode; commands for the last one are forgotten."""
        if self._late_s > 0:
            _LOG.warning("the last episode ran %.2f s behind the wall clock, for the simulation was slower: its node had that longer", self._late_s)
        self.connect()
        self._origin_ns = self._stamp_ns + _GAP_NS
        self._steps, self._rows, self._held, self._next_s, self._late_s, self._last = 0, [], None, None, 0.0, None
        self._status = {
            "state": "begun",
            "episode": context.digest,
            "instruction": context.instruction,
            "clock": "lock_step" if self._manner.is_lock_step else "wall",
            "rate_hz": self._manner.action.rate_hz,
            "action": [[c.name, c.size] for c in self._manner.action.components],
        }
        self._say(context.instruction)
        while self._bridge.next(0.0) is not None:
            pass

    def show(self, observation: Observation) -> None:
        """Publishes an observation; the first one of a connection has to come back, all of it."""
        self._stamp_ns = max(self._origin_ns + round(observation.time_s * 1e9), self._stamp_ns + 1)
        self._last = (ros.label(self._stamp_ns), observation)
        if self._is_proven:
            self._publish(observation)
        else:
            kind = self._manner.dialect.type
            expected = {self._manner.topic(name): kind(of) for name, of in self._manner.outgoing().items()}
            self._bridge.prove(expected, lambda: self._publish(observation), self._is_echo)
            self._is_proven = True
        self._steps += 1

    def _is_echo(self, topic: str, message: Mapping[str, Any]) -> bool:
        return topic != self._manner.topic(STATUS) or ros.label(self._stamp_ns) in str(message.get("data"))

    def answer(self) -> NDArray[np.float64]:
        """Waits for the command that answers what was shown last; returns its chunk `(T, D)`, by the wall clock the row of one step."""
        return self._locked() if self._manner.is_lock_step else self._by_the_wall()

    def close(self) -> None:
        """Says goodbye and hangs up."""
        if self._bridge.is_open:
            try:
                self._bridge.publish(self._manner.topic(STATUS), {"data": json.dumps({"state": "closed"})})
            except PolicyUnreachable:
                _LOG.info("%s was gone before it was told that the robot leaves", self._bridge.url)
        self.drop()

    def drop(self) -> None:
        """Hangs up: whatever comes afterwards could be a late answer."""
        self._bridge.close()

    # ---------------------------------------------------------------------------------------------------------------------- commands
    def _locked(self) -> NDArray[np.float64]:
        limit_s, option = self._limit()
        deadline, strays, parts = Deadline(limit_s), 0, dict[str, Command]()
        while True:
            found = self._bridge.next(deadline.left_s())
            if found is None:
                heard = f"{strays} came that echo another stamp or none" if strays else "nothing came: is the node up, and does it hear these topics?"
                raise PolicyTimeout(
                    f"no command that echoes the stamp {ros.label(self._stamp_ns)} came on {', '.join(self._topics)} within {limit_s:g} s (option "
                    f"{option}=S); {heard}"
                )
            if found[0] not in self._topics:
                continue
            command = self._read(*found)
            if command.stamp_ns != self._stamp_ns:
                strays += 1
                continue
            parts[self._topics[found[0]]] = command
            if len(parts) == len(self._topics):
                self._has_answered = True
                return self._whole(parts)

    def _limit(self) -> tuple[float, str]:
        """Returns how long the next command is waited for, in s, and which option says so."""
        return (self._limits.timeout_s, "timeout") if self._has_answered else (self._limits.first_timeout_s, "first_timeout")

    def _by_the_wall(self) -> NDArray[np.float64]:
        """Returns the action of one step, which lasts as long by the wall clock as in the simulation.

        The step ends when its time is over, whatever the node does meanwhile: the newest command that has come counts; where none has, the next row
        of its chunk; and where that is over, nothing moves on: displacements are 0, all else stays. Time begins with the first command of an
        episode. Where the simulation is too slow to begin the next step in time, the clock is moved, and how far is logged.
        """
        period_s = 1 / self._manner.action.rate_hz
        parts: dict[str, Command] = {}
        if self._next_s is None:
            self._await(parts)
            self._next_s, self._has_answered = time.monotonic(), True
        else:
            self._next_s += period_s
            late_s = time.monotonic() - self._next_s
            if late_s > 0:
                self._late_s, self._next_s = self._late_s + late_s, self._next_s + late_s
        while (found := self._bridge.next(max(0.0, self._next_s - time.monotonic()))) is not None:
            if found[0] in self._topics:
                self._take(parts, found)
        if len(parts) == len(self._topics):
            self._rows = list(self._whole(parts))
        elif parts and self._held is not None:
            self._rows = [self._with_part(parts)]
        row = self._rows.pop(0) if self._rows else self._still()
        self._held = row
        return row[None]

    def _await(self, parts: dict[str, Command]) -> None:
        limit_s, option = self._limit()
        deadline = Deadline(limit_s)
        while len(parts) < len(self._topics):
            found = self._bridge.next(deadline.left_s())
            if found is None:
                raise PolicyTimeout(f"no command came on {', '.join(self._topics)} within {limit_s:g} s (option {option}=S): is the node up?")
            if found[0] in self._topics:
                self._take(parts, found)

    def _take(self, parts: dict[str, Command], found: tuple[str, Mapping[str, Any]]) -> None:
        """Keeps a command, unless it says that it answers an earlier episode, or one that is younger was kept."""
        name, command = self._topics[found[0]], self._read(*found)
        if command.stamp_ns is None or command.stamp_ns >= self._origin_ns:
            parts[name] = command

    def _with_part(self, parts: Mapping[str, Command]) -> NDArray[np.float64]:
        """Returns a row for commands of which one part alone is new."""
        assert self._held is not None
        row = self._still()
        if COMMAND in parts:
            row[:6] = self._velocities(parts[COMMAND].values)[0]
        if GRIPPER_COMMAND in parts:
            row[6:] = parts[GRIPPER_COMMAND].values[0]
        return row

    def _still(self) -> NDArray[np.float64]:
        assert self._held is not None
        row = self._held.copy()
        for name, at in self._manner.action.slices().items():
            convention = next(c.convention for c in self._manner.action.components if c.name == name)
            if convention in _RELATIVE or convention.startswith("delta_"):
                row[at] = 0.0
        return row

    def _read(self, topic: str, message: Mapping[str, Any]) -> Command:
        manner = self._manner
        if self._topics[topic] == GRIPPER_COMMAND:
            return ros.read_joint_state(message)
        if manner.command == "array":
            return ros.read_array(message, manner.action.size)
        if manner.command == "trajectory":
            return ros.read_trajectory(message, manner.joints, manner.action.rate_hz)
        return ros.read_twist(message)

    def _whole(self, parts: Mapping[str, Command]) -> NDArray[np.float64]:
        values = parts[COMMAND].values
        if self._manner.command == "twist":
            values = self._velocities(values)
        return np.concatenate([values, *(parts[name].values for name in parts if name != COMMAND)], axis=1)

    def _velocities(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Returns a twist, whose unit ROS fixes as m/s and rad/s, as displacements in the profile's unit."""
        scale = np.repeat([c.scale for c in self._manner.action.components[:2]], 3)
        return values / (self._manner.action.rate_hz * scale)

    # ------------------------------------------------------------------------------------------------------------------ observations
    def _publish(self, observation: Observation) -> None:
        send, stamp, manner = self._send, self._stamp_ns, self._manner

        def header(frame: str) -> Message:
            return manner.dialect.header(stamp, frame)

        send(CLOCK, {"clock": manner.dialect.time(stamp)})
        for image in manner.observation.images:
            pixels, frame = observation.images[image.name], f"{image.name}_optical_frame"
            if manner.images == "raw":
                send(f"/camera/{image.name}/image_raw", ros.image(pixels, header(frame)))
            else:
                send(f"/camera/{image.name}/image_raw/compressed", ros.compressed(pixels, header(frame), manner.images))
            if image.name in manner.fovy_deg:
                info = ros.camera_info(image.width, image.height, manner.fovy_deg[image.name], header(frame))
                is_first = manner.dialect.version == 1
                send(f"/camera/{image.name}/camera_info", {key.upper() if is_first and len(key) == 1 else key: v for key, v in info.items()})
        felt, there = observation.proprio, manner.outgoing()
        if JOINTS in there:
            position, velocity = felt[JOINT_ARRAYS[0]], felt.get(JOINT_ARRAYS[1], np.zeros(0, np.float32))
            send(JOINTS, ros.joint_state(self._joints(len(position)), position.tolist(), velocity.tolist(), header("")))
        if HAND in there:
            send(HAND, ros.pose(felt[HAND_ARRAYS[0]].tolist(), felt[HAND_ARRAYS[1]].tolist(), header("base")))
        if GRIPPER in there:
            send(GRIPPER, ros.joint_state(["gripper"] * len(felt[GRIPPER_ARRAY]), felt[GRIPPER_ARRAY].tolist(), [], header("")))
        for name in manner.arrays():
            send(f"/state/{name}", ros.array(felt[name].tolist(), stamp))
        self._say(observation.instruction, state="running", step=self._steps, stamp=ros.label(stamp))

    def _say(self, instruction: str, **more: Any) -> None:
        """Says what is to be done and how far it is; the status comes last, when all else of an observation is out."""
        self._status |= more
        self._send(INSTRUCTION, {"data": instruction})
        self._send(STATUS, {"data": json.dumps(self._status)})

    def _say_again(self) -> tuple[bool, str]:
        """Answers /reset: what was shown last is published once more, for a node that came late. No episode is rewound: it is being measured."""
        if self._last is None:
            return False, "no episode has shown an observation yet: the next one comes by itself"
        self._publish(self._last[1])
        is_fresh = self._steps <= 1
        words = f"the observation with the stamp {self._last[0]} is published again"
        return is_fresh, words if is_fresh else f"{words}; an episode that is being measured is not rewound: this one is at step {self._steps - 1}"

    def _joints(self, count: int) -> Sequence[str]:
        names = self._manner.joints
        return names[:count] if len(names) >= count else [f"joint{k + 1}" for k in range(count)]

    def _send(self, name: str, message: Message) -> None:
        self._bridge.publish(self._manner.topic(name), message)
