"""Policies that are a node of ROS: the environment is a robot on the topics of a rosbridge, in lock-step with the node or by the wall clock."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, get_args

import numpy as np

from vlagym.envs.errors import BadData, BadReply, NotReset, VlagymError, unknown_name
from vlagym.envs.types import ActionChunk, ActionSpec, Observation
from vlagym.policies.adapters._robot import Manner, Robot
from vlagym.policies.base import EpisodeContext, PolicySpec
from vlagym.policies.connections import limits
from vlagym.policies.connections.limits import Limits
from vlagym.policies.loading import refuse_options
from vlagym.policies.profile import Profile
from vlagym.policies.wire.ros import Dialect, Encoding

_COMMANDS = ("array", "trajectory", "twist")
_CLOCKS = ("lock_step", "wall")
_SLOT = "{slot}"


class RosbridgePolicy:
    """A node, or one for each episode that runs at the same time where the namespace tells them apart."""

    def __init__(self, url: str, limit: Limits, manner: Manner, spec: PolicySpec) -> None:
        """Connects the first robot.

        Args:
          url: Of the bridge.
          limit: How long is waited, and how large messages may be.
          manner: How the robots speak; `{slot}` in its namespace is the number of the episode.
          spec: What the policy declares.

        Raises:
          PolicyUnreachable: If there is no rosbridge.
        """
        self.spec = spec
        self._url, self._limits, self._manner, self._action = url, limit, manner, manner.action
        self._robots = {0: self._robot(0)}
        try:
            self._robots[0].connect()
        except VlagymError:
            self.close()
            raise

    def reset(self, context: EpisodeContext) -> None:
        """Begins an episode: connects where the connection was lost, and publishes the sentence.

        Raises:
          BadData: If several episodes run at once, and nothing tells their topics apart.
          PolicyUnreachable: If the bridge is not there.
        """
        slot = context.slot
        if slot != 0 and (_SLOT not in self._manner.namespace or not self._manner.is_lock_step):
            how = f"say namespace=/robot{_SLOT}, and start a node for each" if self._manner.is_lock_step else "by the wall clock they cannot"
            raise BadData(f"several episodes at once would share the topics of one robot: play them one after another (--workers 1); or {how}")
        if slot not in self._robots:
            self._robots[slot] = self._robot(slot)
        with_robot = self._robots[slot]
        try:
            with_robot.begin(context)
        except VlagymError:
            with_robot.drop()
            raise

    def act(self, observations: Mapping[int, Observation]) -> dict[int, ActionChunk]:
        """Publishes what each slot sees, and returns the commands of the nodes.

        Raises:
          NotReset: If an episode was not begun.
          PolicyUnreachable: If the connection is lost, or no command comes in time.
          BadReply: If a command is none.
        """
        missing = [slot for slot in observations if slot not in self._robots]
        if missing:
            raise NotReset(f"slot {missing[0]} was asked for actions before it was told its episode: call reset first")
        try:
            for slot, observation in observations.items():
                self._robots[slot].show(observation)
            return {slot: self._chunk(slot) for slot in observations}
        except VlagymError:
            for slot in observations:
                self._robots[slot].drop()
            raise

    def close(self) -> None:
        """Says goodbye on every connection."""
        for robot in self._robots.values():
            robot.close()
        self._robots.clear()

    def _robot(self, slot: int) -> Robot:
        return Robot(self._url, self._limits, replace(self._manner, namespace=self._manner.namespace.replace(_SLOT, str(slot))))

    def _chunk(self, slot: int) -> ActionChunk:
        values = self._robots[slot].answer()
        if not self.spec.execute_steps <= len(values):
            raise BadReply(f"the command has {len(values)} steps, and {self.spec.execute_steps} are executed of each chunk (option execute=N)")
        with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is refused as such
            return ActionChunk(values=values.astype(np.float32), spec=self._action)


def POLICY(argument: str | None, options: Mapping[str, str]) -> RosbridgePolicy:
    """Connects to a bridge as a robot.

    Published, each with the stamp of the observation: `/camera/NAME/image_raw` (or `…/compressed`), `/camera/NAME/camera_info` where `fovy` says the
    camera's angle, `/joint_states`, `/ee_pose` (in the frame "base"), `/gripper_state`, every other state of the profile as `/state/NAME`
    (Float64MultiArray), `/clock` (simulated time, which never goes back), `/task/instruction` and, last, `/task/status` (String; JSON with the
    episode, the step, the stamp, the sentence). Heard: `/command`, and with twist `/gripper_command` (JointState). Offered: `/reset` (Trigger),
    which publishes once more what was shown last: episodes begin when the benchmark says so.

    Commands are numbers of the profile's action as they are; a twist is in m/s and rad/s. In lock-step simulated time stands still until a command
    echoes the stamp: in its header, or in the label of an array's first dimension ("12.050000000", as `stamp` of the status says it). By the wall
    clock each step lasts as long as it does in the simulation, and the newest command counts; time begins with the first one.

    Args:
      argument: Address of the bridge: ws://host:9090.
      options: "profile": name of a profile or a TOML file of one. "command": array (Float64MultiArray, one action or a chunk), trajectory
        (JointTrajectory) or twist (TwistStamped). "clock": lock_step or wall. "execute": actions of each chunk that are executed; one where it is
        not given. "images": raw, jpeg or png. "fovy": CAMERA:DEGREES,… for camera_info, which no observation holds. "namespace": before every topic;
        {slot} in it is the number of the episode. "remap": /from:=/to,… . "joints": names of the joints. "ros": 2 or 1. "timeout",
        "first_timeout", "connect_timeout" in s, "max_mib" in MiB.

    Raises:
      UnknownName: For another option, profile, or word in one.
      BadData: If there is no address, nobody says what the node's conventions are, or they do not fit the kind of command.
      PolicyUnreachable: If there is no rosbridge.
      MissingPackage: Without websockets.
    """
    from vlagym.policies import adoption

    own = ("command", "clock", "images", "fovy", "namespace", "remap", "joints", "ros")
    refuse_options("rosbridge", options, known=(*own, *adoption.OPTIONS, *limits.OPTIONS))
    if argument is None:
        raise BadData("rosbridge is the address of a bridge too: write rosbridge:ws://host:9090")
    execute, limit = adoption.read_execute("rosbridge", options) or 1, limits.read_limits("rosbridge", options)
    profile = adoption.adopt("rosbridge", options, None, argument)
    manner = _manner(profile, options)
    if not manner.is_lock_step and execute != 1:
        raise BadData("by the wall clock a new command counts from the next step on: execute=1 is the only way")
    chunk = max(execute, profile.chunk_steps) if manner.is_lock_step and manner.command != "twist" else 1
    card = {"url": argument, "profile": profile.name, **{name: options[name] for name in own if name in options}}
    card |= {"clock": "lock_step" if manner.is_lock_step else "wall", "command": manner.command, "images": manner.images}
    spec = profile.spec("rosbridge", card=card, execute_steps=execute, chunk_steps=chunk, runs_in_worker=False)
    return RosbridgePolicy(argument, limit, manner, spec)


def _manner(profile: Profile, options: Mapping[str, str]) -> Manner:
    """Reads the options that say how the robot speaks."""
    if profile.history != (0,):
        raise BadData(f"a robot publishes one observation at a time, and the profile {profile.name!r} wants those at the steps {profile.history}")
    for image in profile.observation.images:
        if image.values != "uint8":
            raise BadData(f"images of ROS are bytes here, and the profile {profile.name!r} wants {image.name!r} in values of {image.values!r}")
    command, clock = _word(options, "command", _COMMANDS), _word(options, "clock", _CLOCKS)
    scaled = sorted(set(profile.normalisation) & {c.name for c in profile.action.components})
    if scaled and (clock == "wall" or command == "twist"):
        raise BadData(f"the profile {profile.name!r} un-normalises {', '.join(scaled)}: neither the wall clock nor a twist knows what stands still")
    images: Any = _word(options, "images", get_args(Encoding))
    said = tuple(options["joints"].split(",")) if "joints" in options else ()
    return Manner(
        action=profile.action,
        observation=profile.observation,
        dialect=Dialect(int(_word(options, "ros", ("2", "1")))),
        command=_fitting(command, profile.action, said),
        is_lock_step=clock == "lock_step",
        images=images,
        namespace=_namespace(options.get("namespace", "")),
        fovy_deg=_fovy(options.get("fovy"), profile),
        joints=said,
        remap=_remap(options.get("remap")),
    )


def _word(options: Mapping[str, str], name: str, known: tuple[str, ...]) -> str:
    word = options.get(name, known[0])
    if word not in known:
        raise unknown_name(f"{name} of rosbridge", word, known)
    return word


def _fitting(command: str, action: ActionSpec, joints: tuple[str, ...]) -> Any:
    """Returns the kind of command, if the profile's action can be said by it."""
    parts = [(c.convention, c.size) for c in action.components]
    if command == "trajectory":
        is_joints = all(convention == "joint_position" or convention.startswith("gripper_") for convention, _ in parts)
        if not is_joints or len(set(joints)) != action.size:
            what = ", ".join(convention for convention, _ in parts)
            raise BadData(
                f"a trajectory says positions of joints: the profile's action is {what} ({action.size} numbers), and joints= names {len(joints)}"
            )
    if command == "twist":
        is_twist = parts[:2] == [("delta_position", 3), ("delta_axis_angle", 3)] and action.size - 6 in (0, 1)
        if not is_twist:
            raise BadData(f"a twist says delta_position and delta_axis_angle, and one number of a gripper; the profile's action is {parts}")
    return command


