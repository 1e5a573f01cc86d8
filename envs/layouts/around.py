"""Things around a robot that can go about: furniture on the floor beside and behind it, something on the table before it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from vlagym.envs.bases import stance_of
from vlagym.envs.fixtures import FixtureAsset, get_fixture
from vlagym.envs.robot import Robot
from vlagym.envs.task import Crowded, Draft, Region, footprint_m
from vlagym.envs.whole_body import whole_body

KINDS = frozenset(("bin", "chair", "floor_lamp", "low_shelf", "plant", "side_table", "stool", "suitcase"))
"""Of furniture that stands on the floor and is spoken of."""
_WALL_M, _TABLE_M = 1.42, 0.90
"""Room ends so far to the sides, at least; the table, at most."""
_BACK_M = -0.68
_APART_M = 0.12
_HAND_M, _WIDE_M = 0.11, 0.55
"""What a hand adds to where its pinch point is; arms that reach farther than the second bar ways, ..."""
_BROAD_M = 0.55
"""... and leave no room for furniture that is broader than this."""
_BESIDE_X_M, _BEHIND_X_M, _ALONG_X_M = (-0.10, 0.12), (-0.62, -0.50), (0.45, 0.80)
"""Beside the robot, behind it, and along the table."""
_BEHIND_Y_M = (0.80, 1.05)
_ON_TABLE_M = (0.20, 0.30)
"""From the edge of the table: what lies farther off the robot does not come near to ..."""
_LOW_M = 0.075
"""... and hands pass over what is not higher than this, as the robot turns."""


def stand_around(draft: Draft, count: int) -> list[str]:
    """Stands different furniture on the floor around the robot, each in another direction; returns the names, that of the first one drawn first.

    Args:
      draft: The scene.
      count: How many, as far as there is room; two at least.

    Raises:
      Crowded: If there is no room for two.
    """
    rng = draft.rng
    stations = [(place, sign) for place in ("beside", "behind", "along") for sign in (1.0, -1.0)]
    free = [stations[int(i)] for i in rng.permutation(len(stations))]
    names: list[str] = []
    broadest = _BROAD_M if reach_m(draft.robot) > _WIDE_M else math.inf
    for asset_id in draft.choose_fixtures(count, suits=lambda asset: asset.kind in KINDS and max(asset.size_m[:2]) <= broadest):
        asset = get_fixture(asset_id)
        station = _stand_at_one(draft, asset, free)
        if station is None and len(names) < 2:
            raise Crowded(f"no free place for {asset_id} around the robot")
        if station is None:
            continue  # two are enough to choose between
        names.append(asset_id)
        free = [other for other in free if other[1] != station[1] or other[0] not in _shut_by(station[0], draft)]
    return names


def _stand_at_one(draft: Draft, asset: FixtureAsset, stations: Sequence[tuple[str, float]]) -> tuple[str, float] | None:
    """Stands furniture at the first of some stations at which there is room; returns that station, None if there is none."""
    rng = draft.rng
    for place, sign in stations:
        region = _region(asset, place, sign)
        if region is None:
            continue
        x, y = float(rng.uniform(*region.x_m)), float(rng.uniform(*region.y_m))
        towards = math.atan2(-y, -x) if place != "along" else -math.copysign(math.pi / 2, y)
        height = -asset.top.height_m if asset.top is not None and asset.kind == "side_table" else draft.floor_m
        yaw = towards + float(rng.uniform(-0.3, 0.3))
        try:
            draft.stand(asset.id, x, y, yaw, keep_free_m=footprint_m(asset) + _APART_M / 2, height_m=height)
        except Crowded:
            continue  # another station may have room
        return place, sign
    return None


def _shut_by(place: str, draft: Draft) -> frozenset[str]:
    """Returns the stations on the same side that nothing else may stand at: there would be no way past it to what stands along the table, and, for
    arms that reach far, to anything."""
    if place == "along" or reach_m(draft.robot) > _WIDE_M:
        return frozenset(("beside", "along", "behind"))
    return frozenset((place, "along"))


def reach_m(robot: Robot) -> float:
    """Returns how far the hands of a robot reach from the middle of its base in the posture in which it starts, as seen from above."""
    hands = whole_body(robot.name, "fixed").forward(np.array(robot.home_qpos))
    return max(math.hypot(*here.pos[:2].tolist()) for here in hands.values()) + _HAND_M


def most_around(draft: Draft) -> int:
    """Returns how many pieces of furniture have room around the robot."""
    return 2 if reach_m(draft.robot) > _WIDE_M else 4


def distance_m(draft: Draft, name: str) -> float:
    """Returns how far what stands on the floor or table is from where the robot begins, from middle to middle."""
    places = {prop.name: prop.pos_world for prop in draft.props} | {fixture.name: fixture.pos_world for fixture in draft.fixtures}
    x, y, _ = places[name]
    return math.hypot(x - draft.robot_start[0], y - draft.robot_start[1])


def put_before(draft: Draft, count: int) -> list[str]:
    """Puts different low things on the table before the robot; returns their names. Raises Crowded."""
    edge = stance_of(draft.robot).table_edge_x_m
    region = Region(x_m=(edge + _ON_TABLE_M[0], edge + _ON_TABLE_M[1]), y_m=draft.work.y_m)
    low = draft.choose(count, role="graspable", suits=lambda asset: asset.size_m[2] <= _LOW_M)
    return [draft.put(asset, region) for asset in low]


def start_anywhere(draft: Draft, x_m: tuple[float, float], y_m: tuple[float, float], turn_rad: float) -> None:
    """Lets the robot begin somewhere behind the table, turned by up to `turn_rad` to either side."""
    rng = draft.rng
    x, y, yaw = (float(rng.uniform(*side)) for side in (x_m, y_m, (-turn_rad, turn_rad)))
    draft.robot_start = (round(x, 4), round(y, 4), round(yaw, 4))
    draft.keep_free(x, y, reach_m(draft.robot))


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


def things_around(draft: Draft, start_x_m: tuple[float, float], start_y_m: tuple[float, float]) -> list[str]:
    """Has the robot begin somewhere, looking anywhere, among things on the floor and on the table; returns them, the one that is asked for first.

    Raises:
      Crowded: If they find no room.
    """
    start_anywhere(draft, start_x_m, start_y_m, math.radians(140))
    around = stand_around(draft, min(most_around(draft), int(draft.variety.integers(2, 5))))
    before = put_before(draft, int(draft.variety.integers(1, 3)))
    return [*before, *around] if draft.variety.random() < 0.25 else [*around, *before]
