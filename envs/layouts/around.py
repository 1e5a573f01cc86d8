"""Things around a robot that can go about: furniture on the floor beside and behind it, something on the table before it."""

from __future__ import annotations

import math

import numpy as np

from vlagym.envs.fixtures import FixtureAsset, get_fixture
from vlagym.envs.task import Crowded, Draft, Region, footprint_m

KINDS = frozenset(("bin", "chair", "floor_lamp", "low_shelf", "plant", "side_table", "stool", "suitcase"))
"""Of furniture that stands on the floor and is spoken of."""
_WALL_M, _TABLE_M = 1.42, 0.90
"""Room ends so far to the sides, at least; the table, at most."""
_BACK_M = -0.68
_APART_M = 0.12
_BESIDE_X_M, _BEHIND_X_M, _ALONG_X_M = (-0.10, 0.12), (-0.62, -0.50), (0.45, 0.80)
"""Beside the robot, behind it, and along the table."""
_BEHIND_Y_M = (0.78, 0.98)
_ON_TABLE_X_M = (0.20, 0.32)
"""Beyond the near end of the work area: the hands pass over the edge of the table as the robot turns."""


def stand_around(draft: Draft, count: int) -> list[str]:
    """Stands different furniture on the floor around the robot, each in another direction; returns the names, in an order that is drawn.

    Args:
      draft: The scene.
      count: How many, up to 6.

    Raises:
      Crowded: If they do not fit.
    """
    rng = draft.rng
    stations = [(place, sign) for place in ("beside", "behind", "along") for sign in (1.0, -1.0)]
    order = [stations[int(i)] for i in rng.permutation(len(stations))]
    names: list[str] = []
    for asset_id in draft.choose_fixtures(count, suits=lambda asset: asset.kind in KINDS):
        asset = get_fixture(asset_id)
        station = next((s for s in order if _region(asset, *s) is not None), None)
        if station is None:
            raise Crowded(f"no place for {asset_id} around the robot")
        order.remove(station)
        region = _region(asset, *station)
        assert region is not None
        x, y = float(rng.uniform(*region.x_m)), float(rng.uniform(*region.y_m))
        towards = math.atan2(-y, -x) if station[0] != "along" else -math.copysign(math.pi / 2, y)
        height = -asset.top.height_m if asset.top is not None and asset.kind == "side_table" else draft.floor_m
        yaw = towards + float(rng.uniform(-0.3, 0.3))
        names.append(draft.stand(asset_id, x, y, yaw, keep_free_m=footprint_m(asset) + _APART_M / 2, height_m=height))
    return names


def put_before(draft: Draft, count: int) -> list[str]:
    """Puts different things on the table before the robot, clear of its edge; returns their names. Raises Crowded."""
    x, y = draft.work.x_m[0], draft.work.y_m
    region = Region(x_m=(x + _ON_TABLE_X_M[0], x + _ON_TABLE_X_M[1]), y_m=y)
    return [draft.put(asset, region) for asset in draft.choose(count, role="graspable")]


def start_anywhere(draft: Draft, x_m: tuple[float, float], y_m: tuple[float, float], turn_rad: float) -> None:
    """Lets the robot begin somewhere behind the table, turned by up to `turn_rad` to either side."""
    rng = draft.rng
    x, y, yaw = (float(rng.uniform(*side)) for side in (x_m, y_m, (-turn_rad, turn_rad)))
    draft.robot_start = (round(x, 4), round(y, 4), round(yaw, 4))


def _region(asset: FixtureAsset, place: str, sign: float) -> Region | None:
    """Returns where furniture stands at a station on the left (1) or on the right (-1); None where there is no room for it."""
    half = max(asset.size_m[:2]) / 2
    if place == "behind":
        x, y = (max(_BEHIND_X_M[0], _BACK_M + half - 0.25), _BEHIND_X_M[1]), _BEHIND_Y_M
    else:
        x, y = (_ALONG_X_M if place == "along" else _BESIDE_X_M), (_TABLE_M + half + 0.02, _WALL_M - half)
        if place == "beside":
            y = (min(y[0], y[1]), max(y[0], y[1]))
            y = (y[0] - 0.05, y[0] + 0.05)
    if x[0] > x[1] or y[0] > y[1]:
        return None
    low, high = sorted((sign * y[0], sign * y[1]))
    return Region(x_m=x, y_m=(low, high))