def _namespace(text: str) -> str:
    if text and (not text.startswith("/") or text.endswith("/") or " " in text):
        raise BadData(f"a namespace of ROS is written /name, without a slash at its end, not {text!r}")
    return text


def _remap(text: str | None) -> dict[str, str]:
    pairs = {}
    for pair in text.split(",") if text else ():
        name, mark, other = pair.partition(":=")
        if not mark or not name.startswith("/") or not other.startswith("/"):
            raise BadData(f"remap of rosbridge is written /from:=/to,/from:=/to, not {pair!r}")
        pairs[name] = other
    return pairs


def _fovy(text: str | None, profile: Profile) -> dict[str, float]:
    """Returns the angle of view of cameras whose camera_info is published: those whose image is the camera's whole one."""
    cameras, angles = {i.name: i for i in profile.observation.images}, {}
    for pair in text.split(",") if text else ():
        name, _, number = pair.partition(":")
        if name not in cameras:
            raise unknown_name("image of the profile", name, cameras, "fovy of rosbridge is written CAMERA:DEGREES,CAMERA:DEGREES.")
        image = cameras[name]
        if image.crop is not None or image.centre_share is not None or image.orientation != "upright" or image.fit == "pad":
            raise BadData(f"the image {name!r} of the profile is cut, padded or turned: it has other intrinsics than its camera, and no camera_info")
        try:
            angle = float(number)
        except ValueError:
            angle = math.nan
        if not 0 < angle < 180:
            raise BadData(f"fovy of {name!r} is an angle between 0 and 180 degrees, not {number!r}")
        angles[name] = angle
    return angles
