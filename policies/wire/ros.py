"""Messages of ROS as rosbridge's JSON: what a robot publishes, and the commands that it is given. Pure functions over maps."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vlagym.envs.errors import BadReply
from vlagym.policies.foreign import NAME_MAX, told

Message = dict[str, Any]
Encoding = Literal["raw", "jpeg", "png"]
_GIGA = 1_000_000_000
_MAX_STEPS = 10_000
"""Of a chunk."""


class Command(NamedTuple):
    """What a node asked for."""

    stamp_ns: int | None
    """Of the observation that it answers, echoed by the node; None where it says none."""
    values: NDArray[np.float64]
    """`(T, D)`"""


class Dialect(NamedTuple):
    """ROS 2 or ROS 1: they write types and stamps differently."""

    version: int

    def type(self, name: str) -> str:
        """Returns a type's name: "sensor_msgs/Image" is "sensor_msgs/msg/Image" in ROS 2."""
        package, _, kind = name.partition("/")
        return name if self.version == 1 else f"{package}/{'srv' if package == 'std_srvs' else 'msg'}/{kind}"

    def time(self, stamp_ns: int) -> Message:
        """Returns a stamp."""
        names = ("secs", "nsecs") if self.version == 1 else ("sec", "nanosec")
        return dict(zip(names, divmod(stamp_ns, _GIGA), strict=True))

    def header(self, stamp_ns: int, frame: str) -> Message:
        """Returns the header of a message."""
        return {"stamp": self.time(stamp_ns), "frame_id": frame}


def label(stamp_ns: int) -> str:
    """Returns a stamp as the label by which messages without a header carry it: "12.050000000"."""
    seconds, rest = divmod(stamp_ns, _GIGA)
    return f"{seconds}.{rest:09d}"


def image(pixels: NDArray[np.uint8], header: Message) -> Message:
    """Returns a sensor_msgs/Image of `(H, W, 3)` RGB."""
    height, width, _ = pixels.shape
    data = base64.b64encode(np.ascontiguousarray(pixels).tobytes()).decode()
    return {"header": header, "height": height, "width": width, "encoding": "rgb8", "is_bigendian": 0, "step": 3 * width, "data": data}


def compressed(pixels: NDArray[np.uint8], header: Message, encoding: Encoding) -> Message:
    """Returns a sensor_msgs/CompressedImage of `(H, W, 3)` RGB; jpeg loses something, png nothing."""
    import imageio.v3 as imageio

    settings: dict[str, Any] = {"quality": 95} if encoding == "jpeg" else {}
    data: bytes = imageio.imwrite("<bytes>", pixels, extension=f".{encoding}", **settings)
    return {"header": header, "format": encoding, "data": base64.b64encode(data).decode()}


def camera_info(width: int, height: int, fovy_deg: float, header: Message) -> Message:
    """Returns a sensor_msgs/CameraInfo of a pinhole without distortion whose axis meets the middle of the image; pixel centres are whole numbers."""
    focal = height / 2 / math.tan(math.radians(fovy_deg) / 2)
    x, y = (width - 1) / 2, (height - 1) / 2
    k = [focal, 0.0, x, 0.0, focal, y, 0.0, 0.0, 1.0]
    p = [focal, 0.0, x, 0.0, 0.0, focal, y, 0.0, 0.0, 0.0, 1.0, 0.0]
    eye = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
    info: Message = {"header": header, "height": height, "width": width, "distortion_model": "plumb_bob"}
    return info | {"d": [0.0] * 5, "k": k, "r": eye, "p": p}


def joint_state(names: Sequence[str], position: Sequence[float], velocity: Sequence[float], header: Message) -> Message:
    """Returns a sensor_msgs/JointState, in rad and rad/s, or m."""
    return {"header": header, "name": list(names), "position": _floats(position), "velocity": _floats(velocity), "effort": []}


def pose(position: Sequence[float], quaternion_wxyz: Sequence[float], header: Message) -> Message:
    """Returns a geometry_msgs/PoseStamped, in m."""
    w, x, y, z = _floats(quaternion_wxyz)
    place = dict(zip("xyz", _floats(position), strict=True))
    return {"header": header, "pose": {"position": place, "orientation": {"x": x, "y": y, "z": z, "w": w}}}


def array(values: Sequence[float], stamp_ns: int) -> Message:
    """Returns a std_msgs/Float64MultiArray of one dimension, whose label is the stamp."""
    numbers = _floats(values)
    return {"layout": {"dim": [{"label": label(stamp_ns), "size": len(numbers), "stride": len(numbers)}], "data_offset": 0}, "data": numbers}


