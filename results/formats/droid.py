"""A folder of episodes as nested dicts in the manner of DROID: an archive for each, and a list of them in JSON.

`load_episode` gives one as

    {"episode_id": "…", "language_instruction": "…", "success": True,
     "observations": {"timestamp": (T,) s, "rgb": {camera: (T, h, w, 3) uint8}, "depth": {camera: (T, h, w) uint16 mm},
                      "joint_positions": (T, J) rad, "ee_pose": (T, 7) m and quaternion wxyz, for each hand},
     "actions": {"delta_joint_positions": (T, J) rad, "gripper_command": (T, G) from 0, open, to 1, closed}}

and `steps` the same as a list of observations and one of actions. In the archive the keys are joined by slashes. What else vlagym holds of a
demonstration lies under vlagym/: it is read back without a loss. With frame_stride k > 1 rgb and depth have a row for each k-th step.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from vlagym.envs.errors import BadData
from vlagym.results.formats._droid import derived
from vlagym.results.formats._episode_files import Layout, Reader, make_format
from vlagym.results.formats._episode_files_view import ABOUT, INDEX
from vlagym.results.formats._sidecar import read_arrays
from vlagym.results.formats._staging import no_dataset

_SAYS = (
    "episodes/*.npz: observations/timestamp in s, observations/rgb/<camera> uint8 RGB with row 0 on top, observations/depth/<camera> uint16 in mm, "
    "observations/joint_positions in rad, observations/ee_pose (position in m and quaternion wxyz of each hand), "
    "actions/delta_joint_positions in rad, actions/gripper_command from 0 (open) to 1 (closed). Row t was seen before action t. "
    "vlagym/ holds the rest."
)
_OWN = "vlagym/"
_LAYOUT = Layout(name="droid", says=_SAYS, images="observations/rgb/", depth="observations/depth/", own=_OWN, derive=derived)

FORMAT = make_format(_LAYOUT)


def load_episode(path: str | Path, index: int) -> dict[str, Any]:
    """Returns an episode of a folder as the nested dict above.

    Args:
      path: The folder.
      index: Number of the episode.

    Raises:
      NoDataset: If there is no such folder.
      BadData: If it is damaged, or has no episode of this number.
    """
    path = Path(path)
    if not (path / INDEX).is_file():
        raise no_dataset(path, INDEX)
    with Reader(path, _LAYOUT) as reader:
        if not -len(reader) <= index < len(reader):
            raise BadData(f"{path} has {len(reader)} episodes, and none of the number {index}")
        at, digest = reader.files[index], reader.digests[index]
    arrays = read_arrays(at, lambda name: not name.startswith(_OWN))
    about = json.loads(str(arrays.pop(ABOUT)))
    episode: dict[str, Any] = {
        "episode_id": str(about["extra"].get("episode_id") or digest),
        "language_instruction": about["instruction"],
        "success": bool(about["is_success"]),
        "observations": {"rgb": {}, "depth": {}},
        "actions": {},
    }
    for name, array in arrays.items():
        *outer, last = name.split("/")
        inner = episode
        for key in outer:
            inner = inner.setdefault(key, {})
        inner[last] = array
    return episode


def steps(episode: Mapping[str, Any]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Returns the observations and the actions of an episode one by one.

    Args:
      episode: As `load_episode` returns it, with an image at each step.

    Raises:
      BadData: If it has fewer images than steps.
    """
    seen, done = episode["observations"], episode["actions"]
    count = len(seen["timestamp"])
    short = [camera for kind in ("rgb", "depth") for camera, images in seen[kind].items() if len(images) != count]
    if short:
        raise BadData(f"the episode has {count} steps and fewer images of {', '.join(short)}: it was recorded with a frame stride")
    observations = [
        {key: {camera: images[t] for camera, images in value.items()} if isinstance(value, dict) else value[t] for key, value in seen.items()}
        for t in range(count)
    ]
    return observations, [{key: np.asarray(value[t]) for key, value in done.items()} for t in range(count)]
