"""Which demonstrations of an HDF5 file are for training and which for validation: `mask/train` and `mask/valid`, robomimic's filter keys."""

from __future__ import annotations

from typing import Any

import numpy as np

from vlagym.envs.errors import BadData
from vlagym.envs.types import sha
from vlagym.results.formats._file import demo_names

SHARE = "valid_share"
"""Attribute of `data`: the masks are made anew where the file is extended."""


def put_masks(file: Any) -> tuple[int, int]:
    """Writes the masks of a file whose share is set, in the place of those that it has; returns how many are for training and validation.

    Raises:
      BadData: If it has fewer than two demonstrations.
    """
    data = file["data"]
    share, names = float(data.attrs[SHARE]), demo_names(data)
    if len(names) < 2:
        raise BadData(f"the dataset holds {len(names)} demonstrations of vlagym; at least 2 are needed to keep some of them for validation")
    place = {name: int(sha(f"valid {data[name].attrs['digest']}".encode()), 16) / 16.0**32 for name in names}
    ordered = sorted(names, key=place.__getitem__)
    count = min(max(1, sum(place[name] < share for name in names)), len(names) - 1)
    valid = set(ordered[:count])
    if "mask" in file:
        del file["mask"]
    for key, chosen in (("train", [n for n in names if n not in valid]), ("valid", [n for n in names if n in valid])):
        file[f"mask/{key}"] = np.array([name.encode() for name in chosen])
    return len(names) - count, count