def read_array(message: Any, size: int) -> Command:
    """Returns the command of a std_msgs/Float64MultiArray: T times `size` numbers; the label of its first dimension echoes a stamp.

    Raises:
      BadReply: If it is of another size, or its layout is not that of T rows.
    """
    layout = _table(message, "layout", "a command")
    dims, offset = layout.get("dim") or [], layout.get("data_offset") or 0
    values = _numbers(message.get("data"), "data of a command")
    if not isinstance(dims, list) or len(dims) > 2 or not all(isinstance(d, Mapping) for d in dims) or offset != 0:
        raise BadReply("the layout of a command is (T, D) or (D), without an offset")
    said = [d.get("size") for d in dims]
    steps, rest = divmod(len(values), size)
    if rest or not 0 < steps <= _MAX_STEPS or said not in ([], [len(values)], [steps, size]):
        found = f"{len(values)} numbers in the layout {told(said, NAME_MAX)}"
        raise BadReply(f"a command holds {found}; {size} are wanted, or T times {size} in the layout [T, {size}]")
    return Command(_stamp_of(dims[0].get("label")) if dims else None, values.reshape(steps, size))


def read_trajectory(message: Any, joints: Sequence[str], rate_hz: float) -> Command:
    """Returns the command of a trajectory_msgs/JointTrajectory: a row for each point, its positions in the order of `joints`.

    Raises:
      BadReply: If it names other joints, or its points are not one step apart.
    """
    names, points = message.get("joint_names"), message.get("points")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names) or sorted(names) != sorted(joints):
        raise BadReply(f"a trajectory moves {told(names)}; {', '.join(joints)} are wanted")
    if not isinstance(points, list) or not 0 < len(points) <= _MAX_STEPS:
        raise BadReply("a trajectory has no points")
    rows = [_numbers(_mapping(p).get("positions"), "positions of a point") for p in points]
    if any(len(row) != len(names) for row in rows):
        raise BadReply(f"a point of a trajectory has not {len(names)} positions")
    times = [_time(_mapping(p).get("time_from_start")) or 0 for p in points]
    gaps = [b - a for a, b in zip(times[:-1], times[1:], strict=True)]
    if any(times) and any(abs(gap * rate_hz / _GIGA - 1) > 0.01 for gap in gaps):
        raise BadReply(f"the points of a trajectory are not 1/{rate_hz:g} s apart, which a step lasts: leave time_from_start at 0, or resample")
    order = [names.index(joint) for joint in joints]
    return Command(read_stamp(message), np.stack(rows)[:, order])


def read_twist(message: Any) -> Command:
    """Returns the command of a geometry_msgs/TwistStamped: one row of three velocities in m/s and three in rad/s.

    Raises:
      BadReply: If something is missing.
    """
    twist = _table(message, "twist", "a command")
    parts = [_table(twist, name, "a twist") for name in ("linear", "angular")]
    return Command(read_stamp(message), _numbers([p.get(axis) for p in parts for axis in "xyz"], "a twist")[None])


def read_joint_state(message: Any) -> Command:
    """Returns the command of a sensor_msgs/JointState of one joint."""
    values = _numbers(message.get("position"), "position of the gripper's command")
    if len(values) != 1:
        raise BadReply(f"the command of the gripper holds {len(values)} positions; 1 is wanted")
    return Command(read_stamp(message), values[None])


def read_stamp(message: Mapping[str, Any]) -> int | None:
    """Returns the stamp of a message's header in ns; None where there is none, or it is 0."""
    return _time(_mapping(message.get("header")).get("stamp")) or None


def _time(stamp: Any) -> int | None:
    table = _mapping(stamp)
    seconds, rest = table.get("sec", table.get("secs")), table.get("nanosec", table.get("nsecs"))
    return seconds * _GIGA + rest if type(seconds) is int and type(rest) is int else None


def _stamp_of(text: Any) -> int | None:
    seconds, dot, rest = str(text).partition(".")
    is_stamp = dot and len(rest) == 9 and len(seconds) < 12 and (seconds + rest).isascii() and (seconds + rest).isdecimal()
    return int(seconds) * _GIGA + int(rest) if is_stamp else None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _table(message: Any, name: str, what: str) -> Mapping[str, Any]:
    found = message.get(name) if isinstance(message, Mapping) else None
    if not isinstance(found, Mapping):
        raise BadReply(f"{what} has no {name}")
    return found


def _numbers(values: Any, what: str) -> NDArray[np.float64]:
    if not isinstance(values, list) or not all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values):
        raise BadReply(f"{what} holds no numbers (rosbridge writes what is not finite as null)")
    try:
        return np.array(values, np.float64)
    except OverflowError as error:
        raise BadReply(f"{what} holds a number that is too large") from error


def _floats(values: Sequence[float]) -> list[float]:
    return [float(v) for v in values]
