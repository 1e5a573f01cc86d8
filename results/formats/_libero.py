"""What a dataset in HDF5 says of all its demonstrations, and by which names of robomimic and LIBERO it calls what they hold."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from vlagym.envs.errors import BadData
from vlagym.envs.types import canonical_json, from_plain, to_plain
from vlagym.results.demonstration import DatasetInfo, Demonstration
from vlagym.results.formats import _vectors

SCHEMA = 2
"""Of what vlagym adds to the layout. 2 has, beyond 1: depth, commands, timestamps, stages, paraphrases, certificates, what else is said, and
demonstrations without a spec."""
READS = (1, 2)

_OBS_NAMES = {"front": "agentview_rgb", "wrist": "eye_in_hand_rgb"}
"""What LIBERO calls our cameras; another camera is called <camera>_rgb."""

_ABOUT = (
    "Images are upright RGB, row 0 on top: do not flip or turn them. Row t was seen before action t. "
    "Poses are in the frame that obs's attribute ee_frame names, else in that of the robot's base. "
    "states is no MuJoCo state, see states_layout; an episode is repeated from its spec and executed_actions. "
    "Of a robot with two hands, left comes before right in ee_pos, ee_ori, ee_states, gripper_states (openings, in m) and robot_states, and "
    "joint_states holds the joints of all groups but the hands, in the order of obs's attribute proprio. "
    "Depth is in mm along the optical axis, 0 where nothing was hit. "
    "With frame_stride k > 1 images have one row for each k-th step, and obs_index says which."
)

_TOLD = ("action", "images", "frame_stride", "robot", "state", "depth", "commands")
"""What must be equal where a dataset is extended: all but its provenance."""


def obs_name(camera: str) -> str:
    """Returns under which key of `obs` the images of a camera are stored."""
    return _OBS_NAMES.get(camera, f"{camera}_rgb")


def depth_name(camera: str) -> str:
    """Returns under which key of `obs` the depth of a camera is stored."""
    return f"{obs_name(camera).removesuffix('_rgb')}_depth"


# -------------------------------------------------------------------------------------------------------------- the group of the file
def info_attributes(info: DatasetInfo) -> dict[str, Any]:
    """Returns the attributes of `data` that hold for every demonstration."""
    kwargs = {"control": info.action.name, "control_freq": info.action.rate_hz}
    env_args = {"env_name": "vlagym", "type": 2, "env_kwargs": kwargs}  # 2: a Gym environment, in robomimic's counting
    return {
        "env_args": json.dumps(env_args),
        "env_name": "vlagym",
        "tag": "libero-v1",
        "macros_image_convention": "opencv",
        "about": _ABOUT,
        "ee_frame": "base",
        "vlagym_schema": SCHEMA,
        "action_spec": canonical_json(to_plain(info.action)),
        "image_preprocessing": canonical_json(to_plain(info.images)),
        "frame_stride": info.frame_stride,
        "robot": info.robot,
        "state": info.state,
        "depth": json.dumps(list(info.depth)),
        "commands": canonical_json(to_plain(info.commands)),
        "provenance": canonical_json(to_plain(info.provenance)),
        "split_digest": str(info.provenance.get("split_digest", "")),  # of what was seen and what was kept for tests; empty: not said
    }


def is_ours(data: Any) -> bool:
    """Tells whether vlagym wrote the group `data` of a file."""
    return data.attrs.get("vlagym_schema") is not None


def read_info(data: Any, where: str) -> DatasetInfo:
    """Reads what `info_attributes` wrote, now or in a version before.

    Args:
      data: The group `data`.
      where: Path of the file, for the error.

    Raises:
      BadData: If it is of another schema, or damaged.
    """
    attributes = data.attrs
    schema = int(attributes["vlagym_schema"])
    if schema not in READS:
        newer = " It was written by a newer vlagym: pip install --upgrade vlagym" if schema > SCHEMA else ""
        raise BadData(f"{where} has schema {schema}; this version of vlagym reads {' and '.join(map(str, READS))}.{newer}")
    try:
        plain = {
            "action": json.loads(attributes["action_spec"]),
            "images": json.loads(attributes["image_preprocessing"]),
            "frame_stride": int(attributes["frame_stride"]),
            "provenance": json.loads(attributes["provenance"]),
        }
        plain |= {name: str(attributes[name]) for name in ("robot", "state") if name in attributes}  # none of these was said in schema 1
        plain |= {name: json.loads(attributes[name]) for name in ("depth", "commands") if name in attributes}
    except (KeyError, ValueError) as error:
        raise BadData(f"{where}: the attributes of 'data' are damaged: {error}") from error
    return from_plain(DatasetInfo, plain, where)


# --------------------------------------------------------------------------------------------------------------------------- checks
def check_info(info: DatasetInfo) -> None:
    """Raises BadData unless a dataset of this kind can be laid out."""
    if info.frame_stride < 1:
        raise BadData(f"the frame stride is {info.frame_stride}; it must be 1 or more")
    keys: dict[str, str] = {}
    for camera in info.images:
        key = obs_name(camera)
        if key in keys:
            raise BadData(f"the cameras {keys[key]!r} and {camera!r} would both be stored as {key}; rename one")
        keys[key] = camera


def check_same(path: str, stored: DatasetInfo, wanted: DatasetInfo) -> None:
    """Raises BadData, naming the difference, unless a file with the information `stored` may be extended with demonstrations of `wanted`."""
    for name in _TOLD:
        before, now = to_plain(getattr(stored, name)), to_plain(getattr(wanted, name))
        if before != now:
            was, is_now = canonical_json(before), canonical_json(now)
            raise BadData(f"{path} was made with {name} {was} and cannot be extended with {is_now}. Choose another file")


def check_proprio(d: Demonstration) -> None:
    """Raises BadData unless the proprioception holds what the layout is made of, and nothing that the layout calls otherwise.

    Who recorded elsewhere has what he has: without a spec nothing is needed.
    """
    taken = {"joint_states", "ee_pos", "ee_ori", "ee_states", "gripper_states", *map(obs_name, d.images), *map(depth_name, d.depth)}
    for name in d.proprio:
        if name in taken:
            raise BadData(f"demonstration {d.digest} has proprioception {name!r}, which is a key of the layout; carry its unit and frame in the name")
    lacking = _vectors.missing(d.proprio)
    if d.spec is not None and lacking:
        there = ", ".join(d.proprio)
        raise BadData(f"demonstration {d.digest} lacks the proprioception {lacking[0]!r}, of which the layout is made. It has: {there}")
    for name, width in _widths(d).items():
        found = d.proprio[name]
        if found.ndim != 2 or (width is not None and found.shape[1] != width):
            raise BadData(f"demonstration {d.digest}: {name!r} has shape {found.shape}; the layout wants ({d.num_steps}, {width or 'joints'})")


def _widths(d: Demonstration) -> Mapping[str, int | None]:
    """Returns the arrays of which the layout is made, and how wide each must be; None: any."""
    if _vectors.missing(d.proprio):
        return {}
    widths: dict[str, int | None] = dict.fromkeys(_vectors.joint_groups(d.proprio))
    for prefix, opening in _vectors.places(d.proprio):
        position, orientation = _vectors.pose_names(prefix, _vectors.frame_of(d.proprio, prefix))
        widths |= {position: 3, orientation: 4, opening: 1}
    return widths
