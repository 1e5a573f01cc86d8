"""What can be told of a path at a glance: enough to know the format of a dataset, and never an error."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_HDF5 = b"\x89HDF\r\n\x1a\n"
"""The first bytes of every HDF5 file."""
_HDF5_SUFFIXES = (".hdf5", ".h5")
LEROBOT_INFO = ("meta/info.json",)


def said(at: Path) -> Mapping[str, Any]:
    """Returns the JSON object of a file; an empty one where there is none."""
    try:
        plain = json.loads(at.read_bytes())
    except (OSError, ValueError):
        return {}
    return plain if isinstance(plain, dict) else {}


def is_hdf5(path: Path) -> bool:
    """Returns whether a path is a file in HDF5, or called like one: a file that was cut off has lost its first bytes at times."""
    if not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            return path.suffix in _HDF5_SUFFIXES or file.read(len(_HDF5)) == _HDF5
    except OSError:
        return path.suffix in _HDF5_SUFFIXES


def lerobot_layout(path: Path) -> tuple[str, frozenset[str]]:
    """Returns the version of LeRobot's layout that a folder has, and the names of its features; "" where it is no dataset of LeRobot."""
    info = said(path / "meta" / "info.json")
    features = info.get("features")
    return str(info.get("codebase_version", "")), frozenset(features if isinstance(features, dict) else ())
